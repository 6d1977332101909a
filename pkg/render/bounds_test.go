package render

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redkubes/otomi/pkg/manifest"
	"github.com/redkubes/otomi/pkg/template"
	"github.com/stretchr/testify/require"
	helmchart "helm.sh/helm/v3/pkg/chart"
	helmengine "helm.sh/helm/v3/pkg/engine"
)

// A value that holds itself has no end where it is printed, and Go can't catch what happens then.
func TestAFunctionPrintedAValueThatHoldsItself(t *testing.T) {
	t.Parallel()
	functions := functionsOf().options.Functions
	calls := []string{`{{ eq .Values .Values }}`, `{{ ne .Values .Values }}`, `{{ lt .Values 1 }}`, `{{ index .Values "v" "v" }}`,
		`{{ dict .Values 1 | len }}`, `{{ genSelfSignedCert "a" (list .Values) nil 1 }}`, `{{ if has .Values (list .Values) }}{{ end }}`}
	for _, name := range slices.Sorted(maps.Keys(functions)) {
		f := reflect.TypeOf(functions[name])
		call, takes := name, false
		for i := range f.NumIn() {
			in := f.In(i)
			if f.IsVariadic() && i == f.NumIn()-1 {
				in = in.Elem()
			}
			switch {
			case in.Kind() == reflect.Interface, in == reflect.TypeFor[map[string]any]():
				call, takes = call+" .Values", true
			case in == reflect.TypeFor[[]any]():
				call, takes = call+" (list .Values)", true
			case in.Kind() == reflect.String:
				call += ` "v"`
			case in.Kind() == reflect.Bool:
				call += ` true`
			case in.Kind() == reflect.Struct:
				call += ` (genCA "a" 1)`
			default:
				call += ` 1`
			}
		}
		if takes {
			calls = append(calls, "{{ $x := "+call+" }}{{ kindOf $x }}")
		}
	}
	require.Greater(t, len(calls), 90)
	for _, call := range calls {
		c := chartOf(`{{ $_ := set .Values "v" .Values }}` + call)
		_, err := rendered(t.Context(), c, valuesOf(t, c))
		if err != nil {
			require.Less(t, len(err.Error()), 2000, call)
		}
	}
}

func TestAValueThatGrowsByItselfWasPrinted(t *testing.T) {
	t.Parallel()
	for _, call := range []string{`int $x`, `add 1 $x`, `round $x 1`, `max 1 $x`, `slice $x $x`, `toDecimal $x`, `eq $x $x`, `dict $x 1`, `mulf 1 $x`,
		`has 1 $x`, `deepEqual $x $x`, `uniq $x`, `without $x 1`} {
		c := chartOf(`{{ $x := list "x" }}{{ range until 30 }}{{ $x = list $x $x }}{{ end }}{{ $y := ` + call + ` }}`)
		_, err := rendered(t.Context(), c, valuesOf(t, c))
		_, over := template.OverBudget(err)
		require.True(t, over, "%s: %.200s", call, err)
	}
}

// The overflow of the stack ends the process: Go lets it have 512 MiB.
func TestTemplatesDeepInActionsOverflewTheStack(t *testing.T) {
	t.Parallel()
	twice := func(before, after string) string {
		return `{{ define "x" }}` + fmt.Sprintf(before, "y") + after + `{{ end }}{{ define "y" }}` + fmt.Sprintf(before, "x") + after + `{{ end }}{{ include "x" . }}`
	}
	parens := func(n int) string {
		return twice(`{{ `+strings.Repeat("(print ", n)+`(include "%s" .)`+strings.Repeat(")", n)+` }}`, "")
	}
	within := func(n int, open string) string {
		return twice(strings.Repeat(open, n)+`{{ include "%s" . }}`, strings.Repeat("{{ end }}", n))
	}
	tests := map[string]struct{ text, want string }{
		"too many parentheses": {parens(200), "too deep in other actions"},
		"parentheses":          {parens(20), "2000 deep"},
		"too many conditions":  {within(200, "{{ if true }}"), "too deep in other actions"},
		"conditions":           {within(64, "{{ if true }}"), "2000 deep"},
		"loops":                {within(64, "{{ range list 1 }}"), "2000 deep"},
		"withs":                {within(64, "{{ with $ }}"), "2000 deep"},
		"templates":            {twice(strings.Repeat("{{ if true }}", 65)+`{{ template "%s" . }}`, strings.Repeat("{{ end }}", 65)), "too deep in other actions"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := chartOf(tt.text)
			_, err := rendered(t.Context(), c, valuesOf(t, c))
			detail, over := template.OverBudget(err)
			require.True(t, over, "%.200s", err)
			require.Contains(t, detail, tt.want)
		})
	}
}

