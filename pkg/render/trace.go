package render

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/template"
	"helm.sh/helm/v3/pkg/chartutil"
)

// Trace knows which line of a template wrote each line of what it rendered. It serves diagnostics: it is made by rendering
// once more.
type Trace struct {
	file string
	// pieces are in the order they were written.
	pieces []piece
	// text is what the template wrote, before Helm takes <no value> out of it.
	text   []byte
	length func() int
}

// piece is where the output of a text or an action begins.
type piece struct {
	offset int
	at     diag.Pos
	// isText says that it is text of the template itself, whose lines are those of the template.
	isText bool
}

// Trace renders a release once more for one of its templates: source is Helm's name of it, as manifest.Object has it. What an
// include or tpl wrote is of the line that calls it. The error is the end of ctx, or a release that can't be rendered up to
// the end of that template.
func (r *Renderer) Trace(ctx context.Context, req Request, caps Capabilities, source string) (Trace, error) {
	helmCaps, err := caps.helm()
	if err != nil {
		return Trace{}, fmt.Errorf("tracing %s: %w", source, err)
	}
	return r.trace(ctx, req, helmCaps, source)
}

func (r *Renderer) trace(ctx context.Context, req Request, caps *chartutil.Capabilities, source string) (Trace, error) {
	failed := func(err error) (Trace, error) {
		return Trace{}, fmt.Errorf("tracing %s of the release %s: %w", source, req.Release.Key(), err)
	}
	l, err := r.load(req.Chart)
	if err != nil {
		return failed(err)
	}
	j := &job{r: r, req: req, chart: clone(l.chart), caps: caps}
	given := req.Release.Values
	if given == nil {
		given = map[string]any{}
	}
	if err := chartutil.ProcessDependenciesWithMerge(j.chart, given); err != nil {
		return failed(errors.New(withoutMismatch(err)))
	}
	values, err := chartutil.ToRenderValuesWithSchemaValidation(j.chart, given, chartutil.ReleaseOptions{
		Name: req.Release.Name, Namespace: req.Release.Namespace, Revision: max(req.Revision, 1), IsInstall: !req.Upgrade, IsUpgrade: req.Upgrade,
	}, caps, true)
	if err != nil {
		return failed(errors.New(withoutMismatch(err)))
	}
	var charts []scoped
	collect(j.chart, &charts, values)
	p := newProgram(charts)
	for _, f := range p.files {
		o := p.language.options
		o.Lines = f.name == source
		trees, err := template.Trees(f.name, string(f.file.Data), o)
		if err != nil {
			return failed(err)
		}
		p.trees = append(p.trees, trees)
		p.refersToText = p.refersToText || refersToText(trees)
	}
	e, err := newEngine(p)
	if err != nil {
		return failed(err)
	}
	// What comes before may change the values, as templates can; what comes after is not needed.
	i := slices.IndexFunc(p.files, func(f file) bool { return f.name == source && !f.partial })
	if i < 0 {
		return failed(errors.New("the chart has no such template"))
	}
	p.files = p.files[:i+1]
	ctx, cancel := context.WithTimeout(ctx, maxTime)
	defer cancel()
	e.trace = &Trace{file: j.display(source)}
	if _, err := e.run(ctx, charts, r.clock()); err != nil {
		return failed(err)
	}
	return *e.trace, nil
}

// told is told of each piece of the traced file.
func (e *engine) told(line, column int, isText bool) string {
	if e.trace != nil && e.nested == 0 && e.trace.length != nil {
		e.trace.pieces = append(e.trace.pieces, piece{e.trace.length(), diag.Pos{Line: line, Column: column}, isText})
	}
	return ""
}

// At returns the place in the template that wrote a line of its text, counted from 1. It has no line where that is not known.
func (t Trace) At(line int) diag.Range {
	out := diag.Range{File: t.file}
	i, ok := t.offset(line)
	if !ok {
		return out
	}
	for _, p := range slices.Backward(t.pieces) {
		if p.offset > i {
			continue
		}
		out.Start = p.at
		if n := bytes.Count(t.text[p.offset:i], []byte("\n")); p.isText && n > 0 {
			out.Start = diag.Pos{Line: p.at.Line + n, Column: i - bytes.LastIndexByte(t.text[:i], '\n')}
		}
		return out
	}
	return out
}

// offset is where in the text the first character of a line stands that is no space.
func (t Trace) offset(line int) (int, bool) {
	const nothing = "<no value>"
	text := string(t.text)
	at := 1
	for i := 0; i < len(text); i++ {
		if strings.HasPrefix(text[i:], nothing) {
			i += len(nothing) - 1
			continue
		}
		if at == line && text[i] != ' ' {
			return i, true
		}
		if text[i] == '\n' {
			at++
		}
	}
	return 0, false
}

// tracer returns a function that finds the line of a template which wrote a line of a file, and makes one trace a file.
func (j *job) tracer(ctx context.Context) func(source string, line int) diag.Range {
	traces := map[string]Trace{}
	start := time.Now()
	return func(source string, line int) diag.Range {
		t, ok := traces[source]
		if !ok {
			// A chart that is wrong in all its files is not rendered as often.
			if len(traces) < maxTraces && time.Since(start) < maxTime {
				t, _ = j.r.trace(ctx, j.req, j.caps, source) // without a trace the place is the file
			}
			if t.file == "" {
				t.file = j.display(source)
			}
			traces[source] = t
		}
		return t.At(line)
	}
}

// maxTraces bounds how many templates of one release are traced for its diagnostics.
const maxTraces = 8
