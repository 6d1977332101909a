package merge

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/layer"
	"github.com/redkubes/otomi/pkg/value"
	"github.com/redkubes/otomi/pkg/yaml"
	"github.com/stretchr/testify/require"
)

// layers reads texts as layers l0, l1, …, weakest first.
func layers(t testing.TB, texts ...string) []layer.Layer {
	t.Helper()
	var out []layer.Layer
	for i, text := range texts {
		name := fmt.Sprintf("l%d", i)
		root, diags := yaml.Read([]byte(text), yaml.ReadOptions{File: name, Layer: name, Map: true})
		require.False(t, diags.HasErrors(), "%v", diags)
		out = append(out, layer.Layer{Name: name, Root: root})
	}
	return out
}

// plain reads a text as the tree that is wanted.
func plain(t testing.TB, text string) any { return layers(t, text)[0].Root.Plain() }

func TestFoldFollowsTheTable(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ weaker, stronger, want string }{
		"map and map":               {"a: {x: 1, w: {p: 1, q: 1}}", "a: {w: {q: 2}, z: 3}", "a: {x: 1, w: {p: 1, q: 2}, z: 3}"},
		"list and list":             {"a: [1, 2, 3]", "a: [4]", "a: [4]"},
		"list and empty list":       {"a: [1, 2, 3]", "a: []", "a: []"},
		"list of maps":              {"a: [{x: 1}]", "a: [{w: 1}]", "a: [{w: 1}]"},
		"scalar and false":          {"a: true", "a: false", "a: false"},
		"scalar and zero":           {"a: 5", "a: 0", "a: 0"},
		"scalar and empty string":   {"a: x", "a: ''", "a: ''"},
		"scalar and scalar":         {"a: x", "a: 1", "a: 1"},
		"scalar and list":           {"a: x", "a: [1]", "a: [1]"},
		"list and scalar":           {"a: [1]", "a: x", "a: x"},
		"scalar and null":           {"a: 1", "a: null", "a: null"},
		"list and null":             {"a: [1]", "a: null", "a: null"},
		"map and null":              {"a: {b: 1}", "a: null", "a: null"},
		"empty map and null":        {"a: {}", "a: null", "a: null"},
		"null and scalar":           {"a: null", "a: 1", "a: 1"},
		"null and list":             {"a: null", "a: [1]", "a: [1]"},
		"null and map":              {"a: null", "a: {b: 1}", "a: {b: 1}"},
		"null and empty map":        {"a: null", "a: {}", "a: {}"},
		"null and null":             {"a: null", "a: null", "a: null"},
		"false and null":            {"a: false", "a: null", "a: null"},
		"map and empty map":         {"a: {b: 1}", "a: {}", "a: {b: 1}"},
		"empty map and map":         {"a: {}", "a: {b: 1}", "a: {b: 1}"},
		"empty map and empty map":   {"a: {}", "a: {}", "a: {}"},
		"nothing and empty map":     {"b: 1", "a: {}", "a: {}\nb: 1"},
		"deep nothing and map":      {"a: {x: 1}", "a: {b: {c: {d: {}}}}", "a: {x: 1, b: {c: {d: {}}}}"},
		"null deep in a map":        {"a: {b: {c: 1, d: 2}}", "a: {b: {c: null}}", "a: {b: {c: null, d: 2}}"},
		"empty layer":               {"a: 1", "", "a: 1"},
		"keys of the weaker remain": {"a: 1\nb: 2", "b: 3", "a: 1\nb: 3"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, diags := Fold(layers(t, tt.weaker, tt.stronger), Options{})
			require.Empty(t, diags)
			require.Equal(t, plain(t, tt.want), got.Plain())
			// A third layer that says nothing changes nothing.
			got, _ = Fold(layers(t, tt.weaker, tt.stronger, "{}"), Options{})
			require.Equal(t, plain(t, tt.want), got.Plain())
		})
	}
}

