package pipeline

import (
	"context"
	"fmt"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/redkubes/otomi/pkg/chart"
	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/diff"
	"github.com/redkubes/otomi/pkg/manifest"
	"github.com/redkubes/otomi/pkg/runlevel"
	"github.com/redkubes/otomi/pkg/source"
	"github.com/redkubes/otomi/pkg/yaml"
)

// ChartUpdate is what another version of a chart changes.
type ChartUpdate = diff.ChartUpdate

// UpdateOptions say which chart is compared with which other version of it.
type UpdateOptions struct {
	// Chart is the reference of releases as it is written, or the last part of it.
	Chart string
	// Old and New are versions, or directories and .tgz files seen from Options.Dir.
	Old, New string
	// AllValues keeps the default values that no release sets.
	AllValues    bool
	Capabilities Capabilities
}

// UpdateChart loads a chart in two versions, whatever is locked, and renders all releases of it in the given stages with
// both. The diagnostics are those of loading and of rendering; the update has what could be compared all the same. The error
// tells also of options that name nothing.
func (p *Platform) UpdateChart(ctx context.Context, stages []Stage, o UpdateOptions) (diff.ChartUpdate, diag.Diagnostics, error) {
	name, example, err := chartNamed(stages, o.Chart)
	if err != nil {
		return diff.ChartUpdate{}, nil, err
	}
	loose := p.looseStore(nil)
	var sides [2]*chart.Chart
	var diags diag.Diagnostics
	for i, version := range []string{o.Old, o.New} {
		var more diag.Diagnostics
		sides[i], more, err = p.chartVersion(ctx, loose, stageOf(stages, name), example, version)
		diags = append(diags, more...)
		if err != nil {
			return diff.ChartUpdate{}, diags, err
		}
	}
	if diags.HasErrors() {
		return diff.ChartUpdate{}, diags, nil
	}
	u := diff.ChartUpdate{Chart: o.Chart, Old: updateVersion(sides[0]), New: updateVersion(sides[1])}
	before, err := defaultsOf(sides[0].Files)
	if err != nil {
		return u, diags, fmt.Errorf("reading the default values of %s: %w", sides[0].Display, err)
	}
	after, err := defaultsOf(sides[1].Files)
	if err != nil {
		return u, diags, fmt.Errorf("reading the default values of %s: %w", sides[1].Display, err)
	}
	compareDefaults(&u, diff.Defaults(before, after), stages, name, o.AllValues)
	for _, stage := range stages {
		more, err := p.compareRenderings(ctx, &u, stage, name, sides, o.Capabilities)
		diags = append(diags, more...)
		if err != nil {
			return u, diags, err
		}
	}
	return u, diags, nil
}

func updateVersion(c *chart.Chart) diff.UpdateVersion {
	return diff.UpdateVersion{Version: c.Version, AppVersion: c.AppVersion, Digest: c.Digest}
}

// chartID is what makes the chart of a release the same as another one's, in whatever version.
func chartID(r runlevel.Release) string {
	ref := reference(r)
	if ref.Repository == nil {
		return withoutRevision(ref.Chart)
	}
	_, name, _ := strings.Cut(ref.Chart, "/")
	return ref.Repository.URL + " " + name
}

// chartNamed finds the chart that a user names, and a release of it.
func chartNamed(stages []Stage, text string) (id string, example runlevel.Release, err error) {
	var names []string
	found := map[string]string{}
	for _, stage := range stages {
		for _, r := range stage.everyRelease() {
			base := chartBase(r.Chart)
			if r.Chart == text || base == text {
				if _, known := found[chartID(r)]; !known || r.Installed {
					found[chartID(r)], id, example = r.Chart, chartID(r), r
				}
			}
			if !slices.Contains(names, base) {
				names = append(names, base)
			}
		}
	}
	switch len(found) {
	case 1:
		return id, example, nil
	case 0:
		hint := "`otomi charts list` shows the charts"
		if near := diag.Nearest(text, names); near != "" {
			hint = fmt.Sprintf("did you mean %q?", near)
		}
		return "", example, fmt.Errorf("no release has a chart %q; %s", text, hint)
	}
	for id, reference := range found {
		if reference == text {
			return id, exampleOf(stages, id), nil
		}
	}
	return "", example, fmt.Errorf("several charts are called %q; name one as its release does: %s", text,
		strings.Join(slices.Compact(slices.Sorted(maps.Values(found))), ", "))
}

