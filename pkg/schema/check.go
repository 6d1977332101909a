package schema

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/source"
	"github.com/redkubes/otomi/pkg/value"
	"github.com/santhosh-tekuri/jsonschema/v5"
)

// Check reads the schema at path as Compile does and reports its mistakes: as errors those for which Compile refuses it, as
// warnings what is legal and cannot be meant. Of the schema that it returns only the Sources may be used.
func Check(stack source.Tree, path string) (*Schema, diag.Diagnostics, error) {
	r := newReader(stack)
	r.lenient = true
	if err := r.read(path); err != nil {
		return nil, nil, err
	}
	l := &linter{reader: r, seen: map[diag.Range]bool{}, filler: filler{left: maxFilled}}
	l.keywords()
	if !r.broken() {
		r.close()
	}
	if !r.broken() {
		l.impossible()
		if err := r.compile(); err != nil {
			return nil, nil, err
		}
	}
	if !r.broken() {
		l.ownValues()
	}
	return r.schema, r.diags.Sorted(), nil
}

// broken reports whether the schema cannot be looked at further. A pattern that does not compile can be left out.
func (r *reader) broken() bool {
	return slices.ContainsFunc(r.diags, func(d diag.Diagnostic) bool {
		return d.Severity == diag.Error && d.Code != diag.SchemaBadPattern
	})
}

// linter finds what is legal in a schema and cannot be meant.
type linter struct {
	*reader
	// seen are the places that a contradiction was reported at: several maps may share one.
	seen map[diag.Range]bool
	work int
	// filler has one budget for all defaults; those that come after it is spent are checked without what is below them.
	filler filler
}

// maxLint bounds the pairs of subschemas that are compared.
const maxLint = 5_000_000

// keywords warns of keywords that have no effect where they stand.
func (l *linter) keywords() {
	for _, sh := range l.shapes {
		if sh.node.Kind != value.Map {
			continue
		}
		for _, f := range sh.node.Fields {
			if k, ok := keywords[f.Key]; ok {
				l.effect(sh, f, k)
			}
		}
		l.limits(sh)
		if props := sh.node.Get("properties"); props != nil {
			for _, p := range props.Fields {
				l.misplaced(p)
			}
		}
	}
}

// structural are the keywords that hardly anybody gives a key of values as its name.
var structural = []string{
	"additionalProperties", "patternProperties", "unevaluatedProperties", "propertyNames", "dependentRequired", "dependentSchemas",
	"minProperties", "maxProperties", "prefixItems", "additionalItems", "$ref", "$defs", "allOf", "anyOf", "oneOf",
	"x-secret", "x-merge", "x-deprecated",
}

// misplaced warns of a property that has a keyword's name and was likely meant one level up.
func (l *linter) misplaced(f value.Field) {
	_, known := keywords[f.Key]
	if known && f.Value.Kind == value.Boolean || slices.Contains(structural, f.Key) {
		l.warn(diag.SchemaMisplaced, f.KeyRange,
			"this describes a key of the values that is named %q. If the keyword is meant, write it beside properties, not below it.", f.Key)
	}
}

// effect warns of a keyword that its neighbours leave without effect.
func (l *linter) effect(sh *shape, f value.Field, k keyword) {
	n := sh.node
	draft := "draft 2020-12"
	if l.schema.draft07 {
		draft = "draft-07"
	}
	switch {
	case k.draft != "" && (k.draft == only07) != l.schema.draft07:
		l.warn(diag.SchemaOtherDraft, f.KeyRange,
			"%q is of %s and has no effect in this schema, which is of %s. %s", f.Key, k.draft, draft, otherDraftAdvice(f.Key))
		return
	case l.schema.draft07 && !k.note && f.Key != "$ref" && n.Get("$ref") != nil:
		l.warn(diag.SchemaIgnoredKeyword, f.KeyRange,
			"draft-07 ignores %q beside a $ref. Put both into allOf: [{$ref: …}, {%s: …}].", f.Key, f.Key)
		return
	}
	needs := ""
	switch f.Key {
	case "then", "else":
		needs = "if"
	case "minContains", "maxContains":
		needs = "contains"
	}
	if needs != "" && n.Get(needs) == nil {
		l.warn(diag.SchemaIgnoredKeyword, f.KeyRange, "%q has no effect without %q. Add that, or remove this.", f.Key, needs)
	}
	if items := n.Get("items"); f.Key == "additionalItems" && (items == nil || items.Kind != value.List) {
		l.warn(diag.SchemaIgnoredKeyword, f.KeyRange, "additionalItems has no effect where items is no list of schemas. Write items, or remove it.")
	}
	if allowed := textsOf(n.Get("type")); k.of != "" && len(allowed) > 0 && !slices.Contains(allowed, k.of) &&
		(k.of != "number" || !slices.Contains(allowed, "integer")) {
		l.warn(diag.SchemaIgnoredKeyword, f.KeyRange, "%q is about %ss and has no effect on %s. Remove it, or correct the type.",
			f.Key, typeWord(k.of), article(typeWord(allowed[0])))
	}
	if _, ok := jsonschema.Formats[f.Value.Text()]; f.Key == "format" && !ok {
		known := []string{}
		for name := range jsonschema.Formats {
			known = append(known, name)
		}
		advice := "Write a pattern, or remove it."
		if near := diag.Nearest(f.Value.Text(), known); near != "" {
			advice = fmt.Sprintf("Did you mean %q?", near)
		}
		l.warn(diag.SchemaIgnoredKeyword, f.Value.Origin.Range, "the format %q is not known and has no effect. %s", f.Value.Text(), advice)
	}
}

