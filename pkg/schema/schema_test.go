package schema

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/layer"
	"github.com/redkubes/otomi/pkg/merge"
	"github.com/redkubes/otomi/pkg/source"
	"github.com/redkubes/otomi/pkg/value"
	"github.com/redkubes/otomi/pkg/yaml"
	"github.com/stretchr/testify/require"
)

const rootFile = "schema/values.schema.yaml"

func tree(files map[string]string) source.Tree {
	m := fstest.MapFS{}
	for name, text := range files {
		m[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return source.Tree{FS: m, Prefix: "builtin:"}
}

func compile(t testing.TB, text string) *Schema {
	t.Helper()
	s, diags, err := Compile(tree(map[string]string{rootFile: text}), rootFile)
	require.NoError(t, err)
	require.False(t, diags.HasErrors(), "%v", diags)
	return s
}

func read(t testing.TB, layer, text string) *value.Node {
	t.Helper()
	n, diags := yaml.Read([]byte(text), yaml.ReadOptions{File: layer, Layer: layer, Map: true})
	require.False(t, diags.HasErrors(), "%v", diags)
	return n
}

func shorts(ds diag.Diagnostics) []string {
	out := []string{}
	for _, d := range ds {
		out = append(out, fmt.Sprintf("%s %s [%s] %s", d.Range, d.Code, d.Path, d.Detail))
	}
	return out
}

const platform = `
$schema: http://json-schema.org/draft-07/schema#
type: object
additionalProperties: false
required: [cluster]
properties:
  cluster:
    type: object
    additionalProperties: false
    required: [domain]
    properties:
      domain: {type: string, format: hostname, description: The base domain of the cluster.}
      name: {type: string}
  teams:
    type: object
    additionalProperties: {$ref: '#/definitions/team'}
  old: {type: string, x-deprecated: "Use teams instead."}
  password: {$ref: '#/definitions/password', x-secret: true}
  port: {type: integer, minimum: 1, maximum: 65535, default: 8080}
  names: {type: array, items: {type: string, minLength: 2}, uniqueItems: true, x-merge: unique, maxItems: 3}
  backend:
    oneOf:
    - type: object
      additionalProperties: false
      required: [kind, bucket]
      properties: {kind: {const: s3}, bucket: {type: string}}
    - type: object
      additionalProperties: false
      required: [kind]
      properties: {kind: {const: file}, path: {type: string}, size: {type: integer}}
  either: {anyOf: [{type: string}, {type: integer}]}
  needs: {type: object, anyOf: [{required: [a]}, {required: [b, c]}]}
definitions:
  password: {type: string, pattern: '^[a-z]+$', minLength: 8}
  team:
    title: Team
    type: object
    additionalProperties: false
    required: [group]
    properties:
      group: {type: string, pattern: '^[a-z-]+$', description: The group of its members.}
      replicas: {type: integer, default: 1}
      bonus: {type: boolean, default: false}
      size: {enum: [small, large], default: small}
      quota:
        type: object
        default: {}
        properties: {cpu: {type: string, default: "1"}}
`

func TestValidateReportsAtTheLineToChange(t *testing.T) {
	t.Parallel()
	s := compile(t, platform)
	tests := map[string]struct {
		text string
		want []string
	}{
		"valid": {"teams: {a: {group: x}}", []string{}},
		"unknown key with a near one": {"teams:\n  alpha:\n    group: x\n    bogus: 1",
			[]string{`f:4:5 values/unknown-key [teams.alpha.bogus] a team has no key "bogus". Did you mean "bonus"?`}},
		"unknown key at the root": {"team: {}",
			[]string{`f:1:1 values/unknown-key [team] the values have no key "team". Did you mean "teams"?`}},
		"unknown key that is near none": {"teams: {a: {group: x, zzzzzz: 1}}",
			[]string{`f:1:23 values/unknown-key [teams.a.zzzzzz] a team has no key "zzzzzz". Remove it; known are group, replicas, bonus, size, quota.`}},
		"wrong type": {"port: \"80\"",
			[]string{`f:1:7 values/wrong-type [port] this is a string, and the schema wants an integer. Write it without quotes.`}},
		"wrong type of a map": {"teams:\n  a: [1]",
			[]string{`f:2:6 values/wrong-type [teams.a] this is a list, and the schema wants a map. Write it as "key: value" lines.`}},
		"null": {"port:",
			[]string{`f:1:1 values/wrong-type [port] this is null, and the schema wants an integer. Give it a value, or remove the key.`}},
		"not allowed": {"teams: {a: {group: x, size: smal}}",
			[]string{`f:1:29 values/not-allowed [teams.a.size] "smal" is not allowed. Did you mean small? Allowed are small, large.`}},
		"pattern": {"teams: {a: {group: X}}",
			[]string{`f:1:20 values/pattern [teams.a.group] "X" does not match the pattern ^[a-z-]+$. The schema describes it as: The group of its members.`}},
		"missing": {"teams:\n  a:\n    size: small",
			[]string{`f:2:3 values/missing [teams.a.group] the key "group" (The group of its members) is missing. Add it.`}},
		"range": {"port: 70000",
			[]string{`f:1:7 values/range [port] 70000 is out of range: it must be at most 65535.`}},
		"length and equal items": {"names: [a, bb, bb]", []string{
			`f:1:9 values/range [names[0]] the text has 1 character, and the schema wants at least 2.`,
			`f:1:16 values/not-allowed [names] item 3 is the same as item 2. Remove one of them.`}},
		"too many items": {"names: [aa, bb, cc, dd]",
			[]string{`f:1:8 values/range [names] the list has 4 items, and the schema wants at most 3.`}},
		"alternative by its discriminator": {"backend: {kind: file, size: big, bucket: x}", []string{
			`f:1:29 values/wrong-type [backend.size] this is a string, and the schema wants an integer. Write an integer, such as 2.`,
			`f:1:34 values/unknown-key [backend.bucket] the schema has no key "bucket" here. Remove it; known are kind, path, size.`}},
		"discriminator of no alternative": {"backend: {kind: ftp}",
			[]string{`f:1:17 values/not-allowed [backend.kind] "ftp" is not allowed. Write one of s3, file.`}},
		"type of no alternative": {"either: [1]",
			[]string{`f:1:9 values/no-branch [either] this is a list, and the schema wants a string or an integer. Change it.`}},
		"keys of no alternative": {"needs: {d: 1}",
			[]string{`f:1:1 values/no-branch [needs] one of these keys is needed: a, or b and c. Add one.`}},
		"deprecated": {"old: x",
			[]string{`f:1:1 values/deprecated [old] Use teams instead.`}},
		"several at once": {"port: x\nold: 1", []string{
			`f:1:7 values/wrong-type [port] this is a string, and the schema wants an integer. Write an integer, such as 8080.`,
			`f:2:1 values/deprecated [old] Use teams instead.`,
			`f:2:6 values/wrong-type [old] this is an integer, and the schema wants a string. Write it in quotes.`}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := read(t, "f", tt.text+"\ncluster: {domain: example.com}\n")
			require.Equal(t, tt.want, shorts(s.Validate(root)), "input:\n%s", tt.text)
		})
	}
}

func TestWrongTypeSaysHowToWriteIt(t *testing.T) {
	t.Parallel()
	s := compile(t, `
properties:
  int: {type: integer, minimum: 3}
  plain: {type: integer}
  num: {type: number, examples: [0.5]}
  bool: {type: boolean}
  text: {type: string}
  list: {type: array}
  map: {type: object}
  either: {type: [integer, boolean]}
  nothing: {type: "null"}
`)
	tests := map[string]string{
		"int: two":          "Write an integer, such as 3.",
		"plain: two":        "Write an integer, such as 2.",
		"plain: '8080'":     "Write it without quotes.",
		"plain: '80x'":      "Write an integer, such as 2.",
		"plain: 1.5":        "Write an integer, such as 2.",
		"plain: '1.5'":      "Write an integer, such as 2.",
		"plain: true":       "Write an integer, such as 2.",
		"num: '1.5'":        "Write it without quotes.",
		"num: half":         "Write a number, such as 0.5.",
		"bool: 'true'":      "Write it without quotes.",
		"bool: 'yes'":       "Write true.",
		"bool: disabled":    "Write false.",
		"bool: 1":           "Write true or false.",
		"text: 5":           "Write it in quotes.",
		"text: true":        "Write it in quotes.",
		"text: [a]":         "Write one text.",
		"list: a":           "Write each item on a line that starts with \"- \".",
		"map: a":            "Write it as \"key: value\" lines.",
		"map:":              "Give it a value, or remove the key.",
		"either: '8'":       "Write it without quotes.",
		"nothing: anything": "Remove the key.",
	}
	for text, want := range tests {
		diags := s.Validate(read(t, "f", text))
		require.Len(t, diags, 1, text)
		require.True(t, strings.HasSuffix(diags[0].Detail, ". "+want), "%s: %s", text, diags[0].Detail)
	}
}

func TestValidateMissingAtTheRoot(t *testing.T) {
	t.Parallel()
	s := compile(t, platform)
	require.Equal(t, []string{`f:1:1 values/missing [cluster] the key "cluster" is missing. Add it.`},
		shorts(s.Validate(read(t, "f", ""))))
}

func TestValidateNotesWhereTheSchemaAsksAndWhatIsOverridden(t *testing.T) {
	t.Parallel()
	s := compile(t, platform)
	root, _ := merge.Fold([]layer.Layer{
		{Root: read(t, "a", "port: 1\ncluster: {domain: example.com}")},
		{Root: read(t, "b", "port: x")},
	}, merge.Options{})
	diags := s.Validate(root)
	require.Len(t, diags, 1)
	require.Equal(t, []string{"overrides this a:1:7", "the schema asks here builtin:schema/values.schema.yaml:19:16"},
		[]string{diags[0].Notes[0].Message + " " + diags[0].Notes[0].Range.String(), diags[0].Notes[1].Message + " " + diags[0].Notes[1].Range.String()})
	require.Contains(t, s.Sources(), "builtin:schema/values.schema.yaml")
}

func TestValidateLeavesTheRegistryAlone(t *testing.T) {
	t.Parallel()
	s := compile(t, platform)
	root, _ := merge.Fold([]layer.Layer{
		{Name: layer.Registry, Root: read(t, layer.Registry, "clouds: {aws: {clusters: {demo: {}}}}\ncluster: {domain: d.example.com, region: eu, name: demo}")},
		{Name: "env/a.yaml", Root: read(t, "env/a.yaml", "cluster: {regoin: eu}")},
	}, merge.Options{})
	require.Equal(t, []string{`env/a.yaml:1:11 values/unknown-key [cluster.regoin] the schema has no key "regoin" here. Remove it; known are domain, name.`},
		shorts(s.Validate(root)))
}

func TestValidateShowsNoSecret(t *testing.T) {
	t.Parallel()
	s := compile(t, platform)
	root, _ := merge.Fold([]layer.Layer{
		{Root: read(t, "f", "cluster: {domain: example.com}\npassword: HUNTER2")},
		{Root: read(t, "env/secrets.a.yaml", "teams: {a: {group: HUNTER2, size: HUNTER2}}\nport: 99999999\nbackend: {kind: HUNTER2}")},
	}, merge.Options{})
	diags := s.Validate(root)
	require.Len(t, diags, 6)
	for _, d := range diags {
		require.True(t, d.Secret, "%v", d)
		require.NotContains(t, d.Detail, "HUNTER2")
		require.NotContains(t, d.Detail, "99999999")
	}
}

func TestFillAppliesDefaultsToObjectsThatExist(t *testing.T) {
	t.Parallel()
	s := compile(t, platform)
	root := read(t, "f", "teams: {a: {group: x, size: large}}")
	before := root.Plain()
	filled := s.Fill(root)
	require.Equal(t, before, root.Plain())
	require.Equal(t, map[string]any{
		"port": int64(8080),
		"teams": map[string]any{"a": map[string]any{
			"group": "x", "size": "large", "replicas": int64(1), "bonus": false, "quota": map[string]any{"cpu": "1"},
		}},
	}, filled.Plain())
	port := filled.Get("port")
	require.Equal(t, Layer, port.Origin.Layer)
	require.Equal(t, "builtin:schema/values.schema.yaml:19:62", port.Origin.Range.String())
}

func TestValidateCountsNoFindingThatOnlyADefaultMakes(t *testing.T) {
	t.Parallel()
	s := compile(t, `
properties:
  a: {type: string, default: x}
  bad: {type: integer, default: text}
  needed: {type: string, default: here}
  n1: {type: integer}
required: [needed]
anyOf:
- not: {required: [a]}
- required: [b]
`)
	require.Empty(t, s.Validate(s.Fill(read(t, "f", ""))))
	require.Empty(t, s.Validate(s.Fill(read(t, "f", "needed: z"))))
	require.Equal(t, []string{"f:1:5 values/wrong-type"}, codes(s.Validate(s.Fill(read(t, "f", "n1: x")))))
	require.NotEmpty(t, s.Validate(s.Fill(read(t, "f", "a: x"))))
}

func TestFillDoesNotReplaceANull(t *testing.T) {
	t.Parallel()
	s := compile(t, platform)
	require.Equal(t, map[string]any{"port": nil}, s.Fill(read(t, "f", "port:")).Plain())
}

func TestMaskAndSecretTexts(t *testing.T) {
	t.Parallel()
	s := compile(t, platform)
	root, _ := merge.Fold([]layer.Layer{
		{Root: read(t, "f", "password: firstone\nport: 80\nteams: {a: {group: x}}")},
		{Root: read(t, "env/secrets.a.yaml", "password: hunterxx\nteams: {a: {bonus: true, size: \"one line of it\\nand another one\\n\"}}\nnames: [abc, secret-item]")},
	}, merge.Options{})
	require.Equal(t, map[string]any{
		"password": "(secret)", "port": int64(80),
		"teams": map[string]any{"a": map[string]any{"group": "x", "bonus": "(secret)", "size": "(secret)"}},
		"names": []any{"(secret)", "(secret)"},
	}, s.Mask(root).Plain())
	require.Equal(t, "hunterxx", root.Get("password").Text(), "the input stays")
	require.ElementsMatch(t, []string{
		"hunterxx", "firstone", "one line of it\nand another one\n", "one line of it\nand another one", "one line of it", "and another one", "secret-item",
	}, s.SecretTexts(root))
}

func TestLists(t *testing.T) {
	t.Parallel()
	s := compile(t, "properties: {a: {items: {properties: {b: {x-merge: {key: name}}}}}, c: {x-merge: append}}")
	require.Equal(t, merge.Strategy{Key: "name"}, s.Lists(value.Path{}.Key("a").Index(2).Key("b")))
	require.Equal(t, merge.Strategy{Append: true}, s.Lists(value.Path{}.Key("c")))
	require.Equal(t, merge.Strategy{}, s.Lists(value.Path{}.Key("d")))
}

func TestCompileReportsFaultsOfTheSchema(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		files map[string]string
		want  []string
	}{
		"bad patterns": {map[string]string{rootFile: "properties:\n  a: {pattern: '(?<!x)y'}\n  b: {patternProperties: {'(?=x)': {}}}"},
			[]string{"builtin:schema/values.schema.yaml:2:16 schema/bad-pattern", "builtin:schema/values.schema.yaml:3:27 schema/bad-pattern"}},
		"reference to nothing":  {map[string]string{rootFile: "properties:\n  a: {$ref: '#/definitions/x'}"}, []string{"builtin:schema/values.schema.yaml:2:13 schema/unresolvable-ref"}},
		"reference to no file":  {map[string]string{rootFile: "$ref: team.json"}, []string{"builtin:schema/values.schema.yaml:1:7 schema/unresolvable-ref"}},
		"reference to the net":  {map[string]string{rootFile: "$ref: https://example.com/x.json"}, []string{"builtin:schema/values.schema.yaml:1:7 schema/unresolvable-ref"}},
		"reference to a file:":  {map[string]string{rootFile: "$ref: file:///etc/passwd"}, []string{"builtin:schema/values.schema.yaml:1:7 schema/unresolvable-ref"}},
		"reference out of it":   {map[string]string{rootFile: "$ref: ../../x.json"}, []string{"builtin:schema/values.schema.yaml:1:7 schema/unresolvable-ref"}},
		"fault in another file": {map[string]string{rootFile: "$ref: team.json", "schema/team.json": "{\"type\": \"strin\"}"}, []string{"builtin:schema/team.json:1:10 schema/invalid"}},
		"wrong keyword value":   {map[string]string{rootFile: "properties:\n  a: {minLength: x}"}, []string{"builtin:schema/values.schema.yaml:2:18 schema/wrong-type"}},
		"unknown draft":         {map[string]string{rootFile: "$schema: http://json-schema.org/draft-04/schema#"}, []string{"builtin:schema/values.schema.yaml:1:10 schema/invalid"}},
		"own address below":     {map[string]string{rootFile: "properties: {a: {$id: x.json}}"}, []string{"builtin:schema/values.schema.yaml:1:23 schema/invalid"}},
		"list strategy":         {map[string]string{rootFile: "x-merge: replace"}, []string{"builtin:schema/values.schema.yaml:1:10 schema/wrong-type"}},
		"reference to itself":   {map[string]string{rootFile: "definitions: {a: {$ref: '#/definitions/a'}}"}, []string{"builtin:schema/values.schema.yaml:1:18 schema/invalid"}},
		"broken YAML":           {map[string]string{rootFile: "a: b: c"}, []string{"builtin:schema/values.schema.yaml:1:1 yaml/syntax"}},
		"no schema":             {map[string]string{}, []string{"builtin:schema/values.schema.yaml schema/missing"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, diags, err := Compile(tree(tt.files), rootFile)
			require.NoError(t, err)
			require.Len(t, s.Sources(), len(tt.files), "the lines of the findings can be shown")
			got := []string{}
			for _, d := range diags.Sorted() {
				got = append(got, d.Range.String()+" "+string(d.Code))
			}
			require.Equal(t, tt.want, got, "%v", diags)
		})
	}
}

