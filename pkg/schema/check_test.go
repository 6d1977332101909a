package schema

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/source"
	"github.com/stretchr/testify/require"
)

// checked returns the findings of Check as "severity line:column code".
func checked(t testing.TB, text string) []string {
	t.Helper()
	_, diags, err := Check(tree(map[string]string{rootFile: text}), rootFile)
	require.NoError(t, err)
	got := []string{}
	for _, d := range diags {
		got = append(got, fmt.Sprintf("%s %d:%d %s", d.Severity, d.Range.Start.Line, d.Range.Start.Column, d.Code))
	}
	return got
}

func TestCheck(t *testing.T) {
	t.Parallel()
	const draft07 = "$schema: http://json-schema.org/draft-07/schema#\n"
	tests := map[string]struct {
		text string
		want []string
	}{
		"nothing wrong": {"properties: {a: {type: integer, minimum: 1, default: 2, examples: [3]}}\nx-own: 1", nil},
		// What makes a schema unusable.
		"number as text":             {"minimum: '1'", []string{"error 1:10 schema/wrong-type"}},
		"negative count":             {"minLength: -1", []string{"error 1:12 schema/wrong-type"}},
		"fraction as count":          {"maxItems: 1.5", []string{"error 1:11 schema/wrong-type"}},
		"multiple of nothing":        {"multipleOf: 0", []string{"error 1:13 schema/wrong-type"}},
		"text as boolean":            {"uniqueItems: 'true'", []string{"error 1:14 schema/wrong-type"}},
		"required as of draft-03":    {"properties: {a: {required: true}}", []string{"error 1:28 schema/wrong-type"}},
		"required with a number":     {"required: [1]", []string{"error 1:11 schema/wrong-type"}},
		"enum that is no list":       {"enum: a", []string{"error 1:7 schema/wrong-type"}},
		"empty enum":                 {"enum: []", []string{"error 1:7 schema/invalid"}},
		"no schema":                  {"properties: {a: 5}", []string{"error 1:17 schema/wrong-type"}},
		"no schemas":                 {"allOf: {}", []string{"error 1:8 schema/wrong-type"}},
		"no alternatives":            {"anyOf: []", []string{"error 1:8 schema/wrong-type"}},
		"properties as a list":       {"properties: [a]", []string{"error 1:13 schema/wrong-type"}},
		"type that is none":          {"type: [string, map]", []string{"error 1:16 schema/invalid"}},
		"type without a word":        {"type:", []string{"error 1:1 schema/wrong-type"}},
		"exclusive as of draft-04":   {"minimum: 1\nexclusiveMinimum: true", []string{"error 2:19 schema/wrong-type"}},
		"items as of draft-07":       {"items: [{}]", []string{"error 1:1 schema/other-draft"}},
		"x-secret with a number":     {"x-secret: 1", []string{"error 1:11 schema/wrong-type"}},
		"x-merge without a key":      {"x-merge: {}", []string{"error 1:10 schema/wrong-type"}},
		"x-deprecated without words": {"x-deprecated: true", []string{"error 1:15 schema/wrong-type"}},
		"dependency on a number":     {"dependencies: {a: [1]}", []string{"error 1:19 schema/wrong-type"}},
		"keyword among properties":   {"properties: {a: {}, required: [a]}", []string{"error 1:21 schema/misplaced-keyword"}},
		"reference to no schema":     {"title: x\n$ref: '#/title'", []string{"error 2:7 schema/unresolvable-ref"}},
		"reference to itself":        {"allOf: [{$ref: '#'}]", []string{"error 1:1 schema/invalid"}},
		"reference to itself in not": {"not: {$ref: '#'}", []string{"error 1:1 schema/invalid"}},
		"all that is wrong, at once": {"minimum: a\npattern: '(?=x)'\n$ref: '#/x'\nbogus: 1", []string{
			"error 1:10 schema/wrong-type", "error 2:10 schema/bad-pattern", "error 3:7 schema/unresolvable-ref", "warning 4:1 schema/unknown-keyword"}},
		"the rest beside a bad pattern": {"pattern: '(?=x)'\nproperties: {a: {type: string, default: 1}}", []string{
			"error 1:10 schema/bad-pattern", "warning 2:41 schema/unfit-value"}},
		// What is legal and cannot be meant.
		"unknown keyword":                 {"foo: 1", []string{"warning 1:1 schema/unknown-keyword"}},
		"quotation mark in a keyword":     {"minimum\": 0", []string{"warning 1:1 schema/unknown-keyword"}},
		"nearly ours":                     {"x-secrets: true", []string{"warning 1:1 schema/unknown-keyword"}},
		"keyword of OpenAPI":              {"nullable: true", []string{"warning 1:1 schema/other-draft"}},
		"keyword of draft-04":             {"id: x", []string{"warning 1:1 schema/other-draft"}},
		"keyword of the newer draft":      {draft07 + "prefixItems: [{}]", []string{"warning 2:1 schema/other-draft"}},
		"keyword of the older draft":      {"additionalItems: false", []string{"warning 1:1 schema/other-draft"}},
		"beside a reference":              {draft07 + "properties: {a: {$ref: '#/definitions/a', minLength: 1, description: x, x-secret: true}}\ndefinitions: {a: {}}", []string{"warning 2:43 schema/ignored-keyword"}},
		"beside a reference of 2020-12":   {"properties: {a: {$ref: '#/$defs/a', minLength: 1}}\n$defs: {a: {}}", nil},
		"for another type":                {"type: string\nminItems: 1\nminimum: 1\nmaxLength: 1", []string{"warning 2:1 schema/ignored-keyword", "warning 3:1 schema/ignored-keyword"}},
		"for one of the types":            {"type: [string, integer]\nminimum: 1\nmaxLength: 1", nil},
		"list strategy of a text":         {"type: string\nx-merge: append", []string{"warning 2:1 schema/ignored-keyword"}},
		"then without if":                 {"then: {}", []string{"warning 1:1 schema/ignored-keyword"}},
		"unknown format":                  {"format: hostnam", []string{"warning 1:9 schema/ignored-keyword"}},
		"keyword as property":             {"properties: {additionalProperties: false}", []string{"warning 1:14 schema/misplaced-keyword"}},
		"map of that name":                {"properties: {additionalProperties: {type: string}}", []string{"warning 1:14 schema/misplaced-keyword"}},
		"property that is named so":       {"properties: {required: {type: string}, type: {}, items: {}, enum: true}", []string{"warning 1:61 schema/misplaced-keyword"}},
		"required of a closed map":        {"additionalProperties: false\nproperties: {a: {}}\nrequired: [a, b]", []string{"warning 3:15 schema/impossible"}},
		"required by an alternative":      {"additionalProperties: false\nproperties: {a: {}}\nanyOf: [{required: [a]}, {required: [aa]}]", []string{"warning 3:38 schema/impossible"}},
		"required by a pattern's name":    {"additionalProperties: false\npatternProperties: {^b: {}}\nrequired: [bb]", nil},
		"required of an open map":         {"properties: {a: {}}\nrequired: [b]", nil},
		"forbidden by not":                {"additionalProperties: false\nproperties: {a: {}}\nnot: {required: [b]}", nil},
		"closed maps that exclude others": {"allOf: [{additionalProperties: false, properties: {a: {}}, required: [a]}, {additionalProperties: false, properties: {b: {}}}]", []string{"warning 1:71 schema/impossible"}},
		"const that no enum has":          {"properties: {a: {enum: [x, v]}}\noneOf: [{properties: {a: {const: x}}}, {properties: {a: {const: z}}}]", []string{"warning 2:65 schema/impossible"}},
		"limits that cross":               {"minLength: 2\nmaxLength: 1", []string{"warning 1:12 schema/impossible"}},
		"default of another type":         {"properties: {a: {type: integer, default: x}}", []string{"warning 1:42 schema/unfit-value"}},
		"default behind a reference":      {"properties: {a: {$ref: '#/$defs/a', default: x}}\n$defs: {a: {enum: [v]}}", []string{"warning 1:46 schema/unfit-value"}},
		"default that is a part":          {"properties: {a: {type: object, required: [b], properties: {b: {}}, default: {}}}", nil},
		"deep in a default":               {"properties: {a: {properties: {b: {type: string}}, default: {b: 1}}}", []string{"warning 1:64 schema/unfit-value"}},
		"example out of range":            {"type: integer\nmaximum: 5\nexamples: [1, 6]", []string{"warning 3:15 schema/unfit-value"}},
		"enum of another type":            {"type: string\nenum: [a, 1]", []string{"warning 2:11 schema/unfit-value"}},
		"const of another type":           {"type: string\nconst: 1", []string{"warning 2:8 schema/unfit-value"}},
		"examples that are no list":       {"examples: {a: 1}", []string{"error 1:11 schema/wrong-type"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if tt.want == nil {
				tt.want = []string{}
			}
			require.Equal(t, tt.want, checked(t, tt.text), "schema:\n%s", tt.text)
		})
	}
}

