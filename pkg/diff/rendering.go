package diff

import (
	"reflect"

	"github.com/redkubes/otomi/pkg/manifest"
)

// Renderings compares two renderings of the same thing without asking a cluster: what the second has in place of the first.
// The order is that of after, what only before has comes last, and what is equal is left out. An object without a namespace
// stays without one. Values of Secrets are masked as in a plan. Of several objects of one identity the last counts.
func Renderings(before, after []manifest.Object) []Change {
	was, is := byID(before), byID(after)
	var out []Change
	for _, id := range order(after) {
		old, found := was[id]
		now := is[id]
		if found && reflect.DeepEqual(old.Data, now.Data) {
			continue
		}
		c := Change{ID: id, Version: now.Version, Action: Update, Source: now.Source}
		if !found {
			c.Action = Create
		}
		c.Before, c.After = pair(id, old.Data, now.Data)
		out = append(out, c)
	}
	for _, id := range order(before) {
		if _, kept := is[id]; kept {
			continue
		}
		old := was[id]
		c := Change{ID: id, Version: old.Version, Action: Delete, Source: old.Source}
		c.Before, c.After = pair(id, old.Data, nil)
		out = append(out, c)
	}
	return out
}

func byID(objects []manifest.Object) map[manifest.ID]manifest.Object {
	out := map[manifest.ID]manifest.Object{}
	for _, o := range objects {
		out[o.ID] = o
	}
	return out
}

// order are the identities of objects, each once.
func order(objects []manifest.Object) []manifest.ID {
	var out []manifest.ID
	seen := map[manifest.ID]bool{}
	for _, id := range ids(objects) {
		if !seen[id] {
			out, seen[id] = append(out, id), true
		}
	}
	return out
}
