package template_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/template"
	"github.com/stretchr/testify/require"
)

func data() map[string]any {
	values := map[string]any{
		"apps":  map[string]any{"grafana": map[string]any{"enabled": true, "replicas": int64(3)}, "loki": nil},
		"teams": []any{map[string]any{"name": "alpha"}},
		"n":     int64(10000000),
		"flag":  false,
		"empty": "",
	}
	return map[string]any{"Values": values, "StateValues": values}
}

func TestExecute(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, text, want string
	}{
		{"plain text", "a: 1\n", "a: 1\n"},
		{"a value", "{{ .Values.apps.grafana.replicas }}", "3"},
		{"a large integer keeps its notation", "{{ .Values.n }}", "10000000"},
		{"an integer is an int, as helmfile's", "{{ kindOf .Values.n }} {{ until .Values.apps.grafana.replicas }}", "int [0 1 2]"},
		{"sprig", `{{ "a,b" | splitList "," | join "-" }}`, "a-b"},
		{"get", `{{ .Values | get "apps.grafana.replicas" }}`, "3"},
		{"get with a default", `{{ .Values | get "apps.absent.x" "none" }}`, "none"},
		{"get finds null, not the default", `{{ get "apps.loki" "none" .Values | kindIs "invalid" }}`, "true"},
		{"get with an empty path", `{{ (get "" .Values).n }}`, "10000000"},
		{"getOrNil of what is absent", `{{ getOrNil "apps.absent.x" .Values | kindIs "invalid" }}`, "true"},
		{"getOrNil through a scalar", `{{ getOrNil "n.x" .Values | kindIs "invalid" }}`, "true"},
		{"sprigGet", `{{ sprigGet .Values "n" }}`, "10000000"},
		{"required passes false", `{{ required "no" .Values.flag }}`, "false"},
		{"tpl", `{{ tpl "{{ .Values.n }}!" . }}`, "10000000!"},
		{"tpl sees what is defined outside", `{{ define "x" }}X{{ end }}{{ tpl "{{ include \"x\" . }}" . }}`, "X"},
		{"include", `{{ define "x" }}<{{ . }}>{{ end }}{{ include "x" 1 | indent 2 }}`, "  <1>"},
		{"toYaml keeps the last newline", `{{ toYaml (dict "a" 1) }}`, "a: 1\n"},
		{"fromYaml", `{{ (fromYaml "a: {b: 10000000}").a.b }}`, "10000000"},
		{"fromYaml of a list", `{{ index (fromYaml "[x, y]") 1 }}`, "y"},
		{"keys are sorted", `{{ keys (dict "b" 1 "a" 2 "c" 3) }}`, "[a b c]"},
		{"values are in the order of keys", `{{ values (dict "b" 1 "a" 2) }}`, "[2 1]"},
		{"nindent", `{{ "a\nb" | nindent 2 }}`, "\n  a\n  b"},
		{"seq", `{{ seq 3 }}|{{ seq 2 4 }}|{{ seq 0 2 4 }}|{{ seq 3 1 }}`, "1 2 3|2 3 4|0 2 4|3 2 1"},
		{"until", `{{ until 3 }}{{ until 0 }}{{ untilStep 4 0 -2 }}`, "[0 1 2][][4 2]"},
		{"set is seen through both names", `{{ $_ := set .Values "new" 1 }}{{ .StateValues.new }}`, "1"},
		{"setValueAtPath", `{{ (setValueAtPath "apps.grafana.x" 5 .Values).apps.grafana.x }}`, "5"},
		{"null prints as in helmfile", "{{ .Values.apps.loki }}", "<no value>"},
		{"env that is allowed", `{{ env "HOME" }}{{ requiredEnv "HOME" }}`, "/home/me/home/me"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			o := template.Options{File: "x.gotmpl", Allow: template.Permissions{Env: map[string]string{"HOME": "/home/me"}}}
			got, ds := template.Execute(t.Context(), []byte(tt.text), data(), o)
			require.Empty(t, ds)
			require.Equal(t, tt.want, got)
		})
	}
}

