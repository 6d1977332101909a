package runlevel_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/redkubes/otomi/pkg/runlevel"
)

func TestANullOverReusedValuesDeletedTheDefaultOfTheChart(t *testing.T) {
	t.Parallel()
	given := map[string]any{
		"a": nil, "b": map[string]any{"x": nil, "y": nil, "z": 2}, "new": nil, "list": []any{2}, "map": "text", "text": map[string]any{"k": nil},
	}
	former := map[string]any{
		"a": 1, "b": map[string]any{"x": 1, "w": 1, "z": 1}, "list": []any{1, 1}, "map": map[string]any{"k": 1}, "text": "t", "kept": 1,
	}
	want := map[string]any{
		"b": map[string]any{"y": nil, "z": 2, "w": 1}, "new": nil, "list": []any{2}, "map": "text", "text": map[string]any{"k": nil}, "kept": 1,
	}
	require.Equal(t, want, runlevel.Release{Values: given}.Reusing(former).Values)
	require.Equal(t, given, runlevel.Release{Values: given}.Reusing(nil).Values)
	require.Contains(t, former, "a", "the record stays as it is")
}
