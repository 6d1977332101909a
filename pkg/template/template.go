// Package template carries out the Go templates of a stack's own files: state files and derived values.
//
// It offers helmfile's functions (sprig's and a few more) within bounds and permissions, and turns what text/template
// says into diagnostics at their places. The templates of charts are Helm's and are carried out by package render. The
// package opens no file, reads no environment and runs no program: what a template may have of them is handed in.
package template

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"text/template"
	"unicode"
	"unicode/utf8"

	"github.com/redkubes/otomi/pkg/diag"
)

const (
	// maxOutput bounds the text that one template and all that it includes write, in bytes.
	maxOutput = 16 << 20
	// maxDepth bounds templates that carry out templates.
	maxDepth = 200
)

// Options of Execute. The zero value allows nothing.
type Options struct {
	// File is the name by which the template is shown, and the File of every range.
	File string
	// Allow is what the template may have of the world.
	Allow Permissions
	// Dir is the directory that paths in the template are seen from, as a path of Files.
	Dir string
	// RefDir is the directory that paths in references (ref+file://PATH) are seen from; empty where that is Dir.
	RefDir string
	// Files are the files that may be read; nil where none may.
	Files Files
	// Programs run programs where Allow.Exec lets them.
	Programs Programs
	// Helpers are texts with named templates for include.
	Helpers []Helper
	// Own says that the data was made by Data and is the caller's to lose: it is not copied, and functions like set change it.
	Own bool
}

// Execute carries out a template with helmfile's functions. A key that a map does not have is an error, as in helmfile
// (missingkey=error). Maps and lists of data are copied first, so that functions like set change nothing of the
// caller's. Output, depth and the sizes of generated lists are bounded; when ctx ends, execution stops at the next text it
// writes or the next turn of a loop.
func Execute(ctx context.Context, text []byte, data any, o Options) (string, diag.Diagnostics) {
	r := &run{Bounds: NewBounds(ctx, maxOutput, maxDepth), ctx: ctx, o: o}
	if !o.Own {
		data = Data(data)
	}
	texts := [][]byte{text}
	for _, h := range o.Helpers {
		texts = append(texts, h.Text)
	}
	r.functions = r.funcs(used(texts...))
	t := template.New(o.File).Option("missingkey=error").Funcs(r.functions).Funcs(r.Watchers())
	r.bind(t)
	for _, h := range o.Helpers {
		_, err := r.Parse(t.New(h.File), string(h.Text), r.functions)
		if _, over := OverBudget(err); over {
			return "", diag.Diagnostics{execution(err, h.Text, data, o)}
		}
		if err != nil {
			helper := *r
			helper.o.File = h.File
			return "", diag.Diagnostics{helper.syntax(err, h.Text)}
		}
	}
	t, err := r.Parse(t, string(text), r.functions)
	if _, over := OverBudget(err); over {
		return "", diag.Diagnostics{execution(err, text, data, o)}
	}
	if err != nil {
		return "", diag.Diagnostics{r.syntax(err, text)}
	}
	var b strings.Builder
	if err := t.Execute(r.Writer(&b), data); err != nil {
		return "", diag.Diagnostics{execution(err, text, data, o)}
	}
	return b.String(), nil
}

// run is one execution: what all templates in it share.
type run struct {
	*Bounds
	ctx       context.Context
	o         Options
	functions template.FuncMap
}

// forbidden and undefined are the failures of functions that have a code of their own.
type forbidden struct{ detail string }

func (e forbidden) Error() string { return e.detail }

type undefined struct {
	detail string
	// key is the key that is missing and keys are those that are there.
	key  string
	keys []string
}

func (e undefined) Error() string { return e.detail }

