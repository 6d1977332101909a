package schema

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/layer"
	"github.com/redkubes/otomi/pkg/value"
	"github.com/santhosh-tekuri/jsonschema/v5"
)

// Validate checks a tree and returns every finding at the place of its value, sorted. Keys of the registry that the schema
// does not name are no findings, nor is anything below clouds. A deprecated value is a warning. No detail shows a secret.
//
// The tree may be one that Fill made. A finding counts only if it stands with the defaults and without them: a default may
// give a key that is required, and must not make values invalid that nobody wrote.
func (s *Schema) Validate(root *value.Node) diag.Diagnostics {
	if s.overFilled(root) {
		return diag.Diagnostics{{
			Severity: diag.Error, Code: diag.SchemaBudget, Range: s.root.node.Origin.Range,
			Detail: fmt.Sprintf("the defaults that these values get have more than %d keys and items, or more than %d of them stand "+
				"in each other. Use fewer defaults inside each other.", maxFilled, maxFillDepth),
		}}
	}
	diags := s.check(root)
	if diags.HasErrors() {
		if bare := written(root); bare != root {
			return common(diags, notFilled(s.check(bare), root))
		}
	}
	return diags
}

// check validates one tree.
func (s *Schema) check(root *value.Node) diag.Diagnostics {
	c := &checker{schema: s, root: root}
	if s.dear && s.overBudget(root) {
		return diag.Diagnostics{{
			Severity: diag.Error, Code: diag.SchemaBudget, Range: s.root.node.Origin.Range,
			Detail: fmt.Sprintf("more than %d alternatives apply to these values: the schema tries several inside each other, "+
				"and each again at every level of the values. Let one $ref apply to a value where there are two.", maxTrials),
		}}
	}
	err := s.compiled.Validate(root.Plain())
	var invalid *jsonschema.ValidationError
	switch {
	case errors.As(err, &invalid):
		c.visit(invalid)
	case err != nil:
		// Compile refuses what refers to itself without an end, as far as that shows without a value ($dynamicRef).
		c.diags = append(c.diags, diag.Diagnostic{
			Severity: diag.Error, Code: diag.SchemaInvalid, Range: s.root.node.Origin.Range,
			Detail: "the schema refers to itself without an end for these values. Correct its $dynamicRef.",
		})
	}
	if s.deprecates {
		c.deprecated(nil, root, value.Field{}, s.root.possible)
	}
	return c.diags.Sorted()
}

// written returns a tree without the defaults of the schema; the same one where it has none.
func written(n *value.Node) *value.Node {
	out := *n
	changed := false
	out.Fields = make([]value.Field, 0, len(n.Fields))
	for _, f := range n.Fields {
		if f.Value.Origin.Layer == Layer {
			changed = true
			continue
		}
		v := written(f.Value)
		changed = changed || v != f.Value
		f.Value = v
		out.Fields = append(out.Fields, f)
	}
	out.Items = make([]*value.Node, len(n.Items))
	for i, item := range n.Items {
		out.Items[i] = written(item)
		changed = changed || out.Items[i] != item
	}
	if !changed {
		return n
	}
	return &out
}

// common returns the findings of filled that are also those of bare. Where each has errors and they share none, the
// likely alternative changed with the defaults, and those of filled stand.
func common(filled, bare diag.Diagnostics) diag.Diagnostics {
	if !bare.HasErrors() {
		return warnings(filled)
	}
	type key struct {
		code diag.Code
		path string
	}
	has := map[key]bool{}
	for _, d := range bare {
		has[key{d.Code, d.Path}] = true
	}
	both := slices.DeleteFunc(slices.Clone(filled), func(d diag.Diagnostic) bool { return !has[key{d.Code, d.Path}] })
	if !both.HasErrors() {
		return filled
	}
	return both
}

// notFilled returns the findings without those about keys that are missing and that the tree has by a default.
func notFilled(ds diag.Diagnostics, root *value.Node) diag.Diagnostics {
	there := map[string]bool{}
	root.Walk(func(p value.Path, _ *value.Node) bool {
		there[p.String()] = true
		return true
	})
	return slices.DeleteFunc(ds, func(d diag.Diagnostic) bool { return d.Code == diag.ValuesMissing && there[d.Path] })
}

