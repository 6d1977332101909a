package render

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redkubes/otomi/pkg/template"
	"github.com/stretchr/testify/require"
	helmchart "helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chartutil"
	helmengine "helm.sh/helm/v3/pkg/engine"
)

// chartOf makes a chart of one template, with a partial, a subchart and files beside it.
func chartOf(text string) *helmchart.Chart {
	c := &helmchart.Chart{
		Metadata: &helmchart.Metadata{APIVersion: "v2", Name: "web", Version: "1.0.0"},
		Templates: []*helmchart.File{
			{Name: "templates/x.yaml", Data: []byte(text)},
			{Name: "templates/_partial.tpl", Data: []byte(`{{ define "part" }}<{{ .Values.a }}>{{ end }}{{ define "same" }}parent{{ end }}`)},
		},
		Files: []*helmchart.File{{Name: "f/a.txt", Data: []byte("one\ntwo\n")}, {Name: "f/b.bin", Data: []byte{0, 255}}},
	}
	sub := &helmchart.Chart{
		Metadata:  &helmchart.Metadata{APIVersion: "v2", Name: "sub", Version: "2.0.0"},
		Templates: []*helmchart.File{{Name: "templates/y.yaml", Data: []byte(`{{ define "same" }}child{{ end }}{{ .Values.b }} {{ .Chart.Name }} {{ .Template.Name }}`)}},
	}
	library := &helmchart.Chart{
		Metadata:  &helmchart.Metadata{APIVersion: "v2", Name: "lib", Version: "1.0.0", Type: "library"},
		Templates: []*helmchart.File{{Name: "templates/z.yaml", Data: []byte("no")}, {Name: "templates/_l.tpl", Data: []byte(`{{ define "lib" }}L{{ end }}`)}},
	}
	c.AddDependency(sub, library)
	return c
}

func valuesOf(t testing.TB, c *helmchart.Chart) chartutil.Values {
	t.Helper()
	caps, err := Capabilities{KubeVersion: "1.34", APIVersions: BuiltIn()}.helm()
	require.NoError(t, err)
	values, err := chartutil.ToRenderValues(c, map[string]any{
		"a": "A", "n": 3.0, "big": 1e7, "nothing": nil, "list": []any{"x", "y", "x"}, "map": map[string]any{"k": "v", "l": []any{1.0}},
		"sub": map[string]any{"b": "B"},
	}, chartutil.ReleaseOptions{Name: "r", Namespace: "n", Revision: 1, IsInstall: true}, caps)
	require.NoError(t, err)
	return values
}

// rendered is what the engine makes of a chart that it has not seen before.
func rendered(ctx context.Context, c *helmchart.Chart, values chartutil.Values) (map[string]string, error) {
	out, err := renderTemplates(ctx, &programs{}, c, values, time.Now)
	return out.files, err
}