// bind gives t the functions that carry out templates themselves: they see the templates that t defines.
func (r *run) bind(t *template.Template) {
	own := template.FuncMap{
		"include": func(name string, data any) (string, error) {
			return r.Nested(func(w io.Writer) error {
				return t.ExecuteTemplate(w, name, data)
			})
		},
		"tpl": func(text string, data any) (string, error) {
			return r.Nested(func(w io.Writer) error {
				inner, err := t.Clone()
				if err != nil {
					return fmt.Errorf("copying the templates for tpl: %w", err)
				}
				inner.Option("missingkey=error")
				r.bind(inner)
				inner, err = r.Parse(inner.New(tplName), text, r.functions)
				if err != nil {
					return err
				}
				return inner.Execute(w, data)
			})
		},
	}
	t.Funcs(own)
	maps.Copy(r.functions, own)
}

// tplName is the name of a text given to tpl, which stands in no file.
const tplName = "tpl"

// unknownFunction and firstQuoted find the word that a mistake of syntax is about.
var (
	unknownFunction = regexp.MustCompile(`^function "([^"]+)" not defined$`)
	firstQuoted     = regexp.MustCompile(`"([^"]+)"`)
)

// syntax is the diagnostic of a template that could not be read.
func (r *run) syntax(err error, text []byte) diag.Diagnostic {
	f := ParseFailure(err.Error())
	d := diag.Diagnostic{
		Severity: diag.Error,
		Code:     diag.TemplateSyntax,
		Detail:   fmt.Sprintf("the template can't be read: %s. Correct the action at this line or the one that opens it.", f.Message),
		Range:    place(f, text, r.o),
	}
	if m := unknownFunction.FindStringSubmatch(f.Message); m != nil {
		d.Detail = fmt.Sprintf("there is no template function %q.", m[1])
		if near := diag.Nearest(m[1], slices.Collect(maps.Keys(r.funcs(all)))); near != "" {
			d.Detail += fmt.Sprintf(" Did you mean %q?", near)
		} else {
			d.Detail += " Use one of sprig's or helmfile's functions."
		}
	}
	if m := firstQuoted.FindStringSubmatch(f.Message); m != nil {
		d.Range = narrow(d.Range, text, m[1])
	}
	return d
}

// narrow points at word where the line that r begins in has it.
func narrow(r diag.Range, text []byte, word string) diag.Range {
	line, ok := lineOf(text, r.Start.Line)
	i := strings.Index(line, word)
	if !ok || i < 0 {
		return r
	}
	r.Start.Column = utf8.RuneCountInString(line[:i]) + 1
	r.End = diag.Pos{Line: r.Start.Line, Column: r.Start.Column + utf8.RuneCountInString(word)}
	return r
}

// execution is the diagnostic of a template that failed.
func execution(err error, text []byte, data any, o Options) diag.Diagnostic {
	f := ParseFailure(Tidied(err.Error()))
	d := diag.Diagnostic{Severity: diag.Error, Code: diag.TemplateExecution, Range: place(f, text, o)}
	var budget overBudget
	var refused forbidden
	var absent undefined
	var authored authoredError
	switch {
	case errors.As(err, &budget):
		d.Code = diag.TemplateBudget
		d.Detail = "the template is over its budget: " + budget.detail
	case errors.As(err, &refused):
		d.Code = diag.TemplateForbidden
		d.Detail = refused.detail
	case errors.As(err, &absent):
		d.Code = diag.TemplateUndefined
		d.Detail = absent.detail + guess(absent.key, absent.keys)
	case errors.As(err, &authored):
		d.Detail = fmt.Sprintf("the template failed: %s. Correct the action or the value that it is given.", strings.TrimSuffix(authored.text, "."))
	case f.Key != "":
		d.Code = diag.TemplateUndefined
		expression, keys := "", []string(nil)
		if len(f.Frames) > 0 {
			expression = f.Frames[len(f.Frames)-1].Expression
			keys = siblings(data, expression, f.Key)
		}
		d.Detail = fmt.Sprintf("%s: there is no %q.", cmp.Or(expression, "the template"), f.Key) + guess(f.Key, keys)
	case strings.HasPrefix(f.Message, "nil pointer evaluating"):
		d.Code = diag.TemplateUndefined
		expression := ""
		if len(f.Frames) > 0 {
			expression = f.Frames[len(f.Frames)-1].Expression
		}
		d.Detail = fmt.Sprintf("%s leads through a value that is null. Give it a map, or ask for it with: get PATH DEFAULT MAP",
			cmp.Or(expression, "the template"))
	default:
		d.Detail = fmt.Sprintf("the template failed: %s. Correct the action or the value that it is given.", Redact(f.Message))
	}
	return d
}

