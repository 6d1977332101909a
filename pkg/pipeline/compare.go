package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"

	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/diff"
	"github.com/redkubes/otomi/pkg/manifest"
	"github.com/redkubes/otomi/pkg/openapi"
	"github.com/redkubes/otomi/pkg/render"
	"github.com/redkubes/otomi/pkg/runlevel"
	"github.com/redkubes/otomi/pkg/source"
)

type (
	// Block is a change that some clusters have in common.
	Block = diff.Block
	// Drift is what of a cluster is not as it was last applied.
	Drift = diff.Drift
)

// CheckIgnores reports what is wrong with rules of what is ignored.
func CheckIgnores(rules []string) error {
	_, err := diff.ParseIgnores(rules)
	return err
}

// shapes says how lists are compared for a version of Kubernetes and the definitions of a run. The schemas are read when something
// is compared for the first time: where nothing differs, never.
func (p *Platform) shapes(version string, definitions func() []manifest.Object) diff.Shapes {
	checker := sync.OnceValue(func() *openapi.Checker {
		if p.kubernetes == nil {
			return nil
		}
		library, err := p.kubernetes()
		if err != nil {
			return nil // then lists are compared place by place
		}
		c, _, err := library.Checker(version, definitions())
		if err != nil {
			c, _, _ = library.Checker(render.Newest(), definitions())
		}
		return c
	})
	return func(id manifest.ID, version string) openapi.Shape { return checker().Shape(id.Group, version, id.Kind) }
}

// shapes are those of the set's version and definitions, once its capabilities are fixed.
func (s *renderSet) shapes() diff.Shapes {
	if s == nil {
		return nil
	}
	return s.platform.shapes(s.caps.KubeVersion, func() []manifest.Object { return s.definitions })
}

// wanted renders a release for a comparison.
func (s *renderSet) wanted(ctx context.Context, r runlevel.Release, revision int, upgrade bool) (diff.Rendered, diag.Diagnostics, error) {
	release, diags, err := s.render(ctx, r, revision, upgrade)
	return diff.Rendered{Release: release, Digest: render.Digest(release)}, diags, err
}

// Recorded compares a stage with what the records of its cluster say was applied last, as Diff does with what is live. It needs
// no right to any object, and knows nothing of what is live. The plan can't be applied.
func (p *Platform) Recorded(ctx context.Context, stage Stage, client *Client, o DiffOptions) (Plan, []string, diag.Diagnostics, error) {
	caps, err := clusterCapabilities(ctx, client, o.Capabilities)
	if err != nil {
		return Plan{}, nil, nil, err
	}
	set, diags, err := p.newRenderSet(ctx, stage)
	if err != nil || diags.HasErrors() {
		return Plan{}, nil, diags, err
	}
	set.version = o.Capabilities.KubeVersion
	more, err := set.settle(ctx, caps)
	diags = append(diags, more...)
	if err != nil || diags.HasErrors() {
		return Plan{}, nil, diags, err
	}
	rules, err := diff.ParseIgnores(o.Ignore)
	if err != nil {
		return Plan{}, nil, diags, err
	}
	plan, more, err := diff.Recorded(ctx, diff.Input{
		Cluster: stage.Values.Cluster.ID, Context: client.Context(), Levels: stage.Levels, Render: set.wanted,
	}, client, diff.Options{Ignore: rules, Shapes: set.shapes()})
	return plan, formerSecrets(plan, stage.releases(), stage.Values.Secrets()), append(diags, more...), err
}

// Recorded is Platform.Recorded for the releases of a site.
func (s *StateFile) Recorded(ctx context.Context, site Site, o StateDiffOptions) (Plan, []string, diag.Diagnostics, error) {
	set, diags, err := s.siteSet(ctx, site, o.Capabilities)
	if err != nil || diags.HasErrors() {
		return Plan{}, nil, diags, err
	}
	rules, err := diff.ParseIgnores(o.Ignore)
	if err != nil {
		return Plan{}, nil, diags, err
	}
	plan, more, err := diff.Recorded(ctx, diff.Input{
		Cluster: site.Cluster, Context: site.Client.Context(), Levels: site.Levels, Render: set.wanted,
	}, site.Client, diff.Options{Ignore: rules, Shapes: set.shapes(), Reveal: o.Reveal, Parallel: o.Parallel})
	return plan, formerSecrets(plan, Stage{Levels: site.Levels}.releases(), o.Secrets), append(diags, more...), err
}

