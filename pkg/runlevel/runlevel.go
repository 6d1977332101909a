// Package runlevel turns state files and values into ordered levels of releases.
//
// A state file is helmfile's (helmfile 1.7): it may be a template, have parts, bases, environments, release templates and
// state files of its own. The package knows its keys, the names of releases and the order in which they are applied. It
// loads no chart, renders no manifest and talks to no cluster; files, programs and decryption are handed to it.
package runlevel

import (
	"maps"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/manifest"
	"github.com/redkubes/otomi/pkg/value"
)

// Evaluation is what the state files say.
type Evaluation struct {
	// States are the state files in the order they are processed: the files that one names come before it.
	States []*State
	// Levels are the runlevels in the order they are applied, one for each of States, also where a file has no releases.
	Levels []Level
	// Sources are the texts that diagnostics refer to: the files, and of the templated ones the rendered text under
	// the name "FILE (rendered)".
	Sources diag.Sources
}

// State is one state file, evaluated.
type State struct {
	// File is the file's name as it is shown, Path the name by which it was read and Dir the directory that its relative
	// paths are seen from.
	File, Path, Dir string
	// Skipped says that the file does not define the environment of the run, so that it counts as if it were not there.
	Skipped bool
	// Narrowed says that selectors, of the run or of the file that names this one, choose among its releases.
	Narrowed bool
	// Environment is the environment of the run as the file defines it.
	Environment Environment
	// Values are the state values, all layers merged: what templates see as .Values.
	Values map[string]any
	// Document is the file as one tree: parts and bases merged, releases with their templates carried out.
	Document *value.Node
	// Releases are all releases in the order of their definition.
	Releases []Release
	// View are the arguments of helmDefaults, and of the command line, about what is shown: NAME is that of a verb's flag.
	View []Argument
	// Hooks are those of the file itself; only those for prepare and cleanup are ever run.
	Hooks        []Hook
	Repositories []*Repository
	APIVersions  []string
	KubeVersion  string
}

// Environment is what a state file defines for the environment of a run.
type Environment struct {
	Name        string
	KubeContext string
	// Values are those of the environment, without the file's own Defaults and without Assigned, the single values of the
	// command line.
	Values, Defaults, Assigned map[string]any
}

// Data is what templates see as .Environment once a file is read (helmfile's environment.Environment).
func (e Environment) Data() map[string]any {
	there := func(m map[string]any) map[string]any {
		if m == nil {
			return map[string]any{}
		}
		return m
	}
	return map[string]any{
		"Name": e.Name, "KubeContext": e.KubeContext,
		"Values": there(e.Values), "Defaults": there(e.Defaults), "CLIOverrides": there(e.Assigned),
	}
}

// Level is one runlevel: a stage of releases. It begins when the one before it is ready.
type Level struct {
	// Name is the base name of the file without its extensions: "50-teams".
	Name string
	// File is the file's name as it is shown.
	File string
	// Releases are the enabled releases in the order they are applied: by group, and in the order of their definition
	// within one.
	Releases []Release
	// Disabled are the releases whose condition does not hold, in the order of their definition. Helmfile lists them
	// and does nothing else with them: they are neither applied nor uninstalled.
	Disabled []Release
}

// Release is one chart installed once under a name in a namespace.
type Release struct {
	Name string
	// Namespace is the namespace the release is installed in, and WrittenNamespace what the state file says, which may be
	// nothing: then helmfile leaves it to the kubeconfig and we take "default".
	Namespace, WrittenNamespace string
	Description                 string
	// Chart is the reference as it is written; package chart resolves it, from the directory Base.
	Chart   string
	Base    string
	Version string
	// Devel lets pre-releases answer an empty version.
	Devel bool
	// Repository is the entry that a chart REPOSITORY/NAME names; nil for every other form.
	Repository *Repository
	// Verify, Keyring, PlainHTTP and SkipTLSVerify are the release's own; each adds to what its Repository says.
	Verify                   bool
	Keyring                  string
	PlainHTTP, SkipTLSVerify bool
	SkipDeps, SkipRefresh    bool
	// Values are the release's values entries folded into one tree as Helm folds --values and --set, its numbers as Helm's
	// own reading gives them (float64 from files and inline values, int64 from --set). It is empty and never nil where there
	// are none; nobody changes it.
	Values map[string]any
	// Entries are the values entries that Values was folded from, without those of --set; of a stack they are not kept.
	Entries []ValuesEntry
	// Installed is false for a release that is to be uninstalled where it is there, Enabled for one whose condition does not
	// hold, and Selected for one that the selectors leave out.
	Installed, Enabled, Selected bool
	// Needs are the keys of the releases of the same level that are applied before this one, and WrittenNeeds all that it
	// needs as helmfile names them: [[CONTEXT/]NAMESPACE/]NAME.
	Needs, WrittenNeeds []string
	// Labels are the labels that selectors match: the release's own, then commonLabels, then helmfile's implicit ones (name,
	// namespace, chart), the later winning.
	Labels map[string]string
	// Wait says that the release is awaited, for at most Timeout.
	Wait, WaitForJobs bool
	Timeout           time.Duration
	CreateNamespace   bool
	Atomic            bool
	CleanupOnFail     bool
	Force             bool
	ReuseValues       bool
	TakeOwnership     bool
	// HistoryMax is how many records of the release are kept; 0 is all of them.
	HistoryMax int
	// SkipCRDs leaves out the definitions of the chart's crds folder.
	SkipCRDs             bool
	EnableDNS            bool
	SkipSchemaValidation bool
	// DisableValidation leaves out the check of manifests against the cluster, and DisableValidationOnInstall that of a first
	// install.
	DisableValidation, DisableValidationOnInstall bool
	SyncReleaseLabels                             bool
	// Cascade is background, foreground or orphan, or empty; DeleteWait waits for what is deleted, for at most DeleteTimeout.
	Cascade       string
	DeleteWait    bool
	DeleteTimeout time.Duration
	// PostRenderer is a program that all manifests go through, with its arguments.
	PostRenderer     string
	PostRendererArgs []string
	// SuppressDiff keeps the differences of the release from being shown, SuppressOutputLineRegex lines of them.
	SuppressDiff            bool
	SuppressOutputLineRegex []string
	// Ignore are rules of fields that are left as they are in the cluster: KIND[.GROUP]/NAME:PATH.
	Ignore []string
	Hooks  []Hook
	// APIVersions and KubeVersion are the capabilities that the state file gives the release.
	APIVersions []string
	KubeVersion string
	// Dependencies are charts beside those that the chart depends on; the others change its manifests, in the order
	// JSONPatches, StrategicMergePatches, Transformers, ForceNamespace.
	Dependencies          []Dependency
	JSONPatches           []map[string]any
	StrategicMergePatches []map[string]any
	Transformers          []map[string]any
	ForceNamespace        string
	// KubeContext is the context of the release: that of the run, else its own, that of helmDefaults, that of the environment.
	KubeContext string
	// Level is the name of the runlevel.
	Level string
	// Group counts from 0 within the level: releases of one group may be applied side by side, once those of the groups
	// before it are ready.
	Group int
	// Range is the place of the release, and ChartRange that of its chart reference, both in Evaluation.Sources.
	Range      diag.Range
	ChartRange diag.Range

	keyed *keyed
	// arguments are those that set values.
	arguments []Argument
	// id is how helmfile names the release in needs.
	id string
	// defined is nil where the values were not read.
	defined *definition
}