func exampleOf(stages []Stage, id string) runlevel.Release {
	for _, stage := range stages {
		for _, r := range stage.everyRelease() {
			if chartID(r) == id {
				return r
			}
		}
	}
	return runlevel.Release{}
}

// chartBase is the name of a chart by its reference alone.
func chartBase(reference string) string {
	base, _, _ := strings.Cut(path.Base(withoutRevision(reference)), ":")
	return strings.TrimSuffix(base, ".tgz")
}

// withoutRevision cuts the revision off the address of a chart in git, git+https://HOST/REPOSITORY//PATH@REVISION, and
// returns every other reference as it is.
func withoutRevision(address string) string {
	if !strings.HasPrefix(address, "git+") {
		return address
	}
	head := strings.Index(address, "://") + len("://")
	slash := strings.Index(address[head:], "/")
	if at := strings.LastIndex(address, "@"); slash >= 0 && at > head+slash {
		return address[:at]
	}
	return address
}

// stageOf returns the first stage that has a release of a chart.
func stageOf(stages []Stage, id string) Stage {
	for _, stage := range stages {
		if slices.ContainsFunc(stage.everyRelease(), func(r runlevel.Release) bool { return chartID(r) == id }) {
			return stage
		}
	}
	return Stage{}
}

// everyRelease returns all releases of the stage, those among them that are not enabled or not to be installed.
func (s Stage) everyRelease() []runlevel.Release {
	var out []runlevel.Release
	for _, level := range s.Levels {
		out = append(append(out, level.Releases...), level.Disabled...)
	}
	return out
}

