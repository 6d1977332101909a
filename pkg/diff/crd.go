package diff

import (
	"context"
	"fmt"
	"maps"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/redkubes/otomi/pkg/manifest"
)

// Population lists the objects of a kind.
type Population interface {
	// List reads at most limit objects of the kind and version of o, in all namespaces, and says how many there are.
	List(ctx context.Context, o manifest.Object, limit int) (items []map[string]any, total int, err error)
}

// The bounds of what is looked at before a definition is changed: how many objects are checked, how many of their faults and how
// many names are told, and how deep a schema is followed.
const (
	checkedObjects = 500
	toldFaults     = 3
	toldObjects    = 3
	deepest        = 64
)

// definedKind is what a CustomResourceDefinition says of its kind.
type definedKind struct {
	group, kind, scope string
	versions           []definedVersion
}

type definedVersion struct {
	name            string
	served, storage bool
	schema          map[string]any
}

// definedBy reads a CustomResourceDefinition (apiextensions.k8s.io/v1).
func definedBy(crd map[string]any) definedKind {
	spec, _ := crd["spec"].(map[string]any)
	names, _ := spec["names"].(map[string]any)
	var d definedKind
	d.group, _ = spec["group"].(string)
	d.kind, _ = names["kind"].(string)
	d.scope, _ = spec["scope"].(string)
	versions, _ := spec["versions"].([]any)
	for _, v := range versions {
		version, _ := v.(map[string]any)
		var out definedVersion
		out.name, _ = version["name"].(string)
		out.served, _ = version["served"].(bool)
		out.storage, _ = version["storage"].(bool)
		schema, _ := version["schema"].(map[string]any)
		out.schema, _ = schema["openAPIV3Schema"].(map[string]any)
		d.versions = append(d.versions, out)
	}
	return d
}

func (d definedKind) version(name string) (definedVersion, bool) {
	i := slices.IndexFunc(d.versions, func(v definedVersion) bool { return v.name == name && v.served })
	if i < 0 {
		return definedVersion{}, false
	}
	return d.versions[i], true
}

// readable is the version in which the objects are read: the stored one where it is served, else any that is.
func (d definedKind) readable() (definedVersion, bool) {
	for _, stored := range []bool{true, false} {
		for _, v := range d.versions {
			if v.served && (v.storage || !stored) {
				return v, true
			}
		}
	}
	return definedVersion{}, false
}

// judgeDefinition decides whether a CustomResourceDefinition may become what is wanted while objects of its kind are there: a
// version that is served no more breaks who reads it, and what a narrower schema does not have is dropped from them, or refuses
// their next change. Without objects it is only noted. What the cluster refuses itself (another scope, a version that is stored
// and goes) is said with the objects that stand in its way; the change is invalid then already.
func (c *comparison) judgeDefinition(ctx context.Context, before, after map[string]any, change *Change) error {
	if change.Kind != "CustomResourceDefinition" || before == nil || after == nil || deleting(before) || reflect.DeepEqual(before["spec"], after["spec"]) {
		return nil
	}
	was, will := definedBy(before), definedBy(after)
	var losses []string
	for _, v := range was.versions {
		if _, ok := will.version(v.name); v.served && !ok {
			losses = append(losses, "it no longer serves "+v.name)
		}
	}
	if was.scope != will.scope {
		losses = append(losses, fmt.Sprintf("its scope changes from %s to %s", was.scope, will.scope))
	}
	reading, ok := was.readable()
	if !ok {
		return nil
	}
	next, ok := will.version(reading.name)
	narrower := ok && !reflect.DeepEqual(reading.schema, next.schema)
	if len(losses) == 0 && !narrower {
		return nil
	}
	kind := manifest.Object{ID: manifest.ID{Group: was.group, Kind: was.kind}, Version: reading.name}
	items, total, err := c.live.List(ctx, kind, checkedObjects)
	if err != nil && c.o.CRDDowngrade && ctx.Err() == nil {
		// Who may not list them must say so, and did.
		change.Reason = joined(change.Reason, "nobody could tell which objects it changes for")
		return nil
	}
	if err != nil {
		return fmt.Errorf("looking for objects that %s would change for: %w", change.ID, err)
	}
	if change.Invalid == "" {
		// What this run writes itself, it writes as the new definition has it.
		all := len(items)
		items = slices.DeleteFunc(items, func(item map[string]any) bool {
			id := kind.ID
			metadata, _ := item["metadata"].(map[string]any)
			id.Name, _ = metadata["name"].(string)
			id.Namespace, _ = metadata["namespace"].(string)
			return len(c.wantedBy[id]) > 0
		})
		total -= all - len(items)
	}
	if total == 0 {
		switch {
		case change.Invalid != "":
			change.Invalid = joined(change.Invalid, "No object of the kind is there: delete the definition by hand, and apply again")
		case len(losses) > 0:
			change.Reason = joined(change.Reason, strings.Join(losses, ", ")+"; no object of the kind is there")
		}
		return nil
	}
	var problems []string
	if len(losses) > 0 {
		problems = append(problems, fmt.Sprintf("%s, and %s of kind %s there", strings.Join(losses, ", "), are(total), was.kind))
	}
	if narrower {
		if text := unfitting(items, total, reading.schema, next.schema); text != "" {
			problems = append(problems, text)
		}
	}
	if len(problems) == 0 {
		return nil
	}
	text := strings.Join(problems, "; ")
	switch {
	case change.Invalid != "":
		change.Invalid = joined(change.Invalid, text+". Nothing but deleting the definition, and every object with it, would allow that: change the chart back, or do that by hand")
		return nil
	case c.o.CRDDowngrade:
		change.Reason = joined(change.Reason, text)
		return nil
	}
	change.Invalid = joined(change.Invalid, text+". Change or delete those objects first, or go on all the same: --allow-crd-downgrade")
	return nil
}

