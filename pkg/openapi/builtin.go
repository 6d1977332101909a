package openapi

import (
	"encoding/base64"
	"maps"
	"math"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/value"
)

// objectMeta is the definition of metadata.
const objectMeta = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"

// builtIn checks a value of a built-in kind as the server decodes it into Go: null is the absent value everywhere, names
// count to the letter, and a field is unknown if its type has none of that name.
func (w *walker) builtIn(path value.Path, s *schema, v any) {
	if s != nil && s.Ref != "" {
		s = w.checker.book.definition(definitionName(s.Ref))
	}
	if s == nil || s.Preserve || v == nil {
		return
	}
	switch s.Type {
	case "object":
		m, ok := v.(map[string]any)
		if !ok {
			w.wrongType(path, v, "a map")
			return
		}
		w.builtInMap(path, s, m)
	case "array":
		l, ok := v.([]any)
		if !ok {
			w.wrongType(path, v, "a list")
			return
		}
		for i, v := range l {
			w.builtIn(item(path, i), s.Items, v)
		}
	case "string":
		w.builtInString(path, s, v)
	case "integer":
		n, ok := number(v)
		if !ok || n != math.Trunc(n) {
			w.wrongType(path, v, "an integer")
			return
		}
		w.inRange(path, s.Format, n)
	case "number":
		if _, ok := number(v); !ok {
			w.wrongType(path, v, "a number")
		}
	case "boolean":
		if _, ok := v.(bool); !ok {
			w.wrongType(path, v, "true or false")
		}
	}
}

func (w *walker) builtInMap(path value.Path, s *schema, m map[string]any) {
	if s.Additional != nil {
		for _, key := range slices.Sorted(maps.Keys(m)) {
			w.builtIn(field(path, key), s.Additional.schema, m[key])
		}
		return
	}
	for _, key := range slices.Sorted(maps.Keys(m)) {
		property, ok := s.Properties[key]
		switch {
		case !ok:
			w.unknownField(path, key, slices.Collect(maps.Keys(s.Properties)))
		case len(path) == 0 && key == "status": // the server keeps nothing of it at creation, but decodes it
			inStatus := &walker{checker: w.checker}
			inStatus.builtIn(field(path, key), property, m[key])
			for _, f := range inStatus.found {
				if f.code != diag.ManifestMissingField {
					w.add(f.code, f.path, "%s", f.detail)
				}
			}
		default:
			w.builtIn(field(path, key), property, m[key])
		}
	}
	for _, name := range s.Required {
		if m[name] == nil {
			w.missing(path, name)
		}
	}
}

// number returns a JSON number.
func number(v any) (float64, bool) {
	switch v := v.(type) {
	case float64:
		return v, true
	case int64:
		return float64(v), true
	case int:
		return float64(v), true
	case uint64:
		return float64(v), true
	}
	return 0, false
}

// inRange reports an integer that does not fit its type.
func (w *walker) inRange(path value.Path, format string, n float64) {
	if format == "int32" && (n < math.MinInt32 || n > math.MaxInt32) || n < math.MinInt64 || n >= math.MaxInt64 {
		w.add(diag.ManifestInvalidValue, path, "%s is out of the range of its type, %s. Correct it.", path, wide(format))
	}
}

func wide(format string) string {
	if format == "" {
		return "int64"
	}
	return format
}

// builtInString checks what Kubernetes' document calls a string: also quantities, and numbers or names of ports.
func (w *walker) builtInString(path value.Path, s *schema, v any) {
	text, isText := v.(string)
	n, isNumber := number(v)
	switch s.Format {
	case "int-or-string":
		if !isText && (!isNumber || n != math.Trunc(n)) {
			w.wrongType(path, v, "an integer or a string")
		} else if isNumber {
			w.inRange(path, "int32", n)
		}
		return
	case "quantity":
		if !isText && !isNumber {
			w.wrongType(path, v, "a quantity such as 100m or 1Gi")
		} else if isText {
			if _, err := resource.ParseQuantity(text); err != nil {
				w.add(diag.ManifestInvalidValue, path, "%s is no quantity. Write one such as 100m, 0.5 or 1Gi.", path)
			}
		}
		return
	}
	if !isText {
		w.wrongType(path, v, "a string")
		return
	}
	switch s.Format {
	case "byte":
		if _, err := base64.StdEncoding.DecodeString(text); err != nil {
			w.add(diag.ManifestInvalidValue, path, "%s is not base64. Encode it in the template: {{ … | b64enc }}.", path)
		}
	case "date-time":
		if _, err := time.Parse(time.RFC3339, text); err != nil {
			w.add(diag.ManifestInvalidValue, path, "%s is no time. Write one such as 2006-01-02T15:04:05Z.", path)
		}
	}
}
