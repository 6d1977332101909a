package runlevel

import (
	"bytes"
	"context"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/template"
	"github.com/redkubes/otomi/pkg/value"
	"github.com/redkubes/otomi/pkg/yaml"
)

// loaded is a state file, or a base, whose parts are merged.
type loaded struct {
	// spec is the file as one tree; nil where it has nothing.
	spec *value.Node
	env  layers
	// values are what the last part leaves as .Values.
	values map[string]any
	// undefined says that the file has environments and not that of the run.
	undefined bool
	// partial says that a part could not be read, so that what the file defines is not known.
	partial bool
	// blind says that state values could not be read: what is missed of them may only be a consequence.
	blind bool
	diags diag.Diagnostics
}

// loading is what a file is loaded with.
type loading struct {
	// dir is the directory that relative paths are seen from: that of the state file, also for its bases.
	dir string
	// base says that the file is the base of another.
	base bool
	// inherited are the values that the file builds on, nil where there are none, and override those that beat its own.
	inherited, override *layers
}

// separator is where helmfile splits a file into parts (pkg/app, load): not before a document that begins otherwise.
const separator = "\n---\n"

// maxPartLines bounds the parts of a file times its lines: each part is read at its place.
const maxPartLines = 20_000_000

// load reads a state file part by part, as helmfile does (pkg/app, desired_state_file_loader.go). What a part defines is
// seen by the templates of those that follow it.
func (r *run) load(ctx context.Context, f File, l loading) loaded {
	r.source(f.Display, f.Text)
	out := loaded{}
	text := bytes.ReplaceAll(f.Text, []byte("\r\n"), []byte("\n"))
	out.diags = policy(text, f, r.in.Stack)
	env := l.inherited
	has := l.inherited != nil || l.override != nil
	doc := rendered{file: f, template: f.templated() || r.in.RenderYAML}
	parts := strings.Split(string(text), separator)
	line := 0
	if lines := bytes.Count(text, []byte("\n")); len(parts)*lines > maxPartLines {
		out.partial = true
		out.diags = append(out.diags, problem(diag.TemplateBudget, diag.Range{File: f.Display},
			"the file has %d parts and %d lines, which is more than is read. Split it into several files.", len(parts), lines))
		return out
	}
	for _, part := range parts {
		merged := env.merge(l.override)
		body, ds := r.part(ctx, &doc, part, line, merged, l.dir)
		line += strings.Count(part, "\n") + 2
		out.diags = append(out.diags, ds...)
		if ds.HasErrors() {
			out.partial = true
			break
		}
		spec, ds := r.read(&doc, body)
		out.diags = append(out.diags, ds...)
		if ds.HasErrors() {
			out.partial = true
		}
		if l.base {
			if n, ok := spec.Field("bases"); ok && !isNull(n.Value) {
				out.diags = append(out.diags, problem(diag.RunlevelUnsupported, n.KeyRange,
					"a base can't have bases itself, as in helmfile. List the other base beside this one, in the state file."))
				return out
			}
		} else {
			spec, ds = r.bases(ctx, spec, f, merged, l)
			out.diags = append(out.diags, ds...)
			if ds.HasErrors() {
				out.partial, out.blind = true, true
				if doc.template {
					break // what follows may only fail for want of values
				}
			}
		}
		next := env
		if !l.base || len(parts) > 1 {
			var ds diag.Diagnostics
			next, ds = r.environment(ctx, spec, merged, l)
			out.diags = append(out.diags, ds...)
			if ds.HasErrors() {
				out.partial, out.blind = true, true
				if doc.template {
					break
				}
			}
		}
		env = next
		out.spec = overlay(out.spec, spec, replaced)
		if l.base {
			continue
		}
		out.env = *env
		environments := out.spec.Get("environments")
		if environments == nil || len(environments.Fields) == 0 || env.name == defaultEnvironment {
			continue
		}
		if _, ok := environments.Field(env.name); !ok {
			out.undefined = true
			break
		}
	}
	if doc.template {
		r.source(doc.shown(), doc.text.Bytes())
	}
	if l.base {
		return out
	}
	environments := out.spec.Get("environments")
	if (environments == nil || len(environments.Fields) == 0) && !has && !out.partial && r.in.Environment != defaultEnvironment {
		out.undefined = true
	}
	if out.env.name == "" {
		out.env.name = r.in.Environment
	}
	out.values = out.env.merged()
	return out
}