func TestFoldReportsTypeConflicts(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ weaker, stronger, place, note string }{
		"map and scalar":       {"a: {b: 1}", "a: 1", "l1:1:4", "l0:1:1"},
		"map and false":        {"a: {b: 1}", "a: false", "l1:1:4", "l0:1:1"},
		"map and list":         {"a: {b: 1}", "a: [1]", "l1:1:4", "l0:1:1"},
		"empty map and list":   {"a: {}", "a: [1]", "l1:1:4", "l0:1:1"},
		"scalar and map":       {"a: 1", "a: {b: 1}", "l1:1:1", "l0:1:4"},
		"list and map":         {"a: [1]", "a: {b: 1}", "l1:1:1", "l0:1:4"},
		"scalar and empty map": {"a: 1", "a: {}", "l1:1:1", "l0:1:4"},
		"deeper":               {"a:\n  b: {c: 1}", "a:\n\n  b: 1", "l1:3:6", "l0:2:3"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := layers(t, tt.weaker, tt.stronger)
			got, diags := Fold(in, Options{})
			require.Len(t, diags, 1)
			require.Equal(t, diag.ValuesTypeConflict, diags[0].Code)
			require.Equal(t, tt.place, diags[0].Range.String())
			require.Equal(t, tt.note, diags[0].Notes[0].Range.String())
			require.Equal(t, in[1].Root.Plain(), got.Plain(), "the stronger one stays")
		})
	}
}

func TestFoldNullSettlesATypeConflict(t *testing.T) {
	t.Parallel()
	got, diags := Fold(layers(t, "a: {b: 1}", "a: null", "a: 5"), Options{})
	require.Empty(t, diags)
	require.Equal(t, map[string]any{"a": int64(5)}, got.Plain())
	got, diags = Fold(layers(t, "a: {b: 1, c: 1}", "a: null", "a: {c: 2}"), Options{})
	require.Empty(t, diags)
	require.Equal(t, map[string]any{"a": map[string]any{"c": int64(2)}}, got.Plain())
	require.Empty(t, got.Get("a").Get("c").Overrides, "what a null removed is not beaten again")
}

func TestFoldKeepsOriginsAndWhatWasBeaten(t *testing.T) {
	t.Parallel()
	got, diags := Fold(layers(t, "a: 1\nm: {x: 1}\nl: [1]", "\na: 2\nm: {w: 1}", "\n\na: 3\nl: [2]"), Options{})
	require.Empty(t, diags)
	a := got.Get("a")
	require.Equal(t, "l2:3:4", a.Origin.Range.String())
	require.Equal(t, "l2", a.Origin.Layer)
	var beaten []string
	for _, o := range a.Overrides {
		beaten = append(beaten, o.Origin.Range.String())
	}
	require.Equal(t, []string{"l1:2:4", "l0:1:4"}, beaten)
	f, _ := got.Field("a")
	require.Equal(t, "l2:3:1", f.KeyRange.String())
	require.Equal(t, "l1", got.Get("m").Origin.Layer, "the strongest layer that opens the map")
	require.Equal(t, "l0", got.Get("m").Get("x").Origin.Layer)
	require.Equal(t, "l2", got.Get("l").Items[0].Origin.Layer)
	require.Equal(t, "l0", got.Get("l").Overrides[0].Origin.Layer)
}

func TestFoldKeepsTheOrderOfFirstAppearance(t *testing.T) {
	t.Parallel()
	got, _ := Fold(layers(t, "z: {b: 1}\nm: 1", "a: 1\nm: 2\nz: {a: 1, b: 2}", "k: 1"), Options{})
	var keys []string
	got.Walk(func(p value.Path, _ *value.Node) bool { keys = append(keys, p.String()); return true })
	require.Equal(t, []string{"", "z", "z.b", "z.a", "m", "a", "k"}, keys)
}

func TestFoldOfOneClusterDoesNotTouchAnother(t *testing.T) {
	t.Parallel()
	shared := layers(t, "a: &x {b: {c: 1}, l: [{k: 1}]}\nd: *x\ne: {}", "a: {b: {d: 1}}\ne: {f: {g: 1}}")
	before := []any{shared[0].Root.Plain(), shared[1].Root.Plain()}
	one, two := layers(t, "a: {b: {c: one}}\ne: {f: {g: one}}")[0], layers(t, "d: {b: {c: two}}\ne: {f: {h: two}}")[0]
	wantOne := plain(t, "a: {b: {c: one, d: 1}, l: [{k: 1}]}\nd: {b: {c: 1}, l: [{k: 1}]}\ne: {f: {g: one}}")
	wantTwo := plain(t, "a: {b: {c: 1, d: 1}, l: [{k: 1}]}\nd: {b: {c: two}, l: [{k: 1}]}\ne: {f: {g: 1, h: two}}")
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			got, _ := Fold([]layer.Layer{shared[0], shared[1], one}, Options{})
			require.Equal(t, wantOne, got.Plain())
		})
		wg.Go(func() {
			got, _ := Fold([]layer.Layer{shared[0], shared[1], two}, Options{})
			require.Equal(t, wantTwo, got.Plain())
		})
	}
	wg.Wait()
	require.Equal(t, before, []any{shared[0].Root.Plain(), shared[1].Root.Plain()})
}

