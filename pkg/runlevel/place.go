package runlevel

import (
	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/value"
	"github.com/redkubes/otomi/pkg/yaml"
)

// definition is where a release is defined: in its state file as it is rendered, by its number there. The file is read again
// by who asks for places, since few do and all its places would take many times the room of its text.
type definition struct {
	file  string
	text  []byte
	index int
}

// Place returns the place in the state file of the value at a path of the release's values, and whether the file sets one
// there. Where it does not, the place is that of the key above it which is set, or else that of the values or of the release.
// Of several entries of values the one counts that Helm takes. It reads the file again: it is for who has a mistake to tell.
func (r Release) Place(path value.Path) (at diag.Range, set bool) {
	if r.defined == nil {
		return r.Range, false
	}
	root, _ := yaml.ReadState(r.defined.text, yaml.ReadOptions{File: r.defined.file})
	releases := root.Get("releases")
	if releases == nil || r.defined.index >= len(releases.Items) {
		return r.Range, false
	}
	field, ok := releases.Items[r.defined.index].Field("values")
	if !ok {
		return r.Range, false
	}
	at, depth := field.KeyRange, 0
	for _, entry := range field.Value.Items {
		n := entry
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
	return at, set
}
