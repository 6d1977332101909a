package render

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	texttemplate "text/template"
	"time"

	"github.com/redkubes/otomi/pkg/manifest"
	"github.com/redkubes/otomi/pkg/template"
	helmchart "helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chartutil"
)

// The engine is Helm's (Helm 3.22, pkg/engine: render and what it calls), to the words of its errors, but within bounds of
// time, output, memory and depth, which Helm's has no place for, and without parsing anything twice. TestEngineIsHelms and
// FuzzParity compare them. An engine carries out one program, for one release at a time.
type engine struct {
	program *program
	bounds  *template.Bounds
	// set are the templates of the program, with the functions of this engine.
	set *texttemplate.Template
	// included counts how deep each template includes itself.
	included map[string]int
	// root is what include and tpl see in the templates of the set.
	root *binding
	// clock tells the time of this release.
	clock func() time.Time
	// site is the last action that Mark told of, and impure what was noted.
	site   site
	impure map[manifest.ImpureCall]bool
	// nested is how deep include and tpl are in each other.
	nested int
	// trace is what a traced file told, or nil.
	trace *Trace
}

// The bounds of one release's templates. A record could hold a small part of the output only.
const (
	maxOutput = 32 << 20
	// maxDepth is above what Helm allows one template to include itself.
	maxDepth = 2000
	// maxIncludes is Helm's bound of that.
	maxIncludes = 1000
	// maxTime is many times what the largest charts take, those that make keys included.
	maxTime = time.Minute
)

// rendering is what the templates of a release rendered.
type rendering struct {
	// files are the texts by Helm's names of the templates.
	files  map[string]string
	impure []manifest.ImpureCall
}

// renderTemplates renders the templates of a chart and its subcharts. Programs are those of the chart. The error is Helm's, or
// one that template.OverBudget knows.
func renderTemplates(ctx context.Context, p *programs, c *helmchart.Chart, values chartutil.Values, clock func() time.Time) (rendering, error) {
	var charts []scoped
	collect(c, &charts, values)
	compiled, err := p.compile(charts)
	if err != nil {
		return rendering{}, err
	}
	e, err := compiled.engine()
	if err != nil {
		return rendering{}, err
	}
	out, err := e.run(ctx, charts, clock)
	if err == nil {
		compiled.done(e)
	}
	return out, err
}

// run carries out the program. The engine is of no use any more where it fails.
func (e *engine) run(ctx context.Context, charts []scoped, clock func() time.Time) (out rendering, err error) {
	defer func() {
		if r := recover(); r != nil {
			out, err = rendering{}, fmt.Errorf("rendering template failed: %v", r)
		}
	}()
	e.bounds.Reset(ctx)
	e.clock = clock
	clear(e.included)
	clear(e.impure)
	e.site, e.root.text, e.nested = site{}, nil, 0
	out = rendering{files: make(map[string]string, len(e.program.files))}
	var text bytes.Buffer
	for i, f := range e.program.files {
		if f.partial {
			continue
		}
		data := charts[f.chart].data
		e.site = site{template: f.name}
		data["Template"] = chartutil.Values{"Name": f.name, "BasePath": f.basePath}
		text.Reset()
		last := e.trace != nil && i == len(e.program.files)-1
		if last {
			e.trace.length = text.Len
		}
		if err := e.set.ExecuteTemplate(e.bounds.Writer(&text), f.name, data); err != nil {
			return rendering{}, executionErrorOf(f.name, tidied(err))
		}
		out.files[f.name] = withoutNoValue(text.String())
		if last {
			e.trace.text = text.Bytes()
		}
	}
	out.impure = e.noted()
	return out, nil
}

// scoped is a chart with what its templates see.
type scoped struct {
	chart *helmchart.Chart
	// path is Helm's name of the chart: that of its parent's, and its own.
	path string
	data chartutil.Values
}

// collect adds c and its subcharts, and returns what the templates of c see.
func collect(c *helmchart.Chart, all *[]scoped, parent chartutil.Values) map[string]any {
	subcharts := map[string]any{}
	metadata := struct {
		helmchart.Metadata
		IsRoot bool
	}{*c.Metadata, c.IsRoot()}
	data := chartutil.Values{
		"Chart":        metadata,
		"Files":        newFiles(c.Files),
		"Release":      parent["Release"],
		"Capabilities": parent["Capabilities"],
		"Values":       chartutil.Values{},
		"Subcharts":    subcharts,
	}
	if c.IsRoot() {
		data["Values"] = parent["Values"]
	} else if own, err := parent.Table("Values." + c.Name()); err == nil {
		data["Values"] = own
	}
	for _, child := range c.Dependencies() {
		subcharts[child.Name()] = collect(child, all, data)
	}
	*all = append(*all, scoped{chart: c, path: c.ChartFullPath(), data: data})
	return data
}