func warnings(ds diag.Diagnostics) diag.Diagnostics {
	return slices.DeleteFunc(slices.Clone(ds), func(d diag.Diagnostic) bool { return d.Severity == diag.Error })
}

// checker turns the library's errors about one tree into findings.
type checker struct {
	schema *Schema
	root   *value.Node
	diags  diag.Diagnostics
}

// finding is one error of the library with what it is about.
type finding struct {
	path  value.Path
	field value.Field // the key the value stands under; without one for the root and items
	node  *value.Node
	// named says that this is about the key (propertyNames), which node then holds as a text.
	named bool

	keyword string
	owner   *value.Node // the subschema that has the keyword
	asks    *value.Node // the keyword's value
}

// find looks up what an error is about. It returns false for a place that is not there: the library names properties of
// which only the name is wrong (propertyNames) as if they were values.
func (c *checker) find(e *jsonschema.ValidationError) (finding, bool) {
	f := finding{node: c.root}
	for _, step := range pointer(e.InstanceLocation) {
		if f.node == nil {
			return f, false
		}
		if f.node.Kind == value.List {
			i, err := strconv.Atoi(step)
			if err != nil || i < 0 || i >= len(f.node.Items) {
				return f, false
			}
			f.path, f.field, f.node = f.path.Index(i), value.Field{}, f.node.Items[i]
			continue
		}
		field, ok := f.node.Field(step)
		if !ok {
			return f, false
		}
		f.path, f.field, f.node = f.path.Key(step), field, field.Value
	}
	if aboutKey(e.KeywordLocation) && !f.field.KeyRange.IsZero() {
		f.named = true
		f.node = value.NewScalar(value.Origin{Layer: f.node.Origin.Layer, Range: f.field.KeyRange}, f.field.Key)
	}
	address, fragment, _ := strings.Cut(e.AbsoluteKeywordLocation, "#")
	if f.asks = c.schema.document(address); f.asks == nil {
		return f, true // a draft's own schema
	}
	for _, step := range pointer(fragment) {
		f.owner, f.keyword, f.asks = f.asks, step, down(f.asks, step)
	}
	return f, true
}

// aboutKey reports whether the way to a keyword leads through propertyNames: what stands there is asked of the key. The step
// after a keyword that holds named subschemas is a name, whatever it is.
func aboutKey(location string) bool {
	name := false
	for _, step := range pointer(location) {
		if name {
			name = false
			continue
		}
		if step == "propertyNames" {
			return true
		}
		k := keywords[step]
		name = k.holds == named || k.holds == namedOrNot
	}
	return false
}

// subject names the key, where the finding is about it, or is the word for the value.
func (f finding) subject(word string) string {
	const long = 60
	switch {
	case !f.named:
		return word
	case utf8.RuneCountInString(f.field.Key) > long:
		return "the key"
	}
	return fmt.Sprintf("the key %q", f.field.Key)
}

// visit reports an error, or the errors it consists of.
func (c *checker) visit(e *jsonschema.ValidationError) {
	f, ok := c.find(e)
	if !ok || c.ignored(f) {
		return
	}
	switch {
	case len(e.Causes) == 0:
		c.report(f, e)
	case f.keyword == "anyOf", f.keyword == "oneOf":
		c.alternatives(f, e)
	case f.keyword == "contains", f.keyword == "minContains":
		if f.asks == nil && f.owner != nil {
			f.asks = f.owner.Get("contains") // the library speaks of a minContains that nobody wrote
		}
		c.add(f, diag.ValuesInvalid, f.place(), "no item of the list is as the schema wants one to be. Add one that is.")
	default:
		for _, cause := range e.Causes {
			c.visit(cause)
		}
	}
}

// ignored says which values are not validated: the registry as a whole.
func (c *checker) ignored(f finding) bool {
	return len(f.path) > 0 && f.path[0].Key == "clouds" && c.root.Get("clouds").Origin.Layer == layer.Registry
}

