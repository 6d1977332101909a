package schema

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"path"
	"regexp"
	"strconv"
	"strings"

	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/merge"
	"github.com/redkubes/otomi/pkg/source"
	"github.com/redkubes/otomi/pkg/value"
	"github.com/redkubes/otomi/pkg/yaml"
	"github.com/santhosh-tekuri/jsonschema/v5"
)

// scheme is that of the addresses by which the library knows the stack's files.
const scheme = "stack:///"

// The drafts that are understood, by their $schema.
const (
	draft07   = "json-schema.org/draft-07/schema"
	draft2020 = "json-schema.org/draft/2020-12/schema"
)

// reader reads the files of a schema and makes their shapes.
type reader struct {
	stack  source.Tree
	schema *Schema
	refs   []pendingRef
	diags  diag.Diagnostics
	// shapes are those of the schema in the order in which they were made.
	shapes []*shape
	// lenient leaves patterns that do not compile out of what the library gets, so that the rest can be checked.
	lenient bool
	// compiler is the library's, with all files of the schema.
	compiler *jsonschema.Compiler
	// chart is set for the schema of a chart, which keeps to no rules of ours: what has no meaning is skipped.
	chart *chartReader
}

func newReader(stack source.Tree) *reader {
	return &reader{
		stack:  stack,
		schema: &Schema{files: map[string]*file{}, sources: diag.Sources{}, shapes: map[*value.Node]*shape{}},
	}
}

// pendingRef is a $ref whose target is looked for when all files are read.
type pendingRef struct {
	from *shape
	node *value.Node
}

func (r *reader) report(code diag.Code, at diag.Range, format string, args ...any) {
	r.diags = append(r.diags, diag.Diagnostic{Severity: diag.Error, Code: code, Range: at, Detail: fmt.Sprintf(format, args...)})
}

func (r *reader) warn(code diag.Code, at diag.Range, format string, args ...any) {
	r.diags = append(r.diags, diag.Diagnostic{Severity: diag.Warning, Code: code, Range: at, Detail: fmt.Sprintf(format, args...)})
}

// read reads the root file, then what it refers to.
func (r *reader) read(p string) error {
	root, err := r.file(p)
	if err != nil && r.isDir(p) {
		r.report(diag.SchemaMissing, diag.Range{File: r.stack.Display(p)}, "this is a directory, and not a schema. Name a file in it.")
		return nil
	}
	if err != nil || root == nil {
		if root == nil && err == nil && len(r.diags) == 0 {
			r.report(diag.SchemaMissing, diag.Range{File: r.stack.Display(p)},
				"there is no schema at this path. Name another one, or add it to the stack.")
		}
		return err
	}
	r.checkDraft(root)
	r.schema.root = r.shape(root, root.root)
	for len(r.refs) > 0 {
		pending := r.refs[0]
		r.refs = r.refs[1:]
		r.resolve(pending)
	}
	return nil
}

// file reads and indexes one file. It returns nil where there is none, or where it has a diagnostic.
func (r *reader) file(p string) (*file, error) {
	if f, ok := r.schema.files[p]; ok {
		return f, nil
	}
	name := r.stack.Display(p)
	text, err := fs.ReadFile(r.stack.FS, p)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the schema %s: %w", name, err)
	}
	r.schema.sources[name] = text
	root, diags := yaml.Read(text, yaml.ReadOptions{File: name, Layer: Layer, Map: true})
	r.diags = append(r.diags, diags...)
	if diags.HasErrors() {
		return nil, nil
	}
	f := &file{path: p, root: root, id: strings.TrimSuffix(root.Get("$id").Text(), "#"), anchors: map[string]*value.Node{}}
	r.schema.files[p] = f
	r.schema.order = append(r.schema.order, f)
	return f, nil
}