// TestEngineIsHelms compares what both engines make of a text: the output, or the words of the error.
func TestEngineIsHelms(t *testing.T) {
	t.Parallel()
	texts := []string{
		`{{ .Values.a }} {{ .Values.nothing }} {{ .Values.absent }} {{ .Values.big }} {{ .Values.list }} {{ .Values.map }}`,
		`{{ .Capabilities.KubeVersion }} {{ .Capabilities.KubeVersion.Minor }} {{ .Capabilities.HelmVersion }} {{ .Capabilities.APIVersions.Has "apps/v1" }}`,
		`{{ .Chart }} {{ .Chart.IsRoot }} {{ .Release }} {{ .Template.BasePath }} {{ .Subcharts.sub.Values.b }} {{ .Subcharts.sub.Chart.IsRoot }}`,
		`{{ include "part" . | nindent 2 }}{{ template "same" . }}{{ template "lib" }}{{ with .Values.map }}{{ .k }}{{ else }}no{{ end }}`,
		`{{ tpl "{{ define \"in\" }}I{{ end }}{{ include \"in\" . }}{{ .Values.a }}{{ .Values.absent }}" . }}`,
		`{{ range $i, $e := .Values.list }}{{ $i }}={{ $e }}{{ if eq $i 1 }}{{ break }}{{ end }},{{ else }}none{{ end }}`,
		`{{ range .Values.absent }}x{{ else }}none{{ end }}{{ range 3 }}{{ . }}{{ continue }}!{{ end }}`,
		`{{- $x := "a" -}}{{ $x = printf "%s%03d" $x 7 }}{{ $x }}{{ print 1 2 "x" "y" }}{{ println 1 }}{{ html "<" }}{{ js "'" }}{{ urlquery "a b" }}`,
		`{{ until 3 }}{{ until -2 }}{{ untilStep 4 0 -2 }}{{ untilStep 0 3 0 }}{{ seq 3 }}{{ seq 2 4 }}{{ seq 0 2 4 }}{{ seq 3 1 }}{{ seq 0 -3 }}{{ seq }}`,
		`{{ repeat 3 "ab" }}{{ indent 2 "a\nb" }}{{ join "-" .Values.list }}{{ replace "x" "yy" "axb" }}{{ wrapWith 3 "|" "abc def" }}`,
		`{{ regexReplaceAll "(a)" "banana" "${1}x" }}{{ splitList "," "a,b" }}{{ split "," "a,b" }}{{ regexFindAll "a" "banana" -1 }}{{ regexSplit "n" "banana" -1 }}`,
		`{{ uniq .Values.list }}{{ without .Values.list "x" }}{{ concat .Values.list (list 1) }}{{ append .Values.list "z" }}{{ sortAlpha .Values.list }}`,
		`{{ toYaml .Values.map }}{{ toYamlPretty .Values.map }}{{ toJson .Values.map }}{{ toPrettyJson .Values.map }}{{ toToml .Values.map }}{{ toRawJson "<" }}`,
		`{{ fromYaml "a: [1, yes]" }}{{ fromYaml "[1]" }}{{ fromYaml "null" }}{{ fromYaml "a: : b" }}{{ fromYamlArray "[1]" }}{{ fromYamlArray "a: b" }}`,
		`{{ fromJson "{\"a\":1}" }}{{ fromJson "[" }}{{ fromJsonArray "[1]" }}{{ fromJsonArray "{" }}{{ fromToml "a = 1" }}{{ fromToml "a = " }}{{ toToml 1 }}`,
		`{{ .Files.Get "f/a.txt" }}{{ .Files.Get "no" }}{{ .Files.Lines "f/a.txt" }}{{ (.Files.Glob "f/*.txt").AsConfig }}{{ (.Files.Glob "f/**").AsSecrets }}{{ len (.Files.Glob "[") }}`,
		`{{ merge (dict "a" 1) (dict "b" 2) }}{{ mergeOverwrite (dict "a" 1) (dict "a" 2) }}{{ deepCopy .Values.map }}{{ set (dict) "a" 1 }}{{ quote 1 "a" nil }}{{ cat 1 "b" }}`,
		`{{ lookup "v1" "Secret" "a" "b" }}{{ getHostByName "localhost" }}{{ "x" | b64enc | b64dec }}{{ default "d" .Values.absent }}{{ ternary 1 2 true }}`,
		`{{ required "need" .Values.a }}{{ $_ := set .Values "self" .Values }}{{ .Values.self.a }}`,
		// Errors.
		`{{ required "need it" .Values.absent }}`, `{{ required "need it" "" }}`, `{{ fail "a\nb: c" }}`, `{{ include "fails" . }}{{ define "fails" }}{{ fail "in" }}{{ end }}`,
		`{{ nope }}`, `{{ if }}`, `{{ end }}`, `a: {{ .Values.a.b }}`, `{{ .Values.a.b.c }}`, `{{ include "none" . }}`, `{{ template "none" . }}`, `{{ env "HOME" }}`, `{{ expandenv "$HOME" }}`,
		`{{ tpl "{{ nope }}" . }}`, `{{ tpl "{{ .Values.a.b }}" . }}`, `{{ tpl "{{ fail \"x\" }}" . }}`, `{{ repeat -1 "x" }}`, `{{ repeat "x" 1 }}`, `{{ until "x" }}`, `{{ until }}`, `{{ uniq 1 }}`,
		`{{ join }}`, `{{ range "x" }}{{ end }}`, `{{ index .Values.list 9 }}`, `{{ mustToDate "2006" "x" }}`, `{{ mustRegexReplaceAll "(" "a" "b" }}`, `{{ regexReplaceAll "(" "a" "b" }}`,
		"x\n{{ define \"rec\" }}{{ include \"rec\" . }}{{ end }}{{ include \"rec\" . }}", `{{ .Values.a | upper | nope }}`, `{{ 1 | fromYaml }}`, `{{ range $k, $v := dict "b" 1 "a" 2 }}{{ $k }}{{ end }}`,
	}
	for _, text := range texts {
		t.Run(text[:min(len(text), 40)], func(t *testing.T) {
			t.Parallel()
			c := chartOf(text)
			want, wantErr := helmengine.Engine{}.Render(c, valuesOf(t, c))
			got, err := rendered(t.Context(), c, valuesOf(t, c))
			if wantErr != nil {
				require.EqualError(t, err, strings.ReplaceAll(wantErr.Error(), "engine.", "render."))
				return
			}
			require.NoError(t, err)
			require.Equal(t, want, got)
		})
	}
}

