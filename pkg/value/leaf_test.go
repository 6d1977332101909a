package value_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/value"
)

func scalar(layer string, line int, v any) *value.Node {
	return value.NewScalar(value.Origin{Layer: layer, Range: diag.Range{File: layer, Start: diag.Pos{Line: line, Column: 1}}}, v)
}

func list(layer string, line int, items ...*value.Node) *value.Node {
	return &value.Node{Kind: value.List, Items: items,
		Origin: value.Origin{Layer: layer, Range: diag.Range{File: layer, Start: diag.Pos{Line: line, Column: 1}}}}
}

func fields(pairs ...any) *value.Node {
	m := value.NewMap(value.Origin{Layer: "m"})
	for i := 0; i < len(pairs); i += 2 {
		m.Fields = append(m.Fields, value.Field{Key: pairs[i].(string), Value: pairs[i+1].(*value.Node)})
	}
	return m
}

func TestLeavesAreScalarsNullsWholeListsAndEmptyMaps(t *testing.T) {
	t.Parallel()
	root := fields("a", fields("b", scalar("x", 1, nil), "c", fields()), "d", list("x", 2, fields("e", scalar("x", 3, true))))
	var paths []string
	root.Leaves(func(p value.Path, n *value.Node) {
		require.True(t, n.IsLeaf())
		paths = append(paths, p.String())
	})
	require.Equal(t, []string{"a.b", "a.c", "d"}, paths)
	fields().Leaves(func(value.Path, *value.Node) { t.Fatal("an empty tree has a leaf") })
}

func TestBeatenLooksThroughReplacedLists(t *testing.T) {
	t.Parallel()
	weakest, weaker := list("w0", 1, scalar("w0", 2, int64(0))), list("w1", 1, scalar("w1", 2, int64(1)), scalar("w1", 3, int64(10)))
	winner := list("w2", 1, scalar("w2", 2, int64(2)), scalar("w2", 3, int64(20)))
	winner.Overrides = []*value.Node{weaker, weakest}
	root := fields("a", winner)
	layers := func(path value.Path) (out []string) {
		for _, n := range root.Beaten(path) {
			out = append(out, n.Origin.Layer)
		}
		return out
	}
	a := value.Path{}.Key("a")
	require.Equal(t, []string{"w1", "w0"}, layers(a))
	require.Equal(t, []string{"w1", "w0"}, layers(a.Index(0)))
	require.Equal(t, []string{"w1"}, layers(a.Index(1)))
	require.Empty(t, layers(a.Index(2)))
}

func TestDifferencesGoAsDeepAsBothTreesDo(t *testing.T) {
	t.Parallel()
	one, two := scalar("a", 1, int64(1)), scalar("b", 1, int64(2))
	a := fields("same", scalar("a", 9, "x"), "map", fields("x", one, "gone", one), "list", list("a", 1, one, one), "kind", fields("x", one),
		"shorter", list("a", 1, one), "null", scalar("a", 1, nil))
	b := fields("same", scalar("b", 7, "x"), "map", fields("x", two, "new", fields("deep", one)), "list", list("b", 1, one, two), "kind", one,
		"shorter", list("b", 1, one, one))
	var paths []string
	for _, d := range value.Differences(a, b) {
		paths = append(paths, d.Path.String())
	}
	require.Equal(t, []string{"map.x", "map.gone", "map.new.deep", "list[1]", "kind", "shorter", "null"}, paths)
	require.Empty(t, value.Differences(a, a))
}

func TestDifferencesOfListsOfDifferentLengthsAreTheItemsThatOneSideLacks(t *testing.T) {
	t.Parallel()
	item := func(name string, n int64) *value.Node {
		return fields("n", scalar("x", 1, n), "name", scalar("x", 1, name))
	}
	a := fields("l", list("a", 1, item("a", 1), item("b", 1), item("c", 1), item("d", 1)))
	b := fields("l", list("b", 1, item("b", 1), item("d", 1), item("c", 2), item("new", 1), item("newer", 1)))
	var found []string
	for _, d := range value.Differences(a, b) {
		text := d.Path.String()
		for _, side := range []*value.Node{d.A, d.B} {
			text += " " + side.Get("name").Text()
		}
		found = append(found, text)
	}
	require.Equal(t, []string{"l[0] a ", "l[2].n  ", "l[3]  new", "l[4]  newer"}, found)
}

func TestCanonicalTellsValuesApartThatOnlyPrintAlike(t *testing.T) {
	t.Parallel()
	one := func(v any) *value.Node { return scalar("x", 1, v) }
	different := []*value.Node{
		one(int64(1)), one(1.0), one("1"), one(true), one("true"), one(nil), one(""), one("<nil>"), one("a b"), list("x", 1), fields(),
		list("x", 1, one("a"), one("b")), list("x", 1, one("a b")), list("x", 1, list("x", 1, one("a")), one("b")),
		list("x", 1, list("x", 1, one("a"), one("b"))), fields("a", one("b")), fields("a\x00", one("b")), fields("a", fields("b", one("c"))),
	}
	seen := map[string]int{}
	for i, n := range different {
		text := n.Canonical()
		require.NotContains(t, seen, text, i)
		seen[text] = i
	}
	require.Equal(t, fields("a", one("x"), "b", one("z")).Canonical(), fields("b", one("z"), "a", scalar("other", 7, "x")).Canonical())
	require.Equal(t, one(0.0).Canonical(), one(math.Copysign(0, -1)).Canonical())
}
