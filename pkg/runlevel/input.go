package runlevel

import (
	"context"
	"path"
	"strings"

	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/template"
)

// Input is what is evaluated. The zero value of every option is helmfile's default.
type Input struct {
	// Files are the state files in the order they are processed, as Files or Discover return them.
	Files []File
	// FS are the files that state files name.
	FS template.Files
	// Prefix is put before the names of files when they are shown.
	Prefix string
	// Root is the directory that names are seen from, for what shows whole paths: empty where there is none.
	Root string

	// Stack says that the files are the runlevels of a stack: releases are awaited unless they say otherwise, one cluster
	// has them all, and a release may need those of earlier files.
	Stack bool
	// Values are compiled values: they beat the environments of every file, also of those that others name. Nil where there
	// are none.
	Values map[string]any

	// Environment is -e; empty means "default".
	Environment string
	// KubeContext, Namespace and Chart beat those of all releases.
	KubeContext, Namespace, Chart string
	// ValuesFiles are --state-values-file, Set and SetString --state-values-set and --state-values-set-string. They do not
	// reach files that others name.
	ValuesFiles, Set, SetString []string
	// ReleaseValuesFiles and ReleaseSet are --values and --set: of all releases.
	ReleaseValuesFiles, ReleaseSet []string
	Selectors                      []string
	// Args are --args, --diff-args, --sync-args and --template-args, by the key of helmDefaults that says the same: args, diffArgs,
	// syncArgs, templateArgs. Prints says that manifests are printed, so that templateArgs count and neither diffArgs nor syncArgs.
	Args   map[string]string
	Prints bool
	// PostRenderer, PostRendererArgs and Cascade beat those of helmDefaults, and not those of releases.
	PostRenderer     string
	PostRendererArgs []string
	Cascade          string
	// SkipSchemaValidation is --skip-schema-validation.
	SkipSchemaValidation bool
	// ExplicitSelectors keeps selectors from files that others name and give none (helmfile's experimental
	// explicit-selector-inheritance).
	ExplicitSelectors bool
	// IncludeNeeds selects what the selected releases need too, as far as it goes. UseNeeds demands that it is selected
	// (helmfile's --skip-needs=false).
	IncludeNeeds, UseNeeds bool
	// EnforceNeeds refuses releases that need one that is not installed.
	EnforceNeeds bool
	// WithoutValues leaves out the values of releases, and WithoutOrder their needs: for what shows neither.
	WithoutValues, WithoutOrder bool
	// WithDisabled takes releases whose condition does not hold for those of the run, in files that no selectors narrow: two with one
	// name are refused, and they have their place in the order (helmfile's list, build and show-dag; recorded from 1.7.2).
	WithDisabled bool
	// CheckCharts reports charts REPOSITORY/NAME of no repository, as in a stack: for what loads charts.
	CheckCharts bool
	// WithoutPins leaves the versions of releases as they are written, where there is a lock file: for what makes it anew.
	WithoutPins bool
	// RenderYAML carries out files as templates that are not named *.gotmpl (HELMFILE_RENDER_YAML).
	RenderYAML bool

	// Allow is what templates may have of the world, and Programs run what Allow.Exec lets them.
	Allow    template.Permissions
	Programs template.Programs
	// Decrypt decrypts secrets files; nil where nothing may.
	Decrypt Decrypter
	// Fetch gets remote files; nil fetches none.
	Fetch Fetcher
}

// Decrypter decrypts a file that sops encrypted.
type Decrypter interface {
	Decrypt(name string, text []byte) ([]byte, error)
}

// Fetcher gets what a go-getter URL names and returns the name by which Input.FS reads it, which may not be there: it begins
// with Fetched. Diagnostics have no place; the error is a network that fails.
type Fetcher interface {
	Fetch(ctx context.Context, address string) (name string, ds diag.Diagnostics, err error)
}

// Fetched begins the names of what was fetched. Behind it is a segment that tells one address from another, and behind that
// what is shown.
const Fetched = "/~net/"

// File is one state file.
type File struct {
	// Name is its base name: "50-teams.yaml.gotmpl".
	Name string
	// Display is its name as it is shown, and the name of its text in Evaluation.Sources.
	Display string
	// Path is its name in Input.FS. It may be empty where the file names no other; else the directory of Path is the one that
	// relative paths in it are seen from.
	Path string
	Text []byte
}

// level is the name of the file without its extensions.
func (f File) level() string {
	name := strings.TrimSuffix(f.Name, ".gotmpl")
	return strings.TrimSuffix(name, path.Ext(name))
}

// dir is the directory that relative paths in the file are seen from.
func (f File) dir() string {
	if f.Path == "" {
		return "."
	}
	return path.Dir(f.Path)
}

// templated says whether the file is a template: helmfile carries out those named *.gotmpl, and no other.
func (f File) templated() bool { return templated(f.Name) }

func templated(name string) bool { return path.Ext(name) == ".gotmpl" }