// place is that of the innermost frame that stands in the file.
func place(f Failure, text []byte, o Options) diag.Range {
	for _, frame := range slices.Backward(f.Frames) {
		if frame.Name == o.File {
			return frame.Range(o.File, text)
		}
		for _, h := range o.Helpers {
			if frame.Name == h.File {
				return frame.Range(h.File, h.Text)
			}
		}
	}
	return diag.Range{File: o.File}
}

// guess ends a detail: with what was probably meant, else with the keys that are there.
func guess(key string, keys []string) string {
	const most = 8
	if near := diag.Nearest(key, keys); near != "" {
		return fmt.Sprintf(" Did you mean %q?", near)
	}
	if len(keys) > 0 && len(keys) <= most {
		return " There are: " + strings.Join(slices.Sorted(slices.Values(keys)), ", ") + ". Set the value, or ask for it with: get PATH DEFAULT MAP"
	}
	return " Set the value, or ask for it with: get PATH DEFAULT MAP"
}

// siblings are the keys of the map that key was looked for in, as far as a path from the root of the data tells. Where with,
// range or tpl made something else the dot it can't be told, but that names at the root begin with a capital.
func siblings(data any, expression, key string) []string {
	names := strings.Split(strings.TrimPrefix(expression, "$"), ".")
	if len(names) < 2 || names[0] != "" {
		return nil
	}
	for i, name := range names[1:] {
		if labels, ok := data.(map[string]string); ok && name == key {
			return slices.Collect(maps.Keys(labels))
		}
		m, ok := data.(map[string]any)
		if !ok {
			return nil
		}
		next, ok := m[name]
		if !ok {
			if name != key || i == 0 && !unicode.IsUpper(first(name)) {
				return nil
			}
			return slices.Collect(maps.Keys(m))
		}
		data = next
	}
	return nil
}

func first(s string) rune {
	r, _ := utf8.DecodeRuneInString(s)
	return r
}

// Data returns a copy of plain values as templates see them. What stands under Environment at the root is a copy of its own, as
// in helmfile: set on .Values does not change .Environment.Values.
func Data(v any) any {
	root, ok := v.(map[string]any)
	if !ok {
		return clone(v, map[uintptr]any{})
	}
	m, seen := make(map[string]any, len(root)), map[uintptr]any{}
	for k, item := range root {
		if k == "Environment" {
			m[k] = clone(item, map[uintptr]any{})
			continue
		}
		m[k] = clone(item, seen)
	}
	return m
}

// clone copies maps and lists; one that stands at two places is one in the copy too, so that .StateValues stays another
// name of .Values. An integer becomes an int, which is what helmfile's reading gives a template: until, repeat and indent
// take no other type.
func clone(v any, seen map[uintptr]any) any {
	switch v := v.(type) {
	case map[string]any:
		if v == nil {
			return v
		}
		p := reflect.ValueOf(v).Pointer()
		if m, ok := seen[p]; ok {
			return m
		}
		m := make(map[string]any, len(v))
		seen[p] = m
		for k, item := range v {
			m[k] = clone(item, seen)
		}
		return m
	case []any:
		l := make([]any, len(v))
		for i, item := range v {
			l[i] = clone(item, seen)
		}
		return l
	case int64:
		return int(v)
	default:
		return v
	}
}
