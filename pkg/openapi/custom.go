package openapi

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/manifest"
	"github.com/redkubes/otomi/pkg/value"
	"github.com/redkubes/otomi/pkg/yaml"
)

// definition is a kind that a custom resource definition defines. Its schemas are read when they are first asked for: a run
// has many definitions, and few objects of most.
type definition struct {
	group, kind string
	// served are the versions that are served.
	served []string
	text   string

	once sync.Once
	// schemas are those of the served versions; that of one of which nothing is known is not there.
	schemas map[string]*schema
	// unreadable are the served versions that have a schema which can't be read.
	unreadable map[string]bool
}

// schema returns the schema of a version, or nil where nothing is known of its fields; readable is false where that is since
// it can't be read.
func (d *definition) schema(version string) (s *schema, readable bool) {
	d.once.Do(func() {
		d.schemas, d.unreadable = map[string]*schema{}, map[string]bool{}
		data, err := yaml.Decode([]byte(d.text))
		if err != nil {
			return // it was read before
		}
		root, _ := data.(map[string]any)
		for name, version := range versionsOf(root) {
			validation, _ := version["schema"].(map[string]any)
			if s, ok := validation["openAPIV3Schema"].(map[string]any); ok && slices.Contains(d.served, name) {
				parsed := parse(s)
				d.schemas[name], d.unreadable[name] = parsed, parsed == nil
			}
		}
	})
	return d.schemas[version], !d.unreadable[version]
}

// versionsOf returns the versions of a custom resource definition by their names.
func versionsOf(data map[string]any) map[string]map[string]any {
	spec, _ := data["spec"].(map[string]any)
	list, _ := spec["versions"].([]any)
	out := map[string]map[string]any{}
	for _, v := range list {
		version, _ := v.(map[string]any)
		if name, _ := version["name"].(string); name != "" {
			out[name] = version
		}
	}
	return out
}

// define takes the custom resource definitions among objects. Of several of one kind the last stands, as it would in the
// cluster.
func (c *Checker) define(objects []manifest.Object) {
	sums := map[string]string{}
	for _, o := range objects {
		if o.Kind != "CustomResourceDefinition" || o.Group != "apiextensions.k8s.io" {
			continue
		}
		sum := sha256.Sum256([]byte(o.Text))
		d := c.library.definition(sum, o)
		if d.group == "" || d.kind == "" {
			continue
		}
		key := d.group + "/" + d.kind
		c.custom[key], sums[key] = d, hex.EncodeToString(sum[:])
	}
	hash := sha256.New()
	fmt.Fprintf(hash, "%s %d\n", c.book.release, c.asked)
	for _, key := range slices.Sorted(maps.Keys(sums)) {
		fmt.Fprintf(hash, "%s %s\n", key, sums[key])
	}
	c.digest = hex.EncodeToString(hash.Sum(nil))
}

// definition returns what a custom resource definition defines. Clusters that have the same one share it.
func (l *Library) definition(sum [sha256.Size]byte, o manifest.Object) *definition {
	l.mu.Lock()
	defer l.mu.Unlock()
	if d, ok := l.definitions[sum]; ok {
		return d
	}
	spec, _ := o.Data["spec"].(map[string]any)
	names, _ := spec["names"].(map[string]any)
	d := &definition{text: o.Text}
	d.group, _ = spec["group"].(string)
	d.kind, _ = names["kind"].(string)
	for name, version := range versionsOf(o.Data) {
		if served, _ := version["served"].(bool); served {
			d.served = append(d.served, name)
		}
	}
	sortVersions(d.served)
	l.definitions[sum] = d
	return d
}

// customRoot checks an object of a custom kind, or one that stands in a field of another: apiVersion, kind and metadata are
// there without the schema's saying so.
func (w *walker) customRoot(path value.Path, s *schema, data map[string]any) {
	if metadata, ok := data["metadata"]; ok {
		w.builtIn(path.Key("metadata"), w.checker.book.definition(objectMeta), metadata)
	}
	for _, key := range []string{"apiVersion", "kind"} {
		switch v := data[key].(type) {
		case string:
		case nil:
			w.missing(path, key)
		default:
			w.wrongType(path.Key(key), v, "a string")
		}
	}
	root := *s
	root.Embedded = false
	root.Properties = maps.Clone(s.Properties)
	if root.Properties == nil {
		root.Properties = map[string]*schema{}
	}
	for _, key := range []string{"apiVersion", "kind", "metadata"} {
		// What the schema says of them holds, but names no field that metadata would not have.
		open := &schema{Preserve: true}
		if own := root.Properties[key]; own != nil {
			clone := *own
			clone.Preserve = true
			open = &clone
		}
		root.Properties[key] = open
	}
	w.custom(path, &root, data, true)
}

