package merge

import (
	"encoding/binary"
	"slices"
	"sync"

	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/layer"
	"github.com/redkubes/otomi/pkg/value"
)

// Folder folds the layers of many clusters. It gives what Fold gives for each, and shares the work: a part of the tree that
// only layers of several clusters speak about (layer.Scope) is folded once for each set of them, and a part that one layer
// alone speaks about is that layer's. So trees of one Folder share nodes. It may be used by several goroutines.
type Folder struct {
	o Options

	mu sync.Mutex
	// layers number the roots of shared layers, from 1.
	layers map[*value.Node]uint64
	parts  map[string]*part
}

// part is a part of the tree that several clusters have, folded once.
type part struct {
	once  sync.Once
	entry entry
	diags diag.Diagnostics
}

// NewFolder returns a Folder without memory.
func NewFolder(o Options) *Folder {
	return &Folder{o: o, layers: map[*value.Node]uint64{}, parts: map[string]*part{}}
}

// Fold is Fold for one cluster.
func (s *Folder) Fold(layers []layer.Layer) (*value.Node, diag.Diagnostics) {
	if slices.ContainsFunc(layers, func(l layer.Layer) bool { return l.Flag }) {
		return Fold(layers, s.o) // flags merge by rules of their own, and come with one cluster
	}
	var says []saying
	s.mu.Lock()
	for _, l := range layers {
		if l.Root == nil || l.Root.Kind != value.Map {
			continue
		}
		var number uint64
		if l.Scope != "" {
			if number = s.layers[l.Root]; number == 0 {
				number = uint64(len(s.layers) + 1)
				s.layers[l.Root] = number
			}
		}
		says = append(says, saying{entry: entry{node: l.Root, secret: l.Secret}, layer: number})
	}
	s.mu.Unlock()
	if len(says) == 0 {
		return value.NewMap(value.Origin{}), nil
	}
	w := &sharing{folder: s, fold: fold{o: s.o}}
	return w.maps(nil, nil, says).node, w.fold.diags
}

// Parts returns how many shared parts were folded.
func (s *Folder) Parts() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.parts)
}

// saying is what one layer says at a path. layer is the number of a shared layer, 0 for one cluster's own.
type saying struct {
	entry
	layer uint64
}

// sharing is one run of a Folder.
type sharing struct {
	folder *Folder
	fold   fold
}

// at makes the node for what layers say at a path, weakest first. key is the path as a key of the folder's memory: its keys,
// each after its length, since a key may have any character, NUL too.
func (w *sharing) at(path value.Path, key []byte, says []saying) entry {
	if len(says) == 1 {
		return w.alone(path, says[0].entry)
	}
	maps, shared := 0, true
	for _, s := range says {
		if s.node.Kind == value.Map {
			maps++
		}
		shared = shared && s.layer != 0
	}
	switch {
	case maps == 0:
		entries := entriesOf(says)
		return w.fold.leaf(path, entries[len(entries)-1].node, entries)
	case shared:
		return w.part(path, key, says, maps)
	}
	return w.combined(path, key, says, maps)
}

// combined combines what has at least one map among it.
func (w *sharing) combined(path value.Path, key []byte, says []saying, maps int) entry {
	if maps == len(says) {
		return w.maps(path, key, says)
	}
	// Maps and others: mergo decides, below a root that has this path alone.
	last := len(path) - 1
	roots := make([]entry, len(says))
	for i, s := range says {
		roots[i] = entry{secret: s.secret, node: value.NewMap(value.Origin{}, value.Field{Key: path[last].Key, KeyRange: s.key, Value: s.node})}
	}
	f, _ := w.fold.merge(path[:last], roots).Field(path[last].Key)
	return entry{node: f.Value, key: f.KeyRange}
}

// part returns what only shared layers say, folded by whoever asks first.
func (w *sharing) part(path value.Path, key []byte, says []saying, maps int) entry {
	name := binary.AppendUvarint(nil, uint64(len(says)))
	for _, s := range says {
		name = binary.AppendUvarint(name, s.layer)
	}
	name = append(name, key...)
	s := w.folder
	s.mu.Lock()
	p, ok := s.parts[string(name)]
	if !ok {
		p = &part{}
		s.parts[string(name)] = p
	}
	s.mu.Unlock()
	p.once.Do(func() {
		own := &sharing{folder: s, fold: fold{o: s.o}}
		p.entry = own.combined(path, key, says, maps)
		p.diags = own.fold.diags
	})
	w.fold.diags = append(w.fold.diags, p.diags...)
	return p.entry
}

// maps merges maps. Keys are in the order of their first appearance; the origin is the strongest layer's.
func (w *sharing) maps(path value.Path, key []byte, says []saying) entry {
	strongest := says[len(says)-1]
	var keys []string
	children := map[string][]saying{}
	for _, s := range says {
		for _, f := range s.node.Fields {
			if children[f.Key] == nil {
				keys = append(keys, f.Key)
			}
			children[f.Key] = append(children[f.Key], saying{entry: entry{node: f.Value, key: f.KeyRange, secret: s.secret}, layer: s.layer})
		}
	}
	node := &value.Node{Kind: value.Map, Origin: strongest.node.Origin, Fields: make([]value.Field, len(keys)), Overrides: beaten(entriesOf(says), 0)}
	path = append(slices.Clip(path), value.Step{})
	for i, k := range keys {
		path[len(path)-1] = value.Step{Key: k}
		e := w.at(path, append(binary.AppendUvarint(slices.Clip(key), uint64(len(k))), k...), children[k])
		node.Fields[i] = value.Field{Key: k, KeyRange: e.key, Value: e.node}
	}
	return entry{node: node, key: strongest.key}
}

// alone is what one layer alone says: as it stands there, unless a strategy changes a list in it.
func (w *sharing) alone(path value.Path, e entry) entry {
	if w.fold.o.Lists != nil {
		e.node = w.listed(path, e)
	}
	return entry{node: e.node, key: e.key}
}

// listed returns a node of one layer with its lists as their strategies have them; the same node where none does.
func (w *sharing) listed(path value.Path, e entry) *value.Node {
	switch e.node.Kind {
	case value.List:
		if w.fold.o.Lists(path) == (Strategy{}) {
			return e.node
		}
		return w.fold.leaf(path, e.node, []entry{e}).node
	case value.Map:
		if !hasList(e.node) {
			return e.node
		}
		out, changed := *e.node, false
		out.Fields = slices.Clone(e.node.Fields)
		for i, f := range out.Fields {
			n := w.listed(path.Key(f.Key), entry{node: f.Value, key: f.KeyRange, secret: e.secret})
			changed = changed || n != f.Value
			out.Fields[i].Value = n
		}
		if changed {
			return &out
		}
	}
	return e.node
}

// hasList reports whether a list stands in a map, not counting lists in lists.
func hasList(n *value.Node) bool {
	return slices.ContainsFunc(n.Fields, func(f value.Field) bool {
		return f.Value.Kind == value.List || f.Value.Kind == value.Map && hasList(f.Value)
	})
}

func entriesOf(says []saying) []entry {
	entries := make([]entry, len(says))
	for i, s := range says {
		entries[i] = s.entry
	}
	return entries
}