// place is where to look at a value: a map by its key.
func (f finding) place() diag.Range {
	if f.node.Kind == value.Map && !f.field.KeyRange.IsZero() {
		return f.field.KeyRange
	}
	return f.node.Origin.Range
}

// maxFindings is how many findings of one tree are reported: a bound for memory, far above what is shown to a person.
const maxFindings = 10_000

// add reports a finding at a place, with the value's path.
func (c *checker) add(f finding, code diag.Code, at diag.Range, format string, args ...any) {
	if len(c.diags) >= maxFindings {
		return
	}
	d := diag.Diagnostic{
		Severity: diag.Error, Code: code, Path: f.path.String(), Range: at,
		Detail: fmt.Sprintf(format, args...), Secret: inSecretFile(at) || c.schema.secretAt(c.root, f.path),
	}
	for _, o := range f.node.Overrides {
		d.Secret = d.Secret || inSecretFile(o.Origin.Range)
		d.Notes = append(d.Notes, diag.Note{Message: "overrides this", Range: o.Origin.Range})
	}
	if f.asks != nil {
		message := "the schema asks here"
		if code == diag.ValuesUnknownKey {
			message = "the schema lists the keys here"
		}
		d.Notes = append(d.Notes, diag.Note{Message: message, Range: f.asks.Origin.Range})
	}
	c.diags = append(c.diags, d)
}

// report reports an error that consists of no others.
func (c *checker) report(f finding, e *jsonschema.ValidationError) {
	at := f.place()
	switch f.keyword {
	case "additionalProperties":
		if strings.HasPrefix(e.Message, "additionalProperties") {
			c.unknownKeys(f)
			return
		}
	case "required":
		c.missing(f, textsOf(f.asks))
		return
	case "type":
		c.add(f, diag.ValuesWrongType, at, "this is %s, and the schema wants %s. %s",
			article(string(f.node.Kind)), c.types(f.asks), c.typeAdvice(f))
		return
	case "const":
		c.add(f, diag.ValuesNotAllowed, at, "%s is not allowed. Write %s.", c.show(f), plainText(f.asks))
		return
	case "enum":
		c.notAllowed(f, f.asks.Items)
		return
	case "pattern":
		c.add(f, diag.ValuesPattern, at, "%s does not match the pattern %s.%s", c.show(f), f.asks.Text(), c.describe(f))
		return
	case "format":
		c.add(f, diag.ValuesFormat, at, "%s is no %s. Write one.", c.show(f), f.asks.Text())
		return
	case "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf":
		c.add(f, diag.ValuesRange, at, "%s is out of range: it must be %s %s.", c.show(f), comparisons[f.keyword], plainText(f.asks))
		return
	case "minLength", "maxLength":
		c.add(f, diag.ValuesRange, at, "%s has %s, and the schema wants %s %s.", f.subject("the text"),
			count(utf8.RuneCountInString(f.node.Text()), "character"), comparisons[f.keyword], plainText(f.asks))
		return
	case "minItems", "maxItems", "additionalItems":
		c.add(f, diag.ValuesRange, at, "the list has %s, and the schema wants %s %s.",
			count(len(f.node.Items), "item"), comparisons[f.keyword], c.itemLimit(f))
		return
	case "minProperties", "maxProperties":
		c.add(f, diag.ValuesRange, at, "the map has %s, and the schema wants %s %s.",
			count(len(f.node.Fields), "key"), comparisons[f.keyword], plainText(f.asks))
		return
	case "uniqueItems":
		c.duplicateItems(f)
		return
	case "oneOf", "anyOf":
		c.add(f, diag.ValuesNoBranch, at,
			"it fits more than one of the alternatives, and exactly one is allowed. Remove what belongs to the others.")
		return
	case "not":
		c.add(f, diag.ValuesInvalid, at, "the schema excludes %s.%s Change or remove it.", f.subject("this"), described(f))
		return
	}
	switch {
	case f.asks != nil && f.asks.Kind == value.Boolean && !f.field.KeyRange.IsZero():
		c.add(f, diag.ValuesNotAllowed, f.field.KeyRange, "the key %q is not allowed here. Remove it.", f.field.Key)
	case strings.Contains(e.AbsoluteKeywordLocation, "/dependencies/"),
		strings.Contains(e.AbsoluteKeywordLocation, "/dependentRequired/"):
		c.missing(f, []string{f.asks.Text()})
	default:
		c.add(f, diag.ValuesInvalid, at, "%s does not satisfy the schema's %q.%s Change it.",
			f.subject("it"), f.keyword, described(f))
	}
}