func otherDraftAdvice(keyword string) string {
	switch keyword {
	case "prefixItems":
		return "Write items, with the list."
	case "additionalItems":
		return "Write items."
	case "dependentSchemas", "dependentRequired":
		return "Write dependencies."
	case "unevaluatedProperties":
		return "Write additionalProperties, or name the newer draft."
	case "$dynamicRef":
		return "Write $ref."
	}
	return "Remove it, or name the other draft in $schema."
}

// limits warns of a lower limit above the upper one.
func (l *linter) limits(sh *shape) {
	pairs := [][2]string{
		{"minimum", "maximum"}, {"exclusiveMinimum", "maximum"}, {"minimum", "exclusiveMaximum"}, {"minLength", "maxLength"},
		{"minItems", "maxItems"}, {"minProperties", "maxProperties"}, {"minContains", "maxContains"},
	}
	for _, p := range pairs {
		low, high := sh.node.Get(p[0]), sh.node.Get(p[1])
		if low == nil || high == nil {
			continue
		}
		lowest, okLow := numeral(low)
		highest, okHigh := numeral(high)
		if okLow && okHigh && lowest > highest {
			l.contradicts(low.Origin.Range, high.Origin.Range, "the limit is here",
				"%s is above %s: %s > %s. Exchange or correct them.", p[0], p[1], plainText(low), plainText(high))
		}
	}
}

// contradicts warns once of a place where no value fits, with the other place that makes it so.
func (l *linter) contradicts(at, because diag.Range, message, format string, args ...any) {
	if l.seen[at] {
		return
	}
	l.seen[at] = true
	l.warn(diag.SchemaImpossible, at, format, args...)
	l.diags[len(l.diags)-1].Notes = []diag.Note{{Message: message, Range: because}}
}

// impossible warns of what contradicts something that applies to the same value.
func (l *linter) impossible() {
	for _, sh := range l.shapes {
		for _, strict := range sh.sure {
			if l.ignoresSiblings(strict) {
				continue
			}
			closed := strict.node.Get("additionalProperties")
			if closed != nil && closed.Scalar != false {
				closed = nil
			}
			if closed == nil && len(strict.props) == 0 {
				continue
			}
			for _, other := range sh.possible {
				if l.work++; l.work > maxLint {
					return
				}
				if l.ignoresSiblings(other) {
					continue
				}
				if closed != nil {
					l.requiredUnknown(strict, other, closed)
				}
				if other != strict {
					l.neverAllowed(strict, other)
				}
			}
		}
	}
}

func (l *linter) ignoresSiblings(sh *shape) bool {
	return l.schema.draft07 && sh.node.Get("$ref") != nil
}

// requiredUnknown warns of required keys that a closed map does not have.
func (l *linter) requiredUnknown(strict, other *shape, closed *value.Node) {
	required := other.node.Get("required")
	if required == nil {
		return
	}
	for _, name := range required.Items {
		if strict.names(name.Text()) {
			continue
		}
		advice := "Add it to the properties, or remove it here."
		if near := diag.Nearest(name.Text(), knownKeys(strict)); near != "" {
			advice = fmt.Sprintf("Did you mean %q?", near)
		}
		l.contradicts(name.Origin.Range, closed.Origin.Range, "the map is closed here",
			"%q is required, and the map that it is required of is closed and has no such key: nothing fits. %s", name.Text(), advice)
	}
}