// isPath reports whether one side of a comparison names a directory or a file rather than a version.
func isPath(text string) bool {
	return strings.ContainsAny(text, `/\`) || strings.HasPrefix(text, ".") || strings.HasSuffix(text, ".tgz")
}

// chartVersion loads a chart in another version than the release says, whatever the lock file has.
func (p *Platform) chartVersion(
	ctx context.Context, loose *chart.Store, stage Stage, r runlevel.Release, version string,
) (*chart.Chart, diag.Diagnostics, error) {
	if isPath(version) {
		return p.chartAt(ctx, version)
	}
	ref := p.reference(stage, r)
	switch {
	case !isRemote(r):
		return nil, nil, fmt.Errorf("the chart %s is a directory, and %q is no version of it; name two directories or .tgz files", r.Chart, version)
	case strings.HasPrefix(ref.Chart, "git+"):
		ref.Chart = withoutRevision(ref.Chart) + "@" + version
	case ref.Repository == nil && !strings.HasPrefix(ref.Chart, "oci://"):
		return nil, nil, fmt.Errorf("the chart %s is named by its address, which is of one version; name directories or .tgz files",
			chartBase(r.Chart))
	default:
		ref.Version = version
	}
	return loose.Load(ctx, ref)
}

// chartAt loads a chart of the machine: a directory or a .tgz file.
func (p *Platform) chartAt(ctx context.Context, name string) (*chart.Chart, diag.Diagnostics, error) {
	full := p.path(name)
	tree, closer, err := source.Open(filepath.Dir(full), shownPrefix(p.dir, filepath.Dir(full)))
	if err != nil {
		return nil, nil, fmt.Errorf("opening the chart %s: %w", name, err)
	}
	defer closer.Close()
	return p.looseStore(&tree).Load(ctx, chart.Ref{Chart: "./" + filepath.Base(full)})
}

// defaultsOf returns the default values of a chart with those of its subcharts, as Helm lets the one beat the others.
func defaultsOf(files []chart.File) (map[string]any, error) {
	var meta struct {
		Dependencies []struct{ Name, Alias string }
	}
	values := map[string]any{}
	subs := map[string][]chart.File{}
	for _, f := range files {
		rest, inside := strings.CutPrefix(f.Name, "charts/")
		dir, rest, deep := strings.Cut(rest, "/")
		switch {
		case inside && deep:
			subs[dir] = append(subs[dir], chart.File{Name: rest, Data: f.Data})
		case f.Name == "Chart.yaml":
			if err := yaml.DecodeInto(f.Data, &meta); err != nil {
				return nil, err
			}
		case f.Name == "values.yaml":
			if err := yaml.DecodeInto(f.Data, &values); err != nil {
				return nil, err
			}
		}
	}
	for _, sub := range subs {
		name, err := nameOf(sub)
		if err != nil {
			return nil, err
		}
		keys := []string{}
		for _, d := range meta.Dependencies {
			if d.Name == name && d.Alias != "" {
				keys = append(keys, d.Alias)
			}
		}
		if len(keys) == 0 {
			keys = []string{name}
		}
		defaults, err := defaultsOf(sub)
		if err != nil {
			return nil, err
		}
		for _, key := range keys {
			own, _ := values[key].(map[string]any)
			if v, set := values[key]; set && own == nil && v != nil {
				continue
			}
			if merged := over(defaults, own); len(merged) > 0 {
				if values == nil {
					values = map[string]any{}
				}
				values[key] = merged
			}
		}
	}
	return values, nil
}

// nameOf is the name of a chart by its files.
func nameOf(files []chart.File) (string, error) {
	var meta struct{ Name string }
	for _, f := range files {
		if f.Name == "Chart.yaml" {
			return meta.Name, decodeName(f.Data, &meta.Name)
		}
	}
	return "", nil
}

func decodeName(text []byte, to *string) error {
	var meta struct{ Name string }
	err := yaml.DecodeInto(text, &meta)
	*to = meta.Name
	return err
}

// over puts b over a, maps deeply. Neither changes.
func over(a, b map[string]any) map[string]any {
	out := maps.Clone(a)
	if out == nil {
		out = map[string]any{}
	}
	for k, v := range b {
		below, ok := out[k].(map[string]any)
		above, isMap := v.(map[string]any)
		if ok && isMap {
			v = over(below, above)
		}
		out[k] = v
	}
	return out
}

// compareDefaults finds out which default values that differ are set by releases.
func compareDefaults(u *diff.ChartUpdate, changes []diff.DefaultChange, stages []Stage, id string, all bool) {
	for _, c := range changes {
		for _, stage := range stages {
			for _, r := range stage.everyRelease() {
				if chartID(r) == id && diff.Sets(r.Values, c.Path) {
					c.SetBy = append(c.SetBy, diff.Where{Cluster: stage.Values.Cluster.ID, Release: r.Key()})
				}
			}
		}
		if len(c.SetBy) == 0 && !all {
			u.OtherValues++
			continue
		}
		u.Values = append(u.Values, c)
	}
}

// compareRenderings renders the releases of one cluster that have the chart with both versions of it.
func (p *Platform) compareRenderings(
	ctx context.Context, u *diff.ChartUpdate, stage Stage, id string, sides [2]*chart.Chart, o Capabilities,
) (diag.Diagnostics, error) {
	var releases []runlevel.Release
	for _, r := range stage.releases() {
		if r.Installed && chartID(r) == id {
			releases = append(releases, r)
		}
	}
	if len(releases) == 0 {
		return nil, nil
	}
	u.Clusters++
	var diags diag.Diagnostics
	rendered := [2]map[string]manifest.Release{{}, {}}
	for i, side := range sides {
		set, err := p.substituted(ctx, stage, id, side)
		if err != nil {
			return diags, err
		}
		more, err := set.settle(ctx, stage.capabilities(o))
		diags = append(diags, more...)
		if err != nil {
			return diags, err
		}
		for _, r := range releases {
			out, more, err := set.render(ctx, r, 1, false)
			diags = append(diags, more...)
			if err != nil {
				return diags, err
			}
			if !more.HasErrors() {
				rendered[i][r.Key()] = out
			}
		}
	}
	for _, r := range releases {
		before, ok := rendered[0][r.Key()]
		after, both := rendered[1][r.Key()]
		if ok && both {
			u.AddRendering(stage.Values.Cluster.ID, before, after)
		}
	}
	return diags, nil
}

// substituted is the render set of a stage with one chart in place of all of an identity. The others are there for the
// kinds that they bring, so that one which can't be loaded is left out.
func (p *Platform) substituted(ctx context.Context, stage Stage, id string, side *chart.Chart) (*renderSet, error) {
	store, diags, err := p.charts()
	if err != nil {
		return nil, err
	}
	if diags.HasErrors() {
		store = p.looseStore(nil)
	}
	set := &renderSet{platform: p, values: stage.Values, charts: map[string]*chart.Chart{}, last: map[string]manifest.Release{}, room: -1}
	for _, r := range stage.releases() {
		if !r.Installed {
			continue
		}
		loaded := side
		if chartID(r) != id {
			other, diags, err := store.Load(ctx, p.reference(stage, r))
			if err != nil {
				return nil, err
			}
			if loaded = other; diags.HasErrors() || loaded == nil {
				continue
			}
		}
		set.releases = append(set.releases, r)
		set.charts[r.Key()] = loaded
	}
	return set, nil
}
