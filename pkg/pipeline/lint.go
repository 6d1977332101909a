package pipeline

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/layer"
	"github.com/redkubes/otomi/pkg/lint"
	"github.com/redkubes/otomi/pkg/manifest"
	"github.com/redkubes/otomi/pkg/render"
	"github.com/redkubes/otomi/pkg/value"
)

// Lint validates clusters, which are to be all of the repository, and finds what is legal but suspicious in them together,
// in their values and in the charts of their releases. Where the values of one could not be merged only the findings of the
// validation are returned: what a broken file says may be what another one seems not to need.
func (p *Platform) Lint(ctx context.Context, clusters []layer.Cluster, o ValidateOptions) (Report, error) {
	linter := lint.New(lint.Options{
		Lists: p.schema.Lists,
		Secret: func(path value.Path) bool {
			d, _ := p.schema.Describe(path)
			return d.Secret
		},
		Default: func(path value.Path) *value.Node {
			d, _ := p.schema.Describe(path)
			return d.Default
		},
	})
	complete := true
	var secrets []string
	report, err := p.validateAll(ctx, clusters, o, func(v Values) {
		if v.Root == nil {
			complete = false
			return
		}
		linter.Add(v.Cluster, v.Layers, v.Root)
		secrets = append(secrets, v.Secrets()...)
	})
	if err != nil || !complete {
		return report, err
	}
	found := linter.Findings()
	if !o.NoCharts {
		rendered, hidden, err := p.lintCharts(ctx, clusters, report.Diagnostics)
		if err != nil {
			return report, err
		}
		found, secrets = append(found, rendered...), append(secrets, hidden...)
	}
	if len(found) > 0 {
		report.Diagnostics = append(report.Diagnostics, found...).Sorted()
		report.Secrets = slices.Compact(slices.Sorted(slices.Values(append(report.Secrets, secrets...))))
	}
	return report, nil
}

// lintCharts renders the releases of all clusters but those with errors among the findings, and finds what is wrong with
// their charts: what they render, and lines of templates that make something else of the same input each time. Each is told
// once, with its clusters. The texts are the secrets of clusters for which something was found.
func (p *Platform) lintCharts(ctx context.Context, clusters []layer.Cluster, known diag.Diagnostics) (diag.Diagnostics, []string, error) {
	if len(p.noFiles) > 0 {
		return nil, nil, nil
	}
	impure := impurities{}
	var found []clusterFindings
	var secrets []string
	for _, c := range clusters {
		if slices.ContainsFunc(known, func(d diag.Diagnostic) bool {
			return d.Severity == diag.Error && (len(d.Clusters) == 0 || slices.Contains(d.Clusters, c.ID))
		}) {
			continue
		}
		values, _, err := p.Compile(ctx, c)
		if err != nil {
			return nil, nil, err
		}
		if values.Root == nil {
			continue
		}
		stage, diags := p.Evaluate(ctx, values, nil)
		if !diags.HasErrors() {
			more, err := p.Render(ctx, stage, Capabilities{}, func(r Rendered) error {
				impure.add(c.ID, r)
				return nil
			})
			if err != nil {
				return nil, nil, err
			}
			diags = append(diags, more...)
		}
		if len(diags) > 0 {
			found = append(found, clusterFindings{c.ID, diags, p.renderedTexts(diags)})
			secrets = append(secrets, values.Secrets()...)
		}
		p.repository.Forget(values.Layers)
	}
	diags, sources := impure.diagnostics()
	p.addSources(sources)
	return append(p.together(found), diags...), secrets, nil
}

// clusterFindings is what was found in the charts of one cluster, and the rendered texts that it is about.
type clusterFindings struct {
	cluster string
	diags   diag.Diagnostics
	texts   diag.Sources
}

// renderedTexts returns the texts that diagnostics refer to and that stand in no file.
func (p *Platform) renderedTexts(ds diag.Diagnostics) diag.Sources {
	all, texts := p.Sources(), diag.Sources{}
	for _, d := range ds {
		for _, at := range append(notePlaces(d), d.Range) {
			if strings.Contains(at.File, " (rendered") {
				texts[at.File] = all[at.File]
			}
		}
	}
	return texts
}

func notePlaces(d diag.Diagnostic) []diag.Range {
	var out []diag.Range
	for _, n := range d.Notes {
		out = append(out, n.Range)
	}
	return out
}

