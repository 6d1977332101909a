package schema_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"helm.sh/helm/v3/pkg/chartutil"

	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/schema"
)

func compileChart(text string, files map[string]string) (*schema.Chart, diag.Diagnostics) {
	c, _, diags := schema.CompileChart(schema.ChartOptions{
		Text: []byte(text),
		File: func(path string) ([]byte, bool) {
			text, ok := files[path]
			return []byte(text), ok
		},
		Display: func(path string) string { return "charts/web/" + path },
	})
	return c, diags
}

// fits says whether we take values for a schema, and why not.
func fits(c *schema.Chart, diags diag.Diagnostics, values map[string]any) (bool, string) {
	if diags.HasErrors() {
		return false, diags[0].Detail
	}
	if found := c.Validate(values); found.HasErrors() {
		return false, found[0].Path + ": " + found[0].Detail
	}
	return true, ""
}

const drafts = `http://json-schema.org/draft-04/schema# http://json-schema.org/draft-06/schema# http://json-schema.org/draft-07/schema# https://json-schema.org/draft/2019-09/schema https://json-schema.org/draft/2020-12/schema http://json-schema.org/schema# `

// chartSchemas and chartValues are tried with each other.
var (
	chartSchemas = []string{
		`{"type": "object", "properties": {"a": {"type": "integer"}}}`,
		`{"properties": {"a": {"type": ["string", "null"]}}, "required": ["a"]}`,
		`{"properties": {"a": {"minimum": 1, "exclusiveMinimum": true}}}`,
		`{"properties": {"a": {"exclusiveMinimum": 1}}}`,
		`{"properties": {"a": {"format": "ipv4"}}}`,
		`{"properties": {"a": {"format": "email"}}}`,
		`{"properties": {"a": {"format": "date-time"}}}`,
		`{"properties": {"a": {"format": "uri"}}}`,
		`{"properties": {"a": {"format": "hostname"}}}`,
		`{"properties": {"a": {"format": "duration"}}}`,
		`{"properties": {"a": {"format": "uuid"}}}`,
		`{"properties": {"a": {"format": "regex"}}}`,
		`{"properties": {"a": {"format": "no-such-format"}}}`,
		`{"properties": {"a": {"pattern": "^a+$"}}}`,
		`{"properties": {"a": {"pattern": "(?=a)"}}}`,
		`{"properties": {"a": {"const": 3}}}`,
		`{"properties": {"a": {"enum": [3, "x", null, 1.5]}}}`,
		`{"properties": {"a": {"$ref": "#/$defs/n"}}, "$defs": {"n": {"type": "string"}}}`,
		`{"properties": {"a": {"$ref": "#/definitions/n", "minimum": 10}}, "definitions": {"n": {"type": "number"}}}`,
		`{"properties": {"a": {"$ref": "#/definitions/missing"}}}`,
		`{"properties": {"a": {"$ref": "beside.json"}}}`,
		`{"properties": {"a": {"$ref": "#n"}}, "$defs": {"n": {"$anchor": "n", "type": "string"}}}`,
		`{"properties": {"a": {"$ref": "#n"}}, "definitions": {"n": {"$id": "#n", "type": "string"}}}`,
		`{"properties": {"a": {"$ref": "#n"}}, "definitions": {"n": {"id": "#n", "type": "string"}}}`,
		`{"$id": "https://example.com/root.json", "properties": {"a": {"$ref": "item.json"}}, "$defs": {"n": {"$id": "item.json", "type": "string"}}}`,
		`{"$schema": "http://json-schema.org/draft-04/schema#", "id": "https://example.com/root.json", "properties": {"a": {"$ref": "item.json"}}, "definitions": {"n": {"id": "item.json", "type": "string"}}}`,
		`{"$id": "#/properties/a", "properties": {"a": {"$id": "#/properties/a", "type": "string"}}}`,
		`{"properties": {"a": {"$id": "x"}, "b": {"$id": "x"}}}`,
		`{"properties": {"a": {"enum": [{"$id": "x"}]}, "b": {"$id": "x"}}}`,
		`{"properties": {"a": {"items": [{"type": "string"}, {"type": "integer"}], "additionalItems": false}}}`,
		`{"properties": {"a": {"prefixItems": [{"type": "string"}], "items": false}}}`,
		`{"properties": {"a": {"items": {"type": "string"}, "uniqueItems": true, "minItems": 1, "maxItems": 2}}}`,
		`{"properties": {"a": {"contains": {"type": "integer"}, "minContains": 2}}}`,
		`{"additionalProperties": false, "patternProperties": {"^b": {"type": "string"}}, "properties": {"global": {}}}`,
		`{"unevaluatedProperties": false, "properties": {"a": {}}}`,
		`{"propertyNames": {"maxLength": 3}}`,
		`{"dependencies": {"a": ["b"]}}`,
		`{"dependentRequired": {"a": ["b"]}}`,
		`{"dependencies": {"a": {"required": ["b"]}}}`,
		`{"if": {"required": ["a"]}, "then": {"required": ["b"]}}`,
		`{"oneOf": [{"required": ["a"]}, {"required": ["b"]}]}`,
		`{"anyOf": [{"properties": {"a": {"type": "string"}}}, {"properties": {"a": {"minimum": 4}}}]}`,
		`{"not": {"required": ["a"]}}`,
		`{"properties": {"a": true, "b": false}}`,
		`{"properties": {"a": {"multipleOf": 0.1}}}`,
		`{"properties": {"a": {"maxLength": 2, "minLength": 1}}}`,
		`{"maxProperties": 1, "minProperties": 1}`,
		`{"properties": {"a": {"type": "integr"}}}`,
		`{"properties": {"a": {"minimum": "1"}}}`,
		`{"properties": {"a": {"properties": {"$ref": {"type": "string"}, "id": {"type": "string"}, "$id": {"type": "integer"}}}}}`,
		`{"$defs": {"tree": {"properties": {"a": {"$ref": "#/$defs/tree"}}, "additionalProperties": false}}, "$ref": "#/$defs/tree"}`,
		`{"properties": {"a": {"$ref": "#"}}, "additionalProperties": false}`,
		`{"$recursiveAnchor": true, "properties": {"a": {"$recursiveRef": "#"}}, "additionalProperties": false}`,
		`{"$dynamicAnchor": "n", "properties": {"a": {"$dynamicRef": "#n"}}, "additionalProperties": false}`,
		`{"properties": {"a": {"contentEncoding": "base64", "contentMediaType": "application/json"}}}`,
		`{"properties": {"a": {"type": "number", "maximum": 9007199254740993}}}`,
		`{"a": 1, "a": {"b": 2}, "type": "object"}`,
		`{"type": "array"}`,
		`true`, `false`, `{}`, `[]`, `3`, `{"type": "object"} {}`, `{"type": `, "\ufeff{}",
	}
	chartValues = []map[string]any{
		{}, {"a": nil}, {"a": 1.0}, {"a": int64(3)}, {"a": 3.5}, {"a": "x"}, {"a": "a"}, {"a": "aaa"}, {"a": true}, {"a": []any{}},
		{"a": []any{"x", 1.0}}, {"a": []any{"x", "x"}}, {"a": []any{"x", 1.0, 2.0}}, {"a": map[string]any{}}, {"a": map[string]any{"a": map[string]any{"b": 1.0}}},
		{"b": 1.0}, {"b": "x"}, {"a": 1.0, "b": "x"}, {"a": "10.0.0.1"}, {"a": "a@b.c"}, {"a": "2006-01-02T15:04:05Z"}, {"a": "https://x.y"}, {"a": "a_b"},
		{"a": "P1D"}, {"a": "("}, {"long": 1.0}, {"a": 9007199254740994.0}, {"a": 0.3}, {"a": map[string]any{"$ref": 1.0, "id": 1.0}}, {"a": map[string]any{"$id": 1.0}},
	}
)