func TestExecuteReports(t *testing.T) {
	t.Parallel()
	const file = "runlevels/50-teams.yaml.gotmpl"
	tests := []struct {
		name, text string
		code       diag.Code
		at         string
		detail     string
	}{
		{"unclosed action", "a\n{{ if }}\n", diag.TemplateSyntax, ":2:1", "missing value for if"},
		{"unknown function", "a\n  {{ .Values | quoet }}", diag.TemplateSyntax, ":2:16", `Did you mean "quote"?`},
		{"unknown key", "a: {{ .Values.apps.grafna.replicas }}", diag.TemplateUndefined, ":1:7", `Did you mean "grafana"?`},
		{"unknown key, also with a default", `{{ .Values.x | default "y" }}`, diag.TemplateUndefined, ":1:4", `there is no "x"`},
		{"keys that are there are listed", `{{ .Values.apps.tempo }}`, diag.TemplateUndefined, ":1:4", "There are: grafana, loki"},
		{"column counts characters", "é: é {{ .Values.x }}", diag.TemplateUndefined, ":1:9", `"x"`},
		{"through null", "{{ .Values.apps.loki.x }}", diag.TemplateUndefined, ":1:4", "leads through a value that is null"},
		{"in a loop", "{{ range .Values.teams }}\n{{ .nmae }}{{ end }}", diag.TemplateUndefined, ":2:4", `"nmae"`},
		{"get", `{{ .Values | get "apps.grafna" }}`, diag.TemplateUndefined, ":1:14", `Did you mean "grafana"?`},
		{"get through a scalar, also with a default", `{{ get "n.x" 1 .Values }}`, diag.TemplateUndefined, ":1:4", "looked for in a value of the type int, which is no map"},
		{"required", `{{ required "a domain is needed" .Values.empty }}`, diag.TemplateExecution, ":1:4", "failed: a domain is needed"},
		{"fail", `{{ fail "no way" }}`, diag.TemplateExecution, ":1:4", "no way"},
		{"inside include", "{{ define \"x\" }}\n {{ .y.z }}{{ end }}{{ include \"x\" .Values }}", diag.TemplateUndefined, ":2:5", `no "y"`},
		{"include of a name that no template has lost the name", `{{ include "nope" . }}`, diag.TemplateExecution, ":1:4", `there is no template "nope"`},
		{"template of a name that no template has", `{{ template "nope" . }}`, diag.TemplateExecution, ":1:", `there is no template "nope"`},
		{"inside tpl", "a\n{{ tpl \"{{ .y }}\" .Values }}", diag.TemplateUndefined, ":2:4", `no "y"`},
		{"syntax inside tpl", "{{ tpl \"{{ nope }}\" . }}", diag.TemplateExecution, ":1:4", `"nope"`},
		{"env", "a\n b: {{ env \"HOME\" }}", diag.TemplateForbidden, ":2:8", "HOME"},
		{"requiredEnv", `{{ requiredEnv "TOKEN" }}`, diag.TemplateForbidden, ":1:4", "TOKEN"},
		{"expandenv", `{{ expandenv "$HOME" }}`, diag.TemplateForbidden, ":1:4", "HOME"},
		{"exec", `{{ exec "ls" (list "-l") }}`, diag.TemplateForbidden, ":1:4", "Allow it: --allow exec"},
		{"readFile", `{{ readFile "x" }}`, diag.TemplateForbidden, ":1:4", "readFile reads a file"},
		{"getHostByName", `{{ getHostByName "example.com" }}`, diag.TemplateForbidden, ":1:4", "asks the network"},
		{"a value is not shown", `{{ range .Values.n }}{{ end }}{{ range "s3cret" }}{{ .x }}{{ end }}`, diag.TemplateExecution, ":1:", "failed"},
		{"a value in a function's message is not shown", `{{ mustToDate "2006" "s3cret" }}`, diag.TemplateExecution, ":1:4", "(value)"},
		{"output", `{{ range until 1000 }}{{ repeat 100000 "x" }}{{ end }}`, diag.TemplateBudget, "", "16 MiB"},
		{"output inside include", `{{ define "x" }}{{ repeat 1000000 "x" }}{{ end }}{{ range until 100 }}{{ $x := include "x" . }}{{ end }}`, diag.TemplateBudget, ":1:", "16 MiB"},
		{"recursion of include", `{{ define "x" }}{{ include "x" . }}{{ end }}{{ include "x" . }}`, diag.TemplateBudget, ":1:", "200 deep"},
		{"recursion of tpl", `{{ $t := "{{ tpl .t . }}" }}{{ tpl $t (dict "t" $t) }}`, diag.TemplateBudget, ":1:", "200 deep"},
		{"a list made of a number", `{{ until 100000000 }}`, diag.TemplateBudget, ":1:4", "smaller number"},
		{"repeat", `{{ repeat 100000000 "x" }}`, diag.TemplateBudget, ":1:4", "smaller number"},
		{"indent", `{{ indent 100000000 "x" }}`, diag.TemplateBudget, ":1:4", "smaller number"},
		{"random text", `{{ randAlpha 100000000 }}`, diag.TemplateBudget, ":1:4", "smaller number"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, ds := template.Execute(t.Context(), []byte(tt.text), data(), template.Options{File: file})
			require.Len(t, ds, 1)
			d := ds[0]
			require.Empty(t, got)
			require.Equal(t, tt.code, d.Code, d.Detail)
			require.Equal(t, diag.Error, d.Severity)
			require.True(t, strings.HasPrefix(d.Range.String(), file+tt.at), "%s: %s", d.Range, d.Detail)
			require.Contains(t, d.Detail, tt.detail)
			require.NotContains(t, d.Detail, "s3cret")
		})
	}
}

