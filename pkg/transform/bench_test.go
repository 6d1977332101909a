package transform_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/redkubes/otomi/pkg/render"
	"github.com/redkubes/otomi/pkg/runlevel"
	"github.com/redkubes/otomi/pkg/transform"
)

// BenchmarkApply patches a small release; the first run reads kustomize's schema.
func BenchmarkApply(b *testing.B) {
	r := render.New()
	c := small()
	rel := runlevel.Release{Name: "web", Namespace: "apps", Values: map[string]any{}, JSONPatches: []map[string]any{{
		"target": map[string]any{"kind": "Deployment"},
		"patch":  []any{map[string]any{"op": "replace", "path": "/spec/replicas", "value": int64(7)}},
	}}}
	req := transform.Request{Request: render.Request{Release: rel, Chart: c}}
	out, _, err := r.Render(context.Background(), req.Request, render.Capabilities{KubeVersion: render.Newest()})
	require.NoError(b, err)
	req.Rendered = out
	b.ReportAllocs()
	for b.Loop() {
		_, ds, err := transform.Apply(context.Background(), r, req)
		require.NoError(b, err)
		require.Empty(b, ds)
	}
}