func TestCompileRefusesReferencesThatDouble(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString("$ref: '#/$defs/d0'\n$defs:\n")
	for i := range 30 {
		fmt.Fprintf(&b, "  d%d: {allOf: [{$ref: '#/$defs/d%d'}, {$ref: '#/$defs/d%d'}]}\n", i, i+1, i+1)
	}
	b.WriteString("  d30: {type: string}\n")
	start := time.Now()
	_, diags, err := Compile(tree(map[string]string{rootFile: b.String()}), rootFile)
	require.NoError(t, err)
	require.Len(t, diags, 1)
	require.Contains(t, diags[0].Detail, "alternatives")
	require.Less(t, time.Since(start), time.Minute)
}

func TestValidateBoundsItsFindings(t *testing.T) {
	t.Parallel()
	s := compile(t, "additionalProperties: false")
	var b strings.Builder
	for i := range 50_000 {
		fmt.Fprintf(&b, "k%d: 1\n", i)
	}
	require.Len(t, s.Validate(read(t, "f", b.String())), maxFindings)
}

func TestDynamicReferences(t *testing.T) {
	t.Parallel()
	s := compile(t, "$schema: https://json-schema.org/draft/2020-12/schema\n$dynamicAnchor: node\nproperties: {size: {type: integer, default: 1}, child: {$dynamicRef: '#node'}}")
	require.Equal(t, []string{"f:1:24 values/wrong-type"}, codes(s.Validate(read(t, "f", "child: {child: { size: x}}"))))
	_, diags, err := Compile(tree(map[string]string{rootFile: "$dynamicAnchor: node\nallOf: [{$dynamicRef: '#node'}]"}), rootFile)
	require.NoError(t, err)
	require.True(t, diags.HasErrors())
}

