package pipeline_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/redkubes/otomi/pkg/pipeline"
	"github.com/redkubes/otomi/pkg/source"
	"github.com/redkubes/otomi/pkg/value"
)

func open(tb testing.TB, dir string) *pipeline.Platform {
	tb.Helper()
	platform, diags, err := pipeline.Open(tb.Context(), pipeline.Options{Dir: dir, Builtin: source.Tree{}})
	require.NoError(tb, err)
	require.Empty(tb, diags)
	tb.Cleanup(func() { platform.Close() })
	return platform
}

func TestAFleetIsAsLargeAsItSays(t *testing.T) {
	t.Parallel()
	f := hundredLayers(4)
	require.Equal(t, 100, f.layers())
	platform := open(t, f.write(t))
	clusters, diags := platform.Clusters("", true)
	require.Empty(t, diags)
	require.Len(t, clusters, 4)
	for _, c := range clusters {
		values, diags, err := platform.Validate(t.Context(), c)
		require.NoError(t, err)
		require.Empty(t, diags)
		leaves := 0
		values.Root.Walk(func(_ value.Path, n *value.Node) bool {
			if n.Kind != value.Map && n.Kind != value.List {
				leaves++
			}
			return true
		})
		require.Greater(t, leaves, 2000)
	}
}

func BenchmarkValidateAll(b *testing.B) {
	for _, n := range []int{10, 100, 1000} {
		b.Run(map[int]string{10: "10-clusters", 100: "100-clusters", 1000: "1000-clusters"}[n], func(b *testing.B) {
			dir := hundredLayers(n).write(b)
			b.ReportAllocs()
			for b.Loop() {
				platform := open(b, dir)
				clusters, _ := platform.Clusters("", true)
				for _, c := range clusters {
					_, diags, err := platform.Validate(b.Context(), c)
					require.NoError(b, err)
					require.Empty(b, diags)
				}
			}
		})
	}
}
