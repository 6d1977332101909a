package diff

import (
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/redkubes/otomi/pkg/manifest"
	"github.com/redkubes/otomi/pkg/openapi"
)

// Shapes says how the lists of the objects of a kind are compared. Nil, and the zero Shape, compare them place by place.
type Shapes func(id manifest.ID, version string) openapi.Shape

func (s Shapes) of(id manifest.ID, version string) openapi.Shape {
	if s == nil {
		return openapi.Shape{}
	}
	return s(id, version)
}

// Field is a field of an object that differs, or a part of it that comes or goes.
type Field struct {
	// Path leads to it, in the grammar of Helm's --set; items of lists that have a name are called by it:
	// spec.template.spec.containers[name=web].image.
	Path string `json:"path"`
	// Action is Create, Update or Delete.
	Action Action `json:"action"`
	// Before and After are its values, as those of the change.
	Before any `json:"before,omitempty"`
	After  any `json:"after,omitempty"`
	// By is who owns the field in the cluster, where that is somebody else, and At since when, in RFC 3339. Drift says that the
	// last apply had set it: who owns it now changed it. Where the field is gone, it is who wrote to the object after us.
	By    string `json:"by,omitempty"`
	At    string `json:"at,omitempty"`
	Drift bool   `json:"drift,omitempty"`

	place place
}

// Fields compares two versions of an object field by field, in the order in which they stand. Lists are compared by the keys that the
// shape has for them, and place by place where it has none.
func Fields(before, after map[string]any, shape openapi.Shape) []Field {
	var out []Field
	compareFields(nil, before, after, shape, &out)
	for i := range out {
		out[i].Path = out[i].place.String()
	}
	return out
}

func compareFields(at place, before, after any, shape openapi.Shape, out *[]Field) {
	if equalValues(before, after) {
		return
	}
	oldMap, oldOK := before.(map[string]any)
	nowMap, nowOK := after.(map[string]any)
	if oldOK && nowOK {
		keys := maps.Clone(oldMap)
		maps.Copy(keys, nowMap)
		for _, key := range slices.Sorted(maps.Keys(keys)) {
			old, was := oldMap[key]
			now, is := nowMap[key]
			compareEntry(at.key(key), old, now, was, is, shape.Field(key), out)
		}
		return
	}
	oldList, oldOK := before.([]any)
	nowList, nowOK := after.([]any)
	if oldOK && nowOK {
		for _, m := range paired(oldList, nowList, shape) {
			compareEntry(at.at(m.step), m.old, m.now, m.was, m.is, shape.Item(), out)
		}
		return
	}
	*out = append(*out, Field{place: at, Action: Update, Before: before, After: after})
}

// compareEntry compares what stands at a place that one side may not have.
func compareEntry(at place, old, now any, was, is bool, shape openapi.Shape, out *[]Field) {
	switch {
	case was && is:
		compareFields(at, old, now, shape, out)
	case is:
		*out = append(*out, Field{place: at, Action: Create, After: now})
	default:
		*out = append(*out, Field{place: at, Action: Delete, Before: old})
	}
}

// equalValues reports whether two values are equal, whatever Go type their numbers have.
func equalValues(a, b any) bool {
	if reflect.DeepEqual(a, b) {
		return true
	}
	switch a := a.(type) {
	case map[string]any:
		b, ok := b.(map[string]any)
		return ok && maps.EqualFunc(a, b, equalValues)
	case []any:
		b, ok := b.([]any)
		return ok && slices.EqualFunc(a, b, equalValues)
	case int, int64, float64:
		switch b.(type) {
		case int, int64, float64:
			return scalar(a) == scalar(b)
		}
	}
	return false
}

// match is an item of two versions of a list, one of which may not have it.
type match struct {
	step     step
	old, now any
	was, is  bool
}