func TestCompileReadsOtherFilesOfTheStack(t *testing.T) {
	t.Parallel()
	for _, draft := range []string{"http://json-schema.org/draft-07/schema#", "https://json-schema.org/draft/2020-12/schema"} {
		s, diags, err := Compile(tree(map[string]string{
			rootFile:                 "$schema: " + draft + "\n$id: https://example.com/values.json\nproperties: {team: {$ref: 'parts/team.json'}, other: {$ref: 'parts/team.json#/definitions/size'}, self: {$ref: 'https://example.com/values.json#/properties/other'}}",
			"schema/parts/team.json": `{"$id": "https://example.com/other/team.json", "type": "object", "additionalProperties": false, "properties": {"size": {"$ref": "#/definitions/size"}, "day": {"type": "string", "format": "date"}}, "definitions": {"size": {"type": "integer", "default": 3}}}`,
		}), rootFile)
		require.NoError(t, err)
		require.Empty(t, diags)
		root := read(t, "f", "team: {size: x, sise: 1, day: someday}\nother: y3\nself: z")
		require.Equal(t, []string{
			"f:1:14 values/wrong-type", "f:1:17 values/unknown-key", "f:1:31 values/format", "f:2:8 values/wrong-type", "f:3:7 values/wrong-type",
		}, codes(s.Validate(root)), draft)
		require.Equal(t, map[string]any{"team": map[string]any{"size": int64(3)}, "other": int64(3), "self": int64(3)}, s.Fill(read(t, "f", "team: {}")).Plain())

		text, err := s.Editor()
		require.NoError(t, err)
		require.NotContains(t, string(text), "example.com")
		bundled, diags, err := Compile(tree(map[string]string{rootFile: string(text)}), rootFile)
		require.NoError(t, err)
		require.Empty(t, diags)
		require.Equal(t, codes(s.Validate(root)), codes(bundled.Validate(root)))
	}
}