func (r *reader) checkDraft(f *file) {
	n := f.root.Get("$schema")
	if n == nil {
		return
	}
	name := strings.TrimSuffix(strings.TrimPrefix(strings.TrimPrefix(n.Text(), "https://"), "http://"), "#")
	switch name {
	case draft07:
		r.schema.draft07 = true
	case draft2020:
	default:
		r.report(diag.SchemaInvalid, n.Origin.Range, "this draft is not understood. Write http://%s# or https://%s.", draft07, draft2020)
	}
}

// shape makes the shape of a subschema and of those in it, once.
func (r *reader) shape(f *file, n *value.Node) *shape {
	if sh, ok := r.schema.shapes[n]; ok {
		return sh
	}
	sh := &shape{file: f, node: n}
	r.schema.shapes[n] = sh
	r.shapes = append(r.shapes, sh)
	if n.Kind != value.Map {
		if n.Kind != value.Boolean && r.chart == nil {
			r.report(diag.SchemaWrongType, n.Origin.Range, "this is %s, where %s is wanted. Correct it.",
				article(string(n.Kind)), wantSchema)
		}
		return sh
	}
	for i := range n.Fields {
		r.keyword(sh, &n.Fields[i])
	}
	return sh
}

// keyword takes one keyword into sh.
func (r *reader) keyword(sh *shape, field *value.Field) {
	k, known := keywords[field.Key]
	if r.chart != nil {
		r.chart.keyword(sh, field, k)
		return
	}
	if !known {
		r.unknownKeyword(*field)
		return
	}
	if !r.checkKeyword(sh, *field, k) {
		return
	}
	f, v := sh.file, field.Value
	switch k.holds {
	case one, oneOrList, list:
		r.subschemas(sh, field)
		return
	case named, namedOrNot:
		r.namedSubschemas(sh, field)
		return
	}
	switch field.Key {
	case "$ref":
		r.refs = append(r.refs, pendingRef{sh, v})
	case "$dynamicRef":
		if !strings.HasPrefix(v.Text(), "#") {
			r.report(diag.SchemaUnresolvableRef, v.Origin.Range, "a $dynamicRef into another file is not supported. Use $ref.")
			return
		}
		r.refs = append(r.refs, pendingRef{sh, v})
	case "$id":
		switch id := v.Text(); {
		case strings.HasPrefix(id, "#"):
			f.anchors[id[1:]] = sh.node
		case sh.node != f.root:
			r.report(diag.SchemaInvalid, v.Origin.Range,
				"an $id below the root of a file is not supported. Remove it; refer to the place by its path.")
		}
	case "$anchor", "$dynamicAnchor":
		f.anchors[v.Text()] = sh.node
	case "pattern":
		r.pattern(v.Text(), v.Origin.Range)
	case "default":
		sh.fallback = field
	case "x-secret":
		sh.secret = v.Kind == value.String || v.Scalar == true
	case "x-deprecated":
		r.schema.deprecates = true
		sh.deprecated = v.Text()
	case "deprecated":
		if v.Scalar == true && sh.deprecated == "" {
			r.schema.deprecates = true
			sh.deprecated = "It will be removed."
		}
	case "x-merge":
		sh.merge = *strategyOf(v)
	}
}

// strategyOf returns the strategy that a value of x-merge names, or nil where it names none.
func strategyOf(v *value.Node) *merge.Strategy {
	switch key := v.Get("key").Text(); {
	case v.Text() == "append":
		return &merge.Strategy{Append: true}
	case v.Text() == "unique":
		return &merge.Strategy{Unique: true}
	case key != "" && len(v.Fields) == 1:
		return &merge.Strategy{Key: key}
	}
	return nil
}

