package render

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"regexp"
	"slices"
	"strings"
	texttemplate "text/template"
	"time"

	"github.com/redkubes/otomi/pkg/template"
	helmchart "helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chartutil"
)

// The engine is Helm's (Helm 3.22, pkg/engine: render and what it calls), to the words of its errors, but within bounds of
// time, output, memory and depth, which Helm's has no place for. TestParity compares them.
type engine struct {
	bounds *template.Bounds
	// included counts how deep each template includes itself.
	included map[string]int
}

// The bounds of one release's templates. A record could hold a small part of the output only.
const (
	maxOutput = 64 << 20
	// maxDepth is above what Helm allows one template to include itself.
	maxDepth = 2000
	// maxIncludes is Helm's bound of that.
	maxIncludes = 1000
	// maxTime is many times what the largest charts take, those that make keys included.
	maxTime = time.Minute
)

// renderTemplates renders the templates of a chart and its subcharts, by Helm's names of them. The error is Helm's, or one
// that template.OverBudget knows.
func renderTemplates(ctx context.Context, c *helmchart.Chart, values chartutil.Values) (rendered map[string]string, err error) {
	defer func() {
		if r := recover(); r != nil {
			rendered, err = nil, fmt.Errorf("rendering template failed: %v", r)
		}
	}()
	e := &engine{bounds: template.NewBounds(ctx, maxOutput, maxDepth), included: map[string]int{}}
	all := map[string]scoped{}
	collect(c, all, values)
	// Helm's order: templates deep in the tree are defined first, so that those of a parent win.
	names := make([]string, 0, len(all))
	for name := range all {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		if n := strings.Count(b, "/") - strings.Count(a, "/"); n != 0 {
			return n
		}
		return strings.Compare(b, a)
	})
	t := texttemplate.New("gotpl").Option("missingkey=zero").Funcs(e.functions())
	e.bind(t)
	for _, name := range names {
		if _, err := e.bounds.Parse(t.New(name), all[name].text); err != nil {
			if _, over := template.OverBudget(err); over {
				return nil, err
			}
			return nil, parseErrorOf(name, err)
		}
	}
	rendered = make(map[string]string, len(names))
	for _, name := range names {
		if strings.HasPrefix(path.Base(name), "_") {
			continue
		}
		data := all[name].data
		data["Template"] = chartutil.Values{"Name": name, "BasePath": all[name].basePath}
		var text strings.Builder
		if err := t.ExecuteTemplate(e.bounds.Writer(&text), name, data); err != nil {
			return nil, executionErrorOf(name, err)
		}
		rendered[name] = withoutNoValue(text.String())
	}
	return rendered, nil
}

// scoped is a template with what it sees.
type scoped struct {
	text, basePath string
	data           chartutil.Values
}

// collect adds the templates of c and its subcharts, and returns what those of c see.
func collect(c *helmchart.Chart, all map[string]scoped, parent chartutil.Values) map[string]any {
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
	library := strings.EqualFold(c.Metadata.Type, "library")
	for _, t := range c.Templates {
		if t == nil || library && !strings.HasPrefix(path.Base(t.Name), "_") {
			continue
		}
		all[path.Join(c.ChartFullPath(), t.Name)] = scoped{
			text: string(t.Data), basePath: path.Join(c.ChartFullPath(), "templates"), data: data,
		}
	}
	return data
}

// bind gives t the functions that carry out templates themselves: they see the templates that t defines.
func (e *engine) bind(t *texttemplate.Template) {
	t.Funcs(texttemplate.FuncMap{
		"include": func(name string, data any) (string, error) {
			if e.included[name] > maxIncludes {
				return "", fmt.Errorf("rendering template has a nested reference name: %s: unable to execute template", name)
			}
			e.included[name]++
			defer func() { e.included[name]-- }()
			return e.bounds.Nested(func(w io.Writer) error { return t.ExecuteTemplate(w, name, data) })
		},
		"tpl": func(text string, data any) (string, error) {
			out, err := e.bounds.Nested(func(w io.Writer) error {
				inner, err := t.Clone()
				if err != nil {
					return fmt.Errorf("cannot clone template: %w", err)
				}
				// A clone forgets its options (golang/go#43022).
				inner.Option("missingkey=zero")
				e.bind(inner)
				if inner, err = e.bounds.Parse(inner.New(t.Name()), text); err != nil {
					return fmt.Errorf("cannot parse template %q: %w", text, err)
				}
				if err := inner.Execute(w, data); err != nil {
					return fmt.Errorf("error during tpl function execution for %q: %w", text, err)
				}
				return nil
			})
			return withoutNoValue(out), err
		},
	})
}

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
		return fmt.Errorf("execution error at (%s): %s", tokens[1], m[1])
	}
	return err
}