func TestAChartsSchemaMeansWhatItMeansToHelm(t *testing.T) {
	t.Parallel()
	n := 0
	for _, text := range chartSchemas {
		variants := []string{text}
		if rest, ok := strings.CutPrefix(text, "{"); ok && json.Valid([]byte(text)) && !strings.Contains(text, "example.com") {
			for draft := range strings.FieldsSeq(drafts) {
				comma := ","
				if rest == "}" {
					comma = ""
				}
				variants = append(variants, fmt.Sprintf(`{"$schema": %q%s %s`, draft, comma, rest))
			}
		}
		for _, variant := range variants {
			c, diags := compileChart(variant, nil)
			for _, v := range chartValues {
				want := chartutil.ValidateAgainstSingleSchema(v, []byte(variant))
				got, why := fits(c, diags, v)
				require.Equal(t, want == nil, got, "%s\nvalues: %v\nhelm: %v\nwe: %s", variant, v, want, why)
				n++
			}
		}
	}
	t.Logf("compared %d times", n)
}

func TestWhatIsElsewhereIsNotCheckedAndAllElseIs(t *testing.T) {
	t.Parallel()
	for _, draft := range strings.Fields(drafts) {
		c, diags := compileChart(fmt.Sprintf(`{"$schema": %q,
  "properties": {
    "a": {"$ref": "https://user:pw@example.com/a.json?token=x#/definitions/a"},
    "b": {"type": "string"},
    "c": {"$ref": "urn:example:c"}
  }}`, draft), nil)
		require.False(t, diags.HasErrors(), "%v", diags)
		require.Len(t, diags, 2)
		require.Equal(t, diag.SchemaUnresolvableRef, diags[0].Code)
		require.Equal(t, "charts/web/values.schema.json:3:19", diags[0].Range.String())
		require.Contains(t, diags[0].Detail, "https://example.com/a.json is not in the chart")
		found := c.Validate(map[string]any{"a": 1.0, "b": 1.0, "c": 1.0})
		require.Len(t, found, 1)
		require.Equal(t, "b", found[0].Path)
	}
	c, diags := compileChart(`{"$schema": "https://example.com/dialect", "properties": {"a": {"type": "string"}}}`, nil)
	require.Len(t, diags, 1)
	require.Len(t, c.Validate(map[string]any{"a": 1.0}), 1)
}

