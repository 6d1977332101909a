package pipeline_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/redkubes/otomi/pkg/layer"
	"github.com/redkubes/otomi/pkg/merge"
	"github.com/redkubes/otomi/pkg/schema"
	"github.com/redkubes/otomi/pkg/source"
)

// BenchmarkStages is what each stage costs for one cluster that shares its work with no other.
func BenchmarkStages(b *testing.B) {
	b.Run("real", func(b *testing.B) { stages(b, realInput(b), "values-schema.yaml") })
	b.Run("fleet", func(b *testing.B) { stages(b, hundredLayers(1).write(b), "stack/schema/values.schema.yaml") })
}

func stages(b *testing.B, dir, schemaFile string) {
	tree, closer, err := source.Open(dir, "")
	require.NoError(b, err)
	b.Cleanup(func() { closer.Close() })
	parse := func() []layer.Layer {
		repository, diags, err := layer.OpenRepository(tree)
		require.NoError(b, err)
		require.False(b, diags.HasErrors())
		var cluster layer.Cluster
		if clusters := repository.Clusters(); len(clusters) > 0 {
			cluster = clusters[0]
		}
		layers, diags, err := repository.Layers(cluster, layer.Options{})
		require.NoError(b, err)
		require.False(b, diags.HasErrors(), "%v", diags)
		return layers
	}
	b.Run("parse", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			parse()
		}
	})
	layers := parse()
	b.ReportMetric(float64(len(layers)), "layers")
	var compiled *schema.Schema
	b.Run("schema", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			compiled, _, err = schema.Compile(tree, schemaFile)
			require.NoError(b, err)
		}
	})
	o := merge.Options{Lists: compiled.Lists}
	b.Run("merge", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			merge.NewFolder(o).Fold(layers)
		}
	})
	merged, diags := merge.NewFolder(o).Fold(layers)
	require.Empty(b, diags)
	b.Run("validate", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			require.False(b, compiled.Validate(compiled.Fill(merged)).HasErrors())
		}
	})
}