func TestCheckOfTheBuiltinSchemaFindsNothing(t *testing.T) {
	t.Parallel()
	_, diags, err := Check(builtin(), "schema/values.schema.yaml")
	require.NoError(t, err)
	require.Empty(t, diags)
}

func builtin() source.Tree {
	return source.Tree{FS: os.DirFS(filepath.Join("..", "..")), Prefix: "builtin:"}
}

func TestCheckFindsTheSlipsOfTheRealSchema(t *testing.T) {
	t.Parallel()
	_, diags, err := Check(source.Tree{FS: os.DirFS(fixture(t))}, "values-schema.yaml")
	require.NoError(t, err)
	at := map[string]diag.Code{}
	for _, d := range diags {
		at[fmt.Sprintf("%s %d:%d", d.Severity, d.Range.Start.Line, d.Range.Start.Column)] = d.Code
	}
	// Those that the fixture's README names; the enum with oneprem is right in itself.
	require.Subset(t, at, map[string]diag.Code{
		"error 132:18":    diag.SchemaBadPattern,
		"error 140:18":    diag.SchemaBadPattern,
		"warning 533:9":   diag.SchemaUnknownKeyword,
		"warning 534:9":   diag.SchemaUnknownKeyword,
		"warning 538:9":   diag.SchemaUnknownKeyword,
		"warning 539:9":   diag.SchemaUnknownKeyword,
		"warning 729:27":  diag.SchemaMisplaced,
		"warning 1765:11": diag.SchemaMisplaced,
		"warning 102:24":  diag.SchemaImpossible,
		"warning 104:17":  diag.SchemaImpossible,
	})
	errors, _ := diags.Count()
	require.Equal(t, 2, errors)
}