// custom checks a value of a custom kind as the server does by a structural schema (apiextensions-apiserver): it drops what
// the schema does not name, which strict validation reports, and nulls that it does not want, and fills in defaults, before
// it checks. Named says that s is part of the structure, which names the fields, and no condition in it (anyOf, not …).
func (w *walker) custom(path value.Path, s *schema, v any, named bool) {
	if s == nil {
		return
	}
	if named && s.Embedded {
		if m, ok := v.(map[string]any); ok {
			w.customRoot(path, s, m)
			return
		}
	}
	if v == nil {
		if !s.Nullable && !s.hasDefault() && s.Type != "" {
			w.wrongType(path, v, words[s.Type])
		}
		return
	}
	if !w.ofType(path, s, v) {
		return
	}
	switch v := v.(type) {
	case map[string]any:
		w.customMap(path, s, v, named)
	case []any:
		for i, v := range v {
			w.custom(item(path, i), s.Items, v, named)
		}
	}
	w.constraints(path, s, v)
	w.conditions(path, s, v)
}

// words are the types of schemas in sentences.
var words = map[string]string{
	"object": "a map", "array": "a list", "string": "a string", "integer": "an integer", "number": "a number", "boolean": "true or false",
}

// ofType reports a value of a wrong type, and returns false.
func (w *walker) ofType(path value.Path, s *schema, v any) bool {
	n, isNumber := number(v)
	whole := isNumber && n == math.Trunc(n)
	_, isText := v.(string)
	if s.IntOrString {
		if !whole && !isText {
			w.wrongType(path, v, "an integer or a string")
			return false
		}
		return true
	}
	ok := true
	switch s.Type {
	case "object":
		_, ok = v.(map[string]any)
	case "array":
		_, ok = v.([]any)
	case "string":
		ok = isText
	case "integer":
		ok = whole
	case "number":
		ok = isNumber
	case "boolean":
		_, ok = v.(bool)
	}
	if !ok {
		w.wrongType(path, v, words[s.Type])
	}
	return ok
}

func (w *walker) customMap(path value.Path, s *schema, m map[string]any, named bool) {
	for _, key := range slices.Sorted(maps.Keys(m)) {
		property, ok := s.Properties[key]
		if !ok && s.Additional != nil {
			property, ok = s.Additional.schema, s.Additional.any || s.Additional.schema != nil
		}
		switch {
		case ok && m[key] == nil && property != nil && !property.Nullable: // it is dropped, or filled in
		case ok:
			w.custom(field(path, key), property, m[key], named)
		case named && !s.Preserve:
			w.unknownField(path, key, slices.Collect(maps.Keys(s.Properties)))
		}
	}
	for _, name := range s.Required {
		property := s.Properties[name]
		given, there := m[name]
		if property.hasDefault() || there && (given != nil || property == nil || property.Nullable) {
			continue
		}
		w.missing(path, name)
	}
}

// constraints checks what a schema says of a value beside its type.
func (w *walker) constraints(path value.Path, s *schema, v any) {
	bad := func(format string, args ...any) {
		w.add(diag.ManifestInvalidValue, path, "%s %s. Correct it.", shown(path), fmt.Sprintf(format, args...))
	}
	if len(s.Enum) > 0 && !slices.ContainsFunc(s.Enum, func(allowed any) bool { return equal(allowed, v) }) {
		bad("is none of the values that are allowed: %s", listed(s.Enum))
	}
	switch v := v.(type) {
	case string:
		length := utf8.RuneCountInString(v)
		if s.MinLength != nil && length < *s.MinLength {
			bad("has %d characters, and at least %d are wanted", length, *s.MinLength)
		}
		if s.MaxLength != nil && length > *s.MaxLength {
			bad("has %d characters, and at most %d are allowed", length, *s.MaxLength)
		}
		if !w.matches(s, v) {
			bad("does not match the pattern %s", s.Pattern)
		}
		if !ofFormat(s.Format, v) {
			bad("is no %s", s.Format)
		}
	case []any:
		if s.MinItems != nil && len(v) < *s.MinItems {
			bad("has %d items, and at least %d are wanted", len(v), *s.MinItems)
		}
		if s.MaxItems != nil && len(v) > *s.MaxItems {
			bad("has %d items, and at most %d are allowed", len(v), *s.MaxItems)
		}
	case map[string]any:
		if s.MinProperties != nil && len(v) < *s.MinProperties {
			bad("has %d fields, and at least %d are wanted", len(v), *s.MinProperties)
		}
		if s.MaxProperties != nil && len(v) > *s.MaxProperties {
			bad("has %d fields, and at most %d are allowed", len(v), *s.MaxProperties)
		}
	default:
		if n, ok := number(v); ok {
			w.limits(s, n, bad)
		}
	}
}