// Variables of the environment can be allowed by name, and the detail says so.
func TestARefusalNamesTheFlagThatAllowsIt(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`{{ env "HOME" }}`: "Allow it: --allow env=HOME", `{{ requiredEnv "A_B" }}`: "Allow it: --allow env=A_B",
	} {
		_, ds := template.Execute(t.Context(), []byte(text), data(), template.Options{})
		require.Len(t, ds, 1, text)
		require.Contains(t, ds[0].Detail, want)
	}
	allowed := template.Permissions{Env: map[string]string{"HOME": "/h"}}
	out, ds := template.Execute(t.Context(), []byte(`{{ env "HOME" }}`), data(), template.Options{Allow: allowed})
	require.Empty(t, ds)
	require.Equal(t, "/h", out)
	allowed.AnyEnv = true
	out, ds = template.Execute(t.Context(), []byte(`{{ env "HOME" }}{{ env "UNSET" }}`), data(), template.Options{Allow: allowed})
	require.Empty(t, ds)
	require.Equal(t, "/h", out)
}

func TestARefusalAdvisedAFlagThatIsNotThere(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`{{ env "a b" }}`: "Allow it: --allow env", `{{ env "" }}`: "Allow it: --allow env", `{{ expandenv "$HOME" }}`: "Allow it: --allow env=HOME",
		`{{ exec "ls" list }}`: "Allow it: --allow exec", `{{ getHostByName "x" }}`: "read it from .Values instead.",
	} {
		_, ds := template.Execute(t.Context(), []byte(text), data(), template.Options{})
		require.Len(t, ds, 1, text)
		require.True(t, strings.HasSuffix(ds[0].Detail, want), ds[0].Detail)
	}
}

func TestExecuteChangesNoValue(t *testing.T) {
	t.Parallel()
	in := data()
	_, ds := template.Execute(t.Context(), []byte(`{{ $_ := set .Values.apps "x" 1 }}{{ $_ := merge .Values.apps (dict "y" 1) }}`), in, template.Options{})
	require.Empty(t, ds)
	require.Equal(t, data(), in)
}

func TestExecuteStopsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, ds := template.Execute(ctx, []byte(`x{{ .Values.n }}`), data(), template.Options{File: "x"})
	require.Len(t, ds, 1)
	require.Equal(t, diag.TemplateBudget, ds[0].Code)
}

func TestALoopThatWritesNothingRanOn(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		`{{ $l := until 1000000 }}{{ range $l }}{{ range $l }}{{ end }}{{ end }}`,
		`{{ range 1000000000000 }}{{ end }}`,
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		_, ds := template.Execute(ctx, []byte(text), data(), template.Options{File: "x"})
		cancel()
		require.Len(t, ds, 1, text)
		require.Equal(t, diag.TemplateBudget, ds[0].Code)
	}
}

