package schema

import (
	"slices"

	"github.com/redkubes/otomi/pkg/value"
)

// Fill returns the tree with the schema's defaults where nothing is written, in objects that exist. A default has the
// layer Layer and its place in the schema. Only defaults that certainly apply count: those below anyOf, oneOf and
// conditions do not. The input stays as it is; parts that nothing is added to are in both trees.
func (s *Schema) Fill(root *value.Node) *value.Node {
	return fill(root, s.root.sure)
}

func fill(n *value.Node, shapes []*shape) *value.Node {
	if len(shapes) == 0 {
		return n
	}
	switch n.Kind {
	case value.Map:
		return fillMap(n, shapes)
	case value.List:
		items := n.Items
		for i, item := range n.Items {
			filled := fill(item, sure(child(shapes, value.Step{Index: i, InList: true})))
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

func fillMap(n *value.Node, shapes []*shape) *value.Node {
	fields, changed := n.Fields, false
	own := func() {
		if !changed {
			changed = true
			fields = slices.Clone(n.Fields)
		}
	}
	has := make(map[string]bool, len(n.Fields))
	for i, f := range n.Fields {
		has[f.Key] = true
		if f.Value.Kind != value.Map && f.Value.Kind != value.List {
			continue
		}
		if filled := fill(f.Value, sure(child(shapes, value.Step{Key: f.Key}))); filled != f.Value {
			own()
			fields[i].Value = filled
		}
	}
	for _, sh := range shapes {
		for _, p := range sh.props {
			if has[p.name] {
				continue
			}
			below := sure(child(shapes, value.Step{Key: p.name}))
			for _, candidate := range below {
				if d := candidate.fallback; d != nil {
					has[p.name] = true
					own()
					fields = append(fields, value.Field{Key: p.name, KeyRange: d.KeyRange, Value: fill(d.Value, below)})
					break
				}
			}
		}
	}
	if !changed {
		return n
	}
	out := *n
	out.Fields = fields
	return &out
}