// joined puts one sentence behind another.
func joined(a, b string) string {
	if a == "" {
		return b
	}
	return strings.TrimSuffix(a, ".") + ". " + b
}

// are is "1 object is", "4 objects are".
func are(n int) string {
	if n == 1 {
		return "1 object is"
	}
	return fmt.Sprintf("%d objects are", n)
}

// unfitting says how many of the objects fit the schema that there is, and not the one that is wanted, and where.
func unfitting(items []map[string]any, total int, was, will map[string]any) string {
	var names, faults []string
	n := 0
	for _, item := range items {
		old := misfits(was, item)
		var found []string
		for _, m := range misfits(will, item) {
			if !slices.Contains(old, m) {
				found = append(found, m)
			}
		}
		if len(found) == 0 {
			continue
		}
		n++
		metadata, _ := item["metadata"].(map[string]any)
		name, _ := metadata["name"].(string)
		if namespace, _ := metadata["namespace"].(string); namespace != "" {
			name = namespace + "/" + name
		}
		if len(names) < toldObjects {
			names = append(names, name)
		}
		for _, m := range found {
			if !slices.Contains(faults, m) && len(faults) < toldFaults {
				faults = append(faults, m)
			}
		}
	}
	if n == 0 {
		return ""
	}
	of := fmt.Sprintf("%d of %d objects", n, total)
	if len(items) < total {
		of = fmt.Sprintf("%d of the first %d of %d objects", n, len(items), total)
	}
	if n > len(names) {
		names = append(names, fmt.Sprintf("%d more", n-len(names)))
	}
	return fmt.Sprintf("%s of the kind would not fit its new schema (%s): %s", of, strings.Join(names, ", "), strings.Join(faults, "; "))
}

// misfits says, a sentence each, where an object does not fit the structural schema of its version; it is no validation of
// everything, but of what makes a schema narrower: types, required and unknown fields, enums, patterns and bounds. No sentence
// has a value of the object.
func misfits(schema, object map[string]any) []string {
	var m misfit
	if schema == nil {
		return nil
	}
	body := maps.Clone(object)
	for _, key := range []string{"apiVersion", "kind", "metadata"} {
		delete(body, key) // which the server knows of every object
	}
	m.object(schema, body, "", 0)
	return m.found
}

type misfit struct{ found []string }

func (m *misfit) say(path, format string, args ...any) {
	if path == "" {
		path = "the object"
	}
	m.found = append(m.found, path+" "+fmt.Sprintf(format, args...))
}

