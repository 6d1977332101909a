package render

import (
	"context"
	"fmt"
	"strings"

	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/manifest"
)

// Locator returns what turns a place in the text of an object that a request rendered into the one to show: the line of the
// template that wrote it, with the place in the rendered text as a note, whose text is made known to Sources under a name
// with the cluster's, since others may render another text. Where no template line is known for sure it is the other way
// round. It renders once more for a template that it is asked about.
func (r *Renderer) Locator(
	ctx context.Context, req Request, caps Capabilities, cluster string,
) func(o manifest.Object, at diag.Range) (diag.Range, []diag.Note) {
	j := &job{r: r, req: req}
	traces := map[string]Trace{}
	return func(o manifest.Object, at diag.Range) (diag.Range, []diag.Note) {
		template := j.display(o.Source)
		text, isFile := req.Chart.File(j.file(o.Source))
		if isFile {
			r.source(template, text)
			if line, found := linesBefore(string(text), o.Text); found {
				return below(template, line, at), nil
			}
		}
		rendered := func(of string) diag.Range {
			name := fmt.Sprintf("%s (rendered for %s: %s)", template, of, o.ID)
			r.source(name, []byte(o.Text))
			return below(name, 0, at)
		}
		t, known := traces[o.Source]
		if !known && len(traces) < maxTraces {
			t, _ = r.Trace(ctx, req, caps, o.Source) // without a trace the place is in the rendered text
			traces[o.Source] = t
		}
		if line, found := linesBefore(withoutNoValue(string(t.text)), o.Text); found {
			if from := t.At(line + at.Start.Line); from.Start.Line > 0 {
				if written := lineAt(string(text), from.Start.Line); isFile && written == lineAt(o.Text, at.Start.Line) {
					return below(template, from.Start.Line-at.Start.Line, at), nil
				}
				return from, []diag.Note{{Message: "which renders this", Range: rendered(strings.TrimSpace(cluster + " " + req.Release.Key()))}}
			}
		}
		return rendered(req.Release.Key()), []diag.Note{{Message: "rendered from this template", Range: diag.Range{File: template}}}
	}
}

// lineAt returns a line of a text, counted from 1.
func lineAt(text string, n int) string {
	for range n - 1 {
		_, text, _ = strings.Cut(text, "\n")
	}
	line, _, _ := strings.Cut(text, "\n")
	return strings.TrimRight(line, " \t\r")
}

// linesBefore returns how many lines of a text stand before another one in it.
func linesBefore(text, part string) (int, bool) {
	trimmed := strings.TrimSpace(part)
	before, _, found := strings.Cut(text, trimmed)
	leading := part[:len(part)-len(strings.TrimLeft(part, " \t\r\n"))]
	return strings.Count(before, "\n") - strings.Count(leading, "\n"), found && trimmed != ""
}

// below is a place in a file, lines below where it was measured.
func below(file string, lines int, at diag.Range) diag.Range {
	at.File = file
	at.Start.Line += lines
	if at.End != (diag.Pos{}) {
		at.End.Line += lines
	}
	return at
}
