// Package merge folds layers into one tree.
//
// How two maps combine is decided by mergo, as Helm's and helmfile's users know it; this package keeps, beside that, the
// node of every leaf, so that the result knows where each value was written and what it beat. It does not know which file
// is the stronger one (package layer does) and reads no schema: a strategy for lists is handed in.
package merge

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/imdario/mergo"
	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/layer"
	"github.com/redkubes/otomi/pkg/value"
)

// Options change how layers are folded. Lists returns the strategy for the list at a path; nil is the zero Strategy
// everywhere.
type Options struct {
	Lists func(value.Path) Strategy
}

// Fold merges layers, weakest first, into a new tree; the layers stay as they are and may be folded again at the same
// time. Maps are merged deeply; a scalar, a null and a whole list replace what is weaker, unless Options.Lists says
// otherwise. A map keeps the order in which its keys first appear, and has the origin of the strongest layer that opens
// it. Every value has, in Overrides, what it beat; a map, and a list of several layers, what stood before a null. A map against a scalar or a list is an error
// with both places, and the stronger one stays.
//
// A layer of single values from flags merges by helmfile's rules for them: lists too are merged, element by element; a null
// changes nothing that is there; a value of another type replaces what is there.
func Fold(layers []layer.Layer, o Options) (*value.Node, diag.Diagnostics) {
	f := &fold{o: o}
	var roots []entry
	for _, l := range layers {
		if l.Root == nil || l.Root.Kind != value.Map {
			continue // package layer has reported a root that is no map
		}
		if l.Flag {
			if len(l.Root.Fields) > 0 {
				roots = []entry{{node: assign(f.root(roots), l.Root)}}
			}
			continue
		}
		roots = append(roots, entry{node: l.Root, secret: l.Secret})
	}
	return f.root(roots), f.diags
}

// root merges the roots of layers, weakest first.
func (f *fold) root(roots []entry) *value.Node {
	if len(roots) == 0 {
		return value.NewMap(value.Origin{})
	}
	return f.merge(nil, roots)
}

// entry is what one layer says at a path.
type entry struct {
	node   *value.Node
	key    diag.Range
	secret bool
}

type fold struct {
	o     Options
	diags diag.Diagnostics
}

// merge combines maps, weakest first.
func (f *fold) merge(path value.Path, maps []entry) *value.Node {
	var leaves []*value.Node
	result := map[string]any{}
	for _, m := range maps {
		// Each layer's tree is made afresh, since mergo links parts of the stronger one into the result.
		if err := mergo.Merge(&result, structure(m.node, &leaves), mergo.WithOverride); err != nil {
			panic("merge: mergo refuses two maps: " + err.Error()) // it only refuses arguments of different types
		}
	}
	return f.build(path, result, leaves, maps).node
}

// structure returns a map with a number for each leaf: its position in leaves, counted from 1. mergo then decides the
// structure and cannot take a leaf for an empty one, whatever its value is.
func structure(n *value.Node, leaves *[]*value.Node) map[string]any {
	m := make(map[string]any, len(n.Fields))
	for _, field := range n.Fields {
		if field.Value.Kind == value.Map {
			m[field.Key] = structure(field.Value, leaves)
			continue
		}
		*leaves = append(*leaves, field.Value)
		m[field.Key] = len(*leaves)
	}
	return m
}

// build makes the node for what mergo left at a path; entries is what the layers say there, weakest first.
func (f *fold) build(path value.Path, result any, leaves []*value.Node, entries []entry) entry {
	f.check(path, entries)
	m, isMap := result.(map[string]any)
	if !isMap {
		return f.leaf(path, leaves[result.(int)-1], entries)
	}
	// What stands before a null is gone, and what is no map was beaten by one.
	var maps []entry
	start := 0
	for i, e := range entries {
		switch e.node.Kind {
		case value.Null:
			maps, start = maps[:0], i+1
		case value.Map:
			maps = append(maps, e)
		}
	}
	strongest := maps[len(maps)-1]
	var keys []string
	children := make(map[string][]entry, len(m))
	for _, e := range maps {
		for _, field := range e.node.Fields {
			if children[field.Key] == nil {
				keys = append(keys, field.Key)
			}
			children[field.Key] = append(children[field.Key], entry{node: field.Value, key: field.KeyRange, secret: e.secret})
		}
	}
	node := &value.Node{Kind: value.Map, Origin: strongest.node.Origin, Fields: make([]value.Field, 0, len(m)), Overrides: beaten(entries, start)}
	for _, key := range keys {
		child, ok := m[key]
		if !ok {
			continue
		}
		e := f.build(path.Key(key), child, leaves, children[key])
		node.Fields = append(node.Fields, value.Field{Key: key, KeyRange: e.key, Value: e.node})
	}
	return entry{node: node, key: strongest.key}
}

// leaf makes the node of a value that is no map: a copy that remembers what it beat.
func (f *fold) leaf(path value.Path, winner *value.Node, entries []entry) entry {
	node := *winner
	out := entry{node: &node}
	at := 0
	for i, e := range entries {
		if e.node == winner {
			at, out.key = i, e.key
		}
	}
	start := at
	if node.Kind == value.List && f.o.Lists != nil {
		if s := f.o.Lists(path); s != (Strategy{}) {
			start = firstList(entries[:at+1])
			node.Items = f.lists(path, s, entries[start:at+1])
		}
	}
	node.Overrides = beaten(entries[:at+1], start)
	return out
}

// beaten returns what a value beat that is made of the entries from start on, the strongest first: all before start, and
// what each of its own had beaten, as an entry may be of a tree that was merged before.
func beaten(entries []entry, start int) []*value.Node {
	var out []*value.Node
	for i, e := range slices.Backward(entries) {
		if i < start {
			out = append(out, flat(e.node)...)
			continue
		}
		out = append(out, e.node.Overrides...)
	}
	return out
}

// flat returns a value and what it beat, the strongest first.
func flat(n *value.Node) []*value.Node {
	if len(n.Overrides) == 0 {
		return []*value.Node{n}
	}
	bare := *n
	bare.Overrides = nil
	return append([]*value.Node{&bare}, n.Overrides...)
}

// check reports a map that meets a scalar or a list.
func (f *fold) check(path value.Path, entries []entry) {
	var weaker *entry
	for i := range entries {
		e := &entries[i]
		if e.node.Kind == value.Null {
			weaker = nil
			continue
		}
		if weaker != nil && (weaker.node.Kind == value.Map) != (e.node.Kind == value.Map) {
			f.diags = append(f.diags, diag.Diagnostic{
				Severity: diag.Error, Code: diag.ValuesTypeConflict, Path: path.String(), Range: e.place(), Secret: e.secret || weaker.secret,
				Detail: fmt.Sprintf("the types conflict: %s here, and in %s %s. They cannot be merged. "+
					"Give both the same type, or set the weaker one to null in a layer between them.",
					e.node.Kind, cmp.Or(weaker.node.Origin.Range.File, weaker.node.Origin.Layer), weaker.node.Kind),
				Notes: []diag.Note{{Message: string(weaker.node.Kind) + " here", Range: weaker.place()}},
			})
		}
		weaker = e
	}
}

// place is where to look at an entry: a map's key says more than its first line.
func (e *entry) place() diag.Range {
	if e.node.Kind == value.Map && !e.key.IsZero() {
		return e.key
	}
	return e.node.Origin.Range
}