// comparisons are the words for the limits of numbers and lengths.
var comparisons = map[string]string{
	"minimum": "at least", "maximum": "at most", "exclusiveMinimum": "more than", "exclusiveMaximum": "less than",
	"multipleOf": "a multiple of", "minLength": "at least", "maxLength": "at most", "minItems": "at least",
	"maxItems": "at most", "additionalItems": "at most", "minProperties": "at least", "maxProperties": "at most",
}

func (c *checker) itemLimit(f finding) string {
	if f.keyword == "additionalItems" {
		return strconv.Itoa(len(f.owner.Get("items").Items))
	}
	return plainText(f.asks)
}

func count(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return strconv.Itoa(n) + " " + word + "s"
}

// unknownKeys reports the keys of a map that a closed schema does not name.
func (c *checker) unknownKeys(f finding) {
	sh := c.shapeOf(f.owner)
	known := knownKeys(sh)
	for _, field := range f.node.Fields {
		if sh.names(field.Key) {
			continue
		}
		if len(c.diags) >= maxFindings {
			return
		}
		if field.Value.Origin.Layer == layer.Registry {
			continue // visible to templates, as the design has it
		}
		below := f
		below.path, below.field, below.node = f.path.Key(field.Key), field, field.Value
		if props := f.owner.Get("properties"); props != nil {
			below.asks = props
		}
		below.node = &value.Node{Kind: field.Value.Kind, Origin: field.Value.Origin}
		advice := "Remove it."
		if near := diag.Nearest(field.Key, known); near != "" {
			advice = fmt.Sprintf("Did you mean %q?", near)
		} else if len(known) > 0 && len(known) <= 12 {
			advice = "Remove it; known are " + strings.Join(known, ", ") + "."
		}
		c.add(below, diag.ValuesUnknownKey, field.KeyRange, "%s %q%s. %s", hasNoKey(f, sh), field.Key, here(f, sh), advice)
	}
}

// here ends the sentence that hasNoKey begins, where that does not say of what it speaks: the path stands before it.
func here(f finding, sh *shape) string {
	if sh.node.Get("title").Text() == "" && len(f.path) > 0 {
		return " here"
	}
	return ""
}

// hasNoKey begins the sentence about an unknown key: by the title of the map's schema, if it has one.
func hasNoKey(f finding, sh *shape) string {
	switch title := sh.node.Get("title").Text(); {
	case title != "":
		return article(strings.ToLower(title[:1])+title[1:]) + " has no key"
	case len(f.path) == 0:
		return "the values have no key"
	default:
		return "the schema has no key"
	}
}

func knownKeys(sh *shape) []string {
	names := make([]string, len(sh.props))
	for i, p := range sh.props {
		names[i] = p.name
	}
	return names
}

// shapeOf returns the shape of a subschema. Every one has a shape, since all were walked.
func (c *checker) shapeOf(n *value.Node) *shape {
	if sh, ok := c.schema.shapes[n]; ok {
		return sh
	}
	return &shape{node: n}
}

// missing reports the keys that a map lacks, at the map: in the most specific file that opens it.
func (c *checker) missing(f finding, names []string) {
	for _, name := range names {
		if _, ok := f.node.Field(name); ok {
			continue
		}
		what := ""
		for _, sh := range possible(child(c.schema.at(f.path), value.Step{Key: name})) {
			if d := sh.node.Get("description").Text(); d != "" {
				what = " (" + strings.TrimSuffix(firstLine(d), ".") + ")"
				break
			}
		}
		at := f.place()
		below := f
		below.path = f.path.Key(name)
		below.node = &value.Node{}
		c.add(below, diag.ValuesMissing, at, "the key %q%s is missing. Add it.", name, what)
	}
}

