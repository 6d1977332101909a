package runlevel

import (
	"context"
	"slices"

	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/layer"
	"github.com/redkubes/otomi/pkg/parallel"
	"github.com/redkubes/otomi/pkg/value"
)

// Evaluate turns state files into levels, one for each file and for each that these name. The values are not changed. Only
// files named *.gotmpl are templates: they see .Values (also as .StateValues), .Environment with Name, KubeContext and
// Values, and .Namespace, as helmfile's do.
//
// Releases of a stack are awaited unless they or helmDefaults say wait: false, those of plain state files where they say
// wait: true, for 300 seconds unless they say timeout. The levels are whole only where no diagnostic is an error. What comes
// out does not depend on the order in which files are evaluated, nor on how many at once.
func Evaluate(ctx context.Context, in Input) (Evaluation, diag.Diagnostics) {
	if in.Environment == "" {
		in.Environment = defaultEnvironment
	}
	r := &run{
		in: in, sources: diag.Sources{}, digests: map[uintptr]digested{}, commandLine: map[string]*layers{},
	}
	var ds diag.Diagnostics
	for _, f := range in.Files {
		r.commandLine[f.dir()] = nil
	}
	for _, dir := range sorted(r.commandLine) {
		override, more := r.override(ctx, dir)
		ds = append(ds, more...)
		r.commandLine[dir] = override
	}
	if ds.HasErrors() {
		return Evaluation{Sources: r.sources}, ds.Sorted()
	}
	found, more := r.files(ctx, in.Files, func(f File) visit {
		return visit{selectors: in.Selectors, override: r.commandLine[f.dir()]}
	})
	ds = append(ds, more...)
	ev := Evaluation{Sources: r.sources}
	if r.visited.Load() > maxStates {
		return ev, diag.Diagnostics{problem(diag.TemplateBudget, diag.Range{File: in.Files[0].Display},
			"more than %d state files are named, one that is named twice counted twice. Name each once.", maxStates)}
	}
	o := scope{stack: in.Stack, include: in.IncludeNeeds, use: in.UseNeeds && len(in.Selectors) > 0, enforce: in.EnforceNeeds}
	if in.Stack {
		ds = append(ds, r.stack(ctx, o, found)...)
	} else {
		ds = append(ds, r.plain(ctx, o, found)...)
	}
	places := &placer{sources: r.sources}
	for _, e := range found {
		for i := range e.level.items {
			rel := &e.level.items[i].release
			rel.Range, _ = places.place(rel.Range)
			rel.ChartRange, _ = places.place(rel.ChartRange)
			e.state.Releases = append(e.state.Releases, *rel)
		}
		e.built()
		ev.States = append(ev.States, e.state)
		ev.Levels = append(ev.Levels, e.level.ordered())
	}
	return ev, places.placed(append(ds, r.missed(places)...))
}

// override are the values that beat those of a state file: compiled values, and those of the command line.
func (r *run) override(ctx context.Context, dir string) (*layers, diag.Diagnostics) {
	in := r.in
	if in.Values == nil && len(in.ValuesFiles)+len(in.Set)+len(in.SetString) == 0 {
		return nil, nil
	}
	out := &layers{name: in.Environment, values: in.Values}
	var ds diag.Diagnostics
	var inHCL []string
	for _, name := range in.ValuesFiles {
		located, more := r.located(ctx, name, diag.Range{})
		if ds = append(ds, more...); more.HasErrors() {
			continue
		}
		files, more := r.resolve(r.commandLinePath(located, dir), ".", "file of --state-values-file", nil, diag.Range{})
		ds = append(ds, more...)
		for _, file := range files {
			if isHCL(file) {
				inHCL = append(inHCL, file)
				continue
			}
			m, more := r.valuesFile(ctx, file, "", nil)
			ds = append(ds, more...)
			out.values = over(out.values, m)
		}
	}
	if len(inHCL) > 0 {
		m, more := r.hclFiles(inHCL)
		ds = append(ds, more...)
		out.values = over(out.values, m)
	}
	for _, given := range []struct {
		flag  string
		texts []string
	}{{layer.Set, in.Set}, {layer.SetString, in.SetString}} {
		if len(given.texts) == 0 {
			continue
		}
		l, more := layer.Assignments(given.flag, given.texts)
		ds = append(ds, more...)
		out.assigned = assigned(out.assigned, l.Root.PlainMap())
	}
	return out, ds
}

