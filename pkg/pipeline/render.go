package pipeline

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/redkubes/otomi/pkg/chart"
	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/exec"
	"github.com/redkubes/otomi/pkg/hook"
	"github.com/redkubes/otomi/pkg/layer"
	"github.com/redkubes/otomi/pkg/manifest"
	"github.com/redkubes/otomi/pkg/render"
	"github.com/redkubes/otomi/pkg/runlevel"
	"github.com/redkubes/otomi/pkg/source"
	"github.com/redkubes/otomi/pkg/template"
	"github.com/redkubes/otomi/pkg/value"
)

// Cluster is a target of the registry.
type Cluster = layer.Cluster

// Stage is what a run on one cluster is about: its values, and the releases it is to have, level by level.
type Stage struct {
	Values Values
	Levels []runlevel.Level
	// Partial says that selectors left something out, so that a release that is missing here may still be wanted.
	Partial bool

	// Hooks are those of its runlevels. EvaluateFor lets them run.
	Hooks *Hooks

	// known are the repositories that the charts of the stage's releases may depend on.
	known []chart.Repository
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
	stage, diags, _ := p.EvaluateFor(ctx, values, selectors, "") // without a verb no program runs, which is what could fail
	return stage, diags
}

// EvaluateFor is Evaluate for a verb that runs the hooks of runlevels: template, diff, apply, sync or destroy. Those of prepare run
// before the values of releases are read, since they may write these. Hooks that would be refused are diagnostics. Where a stage has
// Hooks, the caller runs their cleanup, also with diagnostics or an error.
func (p *Platform) EvaluateFor(ctx context.Context, values Values, selectors []string, verb string) (Stage, diag.Diagnostics, error) {
	selector, diags := runlevel.ParseSelectors(selectors)
	if diags.HasErrors() {
		return Stage{}, diags, nil
	}
	if len(p.noFiles) > 0 {
		return Stage{Values: values}, append(diags, p.noFiles...), nil
	}
	in := p.input(values.Root.PlainMap())
	evaluated, more := runlevel.Evaluate(ctx, in)
	p.addSources(evaluated.Sources)
	hooks := p.hooks(in)
	take := func() { hooks.states, hooks.levels = evaluated.States, runlevel.Select(evaluated.Levels, selector) }
	take()
	if verb != "" {
		refused := hooks.Refused(verb)
		if diags = append(diags, refused...); refused.HasErrors() {
			return Stage{}, append(diags, more...), nil
		}
	}
	if verb != "" && hooks.HasHooks(verb) {
		whole := !more.HasErrors()
		if !whole {
			// It may be the values of releases alone, which hooks write.
			without := in
			without.WithoutValues = true
			var wrong diag.Diagnostics
			evaluated, wrong = runlevel.Evaluate(ctx, without)
			take()
			whole = !wrong.HasErrors()
		}
		if whole {
			said, ds, err := hooks.Prepare(ctx, verb)
			hooks.said = said
			if diags = append(diags, ds...); err != nil || ds.HasErrors() {
				return Stage{Values: values, Hooks: hooks}, diags, err
			}
			evaluated, more = runlevel.Evaluate(ctx, in)
			p.addSources(evaluated.Sources)
			take()
		}
	}
	diags = append(diags, more...)
	diags = append(diags, idle(evaluated)...)
	if diags.HasErrors() {
		return Stage{Values: values, Hooks: hooks}, diags, nil
	}
	return Stage{
		Values: values, Levels: hooks.levels, Partial: !selector.IsZero(), Hooks: hooks, known: p.known(evaluated.States),
	}, diags, nil
}

// hooks are those of the runlevels of a stack. What the binary carries has no directory to run a program in.
func (p *Platform) hooks(in runlevel.Input) *Hooks {
	o := hook.Options{Allowed: p.allow.Hooks}
	if p.beside != p.root {
		o.Programs = exec.Runner{Dir: filepath.Dir(p.beside), Env: p.allow.Environ}
	}
	return &Hooks{in: in, options: o}
}

