package schema

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/source"
	"github.com/stretchr/testify/require"
)

// kinds are the codes of ds, without their places.
func kinds(ds diag.Diagnostics) []string {
	var out []string
	for _, d := range ds {
		out = append(out, string(d.Code))
	}
	return out
}

func TestReferenceToADirectoryWasAnErrorOfTheWorld(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(dir+"/sub", 0o755))
	require.NoError(t, os.WriteFile(dir+"/a.yaml", []byte("properties:\n  x: {$ref: .}\n  b: {$ref: sub}\n  c: {$ref: sub#/x}\n"), 0o644))
	for _, stack := range []source.Tree{{FS: os.DirFS(dir)}, tree(map[string]string{"sub/b.yaml": "", "a.yaml": "properties:\n  x: {$ref: .}\n  b: {$ref: sub}\n  c: {$ref: sub#/x}\n"})} {
		for name, read := range map[string]func(source.Tree, string) (*Schema, diag.Diagnostics, error){"Compile": Compile, "Check": Check} {
			_, diags, err := read(stack, "a.yaml")
			require.NoError(t, err, name)
			require.Len(t, diags, 3, name)
			for i, d := range diags.Sorted() {
				require.Equal(t, diag.SchemaUnresolvableRef, d.Code)
				require.Equal(t, i+2, d.Range.Start.Line)
				require.Contains(t, d.Detail, "it is a directory. Correct the path.")
			}
		}
	}
}

func TestDirectoryInPlaceOfASchemaWasAnErrorOfTheWorld(t *testing.T) {
	t.Parallel()
	s, diags, err := Compile(tree(map[string]string{"schema/a.yaml": ""}), "schema")
	require.NoError(t, err)
	require.Equal(t, []string{"schema/missing"}, kinds(diags))
	require.Empty(t, s.Sources())
}

func TestDefaultOfItselfOverflowedTheStack(t *testing.T) {
	t.Parallel()
	const node = "$ref: '#/definitions/node'\ndefinitions:\n  node:\n    type: object\n    properties:\n" +
		"      next: {default: {}, allOf: [{$ref: '#/definitions/node'}]}\n"
	for name, text := range map[string]string{
		"a key":       node,
		"an item":     "properties: {a: {default: [{}], items: {$ref: '#'}}}",
		"in a circle": "properties: {a: {default: {}, $ref: '#/$defs/b'}}\n$defs: {b: {properties: {c: {default: {}, $ref: '#'}}}}",
	} {
		for _, read := range []func(source.Tree, string) (*Schema, diag.Diagnostics, error){Compile, Check} {
			_, diags, err := read(tree(map[string]string{rootFile: text}), rootFile)
			require.NoError(t, err)
			require.Equal(t, []string{"schema/invalid"}, kinds(diags), name)
			require.Contains(t, diags[0].Detail, "default")
			require.NotZero(t, diags[0].Range.Start, name)
		}
	}
	_, diags, _ := Compile(tree(map[string]string{rootFile: node}), rootFile)
	require.Equal(t, 6, diags[0].Range.Start.Line, "the default")

	// A default that is null or written out has an end.
	s := compile(t, "$ref: '#/$defs/tree'\n$defs: {tree: {properties: {next: {default: null, $ref: '#/$defs/tree'}}}}")
	require.NotNil(t, s.Fill(read(t, "f", "{}")).Get("next"))
}

func doubling(levels int) string {
	var b strings.Builder
	b.WriteString("$ref: '#/$defs/d0'\n$defs:\n")
	for i := range levels {
		fmt.Fprintf(&b, "  d%d: {properties: {x: {default: {}, $ref: '#/$defs/d%d'}, z: {default: {}, $ref: '#/$defs/d%d'}}}\n", i, i+1, i+1)
	}
	fmt.Fprintf(&b, "  d%d: {}\n", levels)
	return b.String()
}

func TestDefaultsThatDoubleTookAllMemory(t *testing.T) {
	t.Parallel()
	for _, levels := range []int{24, 200} {
		_, diags, err := Compile(tree(map[string]string{rootFile: doubling(levels)}), rootFile)
		require.NoError(t, err)
		require.Equal(t, []string{"schema/budget"}, kinds(diags))
		require.Contains(t, diags[0].Detail, "default")
	}
	s := compile(t, doubling(8))
	require.Empty(t, s.Validate(s.Fill(read(t, "f", "{}"))))
}

