package schema

import (
	"testing"

	"github.com/redkubes/otomi/pkg/value"
	"github.com/stretchr/testify/require"
)

func TestDescribe(t *testing.T) {
	t.Parallel()
	s := compile(t, `description: All of it.
properties:
  port: {type: integer, default: 8080, description: The port.}
  team:
    description: Beside the reference.
    $ref: '#/$defs/team'
    default: {}
  teams: {additionalProperties: {$ref: '#/$defs/team'}}
  password: {type: [string, "null"], x-secret: true}
  nested: {x-secret: true, properties: {deep: {type: string}}}
  names: {items: {type: string}, x-deprecated: Use teams.}
  labels: {type: object, patternProperties: {'^a': {const: x}}, additionalProperties: {type: string}}
  either: {anyOf: [{type: string, default: no default of it}, {type: integer}]}
  size: {enum: [small, 1]}
  pair: {prefixItems: [{type: string}, {type: boolean}]}
  free: true
$defs:
  team:
    description: At the target.
    type: object
    properties:
      replicas: {type: integer, minimum: 1}
`)
	p := func(keys ...string) value.Path {
		var path value.Path
		for _, k := range keys {
			path = path.Key(k)
		}
		return path
	}
	tests := map[string]struct {
		path  value.Path
		want  Description
		place string
	}{
		"root":                        {nil, Description{Text: "All of it.", Type: "map"}, "1:1"},
		"with a default":              {p("port"), Description{Text: "The port.", Type: "integer"}, "3:3"},
		"beside a reference":          {p("team"), Description{Text: "Beside the reference.", Type: "map"}, "4:3"},
		"below a reference":           {p("team", "replicas"), Description{Type: "integer"}, "22:7"},
		"any name":                    {p("teams", "alpha"), Description{Text: "At the target.", Type: "map"}, "8:33"},
		"map of maps":                 {p("teams"), Description{Type: "map of maps"}, "8:3"},
		"secret":                      {p("password"), Description{Type: "string or null", Secret: true}, "9:3"},
		"below a secret":              {p("nested", "deep"), Description{Type: "string", Secret: true}, "10:41"},
		"deprecated":                  {p("names"), Description{Type: "list of strings", Deprecated: "Use teams."}, "11:3"},
		"item":                        {p("names").Index(3), Description{Type: "string"}, "11:18"},
		"by a pattern":                {p("labels", "ab"), Description{Type: "string"}, "12:46"},
		"map of strings":              {p("labels"), Description{Type: "map of strings"}, "12:3"},
		"alternatives":                {p("either"), Description{Type: "string or integer"}, "13:3"},
		"type by what is allowed":     {p("size"), Description{Type: "string or integer"}, "14:3"},
		"item by its position":        {p("pair").Index(1), Description{Type: "boolean"}, "15:40"},
		"nothing is said":             {p("free"), Description{Type: "any"}, "16:3"},
		"key that is not there":       {p("gone"), Description{}, ""},
		"below what is no map":        {p("port", "x"), Description{}, ""},
		"item past the last position": {p("pair").Index(2), Description{}, ""},
		"item before the first":       {p("pair").Index(-1), Description{}, ""},
		"item of what is no list":     {p("port").Index(0), Description{}, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, ok := s.Describe(tt.path)
			require.Equal(t, tt.place != "", ok)
			if !ok {
				return
			}
			require.Equal(t, "builtin:"+rootFile+":"+tt.place, got.Range.String())
			got.Range, got.Default = tt.want.Range, nil
			require.Equal(t, tt.want, got)
		})
	}
	port, _ := s.Describe(p("port"))
	require.Equal(t, int64(8080), port.Default.Scalar)
	require.Equal(t, "builtin:"+rootFile+":3:34", port.Default.Origin.Range.String())
	team, _ := s.Describe(p("team"))
	require.NotNil(t, team.Default)
	either, _ := s.Describe(p("either"))
	require.Nil(t, either.Default, "a default of an alternative is not filled in")
}
