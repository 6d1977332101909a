package schema

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/redkubes/otomi/pkg/value"
	"github.com/redkubes/otomi/pkg/yaml"
	"github.com/redkubes/otomi/testdata/bound"
	"github.com/stretchr/testify/require"
)

// hostile are small schemas that have made validators slow, endless or wrong.
var hostile = []string{
	platform,
	"{}",
	"true",
	"$ref: '#'",
	"$defs: {a: {properties: {x: {$ref: '#/$defs/a'}}}}\n$ref: '#/$defs/a'",
	"$defs: {a: {properties: {x: {allOf: [{$ref: '#/$defs/a'}, {$ref: '#/$defs/a'}, {$ref: '#/$defs/a'}]}}}}\n$ref: '#/$defs/a'",
	"$defs: {a: {items: {anyOf: [{$ref: '#/$defs/a'}, {$ref: '#/$defs/a'}]}, type: array}}\nproperties: {x: {$ref: '#/$defs/a'}}",
	"properties: {x: {patternProperties: {'^a': {x-merge: append}, 'b$': {x-secret: true}}, additionalProperties: {default: 1}}}",
	"properties: {x: {prefixItems: [{}, true, false], items: {x-merge: {key: n}}}}",
	"$schema: http://json-schema.org/draft-07/schema#\nitems: [{properties: {a: {}}}]\nadditionalItems: {default: {}}",
	"$dynamicAnchor: n\nproperties: {x: {$dynamicRef: '#n'}}",
	"$anchor: n\nproperties: {x: {$ref: '#n'}, a~b/c: {$ref: '#/properties/a~0b~1c/not'}}",
	"$ref: '#/default'\ndefault: {pattern: 5}",
	"title: x\n$ref: '#/title'",
	"properties: {x: {if: {required: [a]}, then: {default: {}}, else: false, not: {const: 1}}}",
	"dependencies: {x: [a], y: {required: [b]}}\ndependentRequired: {x: [c]}\nunevaluatedProperties: {type: string}",
	"minimum: 1e308\nmaximum: -1\nmultipleOf: 0.0000001\nminLength: 1e10",
	"enum: [1, {a: [1]}, null]\nconst: {a: {}}\nexamples: [[]]\ndefault: []",
	"$id: https://example.com/a.json\nproperties: {x: {$ref: 'https://example.com/a.json#/properties/y'}, y: {type: integer}}",
	"allOf: [{not: {not: {not: {type: object}}}}]\ncontains: {}\npropertyNames: {pattern: '^(a+)+$'}",
	"type: objct\nrequired: x\nproperties: {additionalProperties: false, required: [a]}\nminumum: 1",
	"pattern: '(?<!x)'\npatternProperties: {'(?=x)': {}}\nformat: regex\ndefault: (",
	"$defs: {a: {properties: {x: {default: {}, allOf: [{$ref: '#/$defs/a'}]}}}}\n$ref: '#/$defs/a'",
	"$ref: .",
	"properties: {x: {propertyNames: {maxLength: 0, pattern: b}, default: {a: [{}]}, items: {properties: {z: {default: [1]}}}}}",
	"$vocabulary: {https://example.com/x: true}\n$schema: https://json-schema.org/draft/2020-12/schema",
}

// FuzzSchemaPath looks up arbitrary paths: what is known of a path agrees with what is known of the paths above it.
func FuzzSchemaPath(f *testing.F) {
	var schemas []*Schema
	for _, text := range hostile {
		s, diags, err := Compile(tree(map[string]string{rootFile: text}), rootFile)
		require.NoError(f, err)
		if !diags.HasErrors() {
			schemas = append(schemas, s)
		}
	}
	if dir := filepath.Join("..", "..", "..", "shared", "fixtures", "otomi-v0.13"); exists(dir) {
		schemas = append(schemas, realSchema(f))
	}
	for _, p := range []string{
		"", "teams", "teams.alpha.replicas", "teams.alpha.quota.cpu", "names.#3", "backend.kind", "x.x.x.x.x", "x.#0", "x.#-1",
		"x.#9223372036854775807", "a~b/c", "x.ab", "#0.a", "teamConfig.teams.demo.services.#1.ksvc.image.tag", "password.x", "..",
	} {
		for i := range schemas {
			f.Add(uint8(i), p)
		}
	}
	f.Fuzz(func(t *testing.T, which uint8, text string) {
		bound.Run(t, text, func() {
			s := schemas[int(which)%len(schemas)]
			p := pathOf(text)
			var above Description
			for i := range len(p) + 1 {
				d, ok := s.Describe(p[:i])
				require.Equal(t, ok, len(s.at(p[:i])) > 0, "%s", p[:i])
				if !ok {
					require.Zero(t, d)
					require.Zero(t, s.Lists(p), "nothing is known of %s", p[:i])
					_, ok = s.Describe(p)
					require.False(t, ok, "%s is known, and %s is not", p, p[:i])
					return
				}
				require.NotEmpty(t, d.Type)
				require.NotZero(t, d.Range)
				require.True(t, d.Secret || !above.Secret, "%s stands in a secret", p[:i])
				above = d
			}
		})
	})
}