// A function that Helm gains or loses is one that ours must too.
func TestEngineHasTheFunctionsOfHelms(t *testing.T) {
	t.Parallel()
	e := &engine{bounds: template.NewBounds(t.Context(), 1, 1)}
	names := slices.Collect(maps.Keys(e.functions()))
	names = append(names, "include", "tpl", "env", "expandenv", "exec", "readFile", "sprigGet", "fromTomlArray", "mustToYaml", "mustToToml")
	for _, name := range names {
		c := chartOf("{{ if false }}{{ " + name + " }}{{ end }}")
		_, want := helmengine.Engine{}.Render(c, valuesOf(t, c))
		_, got := rendered(t.Context(), c, valuesOf(t, c))
		require.Equal(t, want == nil, got == nil, "%s: %v, %v", name, want, got)
	}
}

// Each of these took all memory, overflowed the stack or ran for hours.
func TestAChartsTemplatesHadNoBounds(t *testing.T) {
	t.Parallel()
	const double = `{{ $x := list "x" }}{{ range until 40 }}{{ $x = list $x $x }}{{ end }}`
	tests := map[string]struct{ text, want string }{
		"a loop over a number":          {`{{ range until 2000000000 }}x{{ end }}`, "until was asked"},
		"a loop in steps":               {`{{ range untilStep 0 2000000000 1 }}x{{ end }}`, "untilStep was asked"},
		"steps that overflow":           {`{{ untilStep -9223372036854775808 9223372036854775807 1 }}`, "untilStep was asked"},
		"seq":                           {`{{ seq 2000000000 }}`, "seq was asked"},
		"seq downwards":                 {`{{ seq 0 -1 -2000000000 }}`, "seq was asked"},
		"repeat":                        {`{{ repeat 2000000000 "x" }}`, "repeat was asked"},
		"nindent":                       {`{{ nindent 2000000000 "x" }}`, "nindent was asked"},
		"random text":                   {`{{ randAlphaNum 2000000000 }}`, "randAlphaNum was asked"},
		"a text that doubles":           {`{{ $s := "x" }}{{ range until 60 }}{{ $s = printf "%s%s" $s $s }}{{ end }}`, "printf was asked"},
		"a text that doubles by join":   {`{{ $s := "x" }}{{ range until 60 }}{{ $s = join $s (list $s $s) }}{{ end }}`, "was asked"},
		"a text that grows by replace":  {`{{ $s := "aaaaaaaaaa" }}{{ range until 60 }}{{ $s = replace "a" $s $s }}{{ end }}`, "replace was asked"},
		"a text that grows by a regexp": {`{{ $s := "aaaaaaaaaa" }}{{ range until 60 }}{{ $s = regexReplaceAll "a" $s $s }}{{ end }}`, "regexReplaceAll was asked"},
		"a width of printf":             {`{{ $f := repeat 1000 "%999999d" }}{{ printf $f 1 }}`, "printf was asked"},
		"an argument printed often":     {`{{ $s := repeat 1000000 "x" }}{{ printf (repeat 1000 "%[1]s") $s }}`, "printf was asked"},
		"a list that doubles":           {`{{ $l := list 1 }}{{ range until 60 }}{{ $l = concat $l $l }}{{ end }}`, "concat made too much"},
		"a list of itself as YAML":      {double + `{{ toYaml $x }}`, "toYaml was asked"},
		"a list of itself as JSON":      {double + `{{ toJson $x }}`, "toJson was asked"},
		"a list of itself, printed":     {double + `{{ $x }}`, "too large to be printed"},
		"a list of itself, copied":      {double + `{{ deepCopy $x | len }}`, "deepCopy was asked"},
		"a map that holds itself":       {`{{ $_ := set .Values "v" .Values }}{{ .Values }}`, "holds itself"},
		"one that is quoted":            {`{{ $_ := set .Values "v" .Values }}{{ quote .Values }}`, "quote was asked"},
		"texts that are kept":           {`{{ $l := list }}{{ range until 10000 }}{{ $l = append $l (repeat 1000000 "x") }}{{ end }}`, "functions make more"},
		"output":                        {`{{ range until 1000 }}{{ repeat 1000000 "x" }}{{ end }}`, "writes more than 32 MiB"},
		"output of include":             {`{{ define "x" }}{{ repeat 1000000 "x" }}{{ end }}{{ range until 1000 }}{{ $x := include "x" . }}{{ end }}`, "writes more than 32 MiB"},
		"recursion of tpl":              {`{{ $t := "{{ tpl .t . }}" }}{{ tpl $t (dict "t" $t) }}`, "2000 deep"},
		"recursion of template":         {`{{ define "x" }}{{ template "x" . }}{{ end }}{{ template "x" . }}`, "2000 deep"},
		"two that include each other":   {`{{ define "x" }}{{ include "y" . }}{{ end }}{{ define "y" }}{{ template "x" . }}{{ end }}{{ include "x" . }}`, "2000 deep"},
		"actions in each other":         {strings.Repeat("{{ if true }}", 100_000) + strings.Repeat("{{ end }}", 100_000), "deep"},
		"actions":                       {strings.Repeat("{{ if true }}", 300_000) + strings.Repeat("{{ end }}", 300_000), "actions"},
		"a search for a long pattern":   {`{{ regexMatch "(x?){1000}y" (repeat 200000 "x") }}`, "regexMatch was asked"},
		"quotes of quotes":              {`{{ $s := "." }}{{ range until 60 }}{{ $s = regexQuoteMeta $s }}{{ end }}`, "regexQuoteMeta was asked"},
		"files that are kept":           {`{{ $l := list }}{{ range until 1000000 }}{{ $l = append $l (repeat 1000 "x" | upper) }}{{ end }}`, "functions make more"},
		"a glob of many stars":          {"{{ .Files.Glob \"" + strings.Repeat("*a", 40) + "\" }}", "too many stars"},
		"comparisons":                   {`{{ uniq (until 1000000) | len }}`, "uniq was asked"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := chartOf(tt.text)
			c.Files = append(c.Files, &helmchart.File{Name: strings.Repeat("a", 80)})
			_, err := rendered(t.Context(), c, valuesOf(t, c))
			detail, ok := template.OverBudget(err)
			require.True(t, ok, "%.200s", err)
			require.Contains(t, detail, tt.want)
		})
	}
}