func firstLine(s string) string {
	s, _, _ = strings.Cut(strings.TrimSpace(s), "\n")
	return s
}

// notAllowed reports a value that is none of those allowed.
func (c *checker) notAllowed(f finding, allowed []*value.Node) {
	texts := make([]string, len(allowed))
	for i, n := range allowed {
		texts[i] = plainText(n)
	}
	list := strings.Join(texts, ", ")
	if near := diag.Nearest(f.node.Text(), texts); near != "" && !c.schema.quiet && !c.schema.secretAt(c.root, f.path) {
		c.add(f, diag.ValuesNotAllowed, f.place(), "%s is not allowed. Did you mean %s? Allowed are %s.", c.show(f), near, list)
		return
	}
	c.add(f, diag.ValuesNotAllowed, f.place(), "%s is not allowed. Write one of %s.", c.show(f), list)
}

// duplicateItems reports the second of two equal items.
func (c *checker) duplicateItems(f finding) {
	for j := 1; j < len(f.node.Items); j++ {
		for i := range j {
			if sameValue(f.node.Items[i], f.node.Items[j]) {
				c.add(f, diag.ValuesNotAllowed, f.node.Items[j].Origin.Range, "item %d is the same as item %d. Remove one of them.", j+1, i+1)
				return
			}
		}
	}
	c.add(f, diag.ValuesNotAllowed, f.place(), "two items of the list are equal. Remove one of them.")
}

// sameValue reports whether two nodes hold equal values.
func sameValue(a, b *value.Node) bool {
	if a.Kind == value.Map || a.Kind == value.List {
		return a.Kind == b.Kind && fmt.Sprint(a.Plain()) == fmt.Sprint(b.Plain())
	}
	return a.Kind == b.Kind && a.Scalar == b.Scalar
}

// types names the types that a keyword allows.
func (c *checker) types(n *value.Node) string {
	var words []string
	for _, t := range textsOf(n) {
		words = append(words, article(typeWord(t)))
	}
	return strings.Join(words, " or ")
}

// typeWord is our word for a type of JSON Schema.
func typeWord(t string) string {
	switch t {
	case "object":
		return "map"
	case "array":
		return "list"
	}
	return t
}

// typeAdvice says how to write the value that is wanted.
func (c *checker) typeAdvice(f finding) string {
	wanted := textsOf(f.asks)
	wants := func(t string) bool { return slices.Contains(wanted, t) }
	written := f.node.Kind
	container := written == value.Map || written == value.List
	switch {
	case written == value.Null:
		return "Give it a value, or remove the key."
	case wants("string") && !container:
		return "Write it in quotes."
	case wants("array") && written != value.Map:
		return "Write each item on a line that starts with \"- \"."
	case wants("object"):
		return "Write it as \"key: value\" lines."
	case wants("array"):
		return "Write each item on a line that starts with \"- \"."
	case wants("boolean") && len(wanted) == 1:
		return booleanAdvice(f.node.Text())
	case wants("integer") || wants("number"):
		return numberAdvice(f, wants("number"))
	case wants("string"):
		return "Write one text."
	case wants("boolean"):
		return booleanAdvice(f.node.Text())
	default:
		return "Remove the key."
	}
}

// booleanAdvice says how to write a boolean, where text stands.
func booleanAdvice(text string) string {
	switch strings.ToLower(text) {
	case "true", "false":
		return "Write it without quotes."
	case "yes", "on", "y", "enabled":
		return "Write true."
	case "no", "off", "n", "disabled":
		return "Write false."
	}
	return "Write true or false."
}

// numberAdvice says how to write an integer or, with fraction, any number.
func numberAdvice(f finding, fraction bool) string {
	if text := f.node.Text(); text != "" {
		_, err := strconv.ParseInt(text, 10, 64)
		if err != nil && fraction {
			_, err = strconv.ParseFloat(text, 64)
		}
		if err == nil {
			return "Write it without quotes."
		}
	}
	kind := "an integer"
	if fraction {
		kind = "a number"
	}
	return fmt.Sprintf("Write %s, such as %s.", kind, exampleNumber(f.owner, fraction))
}