// stack puts the releases of a stack in order: all files are one world.
func (r *run) stack(ctx context.Context, o scope, found []*evaluated) diag.Diagnostics {
	whole := true
	levels := make([]level, len(found))
	for i, e := range found {
		whole = whole && e.whole
		for j := range e.level.items {
			it := &e.level.items[j]
			it.active = it.enabled
		}
		levels[i] = e.level
	}
	ds := o.duplicates(levels)
	if !r.in.WithoutOrder {
		ds = append(ds, o.resolve(levels, whole)...)
	}
	for i, e := range found {
		e.level = levels[i]
		ds = append(ds, r.values(ctx, e)...)
	}
	return ds
}

// plain chooses and orders the releases of state files, each of which is a world of its own.
func (r *run) plain(ctx context.Context, o scope, found []*evaluated) diag.Diagnostics {
	results := make([]diag.Diagnostics, len(found))
	var group parallel.Group
	work := func(i int) {
		e := found[i]
		for j := range e.level.items {
			it := &e.level.items[j]
			it.release.Selected = e.selector.Matches(it.release.Labels)
			it.active = it.release.Selected && (it.enabled || r.in.WithDisabled && e.selector.IsZero())
		}
		e.level.items = alternatives(o, e.level.items)
		one := []level{e.level}
		ds := o.duplicates(one)
		if !r.in.WithoutOrder {
			ds = append(ds, o.resolve(one, e.whole)...)
		}
		e.level = one[0]
		ds = append(ds, r.values(ctx, e)...)
		for _, note := range e.chain {
			ds = chained(ds, note.Message, note.Range)
		}
		results[i] = ds
	}
	for i := range found {
		if r.in.Allow.Exec {
			work(i)
			continue
		}
		group.Go(func() error {
			work(i)
			return nil
		})
	}
	_ = group.Wait() // no work of it fails
	return slices.Concat(results...)
}

// built puts the releases into the document of the file: all, or with selectors those that are of the run.
func (e *evaluated) built() {
	if e.state.Document.Get("releases") == nil {
		return
	}
	list := &value.Node{Kind: value.List}
	for _, it := range e.level.items {
		if e.selector.IsZero() || it.release.Selected && it.enabled {
			list.Items = append(list.Items, it.document)
		}
	}
	e.state.Document = with(e.state.Document, "releases", list)
}

// alternatives drops, of releases with one identity of which one is active, the others (helmfile's getSelectedReleases).
func alternatives(o scope, items []item) []item {
	active := map[string]bool{}
	for _, it := range items {
		if it.active {
			active[o.key(it)] = true
		}
	}
	return slices.DeleteFunc(items, func(it item) bool { return !it.active && it.enabled && active[o.key(it)] })
}

// values reads the values of the releases of a file that are installed, of a stack those of all, and reports charts that come from nowhere.
func (r *run) values(ctx context.Context, e *evaluated) diag.Diagnostics {
	var ds diag.Diagnostics
	if r.in.Stack || r.in.CheckCharts {
		for _, it := range e.level.items {
			if it.active {
				ds = append(ds, r.origin(e.state, it)...)
			}
		}
	}
	if r.in.WithoutValues {
		return ds
	}
	for j := range e.level.items {
		it := &e.level.items[j]
		switch {
		case it.active && it.release.Installed:
			ds = append(ds, r.releaseValues(ctx, e.state, it)...)
		case r.in.Stack:
			// Who asks what a chart is given asks for those too that are not installed now; what is wrong with them can wait.
			_ = r.releaseValues(ctx, e.state, it)
		}
	}
	return ds
}