// recordLabels are the labels of a record that are Helm's own (pkg/storage/driver, GetSystemLabels).
var recordLabels = []string{"name", "owner", "status", "version", "createdAt", "modifiedAt"}

// RecordLabels are the labels of the release's record, where they are to be kept there: those that selectors match, but for
// what Helm calls so itself and what Kubernetes takes for no label.
func (r Release) RecordLabels() map[string]string {
	if !r.SyncReleaseLabels {
		return nil
	}
	out := map[string]string{}
	for k, v := range r.Labels {
		if !slices.Contains(recordLabels, k) && len(validation.IsQualifiedName(k))+len(validation.IsValidLabelValue(v)) == 0 {
			out[k] = v
		}
	}
	return out
}

// Reusing returns the release with the values that it was given before under its own, as Helm's --reset-then-reuse-values
// has it: the defaults are those of the chart as it is now. A null takes away what was given before, and the chart's default is
// back: Helm drops both where they meet (pkg/chartutil, CoalesceTables).
func (r Release) Reusing(former map[string]any) Release {
	if len(former) > 0 {
		r.Values = reused(r.Values, former)
	}
	return r
}

// reused lays values over those given before.
func reused(given, former map[string]any) map[string]any {
	out := maps.Clone(former)
	for key, v := range given {
		now, isMap := v.(map[string]any)
		before, wasMap := former[key].(map[string]any)
		switch {
		case v == nil && former[key] != nil:
			delete(out, key)
		case isMap && wasMap:
			out[key] = reused(now, before)
		default:
			out[key] = v
		}
	}
	return out
}

// keyed is where the keys of a release are written.
type keyed struct {
	node, defaults *value.Node
	sources        diag.Sources
}

// KeyRange returns the place of a key of the release, else that of helmDefaults, else that of the release.
func (r Release) KeyRange(key string) diag.Range {
	if r.keyed == nil {
		return r.Range
	}
	for _, from := range []*value.Node{r.keyed.node, r.keyed.defaults} {
		if f, ok := from.Field(key); ok && !isNull(f.Value) {
			p := placer{sources: r.keyed.sources}
			at, _ := p.place(f.KeyRange)
			return at
		}
	}
	return r.Range
}

// Key is NAMESPACE/NAME, which identifies a release in a cluster.
func (r Release) Key() string { return manifest.Key(r.Namespace, r.Name) }

// ID is [[CONTEXT/]NAMESPACE/]NAME, by which helmfile names a release (pkg/state, ReleaseToID).
func (r Release) ID() string { return r.id }

// ValuesEntry is one of a release's values.
type ValuesEntry struct {
	// File is the name of the file as it is shown; empty for values in the state file itself.
	File string
	// Text is the text of the file, rendered where it is a template.
	Text []byte
	// Tree are values in the state file itself.
	Tree *value.Node
	// Values is what Helm reads.
	Values map[string]any

	// secret says that Text was decrypted.
	secret bool
}

// Hook is a program that is run at events of a file or a release. Its texts are templates that are carried out when it runs.
type Hook struct {
	Name     string
	Events   []string
	Command  string
	Args     []string
	ShowLogs bool
	// KubectlApply are the files or the kustomization that the hook applies in place of a program: filename or kustomize.
	KubectlApply map[string]string
	Range        diag.Range
}

// Dependency is a chart that is added to those that a chart depends on.
type Dependency struct {
	Chart, Version, Alias string
	// Repository is as Release.Repository.
	Repository *Repository
	Range      diag.Range
}