// idle reports what the runlevels of a stack ask for and no verb carries out for them yet: nothing goes without effect and
// without a word.
func idle(e runlevel.Evaluation) diag.Diagnostics {
	var diags diag.Diagnostics
	add := func(there bool, at diag.Range, key string) {
		if there {
			diags = append(diags, diag.Diagnostic{Severity: diag.Error, Code: diag.RunlevelUnsupported, Range: at,
				Detail: "otomi does not carry out " + key + " for the runlevels of a stack yet. Leave it out."})
		}
	}
	for _, state := range e.States {
		for _, r := range state.Releases {
			add(r.ReuseValues, r.KeyRange("reuseValues"), "reuseValues")
			diags = append(diags, undeployed(r)...)
		}
	}
	return diags
}

// input is what of the stack is evaluated with values.
func (p *Platform) input(values map[string]any) runlevel.Input {
	in := runlevel.Input{
		Files: p.files, FS: p.fetch.over(source.Inside(p.stack.FS)), Fetch: p.fetch, Prefix: p.stack.Prefix, Stack: true, Values: values, Allow: p.allow.templates(),
	}
	if p.allow.Exec && p.beside != p.root {
		// What the binary carries has no directory to run a program in.
		in.Programs = exec.Runner{Dir: filepath.Dir(p.beside), Env: p.allow.Environ}
	}
	return in
}

// capabilities are what charts see where no cluster is asked.
func (s Stage) capabilities(o Capabilities) render.Capabilities {
	caps := render.Capabilities{KubeVersion: o.KubeVersion, APIVersions: render.BuiltIn()}
	if caps.KubeVersion == "" {
		caps.KubeVersion = s.Values.Cluster.K8sVersion
	}
	caps.APIVersions = append(caps.APIVersions, o.APIVersions...)
	return caps
}

// Rendered is a rendered release of a stage, with the state file it came from.
type Rendered struct {
	manifest.Release
	// File is the state file as it is shown.
	File string

	chart *chart.Chart
}

// Render renders every installed release of a stage as its first install, without a cluster, and hands them to take one
// after the other in the order they are applied. Few are in memory at any time, however many there are. After the first error
// among the diagnostics take is not called any more, and the others are rendered for theirs; some may have been taken
// before. The error is that of take, or a Kubernetes version or chart that can't be read.
func (p *Platform) Render(ctx context.Context, stage Stage, o Capabilities, take func(Rendered) error) (diag.Diagnostics, error) {
	return p.render(ctx, stage, o, nil, take)
}

// render is Render with a look at each release before it is handed on. Begin is called once the capabilities are fixed, or
// is nil; the errors among what its inspect finds are as those of rendering.
func (p *Platform) render(
	ctx context.Context, stage Stage, o Capabilities, begin func(*renderSet) (inspect, diag.Diagnostics, error), take func(Rendered) error,
) (diag.Diagnostics, error) {
	caps := stage.capabilities(o)
	set, diags, err := p.newRenderSet(ctx, stage)
	if err != nil || diags.HasErrors() {
		return diags, err
	}
	set.room, set.version = settledBytes, o.KubeVersion
	more, err := set.settle(ctx, caps)
	diags = append(diags, more...)
	if err != nil || diags.HasErrors() {
		return diags, err
	}
	files := map[string]string{}
	for _, level := range stage.Levels {
		for _, r := range level.Releases {
			files[r.Key()] = level.File
		}
	}
	var look inspect
	if begin != nil {
		look, more, err = begin(set)
		diags = append(diags, more...)
		if err != nil || diags.HasErrors() {
			return diags, err
		}
	}
	more, err = set.stream(ctx, look, func(r manifest.Release) error {
		return take(Rendered{Release: r, File: files[r.Key()], chart: set.charts[r.Key()]})
	})
	return append(diags, more...), err
}

// renderSet renders the releases of one stage with the same capabilities throughout, each revision once.
type renderSet struct {
	platform *Platform
	values   Values
	// input is what the releases were evaluated from, but for the values.
	input    runlevel.Input
	releases []runlevel.Release
	charts   map[string]*chart.Chart
	caps     render.Capabilities
	// overlap says that an object which several releases want is only warned about, since nothing is applied.
	overlap bool
	// version is the version of Kubernetes that the user named, or "".
	version string
	// change changes what a release rendered as the release asks; nil changes nothing.
	change func(context.Context, render.Request, manifest.Release) (manifest.Release, diag.Diagnostics, error)

	mu   sync.Mutex
	done map[renderKey]rendered
	// last is the newest rendering of each release.
	last map[string]manifest.Release
	// definitions are the custom resource definitions that the releases carry or render, once the capabilities are fixed.
	definitions []manifest.Object
	// room is how many bytes of rendered text are kept in done; negative means all.
	room int
}

