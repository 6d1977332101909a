package merge

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/redkubes/otomi/pkg/layer"
	"github.com/redkubes/otomi/pkg/value"
)

// flagged folds one layer of a file, the flags, and what comes after them.
func flagged(t testing.TB, base, set string, after ...string) (*value.Node, error) {
	t.Helper()
	all := layers(t, base)
	l, diags := layer.Assignments(layer.Set, []string{set})
	require.Empty(t, diags)
	all = append(all, l)
	for i, text := range after {
		more := layers(t, text)[0]
		more.Name = fmt.Sprintf("after%d", i)
		all = append(all, more)
	}
	root, diags := Fold(all, Options{Lists: func(p value.Path) Strategy { return Strategy{Append: p.String() == "appended"} }})
	if len(diags) > 0 {
		return root, fmt.Errorf("%v", diags)
	}
	return root, nil
}

func TestFlagsMergeByHelmfilesRules(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ base, set, want string }{
		"map and map":                {"a: {x: 1, z: 2}", "a.x=3", "a: {x: 3, z: 2}"},
		"new key":                    {"a: 1", "b.c=2", "a: 1\nb: {c: 2}"},
		"list, element by element":   {"a: [1, 2, 3]", "a[1]=9", "a: [1, 9, 3]"},
		"list, past its end":         {"a: [1]", "a[2]=9", "a: [1, null, 9]"},
		"map in a list":              {"a: [{x: 1, z: 2}]", "a[0].x=3", "a: [{x: 3, z: 2}]"},
		"list in a list":             {"a: [[1, 2]]", "a[0][1]=3", "a: [[1, 3]]"},
		"a strategy makes no matter": {"appended: [x]", "appended[0]=q", "appended: [q]"},
		"null over a value":          {"a: 1", "a=null", "a: 1"},
		"null over a map":            {"a: {b: 1}", "a=null", "a: {b: 1}"},
		"null over nothing":          {"b: 1", "a=null", "a: null\nb: 1"},
		"null in a list":             {"a: [1]", "a[0]=null", "a: [1]"},
		"value over null":            {"a: null", "a=1", "a: 1"},
		"map over null":              {"a: null", "a.b=1", "a: {b: 1}"},
		"false, zero, empty":         {"a: true\nb: 1\nc: x", "a=false,b=0,c=", "a: false\nb: 0\nc: ''"},
		"value over a map":           {"a: {b: 1}", "a=x", "a: x"},
		"map over a value":           {"a: x", "a.b=1", "a: {b: 1}"},
		"list over a map":            {"a: {b: 1}", "a[0]=x", "a: [x]"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := flagged(t, tt.base, tt.set)
			require.NoError(t, err)
			require.Equal(t, plain(t, tt.want), got.Plain())
		})
	}
}

func TestFlagsRememberWhatTheyBeat(t *testing.T) {
	t.Parallel()
	all := layers(t, "a: {x: 1}\nlist: [{k: a}, {k: b}]", "a: {x: 2}")
	before := all[0].Root.Plain()
	set, _ := layer.Assignments(layer.Set, []string{"a.x=3,list[1].k=c"})
	derived := layers(t, "a: {x: 4}")[0]
	derived.Name = layer.Derived
	merged, diags := Fold(append(all, set), Options{})
	require.Empty(t, diags)
	root, diags := Fold([]layer.Layer{{Root: merged}, derived}, Options{})
	require.Empty(t, diags)
	require.Equal(t, before, all[0].Root.Plain())

	said := func(n *value.Node) (out []any) {
		for _, o := range n.Overrides {
			require.Empty(t, o.Overrides)
			out = append(out, o.Scalar)
		}
		return out
	}
	x := root.Get("a").Get("x")
	require.Equal(t, int64(4), x.Scalar)
	require.Equal(t, []any{int64(3), int64(2), int64(1)}, said(x))
	require.Equal(t, []any{int64(2), int64(1)}, said(merged.Get("a").Get("x")))
	k := root.At(value.Path{}.Key("list").Index(1).Key("k"))
	require.Equal(t, layer.Set, k.Origin.Layer)
	require.Equal(t, []any{"b"}, said(k))
	require.Equal(t, "l0", root.At(value.Path{}.Key("list").Index(0).Key("k")).Origin.Layer)
}

func TestALayerAfterFlagsMergesAsEver(t *testing.T) {
	t.Parallel()
	root, err := flagged(t, "a: {x: 1}\nappended: [one]", "a.y=2,appended[1]=two", "a: {x: 3}\nappended: [three]")
	require.NoError(t, err)
	require.Equal(t, plain(t, "a: {x: 3, 'y': 2}\nappended: [one, two, three]"), root.Plain())
	_, err = flagged(t, "a: {x: 1}", "a=2", "a: {x: 3}")
	require.ErrorContains(t, err, "values/type-conflict")
}
