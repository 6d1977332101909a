package schema

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v5"

	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/value"
)

// Chart is the values.schema.json of a chart, compiled. It does not change and may be used by several goroutines.
type Chart struct{ schema *Schema }

// ChartOptions say what to compile.
type ChartOptions struct {
	// Text is that of values.schema.json.
	Text []byte
	// File returns the text of another file of the chart, by its path in it, which the schema may refer to.
	File func(path string) ([]byte, bool)
	// Display returns the name by which a file of the chart is shown.
	Display func(path string) string
}

// chartSchema is the file of a chart's schema, and chartScheme begins the addresses of the chart's files: those that Helm
// gives them, so that references resolve alike.
const (
	chartSchema = "values.schema.json"
	chartScheme = "file:///"
)

// anything is the address of the schema that everything fits, which takes the place of one that is elsewhere.
const anything = "otomi:///anything"

// CompileChart compiles a chart's schema as Helm does (Helm 3.22, chartutil.ValidateAgainstSingleSchema): drafts 04, 06, 07,
// 2019-09 and 2020-12, the last where none is named; formats are asserted up to draft-07. Unlike Helm it fetches nothing:
// what the schema refers to on another host, or by a urn, counts as a schema that everything fits, with a warning; and it
// takes files beside it from the chart. A schema that Helm can't use, or that may take without end, is an error; then the
// result is nil. The sources are the texts that the diagnostics refer to.
func CompileChart(o ChartOptions) (*Chart, diag.Sources, diag.Diagnostics) {
	c := &chartReader{
		options: o, texts: map[string][]byte{}, at: map[string]*value.Node{}, bases: map[*value.Node]*url.URL{},
		anchors: map[string][]*value.Node{}, replaced: map[*value.Node]string{},
	}
	c.reader = &reader{
		chart: c, schema: &Schema{files: map[string]*file{}, sources: diag.Sources{}, shapes: map[*value.Node]*shape{}, quiet: true, documents: c.at},
	}
	root := c.file(chartSchema, o.Text)
	if root == nil {
		return nil, c.reader.schema.sources, c.reader.diags
	}
	c.metaschema(root)
	c.reader.schema.root = c.reader.shape(&file{path: chartSchema, root: root}, root)
	for len(c.reader.refs) > 0 {
		pending := c.reader.refs[0]
		c.reader.refs = c.reader.refs[1:]
		c.resolve(pending)
	}
	for _, pair := range c.twice {
		if c.reader.schema.shapes[pair[0]] != nil && c.reader.schema.shapes[pair[1]] != nil { // and no data
			c.reader.report(diag.SchemaInvalid, pair[1].Origin.Range, "another part of the schema has the same id. Give it an id of its own.")
		}
	}
	if c.reader.diags.HasErrors() {
		return nil, c.reader.schema.sources, c.reader.diags
	}
	if c.reader.close(); c.reader.diags.HasErrors() {
		return nil, c.reader.schema.sources, c.reader.diags
	}
	c.compile()
	if c.reader.diags.HasErrors() {
		return nil, c.reader.schema.sources, c.reader.diags
	}
	return &Chart{schema: c.reader.schema}, c.reader.schema.sources, c.reader.diags
}

// Validate returns why values do not fit the schema: each finding with its path in the values and, as its first note, the
// place in the schema. Their codes are those of values; they have no place, and show no value.
func (c *Chart) Validate(values map[string]any) diag.Diagnostics {
	root, err := plainNode(values, 0)
	if err != nil {
		return diag.Diagnostics{{Severity: diag.Error, Code: diag.ValuesInvalid, Detail: err.Error() + ". Correct the value."}}
	}
	return c.schema.check(root)
}

// chartReader reads the schema of a chart. Unlike that of a stack it may be of any draft, have ids anywhere, and hold
// keywords of no meaning.
type chartReader struct {
	options ChartOptions
	reader  *reader
	// texts are the files by their addresses; at are the documents, and the parts of them that have an address of their own.
	texts map[string][]byte
	at    map[string]*value.Node
	// bases are the addresses that the references of a map are relative to.
	bases   map[*value.Node]*url.URL
	anchors map[string][]*value.Node
	// twice are maps with the address of another one.
	twice [][2]*value.Node
	// replaced are strings of the schema that the library gets other ones for.
	replaced map[*value.Node]string
	// old says that the draft is one up to 07, in which what stands beside a $ref has no meaning, draft04 that an id is called id.
	old, draft04 bool
}