func TestAChartsSchemaMayReferToFilesBesideIt(t *testing.T) {
	t.Parallel()
	files := map[string]string{
		"schemas/a.json": `{"$defs": {"n": {"$ref": "b.json#/x"}}}`,
		"schemas/b.json": `{"x": {"type": "string"}, "y": {"$ref": "https://example.com/y.json#/z"}}`,
	}
	c, diags := compileChart(`{"properties": {"a": {"$ref": "schemas/a.json#/$defs/n"}}}`, files)
	require.Empty(t, diags)
	found := c.Validate(map[string]any{"a": 1.0})
	require.Len(t, found, 1)
	require.Equal(t, "the schema asks here", found[0].Notes[0].Message)
	require.Equal(t, "charts/web/schemas/b.json:1:16", found[0].Notes[0].Range.String())
	_, diags = compileChart(`{"properties": {"a": {"$ref": "../../etc/passwd.json"}}}`, files)
	require.True(t, diags.HasErrors())
	require.Contains(t, diags[0].Detail, "the chart has no file etc/passwd.json")
}

func TestAFindingSaysThePathWhatIsWrongAndWhereTheSchemaAsks(t *testing.T) {
	t.Parallel()
	c, diags := compileChart(`{
  "$schema": "http://json-schema.org/draft-07/schema#",
  "$id": "https://example.com/values.json",
  "additionalProperties": false,
  "properties": {
    "port": {"type": "integer", "maximum": 65535},
    "mode": {"enum": ["fast", "slow"]},
    "password": {"pattern": "^[a-z]+$"},
    "list": {"items": {"required": ["name"]}}
  }
}`, nil)
	require.Empty(t, diags)
	found := c.Validate(map[string]any{"port": "http", "mode": "fest", "password": "Hunter2", "list": []any{map[string]any{}}, "prot": 1.0})
	var lines []string
	for _, d := range found {
		lines = append(lines, fmt.Sprintf("%s: %s (%s)", d.Path, d.Detail, d.Notes[0].Range))
		require.NotContains(t, d.Detail, "Hunter2")
		require.NotContains(t, d.Detail, "fest")
	}
	require.ElementsMatch(t, []string{
		`port: this is a string, and the schema wants an integer. Write an integer, such as 65535. (charts/web/values.schema.json:6:22)`,
		`mode: the value is not allowed. Write one of fast, slow. (charts/web/values.schema.json:7:22)`,
		`password: the value does not match the pattern ^[a-z]+$. Correct it. (charts/web/values.schema.json:8:29)`,
		`list[0].name: the key "name" is missing. Add it. (charts/web/values.schema.json:9:36)`,
		`prot: the values have no key "prot". Did you mean "port"? (charts/web/values.schema.json:5:17)`,
	}, lines)
}