// neverAllowed warns of values that one subschema names and another, for the same key, does not allow.
func (l *linter) neverAllowed(strict, other *shape) {
	for _, p := range other.props {
		same := strict.byName[p.name]
		if same == nil {
			continue
		}
		for _, s := range same.sure {
			enum := s.node.Get("enum")
			if enum == nil || l.ignoresSiblings(s) {
				continue
			}
			for _, v := range allowedBy(p.shape.node) {
				if slices.ContainsFunc(enum.Items, func(e *value.Node) bool { return sameValue(e, v) }) {
					continue
				}
				texts := make([]string, len(enum.Items))
				for i, e := range enum.Items {
					texts[i] = plainText(e)
				}
				advice := "Write one of " + strings.Join(texts, ", ") + "."
				if near := diag.Nearest(v.Text(), texts); near != "" {
					advice = fmt.Sprintf("Did you mean %s?", near)
				}
				l.contradicts(v.Origin.Range, enum.Origin.Range, "the values are listed here",
					"%s is no value that the key %q may have: nothing fits. %s", plainText(v), p.name, advice)
			}
		}
	}
}

// allowedBy returns the values that const and enum of a subschema name.
func allowedBy(n *value.Node) []*value.Node {
	var out []*value.Node
	if c := n.Get("const"); c != nil {
		out = append(out, c)
	}
	if e := n.Get("enum"); e != nil {
		out = append(out, e.Items...)
	}
	return out
}

// ownValues warns of defaults, examples and allowed values that do not fit the subschema they stand in.
func (l *linter) ownValues() {
	t := &trials{applied: map[*shape][]weighted{}}
	for _, f := range l.schema.order {
		f.root.Walk(func(p value.Path, n *value.Node) bool {
			if sh := l.schema.shapes[n]; sh != nil && !l.fitsItself(f, p, sh, t) {
				return false
			}
			return t.n <= maxTrials
		})
	}
	if t.n > maxTrials {
		l.warn(diag.SchemaBudget, l.schema.root.node.Origin.Range,
			"not all defaults and examples were checked: more than %d alternatives apply to them. Nothing needs to be done.", maxTrials)
	}
}

// fitsItself checks the values of one subschema; it returns false when the budget is spent.
func (l *linter) fitsItself(f *file, p value.Path, sh *shape, t *trials) bool {
	type candidate struct {
		what string
		node *value.Node
	}
	var candidates []candidate
	if d := sh.node.Get("default"); d != nil {
		// What the defaults below it give need not be said again.
		candidates = append(candidates, candidate{"the default", l.filler.fill(d, sh.sure, 0)})
	}
	if e := sh.node.Get("examples"); e != nil {
		for i, n := range e.Items {
			candidates = append(candidates, candidate{"example " + strconv.Itoa(i+1), n})
		}
	}
	if e := sh.node.Get("enum"); e != nil && len(sh.node.Fields) > 1 {
		for i, n := range e.Items {
			candidates = append(candidates, candidate{"value " + strconv.Itoa(i+1) + " of the enum", n})
		}
	}
	if n := sh.node.Get("const"); n != nil && len(sh.node.Fields) > 1 {
		candidates = append(candidates, candidate{"the const", n})
	}
	if len(candidates) == 0 {
		return true
	}
	compiled, err := l.compiler.Compile(scheme + f.path + "#" + pointerTo(p))
	if err != nil {
		return true // Compile has compiled it as part of the whole
	}
	for _, v := range candidates {
		if t.over(v.node, map[*shape]int{sh: 1}) {
			return false
		}
		for _, d := range l.misfits(compiled, v.node) {
			if d.Path != "" {
				d.Detail = "at " + d.Path + ": " + d.Detail
			}
			l.diags = append(l.diags, diag.Diagnostic{
				Severity: diag.Warning, Code: diag.SchemaUnfitValue, Range: d.Range, Notes: d.Notes,
				Detail: v.what + " does not fit its own schema: " + d.Detail,
			})
		}
	}
	return true
}

// misfits returns the findings about one value of the schema. What it lacks is none: a default or an example may be a part.
func (l *linter) misfits(compiled *jsonschema.Schema, n *value.Node) diag.Diagnostics {
	var invalid *jsonschema.ValidationError
	if !errors.As(compiled.Validate(n.Plain()), &invalid) {
		return nil
	}
	c := &checker{schema: l.schema, root: n}
	c.visit(invalid)
	return slices.DeleteFunc(c.diags.Sorted(), func(d diag.Diagnostic) bool {
		return d.Code == diag.ValuesMissing || d.Code == diag.ValuesNoBranch && n.Kind == value.Map
	})
}

// pointerTo writes a path as a JSON pointer, percent-encoded as in an address.
func pointerTo(p value.Path) string {
	var b strings.Builder
	for _, step := range p {
		b.WriteByte('/')
		if step.InList {
			b.WriteString(strconv.Itoa(step.Index))
			continue
		}
		b.WriteString(escapeStep(step.Key))
	}
	return b.String()
}
