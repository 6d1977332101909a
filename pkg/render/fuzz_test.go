package render

import (
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/redkubes/otomi/pkg/template"
	"github.com/redkubes/otomi/testdata/bound"
	"github.com/stretchr/testify/require"
	helmchart "helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chartutil"
	helmengine "helm.sh/helm/v3/pkg/engine"
)

// grower grows a chart out of bytes: each choice takes one, and where none is left the first alternative is taken.
type grower struct {
	bytes string
	depth int
	// from is the first of the defined templates that may be called: one calls later ones only, so that all ends.
	from int
}

const defined = 6

func (g *grower) pick(n int) int {
	if g.bytes == "" {
		return 0
	}
	b := g.bytes[0]
	g.bytes = g.bytes[1:]
	return int(b) % n
}

func (g *grower) one(of ...string) string { return of[g.pick(len(of))] }

// text is a piece of a template.
func (g *grower) text() string {
	if g.depth++; g.depth > 5 {
		g.depth--
		return "x"
	}
	defer func() { g.depth-- }()
	var out strings.Builder
	for range 1 + g.pick(4) {
		out.WriteString(g.node())
	}
	return out.String()
}

func (g *grower) node() string {
	open, end := g.one("{{ ", "{{- "), g.one(" }}", " -}}")
	action := func(format string, args ...any) string { return open + fmt.Sprintf(format, args...) + end }
	switch g.pick(14) {
	case 0:
		return g.one("a: b\n", "text ", "\n", "  - item\n", "<no value>", "---\n", "{ }", "é\n")
	case 1, 2:
		return action("%s", g.pipe())
	case 3:
		return action("if %s", g.pipe()) + g.text() + g.one("", "{{ else }}"+g.text(), "{{ else if "+g.pipe()+" }}"+g.text()) + "{{ end }}"
	case 4:
		return action("with %s", g.pipe()) + g.text() + g.one("", "{{ else }}"+g.text()) + "{{- end }}"
	case 5:
		return action("range %s%s", g.one("", "$k, $v := ", "$v := "), g.list()) + g.text() + g.one("", "{{ $ }}", "{{ break }}", "{{ continue }}x") + g.one("", "{{ else }}none") + "{{ end }}"
	case 6:
		return action("template %q %s", g.name(), g.one(".", "$", ".Values", ""))
	case 7:
		return action("$x = %s", g.pipe()) + action("$x")
	case 8:
		return action("$x := %s", g.pipe()) + action("$x")
	case 9:
		return action("include %q . | %s", g.name(), g.one("nindent 2", "trim", "quote", "fromYaml", "indent 4 | upper"))
	case 10:
		return action("tpl %s %s", g.tpl(), g.one(".", "$", "(dict \"Template\" $.Template \"Values\" .)"))
	case 11:
		return action("/* comment */")
	case 12:
		return g.one("{{ define \"late\" }}", "{{ block \"late\" . }}") + "L{{ . | kindOf }}{{ end }}"
	}
	return g.one("{{ $_ := set $.Values \"new\" "+g.value()+" }}", "{{ required \"need "+g.one("x", "a: b")+"\" "+g.value()+" }}", "{{ fail \"no\" }}", "{{ .Release.Name }}", "{{ .Template.Name }}", "{{ .Files.Get \"f/a.txt\" }}", "{{ nope }}", "{{ end }}")
}

func (g *grower) name() string {
	if n := g.pick(8); n >= 5 {
		return []string{"same", "none", "late"}[n-5]
	}
	if g.from >= defined {
		return "part"
	}
	return fmt.Sprintf("d%d", g.from+g.pick(defined-g.from))
}

// tpl is an expression whose value is given to tpl.
func (g *grower) tpl() string {
	switch g.pick(6) {
	case 0:
		return `"plain <no value> text"`
	case 1:
		return `.Values.text`
	case 2:
		return "(" + g.pipe() + " | toYaml)"
	case 3:
		return fmt.Sprintf("%q", "{{ define \"in\" }}I{{ .Values }}{{ end }}{{ include \"in\" . }}"+g.text())
	case 4:
		return fmt.Sprintf("%q", g.one("", "{{ if kindIs \"map\" . }}{{ include \"gotpl\" 1 | quote }}{{ end }}")+g.text())
	}
	return fmt.Sprintf("%q", g.text())
}