// file reads a file of the chart. It returns nil for one that is no JSON, which is reported.
func (c *chartReader) file(name string, text []byte) *value.Node {
	shown := c.options.Display(name)
	c.reader.schema.sources[shown] = text
	root, err := readJSON(text, shown)
	if err != nil {
		var at *jsonError
		place := diag.Range{File: shown}
		if errors.As(err, &at) {
			place = at.at
		}
		code := diag.SchemaInvalid
		if errors.Is(err, errBudget) {
			code = diag.SchemaBudget
		}
		c.reader.report(code, place, "%v. Correct the schema.", err)
		return nil
	}
	address := chartScheme + name
	c.texts[address] = text
	if name == chartSchema {
		switch draft := c.draft(root); draft {
		case jsonschema.Draft4:
			c.old, c.draft04 = true, true
		case jsonschema.Draft6, jsonschema.Draft7:
			c.old = true
		}
	}
	base, err := url.Parse(address)
	if err != nil {
		return nil
	}
	c.at[address] = root
	c.index(root, base)
	return root
}

// draft is the draft that a document names, or nil for another.
func (c *chartReader) draft(root *value.Node) *jsonschema.Draft {
	name := strings.TrimSuffix(strings.TrimSuffix(root.Get("$schema").Text(), "/"), "#")
	name = strings.TrimPrefix(strings.TrimPrefix(name, "https://"), "http://")
	switch name {
	case "json-schema.org/draft-04/schema":
		return jsonschema.Draft4
	case "json-schema.org/draft-06/schema":
		return jsonschema.Draft6
	case draft07:
		return jsonschema.Draft7
	case "json-schema.org/draft/2019-09/schema":
		return jsonschema.Draft2019
	case draft2020, "json-schema.org/schema":
		return jsonschema.Draft2020
	}
	return nil
}

// metaschema takes a schema of schemas that is elsewhere, which Helm would fetch, for the newest draft.
func (c *chartReader) metaschema(root *value.Node) {
	if n := root.Get("$schema"); n != nil && n.Kind == value.String && c.draft(root) == nil {
		c.reader.warn(diag.SchemaUnresolvableRef, n.Origin.Range, "the draft %s is not one that otomi knows, and nothing is fetched: the schema is "+
			"read as one of draft 2020-12. Write https://%s.", n.Text(), draft2020)
		c.replaced[n] = "https://" + draft2020
	}
}

// index notes the addresses and anchors of a document.
func (c *chartReader) index(n *value.Node, base *url.URL) {
	for _, item := range n.Items {
		c.index(item, base)
	}
	if n.Kind != value.Map {
		return
	}
	id := n.Get("$id").Text()
	if c.draft04 {
		id = n.Get("id").Text()
	}
	if c.old && n.Get("$ref") != nil {
		id = "" // it has no meaning there
	}
	if u, err := base.Parse(id); id != "" && err == nil {
		anchor := u.Fragment
		u.Fragment = ""
		if anchor != "" {
			c.anchors[u.String()+"#"+anchor] = append(c.anchors[u.String()+"#"+anchor], n)
		}
		if !strings.HasPrefix(id, "#") {
			base = u
			if other, taken := c.at[u.String()]; taken && other != n {
				c.twice = append(c.twice, [2]*value.Node{other, n})
			}
			c.at[u.String()] = n
		}
	}
	for _, key := range []string{"$anchor", "$dynamicAnchor"} {
		if anchor := n.Get(key).Text(); anchor != "" {
			for _, address := range []string{base.String(), ""} {
				if address == "" && key == "$anchor" {
					continue // only a dynamic one is found from elsewhere
				}
				c.anchors[address+"#"+anchor] = append(c.anchors[address+"#"+anchor], n)
			}
		}
	}
	c.bases[n] = base
	for _, f := range n.Fields {
		c.index(f.Value, base)
	}
}

