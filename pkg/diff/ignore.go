package diff

import (
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/redkubes/otomi/pkg/manifest"
)

// IgnoreAnnotation holds the paths of an object's own fields that are left as they are in the cluster, with commas between them.
const IgnoreAnnotation = "otomi.io/ignore"

// Ignore is a rule that leaves fields of objects as they are in the cluster: they are no change, and nothing that apply forces.
type Ignore struct {
	// kind, namespace and name are patterns (path.Match); an empty group or namespace is any.
	kind, group, namespace, name string
	grouped                      bool
	places                       []place
}

// ParseIgnore reads KIND[.GROUP]/[NAMESPACE/]NAME:PATH, with commas between several paths. KIND and the names may have *.
func ParseIgnore(text string) (Ignore, error) {
	const form = "write it like Deployment.apps/web:spec.replicas"
	colon := lastColon(text)
	if colon < 0 {
		return Ignore{}, fmt.Errorf("%q has no path behind a colon; %s", text, form)
	}
	parts := strings.Split(text[:colon], "/")
	if len(parts) < 2 || len(parts) > 3 || slices.Contains(parts, "") {
		return Ignore{}, fmt.Errorf("%q names no object; %s", text, form)
	}
	var r Ignore
	r.kind, r.group, r.grouped = strings.Cut(parts[0], ".")
	r.name = parts[len(parts)-1]
	if len(parts) == 3 {
		r.namespace = parts[1]
	}
	for _, pattern := range append(parts[1:], r.kind) {
		if _, err := path.Match(pattern, ""); err != nil {
			return Ignore{}, fmt.Errorf("%q has a bracket that is not closed; %s", text, form)
		}
	}
	places, err := parsePlaces(text[colon+1:])
	if err != nil {
		return Ignore{}, fmt.Errorf("%q: %w", text, err)
	}
	r.places = places
	return r, nil
}

// lastColon is the place of the last colon that is not within brackets.
func lastColon(text string) int {
	depth, found := 0, -1
	for i := range len(text) {
		switch text[i] {
		case '[':
			depth++
		case ']':
			depth--
		case ':':
			if depth == 0 {
				found = i
			}
		}
	}
	return found
}

// covers reports whether the rule is about an object.
func (r Ignore) covers(id manifest.ID) bool {
	fits := func(pattern, text string) bool {
		ok, _ := path.Match(strings.ToLower(pattern), strings.ToLower(text))
		return ok
	}
	return fits(r.kind, id.Kind) && (!r.grouped || strings.EqualFold(r.group, id.Group)) &&
		(r.namespace == "" || fits(r.namespace, id.Namespace)) && fits(r.name, id.Name)
}

// ParseIgnores reads several rules.
func ParseIgnores(texts []string) ([]Ignore, error) {
	var out []Ignore
	for _, text := range texts {
		r, err := ParseIgnore(text)
		if err != nil {
			return nil, fmt.Errorf("reading what is ignored: %w", err)
		}
		out = append(out, r)
	}
	return out, nil
}

// ignored are the places of an object that rules and its own annotation leave as they are. The error is that of the annotation.
func ignored(rules []Ignore, o manifest.Object) ([]place, error) {
	var out []place
	for _, r := range rules {
		if r.covers(o.ID) {
			out = append(out, r.places...)
		}
	}
	metadata, _ := o.Data["metadata"].(map[string]any)
	annotations, _ := metadata["annotations"].(map[string]any)
	if text, _ := annotations[IgnoreAnnotation].(string); text != "" {
		own, err := parsePlaces(text)
		if err != nil {
			return nil, fmt.Errorf("its annotation %s: %w", IgnoreAnnotation, err)
		}
		out = append(out, own...)
	}
	return out, nil
}

func pathsOf(places []place) []string {
	var out []string
	for _, p := range places {
		if text := p.String(); !slices.Contains(out, text) {
			out = append(out, text)
		}
	}
	return out
}

// placesOf reads what pathsOf wrote. What is no path was not written by it, and is passed over.
func placesOf(paths []string) []place {
	var out []place
	for _, text := range paths {
		p, _ := parsePlaces(text)
		out = append(out, p...)
	}
	return out
}

// Without is an object without what is at some paths. The object stays as it is.
func Without(data map[string]any, paths []string) map[string]any {
	return withoutPlaces(data, placesOf(paths))
}

func withoutPlaces(data map[string]any, places []place) map[string]any {
	for _, p := range places {
		if p.reaches(data) {
			data, _ = cut(data, p).(map[string]any)
		}
	}
	return data
}

// cut is a value without what is at a place, which is not the value itself. An item of a list that goes takes no other's place
// before all are looked at.
func cut(v any, p place) any {
	if !p[0].item {
		m, ok := v.(map[string]any)
		below, there := m[p[0].key]
		if !ok || !there {
			return v
		}
		out := maps.Clone(m)
		if len(p) == 1 {
			delete(out, p[0].key)
		} else {
			out[p[0].key] = cut(below, p[1:])
		}
		return out
	}
	list, ok := v.([]any)
	if !ok {
		return v
	}
	out := make([]any, 0, len(list))
	for i, item := range list {
		switch {
		case !p[0].leads(item, i):
			out = append(out, item)
		case len(p) > 1:
			out = append(out, cut(item, p[1:]))
		}
	}
	return out
}

