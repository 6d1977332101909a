package value

import (
	"reflect"
	"slices"
)

// IsLeaf reports whether a node is one of the values that layers are counted by: a scalar, a null, a whole list or an
// empty map.
func (n *Node) IsLeaf() bool { return n != nil && (n.Kind != Map || len(n.Fields) == 0) }

// Leaves calls visit for every leaf below a map, in the order of appearance. The root itself is no leaf of itself while
// it is a map: an empty tree has none.
func (n *Node) Leaves(visit func(Path, *Node)) {
	n.Walk(func(p Path, node *Node) bool {
		if node.Kind == Map && (len(p) == 0 || len(node.Fields) > 0) {
			return true
		}
		visit(p, node)
		return false
	})
}

// Beaten returns what the value at a path of a merged tree overrode, the strongest first: its own overrides, and what
// the lists and values that a list around it replaced had at the same place.
func (n *Node) Beaten(path Path) []*Node {
	var out []*Node
	target := n.At(path)
	if target == nil {
		return nil
	}
	for depth := len(path); depth >= 0; depth-- {
		for _, o := range n.At(path[:depth]).Overrides {
			beaten := o.At(path[depth:])
			if beaten != nil && !same(beaten, target) && !contains(out, beaten) {
				out = append(out, beaten)
			}
		}
	}
	return out
}

func contains(nodes []*Node, n *Node) bool {
	for _, o := range nodes {
		if same(o, n) {
			return true
		}
	}
	return false
}

// same reports whether two nodes are one and the same written value, also where a stage copied one of them.
func same(a, b *Node) bool {
	return a == b || a.Origin == b.Origin && a.Kind == b.Kind && !a.Origin.Range.IsZero()
}

// Difference is a place at which two trees have different values; a value that is not there is nil.
type Difference struct {
	Path Path
	A, B *Node
}

// Differences returns where two trees differ, in the order in which a, then b, has the places: as deep as maps, and lists
// of the same length, go in both. Of lists of maps of different lengths the items that one side lacks are told, each with its
// number in the list that has it. Origins make no difference.
func Differences(a, b *Node) []Difference { return differences(nil, a, b) }

func differences(path Path, a, b *Node) []Difference {
	var out []Difference
	switch {
	case a == nil && b == nil:
		return nil
	case a.branches() && b.branches():
	case a.branches() && b == nil:
	case b.branches() && a == nil:
	case a != nil && b != nil && a.Kind == List && b.Kind == List && len(a.Items) == len(b.Items):
		for i := range a.Items {
			out = append(out, differences(path.Index(i), a.Items[i], b.Items[i])...)
		}
		return out
	case a.holdsMaps() && b.holdsMaps():
		return lacking(path, a.Items, b.Items)
	case a != nil && b != nil && a.Kind == b.Kind && reflect.DeepEqual(a.Plain(), b.Plain()):
		return nil
	default:
		return []Difference{{Path: path, A: a, B: b}}
	}
	if a != nil {
		for _, f := range a.Fields {
			out = append(out, differences(path.Key(f.Key), f.Value, b.Get(f.Key))...)
		}
	}
	if b != nil {
		for _, f := range b.Fields {
			if _, ok := a.Field(f.Key); !ok {
				out = append(out, differences(path.Key(f.Key), nil, f.Value)...)
			}
		}
	}
	return out
}

// holdsMaps reports whether a node is a list of maps, and of nothing else.
func (n *Node) holdsMaps() bool {
	notMap := func(item *Node) bool { return item.Kind != Map }
	return n != nil && n.Kind == List && len(n.Items) > 0 && !slices.ContainsFunc(n.Items, notMap)
}

// lacking returns the differences of two lists, in which an item of the one goes with an equal item of the other wherever
// that stands; of the others, items of the same number go together.
func lacking(path Path, a, b []*Node) []Difference {
	restA, restB := map[int]*Node{}, map[int]*Node{}
	equal := map[string][]int{}
	for i, item := range b {
		text := item.Canonical()
		restB[i], equal[text] = item, append(equal[text], i)
	}
	for i, item := range a {
		text := item.Canonical()
		if len(equal[text]) == 0 {
			restA[i] = item
			continue
		}
		delete(restB, equal[text][0])
		equal[text] = equal[text][1:]
	}
	var out []Difference
	for i := range max(len(a), len(b)) {
		switch itemA, itemB := restA[i], restB[i]; {
		case itemA != nil && itemB != nil:
			out = append(out, differences(path.Index(i), itemA, itemB)...)
		case itemA != nil || itemB != nil:
			out = append(out, Difference{Path: path.Index(i), A: itemA, B: itemB})
		}
	}
	return out
}

// branches reports whether a node is a map with entries.
func (n *Node) branches() bool { return n != nil && n.Kind == Map && len(n.Fields) > 0 }
