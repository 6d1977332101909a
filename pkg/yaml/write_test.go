package yaml

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/value"
)

func TestWriteIsBlockStyleWithCommentsBehindLeaves(t *testing.T) {
	t.Parallel()
	root, diags := Read([]byte(`z: {a2: 1, a10: yes please, "y": "yes"}
list: [1, {b: x, a: [[], [null]]}]
text: "first\nsecond\n"
chomped: "first\n\n  second"
empty: {}
`), ReadOptions{File: "f.yaml"})
	require.Empty(t, diags)
	got := Write(root, func(n *value.Node) string { return n.Origin.Range.String()[:8] })
	require.Equal(t, `chomped: |- # f.yaml:4
  first

    second
empty: {} # f.yaml:5
list:
- 1 # f.yaml:2
- a:
  - [] # f.yaml:2
  - - null # f.yaml:2
  b: x # f.yaml:2
text: | # f.yaml:3
  first
  second
z:
  a2: 1 # f.yaml:1
  a10: yes please # f.yaml:1
  "y": "yes" # f.yaml:1
`, string(got))
}

// texts are strings that some reading of YAML takes for something else.
var texts = []string{
	"", " ", "a", "yes", "No", "null", "~", "1", "0x1f", "1_000", "1e3", ".5", ".inf", "012", "2026-11-20", "12:30:45", "a: b", "a:", ":a", "a #b", "#a",
	"- a", "-", "--- a", "---", "...", "<<", "=", "!x", "&a", "*a", "{a", "[a", "a]", "a,b", "'a'", "\"a\"", "%a", "@a", "`a", "|", ">", "?", "? a",
	"a\nb", "a\nb\n", "a\n\nb\n", "\na\nb", "a\nb\n\n", " a\nb", "a\n b", "a\n \nb", "a\tb", "\ta", "a\r\nb", "a\x00b", "a\x7fb", "ü", "é\u2028x", "\u0085", "\ufeffa",
	"a\u00a0b", "日本", "😀", "a'b\"c\\d", "$(x)", "<b>", "k8s.io/x:y", "http://x.y/z?a=b&c", "a ", "+1", "-1", "(a", "true", "on", "nan", "a: ", "#\n#", "x\n# y", "x: |\n  y",
}

func random(r *rand.Rand, depth int) *value.Node {
	text := func() string {
		s := texts[r.IntN(len(texts))]
		if r.IntN(3) == 0 {
			s += texts[r.IntN(len(texts))]
		}
		return s
	}
	o := value.Origin{Layer: "l", Range: diag.Range{File: "a b#c.yaml"}}
	switch k := r.IntN(9); {
	case k < 2 && depth > 0:
		n := value.NewMap(o)
		for range r.IntN(4) {
			if key := text(); n.Get(key) == nil {
				n.Fields = append(n.Fields, value.Field{Key: key, Value: random(r, depth-1)})
			}
		}
		return n
	case k < 4 && depth > 0:
		n := &value.Node{Kind: value.List, Origin: o}
		for range r.IntN(4) {
			n.Items = append(n.Items, random(r, depth-1))
		}
		return n
	default:
		return value.NewScalar(o, []any{nil, true, int64(r.Int64()) - 1<<62, r.NormFloat64() * 1e10, float64(r.IntN(100)), text(), text(), text()}[r.IntN(8)])
	}
}

func TestWhatIsWrittenIsReadAsTheSameValues(t *testing.T) {
	t.Parallel()
	for seed := range uint64(4000) {
		root := random(rand.New(rand.NewPCG(seed, 1)), 4)
		for _, comment := range []func(*value.Node) string{nil, func(n *value.Node) string { return n.Origin.Range.File + ":1\nx" }} {
			text := Write(root, comment)
			got, diags := Read(text, ReadOptions{File: "written"})
			require.Empty(t, diags, "seed %d: %q", seed, text)
			require.Equal(t, root.Plain(), got.Plain(), "seed %d:\n%s", seed, text)
		}
	}
}

func TestWriteOrdersKeysAsMarshalDoes(t *testing.T) {
	t.Parallel()
	key := regexp.MustCompile(`(?m)^[^:\n]+:`)
	r := rand.New(rand.NewPCG(7, 7))
	letters := []string{"a", "b", "B", "-", "_", "ü", ".", "/"}
	for range 500 {
		root := value.NewMap(value.Origin{})
		for range 8 {
			var k strings.Builder
			k.WriteString("k")
			for range r.IntN(5) {
				k.WriteString(letters[r.IntN(len(letters))])
			}
			if r.IntN(2) == 0 {
				fmt.Fprint(&k, r.IntN(120)) // elsewhere its order has circles
			}
			if root.Get(k.String()) == nil {
				root.Fields = append(root.Fields, value.Field{Key: k.String(), Value: value.NewScalar(value.Origin{}, true)})
			}
		}
		want, err := Marshal(root.PlainMap())
		require.NoError(t, err)
		require.Equal(t, key.FindAllString(string(want), -1), key.FindAllString(string(Write(root, nil)), -1))
	}
}