func TestFunctionsMadeMuchOfLittle(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		`{{ $s := "x" }}{{ range until 60 }}{{ $s = printf "%s%s" $s $s }}{{ end }}`,
		`{{ $x := list "x" }}{{ range until 60 }}{{ $x = list $x $x }}{{ end }}{{ toYaml $x }}`,
		`{{ $_ := set .Values "v" .Values }}{{ .Values }}`,
		`{{ $_ := setValueAtPath "Values.v" .Values . }}{{ expandSecretRefs .Values }}`,
		`{{ untilStep -9223372036854775808 9223372036854775807 1 }}`,
		`{{ define "x" }}{{ template "x" . }}{{ end }}{{ template "x" . }}`,
		strings.Repeat("{{ if true }}", 10_000) + strings.Repeat("{{ end }}", 10_000),
	} {
		_, ds := template.Execute(t.Context(), []byte(text), data(), template.Options{File: "f"})
		require.Len(t, ds, 1, text)
		require.Equal(t, diag.TemplateBudget, ds[0].Code, ds[0].Detail)
	}
}

func TestParseFailure(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, message string
		want          template.Failure
	}{
		{
			"syntax", `template: a/b.yaml:3: unexpected "}" in operand`,
			template.Failure{Frames: []template.Frame{{Name: "a/b.yaml", Line: 3}}, Message: `unexpected "}" in operand`},
		},
		{
			"a key that is missing", `template: f.yaml:2:9: executing "f.yaml" at <.Values.foo>: map has no entry for key "foo"`,
			template.Failure{
				Frames:  []template.Frame{{Name: "f.yaml", Line: 2, Column: 10, Expression: ".Values.foo"}},
				Message: `map has no entry for key "foo"`, Key: "foo",
			},
		},
		{
			"a file name with colons", `template: builtin:runlevels/5.yaml:2:0: executing "builtin:runlevels/5.yaml" at <fail "x">: error calling fail: x`,
			template.Failure{
				Frames:  []template.Frame{{Name: "builtin:runlevels/5.yaml", Line: 2, Column: 1, Expression: `fail "x"`}},
				Message: `error calling fail: x`,
			},
		},
		{
			"nested", `template: web/templates/a.yaml:1:3: executing "web/templates/a.yaml" at <include "b" .>: error calling include: ` +
				`template: web/templates/_b.tpl:5:6: executing "b" at <.x.y>: nil pointer evaluating interface {}.y`,
			template.Failure{
				Frames: []template.Frame{
					{Name: "web/templates/a.yaml", Line: 1, Column: 4, Expression: `include "b" .`},
					{Name: "web/templates/_b.tpl", Line: 5, Column: 7, Expression: ".x.y"},
				},
				Message: "nil pointer evaluating interface {}.y",
			},
		},
		{"without a place", "template: x: nothing", template.Failure{Message: "template: x: nothing"}},
		{"not from text/template", "boom", template.Failure{Message: "boom"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tt.want, template.ParseFailure(tt.message))
		})
	}
}

func FuzzParseFailure(f *testing.F) {
	f.Add(`template: a:1:2: executing "a" at <.x>: error calling include: template: b:3: x`)
	f.Add("template: \x00:9999999999999999999999:1: executing \"a\" at <")
	f.Fuzz(func(t *testing.T, message string) {
		for _, frame := range template.ParseFailure(message).Frames {
			frame.Range("x", []byte(message))
		}
	})
}

func TestRedact(t *testing.T) {
	t.Parallel()
	tests := []struct{ message, want string }{
		{"range can't iterate over s3cret", "range can't iterate over the value, which is neither a list nor a map"},
		{"error calling fail: take 5", "take 5"},
		{`error calling mustToDate: parsing time "s3cret" as "2006": cannot parse "s3cret" as "2006"`,
			"error calling mustToDate: parsing time (value) as (value): cannot parse (value) as (value)"},
		{`error calling include: template: no template "nope" associated with template "a/b.yaml"`, `there is no template "nope"`},
		{`template "nope" not defined`, `there is no template "nope"`},
		{`nil pointer evaluating interface {}.x`, `nil pointer evaluating interface {}.x`},
	}
	for _, tt := range tests {
		require.Equal(t, tt.want, template.Redact(tt.message))
	}
}