// value checks one value against the schema of its place.
func (m *misfit) value(schema map[string]any, v any, path string, depth int) {
	if depth > deepest || schema == nil {
		return
	}
	if v == nil {
		return // the server drops it where it is not nullable and has a default, and judges it itself
	}
	if schema["x-kubernetes-int-or-string"] == true {
		if _, text := v.(string); !text && !integral(v) {
			m.say(path, "would have to be a number or a text")
		}
		return
	}
	if kind, _ := schema["type"].(string); kind != "" && !typed(kind, v) {
		m.say(path, "would have to be of type %s", kind)
		return
	}
	if enum, ok := schema["enum"].([]any); ok && !slices.ContainsFunc(enum, func(e any) bool { return same(e, v) }) {
		m.say(path, "would have a value that is not allowed any more")
	}
	switch v := v.(type) {
	case string:
		length := float64(utf8.RuneCountInString(v))
		m.bounds(schema, "minLength", "maxLength", length, path, "characters")
		if pattern, _ := schema["pattern"].(string); pattern != "" {
			if re, err := regexp.Compile(pattern); err == nil && !re.MatchString(v) {
				m.say(path, "would not match the pattern")
			}
		}
	case []any:
		m.bounds(schema, "minItems", "maxItems", float64(len(v)), path, "items")
		items, _ := schema["items"].(map[string]any)
		for _, e := range v {
			m.value(items, e, path+"[]", depth+1)
		}
	case map[string]any:
		m.object(schema, v, path, depth)
	default:
		if n, ok := number(v); ok {
			m.number(schema, n, path)
		}
	}
}

// object checks the fields of an object.
func (m *misfit) object(schema, v map[string]any, path string, depth int) {
	properties, _ := schema["properties"].(map[string]any)
	more, _ := schema["additionalProperties"].(map[string]any)
	open := schema["additionalProperties"] == true || schema["x-kubernetes-preserve-unknown-fields"] == true ||
		schema["x-kubernetes-embedded-resource"] == true || schema["type"] != "object"
	m.bounds(schema, "minProperties", "maxProperties", float64(len(v)), path, "fields")
	required, _ := schema["required"].([]any)
	for _, r := range required {
		key, _ := r.(string)
		if _, there := v[key]; there || path == "" && (key == "apiVersion" || key == "kind" || key == "metadata") {
			continue
		}
		if p, _ := properties[key].(map[string]any); p["default"] == nil {
			m.say(below(path, key), "would be required")
		}
	}
	for _, key := range slices.Sorted(maps.Keys(v)) {
		switch p, ok := properties[key].(map[string]any); {
		case ok:
			m.value(p, v[key], below(path, key), depth+1)
		case more != nil:
			m.value(more, v[key], path+".*", depth+1)
		case !open:
			m.say(below(path, key), "would be dropped")
		}
	}
}

func below(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// bounds checks a count against its least and most.
func (m *misfit) bounds(schema map[string]any, least, most string, n float64, path, what string) {
	if low, ok := number(schema[least]); ok && n < low {
		m.say(path, "would need %v %s or more", low, what)
	}
	if high, ok := number(schema[most]); ok && n > high {
		m.say(path, "would have to have %v %s or less", high, what)
	}
}

// number checks a number against its bounds, which OpenAPI 3.0 excludes by booleans.
func (m *misfit) number(schema map[string]any, n float64, path string) {
	if low, ok := number(schema["minimum"]); ok && (n < low || n == low && schema["exclusiveMinimum"] == true) {
		m.say(path, "would be below the least %v", low)
	}
	if high, ok := number(schema["maximum"]); ok && (n > high || n == high && schema["exclusiveMaximum"] == true) {
		m.say(path, "would be above the most %v", high)
	}
	if step, ok := number(schema["multipleOf"]); ok && step > 0 && math.Abs(n/step-math.Round(n/step)) > 1e-9 {
		m.say(path, "would have to be a multiple of %v", step)
	}
}

// typed reports whether a JSON value is of an OpenAPI type.
func typed(kind string, v any) bool {
	switch kind {
	case "object":
		_, ok := v.(map[string]any)
		return ok
	case "array":
		_, ok := v.([]any)
		return ok
	case "string":
		_, ok := v.(string)
		return ok
	case "boolean":
		_, ok := v.(bool)
		return ok
	case "integer":
		return integral(v)
	case "number":
		_, ok := number(v)
		return ok
	}
	return true
}

func integral(v any) bool {
	n, ok := number(v)
	return ok && n == math.Trunc(n)
}

func number(v any) (float64, bool) {
	switch v := v.(type) {
	case float64:
		return v, true
	case int64:
		return float64(v), true
	case int:
		return float64(v), true
	case interface{ String() string }: // json.Number
		n, err := strconv.ParseFloat(v.String(), 64)
		return n, err == nil
	}
	return 0, false
}

// same compares two JSON values, numbers by what they are worth.
func same(a, b any) bool {
	if x, ok := number(a); ok {
		y, ok := number(b)
		return ok && x == y
	}
	return reflect.DeepEqual(a, b)
}
