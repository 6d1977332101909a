package pipeline

import (
	"strings"

	"github.com/redkubes/otomi/pkg/layer"
	"github.com/redkubes/otomi/pkg/schema"
	"github.com/redkubes/otomi/pkg/value"
)

// Contribution is what one layer gives the values of a cluster, counted in leaves: scalars, nulls, whole lists and empty
// maps.
type Contribution struct {
	// Layer is the layer's name, and File the file it was read from as it is shown, or "".
	Layer string
	File  string
	// Secret says that the file is one of its level's secrets.* files.
	Secret bool
	// Set is how many leaves the layer says, and Won how many leaves of the merged tree are from it.
	Set, Won int
}

// Contributions returns what each layer gives, weakest first, beginning with the schema's defaults. The leaves won add up
// to those of the tree.
func (v Values) Contributions() []Contribution {
	won := map[string]int{}
	v.Root.Leaves(func(_ value.Path, n *value.Node) { won[n.Origin.Layer]++ })
	out := make([]Contribution, 0, len(v.Layers)+1)
	out = append(out, Contribution{Layer: schema.Layer, Set: won[schema.Layer]})
	for _, l := range v.Layers {
		c := Contribution{Layer: l.Name, File: strings.TrimSuffix(l.Root.Origin.Range.File, " (rendered)"), Secret: l.Secret}
		if l.Name == layer.Registry {
			// The registry's entry is computed; its file is where the cluster stands.
			c.File = v.Cluster.Range.File
		}
		l.Root.Leaves(func(value.Path, *value.Node) { c.Set++ })
		out = append(out, c)
	}
	// A file that was named twice is two layers of one name; the stronger one won.
	for i := len(out) - 1; i >= 0; i-- {
		out[i].Won = won[out[i].Layer]
		delete(won, out[i].Layer)
	}
	return out
}

// Leaves returns how many leaves the merged tree has.
func (v Values) Leaves() int {
	n := 0
	v.Root.Leaves(func(value.Path, *value.Node) { n++ })
	return n
}