// subschemas takes a keyword whose value is a schema or a list of them.
func (r *reader) subschemas(sh *shape, field *value.Field) {
	v := field.Value
	var shapes []*shape
	nodes := []*value.Node{v}
	if v.Kind == value.List {
		nodes = v.Items
	}
	for _, n := range nodes {
		shapes = append(shapes, r.shape(sh.file, n))
	}
	sh.held = append(sh.held, shapes...)
	switch field.Key {
	case "not", "if":
		sh.tried = append(sh.tried, shapes...)
	case "contains", "unevaluatedItems":
		sh.loose.items = append(sh.loose.items, shapes...)
	case "unevaluatedProperties":
		sh.loose.values = append(sh.loose.values, shapes...)
	case "allOf":
		sh.all = append(sh.all, shapes...)
	case "anyOf", "oneOf", "then", "else":
		sh.some = append(sh.some, shapes...)
	case "prefixItems":
		sh.prefix = shapes
	case "items":
		if v.Kind == value.List {
			sh.prefix = shapes
		} else {
			sh.items = shapes[0]
		}
	case "additionalItems":
		if sh.node.Get("items") != nil && sh.node.Get("items").Kind == value.List {
			sh.items = shapes[0]
		}
	case "additionalProperties":
		if v.Kind == value.Map {
			sh.additional = shapes[0]
		}
	}
}

// namedSubschemas takes a keyword whose value is a map of schemas.
func (r *reader) namedSubschemas(sh *shape, field *value.Field) {
	for _, f := range field.Value.Fields {
		if f.Value.Kind == value.List && field.Key == "dependencies" {
			if !wantNames.fits(f.Value) && r.chart == nil {
				r.report(diag.SchemaWrongType, f.Value.Origin.Range, "a dependency is a schema or %s. Correct it.", wantNames)
			}
			continue
		}
		if _, known := keywords[f.Key]; known && field.Key == "properties" && !wantSchema.fits(f.Value) && r.chart == nil {
			r.report(diag.SchemaMisplaced, f.KeyRange, "the keyword %q stands among the properties. Write it beside properties, not below it.", f.Key)
			continue
		}
		sub := r.shape(sh.file, f.Value)
		if field.Key != "definitions" && field.Key != "$defs" {
			sh.held = append(sh.held, sub)
		}
		switch field.Key {
		case "properties":
			sh.props = append(sh.props, property{f.Key, sub})
			if sh.byName == nil {
				sh.byName = map[string]*shape{}
			}
			sh.byName[f.Key] = sub
		case "patternProperties":
			if re := r.pattern(f.Key, f.KeyRange); re != nil {
				sh.patterns = append(sh.patterns, patternShape{re, sub})
			}
		case "dependentSchemas", "dependencies":
			sh.some = append(sh.some, sub)
		}
	}
}

// pattern compiles a regular expression, or reports it and returns nil.
func (r *reader) pattern(text string, at diag.Range) *regexp.Regexp {
	re, err := regexp.Compile(text)
	if err != nil && r.chart == nil {
		why := strings.TrimSuffix(strings.TrimPrefix(err.Error(), "error parsing regexp: "), ": `"+text+"`")
		r.report(diag.SchemaBadPattern, at,
			"the pattern %s cannot be used: %s. Rewrite it; Go's regular expressions have no look-ahead, look-behind or back references.",
			text, why)
	}
	return re
}

