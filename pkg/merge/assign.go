package merge

import "github.com/redkubes/otomi/pkg/value"

// assign lays single values from flags over a tree, as helmfile does for --state-values-set (pkg/maputil, MergeMaps with
// ArrayMergeStrategyMerge). Neither input changes.
func assign(base, over *value.Node) *value.Node {
	switch {
	case over.Kind == value.Null:
		return base
	case base.Kind == value.Map && over.Kind == value.Map:
		out := *base // with its place: a flag has none
		out.Fields = append([]value.Field(nil), base.Fields...)
		at := make(map[string]int, len(out.Fields))
		for i, f := range out.Fields {
			at[f.Key] = i
		}
		for _, f := range over.Fields {
			if i, ok := at[f.Key]; ok {
				out.Fields[i].Value = assign(out.Fields[i].Value, f.Value)
				continue
			}
			out.Fields = append(out.Fields, f)
		}
		return &out
	case base.Kind == value.List && over.Kind == value.List:
		out := *base
		out.Origin = over.Origin
		out.Items = append([]*value.Node(nil), base.Items...)
		for i, item := range over.Items {
			if i < len(out.Items) {
				out.Items[i] = assign(out.Items[i], item)
				continue
			}
			out.Items = append(out.Items, item)
		}
		return &out
	default:
		out := *over
		out.Overrides = append(append([]*value.Node(nil), over.Overrides...), flat(base)...)
		return &out
	}
}