// OpenRevision opens a values repository as it was at a revision of git, with its stack: the one of the binary, or a directory of
// the same git repository. Nothing is checked out. The error is source.ErrNoRevision where there is no such revision.
func OpenRevision(ctx context.Context, o Options, revision string) (*Platform, diag.Diagnostics, error) {
	root, diags, err := locate(o)
	if err != nil || diags.HasErrors() {
		return nil, diags, err
	}
	o.at, err = source.OpenRevision(root, revision)
	if err != nil {
		return nil, nil, err
	}
	// Programs would see the files of the working tree.
	o.Allow.Exec, o.Allow.Hooks, o.revision = false, false, revision
	p, diags, err := Open(ctx, o)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, diags, fmt.Errorf("revision %s has no values repository here: %w", revision, err)
	}
	return p, diags, err
}

// RevisionOptions change how two revisions are compared.
type RevisionOptions struct {
	Capabilities Capabilities
	// Ignore are rules of what is no change, and Selectors the releases that are compared.
	Ignore    []string
	Selectors []string
	// Hide is told of secrets as they are found, from one goroutine at a time.
	Hide func(secrets []string)
}

// Revisions compares what two revisions render for some clusters, without any of them: after is the one that is proposed. A cluster
// that only one of them has comes or goes as a whole. Clusters are compared side by side; of each only what changes is kept. The
// diagnostics are those of after; one that before has is told of as an error that names it.
func Revisions(ctx context.Context, before, after *Platform, clusters []Cluster, o RevisionOptions) (*diff.Fold, diag.Diagnostics, error) {
	rules, err := diff.ParseIgnores(o.Ignore)
	if err != nil {
		return nil, nil, err
	}
	fold := &diff.Fold{}
	all := make([]diag.Diagnostics, len(clusters))
	var mu sync.Mutex
	hide := func(secrets []string) {
		mu.Lock()
		defer mu.Unlock()
		if o.Hide != nil {
			o.Hide(secrets)
		}
	}
	err = each(ctx, len(clusters), func(ctx context.Context, i int) error {
		var sides [2][]diff.Evaluated
		var set *renderSet
		for side, p := range []*Platform{before, after} {
			// A cluster that is not in the registry of one side has nothing there.
			c, unknown := p.repository.Cluster(clusters[i].ID)
			if unknown.HasErrors() {
				continue
			}
			compile := p.Compile
			if p == after {
				compile = p.Validate
			}
			rendered, of, diags, err := p.evaluated(ctx, c, compile, o, hide)
			if p == before {
				diags = errorsOf(diags)
			}
			all[i] = append(all[i], diags...)
			if err != nil || diags.HasErrors() {
				return err
			}
			sides[side], set = rendered, of
		}
		plan := diff.Revisions(clusters[i].ID, sides[0], sides[1], diff.Options{Ignore: rules, Shapes: set.shapes()})
		hide(heldBySides(plan, sides))
		fold.Add(i, plan)
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	return fold, slices.Concat(all...), nil
}

// heldBySides are what the Secrets of releases that change hold on either side.
func heldBySides(plan Plan, sides [2][]diff.Evaluated) []string {
	changed := map[string]bool{}
	for _, l := range plan.Levels {
		for _, r := range l.Releases {
			changed[r.Key()] = r.Action != diff.Same
		}
	}
	var out []string
	for _, e := range slices.Concat(sides[0], sides[1]) {
		if changed[e.Release.Key()] {
			out = append(out, e.Release.SecretTexts()...)
		}
	}
	return out
}

// errorsOf leaves out warnings: of what was, nobody can correct them.
func errorsOf(ds diag.Diagnostics) diag.Diagnostics {
	return slices.DeleteFunc(slices.Clone(ds), func(d diag.Diagnostic) bool { return d.Severity != diag.Error })
}

// Gone are the clusters that before has and after has not.
func Gone(before, after *Platform) []Cluster {
	var out []Cluster
	now := after.repository.Clusters()
	for _, c := range before.repository.Clusters() {
		if !slices.ContainsFunc(now, func(k Cluster) bool { return k.ID == c.ID }) {
			out = append(out, c)
		}
	}
	return out
}

// evaluated renders the releases of a cluster without it. The set is for what it knows of definitions.
func (p *Platform) evaluated(
	ctx context.Context, c Cluster, compile func(context.Context, Cluster) (Values, diag.Diagnostics, error), o RevisionOptions, hide func([]string),
) ([]diff.Evaluated, *renderSet, diag.Diagnostics, error) {
	values, diags, err := compile(ctx, c)
	hide(values.Secrets())
	if err != nil || diags.HasErrors() {
		return nil, nil, diags, err
	}
	stage, more := p.Evaluate(ctx, values, o.Selectors)
	hide(stage.Secrets())
	if diags = append(diags, more...); more.HasErrors() {
		return nil, nil, diags, nil
	}
	var known *renderSet
	levels, rules := map[string]string{}, map[string][]diff.Ignore{}
	for _, l := range stage.Levels {
		for _, r := range l.Releases {
			levels[r.Key()] = l.Name
			if rules[r.Key()], err = diff.ParseIgnores(r.Ignore); err != nil {
				return nil, nil, diags, fmt.Errorf("release %s: %w", r.Key(), err)
			}
		}
	}
	var out []diff.Evaluated
	more, err = p.render(ctx, stage, o.Capabilities, func(set *renderSet) (inspect, diag.Diagnostics, error) {
		known = set
		return nil, nil, nil
	}, func(r Rendered) error {
		out = append(out, diff.Evaluated{Level: levels[r.Key()], Release: r.Release, Ignore: rules[r.Key()]})
		return nil
	})
	return out, known, append(diags, more...), err
}

// Drift finds what of a cluster is not as it was last applied: of the releases of the stage, and where selectors left nothing out
// of it also of what otomi applied there besides. Nothing is rendered. The strings are secrets as for Diff.
func (p *Platform) Drift(ctx context.Context, stage Stage, client *Client, ignore []string) (Drift, []string, error) {
	return p.drift(ctx, stage.Values.Cluster.ID, stage.releases(), stage.Partial, client, StateDiffOptions{
		DiffOptions: DiffOptions{Ignore: ignore}, Secrets: stage.Values.Secrets(),
	})
}

// Drift finds what of a site is not as it was last applied.
func (s *StateFile) Drift(ctx context.Context, site Site, o StateDiffOptions) (Drift, []string, error) {
	return s.p.drift(ctx, site.Cluster, Stage{Levels: site.Levels}.releases(), true, site.Client, o)
}

// ClusterDrift is Drift for a cluster of which no values are known: all that otomi applied to it is looked at. What the values that
// releases were given are called like says which of them are secrets. Of o only Kubernetes counts.
func ClusterDrift(ctx context.Context, client *Client, o Options, ignore []string) (Drift, []string, error) {
	p := &Platform{}
	if o.Kubernetes != nil {
		p.kubernetes = sync.OnceValues(func() (*openapi.Library, error) { return openapi.NewLibrary(o.Kubernetes) })
	}
	return p.drift(ctx, "", nil, false, client, StateDiffOptions{DiffOptions: DiffOptions{Ignore: ignore}})
}

func (p *Platform) drift(ctx context.Context, cluster string, releases []runlevel.Release, only bool, client *Client, o StateDiffOptions) (Drift, []string, error) {
	rules, err := diff.ParseIgnores(o.Ignore)
	if err != nil {
		return Drift{}, nil, err
	}
	in := diff.DriftInput{Cluster: cluster, Context: client.Context(), Ignore: map[string][]diff.Ignore{}}
	if only {
		in.Releases = map[string]bool{}
	}
	for _, r := range releases {
		if only {
			in.Releases[r.Key()] = true
		}
		if in.Ignore[r.Key()], err = diff.ParseIgnores(r.Ignore); err != nil {
			return Drift{}, nil, fmt.Errorf("release %s: %w", r.Key(), err)
		}
	}
	version, err := client.Version(ctx)
	if err != nil {
		return Drift{}, nil, err
	}
	d, err := diff.FindDrift(ctx, in, client, diff.Options{
		Ignore: rules, Shapes: p.shapes(version, func() []manifest.Object { return nil }), Parallel: o.Parallel, Reveal: o.Reveal,
	})
	if err != nil {
		return Drift{}, nil, err
	}
	// What a release was given where it is given secrets now.
	var now Plan
	for _, found := range d.Releases {
		was := diff.Release{Name: found.Name, Namespace: found.Namespace, Action: diff.Upgrade, Former: []map[string]any{found.Values}}
		now.Levels = append(now.Levels, diff.Level{Releases: []diff.Release{was}})
	}
	secrets := formerSecrets(now, releases, o.Secrets)
	for _, found := range d.Releases {
		secrets = append(secrets, found.Secrets...)
	}
	return d, secrets, nil
}