// settledBytes is how much of the text that is rendered to learn the capabilities is kept for the rendering proper. An
// object takes some ten times its text.
const settledBytes = 4 << 20

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
	set := &renderSet{platform: p, values: stage.Values, input: p.input(nil), charts: map[string]*chart.Chart{}, last: map[string]manifest.Release{}, room: -1}
	for _, release := range stage.releases() {
		if release.Installed {
			set.releases = append(set.releases, release)
		}
	}
	store, diags, err := p.charts()
	if err != nil || diags.HasErrors() {
		return nil, diags, err
	}
	change := changes{platform: p, in: set.input, values: stage.Values, namespaces: map[string]string{}}
	set.change = change.apply
	load := func(ctx context.Context, r runlevel.Release) (*chart.Chart, diag.Diagnostics, error) {
		if _, _, ok := p.fetch.mounted(template.Join(r.Base, r.Chart)); ok {
			return p.fetched(ctx, r, stage.known)
		}
		return store.Load(ctx, p.reference(stage, r))
	}
	for _, release := range set.releases {
		loaded, more, err := change.chart(ctx, release, load)
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
// appear only because of others are found by asking again, until there is no new one; where that does not come to an end one
// that is still new is reported.
func (s *renderSet) settle(ctx context.Context, caps render.Capabilities) (diag.Diagnostics, error) {
	var carriers []runlevel.Release
	carries := map[*chart.Chart]bool{}
	for _, r := range s.releases {
		c := s.charts[r.Key()]
		if _, known := carries[c]; !known {
			carries[c] = mentionsDefinitions(c)
		}
		if carries[c] || mentions(r.Values, definition) {
			carriers = append(carriers, r)
		}
	}
	for round := 1; ; round++ {
		s.caps, s.done, s.definitions = caps, map[renderKey]rendered{}, nil
		var diags diag.Diagnostics
		var added []string
		var newest newDefinition
		room := s.room
		err := inOrder(ctx, len(carriers), func(ctx context.Context, i int) (rendered, error) {
			return s.again(ctx, first(carriers[i]), carriers[i])
		}, func(i int, r rendered) error {
			diags = append(diags, r.diags...)
			all := slices.Concat(r.release.CRDs, r.release.Objects)
			for _, o := range all {
				// Releases of one chart have the same ones: one is held of them.
				same := func(known manifest.Object) bool { return known.ID == o.ID && known.Text == o.Text }
				if o.Kind == definition && !slices.ContainsFunc(s.definitions, same) {
					s.definitions = append(s.definitions, o)
				}
				for _, version := range render.APIVersions([]manifest.Object{o}) {
					if !slices.Contains(caps.APIVersions, version) {
						added = append(added, version)
						newest = newDefinition{carriers[i], o}
					}
				}
			}
			if size := len(r.release.Text); s.room < 0 || size <= room {
				room -= size
				s.remember(first(carriers[i]), r)
			}
			return nil
		})
		if err != nil || diags.HasErrors() {
			return diags, err
		}
		if len(added) == 0 {
			return nil, nil
		}
		if round == maxRounds {
			return diag.Diagnostics{newest.unsettled(s.charts[newest.release.Key()])}, nil
		}
		caps.APIVersions = slices.Concat(caps.APIVersions, added)
	}
}

// maxRounds bounds how often the releases are rendered to learn which API versions they bring. Each round needs a definition
// that is rendered only because another one is there: real charts need two.
const maxRounds = 8

// newDefinition is a custom resource definition that a round found, with the release it is of.
type newDefinition struct {
	release runlevel.Release
	object  manifest.Object
}

// unsettled reports that there is no end of new definitions. A chart that makes one of what the cluster knows never has one.
func (d newDefinition) unsettled(c *chart.Chart) diag.Diagnostic {
	_, file, _ := strings.Cut(d.object.Source, "/")
	return diag.Diagnostic{
		Severity: diag.Error, Code: diag.RenderUnsettled, Range: diag.Range{File: c.Shown(file)},
		Detail: fmt.Sprintf("release %s: %s is another definition at each rendering: after %d of them there still are API versions that "+
			"the one before did not have. Let its name, group and versions depend neither on .Capabilities nor on chance.",
			d.release.Key(), d.object.ID, maxRounds),
		Notes: []diag.Note{{Message: "the release", Range: d.release.Range}},
	}
}

// inspect looks at a rendered release, in the order they are applied.
type inspect func(ctx context.Context, release runlevel.Release, rendered manifest.Release) (diag.Diagnostics, error)

// stream renders every release as its first install and hands them on, in the order they are applied, after a look where one
// is given.
func (s *renderSet) stream(ctx context.Context, look inspect, take func(manifest.Release) error) (diag.Diagnostics, error) {
	var diags diag.Diagnostics
	var wanted render.Wanted
	failed := false
	err := inOrder(ctx, len(s.releases), func(ctx context.Context, i int) (rendered, error) {
		key := first(s.releases[i])
		if known, ok := s.forget(key); ok {
			return known, nil
		}
		return s.again(ctx, key, s.releases[i])
	}, func(i int, r rendered) error {
		diags = append(diags, r.diags...)
		if look != nil && !r.diags.HasErrors() {
			found, err := look(ctx, s.releases[i], r.release)
			if err != nil {
				return err
			}
			diags = append(diags, found...)
			failed = failed || found.HasErrors()
		}
		if failed = failed || r.diags.HasErrors(); failed {
			return nil
		}
		wanted.Add(r.release)
		return take(r.release)
	})
	if err != nil || failed {
		return diags, err
	}
	twice := wanted.Duplicates()
	if s.overlap {
		for i := range twice {
			twice[i].Severity = diag.Warning
			twice[i].Detail += " diff and apply refuse it."
		}
	}
	return append(diags, twice...), nil
}

// definition is the kind of a custom resource definition.
const definition = "CustomResourceDefinition"

// mentionsDefinitions reports whether a chart speaks of custom resource definitions. A release whose chart and values do not
// need not be rendered to learn which API versions a run brings along.
func mentionsDefinitions(c *chart.Chart) bool {
	return slices.ContainsFunc(c.Files, func(f chart.File) bool { return bytes.Contains(f.Data, []byte(definition)) })
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
func (s *renderSet) render(
	ctx context.Context, release runlevel.Release, revision int, upgrade bool,
) (manifest.Release, diag.Diagnostics, error) {
	key := renderKey{release: release.Key(), revision: revision, upgrade: upgrade}
	s.mu.Lock()
	known, ok := s.done[key]
	s.mu.Unlock()
	if ok {
		return known.release, known.diags, nil
	}
	r, err := s.again(ctx, key, release)
	if err != nil {
		return r.release, r.diags, err
	}
	s.remember(key, r)
	return r.release, r.diags, nil
}

// again renders one release, whether it was rendered before or not.
func (s *renderSet) again(ctx context.Context, key renderKey, release runlevel.Release) (rendered, error) {
	req := render.Request{
		Release: release, Chart: s.charts[key.release], Revision: key.revision, Upgrade: key.upgrade,
		Origin: func(path value.Path) (diag.Range, bool) { return s.origin(ctx, release, path) },
	}
	out, diags, err := s.platform.renderer.Render(ctx, req, s.capabilities(release))
	if release.SkipCRDs {
		out.CRDs = nil
	}
	if err == nil && !diags.HasErrors() && s.change != nil {
		var more diag.Diagnostics
		out, more, err = s.change(ctx, req, out)
		diags = append(diags, more...)
	}
	return rendered{release: out, diags: diags}, err
}

// capabilities are what a release sees: what its state file says beside that of the run, but for a version of Kubernetes that
// the user named.
func (s *renderSet) capabilities(r runlevel.Release) render.Capabilities {
	caps := s.caps
	if s.version == "" && r.KubeVersion != "" {
		caps.KubeVersion = r.KubeVersion
	}
	for _, version := range r.APIVersions {
		if !slices.Contains(caps.APIVersions, version) {
			caps.APIVersions = append(slices.Clip(caps.APIVersions), version)
		}
	}
	return caps
}

// first is the key of a release's first install.
func first(r runlevel.Release) renderKey { return renderKey{release: r.Key(), revision: 1} }

func (s *renderSet) remember(key renderKey, r rendered) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.done[key] = r
	s.last[key.release] = r.release
}

// forget returns what is remembered under a key, for the last time.
func (s *renderSet) forget(key renderKey) (rendered, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.done[key]
	delete(s.done, key)
	delete(s.last, key.release)
	return r, ok
}