// Unforced is what is sent of an object that is there, where some of its paths are left as they are: what others own there is left
// out, and what we own is sent as it is in the cluster, since leaving it out would take it away.
func Unforced(wanted, live map[string]any, paths []string) map[string]any {
	return unforced(wanted, live, placesOf(paths))
}

func unforced(wanted, live map[string]any, places []place) map[string]any {
	out := withoutPlaces(wanted, places)
	owned := ownFields(live)
	for _, p := range places {
		if back, ok := returned(out, live, owned, p); ok {
			out, _ = back.(map[string]any)
		}
	}
	return out
}

// returned puts what is ours in the live object at a place into what is sent. It reports false where nothing is.
func returned(to, live any, owned []map[string]any, p place) (any, bool) {
	if len(p) == 0 {
		return kept(live, owned)
	}
	if !p[0].item {
		from, ok := live.(map[string]any)
		below, there := from[p[0].key]
		if !ok || !there {
			return nil, false
		}
		target, isMap := to.(map[string]any)
		if to != nil && !isMap {
			return nil, false
		}
		v, ok := returned(target[p[0].key], below, stepInto(owned, "f:"+p[0].key), p[1:])
		if !ok {
			return nil, false
		}
		out := maps.Clone(target)
		if out == nil {
			out = map[string]any{}
		}
		out[p[0].key] = v
		return out, true
	}
	from, _ := live.([]any)
	target, _ := to.([]any)
	out, hit := slices.Clone(target), false
	for i, item := range target {
		if !p[0].leads(item, i) || len(p) == 1 {
			continue
		}
		// The same item of the live list: by the same name where the step has one, by the place else.
		for j, have := range from {
			if !p[0].leads(have, j) || p[0].every && !alike(item, have) {
				continue
			}
			if v, ok := returned(item, have, itemFields(owned, have, j), p[1:]); ok {
				out[i], hit = v, true
			}
		}
	}
	return out, hit
}

// alike reports whether two items of a list are named the same.
func alike(a, b any) bool {
	x, _ := a.(map[string]any)
	y, _ := b.(map[string]any)
	return x["name"] != nil && equalValues(x["name"], y["name"])
}

// kept is the part of a live value that is ours. It reports false where nothing is.
func kept(live any, owned []map[string]any) (any, bool) {
	if len(owned) == 0 {
		return nil, false
	}
	m, ok := live.(map[string]any)
	if !ok || slices.ContainsFunc(owned, func(n map[string]any) bool { return len(n) == 0 }) {
		return live, true
	}
	out := map[string]any{}
	for key, v := range m {
		if part, ok := kept(v, stepInto(owned, "f:"+key)); ok {
			out[key] = part
		}
	}
	return out, len(out) > 0
}

// ownManagers are those whose fields are ours, or become ours when we apply.
var ownManagers = []string{ourManager, "helm", "helm3", "before-first-apply", "kubectl-client-side-apply"}

// ownFields are the managed fields of an object that are ours.
func ownFields(live map[string]any) []map[string]any {
	var out []map[string]any
	for _, e := range managed(live) {
		if e.subresource == "" && slices.Contains(ownManagers, e.manager) {
			out = append(out, e.fields)
		}
	}
	return out
}

// stepInto goes one step down in managed fields.
func stepInto(nodes []map[string]any, key string) []map[string]any {
	var out []map[string]any
	for _, n := range nodes {
		if below, ok := n[key].(map[string]any); ok {
			out = append(out, below)
		} else if len(n) == 0 {
			out = append(out, n) // what is above was written as a whole
		}
	}
	return out
}

// itemFields goes into an item of a list in managed fields (structured-merge-diff's path elements: k: has the item's keys as
// JSON, v: the item, i: its place).
func itemFields(nodes []map[string]any, item any, index int) []map[string]any {
	var out []map[string]any
	for _, n := range nodes {
		if len(n) == 0 {
			out = append(out, n)
			continue
		}
		for key, below := range n {
			if below, ok := below.(map[string]any); ok && isItem(key, item, index) {
				out = append(out, below)
			}
		}
	}
	return out
}

func isItem(key string, item any, index int) bool {
	kind, text, _ := strings.Cut(key, ":")
	var v any
	if kind == "" || text == "" || json.Unmarshal([]byte(text), &v) != nil {
		return false
	}
	switch kind {
	case "k":
		keys, ok := v.(map[string]any)
		m, isMap := item.(map[string]any)
		for k, want := range keys {
			if !isMap || !equalValues(m[k], want) {
				return false
			}
		}
		return ok
	case "v":
		return equalValues(v, item)
	case "i":
		return scalar(v) == scalar(index)
	}
	return false
}