func (g *grower) pipe() string {
	out := g.value()
	for range g.pick(3) {
		out += " | " + g.one("quote", "toYaml", "toJson", "nindent 2", "default \"d\"", "upper", "trunc 3", "len", "toString", "b64enc", "fromYaml", "keys | sortAlpha", "first",
			"join \",\"", "not", "kindOf", "replace \"a\" \"b\"", "printf \"%v-%s\" 1", "splitList \",\"", "uniq", "squote", "toPrettyJson", "hasKey \"a\"", "int", "sha256sum", "trimSuffix \"d\"", "fromJson",
			"toToml", "dig \"k\" \"none\"", "ternary 1 2", "empty", "has \"x\"", "cat 1", "regexReplaceAll \"[aA]\" \"x${1}\"", "semverCompare \">=1\"", "toYamlPretty", "html", "typeOf", "without \"x\"", "get \"k\"")
	}
	return out
}

func (g *grower) value() string {
	if g.depth++; g.depth > 6 {
		g.depth--
		return "."
	}
	defer func() { g.depth-- }()
	switch g.pick(16) {
	case 0, 1:
		return g.one(".Values.a", ".Values.n", ".Values.big", ".Values.nothing", ".Values.absent", ".Values.list", ".Values.map", ".Values.map.k", ".Values.sub.b", ".Values.a.b", "$.Values.map", ".Values.map.absent.x", ".Values.flag", ".Values.lines", ".Values", ".Values.numbers")
	case 2:
		return g.one(`"s"`, `"a: b"`, "1", "1.5", "true", "false", `""`, "-3", "0x1F", "1e3", `"yes"`, `"10"`, "'a'", "`raw`")
	case 3:
		return g.one(".", "$", "$x")
	case 4:
		return "(dict \"k\" " + g.value() + " \"a\" " + g.value() + ")"
	case 5:
		return "(list " + g.value() + " " + g.value() + ")"
	case 6:
		return "(include \"" + g.name() + "\" .)"
	case 7:
		return "(" + g.one("merge", "mergeOverwrite", "mustMerge") + " (dict \"a\" " + g.value() + ") " + g.one(".Values.map", "(deepCopy $.Values)", "(dict)", "nil") + ")"
	case 8:
		return "(" + g.pipe() + ")"
	case 9:
		return "(" + g.one("eq", "ne", "lt", "gt", "and", "or", "add", "sub", "max", "append", "concat", "index", "hasKey", "printf \"%s %d\"", "coalesce", "ternary 1 2", "set", "get", "default", "contains", "omit", "pick", "pluck \"a\"", "without") + " " + g.value() + " " + g.value() + ")"
	case 10:
		return g.one("(.Files.Get \"f/a.txt\")", "(.Files.Glob \"f/*\").AsConfig", ".Capabilities.KubeVersion.Version", "(.Capabilities.APIVersions.Has \"apps/v1\")", ".Chart.Name", ".Subcharts.sub.Values", "(.Files.Lines \"f/a.txt\")", ".Release", ".Template.BasePath")
	case 11:
		return "(tpl " + g.tpl() + " $)"
	case 12:
		return "(" + g.one("toYaml", "fromYaml", "toJson", "quote", "keys", "values", "not", "len", "until", "reverse", "rest", "atoi", "float64", "lookup \"v1\" \"Pod\" \"a\"", "semver", "urlParse", "deepCopy", "toString", "splitList \",\"", "uniq") + " " + g.value() + ")"
	case 13:
		return "(" + g.value() + ").k"
	case 14:
		return "nil"
	}
	return g.list()
}

func (g *grower) list() string {
	return g.one(".Values.list", ".Values.map", ".Values.numbers", "(until 3)", "3", ".Values.absent", "(list 1 \"x\" nil)", "(dict \"b\" 1 \"a\" 2)", ".Values.a", "(splitList \",\" \"a,b\")", ".", "(tuple)")
}

// chart is a chart with a subchart, perhaps disabled, and templates that include each other.
func (g *grower) chart() (*helmchart.Chart, map[string]any) {
	var helpers strings.Builder
	for i := range defined {
		g.from = i + 1
		fmt.Fprintf(&helpers, "{{ define \"d%d\" }}{{ $x := . }}%s{{ end }}", i, g.text())
	}
	g.from = 0
	c := chartOf("{{ $x := 1 }}" + g.text())
	c.Templates = append(c.Templates,
		&helmchart.File{Name: "templates/_defined.tpl", Data: []byte(helpers.String())},
		&helmchart.File{Name: "templates/z.yaml", Data: []byte("{{ $x := list }}" + g.text())},
		&helmchart.File{Name: "templates/NOTES.txt", Data: []byte("{{ $x := 0 }}" + g.text())},
	)
	sub := c.Dependencies()[0]
	sub.Templates = append(sub.Templates, &helmchart.File{Name: "templates/w.yaml", Data: []byte("{{ $x := 2 }}" + g.text())})
	sub.Values = map[string]any{"b": "default", "map": map[string]any{"k": nil, "z": 1.0}}
	c.Metadata.Dependencies = []*helmchart.Dependency{{Name: "sub", Version: "2.0.0", Condition: "sub.enabled", Alias: g.one("", "sub", "other")}, {Name: "lib", Version: "1.0.0"}}
	c.Values = map[string]any{"map": map[string]any{"k": "v", "gone": 1.0}, "list": []any{"default"}}
	values := map[string]any{
		"a": "A", "n": 3.0, "big": 1e7, "nothing": nil, "flag": g.pick(2) == 0, "list": []any{"x", "y", "x"}, "map": map[string]any{"l": []any{1.0}, "gone": nil},
		"text": "{{ .Values.a }}:{{ include \"part\" . }}", "lines": "one\ntwo: 2\n", "numbers": []any{1.0, 2.5, int64(7)},
		"sub": map[string]any{"b": "B", "enabled": g.pick(4) > 0}, "global": map[string]any{"g": 1.0},
	}
	return c, values
}