func TestDefaultsThatOnlyTheValuesMultiplyAreBounded(t *testing.T) {
	t.Parallel()
	s := compile(t, "additionalProperties: {properties: {x: {default: {}, $ref: '#/$defs/d0'}}}\n"+strings.TrimPrefix(doubling(14), "$ref: '#/$defs/d0'\n"))
	var values strings.Builder
	for i := range 30 {
		fmt.Fprintf(&values, "k%d: {}\n", i)
	}
	root := read(t, "f", values.String())
	require.Equal(t, []string{"schema/budget"}, kinds(s.Validate(s.Fill(root))))
	require.Empty(t, s.Validate(s.Fill(read(t, "f", "a: {}"))))
}

func TestPropertyNamesWereReportedAtTheValue(t *testing.T) {
	t.Parallel()
	s := compile(t, `properties:
  s: {propertyNames: {pattern: "^[a-z]+$"}}
  l: {propertyNames: {$ref: '#/$defs/short', enum: [abc, abd]}}
  e: {propertyNames: {not: {const: ban}}}
  p: {properties: {propertyNames: {pattern: '^x'}}}
$defs: {short: {maxLength: 2}}
`)
	require.Equal(t, []string{
		`f:1:5 values/pattern [s.Abc] the key "Abc" does not match the pattern ^[a-z]+$. Correct it.`,
	}, shorts(s.Validate(read(t, "f", "s: {Abc: 1}"))))
	require.Equal(t, []string{
		`f:2:3 values/not-allowed [l.abe] the key "abe" is not allowed. Did you mean abc? Allowed are abc, abd.`,
		`f:2:3 values/range [l.abe] the key "abe" has 3 characters, and the schema wants at most 2.`,
		`f:3:5 values/invalid [e.ban] the schema excludes the key "ban". Change or remove it.`,
		`f:4:20 values/pattern [p.propertyNames] "y" does not match the pattern ^x. Correct it.`,
	}, shorts(s.Validate(read(t, "f", "l:\n  abe: {x: 1}\ne: {ban: 1}\np: {propertyNames: \"y\"}"))))
}

func TestCompileGaveTheAuthorsWarningsToEverybody(t *testing.T) {
	t.Parallel()
	const text = "properties: {a: {type: integer, minumum: 1}}\nthen: {}\n"
	_, diags, err := Compile(tree(map[string]string{rootFile: text}), rootFile)
	require.NoError(t, err)
	require.Empty(t, diags)
	_, diags, err = Check(tree(map[string]string{rootFile: text}), rootFile)
	require.NoError(t, err)
	require.Equal(t, []string{"schema/unknown-keyword", "schema/ignored-keyword"}, kinds(diags))
}

func TestSecretInPlaceOfAListOfSecretsWasShown(t *testing.T) {
	t.Parallel()
	s := compile(t, `properties:
  l: {type: array, items: {type: string, x-secret: true}}
  m: {type: object, properties: {a: {$ref: '#/$defs/b'}}}
  o: {type: array, items: {type: string}}
$defs: {b: {type: object, additionalProperties: {x-secret: true}}}
`)
	for text, secret := range map[string]bool{
		"l: HUNTER2": true, "l: {a: HUNTER2}": true, "m: {a: HUNTER2}": true, "m: {a: [HUNTER2]}": true, "m: x": false, "o: x": false, "l: true": false,
	} {
		diags := s.Validate(read(t, "f", text))
		require.Len(t, diags, 1, text)
		require.Equal(t, secret, diags[0].Secret, text)
		require.NotContains(t, diags[0].Detail, "HUNTER2")
	}
}

func TestMapOfASecretsFileWasShown(t *testing.T) {
	t.Parallel()
	s := compile(t, "properties: {a: {type: string}}\nadditionalProperties: false\n")
	for _, text := range []string{"a: {b: HUNTER2}", "c: {b: HUNTER2}"} {
		diags := s.Validate(read(t, "env/secrets.a.yaml", text))
		require.Len(t, diags, 1)
		require.True(t, diags[0].Secret, text)
	}
}

func TestRemediesWereDoubled(t *testing.T) {
	t.Parallel()
	s := compile(t, "properties: {a: {not: {type: string}}, b: {description: An odd one., not: {type: string}}, c: {contains: {const: 1}}}")
	diags := s.Validate(read(t, "f", "a: x\nb: x\nc: [2]"))
	require.Equal(t, []string{
		`f:1:4 values/invalid [a] the schema excludes this. Change or remove it.`,
		`f:2:4 values/invalid [b] the schema excludes this. The schema describes it as: An odd one. Change or remove it.`,
		`f:3:4 values/invalid [c] no item of the list is as the schema wants one to be. Add one that is.`,
	}, shorts(diags))
	require.Equal(t, "the schema asks here", diags[2].Notes[0].Message, "also for contains")
}
