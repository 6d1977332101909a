package schema

import (
	"github.com/redkubes/otomi/pkg/value"
)

// Fill returns the tree with the schema's defaults where nothing is written, in objects that exist. A default has the
// layer Layer and its place in the schema. Only defaults that certainly apply count: those below anyOf, oneOf and
// conditions do not. The input stays as it is.
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
		out := *n
		out.Items = make([]*value.Node, len(n.Items))
		for i, item := range n.Items {
			out.Items[i] = fill(item, sure(child(shapes, value.Step{Index: i, InList: true})))
		}
		return &out
	default:
		return n
	}
}

func fillMap(n *value.Node, shapes []*shape) *value.Node {
	out := *n
	out.Fields = make([]value.Field, 0, len(n.Fields))
	has := make(map[string]bool, len(n.Fields))
	for _, f := range n.Fields {
		has[f.Key] = true
		f.Value = fill(f.Value, sure(child(shapes, value.Step{Key: f.Key})))
		out.Fields = append(out.Fields, f)
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
					out.Fields = append(out.Fields, value.Field{Key: p.name, KeyRange: d.KeyRange, Value: fill(d.Value, below)})
					break
				}
			}
		}
	}
	return &out
}
