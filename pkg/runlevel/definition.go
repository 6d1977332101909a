package runlevel

import (
	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/value"
	"github.com/redkubes/otomi/pkg/yaml"
)

// definition is where the values of a release are written. The texts are read again by who asks for places, since few do and
// the trees of all entries would take many times the room of the texts.
type definition struct {
	sources diag.Sources
	// key is the place of `values`; zero where there are none.
	key     diag.Range
	entries []written
	// sets are single values, which beat those of the entries.
	sets []single
}

// written is an entry of values: a map that begins at a place of a text of the sources, or a file.
type written struct {
	at diag.Range
	// file is the name of a file as it is shown, and text what it has; nil where that is not told.
	file string
	text []byte
}

// single is a single value and where it is set.
type single struct {
	path value.Path
	at   diag.Range
}

// Place returns the place of the value at a path of the release's values, in the state file or in a file of values, and
// whether one is set there. Where none is, the place is that of the key above it which is set, or else that of the values or
// of the release. Of several entries of values the one counts that Helm takes. It reads the texts again: it is for who has a
// mistake to tell.
func (r Release) Place(path value.Path) (at diag.Range, set bool) {
	d := r.defined
	if d == nil || d.key.IsZero() && len(d.entries)+len(d.sets) == 0 {
		return r.Range, false
	}
	at, depth := d.key, 0
	if at.IsZero() {
		at = r.Range
	}
	for _, entry := range d.entries {
		root := d.tree(entry)
		if root == nil {
			continue
		}
		n := root
		for i, step := range path {
			next := n.At(path[i : i+1])
			if next == nil {
				break
			}
			if i+1 == len(path) {
				at, depth, set = next.Origin.Range, len(path), true
				break
			}
			if f, isKey := n.Field(step.Key); !set && i+1 >= depth {
				at, depth = next.Origin.Range, i+1
				if isKey {
					at = f.KeyRange
				}
			}
			n = next
		}
	}
	for _, s := range d.sets {
		if len(s.path) <= len(path) && s.path.String() == path[:len(s.path)].String() {
			at, set = s.at, true
		}
	}
	p := placer{sources: d.sources}
	at, _ = p.place(at)
	return at, set
}

// tree reads an entry again. It returns nil where that can't be done.
func (d *definition) tree(entry written) *value.Node {
	if entry.file != "" {
		if entry.text == nil {
			return nil
		}
		root, _ := yaml.ReadState(entry.text, yaml.ReadOptions{File: entry.file})
		return root
	}
	roots, _ := yaml.ReadStates(d.sources[entry.at.File], yaml.ReadOptions{File: entry.at.File})
	var found *value.Node
	for _, root := range roots {
		root.Walk(func(_ value.Path, n *value.Node) bool {
			if found == nil && n.Kind == value.Map && n.Origin.Range.Start == entry.at.Start {
				found = n
			}
			return found == nil
		})
	}
	return found
}