func TestBoundsThatWereMissing(t *testing.T) {
	t.Parallel()
	recursion := func(call string) string {
		return `{{ define "x" }}{{ $u := ` + call + ` }}{{ include "x" . }}{{ len $u }}{{ end }}{{ include "x" (dict "s" (repeat 3000000 "a ")) }}`
	}
	tests := map[string]struct{ text, want string }{
		"brackets of TOML":            {`{{ fromToml (printf "a = %s" (repeat 1000000 "[")) }}`, "fromToml was asked"},
		"dotted keys of TOML":         {`{{ fromToml (printf "%sa = 1" (repeat 20000 "a.")) }}`, "fromToml was asked"},
		"keys in a deep table":        {`{{ fromToml (printf "[%sa]\n%s" (repeat 2000 "a.") (repeat 100000 "b = 1\n")) }}`, "fromToml was asked"},
		"items of YAML":               {`{{ fromYaml (printf "a: [%s]" (repeat 400000 "1,")) }}`, "fromYaml was asked"},
		"items of JSON":               {`{{ fromJsonArray (printf "[%s{}]" (repeat 400000 "{},")) }}`, "fromJsonArray was asked"},
		"what JSON escapes":           {`{{ $s := repeat 20000000 "<" }}{{ toJson $s | len }}`, "toJson was asked"},
		"what YAML escapes":           {`{{ $s := repeat 20000000 "\x01" }}{{ toYaml $s | len }}`, "toYaml was asked"},
		"what YAML indents":           {`{{ $l := until 100000 }}{{ range until 5000 }}{{ $l = list $l }}{{ end }}{{ toYaml $l | len }}`, "toYaml was asked"},
		"what JavaScript escapes":     {`{{ $s := repeat 20000000 "<" }}{{ js $s | len }}`, "js was asked"},
		"what HTML escapes":           {`{{ $s := repeat 20000000 "'" }}{{ html $s | len }}`, "html was asked"},
		"what quote escapes":          {`{{ $s := repeat 20000000 "\x00" }}{{ quote $s | len }}`, "quote was asked"},
		"upper":                       {recursion(`upper .s`), "functions make more"},
		"swapcase":                    {recursion(`swapcase .s`), "functions make more"},
		"b64dec":                      {recursion(`b64dec (b64enc .s)`), "functions make more"},
		"large items compared":        {`{{ $l := list }}{{ $b := until 2000 }}{{ range until 500 }}{{ $l = append $l (concat $b (list .)) }}{{ end }}{{ uniq $l | len }}`, "uniq was asked"},
		"the actions of a text":       {`{{ $t := printf "{{ tpl .t . }}%s" (repeat 200000 "{{1}}") }}{{ tpl $t (dict "t" $t) }}`, "functions make more"},
		"copies of the set":           {`{{ $t := "{{ define \"q\" }}{{ end }}{{ tpl .t . }}" }}{{ tpl $t (dict "t" $t) }}`, ""},
		"the words of endless tpl":    {`{{ $t := printf "{{ tpl .t . }}%s" (repeat 20000 "x") }}{{ tpl $t (dict "t" $t) }}`, "2000 deep"},
		"the words of endless blocks": {`{{ define "x" }}{{ template "x" . }}{{ end }}{{ template "x" . }}`, "2000 deep"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := chartOf(tt.text)
			_, err := rendered(t.Context(), c, valuesOf(t, c))
			detail, over := template.OverBudget(err)
			require.True(t, over, "%.300s", err)
			require.Contains(t, detail, tt.want)
			require.Less(t, len(err.Error()), 1<<20)
			require.NotContains(t, err.Error(), "_otomi_watch")
		})
	}
}

// Each tpl puts its text before what the inner one said.
func TestTheWordsOfAFailureGrewWithTheSquareOfItsDepth(t *testing.T) {
	t.Parallel()
	c := chartOf(`{{ $t := printf "{{ if gt .n 1500 }}{{ fail \"stop\" }}{{ end }}{{ tpl .t (dict \"t\" .t \"n\" (add1 .n)) }}%s" (repeat 20000 "x") }}{{ tpl $t (dict "t" $t "n" 1) }}`)
	_, err := rendered(t.Context(), c, valuesOf(t, c))
	require.Error(t, err)
	require.Less(t, len(err.Error()), 1<<20)
	require.Contains(t, err.Error(), "stop")
}

// A chart is read once, and rendered for many releases at the same time.
func TestATemplateChangedTheChartOfTheNextRelease(t *testing.T) {
	t.Parallel()
	c := chartOf(`{{ sortAlpha .Chart.Keywords }}{{ sortAlpha .Chart.Sources }}{{ range .Chart.Dependencies }}{{ sortAlpha .Tags }}{{ sortAlpha .ImportValues }}{{ end }}` +
		`{{ range .Chart.Maintainers }}{{ .Validate }}{{ end }}`)
	c.Metadata.Keywords, c.Metadata.Sources = []string{"b", "a"}, []string{"d", "c"}
	c.Metadata.Maintainers = []*helmchart.Maintainer{{Name: "a\tb"}}
	c.Metadata.Dependencies = []*helmchart.Dependency{{Name: "sub", Tags: []string{"f", "e"}, ImportValues: []any{"h", "g"}}}
	p := &programs{}
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			own := clone(c)
			_, err := renderTemplates(t.Context(), p, own, valuesOf(t, own), time.Now)
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	require.Equal(t, []string{"b", "a"}, c.Metadata.Keywords)
	require.Equal(t, []string{"d", "c"}, c.Metadata.Sources)
	require.Equal(t, []string{"f", "e"}, c.Metadata.Dependencies[0].Tags)
	require.Equal(t, []any{"h", "g"}, c.Metadata.Dependencies[0].ImportValues)
	require.Equal(t, "a\tb", c.Metadata.Maintainers[0].Name)
}

