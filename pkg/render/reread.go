package render

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/manifest"
)

// Texts are the texts of a rendered release by the files that made them, named as Helm names them: CHART/templates/FILE.
type Texts struct {
	// Templates are the documents of objects and of hooks.
	Templates map[string]string
	// CRDs are those of files of crds/, which Helm treats apart.
	CRDs map[string]string
}

// TextsOf returns the texts of a rendered release, each file with the documents it made, in Helm's order.
func TextsOf(r manifest.Release) Texts {
	out := Texts{Templates: map[string]string{}, CRDs: map[string]string{}}
	add := func(to map[string]string, source, text string) {
		to[source] += "---\n" + strings.TrimRight(text, "\n") + "\n"
	}
	// A list is one document of the text and several objects. No document holds a line ---, so that this finds its end.
	const head = "---\n# Source: "
	for part := range strings.SplitSeq("\n"+r.Text, "\n"+head) {
		source, text, ok := strings.Cut(part, "\n")
		if ok && source != "" {
			add(out.Templates, source, text)
		}
	}
	for _, h := range r.Hooks {
		add(out.Templates, h.Source, h.Text)
	}
	for _, o := range r.CRDs {
		add(out.CRDs, o.Source, o.Text)
	}
	return out
}

// Reread returns the rendered release with other texts, read and ordered as those that templates render: its Text, Objects, Hooks
// and CRDs are new, all else is as it was. req is what the release was rendered for; texts at fault are known to Sources
// under names of their own.
func (r *Renderer) Reread(ctx context.Context, req Request, rel manifest.Release, texts Texts) (manifest.Release, diag.Diagnostics) {
	j := &job{r: r, req: req, files: maps.Clone(texts.Templates)}
	rel.Objects, rel.Hooks, rel.CRDs = nil, nil, nil
	var text strings.Builder
	documents, over := j.documents(ctx)
	if over != "" {
		j.overBudget(over)
		return rel, j.diags
	}
	for _, d := range documents {
		if d.isHook {
			if hook, ok := j.hook(d); ok {
				rel.Hooks = append(rel.Hooks, hook)
			}
			continue
		}
		fmt.Fprintf(&text, "---\n# Source: %s\n%s\n", d.source, d.text)
		rel.Objects = append(rel.Objects, j.objects(d.source, d.text, d.data)...)
	}
	rel.Text = text.String()
	for _, name := range slices.Sorted(maps.Keys(texts.CRDs)) {
		j.raw(name, texts.CRDs[name])
		for _, document := range split(texts.CRDs[name]) {
			if data, ok := j.read(name, document); ok {
				rel.CRDs = append(rel.CRDs, j.objects(name, document, data)...)
			}
		}
	}
	j.twice(rel)
	return rel, j.diags
}

// RereadText returns the rendered release with another text for Text, which stays as it is and in its order, as Helm leaves what
// a post-renderer wrote (Helm 3.22, pkg/action, renderResources). An object whose document no longer says its source is
// said to come from source.
func (r *Renderer) RereadText(req Request, rel manifest.Release, text, source string) (manifest.Release, diag.Diagnostics) {
	j := &job{r: r, req: req, files: map[string]string{source: text}}
	rel.Text, rel.Objects = text, nil
	for _, document := range split(text) {
		data, ok := j.read(source, document)
		if !ok {
			continue
		}
		from := source
		if first, rest, _ := strings.Cut(document, "\n"); strings.HasPrefix(first, "# Source: ") {
			from, document = strings.TrimPrefix(first, "# Source: "), rest
			j.raw(from, rest)
		}
		rel.Objects = append(rel.Objects, j.objects(from, document, data)...)
	}
	j.twice(rel)
	return rel, j.diags
}
