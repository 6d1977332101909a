package render

import (
	"testing"

	"github.com/redkubes/otomi/pkg/template"
	"github.com/stretchr/testify/require"
)

func TestParseFailure(t *testing.T) {
	t.Parallel()
	frames := func(f ...template.Frame) []template.Frame { return f }
	tests := []struct {
		name, message string
		want          failure
	}{
		{
			"syntax", `parse error at (web/templates/a.yaml:3): function "nope" not defined`,
			failure{Failure: template.Failure{Frames: frames(template.Frame{Name: "web/templates/a.yaml", Line: 3}),
				Message: `function "nope" not defined`}, syntax: true},
		},
		{
			"required or fail", "execution error at (web/templates/a.yaml:2:5): set a domain\nor two\n",
			failure{Failure: template.Failure{Frames: frames(template.Frame{Name: "web/templates/a.yaml", Line: 2, Column: 6}),
				Message: "set a domain\nor two"}, authored: true},
		},
		{
			"a nil pointer", `template: web/templates/a.yaml:1:8: executing "web/templates/a.yaml" at <.Values.a.b>: nil pointer evaluating interface {}.b`,
			failure{Failure: template.Failure{Frames: frames(template.Frame{Name: "web/templates/a.yaml", Line: 1, Column: 9, Expression: ".Values.a.b"}),
				Message: "nil pointer evaluating interface {}.b"}},
		},
		{
			"include", `template: web/templates/a.yaml:1:3: executing "web/templates/a.yaml" at <include "x" .>: error calling include: ` +
				`template: web/templates/_h.tpl:4:2: executing "x" at <.y.z>: nil pointer evaluating interface {}.z`,
			failure{Failure: template.Failure{Frames: frames(
				template.Frame{Name: "web/templates/a.yaml", Line: 1, Column: 4, Expression: `include "x" .`},
				template.Frame{Name: "web/templates/_h.tpl", Line: 4, Column: 3, Expression: ".y.z"},
			), Message: "nil pointer evaluating interface {}.z"}},
		},
		{
			"the text given to tpl goes", `template: web/templates/a.yaml:1:3: executing "web/templates/a.yaml" at <tpl .Values.t .>: error calling tpl: ` +
				`error during tpl function execution for "s3cret {{ .a.b }}": template: gotpl:1:5: executing "gotpl" at <.a.b>: nil pointer evaluating interface {}.b`,
			failure{Failure: template.Failure{Frames: frames(
				template.Frame{Name: "web/templates/a.yaml", Line: 1, Column: 4, Expression: "tpl .Values.t ."},
				template.Frame{Name: "gotpl", Line: 1, Column: 6, Expression: ".a.b"},
			), Message: "nil pointer evaluating interface {}.b"}},
		},
		{
			"the text given to tpl that can't be read goes", `template: a/templates/a.yaml:1:3: executing "a/templates/a.yaml" at <tpl .x .>: error calling tpl: ` +
				`cannot parse template "s3cret {{ nope }}": template: gotpl:1: function "nope" not defined`,
			failure{Failure: template.Failure{Frames: frames(
				template.Frame{Name: "a/templates/a.yaml", Line: 1, Column: 4, Expression: "tpl .x ."},
				template.Frame{Name: "gotpl", Line: 1},
			), Message: `function "nope" not defined`}},
		},
		{
			"a value in a function's message goes", `template: a/t.yaml:1:3: executing "a/t.yaml" at <atoi .x>: error calling atoi: strconv.Atoi: parsing "s3cret": invalid syntax`,
			failure{Failure: template.Failure{Frames: frames(template.Frame{Name: "a/t.yaml", Line: 1, Column: 4, Expression: "atoi .x"}),
				Message: "error calling atoi: strconv.Atoi: parsing (value): invalid syntax"}},
		},
		{
			"a value in a loop goes", `template: a/t.yaml:1:3: executing "a/t.yaml" at <.x>: range can't iterate over s3cret`,
			failure{Failure: template.Failure{Frames: frames(template.Frame{Name: "a/t.yaml", Line: 1, Column: 4, Expression: ".x"}),
				Message: "range can't iterate over the value, which is neither a list nor a map"}},
		},
		{"a panic", "rendering template failed: boom", failure{Failure: template.Failure{Message: "rendering template failed: boom"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tt.want, parseFailure(tt.message))
		})
	}
}
