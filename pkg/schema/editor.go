package schema

import (
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/redkubes/otomi/pkg/value"
)

// Editor returns the schema as one JSON document for editors. A layer is only a part of the values, so nothing is
// required; an encrypted text is accepted for a secret of any type. It has no $id and refers to nothing outside itself:
// a relative reference below an absolute $id makes yaml-language-server ask the network and drop its other findings.
func (s *Schema) Editor() ([]byte, error) {
	e := editor{schema: s, names: map[string]string{}, key: "$defs"}
	if s.draft07 {
		e.key = "definitions"
	}
	for _, f := range s.order[1:] {
		e.names[f.path] = e.name(f.path)
	}
	root, ok := e.subschema(s.root.node, s.order[0]).(map[string]any)
	if !ok {
		root = map[string]any{}
	}
	delete(root, "$id")
	definitions, ok := root[e.key].(map[string]any)
	if !ok {
		definitions = map[string]any{}
	}
	for _, f := range s.order[1:] {
		doc := e.subschema(f.root, f)
		if m, ok := doc.(map[string]any); ok {
			delete(m, "$id")
			delete(m, "$schema")
		}
		definitions[e.names[f.path]] = doc
	}
	if len(definitions) > 0 {
		root[e.key] = definitions
	}
	text, err := json.MarshalIndent(root, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("writing the editor's schema: %w", err)
	}
	return append(text, '\n'), nil
}

// editor rewrites a schema for editors.
type editor struct {
	schema *Schema
	// names are the definitions that hold the files other than the root's.
	names map[string]string
	key   string
}

// name returns a definition's name for a file that no definition and no other file has.
func (e *editor) name(p string) string {
	base := strings.TrimSuffix(path.Base(p), path.Ext(p))
	taken := slices.Collect(maps.Values(e.names))
	for n, name := 2, base; ; n++ {
		if e.schema.root.node.Get(e.key).Get(name) == nil && !slices.Contains(taken, name) {
			return name
		}
		name = fmt.Sprintf("%s-%d", base, n)
	}
}

// partial are the keywords that ask for the whole of a map.
var partial = []string{"required", "dependentRequired", "minProperties"}

// subschema is the editor's form of a subschema.
func (e *editor) subschema(n *value.Node, f *file) any {
	if n.Kind != value.Map {
		return n.Plain()
	}
	m := make(map[string]any, len(n.Fields))
	for _, field := range n.Fields {
		switch {
		case slices.Contains(partial, field.Key):
		case field.Key == "$ref":
			m["$ref"] = e.ref(field.Value.Text(), f)
		case field.Key == "not" && e.asksForWhole(field.Value):
			// Without what it requires, it would exclude everything.
		case (field.Key == "if" || field.Key == "then" || field.Key == "else") && e.asksForWhole(n.Get("if")):
		case field.Key == "oneOf" && e.asksForWhole(field.Value):
			// Without what they require, several of the alternatives fit.
			m["anyOf"] = e.all(field.Value, f)
		default:
			m[field.Key] = e.keyword(field, f)
		}
	}
	if d, ok := m["description"]; ok && m["markdownDescription"] == nil {
		m["markdownDescription"] = d
	}
	if sh := e.schema.shapes[n]; sh != nil && sh.secret {
		return relaxed(m)
	}
	return m
}

func (e *editor) keyword(field value.Field, f *file) any {
	switch keywords[field.Key].holds {
	case one:
		return e.subschema(field.Value, f)
	case list, oneOrList:
		if field.Value.Kind == value.List {
			return e.all(field.Value, f)
		}
		return e.subschema(field.Value, f)
	case named, namedOrNot:
		m := make(map[string]any, len(field.Value.Fields))
		for _, sub := range field.Value.Fields {
			if sub.Value.Kind == value.List {
				continue // a dependency: these keys are required
			}
			m[sub.Key] = e.subschema(sub.Value, f)
		}
		return m
	default:
		return field.Value.Plain()
	}
}

func (e *editor) all(n *value.Node, f *file) any {
	out := make([]any, len(n.Items))
	for i, item := range n.Items {
		out[i] = e.subschema(item, f)
	}
	return out
}

// asksForWhole reports whether a keyword that asks for the whole of a map stands anywhere in n.
func (e *editor) asksForWhole(n *value.Node) bool {
	found := false
	n.Walk(func(_ value.Path, n *value.Node) bool {
		for _, key := range partial {
			if _, ok := n.Field(key); ok {
				found = true
			}
		}
		return !found
	})
	return found
}

// ref is a reference into the one document.
func (e *editor) ref(ref string, f *file) string {
	address, fragment, _ := strings.Cut(ref, "#")
	target := f.path
	switch {
	case strings.Contains(address, "://") && address != f.id:
		return ref
	case address != "" && address != f.id:
		target = path.Join(path.Dir(f.path), address)
	}
	name, other := e.names[target]
	if !other || fragment != "" && !strings.HasPrefix(fragment, "/") {
		return "#" + fragment // in the root, or an anchor: these are known in the whole document
	}
	return "#/" + e.key + "/" + name + fragment
}

// relaxed lets a secret also be an encrypted text.
func relaxed(m map[string]any) any {
	const encrypted = `^ENC\[`
	out := map[string]any{}
	for _, key := range []string{"title", "description", "markdownDescription", "default", "x-secret", "x-deprecated", "x-merge"} {
		if v, ok := m[key]; ok {
			out[key] = v
			delete(m, key)
		}
	}
	if len(m) == 0 || len(m) == 1 && m["type"] == "string" {
		maps.Copy(out, m)
		return out
	}
	out["anyOf"] = []any{m, map[string]any{"type": "string", "pattern": encrypted}}
	return out
}
