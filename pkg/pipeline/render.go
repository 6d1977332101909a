package pipeline

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/redkubes/otomi/pkg/chart"
	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/layer"
	"github.com/redkubes/otomi/pkg/manifest"
	"github.com/redkubes/otomi/pkg/render"
	"github.com/redkubes/otomi/pkg/runlevel"
)

// Cluster is a target of the registry.
type Cluster = layer.Cluster

// Stage is what a run on one cluster is about: its values, and the releases it is to have, level by level.
type Stage struct {
	Values Values
	Levels []runlevel.Level
	// Partial says that selectors left something out, so that a release that is missing here may still be wanted.
	Partial bool
}

// Empty reports whether no release is in the stage.
func (s Stage) Empty() bool {
	return !slices.ContainsFunc(s.Levels, func(l runlevel.Level) bool { return len(l.Releases)+len(l.Disabled) > 0 })
}

// releases returns the releases of all levels in the order they are applied.
func (s Stage) releases() []runlevel.Release {
	var out []runlevel.Release
	for _, level := range s.Levels {
		out = append(out, level.Releases...)
	}
	return out
}

// Capabilities say what charts see of the cluster.
type Capabilities struct {
	// KubeVersion is the version of Kubernetes; empty means the cluster's, or where none is asked the registry's, or the
	// newest one known.
	KubeVersion string
	// APIVersions are seen beside the known ones.
	APIVersions []string
}

// NewestKubernetes is the version of Kubernetes that charts see where nothing else says one.
func NewestKubernetes() string { return render.Newest() }

// Evaluate evaluates the runlevels of the stack with the values of a cluster, and keeps the releases that match the
// selectors. A stack without runlevels is a diagnostic.
func (p *Platform) Evaluate(ctx context.Context, values Values, selectors []string) (Stage, diag.Diagnostics) {
	selector, diags := runlevel.ParseSelectors(selectors)
	if diags.HasErrors() {
		return Stage{}, diags
	}
	if len(p.noFiles) > 0 {
		return Stage{Values: values}, append(diags, p.noFiles...)
	}
	evaluated, more := runlevel.Evaluate(ctx, p.files, values.Root.PlainMap(), runlevel.Options{})
	p.addSources(evaluated.Sources)
	diags = append(diags, more...)
	if diags.HasErrors() {
		return Stage{}, diags
	}
	return Stage{Values: values, Levels: runlevel.Select(evaluated.Levels, selector), Partial: !selector.IsZero()}, diags
}

// Render renders every installed release of a stage as its first install, without a cluster, in the order they are
// applied.
func (p *Platform) Render(ctx context.Context, stage Stage, o Capabilities) ([]manifest.Release, diag.Diagnostics, error) {
	caps := render.Capabilities{KubeVersion: o.KubeVersion, APIVersions: render.BuiltIn()}
	if caps.KubeVersion == "" {
		caps.KubeVersion = stage.Values.Cluster.K8sVersion
	}
	caps.APIVersions = append(caps.APIVersions, o.APIVersions...)
	set, diags, err := p.newRenderSet(ctx, stage)
	if err != nil || diags.HasErrors() {
		return nil, diags, err
	}
	more, err := set.settle(ctx, caps)
	diags = append(diags, more...)
	if err != nil || diags.HasErrors() {
		return nil, diags, err
	}
	releases, more, err := set.all(ctx)
	return releases, append(diags, more...), err
}

// renderSet renders the releases of one stage with the same capabilities throughout, each revision once.
type renderSet struct {
	platform *Platform
	releases []runlevel.Release
	charts   map[string]*chart.Chart
	caps     render.Capabilities

	mu   sync.Mutex
	done map[renderKey]rendered
	// last is the newest rendering of each release.
	last map[string]manifest.Release
}

type renderKey struct {
	release  string
	revision int
	upgrade  bool
}

type rendered struct {
	release manifest.Release
	diags   diag.Diagnostics
}

// newRenderSet loads the charts of the installed releases.
func (p *Platform) newRenderSet(ctx context.Context, stage Stage) (*renderSet, diag.Diagnostics, error) {
	set := &renderSet{platform: p, charts: map[string]*chart.Chart{}, last: map[string]manifest.Release{}}
	for _, release := range stage.releases() {
		if release.Installed {
			set.releases = append(set.releases, release)
		}
	}
	var diags diag.Diagnostics
	for _, release := range set.releases {
		loaded, more, err := p.charts.Load(ctx, release.Chart, release.ChartRange)
		if err != nil {
			return nil, diags, err
		}
		diags = append(diags, more...)
		set.charts[release.Key()] = loaded
	}
	return set, diags, nil
}