func exists(dir string) bool {
	_, err := os.Stat(dir)
	return err == nil
}

// pathOf reads keys between dots; #N is an index.
func pathOf(text string) value.Path {
	const deep = 300
	var p value.Path
	for _, step := range strings.SplitN(text, ".", deep) {
		if i, err := strconv.Atoi(strings.TrimPrefix(step, "#")); err == nil && strings.HasPrefix(step, "#") {
			p = p.Index(i)
			continue
		}
		p = p.Key(step)
	}
	return p
}

// FuzzCompile compiles arbitrary schemas and uses those that compile: nothing panics, and nothing takes long.
func FuzzCompile(f *testing.F) {
	const (
		deepMap  = "x: {x: {x: {x: {x: {x: {x: {x: {x: {x: {x: {x: {x: {x: {x: {x: {x: {x: {x: {x: {}}}}}}}}}}}}}}}}}}}}"
		deepList = "x: [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]"
	)
	for _, text := range hostile {
		for _, values := range []string{"", deepMap, deepList, "a: 1\nx: [1, {a: b}]\nteams: {a: {group: 1}}"} {
			f.Add(text, values)
		}
	}
	var doubling, chain strings.Builder
	doubling.WriteString("$ref: '#/$defs/d0'\n$defs:\n")
	chain.WriteString("$ref: '#/$defs/d0'\n$defs:\n")
	for i := range 300 {
		fmt.Fprintf(&doubling, "  d%d: {properties: {x: {allOf: [{$ref: '#/$defs/d%d'}, {$ref: '#/$defs/d%d'}]}}}\n", i, i+1, i+1)
		fmt.Fprintf(&chain, "  d%d: {$ref: '#/$defs/d%d', not: {not: {$ref: '#/$defs/d%d'}}}\n", i, i+1, i+1)
	}
	doubling.WriteString("  d300: {}\n")
	chain.WriteString("  d300: {}\n")
	f.Add(doubling.String(), deepMap)
	f.Add(strings.ReplaceAll(doubling.String(), "{allOf:", "{default: {}, allOf:"), deepMap)
	f.Add(chain.String(), deepMap)
	f.Fuzz(func(t *testing.T, schemaText, valuesText string) {
		const long = 32 << 10
		if len(schemaText) > long || len(valuesText) > long {
			t.Skip("an input this long can't be held to a second: the target looks for what is short and slow")
		}
		stack := tree(map[string]string{rootFile: schemaText})
		bound.Run(t, schemaText+"\n---\n"+valuesText, func() {
			_, found, err := Check(stack, rootFile)
			require.NoError(t, err)
			s, diags, err := Compile(stack, rootFile)
			require.NoError(t, err)
			require.Equal(t, diags.HasErrors(), found.HasErrors(), "Check and Compile agree about what is unusable\n%v\n%v", diags, found)
			for _, d := range found {
				require.NotZero(t, d.Range)
				require.NotEmpty(t, d.Code.Summary())
			}
			if diags.HasErrors() {
				return
			}
			_, err = s.Editor()
			require.NoError(t, err)
			require.Equal(t, string(s.Docs()), string(s.Docs()), "the reference is the same each time")
			root, diags := yaml.Read([]byte(valuesText), yaml.ReadOptions{File: "f", Layer: "f", Map: true})
			if diags.HasErrors() {
				return
			}
			filled := s.Fill(root)
			s.Validate(filled)
			s.Mask(filled)
			s.SecretTexts(filled)
		})
	})
}
