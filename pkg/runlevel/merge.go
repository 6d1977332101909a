package runlevel

import (
	"maps"
	"slices"

	"github.com/redkubes/otomi/pkg/value"
)

// Nothing in this file changes what it is given, and results share with it: state values are never changed in place.

// over lays b over a as the entries of one list of values are merged (helmfile's mapMerge: mergo with WithOverride): maps
// deeply, lists whole, and null, false, 0 and "" override.
func over(a, b map[string]any) map[string]any {
	if len(a) == 0 {
		return b
	}
	if len(b) == 0 {
		return a
	}
	out := maps.Clone(a)
	for k, v := range b {
		weaker, ok := out[k].(map[string]any)
		stronger, isMap := v.(map[string]any)
		if ok && isMap {
			out[k] = over(weaker, stronger)
			continue
		}
		out[k] = v
	}
	return out
}

// layered lays b over a as layers and parts are merged (helmfile's maputil.MergeMaps): maps deeply, null never overrides, and
// a list replaces another, unless one of its items is null: then items replace those at their places.
func layered(a, b map[string]any) map[string]any { return mergeMaps(a, b, false) }

// assigned lays the values of --state-values-set over others: as layered does, and lists always item by item.
func assigned(a, b map[string]any) map[string]any { return mergeMaps(a, b, true) }

func mergeMaps(a, b map[string]any, items bool) map[string]any {
	if len(a) == 0 {
		return b
	}
	if len(b) == 0 {
		return a
	}
	out := maps.Clone(a)
	for k, v := range b {
		known, exists := out[k]
		switch v := v.(type) {
		case nil:
			if !exists {
				out[k] = nil
			}
		case map[string]any:
			if weaker, ok := known.(map[string]any); ok {
				out[k] = mergeMaps(weaker, v, items)
				continue
			}
			out[k] = v
		case []any:
			if weaker, ok := known.([]any); ok {
				out[k] = mergeLists(weaker, v, items)
				continue
			}
			out[k] = v
		default:
			out[k] = v
		}
	}
	return out
}

func mergeLists(a, b []any, items bool) []any {
	if !items && !slices.Contains(b, nil) {
		return b
	}
	out := make([]any, max(len(a), len(b)))
	copy(out, a)
	for i, v := range b {
		if v == nil {
			continue
		}
		stronger, ok := v.(map[string]any)
		if ok && i < len(a) {
			if weaker, ok := a[i].(map[string]any); ok {
				out[i] = mergeMaps(weaker, stronger, items)
				continue
			}
		}
		out[i] = v
	}
	return out
}

// helm puts b over a as Helm does with values files (pkg/cli/values, mergeMaps): maps deeply, everything else whole; a
// null stays and deletes the chart's default later.
func helm(a, b map[string]any) map[string]any { return over(a, b) }

// lists says what becomes of two lists.
type lists string

const (
	appended lists = "append"
	replaced lists = "replace"
)

// overlay lays the tree of one part, base or document over another, as mergo does with helmfile's structs (WithOverride): what
// is zero does not override, maps of structs are merged by their keys alone, and lists are appended or replaced.
func overlay(weak, strong *value.Node, l lists) *value.Node {
	if weak == nil || len(weak.Fields) == 0 {
		return strong
	}
	if strong == nil || len(strong.Fields) == 0 {
		return weak
	}
	out := *weak
	out.Fields = slices.Clone(weak.Fields)
	for _, f := range strong.Fields {
		i := slices.IndexFunc(out.Fields, func(known value.Field) bool { return known.Key == f.Key })
		if i < 0 {
			out.Fields = append(out.Fields, f)
			continue
		}
		known := out.Fields[i].Value
		switch {
		case known.Kind == value.List && f.Value.Kind == value.List && l == appended:
			list := *f.Value
			list.Items = slices.Concat(known.Items, f.Value.Items)
			out.Fields[i].Value = &list
		case known.Kind == value.Map && f.Value.Kind == value.Map && structs[f.Key]:
			out.Fields[i].Value = overlay(known, f.Value, l)
		case known.Kind == value.Map && f.Value.Kind == value.Map:
			out.Fields[i].Value = byKey(known, f.Value)
		case !zero(f.Value) || zero(known):
			out.Fields[i] = f
		}
	}
	return &out
}

// structs are the keys of a state file and of a release whose maps are structs of helmfile's.
var structs = map[string]bool{"helmDefaults": true, "missingFileHandlerConfig": true, "llm": true}

// byKey lays a map over another without looking into their values.
func byKey(weak, strong *value.Node) *value.Node {
	out := *weak
	out.Fields = slices.Clone(weak.Fields)
	for _, f := range strong.Fields {
		i := slices.IndexFunc(out.Fields, func(known value.Field) bool { return known.Key == f.Key })
		if i < 0 {
			out.Fields = append(out.Fields, f)
			continue
		}
		out.Fields[i] = f
	}
	return &out
}

// zero reports whether a value is one that does not override.
func zero(n *value.Node) bool {
	if n == nil {
		return true
	}
	switch n.Kind {
	case value.Map:
		return len(n.Fields) == 0
	case value.List:
		return len(n.Items) == 0
	}
	switch s := n.Scalar.(type) {
	case nil:
		return true
	case bool:
		return !s
	case int64:
		return s == 0
	case float64:
		return s == 0
	case string:
		return s == ""
	}
	return false
}

// overBase lays a state file, or a base, over a base: as overlay with appended lists, and environments are merged one by one
// (helmfile's mergeEnvironments), their values and secrets appended.
func overBase(base, self *value.Node) *value.Node {
	weak, strong := base.Get("environments"), self.Get("environments")
	out := overlay(base, self, appended)
	if weak == nil || strong == nil || weak.Kind != value.Map || strong.Kind != value.Map {
		return out
	}
	merged := *weak
	merged.Fields = slices.Clone(weak.Fields)
	for _, f := range strong.Fields {
		i := slices.IndexFunc(merged.Fields, func(known value.Field) bool { return known.Key == f.Key })
		if i < 0 {
			merged.Fields = append(merged.Fields, f)
			continue
		}
		a, b := merged.Fields[i].Value, f.Value
		env := overlay(a, b, appended)
		strategy := env.Get("mergeStrategy")
		if av, bv := a.Get("values"), b.Get("values"); strategy.Text() == "fallback" && av != nil && bv != nil {
			list := *bv
			list.Items = slices.Concat(bv.Items, av.Items) // the first wins
			env = with(env, "values", &list)
		}
		merged.Fields[i].Value = env
	}
	return with(out, "environments", &merged)
}

// with returns a map with another value under key.
func with(m *value.Node, key string, v *value.Node) *value.Node {
	out := *m
	out.Fields = slices.Clone(m.Fields)
	i := slices.IndexFunc(out.Fields, func(f value.Field) bool { return f.Key == key })
	if i < 0 {
		out.Fields = append(out.Fields, value.Field{Key: key, Value: v})
		return &out
	}
	out.Fields[i].Value = v
	return &out
}