// resolve finds the target of a $ref.
func (r *reader) resolve(p pendingRef) {
	ref := p.node.Text()
	address, fragment, _ := strings.Cut(ref, "#")
	if name := strings.TrimPrefix(strings.TrimPrefix(address, "https://"), "http://"); name == draft07 || name == draft2020 {
		return // the library has these
	}
	target := p.from.file
	if address != "" && address != target.id {
		u, err := url.Parse(address)
		if err != nil || u.IsAbs() || u.Host != "" {
			r.report(diag.SchemaUnresolvableRef, p.node.Origin.Range,
				"%s is not in the stack, and nothing is fetched for a schema. "+
					"Copy the file into the stack and refer to it by its relative path.", ref)
			return
		}
		name := path.Join(path.Dir(target.path), u.Path)
		if strings.HasPrefix(u.Path, "/") || !fs.ValidPath(name) {
			r.report(diag.SchemaUnresolvableRef, p.node.Origin.Range,
				"%s leads out of the stack. Refer to a file of the stack by its relative path.", ref)
			return
		}
		before := len(r.diags)
		f, err := r.file(name)
		if err != nil {
			r.report(diag.SchemaUnresolvableRef, p.node.Origin.Range, "the stack's %s cannot be read: %s. Correct the path.",
				name, r.unreadable(name, err))
			return
		}
		if f == nil {
			if len(r.diags) == before {
				r.report(diag.SchemaUnresolvableRef, p.node.Origin.Range, "the stack has no file %s. Correct the path.", name)
			}
			return
		}
		r.shape(f, f.root)
		target = f
	}
	n := target.find(fragment)
	if n == nil {
		r.report(diag.SchemaUnresolvableRef, p.node.Origin.Range, "%s has nothing at #%s. Correct the reference.", target.path, fragment)
		return
	}
	if !wantSchema.fits(n) {
		r.report(diag.SchemaUnresolvableRef, p.node.Origin.Range, "%s is no schema but %s. Correct the reference.",
			ref, article(string(n.Kind)))
		return
	}
	p.from.refs = append(p.from.refs, r.shape(target, n))
}

func (r *reader) isDir(name string) bool {
	info, err := fs.Stat(r.stack.FS, name)
	return err == nil && info.IsDir()
}

// unreadable says why a file that is there is not read.
func (r *reader) unreadable(name string, err error) string {
	if r.isDir(name) {
		return "it is a directory"
	}
	var cause *fs.PathError
	if errors.As(err, &cause) {
		return cause.Err.Error()
	}
	return err.Error()
}

// find returns the node that a fragment (a JSON pointer or an anchor) names, or nil.
func (f *file) find(fragment string) *value.Node {
	if fragment == "" {
		return f.root
	}
	if !strings.HasPrefix(fragment, "/") {
		return f.anchors[fragment]
	}
	n := f.root
	for _, step := range pointer(fragment) {
		n = down(n, step)
	}
	return n
}

// pointer splits a JSON pointer, percent-encoded as in an address, into its steps.
func pointer(p string) []string {
	if p == "" || p == "/" {
		return nil
	}
	steps := strings.Split(strings.TrimPrefix(p, "/"), "/")
	for i, s := range steps {
		if plain, err := url.PathUnescape(s); err == nil {
			s = plain
		}
		steps[i] = strings.ReplaceAll(strings.ReplaceAll(s, "~1", "/"), "~0", "~")
	}
	return steps
}

// escapeStep writes a key as a step of a JSON pointer, percent-encoded as in an address.
func escapeStep(key string) string {
	return url.PathEscape(strings.ReplaceAll(strings.ReplaceAll(key, "~", "~0"), "/", "~1"))
}

// down goes one step of a JSON pointer.
func down(n *value.Node, step string) *value.Node {
	if n == nil || n.Kind != value.List {
		return n.Get(step)
	}
	i, err := strconv.Atoi(step)
	if err != nil || i < 0 || i >= len(n.Items) {
		return nil
	}
	return n.Items[i]
}