func TestFoldNothing(t *testing.T) {
	t.Parallel()
	got, diags := Fold(nil, Options{})
	require.Empty(t, diags)
	require.Equal(t, map[string]any{}, got.Plain())
}

func TestFoldListStrategies(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		strategy Strategy
		texts    []string
		want     string
	}{
		"append":             {Strategy{Append: true}, []string{"l: [1, 2]", "l: [2, 3]"}, "l: [1, 2, 2, 3]"},
		"append after null":  {Strategy{Append: true}, []string{"l: [1]", "l: null", "l: [2]"}, "l: [2]"},
		"append then null":   {Strategy{Append: true}, []string{"l: [1]", "l: null"}, "l: null"},
		"unique":             {Strategy{Unique: true}, []string{"l: [1, 2, {a: 1}]", "l: [2, 3, {a: 1}]"}, "l: [1, 2, {a: 1}, 3]"},
		"key":                {Strategy{Key: "name"}, []string{"l: [{name: a, x: 1}, {name: b}]", "l: [{name: c}, {name: a, w: 2}]"}, "l: [{name: a, x: 1, w: 2}, {name: b}, {name: c}]"},
		"key that is absent": {Strategy{Key: "name"}, []string{"l: [{x: 1}, s]", "l: [{x: 1}]"}, "l: [{x: 1}, s, {x: 1}]"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, diags := Fold(layers(t, tt.texts...), Options{Lists: func(p value.Path) Strategy {
				if p.String() == "l" {
					return tt.strategy
				}
				return Strategy{}
			}})
			require.Empty(t, diags)
			require.Equal(t, plain(t, tt.want), got.Plain())
		})
	}
}

func TestUniqueOfManyMapsIsNotQuadratic(t *testing.T) {
	t.Parallel()
	var texts [2]strings.Builder
	const items = 30000
	for i := range texts {
		texts[i].WriteString("l:\n")
		for n := range items {
			fmt.Fprintf(&texts[i], "- {name: n%d, port: 80}\n", n+i*items/2)
		}
	}
	in := layers(t, texts[0].String(), texts[1].String())
	start := time.Now()
	got, diags := Fold(in, Options{Lists: func(value.Path) Strategy { return Strategy{Unique: true} }})
	require.Empty(t, diags)
	require.Len(t, got.Get("l").Items, items*3/2)
	require.Less(t, time.Since(start), time.Minute, "comparing all with all takes many times as long")
}

func TestTwoItemsOfOneListWithTheSameKeyAreToldOf(t *testing.T) {
	t.Parallel()
	o := Options{Lists: func(value.Path) Strategy { return Strategy{Key: "name"} }}
	in := layers(t, "k: [{name: dup, num: 4}, {name: x}, {name: dup, num: 5}]", "k: [{name: dup, more: 1}]")
	for name, fold := range map[string]func([]layer.Layer) (*value.Node, diag.Diagnostics){
		"fold":   func(l []layer.Layer) (*value.Node, diag.Diagnostics) { return Fold(l, o) },
		"folder": NewFolder(o).Fold,
	} {
		for _, l := range [][]layer.Layer{in, in[:1]} {
			got, diags := fold(l)
			require.Len(t, diags, 1, name)
			require.Equal(t, diag.ValuesDuplicateItem, diags[0].Code)
			require.Equal(t, diag.Warning, diags[0].Severity)
			require.Equal(t, "l0:1:44", diags[0].Range.String())
			require.Equal(t, "l0:1:12", diags[0].Notes[0].Range.String())
			require.Equal(t, int64(5), got.Get("k").Items[0].Get("num").Scalar, "they are merged as before")
		}
		_, diags := fold(in[1:])
		require.Empty(t, diags)
	}
}

func BenchmarkFold(b *testing.B) {
	var texts []string
	for l := range 6 {
		var text strings.Builder
		for i := range 300 {
			fmt.Fprintf(&text, "k%d: {l%d: %d, image: a, res: {cpu: 1, mem: %d}}\n", i, l, i, l)
		}
		texts = append(texts, text.String())
	}
	in := layers(b, texts...)
	b.ReportAllocs()
	for b.Loop() {
		Fold(in, Options{})
	}
}