func TestAHostileSchemaOfAChartIsBounded(t *testing.T) {
	t.Parallel()
	doubling := func(keyword string) string {
		var defs strings.Builder
		for i := range 60 {
			fmt.Fprintf(&defs, `"d%d": {"%s": [{"$ref": "#/definitions/d%d"}, {"$ref": "#/definitions/d%d"}]},`, i, keyword, i+1, i+1)
		}
		return `{"$ref": "#/definitions/d0", "definitions": {` + defs.String() + `"d60": {"type": "string"}}}`
	}
	tests := map[string]string{
		"allOf":     doubling("allOf"),
		"anyOf":     doubling("anyOf"),
		"oneOf":     doubling("oneOf"),
		"itself":    `{"anyOf": [{"$ref": "#"}, {"$ref": "#"}]}`,
		"by id":     strings.Replace(doubling("anyOf"), `"d1": {`, `"d1": {"$id": "https://example.com/d1",`, 1),
		"deep":      strings.Repeat(`{"not":`, 20000) + "{}" + strings.Repeat("}", 20000),
		"exponent":  `{"properties": {"a": {"maximum": 1e1000000000}}}`,
		"exponent2": `{"properties": {"a": {"multipleOf": 1e-300000000}}}`,
	}
	for name, text := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			begin := time.Now()
			c, diags := compileChart(text, nil)
			ok, why := fits(c, diags, map[string]any{"a": 1.0})
			require.False(t, ok)
			require.NotEmpty(t, why)
			require.Less(t, time.Since(begin), time.Minute)
		})
	}
}

var opaque = regexp.MustCompile(`id":\s*"[^"/#]*:`)

// FuzzChartSchema compares us with Helm on schemas that nobody would write.
func FuzzChartSchema(f *testing.F) {
	for _, text := range chartSchemas {
		f.Add(text)
		if rest, ok := strings.CutPrefix(text, `{"`); ok {
			for draft := range strings.FieldsSeq(drafts) {
				f.Add(fmt.Sprintf(`{"$schema": %q, "%s`, draft, rest))
			}
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		plain := text
		for draft := range strings.FieldsSeq(drafts) {
			plain = strings.ReplaceAll(plain, draft, "")
		}
		for _, word := range []string{":/", "//", `\u00`, `\/`, "urn", "file"} {
			if strings.Contains(plain, word) {
				return // Helm would fetch it, or read a file of this machine
			}
		}
		if opaque.MatchString(text) {
			return // a.b:c, relative to which nothing has a meaning
		}
		c, diags := compileChart(text, nil)
		for _, d := range diags {
			if d.Code == diag.SchemaBudget || d.Severity == diag.Warning {
				return
			}
		}
		for _, v := range chartValues {
			got, why := fits(c, diags, v)
			if strings.Contains(why, "without an end") {
				return
			}
			want := chartutil.ValidateAgainstSingleSchema(v, []byte(text))
			if (want == nil) != got {
				t.Fatalf("%s\nvalues: %v\nhelm: %v\nwe: %s", text, v, want, why)
			}
		}
	})
}