// compile gives the files to the library, which also checks them by their draft's own schema.
func (r *reader) compile() error {
	c := jsonschema.NewCompiler()
	r.compiler = c
	c.LoadURL = refuse
	c.AssertFormat = true
	draft := "https://" + draft2020
	if r.schema.draft07 {
		draft = "http://" + draft07
	}
	for _, f := range r.schema.order {
		doc := r.forLibrary(f.root, f)
		if m, ok := doc.(map[string]any); ok {
			// References were resolved by the files' paths; an $id would give them another base.
			delete(m, "$id")
			m["$schema"] = draft
		}
		text, err := json.Marshal(doc)
		if err != nil {
			return fmt.Errorf("handing %s to the schema compiler: %w", f.path, err)
		}
		if err := c.AddResource(scheme+f.path, bytes.NewReader(text)); err != nil {
			return fmt.Errorf("handing %s to the schema compiler: %w", f.path, err)
		}
	}
	var err error
	if r.schema.compiled, err = c.Compile(scheme + r.schema.order[0].path); err == nil {
		return nil
	}
	// The library does not say which file is at fault, and stops at the first: each is asked about alone.
	meta, metaErr := c.Compile(draft)
	if metaErr != nil {
		return fmt.Errorf("compiling the schema of schemas %s: %w", draft, metaErr)
	}
	for _, f := range r.schema.order {
		var invalid *jsonschema.ValidationError
		if errors.As(meta.Validate(r.forLibrary(f.root, f)), &invalid) {
			r.refused(f, invalid)
		}
	}
	if r.diags.HasErrors() {
		return nil
	}
	var s *jsonschema.SchemaError
	if errors.As(err, &s) && s.Err != nil {
		err = s.Err
	}
	r.report(diag.SchemaInvalid, diag.Range{File: r.stack.Display(r.schema.order[0].path)},
		"%s. Correct the schema.", strings.TrimPrefix(err.Error(), "jsonschema: "))
	return nil
}

// forLibrary is the plain form of a schema node, its references made absolute.
func (r *reader) forLibrary(n *value.Node, f *file) any {
	switch n.Kind {
	case value.Map:
		m := make(map[string]any, len(n.Fields))
		sh := r.schema.shapes[n]
		for _, field := range n.Fields {
			if field.Key == "$ref" && sh != nil {
				m["$ref"] = libraryRef(field.Value.Text(), f)
				continue
			}
			if r.lenient && field.Key == "pattern" && sh != nil && !compiles(field.Value.Text()) {
				continue
			}
			m[field.Key] = r.forLibrary(field.Value, f)
			if byPattern, ok := m[field.Key].(map[string]any); ok && r.lenient && field.Key == "patternProperties" && sh != nil {
				maps.DeleteFunc(byPattern, func(pattern string, _ any) bool { return !compiles(pattern) })
			}
		}
		return m
	case value.List:
		l := make([]any, len(n.Items))
		for i, item := range n.Items {
			l[i] = r.forLibrary(item, f)
		}
		return l
	default:
		return n.Scalar
	}
}

func libraryRef(ref string, f *file) string {
	address, fragment, _ := strings.Cut(ref, "#")
	switch {
	case address == "", address == f.id:
		return "#" + fragment
	case strings.Contains(address, "://"):
		return ref
	}
	return scheme + path.Join(path.Dir(f.path), address) + "#" + fragment
}

// refused reports where a file is no schema, once for each place.
func (r *reader) refused(f *file, invalid *jsonschema.ValidationError) {
	seen := map[string]bool{}
	for _, leaf := range leaves(invalid) {
		n := f.find(leaf.InstanceLocation)
		if n == nil || seen[leaf.InstanceLocation] {
			continue
		}
		seen[leaf.InstanceLocation] = true
		r.report(diag.SchemaInvalid, n.Origin.Range, "%s: %s. Correct the keyword.", lastStep(leaf.InstanceLocation), leaf.Message)
	}
}

func lastStep(p string) string {
	steps := pointer(p)
	if len(steps) == 0 {
		return "the schema"
	}
	return steps[len(steps)-1]
}

// leaves returns the findings at the end of an error's branches.
func leaves(e *jsonschema.ValidationError) []*jsonschema.ValidationError {
	if len(e.Causes) == 0 {
		return []*jsonschema.ValidationError{e}
	}
	var out []*jsonschema.ValidationError
	for _, cause := range e.Causes {
		out = append(out, leaves(cause)...)
	}
	return out
}

func compiles(pattern string) bool {
	_, err := regexp.Compile(pattern)
	return err == nil
}