func TestSchemaThatDoublesAtEachLevelOfTheValues(t *testing.T) {
	t.Parallel()
	twice := compile(t, "$ref: '#/$defs/a'\n$defs: {a: {properties: {x: {allOf: [{$ref: '#/$defs/a'}, {$ref: '#/$defs/a'}]}}}}")
	once := compile(t, "$ref: '#/$defs/a'\n$defs: {a: {properties: {x: {$ref: '#/$defs/a'}, num: {type: integer}}}}")
	deep := func(n int, leaf string) string { return strings.Repeat("{x: ", n) + leaf + strings.Repeat("}", n) }

	require.Empty(t, twice.Validate(read(t, "f", deep(12, "{}"))))
	diags := twice.Validate(read(t, "f", deep(200, "{}")))
	require.Len(t, diags, 1)
	require.Equal(t, diag.SchemaBudget, diags[0].Code)

	require.Empty(t, once.Validate(read(t, "f", deep(200, "{num: 1}"))))
	require.Equal(t, []string{"f:1:807 values/wrong-type"}, codes(once.Validate(read(t, "f", deep(200, "{num: a}")))))
}

func TestCompileRefusesALongChainOfReferences(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString("$ref: '#/$defs/d0'\n$defs:\n")
	const links = 5000
	for i := range links {
		fmt.Fprintf(&b, "  d%d: {$ref: '#/$defs/d%d'}\n", i, i+1)
	}
	fmt.Fprintf(&b, "  d%d: {}\n", links)
	_, diags, err := Compile(tree(map[string]string{rootFile: b.String()}), rootFile)
	require.NoError(t, err)
	require.Len(t, diags, 1)
	require.Equal(t, diag.SchemaBudget, diags[0].Code)
}

// TestGoldenDocs keeps docs/values.md as the code writes it. OTOMI_UPDATE=1 writes it.
func TestGoldenDocs(t *testing.T) {
	t.Parallel()
	s, diags, err := Compile(builtin(), "schema/values.schema.yaml")
	require.NoError(t, err)
	require.Empty(t, diags)
	golden := filepath.Join("..", "..", "docs", "values.md")
	if os.Getenv("OTOMI_UPDATE") != "" {
		require.NoError(t, os.WriteFile(golden, s.Docs(), 0o644))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	require.Equal(t, string(want), string(s.Docs()), "`make update` writes docs/values.md")
}

func TestDocsLinksLeadSomewhere(t *testing.T) {
	t.Parallel()
	stack, path := fixtureSchema(t)
	real, _, err := Compile(stack, path)
	require.NoError(t, err)
	for name, s := range map[string]*Schema{
		"fixture": real,
		"recursive and twice named": compile(t, `
properties:
  a.b: {properties: {c: {type: string}}}
  a: {properties: {b: {properties: {c: {$ref: '#'}}}}}
  A: {properties: {B: {properties: {C: {$ref: '#/properties/a/properties/b'}}}}}
  d: {items: {$ref: '#/$defs/x/$defs/x'}}
  e: {additionalProperties: {$ref: '#/$defs/x'}}
  f: {prefixItems: [{type: string}]}
$defs: {x: {type: string, $defs: {x: {type: integer}}}}
`),
	} {
		text := string(s.Docs())
		for _, part := range strings.Split(text, "](#")[1:] {
			anchor, _, _ := strings.Cut(part, ")")
			require.Equal(t, 1, strings.Count(text, `<a id="`+anchor+`"></a>`), "%s: #%s", name, anchor)
		}
		require.Equal(t, text, string(s.Docs()), "the same each time")
	}
}
