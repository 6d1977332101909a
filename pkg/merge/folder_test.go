package merge

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/layer"
	"github.com/redkubes/otomi/pkg/value"
	"github.com/stretchr/testify/require"
)

// randomMap writes a flow map of few keys, so that layers meet often.
func randomMap(r *rand.Rand, depth int) string {
	var fields []string
	for _, key := range []string{"a", "b", "c", "d", "list", `"a\0b"`, `""`} {
		if r.IntN(2) == 0 {
			continue
		}
		var text string
		switch n := r.IntN(12); {
		case n < 6 && depth > 0 && key != "list":
			text = randomMap(r, depth-1)
		case n == 6:
			text = "null"
		case n == 7:
			text = "{}"
		case key == "list" || n == 8:
			text = fmt.Sprintf("[%d, %d, {name: n%d, x: %d}, {name: n%d, z: [1]}]", r.IntN(3), r.IntN(3), r.IntN(2), r.IntN(9), r.IntN(2))
		default:
			text = fmt.Sprint(r.IntN(4))
		}
		fields = append(fields, key+": "+text)
	}
	return "{" + strings.Join(fields, ", ") + "}"
}

func TestAFolderFoldsAsFoldDoes(t *testing.T) {
	t.Parallel()
	o := Options{Lists: func(p value.Path) Strategy {
		switch {
		case len(p) == 0 || p[len(p)-1].Key != "list":
			return Strategy{}
		case len(p) == 1:
			return Strategy{Append: true}
		case len(p) == 2:
			return Strategy{Unique: true}
		}
		return Strategy{Key: "name"}
	}}
	conflicts, same := 0, 0
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 1))
		var texts []string
		for range 12 {
			texts = append(texts, randomMap(r, 3))
		}
		all := layers(t, texts...)
		// 0 is a cluster's own, as the registry is; 1 to 5 are everywhere, 6 to 8 of the cloud, the others own.
		for i := range all {
			switch {
			case i == 0 || i > 8:
			case i < 6:
				all[i].Scope = layer.Everywhere
			default:
				all[i].Scope = layer.InCloud
			}
		}
		folder := NewFolder(o)
		for _, own := range [][]int{{0, 9}, {10, 11}, {9, 10, 11}, {}, {11}} {
			var in []layer.Layer
			for i, l := range all {
				if l.Scope != "" {
					in = append(in, l)
				}
				for _, j := range own {
					if i == j {
						in = append(in, l)
					}
				}
			}
			want, wantDiags := Fold(in, o)
			got, gotDiags := folder.Fold(in)
			if wantDiags.HasErrors() {
				// Below a conflict Fold goes on with what was beaten, and reports what follows from it.
				require.True(t, gotDiags.HasErrors(), "seed %d: %v", seed, wantDiags)
				conflicts++
				require.Equal(t, wantDiags.Sorted(), gotDiags.Sorted(), "seed %d", seed)
			}
			require.Equal(t, want, got, "seed %d: %q", seed, texts)
			same++
		}
	}
	require.NotZero(t, conflicts)
	require.Equal(t, 1500, same)
}

func TestAFolderFoldsWhatClustersShareOnce(t *testing.T) {
	t.Parallel()
	shared := layers(t, "a: {b: {c: 1}}\nt: {u: {v: 1}}", "a: {b: {d: 1}}\nt: {u: {w: 1}}")
	for i := range shared {
		shared[i].Scope = layer.Everywhere
	}
	folder := NewFolder(Options{})
	own := func(text string) []layer.Layer { return append(shared[:2:2], layers(t, text)...) }
	one, diags := folder.Fold(own("a: {b: {c: one}}\nx: {z: 1}"))
	require.Empty(t, diags)
	parts := folder.Parts()
	var two *value.Node
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			n, _ := folder.Fold(own("a: {b: {c: two}}"))
			require.Equal(t, "two", n.Get("a").Get("b").Get("c").Scalar)
		})
	}
	wg.Wait()
	two, _ = folder.Fold(own("a: {b: {c: two}}"))
	require.Equal(t, parts, folder.Parts())
	require.Same(t, one.Get("t"), two.Get("t"))
	require.NotSame(t, one.Get("a"), two.Get("a"))
	require.Equal(t, "one", one.Get("a").Get("b").Get("c").Scalar)
}

func TestAKeyWithNULIsNotTakenForTwoKeys(t *testing.T) {
	t.Parallel()
	in := layers(t, `any: {"p\0q": {v: one}, p: {q: {v: two}}}`, `any: {"p\0q": {w: one}, p: {q: {w: two}}}`)
	for i := range in {
		in[i].Scope = layer.Everywhere
	}
	got, diags := NewFolder(Options{}).Fold(in)
	require.Empty(t, diags)
	require.Equal(t, plain(t, `any: {"p\0q": {v: one, w: one}, p: {q: {v: two, w: two}}}`), got.Plain())
}

func TestWhatANullRemovedIsNotForgotten(t *testing.T) {
	t.Parallel()
	o := Options{Lists: func(p value.Path) Strategy {
		switch p.String() {
		case "l":
			return Strategy{Append: true}
		case "k":
			return Strategy{Key: "name"}
		}
		return Strategy{}
	}}
	in := layers(t, "any: {bogus: 1, kept: 1}\nl: [0]\nk: [{name: a, x: 0}]", "any: null\nl: null\nk: 5", "any: {bogus: 2}\nl: [1]\nk: [{name: a, x: 1}]",
		"any: {bogus: 3}\nl: [2]\nk: [{name: a, x: 2}]")
	scoped := append([]layer.Layer(nil), in...)
	for i := range scoped {
		scoped[i].Scope = layer.Everywhere
	}
	for name, fold := range map[string]func() (*value.Node, diag.Diagnostics){
		"fold":          func() (*value.Node, diag.Diagnostics) { return Fold(in, o) },
		"folder":        func() (*value.Node, diag.Diagnostics) { return NewFolder(o).Fold(in) },
		"folder shared": func() (*value.Node, diag.Diagnostics) { return NewFolder(o).Fold(scoped) },
		"again": func() (*value.Node, diag.Diagnostics) {
			merged, _ := Fold(in, o)
			return NewFolder(o).Fold([]layer.Layer{{Root: merged}, {Root: layers(t, "any: {}\nl: []\nother: 1")[0].Root}})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, diags := fold()
			require.Empty(t, diags)
			beaten := func(path value.Path) (all []any) {
				for _, n := range got.Beaten(path) {
					all = append(all, n.Plain())
				}
				return all
			}
			root := value.Path{}
			require.Equal(t, []any{int64(2), int64(1)}, beaten(root.Key("any").Key("bogus")))
			require.Equal(t, []any{nil, map[string]any{"bogus": int64(1), "kept": int64(1)}}, beaten(root.Key("any")))
			require.Equal(t, []any{nil, []any{int64(0)}}, beaten(root.Key("l")))
			k := beaten(root.Key("k"))
			require.Len(t, k, 2)
			require.Equal(t, int64(5), k[0])
			require.Nil(t, got.Get("any").Get("kept"))
		})
	}
}
