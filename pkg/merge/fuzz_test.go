package merge

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/layer"
	"github.com/redkubes/otomi/pkg/value"
	"github.com/redkubes/otomi/testdata/bound"
	"github.com/stretchr/testify/require"
)

// drawn makes trees of bytes: what a fuzzer changes is the structure, not its text.
type drawn struct{ bytes []byte }

func (d *drawn) next() int {
	if len(d.bytes) == 0 {
		return 0
	}
	b := d.bytes[0]
	d.bytes = d.bytes[1:]
	return int(b)
}

// tree draws a value of a layer; at the root it is a map.
func (d *drawn) tree(name string, depth int) *value.Node {
	o := value.Origin{Layer: name}
	kind := d.next() % 10
	if depth == 0 || kind >= 7 && depth < 5 {
		node := value.NewMap(o)
		for range d.next() % 4 {
			key := []string{"a", "b", "c", "a\x00b"}[d.next()%4]
			if node.Get(key) == nil {
				node.Fields = append(node.Fields, value.Field{Key: key, Value: d.tree(name, depth+1)})
			}
		}
		return node
	}
	switch kind {
	case 0:
		return value.NewScalar(o, nil)
	case 1:
		return value.NewScalar(o, false)
	case 2:
		return value.NewScalar(o, int64(0))
	case 3:
		return value.NewScalar(o, "")
	case 4:
		node := &value.Node{Kind: value.List, Origin: o}
		for range d.next() % 3 {
			node.Items = append(node.Items, value.NewScalar(o, int64(d.next())))
		}
		return node
	}
	return value.NewScalar(o, int64(d.next()))
}

// table is that of the design, without mergo: null over anything is null, anything over null is itself, maps are merged,
// and in all other cases the stronger one stays. It keeps the paths of the conflicts of types, but those in a map that is gone by a null.
type table struct{ conflicts map[string]bool }

func (m table) fold(p value.Path, weaker, stronger *value.Node) *value.Node {
	switch {
	case stronger.Kind == value.Null:
		maps.DeleteFunc(m.conflicts, func(path string, _ bool) bool { return strings.HasPrefix(path, p.String()+".") })
		return stronger
	case weaker == nil || weaker.Kind == value.Null:
		return stronger
	case (weaker.Kind == value.Map) != (stronger.Kind == value.Map):
		m.conflicts[p.String()] = true
		return stronger
	case stronger.Kind != value.Map:
		return stronger
	}
	out := value.NewMap(stronger.Origin)
	for _, f := range weaker.Fields {
		if s := stronger.Get(f.Key); s != nil {
			f.Value = m.fold(p.Key(f.Key), f.Value, s)
		}
		out.Fields = append(out.Fields, f)
	}
	for _, f := range stronger.Fields {
		if weaker.Get(f.Key) == nil {
			out.Fields = append(out.Fields, f)
		}
	}
	return out
}

// FuzzFold compares Fold with the table, folded over the layers one after the other, and the origin of every leaf with the
// strongest layer that says something there.
func FuzzFold(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{2, 0, 2, 0, 5, 1, 8, 1, 2, 6, 7, 0, 1, 0, 0, 0, 1, 0, 8, 2, 0, 4, 1, 2})
	f.Add([]byte{3, 0, 3, 0, 9, 1, 1, 5, 3, 1, 0, 2, 4, 2, 1, 2, 0, 1, 0, 0, 0, 3, 0, 8, 1, 2, 6, 9, 1, 1, 1, 2, 5, 7})
	f.Add([]byte("merging is folding: 0123456789 abc {} [] null, false, and what a layer says of itself"))
	f.Fuzz(func(t *testing.T, bytes []byte) {
		const most = 4096
		d := &drawn{bytes: bytes[:min(len(bytes), most)]}
		var layers []layer.Layer
		for i := range 1 + d.next()%5 {
			name := fmt.Sprintf("l%d", i)
			layers = append(layers, layer.Layer{Name: name, Root: d.tree(name, 0)})
		}
		var before []any
		var want *value.Node
		pinned := table{conflicts: map[string]bool{}}
		for _, l := range layers {
			before = append(before, l.Root.Plain())
			want = pinned.fold(nil, want, l.Root)
		}

		var got *value.Node
		var diags diag.Diagnostics
		bound.Run(t, fmt.Sprint(before), func() { got, diags = Fold(layers, Options{}) })

		require.Equal(t, want.Plain(), got.Plain(), "%v", before)
		require.Equal(t, len(pinned.conflicts) > 0, diags.HasErrors(), "%v\n%v", before, diags)
		for i, l := range layers {
			require.Equal(t, before[i], l.Root.Plain(), "layer %d changed", i)
		}
		got.Walk(func(p value.Path, n *value.Node) bool {
			if n.Kind == value.Map {
				return true
			}
			strongest := slices.IndexFunc(reversed(layers), func(l layer.Layer) bool { return l.Root.At(p) != nil })
			require.GreaterOrEqual(t, strongest, 0, "%s is in no layer", p)
			require.Equal(t, reversed(layers)[strongest].Name, n.Origin.Layer, "the origin of %s in %v", p, before)
			last := n.Origin.Layer
			for _, beaten := range n.Overrides {
				require.Less(t, beaten.Origin.Layer, last, "what %s overrides, the strongest first", p)
				last = beaten.Origin.Layer
			}
			return false
		})
	})
}

func reversed(layers []layer.Layer) []layer.Layer {
	out := slices.Clone(layers)
	slices.Reverse(out)
	return out
}
