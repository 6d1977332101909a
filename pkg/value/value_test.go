package value_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/redkubes/otomi/pkg/value"
)

func TestASentenceSaidAInteger(t *testing.T) {
	t.Parallel()
	got := map[value.Kind]string{}
	for _, kind := range []value.Kind{value.Null, value.Integer, value.Map, value.Boolean} {
		got[kind] = kind.WithArticle()
	}
	require.Equal(t, map[value.Kind]string{
		value.Null: "null", value.Integer: "an integer", value.Map: "a map", value.Boolean: "a boolean",
	}, got)
}

func tree() *value.Node {
	o := value.Origin{Layer: "a"}
	return value.NewMap(o,
		value.Field{Key: "list", Value: &value.Node{Kind: value.List, Items: []*value.Node{
			value.NewScalar(o, int64(1)),
			value.NewMap(o, value.Field{Key: "a.b", Value: value.NewScalar(o, true)}),
		}}},
		value.Field{Key: "nothing", Value: value.NewScalar(o, nil)},
	)
}

func TestAtFollowsAPath(t *testing.T) {
	t.Parallel()
	root := tree()
	path := value.Path{}.Key("list").Index(1).Key("a.b")
	require.Equal(t, true, root.At(path).Scalar)
	require.Equal(t, `list[1].a\.b`, path.String())
	require.Nil(t, root.At(value.Path{}.Key("list").Index(2)))
	require.Nil(t, root.At(value.Path{}.Key("list").Key("a.b")))
	require.Nil(t, root.At(value.Path{}.Key("nothing").Key("below")))
	require.Same(t, root, root.At(nil))
}

func TestPathsShareNoMemory(t *testing.T) {
	t.Parallel()
	base := make(value.Path, 0, 8).Key("a")
	left, right := base.Key("left"), base.Key("right")
	require.Equal(t, "a.left", left.String())
	require.Equal(t, "a.right", right.String())
}

func TestPlainSharesNothingWithTheTree(t *testing.T) {
	t.Parallel()
	root := tree()
	plain := root.PlainMap()
	require.Equal(t, map[string]any{"list": []any{int64(1), map[string]any{"a.b": true}}, "nothing": nil}, plain)
	plain["list"].([]any)[0] = "changed"
	require.Equal(t, int64(1), root.Get("list").Items[0].Scalar)
}

func TestWalkVisitsParentsFirstAndStopsWhereTold(t *testing.T) {
	t.Parallel()
	var seen []string
	tree().Walk(func(p value.Path, n *value.Node) bool {
		seen = append(seen, p.String())
		return n.Kind != value.List
	})
	require.Equal(t, []string{"", "list", "nothing"}, seen)
}
