// Package runlevel turns state files and values into ordered levels of releases.
//
// It knows the keys of a state file, the names of releases and the order in which they are applied. It loads no chart,
// renders no manifest and talks to no cluster.
package runlevel

import (
	"time"

	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/manifest"
)

// Evaluation is what the state files say.
type Evaluation struct {
	// Levels are the runlevels in the order they are applied, one per file, also where a file has no releases.
	Levels []Level
	// Repositories are those of all files, in their order; of several with one name the first.
	Repositories []Repository
	// Sources are the texts that diagnostics refer to: the files, and of the templated ones the rendered text under
	// the name "FILE (rendered)".
	Sources diag.Sources
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
	Name      string
	Namespace string
	// Chart is the reference as it is written; package chart resolves it.
	Chart   string
	Version string
	// Devel lets pre-releases answer an empty version.
	Devel bool
	// Repository is the entry that a chart REPOSITORY/NAME names; nil for every other form.
	Repository *Repository
	// Verify, Keyring, PlainHTTP and SkipTLSVerify are the release's own; each adds to what its Repository says.
	Verify                   bool
	Keyring                  string
	PlainHTTP, SkipTLSVerify bool
	// Values are the release's values entries folded into one tree as Helm folds --values, its numbers as Helm's own
	// reading gives them (float64). It is empty and never nil where there are none; nobody changes it.
	Values map[string]any
	// Installed is false for a release that is to be uninstalled where it is there.
	Installed bool
	// Needs are the keys of the releases of the same level that are applied before this one.
	Needs []string
	// Labels are the labels that selectors match: the release's own, then helmfile's implicit ones (name, namespace,
	// chart), then commonLabels, the later winning.
	Labels map[string]string
	// Wait says that the release is awaited, for at most Timeout.
	Wait            bool
	Timeout         time.Duration
	CreateNamespace bool
	// KubeContext is the context of the run, as Options gave it.
	KubeContext string
	// Level is the name of the runlevel.
	Level string
	// Group counts from 0 within the level: releases of one group may be applied side by side, once those of the groups
	// before it are ready.
	Group int
	// Range is the place of the release, and ChartRange that of its chart reference, both in Evaluation.Sources.
	Range      diag.Range
	ChartRange diag.Range
	// defined is nil for a release of no state file.
	defined *definition
}

// Key is NAMESPACE/NAME, which identifies a release in a cluster.
func (r Release) Key() string { return manifest.Key(r.Namespace, r.Name) }