// FuzzParity grows charts, and compares what our engine and Helm's make of them: the texts, or the words of the error.
func FuzzParity(f *testing.F) {
	log.SetOutput(io.Discard) // Helm's coalescing warns there
	for i := range 64 {
		var seed strings.Builder
		for k := range 400 {
			seed.WriteByte(byte(i*31 + k*k*(i+7) + k*17))
		}
		f.Add(seed.String())
	}
	f.Fuzz(func(t *testing.T, input string) {
		if len(input) <= 2000 {
			bound.Run(t, input, func() { sameRendering(t, input) })
		}
	})
}

// countsFractions matches charts that may count with a text such as "1.5". Helm's engine in this module takes it for 1, and in
// Helm's own build, as we do, for 0 (package template, number.go).
var countsFractions = regexp.MustCompile(`(?s)(\(add|\(sub|\(max).*\.5|\.5.*(\(add|\(sub|\(max)`)

// sameRendering grows the chart of an input, and renders it with both engines: ours does so twice, as for two releases.
func sameRendering(t *testing.T, input string) {
	t.Helper()
	caps, err := Capabilities{KubeVersion: "1.34", APIVersions: BuiltIn()}.helm()
	require.NoError(t, err)
	grown := func() (*helmchart.Chart, chartutil.Values, bool) {
		c, values := (&grower{bytes: input}).chart()
		if err := chartutil.ProcessDependenciesWithMerge(c, values); err != nil {
			return nil, nil, false
		}
		c.Metadata.Dependencies = nil // pointers, whose addresses a template can print
		all, err := chartutil.ToRenderValues(c, values, chartutil.ReleaseOptions{Name: "r", Namespace: "n", Revision: 1, IsInstall: true}, caps)
		all["Capabilities"] = *caps
		return c, all, err == nil
	}
	kept := &programs{}
	first, _, ok := grown()
	if !ok || countsFractions.MatchString(shownChart(first)) {
		return
	}
	for range 2 {
		c, values, _ := grown()
		// The same files, as of a chart that is loaded once.
		share(first, c)
		got, gotErr := renderTemplates(t.Context(), kept, c, values, time.Now)
		if _, over := template.OverBudget(gotErr); over {
			return
		}
		c, values, _ = grown()
		want, wantErr := helmengine.Engine{}.Render(c, values)
		if wantErr != nil {
			require.Error(t, gotErr, "%s\n%v", shownChart(c), wantErr)
			require.Equal(t, strings.ReplaceAll(wantErr.Error(), "engine.", "render."), strings.ReplaceAll(gotErr.Error(), "engine.", "render."), shownChart(c))
			continue
		}
		require.NoError(t, gotErr, shownChart(c))
		require.Equal(t, want, got.files, shownChart(c))
	}
}

// Growing is cheap and most of what a fuzzer learns is of no use here: chance goes further in the same time.
func TestParityOfChance(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(4, 2))
	for range 400 {
		input := make([]byte, 50+random.IntN(500))
		for i := range input {
			input[i] = byte(random.Uint32())
		}
		sameRendering(t, string(input))
	}
}

func share(from, to *helmchart.Chart) {
	to.Templates = from.Templates
	for i, s := range to.Dependencies() {
		share(from.Dependencies()[i], s)
	}
}

func shownChart(c *helmchart.Chart) string {
	var out strings.Builder
	for _, f := range c.Templates {
		fmt.Fprintf(&out, "-- %s --\n%s\n", f.Name, f.Data)
	}
	for _, s := range c.Dependencies() {
		out.WriteString(shownChart(s))
	}
	return out.String()
}
