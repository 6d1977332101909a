package diff

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/redkubes/otomi/pkg/manifest"
)

// managedEntry is an entry of an object's managed fields.
type managedEntry struct {
	manager, operation, subresource, at string
	fields                              map[string]any
}

// managed are the managed fields of a live object.
func managed(live map[string]any) []managedEntry {
	metadata, _ := live["metadata"].(map[string]any)
	list, _ := metadata["managedFields"].([]any)
	var out []managedEntry
	for _, v := range list {
		m, _ := v.(map[string]any)
		e := managedEntry{}
		e.manager, _ = m["manager"].(string)
		e.operation, _ = m["operation"].(string)
		e.subresource, _ = m["subresource"].(string)
		e.fields, _ = m["fieldsV1"].(map[string]any)
		switch at := m["time"].(type) {
		case string:
			e.at = at
		case time.Time:
			e.at = at.UTC().Format(time.RFC3339)
		}
		out = append(out, e)
	}
	return out
}

// ours reports whether a manager is one of our own writes.
func (e managedEntry) ours() bool {
	return e.manager == ourManager || strings.HasPrefix(e.manager, ourManager+"-")
}

// writtenByUs reports whether we applied an object, and own fields of it.
func writtenByUs(live map[string]any) bool {
	return slices.ContainsFunc(managed(live), func(e managedEntry) bool {
		return e.manager == ourManager && e.operation == "Apply" && e.subresource == ""
	})
}

// attributed fills in who owns the fields that differ, where others do. Recorded is the object as the last apply had it, nil where
// that is not known.
func attributed(fields []Field, live, recorded map[string]any) {
	entries := managed(live)
	applied := ""
	for _, e := range entries {
		if e.ours() && e.at > applied {
			applied = e.at
		}
	}
	for i, f := range fields {
		by, at := "", ""
		for _, e := range entries {
			if e.ours() {
				continue
			}
			owns := f.place.reaches(live) && owner(e.fields, live, f.place)
			// Nobody owns what is gone: it was one of those who wrote after us.
			gone := !f.place.reaches(live) && e.subresource != "status" && applied != "" && e.at >= applied
			if (owns || gone) && e.at >= at {
				by, at = e.manager, e.at
			}
		}
		if by == "" {
			continue
		}
		had := f.place.reaches(recorded)
		if !f.place.reaches(live) && !had {
			continue // it is new, and nobody's
		}
		fields[i].By, fields[i].At, fields[i].Drift = by, at, had
	}
}

// owner reports whether managed fields have what is at a place of a live object.
func owner(fields, live any, p place) bool {
	nodes, _ := fields.(map[string]any)
	if nodes == nil {
		return false
	}
	at := []map[string]any{nodes}
	for _, s := range p {
		if !s.item {
			m, _ := live.(map[string]any)
			live = m[s.key]
			at = stepInto(at, "f:"+s.key)
		} else {
			list, _ := live.([]any)
			var below []map[string]any
			for i, item := range list {
				if s.leads(item, i) {
					below = append(below, itemFields(at, item, i)...)
					live = item
					break
				}
			}
			at = below
		}
		if len(at) == 0 {
			return false
		}
	}
	return true
}

// recordedOf is the object of an identity among others; nil where there is none.
func recordedOf(objects []manifest.Object, id manifest.ID) map[string]any {
	i := slices.IndexFunc(objects, func(o manifest.Object) bool { return o.ID == id })
	if i < 0 {
		return nil
	}
	data := objects[i].Data
	plain, _ := data["stringData"].(map[string]any)
	if id.Kind != "Secret" || plain == nil {
		return data
	}
	// In the cluster it is data. Only what is there counts here, and not its encoding.
	out, all := maps.Clone(data), map[string]any{}
	encoded, _ := data["data"].(map[string]any)
	maps.Copy(all, encoded)
	maps.Copy(all, plain)
	out["data"] = all
	return out
}

// compareDetailed is compareObject with what differs field by field, and who else wrote it.
func (c *comparison) compareDetailed(ctx context.Context, x *candidate, o manifest.Object, known, crd bool) (Change, error) {
	change, err := c.compareObject(ctx, x, o, known, crd)
	live := change.live
	change.live = nil
	if err != nil || change.Action == Unchanged {
		return change, err
	}
	change = detailed(change, c.o.Shapes)
	attributed(change.Fields, live, recordedOf(x.inventory, change.ID))
	return change, nil
}

// spare says which paths of an object are left as they are.
func (c *comparison) spare(x *candidate, o manifest.Object, change *Change) {
	rules, err := ParseIgnores(x.release.Ignore)
	if err != nil {
		change.Invalid = err.Error()
		return
	}
	places, err := ignored(slices.Concat(c.o.Ignore, rules), o)
	if err != nil {
		change.Invalid = err.Error()
		return
	}
	change.Ignored = pathsOf(places)
}