// keyword takes one keyword into a shape, if it has a meaning there.
func (c *chartReader) keyword(sh *shape, field *value.Field, k keyword) {
	v := field.Value
	switch field.Key {
	case "$ref", "$dynamicRef", "$recursiveRef":
		if v.Kind == value.String {
			c.reader.refs = append(c.reader.refs, pendingRef{sh, v})
		}
		return
	case "contentEncoding", "contentMediaType":
		if c.old && v.Kind == value.String {
			c.replaced[v] = "unchecked" // the library would check what Helm's does not
		}
		return
	}
	switch k.holds {
	case one, oneOrList, list:
		if v.Kind == value.Map || v.Kind == value.List || v.Kind == value.Boolean {
			c.reader.subschemas(sh, field)
		}
	case named, namedOrNot:
		c.reader.namedSubschemas(sh, field)
	}
}

// resolve finds the target of a reference, and reads the file that it is in. One that leads out of the chart is replaced.
// What leads nowhere is left to the library to say.
func (c *chartReader) resolve(p pendingRef) {
	base := c.bases[p.from.node]
	u, err := base.Parse(p.node.Text())
	if err != nil {
		return
	}
	fragment := u.EscapedFragment()
	u.Fragment, u.RawFragment = "", ""
	address := u.String()
	if fragment != "" && !strings.HasPrefix(fragment, "/") {
		for _, from := range []string{address, ""} {
			for _, n := range c.anchors[from+"#"+fragment] {
				c.refer(p.from, n)
			}
		}
		if c.at[address] != nil {
			return
		}
	}
	document, known := c.at[address]
	switch {
	case known:
	case strings.HasPrefix(strings.TrimPrefix(strings.TrimPrefix(address, "https://"), "http://"), "json-schema.org/draft"):
		return // the library has these
	case u.Scheme == "file" && u.Host == "":
		name := strings.TrimPrefix(path.Clean(u.Path), "/")
		text, ok := c.options.File(name)
		if !ok {
			return
		}
		if document = c.file(name, text); document == nil {
			return
		}
		c.at[address] = document
	default:
		c.elsewhere(shownAddress(u), p.node.Origin.Range)
		c.replaced[p.node] = anything
		return
	}
	n := document
	for _, step := range pointer(fragment) {
		n = down(n, step)
	}
	if n != nil {
		c.refer(p.from, n)
	}
}

func (c *chartReader) elsewhere(address string, at diag.Range) {
	c.reader.warn(diag.SchemaUnresolvableRef, at, "%s is not in the chart, and nothing is fetched for a schema: what it would check is not "+
		"checked. Put it into the chart's schema, as one of its $defs.", address)
}

// shownAddress is an address without what may be a password.
func shownAddress(u *url.URL) string {
	clean := *u
	clean.User, clean.RawQuery = nil, ""
	return clean.String()
}

func (c *chartReader) refer(from *shape, n *value.Node) {
	if n.Kind == value.Map || n.Kind == value.Boolean {
		from.refs = append(from.refs, c.reader.shape(from.file, n))
	}
}

// compile gives the files to the library.
func (c *chartReader) compile() {
	compiler := jsonschema.NewCompiler()
	compiler.LoadURL = func(address string) (io.ReadCloser, error) {
		if text, ok := c.texts[address]; ok {
			return io.NopCloser(bytes.NewReader(c.rewritten(address, text))), nil
		}
		if !strings.HasPrefix(address, chartScheme) {
			if address != anything { // the library found a reference where no draft that we know has one
				c.elsewhere(address, diag.Range{File: c.options.Display(chartSchema)})
			}
			return io.NopCloser(strings.NewReader("{}")), nil
		}
		return nil, fmt.Errorf("the chart has no file %s", strings.TrimPrefix(address, chartScheme))
	}
	// Without a draft the library asserts formats, and Helm's does not.
	root := c.at[chartScheme+chartSchema]
	compiler.Draft = jsonschema.Draft2020
	compiled, err := c.compiled(compiler)
	if err == nil {
		c.reader.schema.compiled = compiled
		return
	}
	var invalid *jsonschema.ValidationError
	var s *jsonschema.SchemaError
	if errors.As(err, &s) && s.Err != nil {
		err = s.Err
	}
	at := diag.Range{File: c.options.Display(chartSchema)}
	if errors.As(err, &invalid) {
		for _, leaf := range leaves(invalid) {
			n := root
			for _, step := range pointer(leaf.InstanceLocation) {
				n = down(n, step)
			}
			if n != nil {
				at = n.Origin.Range
			}
			c.reader.report(diag.SchemaInvalid, at, "%s: %s. Correct the schema.", lastStep(leaf.InstanceLocation), leaf.Message)
			return
		}
	}
	c.reader.report(diag.SchemaInvalid, at, "%s. Correct the schema.", strings.TrimPrefix(err.Error(), "jsonschema: "))
}