func (w *walker) limits(s *schema, n float64, bad func(format string, args ...any)) {
	if s.Minimum != nil && (n < *s.Minimum || s.ExclusiveMinimum && n == *s.Minimum) {
		bad("is too small: the least is %v%s", *s.Minimum, excluded(s.ExclusiveMinimum))
	}
	if s.Maximum != nil && (n > *s.Maximum || s.ExclusiveMaximum && n == *s.Maximum) {
		bad("is too large: the greatest is %v%s", *s.Maximum, excluded(s.ExclusiveMaximum))
	}
	if s.MultipleOf != nil && *s.MultipleOf > 0 {
		if quotient := n / *s.MultipleOf; math.Abs(quotient-math.Round(quotient)) > 1e-9 {
			bad("is no multiple of %v", *s.MultipleOf)
		}
	}
	if s.Format == "int32" && (n < math.MinInt32 || n > math.MaxInt32) {
		bad("is out of the range of its type, int32")
	}
}

func excluded(exclusive bool) string {
	if exclusive {
		return ", itself excluded"
	}
	return ""
}

// conditions checks allOf, anyOf, oneOf and not.
func (w *walker) conditions(path value.Path, s *schema, v any) {
	for _, sub := range s.AllOf {
		w.custom(path, sub, v, false)
	}
	fits := func(list []*schema) (n int) {
		for _, sub := range list {
			if w.fits(path, sub, v) {
				n++
			}
		}
		return n
	}
	if len(s.AnyOf) > 0 && fits(s.AnyOf) == 0 {
		w.add(diag.ManifestInvalidValue, path, "%s fits none of the alternatives of its definition (anyOf). Correct it.", shown(path))
	}
	if len(s.OneOf) > 0 {
		if n := fits(s.OneOf); n != 1 {
			w.add(diag.ManifestInvalidValue, path, "%s fits %d of the alternatives of its definition, and exactly one is wanted (oneOf). Correct it.",
				shown(path), n)
		}
	}
	if s.Not != nil && w.fits(path, s.Not, v) {
		w.add(diag.ManifestInvalidValue, path, "%s is what its definition excludes (not). Correct it.", shown(path))
	}
}

func (w *walker) fits(path value.Path, s *schema, v any) bool {
	tried := &walker{checker: w.checker, work: w.work}
	tried.custom(path, s, v, false)
	return len(tried.found) == 0
}

// equal compares JSON values: a number may be of any Go type.
func equal(a, b any) bool {
	if x, ok := number(a); ok {
		y, ok := number(b)
		return ok && x == y
	}
	return reflect.DeepEqual(a, b)
}

// listed writes allowed values in a sentence.
func listed(values []any) string {
	const most = 20
	var out []string
	for _, v := range values[:min(len(values), most)] {
		text, err := json.Marshal(v)
		if err != nil {
			continue
		}
		out = append(out, string(text))
	}
	if len(values) > most {
		out = append(out, "…")
	}
	return strings.Join(out, ", ")
}

// ofFormat checks the formats that the server knows and that have one reading; others are not checked.
func ofFormat(format, text string) bool {
	var err error
	switch format {
	case "ipv4":
		var a netip.Addr
		a, err = netip.ParseAddr(text)
		return err == nil && a.Is4()
	case "ipv6":
		var a netip.Addr
		a, err = netip.ParseAddr(text)
		return err == nil && a.Is6()
	case "cidr":
		_, err = netip.ParsePrefix(text)
	case "byte":
		_, err = base64.StdEncoding.DecodeString(text)
	case "date":
		_, err = time.Parse(time.DateOnly, text)
	case "date-time":
		_, err = time.Parse(time.RFC3339, text)
	}
	return err == nil
}