// rendered is the text of a file as it is read: carried out, where it is a template.
type rendered struct {
	file     File
	template bool
	text     bytes.Buffer
	// line is how many lines of text are before the part that is read.
	line int
}

// shown is the name of the text that ranges refer to.
func (d *rendered) shown() string {
	if d.template {
		return d.file.Display + " (rendered)"
	}
	return d.file.Display
}

// part carries out one part, which begins at a line of the file counted from 0.
func (r *run) part(ctx context.Context, doc *rendered, text string, line int, env *layers, dir string) (string, diag.Diagnostics) {
	if !doc.template {
		doc.line = line
		return text, nil
	}
	if doc.text.Len() > 0 {
		doc.text.WriteString("\n---\n")
	}
	doc.line = bytes.Count(doc.text.Bytes(), []byte("\n"))
	out, ds := r.execute(ctx, text, doc.file.Display, line, r.data(env), dir, dir)
	doc.text.WriteString(out)
	return out, ds
}

// execute carries out a template that begins at a line of its file, counted from 0: its places are those of the file.
func (r *run) execute(ctx context.Context, text, file string, line int, data any, dir, refs string) (string, diag.Diagnostics) {
	if !strings.Contains(text, "{{") {
		return text, nil
	}
	helpers, ds := r.helpers(dir)
	if ds.HasErrors() {
		return "", ds
	}
	before := strings.Repeat("\n", line)
	out, ds := template.Execute(ctx, []byte(before+text), data, template.Options{
		File: file, Dir: dir, RefDir: refs, Files: r.in.FS, Programs: r.in.Programs, Helpers: helpers, Allow: r.in.Allow,
	})
	// A first action that trims the blanks before it trims these too.
	return strings.TrimPrefix(out, before), ds
}

// read reads the text of a part: its documents, of which each is laid over the one before, with lists appended.
func (r *run) read(doc *rendered, text string) (*value.Node, diag.Diagnostics) {
	padded := []byte(strings.Repeat("\n", doc.line) + text)
	o := yaml.ReadOptions{File: doc.shown(), Dates: true, StringKeys: true}
	roots, ds := yaml.ReadStates(padded, o)
	strict := func(d diag.Diagnostic) bool { return d.Code == diag.YAMLNonStringKey }
	if slices.ContainsFunc(ds, strict) {
		// State values have no other keys, and the values of releases may.
		o.StringKeys = false
		var lenient diag.Diagnostics
		roots, lenient = yaml.ReadStates(padded, o)
		ds = append(lenient, slices.DeleteFunc(slices.Clone(ds), func(d diag.Diagnostic) bool {
			return !strict(d) || !inStateValues(roots, d.Range.Start)
		})...)
	}
	out := value.NewMap(value.Origin{Range: diag.Range{File: doc.shown(), Start: diag.Pos{Line: doc.line + 1, Column: 1}}})
	c := &checker{text: padded}
	for _, root := range roots {
		if isNull(root) {
			continue
		}
		if root.Kind != value.Map {
			c.report(diag.RunlevelWrongType, root.Origin.Range, "a state file is %s. Make it a map.", root.Kind.WithArticle())
			continue
		}
		c.document(root)
		root = usable(root)
		out = overlay(out, root, appended)
	}
	return out, append(ds, c.diags...)
}

// usable leaves out what has a type that can't be merged: it was reported.
func usable(root *value.Node) *value.Node {
	out := *root
	out.Fields = nil
	for _, f := range root.Fields {
		k, ok := stateKeys.find(f.Key)
		switch {
		case !ok || isNull(f.Value):
			continue
		case (k.shape == list || k.shape == texts) != (f.Value.Kind == value.List) && k.shape != anything,
			(k.shape == mapping || k.shape == textMap) != (f.Value.Kind == value.Map) && k.shape != anything:
			continue
		}
		out.Fields = append(out.Fields, f)
	}
	return &out
}

// inStateValues reports whether a place is in what becomes state values.
func inStateValues(roots []*value.Node, at diag.Pos) bool {
	for _, root := range roots {
		last := ""
		for _, f := range root.Fields {
			if !at.Before(f.KeyRange.Start) {
				last = f.Key
			}
		}
		if slices.Contains([]string{"environments", "values", "helmfiles"}, last) {
			return true
		}
	}
	return false
}