// binding is what include and tpl see in the templates of one set.
type binding struct {
	e *engine
	t *texttemplate.Template
	// text is what the innermost tpl carries out in the set, or nil. By its own name it is a template like the others, though
	// it is none of the set.
	text *texttemplate.Template
}

func (b *binding) functions() texttemplate.FuncMap {
	return texttemplate.FuncMap{"include": b.include, "tpl": b.tpl}
}

func (b *binding) include(name string, data any) (string, error) {
	e := b.e
	if e.included[name] > maxIncludes {
		return "", fmt.Errorf("rendering template has a nested reference name: %s: unable to execute template", name)
	}
	e.included[name]++
	e.nested++
	at := e.site
	defer func() {
		e.included[name]--
		e.nested--
		e.site = at
	}()
	return e.bounds.Nested(func(w io.Writer) error {
		if name == textName && b.text != nil {
			return b.text.Execute(w, data)
		}
		return b.t.ExecuteTemplate(w, name, data)
	})
}

// tpl carries out a text. Helm adds each to a copy of all templates, for what the text defines; most define nothing, and are
// carried out beside the set.
func (b *binding) tpl(text string, data any) (string, error) {
	e := b.e
	at, outer := e.site, b.text
	e.site.tpl, e.site.within = true, ""
	e.nested++
	defer func() {
		e.nested--
		e.site, b.text = at, outer
	}()
	out, err := e.bounds.Nested(func(w io.Writer) error {
		if !strings.Contains(text, "{{") {
			_, err := io.WriteString(w, text)
			return err
		}
		if err := e.bounds.Parsing(text); err != nil {
			return err
		}
		trees, err := e.program.text(text)
		if err != nil {
			return fmt.Errorf("cannot parse template %s: %w", quoted(text), err)
		}
		t := b.t.New(textName)
		if trees.own != nil && !e.program.refersToText {
			t.Tree = trees.own
			b.text = t
		} else {
			if err := e.bounds.Copying(e.program.defined); err != nil {
				return err
			}
			clone, err := b.t.Clone()
			if err != nil {
				return fmt.Errorf("cannot clone template: %w", err)
			}
			// A clone forgets its options (golang/go#43022).
			clone.Option("missingkey=zero")
			inner := &binding{e: e, t: clone}
			clone.Funcs(inner.functions())
			t = clone.New(textName)
			if err := template.Add(t, trees.all); err != nil {
				return fmt.Errorf("cannot parse template %s: %w", quoted(text), err)
			}
		}
		if err := t.Execute(w, data); err != nil {
			return fmt.Errorf("error during tpl function execution for %s: %w", quoted(text), err)
		}
		return nil
	})
	return withoutNoValue(out), err
}

// quoted is a text in the words of an error, each of which holds those of the texts that it carried out.
func quoted(text string) string {
	const most = 4 << 10
	if len(text) <= most {
		return strconv.Quote(text)
	}
	return strconv.Quote(strings.ToValidUTF8(text[:most], "")) + fmt.Sprintf(" and %d bytes more", len(text)-most)
}

// tidied is err, without the names of the functions that watch templates.
func tidied(err error) error {
	text := err.Error()
	if tidy := template.Tidied(text); tidy != text {
		return reworded{tidy, err}
	}
	return err
}

// reworded is a failure in other words.
type reworded struct {
	text  string
	cause error
}

func (e reworded) Error() string { return e.text }
func (e reworded) Unwrap() error { return e.cause }

// withoutNoValue takes out what text/template prints of nothing, as Helm does.
func withoutNoValue(text string) string { return strings.ReplaceAll(text, "<no value>", "") }

// The marks that Helm puts around what required and fail say.
const warnStart, warnEnd = "HELM_ERR_START", "HELM_ERR_END"

var warned = regexp.MustCompile(warnStart + `((?s).*)` + warnEnd)

func warning(message string) error { return errors.New(warnStart + message + warnEnd) }

// parseErrorOf is Helm's cleanupParseError.
func parseErrorOf(name string, err error) error {
	tokens := strings.Split(err.Error(), ": ")
	if len(tokens) == 1 {
		return fmt.Errorf("parse error in (%s): %w", name, err)
	}
	return fmt.Errorf("parse error at (%s): %s", tokens[1], tokens[len(tokens)-1])
}

// executionErrorOf is Helm's cleanupExecError.
func executionErrorOf(name string, err error) error {
	var execution texttemplate.ExecError
	if _, over := template.OverBudget(err); over || !errors.As(err, &execution) {
		return err
	}
	tokens := strings.SplitN(err.Error(), ": ", 3)
	if len(tokens) != 3 {
		return fmt.Errorf("execution error in (%s): %w", name, err)
	}
	if m := warned.FindStringSubmatch(tokens[2]); m != nil {
		return authored{message: fmt.Sprintf("execution error at (%s): %s", tokens[1], m[1]), cause: err}
	}
	return err
}
