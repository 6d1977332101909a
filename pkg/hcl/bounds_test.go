package hcl

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// doubling are values of which each holds the one before it twice.
func doubling(n int, form string) string {
	var b strings.Builder
	b.WriteString("values {\n  a0 = [1]\n  s0 = \"x\"\n")
	for i := range n {
		fmt.Fprintf(&b, form, i+1, i, i)
	}
	return b.String() + "}\n"
}

// doublingAliases are lists of YAML of which each holds the one before it twice.
func doublingAliases(n int) string {
	var b strings.Builder
	b.WriteString(`a0: &a0 [1]\n`)
	for i := range n {
		fmt.Fprintf(&b, `a%d: &a%d [*a%d, *a%d]\n`, i+1, i+1, i, i)
	}
	return b.String()
}

func TestWhatWouldNotComeToAnEndIsRefused(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"lists":       doubling(40, "  a%d = [hv.a%d, hv.a%d]\n"),
		"joined":      doubling(40, "  a%d = concat(hv.a%d, hv.a%d)\n"),
		"strings":     doubling(40, "  s%d = \"${hv.s%d}${hv.s%d}\"\n"),
		"loops":       "values {\n  a = [for x in range(1000) : [for y in range(1000) : [for z in range(1000) : x]]]\n}\n",
		"conditions":  "values {\n  a = [for x in range(1000) : 1 if length([for y in range(1000) : 1 if length([for z in range(1000) : 1 if false]) > 0]) > 0]\n}\n",
		"products":    "values {\n  r = range(1000)\n  a = length(setproduct(hv.r, hv.r, hv.r))\n}\n",
		"width":       "values {\n  a = strlen(format(\"%999999999s\", \"\"))\n}\n",
		"indentation": "values {\n  a = strlen(indent(999999999, \"\\n\"))\n}\n",
		"encoded":     "values {\n  r = range(1000)\n  a = [for x in hv.r : jsonencode([for y in hv.r : hv.r])]\n}\n",
		"deep":        "values {\n  a = " + strings.Repeat("[", 100_000) + "\n}\n",
		"not":         "values {\n  a = " + strings.Repeat("!", 100_000) + "true\n}\n",
		"operators":   "values {\n  a = 1" + strings.Repeat("+1", 400_000) + "\n}\n",
		"rows":        "values {\n  a = (" + strings.Repeat("!\n", 400_000) + "true)\n}\n",
		"splats":      "values {\n  b = [1]\n  a = hv.b" + strings.Repeat("[*]", 100_000) + "\n}\n",
		"directives":  "values {\n  a = \"" + strings.Repeat("%{if true}", 20_000) + strings.Repeat("%{endif}", 20_000) + "\"\n}\n",
		"exponent":    "values {\n  a = 1e600000000\n}\n",
		"written":     "values {\n  a = \"${1e-600000000}\"\n}\n",
		"key":         "values {\n  a = { (1e600000000) = 1 }\n}\n",
		"decoded":     "values {\n  a = jsondecode(\"1e600000000\")\n}\n",
		"factors":     "values {\n  a = \"${" + strings.Repeat("1e1000*", 1000) + "1}\"\n}\n",
		"literal":     "values {\n  a = length([for x in range(400) : [for y in range(500) : \"${y}" + strings.Repeat("x", 500_000) + "\"]])\n}\n",
		"locals":      "locals {\n  s = \"" + strings.Repeat("x", 200_000) + "\"\n}\nvalues {\n  a = \"" + strings.Repeat("${local.s}", 50_000) + "\"\n}\n",
		"aliases":     "values {\n  a = length(yamldecode(\"" + doublingAliases(30) + "\"))\n}\n",
		"pattern":     "values {\n  s = join(\"\", [for x in range(1000) : format(\"%099d\", x)])\n  a = length(regexall(\"(0|00|000){900}y{900}\", hv.s))\n}\n",
		"distinct":    "values {\n  a = length(distinct(flatten([for x in range(1000) : [for y in range(40) : x * 1000 + y]])))\n}\n",
		"joined text": "values {\n  s = join(\"\", [for x in range(100) : format(\"%0999d\", 0)])\n  a = strlen(join(hv.s, split(\"\", hv.s)))\n}\n",
		"formats":     "values {\n  s = join(\"\", [for x in range(100) : format(\"%0999d\", 0)])\n  a = formatlist(\"%[1]s%[1]s%[1]s\", hv.s, range(1000))\n}\n",
		"large":       "values {\n  a = \"" + strings.Repeat("x", maxText) + "\"\n}\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, ds := Values([]File{{Name: "a.hcl", Text: []byte(text)}})
			require.True(t, ds.HasErrors())
			require.Equal(t, "a.hcl", ds[0].Range.File)
			require.NotZero(t, ds[0].Range.Start.Line)
		})
	}
}

func TestWhatIsWithinTheBudgetIsRead(t *testing.T) {
	t.Parallel()
	out, ds := Values([]File{{Name: "a.hcl", Text: []byte(
		"values {\n  r = [for x in range(1000) : [for y in range(100) : x * y]]\n  n = sum\n}\n")}})
	require.True(t, ds.HasErrors()) // there is no "sum"
	require.Nil(t, out)
	out, ds = Values([]File{{Name: "a.hcl", Text: []byte(
		"values {\n  r = [for x in range(1000) : [for y in range(100) : x * y]]\n  n = length(flatten(hv.r))\n  f = format(\"%0100d\", 7)\n}\n")}})
	require.Empty(t, ds)
	require.EqualValues(t, 100_000, out["n"])
}

// Each definition saw all values before it, which takes the square of their number.
func TestManyValuesTookMinutes(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString("values {\n  a0 = 1\n")
	for i := range 20_000 {
		fmt.Fprintf(&b, "  a%d = hv.a%d\n", i+1, i)
	}
	out, ds := Values([]File{{Name: "a.hcl", Text: []byte(b.String() + "}\n")}})
	require.Empty(t, ds)
	require.EqualValues(t, 1, out["a20000"])
}

// Places are those of characters, as everywhere else, and the library's are those of what looks like one.
func TestColumnsCountCharacters(t *testing.T) {
	t.Parallel()
	_, ds := Values([]File{{Name: "a.hcl", Text: []byte("values {\n  a = \"e\u0301ä ${hv.b}\"\n}\n")}})
	require.Len(t, ds, 1)
	require.Equal(t, 14, ds[0].Range.Start.Column)
}

func FuzzValues(f *testing.F) {
	f.Add("values {\n  a = [for x in [1] : x]\n}\nlocals {\n  b = \"${1}\"\n}\n")
	f.Add("values {\n  a = hv.b\n  b = <<EOT\n%{ if true }x%{ endif }\nEOT\n}\n")
	f.Add("values {\n  a = { for k, v in { x = 1 } : k => v... }\n  c = hv.a[*].x\n}\n")
	f.Fuzz(func(t *testing.T, text string) {
		out, ds := Values([]File{{Name: "a.hcl", Text: []byte(text)}})
		if !ds.HasErrors() && out == nil {
			t.Fatal("neither values nor diagnostics")
		}
		again, more := Values([]File{{Name: "a.hcl", Text: []byte(text)}})
		require.Equal(t, ds, more)
		require.Equal(t, out, again)
	})
}