// bases lays the part over its bases, in their order.
func (r *run) bases(ctx context.Context, spec *value.Node, f File, env *layers, l loading) (*value.Node, diag.Diagnostics) {
	var merged *value.Node
	var ds diag.Diagnostics
	list := spec.Get("bases")
	if list == nil {
		return spec, nil
	}
	for _, entry := range list.Items {
		name := r.word(entry)
		base, more := r.base(ctx, name, entry.Origin.Range, env, l)
		ds = append(ds, chained(more, fmt.Sprintf("it is a base of %s", f.Display), entry.Origin.Range)...)
		if base == nil {
			continue
		}
		if merged == nil {
			merged = base
			continue
		}
		merged = overBase(merged, base)
	}
	if merged == nil {
		return spec, ds
	}
	return overBase(merged, spec), ds
}

// base loads a base. A base with the same inputs is loaded once a run.
func (r *run) base(ctx context.Context, name string, at diag.Range, env *layers, l loading) (*value.Node, diag.Diagnostics) {
	name, ds := r.located(ctx, name, at)
	if ds.HasErrors() {
		return nil, ds
	}
	file := template.Join(l.dir, name)
	text, err := r.readFile(file)
	if err != nil {
		return nil, diag.Diagnostics{r.unreadable("base", name, at, err)}
	}
	key := strings.Join([]string{"base", file, l.dir, env.digest(r)}, "\x00")
	res := r.memo.do(key, func() any {
		f := File{Name: path.Base(file), Display: r.display(file), Path: file, Text: text}
		return r.load(ctx, f, loading{dir: l.dir, base: true, inherited: env, override: l.override})
	}).(loaded)
	return res.spec, res.diags
}

// chained adds to diagnostics of another file how that came to be read.
func chained(ds diag.Diagnostics, message string, at diag.Range) diag.Diagnostics {
	out := slices.Clone(ds)
	for i := range out {
		out[i].Notes = append(slices.Clone(out[i].Notes), diag.Note{Message: message, Range: at})
	}
	return out
}

var (
	topKey    = regexp.MustCompile(`^[a-zA-Z]+:`)
	partLine  = regexp.MustCompile(`^--- *$`)
	exclusive = []string{"environments", "releases"}
)

// policy is what helmfile demands of the text of a state file before it is carried out (pkg/policy): a key at the top,
// environments in a part of their own, and none of them, nor bases, after releases.
func policy(text []byte, f File, stack bool) diag.Diagnostics {
	var ds diag.Diagnostics
	type found struct {
		key  string
		line int
	}
	var keys []found
	inPart := map[string]found{}
	released := found{}
	mixed := false
	report := func(l found, format string, args ...any) {
		ds = append(ds, problem(diag.RunlevelInvalid, diag.Range{
			File: f.Display, Start: diag.Pos{Line: l.line, Column: 1}, End: diag.Pos{Line: l.line, Column: 1 + len(l.key)},
		}, format, args...))
	}
	n := 0
	for line := range strings.Lines(string(text)) {
		n++
		line = strings.TrimRight(line, " \t\r\n")
		if partLine.MatchString(line) {
			inPart = map[string]found{}
			continue
		}
		if !topKey.MatchString(line) {
			continue
		}
		name, _, _ := strings.Cut(line, ":")
		at := found{name, n}
		keys = append(keys, at)
		if (name == "bases" || name == "environments") && released.line > 0 {
			report(at, "%s stands after releases, on line %d. Move it before them, into a part of its own: a line --- ends a part.", name, released.line)
			continue
		}
		if name == "releases" && released.line == 0 {
			released = at
		}
		if slices.Contains(exclusive, name) {
			inPart[name] = at
			if len(inPart) == 2 && !mixed {
				mixed = true
				report(at, "environments and releases stand in the same part of the file, so that releases can't use the values. "+
					"Put a line --- between them.")
			}
		}
	}
	if len(keys) == 0 && !stack {
		ds = append(ds, problem(diag.RunlevelInvalid,
			diag.Range{File: f.Display, Start: diag.Pos{Line: 1, Column: 1}, End: diag.Pos{Line: 1, Column: 1}},
			"the state file has no key at its top, like releases. Write one, or remove the file."))
	}
	return ds
}