// together merges the findings of clusters. A text that is not rendered alike for all gets the cluster's name into its own.
func (p *Platform) together(found []clusterFindings) diag.Diagnostics {
	all, own := p.Sources(), diag.Sources{}
	differs := map[string]bool{}
	for _, f := range found {
		for name, text := range f.texts {
			differs[name] = differs[name] || !bytes.Equal(text, all[name])
		}
	}
	var out diag.Collection
	for _, f := range found {
		named := func(at diag.Range) diag.Range {
			if text, ok := f.texts[at.File]; ok && differs[at.File] && f.cluster != "" {
				at.File = strings.Replace(at.File, " (rendered", " (rendered in "+f.cluster, 1)
				own[at.File] = text
			}
			return at
		}
		ds := slices.Clone(f.diags)
		for i, d := range ds {
			ds[i].Range = named(d.Range)
			ds[i].Notes = slices.Clone(d.Notes)
			for k, n := range d.Notes {
				ds[i].Notes[k].Range = named(n.Range)
			}
		}
		out.Add(f.cluster, ds)
	}
	p.addSources(own)
	return out.Diagnostics()
}

// impurities are the impure calls of all charts, by their lines.
type impurities map[templateLine]*impurity

type templateLine struct {
	file string
	line int
}

// impurity is a line that makes something else each time.
type impurity struct {
	calls    map[manifest.ImpureCall]bool
	text     []byte
	release  string
	releases map[string]bool
	clusters []string
}

// add takes note of the calls of a release that was rendered for a cluster.
func (i impurities) add(cluster string, r Rendered) {
	for _, call := range r.Impure {
		_, name, _ := strings.Cut(call.Template, "/")
		at := templateLine{file: r.chart.Display + "/" + name, line: call.Line}
		found, ok := i[at]
		if !ok {
			text, _ := r.chart.File(name)
			found = &impurity{calls: map[manifest.ImpureCall]bool{}, text: text, release: r.Key(), releases: map[string]bool{}}
			i[at] = found
		}
		found.calls[call] = true
		found.releases[r.Key()] = true
		if n := len(found.clusters); cluster != "" && (n == 0 || found.clusters[n-1] != cluster) {
			found.clusters = append(found.clusters, cluster)
		}
	}
}

// diagnostics tells each line once, and returns the texts of its templates.
func (i impurities) diagnostics() (diag.Diagnostics, diag.Sources) {
	var ds diag.Diagnostics
	sources := diag.Sources{}
	lines := slices.SortedFunc(maps.Keys(i), func(a, b templateLine) int {
		return cmp.Or(cmp.Compare(a.file, b.file), cmp.Compare(a.line, b.line))
	})
	for _, at := range lines {
		found := i[at]
		d := diag.Diagnostic{
			Severity: diag.Warning, Code: diag.RenderImpure, Detail: render.Impurity(slices.Collect(maps.Keys(found.calls))),
			Range: found.call(at), Clusters: found.clusters,
		}
		note := "in release " + found.release
		if n := len(found.releases); n > 1 {
			note = fmt.Sprintf("in %d releases, the first of which is %s", n, found.release)
		}
		d.Notes = []diag.Note{{Message: note}}
		ds = append(ds, d)
		sources[at.file] = found.text
	}
	return ds, sources
}

// wordIn is where a word stands in a line, between what can't be part of one; -1 where it does not.
func wordIn(line, word string) int {
	part := func(r rune) bool { return r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r) }
	for from := 0; ; {
		found := strings.Index(line[from:], word)
		if found < 0 {
			return -1
		}
		at, end := from+found, from+found+len(word)
		before, _ := utf8.DecodeLastRuneInString(line[:at])
		after, _ := utf8.DecodeRuneInString(line[end:])
		if !part(before) && before != '.' && before != '$' && !part(after) {
			return at
		}
		from = end
	}
}

// call is the place of the first call in a line of a template, or of the line where none is found in it.
func (i impurity) call(at templateLine) diag.Range {
	r := diag.Range{File: at.file}
	if at.line == 0 {
		return r
	}
	r.Start = diag.Pos{Line: at.line, Column: 1}
	n := 0
	for line := range strings.Lines(string(i.text)) {
		if n++; n != at.line {
			continue
		}
		// A call in a text that is given to tpl is one of tpl's line.
		words := []string{"tpl"}
		for c := range i.calls {
			words = append(words, c.Function)
		}
		first := len(line)
		for _, word := range slices.Sorted(slices.Values(words)) {
			if found := wordIn(line, word); found >= 0 && found < first {
				first = found
				r.Start.Column = utf8.RuneCountInString(line[:found]) + 1
				r.End = diag.Pos{Line: at.line, Column: r.Start.Column + len(word)}
			}
		}
	}
	return r
}
