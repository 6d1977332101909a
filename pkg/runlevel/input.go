package runlevel

import (
	"path"
	"strings"

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
	// Fetch gets remote files; nil where nothing may.
	Fetch Fetcher
}

// Decrypter decrypts a file that sops encrypted.
type Decrypter interface {
	Decrypt(name string, text []byte) ([]byte, error)
}

// Fetcher gets what a go-getter URL names and returns the name by which Input.FS reads it.
type Fetcher interface {
	Fetch(url string) (name string, err error)
}

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