// settle fixes the capabilities of the set: caps, and the API versions of every custom resource definition that its
// releases carry or render, so that a first run on an empty cluster renders the same as a second one. Definitions that
// appear only because of others are found by asking again, until there is no new one.
func (s *renderSet) settle(ctx context.Context, caps render.Capabilities) (diag.Diagnostics, error) {
	var carriers []runlevel.Release
	for _, r := range s.releases {
		if mentionsDefinitions(s.charts[r.Key()], r.Values) {
			carriers = append(carriers, r)
		}
	}
	for {
		s.caps, s.done = caps, map[renderKey]rendered{}
		releases, diags, err := s.first(ctx, carriers)
		if err != nil || diags.HasErrors() {
			return diags, err
		}
		var added []string
		for _, r := range releases {
			for _, version := range render.APIVersions(slices.Concat(r.CRDs, r.Objects)) {
				if !slices.Contains(caps.APIVersions, version) {
					added = append(added, version)
				}
			}
		}
		if len(added) == 0 {
			return nil, nil
		}
		caps.APIVersions = slices.Concat(caps.APIVersions, added)
	}
}

// all renders every release as its first install, in the order they are applied.
func (s *renderSet) all(ctx context.Context) ([]manifest.Release, diag.Diagnostics, error) {
	releases, diags, err := s.first(ctx, s.releases)
	if err != nil || diags.HasErrors() {
		return releases, diags, err
	}
	return releases, append(diags, render.Duplicates(releases)...), nil
}

// first renders the given releases as first installs, side by side.
func (s *renderSet) first(ctx context.Context, releases []runlevel.Release) ([]manifest.Release, diag.Diagnostics, error) {
	out := make([]manifest.Release, len(releases))
	found := make([]diag.Diagnostics, len(releases))
	err := each(ctx, len(releases), func(ctx context.Context, i int) error {
		var err error
		out[i], found[i], err = s.render(ctx, releases[i], 1, false)
		return err
	})
	return out, slices.Concat(found...), err
}

// mentionsDefinitions reports whether a release may make custom resource definitions: its chart or its values speak of
// them. The others need not be rendered to learn which API versions a run brings along.
func mentionsDefinitions(c *chart.Chart, values any) bool {
	const kind = "CustomResourceDefinition"
	for _, f := range c.Files {
		if bytes.Contains(f.Data, []byte(kind)) {
			return true
		}
	}
	return mentions(values, kind)
}

func mentions(values any, word string) bool {
	switch values := values.(type) {
	case string:
		return strings.Contains(values, word)
	case []any:
		return slices.ContainsFunc(values, func(v any) bool { return mentions(v, word) })
	case map[string]any:
		for _, v := range values {
			if mentions(v, word) {
				return true
			}
		}
	}
	return false
}

// rendered returns the newest rendering of each release, in the order they are applied.
func (s *renderSet) rendered() []manifest.Release {
	out := make([]manifest.Release, 0, len(s.releases))
	for _, r := range s.releases {
		if release, ok := s.last[r.Key()]; ok {
			out = append(out, release)
		}
	}
	return out
}

// render renders one release, or returns what an earlier call with the same revision and mode made.
func (s *renderSet) render(ctx context.Context, release runlevel.Release, revision int, upgrade bool) (manifest.Release, diag.Diagnostics, error) {
	key := renderKey{release: release.Key(), revision: revision, upgrade: upgrade}
	s.mu.Lock()
	known, ok := s.done[key]
	s.mu.Unlock()
	if ok {
		return known.release, known.diags, nil
	}
	out, diags, err := s.platform.renderer.Render(ctx, render.Request{
		Release: release, Chart: s.charts[release.Key()], Revision: revision, Upgrade: upgrade,
	}, s.caps)
	if err != nil {
		return out, diags, err
	}
	s.mu.Lock()
	s.done[key] = rendered{release: out, diags: diags}
	s.last[key.release] = out
	s.mu.Unlock()
	return out, diags, nil
}
