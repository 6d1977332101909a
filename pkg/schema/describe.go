package schema

import (
	"slices"
	"strings"

	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/value"
)

// Description is what the schema says about the value at a path.
type Description struct {
	// Text is the schema's description as it is written there.
	Text string
	// Type is in our words: "integer", "string or null", "list of maps", "map of strings"; "any" where the schema wants none.
	Type string
	// Default is the value that Fill would write, with its place in the schema; nil where there is none.
	Default *value.Node
	// Deprecated is what the schema tells those who still write the value; empty where it may be written.
	Deprecated string
	// Secret says that the value is secret, or stands in one that is.
	Secret bool
	// Range is the place in the schema: the key of the property, or the subschema where no key names it.
	Range diag.Range
}

// Describe tells what the schema says about the value at a path, in whatever alternative; what stands beside a $ref goes
// before what stands at its target. It returns false for a path that the schema knows nothing of.
func (s *Schema) Describe(path value.Path) (Description, bool) {
	shapes, parents := s.root.possible, []*shape(nil)
	surely := s.root.sure
	secret := slices.ContainsFunc(shapes, (*shape).isSecret)
	for _, step := range path {
		parents = shapes
		shapes = possible(child(shapes, step))
		surely = sure(child(surely, step))
		secret = secret || slices.ContainsFunc(shapes, (*shape).isSecret)
	}
	if len(shapes) == 0 {
		return Description{}, false
	}
	d := Description{Type: typeOf(shapes), Secret: secret, Range: shapes[0].node.Origin.Range}
	if len(path) > 0 {
		d.Range = placeOf(parents, path[len(path)-1], d.Range)
	}
	for _, sh := range shapes {
		if d.Text == "" {
			d.Text = sh.node.Get("description").Text()
		}
		if d.Deprecated == "" {
			d.Deprecated = sh.deprecated
		}
	}
	// As in Fill: a default of an alternative does not apply.
	for _, sh := range surely {
		if sh.fallback != nil {
			d.Default = sh.fallback.Value
			break
		}
	}
	return d, true
}

func (sh *shape) isSecret() bool { return sh.secret }

// placeOf returns the key under which the schema describes one step below parents, or otherwise.
func placeOf(parents []*shape, step value.Step, otherwise diag.Range) diag.Range {
	if step.InList {
		return otherwise
	}
	for _, sh := range parents {
		if f, ok := sh.node.Get("properties").Field(step.Key); ok {
			return f.KeyRange
		}
	}
	for _, sh := range parents {
		for _, p := range sh.patterns {
			if p.re.MatchString(step.Key) {
				f, _ := sh.node.Get("patternProperties").Field(p.re.String())
				return f.KeyRange
			}
		}
	}
	return otherwise
}

// typeOf names the types that shapes allow for one value: those that certainly apply say more than the alternatives.
func typeOf(shapes []*shape) string {
	if len(shapes) == 0 {
		return anyType
	}
	if t := wordsOf(sure(shapes[:1])); t != "" {
		return t
	}
	if t := wordsOf(shapes); t != "" {
		return t
	}
	return anyType
}

const anyType = "any"

// wordsOf joins the types of all shapes. It returns "" where none says one.
func wordsOf(shapes []*shape) string {
	var words []string
	for _, sh := range shapes {
		for _, w := range sh.typeWords() {
			if !slices.Contains(words, w) {
				words = append(words, w)
			}
		}
	}
	return strings.Join(words, " or ")
}

// typeWords are bareWords, with what a list or a map holds.
func (sh *shape) typeWords() []string {
	words := sh.bareWords()
	for i, w := range words {
		words[i] = sh.containerWord(w)
	}
	return words
}

// bareWords are the types that one shape allows by itself: by type, or by what its enum, const or properties hold.
func (sh *shape) bareWords() []string {
	n := sh.node
	var words []string
	for _, t := range textsOf(n.Get("type")) {
		words = append(words, typeWord(t))
	}
	if len(words) > 0 {
		return words
	}
	allowed := []*value.Node{}
	if e := n.Get("enum"); e != nil {
		allowed = e.Items
	}
	if c := n.Get("const"); c != nil {
		allowed = append(allowed, c)
	}
	for _, a := range allowed {
		if w := string(a.Kind); !slices.Contains(words, w) {
			words = append(words, w)
		}
	}
	switch {
	case len(words) > 0:
		return words
	case len(sh.props) > 0, len(sh.patterns) > 0, sh.additional != nil:
		return []string{"map"}
	case sh.items != nil, len(sh.prefix) > 0:
		return []string{"list"}
	}
	return nil
}

// containerWord adds to list and map what they hold, where that is one simple type.
func (sh *shape) containerWord(word string) string {
	held := sh.items
	switch {
	case word == "map" && len(sh.props) == 0 && sh.additional != nil:
		held = sh.additional
	case word != "list":
		return word
	}
	if held == nil {
		return word
	}
	inner := directWord(held)
	if inner == "" {
		return word
	}
	return word + " of " + inner + "s"
}

// directWord is the one type of a shape, without what it holds in turn; "" where it has none or several.
func directWord(sh *shape) string {
	for _, s := range sh.sure {
		if types := textsOf(s.node.Get("type")); len(types) == 1 {
			return typeWord(types[0])
		}
		if len(s.props) > 0 {
			return "map"
		}
	}
	return ""
}
