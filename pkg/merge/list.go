package merge

import (
	"reflect"

	"github.com/redkubes/otomi/pkg/value"
)

// Strategy says how a list combines with the weaker ones at its path. The zero Strategy replaces them.
type Strategy struct {
	// Append puts the items of the stronger list after those of the weaker.
	Append bool
	// Unique appends only items that are not there yet.
	Unique bool
	// Key merges items that are maps and have the same value under this key; others are appended. The order is that of
	// first appearance.
	Key string
}

// lists combines the lists among entries, weakest first; what stands before a null or another value is gone.
func (f *fold) lists(path value.Path, s Strategy, entries []entry) []*value.Node {
	start := 0
	for i, e := range entries {
		if e.node.Kind != value.List {
			start = i + 1
		}
	}
	var items []entry
	for _, e := range entries[start:] {
		for _, item := range e.node.Items {
			items = append(items, entry{node: item, secret: e.secret})
		}
	}
	switch {
	case s.Key != "":
		return f.keyed(path, s.Key, items)
	case s.Unique:
		return unique(items)
	}
	out := make([]*value.Node, len(items))
	for i, item := range items {
		out[i] = item.node
	}
	return out
}

func unique(items []entry) []*value.Node {
	var out []*value.Node
	seen := map[any]bool{}
	for _, item := range items {
		plain := item.node.Plain()
		if item.node.Kind == value.Map || item.node.Kind == value.List {
			if containsEqual(out, plain) {
				continue
			}
		} else if seen[plain] {
			continue
		} else {
			seen[plain] = true
		}
		out = append(out, item.node)
	}
	return out
}

func containsEqual(nodes []*value.Node, plain any) bool {
	for _, n := range nodes {
		if reflect.DeepEqual(n.Plain(), plain) {
			return true
		}
	}
	return false
}

// keyed merges the items that have the same scalar under key.
func (f *fold) keyed(path value.Path, key string, items []entry) []*value.Node {
	type group struct{ items []entry }
	var groups []*group
	byKey := map[any]*group{}
	for _, item := range items {
		id := item.node.Get(key)
		if id == nil || id.Scalar == nil {
			groups = append(groups, &group{[]entry{item}})
			continue
		}
		g, ok := byKey[id.Scalar]
		if !ok {
			g = &group{}
			byKey[id.Scalar] = g
			groups = append(groups, g)
		}
		g.items = append(g.items, item)
	}
	out := make([]*value.Node, len(groups))
	for i, g := range groups {
		if len(g.items) == 1 {
			out[i] = g.items[0].node
			continue
		}
		out[i] = f.merge(path.Index(i), g.items)
	}
	return out
}