func TestALoopThatWritesNothingCouldNotBeStopped(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		`{{ $l := until 1000000 }}{{ range $l }}{{ range $l }}{{ end }}{{ end }}`,
		`{{ range until 1000000 }}{{ range until 1000000 }}{{ $x := . }}{{ end }}{{ end }}`,
		`{{ tpl "{{ $l := until 1000000 }}{{ range $l }}{{ range $l }}{{ end }}{{ end }}" . }}`,
		`{{ range 1000000000000 }}{{ end }}`,
		`{{ regexFindAll "(x*y|x)" (repeat 200000 "x") -1 | len }}`,
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		c := chartOf(text)
		_, err := rendered(ctx, c, valuesOf(t, c))
		cancel()
		detail, ok := template.OverBudget(err)
		require.True(t, ok, text)
		require.Contains(t, detail, "time for it was over")
	}
}

// A template that could call them could give itself more depth.
func TestATemplateCantCallTheFunctionsThatWatchIt(t *testing.T) {
	t.Parallel()
	for _, text := range []string{`{{ _otomi_watch_left }}`, `{{ tpl "{{ _otomi_watch_left }}" . }}`} {
		c := chartOf(text)
		_, err := rendered(t.Context(), c, valuesOf(t, c))
		require.ErrorContains(t, err, "no template's to call")
	}
}
