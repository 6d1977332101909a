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