// paired pairs the items of two versions of a list: by their keys, in the order of the second with what only the first has behind
// its predecessor there; else by their places.
func paired(old, now []any, shape openapi.Shape) []match {
	names, ok := named(old, now, shape)
	if !ok {
		var out []match
		for i := range max(len(old), len(now)) {
			m := match{step: step{index: i}, was: i < len(old), is: i < len(now)}
			if m.was {
				m.old = old[i]
			}
			if m.is {
				m.now = now[i]
			}
			out = append(out, m)
		}
		return out
	}
	where := map[string]int{}
	for i, item := range old {
		where[names(item).id] = i
	}
	kept := map[int]bool{}
	var out []match
	for _, item := range now {
		n := names(item)
		m := match{step: n.step, now: item, is: true}
		if i, was := where[n.id]; was {
			m.old, m.was, kept[i] = old[i], true, true
		}
		out = append(out, m)
	}
	for i, item := range old {
		if kept[i] {
			continue
		}
		gone := match{step: names(item).step, old: item, was: true}
		at := 0
		if i > 0 {
			before := names(old[i-1]).id
			at = 1 + slices.IndexFunc(out, func(m match) bool {
				of := m.old
				if !m.was {
					of = m.now
				}
				return names(of).id == before
			})
		}
		out = slices.Insert(out, at, gone)
	}
	return out
}

// name is what an item of a list is called, and what tells it apart from the others.
type name struct {
	step step
	id   string
}

// named returns how the items of two lists are called. It reports false where they are told apart by their places: also where the
// shape says otherwise, and items have no keys or two have the same ones.
func named(old, now []any, shape openapi.Shape) (of func(item any) name, ok bool) {
	keys := shape.Keys()
	switch {
	case len(keys) > 0:
		of = func(item any) name {
			m, _ := item.(map[string]any)
			var n name
			var parts []string
			for _, key := range keys {
				v, there := m[key]
				if there {
					n.step.match = append(n.step.match, itemField{key, scalar(v)})
				}
				parts = append(parts, itemEscaper.Replace(scalar(v)))
			}
			n.id = strings.Join(parts, ",")
			return n
		}
	case shape.Set():
		of = func(item any) name { return name{step{is: true, text: scalar(item)}, scalar(item)} }
	default:
		return nil, false
	}
	for _, list := range [][]any{old, now} {
		seen := map[string]bool{}
		for _, item := range list {
			_, isMap := item.(map[string]any)
			_, isList := item.([]any)
			n := of(item)
			if isList || isMap == shape.Set() || seen[n.id] || !n.step.is && len(n.step.match) == 0 {
				return nil, false
			}
			seen[n.id] = true
		}
	}
	return of, true
}

// aligned is a former version of a value whose lists have the order of the later one: what only changed its place in a list of
// named items is no difference.
func aligned(before, after any, shape openapi.Shape) any {
	switch after := after.(type) {
	case map[string]any:
		old, ok := before.(map[string]any)
		if !ok {
			return before
		}
		out := maps.Clone(old)
		for key, v := range old {
			if now, is := after[key]; is {
				out[key] = aligned(v, now, shape.Field(key))
			}
		}
		return out
	case []any:
		old, ok := before.([]any)
		if !ok {
			return before
		}
		out := make([]any, 0, len(old))
		for _, m := range paired(old, after, shape) {
			switch {
			case m.was && m.is:
				out = append(out, aligned(m.old, m.now, shape.Item()))
			case m.was:
				out = append(out, m.old)
			}
		}
		return out
	}
	return before
}

// detailed fills in the fields of a change, and brings the lists of what was into the order of what will be.
func detailed(c Change, shapes Shapes) Change {
	if c.Before == nil || c.After == nil {
		return c
	}
	shape := shapes.of(c.ID, c.Version)
	c.Fields = Fields(c.Before, c.After, shape)
	before, _ := aligned(c.Before, c.After, shape).(map[string]any)
	if len(c.Fields) == 0 && c.Reason == "" && !reflect.DeepEqual(c.Before, c.After) {
		c.Reason = "only the order of its items differs"
	}
	c.Before = before
	return c
}
