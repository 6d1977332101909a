package merge

import (
	"fmt"

	"github.com/redkubes/otomi/pkg/diag"
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

// firstList returns the position of the first list that counts: what stands before a null or another value is gone.
func firstList(entries []entry) int {
	start := 0
	for i, e := range entries {
		if e.node.Kind != value.List {
			start = i + 1
		}
	}
	return start
}

// lists combines lists, weakest first.
func (f *fold) lists(path value.Path, s Strategy, lists []entry) []*value.Node {
	if s.Key != "" {
		return f.keyed(path, s.Key, lists)
	}
	var items []entry
	for _, e := range lists {
		for _, item := range e.node.Items {
			items = append(items, entry{node: item, secret: e.secret})
		}
	}
	if s.Unique {
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
	seen := map[string]bool{}
	for _, item := range items {
		text := item.node.Canonical()
		if !seen[text] {
			seen[text] = true
			out = append(out, item.node)
		}
	}
	return out
}

// keyed merges the items of lists that have the same scalar under key, and warns of those that are in one list.
func (f *fold) keyed(path value.Path, key string, lists []entry) []*value.Node {
	type group struct {
		items []entry
		// list is that of the last item.
		list int
	}
	var groups []*group
	byKey := map[any]*group{}
	for i, list := range lists {
		for _, node := range list.node.Items {
			item := entry{node: node, secret: list.secret}
			id := node.Get(key)
			if id == nil || id.Scalar == nil {
				groups = append(groups, &group{items: []entry{item}})
				continue
			}
			g, ok := byKey[id.Scalar]
			if !ok {
				g = &group{}
				byKey[id.Scalar] = g
				groups = append(groups, g)
			} else if g.list == i {
				f.duplicate(path, key, g.items[len(g.items)-1], item)
			}
			g.items, g.list = append(g.items, item), i
		}
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

// duplicate warns of two items of one list that are merged.
func (f *fold) duplicate(path value.Path, key string, first, second entry) {
	f.diags = append(f.diags, diag.Diagnostic{
		Severity: diag.Warning, Code: diag.ValuesDuplicateItem, Path: path.String(), Range: second.node.Get(key).Origin.Range,
		Secret: first.secret || second.secret,
		Detail: fmt.Sprintf("two items of this list have the same %s, by which the schema's x-merge tells items apart. They become one, "+
			"in which the later one wins. Put them together, or give each its own %s.", key, key),
		Notes: []diag.Note{{Message: "the other item", Range: first.node.Get(key).Origin.Range}},
	})
}