// compiled calls the library, which panics on some odd schemas; Helm takes its own one's panics for errors, too.
func (c *chartReader) compiled(compiler *jsonschema.Compiler) (s *jsonschema.Schema, err error) {
	defer func() {
		if r := recover(); r != nil {
			s, err = nil, errors.New("the schema can't be compiled")
		}
	}()
	return compiler.Compile(chartScheme + chartSchema)
}

// rewritten is the text of a file with the strings that are replaced, and with a draft.
func (c *chartReader) rewritten(address string, text []byte) []byte {
	root := c.at[address]
	type change struct {
		at  diag.Pos
		new string
	}
	var changes []change
	for n, s := range c.replaced {
		if n.Origin.Range.File == root.Origin.Range.File {
			changes = append(changes, change{n.Origin.Range.Start, s})
		}
	}
	if len(changes) > 0 {
		slices.SortFunc(changes, func(a, b change) int {
			if a.at.Before(b.at) {
				return 1
			}
			return -1
		})
		lines := newLines(text)
		for _, ch := range changes {
			start := lines.offset(ch.at)
			end := start + stringEnd(text[start:])
			text = slices.Concat(text[:start], []byte(`"`+ch.new+`"`), text[end:])
		}
	}
	if root.Kind == value.Map && root.Get("$schema") == nil {
		i := bytes.IndexByte(text, '{')
		comma := ","
		if len(root.Fields) == 0 {
			comma = ""
		}
		draft := "https://" + draft2020
		text = slices.Concat(text[:i+1], []byte(`"$schema":"`+draft+`"`+comma), text[i+1:])
	}
	return text
}

// plainNode makes a tree of plain values, without places. A whole number is an integer, whatever Go's type of it.
func plainNode(v any, depth int) (*value.Node, error) {
	if depth > maxJSONDepth {
		return nil, fmt.Errorf("the values have more than %d maps and lists in each other", maxJSONDepth)
	}
	switch v := v.(type) {
	case map[string]any:
		n := value.NewMap(value.Origin{})
		for _, key := range slices.Sorted(maps.Keys(v)) {
			sub, err := plainNode(v[key], depth+1)
			if err != nil {
				return nil, err
			}
			n.Fields = append(n.Fields, value.Field{Key: key, Value: sub})
		}
		return n, nil
	case []any:
		n := &value.Node{Kind: value.List}
		for _, item := range v {
			sub, err := plainNode(item, depth+1)
			if err != nil {
				return nil, err
			}
			n.Items = append(n.Items, sub)
		}
		return n, nil
	case float64:
		if v == math.Trunc(v) && math.Abs(v) < 1<<62 {
			return value.NewScalar(value.Origin{}, int64(v)), nil
		}
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, errors.New("a number of the values is none that JSON has")
		}
		return value.NewScalar(value.Origin{}, v), nil
	case int:
		return value.NewScalar(value.Origin{}, int64(v)), nil
	case uint64:
		if v > math.MaxInt64 {
			return value.NewScalar(value.Origin{}, float64(v)), nil
		}
		return value.NewScalar(value.Origin{}, int64(v)), nil
	case nil, bool, int64, string:
		return value.NewScalar(value.Origin{}, v), nil
	default:
		return nil, fmt.Errorf("a value is of the type %T, which JSON does not have", v)
	}
}
