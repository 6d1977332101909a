package schema

import (
	"slices"

	"github.com/redkubes/otomi/pkg/value"
)

// The bounds of one filling. Compile refuses what can be seen to pass them; what only the values can bring about, a map in
// which many defaults come together, Validate reports.
const (
	// maxFilled bounds the keys and items of the defaults that one tree gets.
	maxFilled = 500_000
	// maxFillDepth bounds how many defaults may stand in each other.
	maxFillDepth = 256
)

// Fill returns the tree with the schema's defaults where nothing is written, in objects that exist. A default has the
// layer Layer and its place in the schema. Only defaults that certainly apply count: those below anyOf, oneOf and
// conditions do not. The input stays as it is; parts that nothing is added to are in both trees.
//
// A tree that would get more than half a million keys and items gets a part of them, and Validate has an error about it.
func (s *Schema) Fill(root *value.Node) *value.Node {
	f := &filler{left: maxFilled}
	return f.fill(root, s.root.sure, 0)
}

// overFilled reports whether Fill has given a tree only a part of its defaults.
func (s *Schema) overFilled(root *value.Node) bool {
	f := &filler{left: maxFilled}
	f.fill(written(root), s.root.sure, 0)
	return f.spent
}

// filler fills the defaults of one tree.
type filler struct {
	// left is how many keys and items of defaults may still come.
	left  int
	spent bool
}

// fill fills n, which stands in depth defaults.
func (f *filler) fill(n *value.Node, shapes []*shape, depth int) *value.Node {
	if depth > 0 {
		f.left -= 1 + len(n.Fields) + len(n.Items)
	}
	if f.left < 0 || depth > maxFillDepth {
		f.spent = true
	}
	if len(shapes) == 0 || f.spent {
		return n
	}
	switch n.Kind {
	case value.Map:
		return f.fillMap(n, shapes, depth)
	case value.List:
		items := n.Items
		for i, item := range n.Items {
			filled := f.fill(item, sure(child(shapes, value.Step{Index: i, InList: true})), depth)
			if filled == item {
				continue
			}
			if &items[0] == &n.Items[0] {
				items = slices.Clone(n.Items)
			}
			items[i] = filled
		}
		if len(items) == 0 || &items[0] == &n.Items[0] {
			return n
		}
		out := *n
		out.Items = items
		return &out
	default:
		return n
	}
}

func (f *filler) fillMap(n *value.Node, shapes []*shape, depth int) *value.Node {
	fields, changed := n.Fields, false
	own := func() {
		if !changed {
			changed = true
			fields = slices.Clone(n.Fields)
		}
	}
	for i, field := range n.Fields {
		if field.Value.Kind != value.Map && field.Value.Kind != value.List {
			continue
		}
		if filled := f.fill(field.Value, sure(child(shapes, value.Step{Key: field.Key})), depth); filled != field.Value {
			own()
			fields[i].Value = filled
		}
	}
	for d := range absent(n, shapes) {
		own()
		fields = append(fields, value.Field{
			Key: d.name, KeyRange: d.fallback.KeyRange, Value: f.fill(d.fallback.Value, d.shapes, depth+1),
		})
	}
	if !changed {
		return n
	}
	out := *n
	out.Fields = fields
	return &out
}

// given is a default that a map gets, with the shapes that apply to it.
type given struct {
	name     string
	fallback *value.Field
	shapes   []*shape
}

// absent yields the defaults of the keys that a map lacks.
func absent(n *value.Node, shapes []*shape) func(yield func(given) bool) {
	return func(yield func(given) bool) {
		has := make(map[string]bool, len(n.Fields))
		for _, f := range n.Fields {
			has[f.Key] = true
		}
		for _, sh := range shapes {
			for _, p := range sh.props {
				if has[p.name] {
					continue
				}
				below := sure(child(shapes, value.Step{Key: p.name}))
				i := slices.IndexFunc(below, func(sh *shape) bool { return sh.fallback != nil })
				if i < 0 {
					continue
				}
				has[p.name] = true
				if !yield(given{p.name, below[i].fallback, below}) {
					return
				}
			}
		}
	}
}