func codes(ds diag.Diagnostics) []string {
	out := []string{}
	for _, d := range ds {
		out = append(out, d.Range.String()+" "+string(d.Code))
	}
	return out
}

func TestEditorAsksForNothing(t *testing.T) {
	t.Parallel()
	s := compile(t, platform+`
  x:
    not: {required: [a]}
    if: {required: [a]}
    then: {properties: {b: false}}
    oneOf: [{required: [a]}, {required: [b]}]
    properties: {required: {type: string}, num: {type: integer, x-secret: true}}
`)
	text, err := s.Editor()
	require.NoError(t, err)
	var doc map[string]any
	require.NoError(t, json.Unmarshal(text, &doc))
	x := doc["definitions"].(map[string]any)["x"].(map[string]any)
	require.Equal(t, map[string]any{
		"anyOf": []any{map[string]any{}, map[string]any{}},
		"properties": map[string]any{
			"required": map[string]any{"type": "string"},
			"num": map[string]any{"x-secret": true, "anyOf": []any{
				map[string]any{"type": "integer"}, map[string]any{"type": "string", "pattern": `^ENC\[`},
			}},
		},
	}, x)
	editor := compile(t, string(text))
	require.Empty(t, editor.Validate(read(t, "f", "teams: {a: {size: small}}\npassword: ENC[x]")))
	require.NotEmpty(t, editor.Validate(read(t, "f", "teams: {a: {sise: small}}")))
}

