package schema

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"path"
	"regexp"
	"slices"
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

// How a keyword's value holds subschemas.
type holds string

const (
	data       holds = "data"
	one        holds = "schema"
	list       holds = "schemas"
	named      holds = "named schemas"
	oneOrList  holds = "schema or schemas"
	namedOrNot holds = "named schemas or lists"
)

// keywords are those of both drafts, of this package, and of editors.
var keywords = map[string]holds{
	"$schema": data, "$id": data, "$ref": data, "$anchor": data, "$comment": data, "$vocabulary": data,
	"$dynamicRef": data, "$dynamicAnchor": data,
	"$defs": named, "definitions": named, "properties": named, "patternProperties": named, "dependentSchemas": named,
	"dependencies": namedOrNot,
	"allOf":        list, "anyOf": list, "oneOf": list, "prefixItems": list, "items": oneOrList,
	"not": one, "if": one, "then": one, "else": one, "additionalProperties": one, "additionalItems": one, "contains": one,
	"propertyNames": one, "unevaluatedItems": one, "unevaluatedProperties": one, "contentSchema": one,
	"type": data, "enum": data, "const": data, "default": data, "examples": data, "title": data, "description": data,
	"required": data, "dependentRequired": data, "pattern": data, "format": data, "minLength": data, "maxLength": data,
	"minimum": data, "maximum": data, "exclusiveMinimum": data, "exclusiveMaximum": data, "multipleOf": data,
	"minItems": data, "maxItems": data, "uniqueItems": data, "minContains": data, "maxContains": data,
	"minProperties": data, "maxProperties": data, "readOnly": data, "writeOnly": data, "deprecated": data,
	"contentEncoding": data, "contentMediaType": data,
	"x-secret": data, "x-merge": data, "x-deprecated": data,
	"markdownDescription": data, "defaultSnippets": data, "enumDescriptions": data, "deprecationMessage": data,
	"errorMessage": data, "doNotSuggest": data,
}

// reader reads the files of a schema and makes their shapes.
type reader struct {
	stack  source.Tree
	schema *Schema
	refs   []pendingRef
	diags  diag.Diagnostics
}

// pendingRef is a $ref whose target is looked for when all files are read.
type pendingRef struct {
	from *shape
	node *value.Node
}

func (r *reader) report(code diag.Code, at diag.Range, format string, args ...any) {
	r.diags = append(r.diags, diag.Diagnostic{Severity: diag.Error, Code: code, Range: at, Detail: fmt.Sprintf(format, args...)})
}