// Such a text is another one each time; it was taken for the same, and kept.
func TestAddressesOfValuesWereTakenForPure(t *testing.T) {
	t.Parallel()
	for text, function := range map[string]string{
		`{{ .Chart.Maintainers }}`:                                  "print",
		`{{ .Chart.Maintainers | toString | sha256sum }}`:           "toString",
		`{{ printf "%v-%8.3p" 1 .Values }}`:                         "printf",
		`{{ quote .Chart }}`:                                        "quote",
		`{{ printf "%p" .Values }}`:                                 "printf",
		`{{ define "x" }}{{ .Chart }}{{ end }}{{ template "x" . }}`: "print",
		`{{ dateInZone "2006" (int64 0) "localtime" }}`:             "dateInZone",
		`{{ (fromToml "a = 1979-05-27T07:32:00").a }}`:              "fromToml",
	} {
		c := chartOf(text)
		c.Metadata.Maintainers = []*helmchart.Maintainer{{Name: "a"}}
		out, err := renderTemplates(t.Context(), &programs{}, c, valuesOf(t, c), time.Now)
		require.NoError(t, err, text)
		require.Len(t, out.impure, 1, text)
		require.Equal(t, function, out.impure[0].Function, text)
		require.Equal(t, "web/templates/x.yaml", out.impure[0].Template, text)
	}
	for _, text := range []string{`{{ toYaml .Chart.Maintainers }}{{ toJson .Chart }}`, `{{ .Capabilities.KubeVersion }}{{ semver "1.2.3" }}`,
		`{{ quote "0xc000123456" }}{{ printf "100%% %s p" "p" }}{{ .Values }}{{ .Release }}`, `{{ range .Chart.Maintainers }}{{ . }}{{ end }}`} {
		c := chartOf(text)
		c.Metadata.Maintainers = []*helmchart.Maintainer{{Name: "a"}}
		out, err := renderTemplates(t.Context(), &programs{}, c, valuesOf(t, c), time.Now)
		require.NoError(t, err, text)
		require.Empty(t, out.impure, text)
	}
}

func TestSortedKeysInAVariableWereWarnedOf(t *testing.T) {
	t.Parallel()
	for _, text := range []string{`{{ $k := keys .Values }}{{ $k | sortAlpha }}`, `{{ $k := keys .Values }}{{ if true }}{{ range sortAlpha $k }}{{ end }}{{ end }}`,
		`{{ $k := keys .Values | uniq }}{{ first (sortAlpha $k) }}`} {
		_, _, noted := twice(t, text)
		require.Empty(t, noted, text)
	}
	_, _, noted := twice(t, `{{ $k := keys .Values }}{{ $l := $k }}{{ $l | join "," }}`)
	require.Len(t, noted, 1)
}

func TestAddressesHaveTheirOwnWords(t *testing.T) {
	t.Parallel()
	require.Contains(t, Impurity([]manifest.ImpureCall{{Function: "print"}}), "the function print prints where in memory a value is")
}

func TestKeysBesideAnImpureCallWereNotTold(t *testing.T) {
	t.Parallel()
	said := Impurity([]manifest.ImpureCall{{Function: "uuidv4"}, {Function: "keys", Unordered: true}})
	require.Contains(t, said, "uuidv4")
	require.Contains(t, said, "sortAlpha")
}

// eq is written again, for its bounds.
func TestComparisonsAreThoseOfTextTemplate(t *testing.T) {
	t.Parallel()
	values := []string{"1", "2", "1.5", `"a"`, "nil", "true", "(list 1)", "(dict)", ".Values.list", ".Values.map", ".Values.nothing", ".Values.absent", "(int64 1)", "(float64 1)",
		".Chart", ".Capabilities", "(semver \"1.2.3\")", "$", "1i", "(len \"a\")", "(.Files.Get \"f/a.txt\")"}
	for _, x := range values {
		for _, y := range values {
			for _, call := range []string{"eq %s %s", "ne %s %s", "eq 1 %s %s"} {
				text := "{{ " + fmt.Sprintf(call, x, y) + " }}"
				c := chartOf(text)
				got, err := rendered(context.Background(), c, valuesOf(t, c))
				want, wantErr := helmengine.Engine{}.Render(c, valuesOf(t, c))
				if wantErr == nil {
					require.NoError(t, err, text)
					require.Equal(t, want["web/templates/x.yaml"], got["web/templates/x.yaml"], text)
					continue
				}
				require.Error(t, err, text)
				if !strings.Contains(wantErr.Error(), "0x") && !errors.Is(err, context.Canceled) {
					require.Equal(t, wantErr.Error(), err.Error(), text)
				}
			}
		}
	}
}