// fixture is the values tree of a real platform, beside the repository.
func fixture(t testing.TB) string {
	t.Helper()
	dir := filepath.Join("..", "..", "..", "shared", "fixtures", "otomi-v0.13")
	if _, err := os.Stat(dir); err != nil {
		t.Skip("the shared fixtures are not beside this checkout")
	}
	return dir
}

func fixtureSchema(t testing.TB) (source.Tree, string) {
	dir := fixture(t)
	text, err := os.ReadFile(filepath.Join(dir, "values-schema.yaml"))
	require.NoError(t, err)
	lines := strings.Split(string(text), "\n")
	for i, line := range lines {
		if strings.Contains(line, "pattern: (?<!") {
			lines[i] = line[:strings.Index(line, "(?<!")] + "^.*$"
		}
	}
	return tree(map[string]string{"values-schema.yaml": strings.Join(lines, "\n")}), "values-schema.yaml"
}

func fixtureValues(t testing.TB) *value.Node {
	dir := fixture(t)
	var plain, secret []layer.Layer
	add := func(name string) {
		text, err := fs.ReadFile(os.DirFS(dir), name)
		require.NoError(t, err)
		l := layer.Layer{Name: name, Root: read(t, name, string(text)), Secret: strings.HasPrefix(filepath.Base(name), "secrets.")}
		if l.Secret {
			secret = append(secret, l)
		} else {
			plain = append(plain, l)
		}
	}
	for _, name := range []string{"cluster", "settings", "secrets.settings", "teams", "secrets.teams"} {
		add("env/" + name + ".yaml")
	}
	for _, pattern := range []string{"env/charts/*.yaml", "env/teams/*.yaml"} {
		names, err := fs.Glob(os.DirFS(dir), pattern)
		require.NoError(t, err)
		for _, name := range names {
			add(name)
		}
	}
	add("core.yaml")
	root, diags := merge.Fold(append(plain, secret...), merge.Options{})
	require.Empty(t, diags)
	return root
}