// read reads the root file, then what it refers to.
func (r *reader) read(p string) error {
	root, err := r.file(p)
	if err != nil || root == nil {
		if root == nil && err == nil && len(r.diags) == 0 {
			r.report(diag.SchemaMissing, diag.Range{File: r.stack.Display(p)},
				"the stack has no schema at this path. Add it to the stack.")
		}
		return err
	}
	r.checkDraft(root)
	r.schema.root = r.shape(root, root.root)
	for len(r.refs) > 0 {
		pending := r.refs[0]
		r.refs = r.refs[1:]
		if err := r.resolve(pending); err != nil {
			return err
		}
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
	if n.Kind != value.Map {
		return sh // true, false, or something that the library refuses
	}
	for i := range n.Fields {
		r.keyword(sh, &n.Fields[i])
	}
	return sh
}

// keyword takes one keyword into sh.
func (r *reader) keyword(sh *shape, field *value.Field) {
	holding, known := keywords[field.Key]
	if !known {
		r.unknownKeyword(*field)
		return
	}
	f, v := sh.file, field.Value
	switch holding {
	case one, oneOrList, list:
		r.subschemas(sh, field)
		return
	case named, namedOrNot:
		if v.Kind == value.Map {
			r.namedSubschemas(sh, field)
		}
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
		sh.deprecated = v.Text()
	case "deprecated":
		if v.Scalar == true && sh.deprecated == "" {
			sh.deprecated = "It will be removed."
		}
	case "x-merge":
		r.strategy(sh, v)
	}
}

// unknownKeyword warns of a keyword without a meaning. Those that start with x- are free, unless they are nearly ours.
func (r *reader) unknownKeyword(field value.Field) {
	extension := strings.HasPrefix(field.Key, "x-")
	var known []string
	for k := range keywords {
		if strings.HasPrefix(k, "x-") == extension {
			known = append(known, k)
		}
	}
	near := diag.Nearest(field.Key, known)
	if extension && near == "" {
		return
	}
	detail := fmt.Sprintf("%q is no keyword of JSON Schema and has no effect.", field.Key)
	if near != "" {
		detail += fmt.Sprintf(" Did you mean %q?", near)
	} else {
		detail += " Remove it, or start it with x-."
	}
	r.diags = append(r.diags, diag.Diagnostic{Severity: diag.Warning, Code: diag.SchemaInvalid, Range: field.KeyRange, Detail: detail})
}

func (r *reader) strategy(sh *shape, v *value.Node) {
	key := v.Get("key").Text()
	switch {
	case v.Text() == "append":
		sh.merge = merge.Strategy{Append: true}
	case v.Text() == "unique":
		sh.merge = merge.Strategy{Unique: true}
	case key != "" && len(v.Fields) == 1:
		sh.merge = merge.Strategy{Key: key}
	default:
		r.report(diag.SchemaInvalid, v.Origin.Range, "x-merge is append, unique or {key: NAME}. Write one of them.")
	}
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
	switch field.Key {
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
		if f.Value.Kind == value.List {
			continue // dependencies has lists of names too
		}
		sub := r.shape(sh.file, f.Value)
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
	if err != nil {
		why := strings.TrimPrefix(err.Error(), "error parsing regexp: ")
		r.report(diag.SchemaBadPattern, at,
			"the pattern %s cannot be used: %s. Rewrite it; Go's regular expressions have no look-ahead, look-behind or back references.",
			text, why)
	}
	return re
}

// resolve finds the target of a $ref.
func (r *reader) resolve(p pendingRef) error {
	ref := p.node.Text()
	address, fragment, _ := strings.Cut(ref, "#")
	if name := strings.TrimPrefix(strings.TrimPrefix(address, "https://"), "http://"); name == draft07 || name == draft2020 {
		return nil // the library has these
	}
	target := p.from.file
	if address != "" && address != target.id {
		u, err := url.Parse(address)
		if err != nil || u.IsAbs() || u.Host != "" {
			r.report(diag.SchemaUnresolvableRef, p.node.Origin.Range,
				"%s is not in the stack, and nothing is fetched for a schema. "+
					"Copy the file into the stack and refer to it by its relative path.", ref)
			return nil
		}
		name := path.Join(path.Dir(target.path), u.Path)
		if strings.HasPrefix(u.Path, "/") || !fs.ValidPath(name) {
			r.report(diag.SchemaUnresolvableRef, p.node.Origin.Range,
				"%s leads out of the stack. Refer to a file of the stack by its relative path.", ref)
			return nil
		}
		before := len(r.diags)
		f, err := r.file(name)
		if err != nil {
			return err
		}
		if f == nil {
			if len(r.diags) == before {
				r.report(diag.SchemaUnresolvableRef, p.node.Origin.Range, "the stack has no file %s. Correct the path.", name)
			}
			return nil
		}
		r.shape(f, f.root)
		target = f
	}
	n := target.find(fragment)
	if n == nil {
		r.report(diag.SchemaUnresolvableRef, p.node.Origin.Range, "%s has nothing at #%s. Correct the reference.", target.path, fragment)
		return nil
	}
	p.from.refs = append(p.from.refs, r.shape(target, n))
	return nil
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

// maxCost bounds how many subschemas the library may try on one value: references that double at each level multiply.
const maxCost = 10_000

// close links the shapes that apply together and refuses schemas that are too dear or refer to themselves.
func (r *reader) close() {
	costs := map[*shape]int{}
	var dear []diag.Range
	for n, sh := range r.schema.shapes {
		if r.cost(sh, costs) > maxCost {
			dear = append(dear, n.Origin.Range)
		}
	}
	if len(dear) > 0 {
		// Whatever contains the fault is dear too; the last place is the nearest to it.
		at := slices.MaxFunc(dear, func(a, b diag.Range) int {
			return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Start.Line, b.Start.Line), cmp.Compare(a.Start.Column, b.Start.Column))
		})
		r.report(diag.SchemaInvalid, at,
			"more than %d alternatives apply to one value here, or the schema refers to itself without an end. "+
				"Use fewer $ref, allOf, anyOf and oneOf inside each other.", maxCost)
		return
	}
	for _, sh := range r.schema.shapes {
		sh.sure = reach(sh, nil, false)
		sh.possible = reach(sh, nil, true)
	}
}

// cost counts the subschemas that apply to one value, each as often as it is tried.
func (r *reader) cost(sh *shape, costs map[*shape]int) int {
	if c, ok := costs[sh]; ok {
		return c
	}
	costs[sh] = maxCost + 1 // met again below itself: without an end
	c := 1
	for _, sub := range sh.inPlace() {
		c = min(c+r.cost(sub, costs), maxCost+1)
	}
	for _, keyword := range []string{"not", "if"} {
		if n := sh.node.Get(keyword); n != nil {
			c = min(c+r.cost(r.schema.shapes[n], costs), maxCost+1)
		}
	}
	costs[sh] = c
	return c
}

// inPlace returns the shapes that are tried on the same value.
func (sh *shape) inPlace() []*shape {
	return slices.Concat(sh.refs, sh.all, sh.some)
}

func reach(sh *shape, seen []*shape, some bool) []*shape {
	if slices.Contains(seen, sh) {
		return seen
	}
	seen = append(seen, sh)
	next := sh.inPlace()
	if !some {
		next = next[:len(next)-len(sh.some)]
	}
	for _, sub := range next {
		seen = reach(sub, seen, some)
	}
	return seen
}

// compile gives the files to the library, which also checks them by their draft's own schema.
func (r *reader) compile() error {
	c := jsonschema.NewCompiler()
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
			m[field.Key] = r.forLibrary(field.Value, f)
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