// exampleNumber is a number that a subschema allows: its default, its first example, its minimum.
func exampleNumber(owner *value.Node, fraction bool) string {
	candidates := []*value.Node{owner.Get("default")}
	if e := owner.Get("examples"); e != nil && len(e.Items) > 0 {
		candidates = append(candidates, e.Items[0])
	}
	for _, n := range append(candidates, owner.Get("minimum"), owner.Get("maximum")) {
		if n != nil && (n.Kind == value.Integer || n.Kind == value.Number && fraction) {
			return plainText(n)
		}
	}
	return "2"
}

// show names the value in a sentence, unless it is secret or long.
func (c *checker) show(f finding) string {
	const long = 60
	if f.named {
		return f.subject("")
	}
	if c.schema.quiet || c.schema.secretAt(c.root, f.path) || f.node.Kind == value.Map || f.node.Kind == value.List {
		return "the value"
	}
	text := plainText(f.node)
	if utf8.RuneCountInString(text) > long || strings.Contains(text, "\n") {
		return "the value"
	}
	if f.node.Kind == value.String {
		return strconv.Quote(text)
	}
	return text
}

// describe adds what the schema says the value is, to a sentence that says what it must look like; where it says nothing,
// what to do.
func (c *checker) describe(f finding) string {
	if d := described(f); d != "" || f.owner == nil {
		return d
	}
	return " Correct it."
}

// described is a sentence with what the schema says the value is, or nothing.
func described(f finding) string {
	if f.owner == nil {
		return ""
	}
	d := f.owner.Get("description").Text()
	if d == "" {
		return ""
	}
	return " The schema describes it as: " + strings.TrimSuffix(firstLine(d), ".") + "."
}

// plainText writes a value as it would be written in YAML, on one line.
func plainText(n *value.Node) string {
	switch {
	case n == nil || n.Kind == value.Null:
		return "null"
	case n.Kind == value.String && n.Text() == "":
		return `""`
	case n.Kind == value.Map || n.Kind == value.List:
		return "the " + string(n.Kind) + " of the schema"
	default:
		return fmt.Sprint(n.Scalar)
	}
}

// textsOf returns the strings of a string or a list of them.
func textsOf(n *value.Node) []string {
	if n == nil {
		return nil
	}
	if n.Kind == value.String {
		return []string{n.Text()}
	}
	texts := make([]string, len(n.Items))
	for i, item := range n.Items {
		texts[i] = item.Text()
	}
	return texts
}

func article(word string) string {
	switch {
	case word == "null" || word == "":
		return word
	case strings.ContainsRune("aeiou", rune(word[0])):
		return "an " + word
	}
	return "a " + word
}

// deprecated warns of values that are written though the schema wants them to go away.
func (c *checker) deprecated(path value.Path, n *value.Node, field value.Field, shapes []*shape) {
	for _, sh := range shapes {
		if sh.deprecated == "" || n.Origin.Layer == Layer || field.KeyRange.IsZero() {
			continue
		}
		c.diags = append(c.diags, diag.Diagnostic{
			Severity: diag.Warning, Code: diag.ValuesDeprecated, Path: path.String(), Range: field.KeyRange, Detail: sh.deprecated,
			Secret: inSecretFile(field.KeyRange) || c.schema.secretAt(c.root, path),
			Notes:  []diag.Note{{Message: "the schema says so here", Range: sh.node.Origin.Range}},
		})
		break
	}
	for _, f := range n.Fields {
		if below := possible(child(shapes, value.Step{Key: f.Key})); len(below) > 0 {
			c.deprecated(path.Key(f.Key), f.Value, f, below)
		}
	}
	for i, item := range n.Items {
		if below := possible(child(shapes, value.Step{Index: i, InList: true})); len(below) > 0 {
			c.deprecated(path.Index(i), item, value.Field{}, below)
		}
	}
}