func TestRealSchemaIsRefusedForItsPatterns(t *testing.T) {
	t.Parallel()
	_, diags, err := Compile(source.Tree{FS: os.DirFS(fixture(t))}, "values-schema.yaml")
	require.NoError(t, err)
	var patterns []string
	for _, d := range diags {
		if d.Severity == diag.Error {
			require.Equal(t, diag.SchemaBadPattern, d.Code)
			patterns = append(patterns, d.Range.String())
		}
	}
	require.Equal(t, []string{"values-schema.yaml:132:18", "values-schema.yaml:140:18"}, patterns)
}

func TestRealValuesAreValid(t *testing.T) {
	t.Parallel()
	stack, path := fixtureSchema(t)
	s, diags, err := Compile(stack, path)
	require.NoError(t, err)
	require.Empty(t, diags)
	_, found, err := Check(stack, path)
	require.NoError(t, err)
	var misspelt []string
	for _, d := range found {
		misspelt = append(misspelt, d.Range.String())
	}
	require.Subset(t, misspelt, []string{"builtin:values-schema.yaml:533:9", "builtin:values-schema.yaml:538:9"})
	root := fixtureValues(t)
	require.Empty(t, s.Validate(root))
	filled := s.Fill(root)
	require.Empty(t, s.Validate(filled))
	require.NotEmpty(t, s.SecretTexts(filled))
	text, err := s.Editor()
	require.NoError(t, err)
	editor, diags, err := Compile(tree(map[string]string{rootFile: string(text)}), rootFile)
	require.NoError(t, err)
	require.False(t, diags.HasErrors(), "%v", diags)
	require.Empty(t, editor.Validate(root))
}

func BenchmarkCompile(b *testing.B) {
	stack, path := fixtureSchema(b)
	b.ReportAllocs()
	for b.Loop() {
		_, _, err := Compile(stack, path)
		require.NoError(b, err)
	}
}

func BenchmarkValidate(b *testing.B) {
	stack, path := fixtureSchema(b)
	s, _, err := Compile(stack, path)
	require.NoError(b, err)
	root := s.Fill(fixtureValues(b))
	b.ReportAllocs()
	for b.Loop() {
		s.Validate(root)
	}
}

func BenchmarkFill(b *testing.B) {
	stack, path := fixtureSchema(b)
	s, _, err := Compile(stack, path)
	require.NoError(b, err)
	root := fixtureValues(b)
	b.ReportAllocs()
	for b.Loop() {
		s.Fill(root)
	}
}
