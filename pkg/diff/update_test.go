package diff_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/redkubes/otomi/pkg/diff"
	"github.com/redkubes/otomi/pkg/manifest"
)

func TestDefaultsAreComparedLeafByLeaf(t *testing.T) {
	t.Parallel()
	before := map[string]any{
		"same": 1.0, "a": map[string]any{"b": 1.0, "gone": true}, "list": []any{1.0}, "leaf": "x", "empty": map[string]any{},
		"null": nil, "tree": map[string]any{"x": 1.0, "y": map[string]any{"z": 2.0}},
	}
	after := map[string]any{
		"same": 1.0, "a": map[string]any{"b": 2.0, "new.key": 1.0}, "list": []any{1.0, 2.0}, "leaf": map[string]any{"now": "map"},
		"null": "set", "fresh": map[string]any{},
	}
	require.Equal(t, []diff.DefaultChange{
		{Path: "a.b", Action: diff.Update, Before: 1.0, After: 2.0},
		{Path: "a.gone", Action: diff.Delete, Before: true},
		{Path: `a.new\.key`, Action: diff.Create, After: 1.0},
		{Path: "empty", Action: diff.Delete, Before: map[string]any{}},
		{Path: "fresh", Action: diff.Create, After: map[string]any{}},
		{Path: "leaf", Action: diff.Update, Before: "x", After: map[string]any{"now": "map"}},
		{Path: "list", Action: diff.Update, Before: []any{1.0}, After: []any{1.0, 2.0}},
		{Path: "null", Action: diff.Update, After: "set"},
		{Path: "tree.x", Action: diff.Delete, Before: 1.0},
		{Path: "tree.y.z", Action: diff.Delete, Before: 2.0},
	}, diff.Defaults(before, after))
	require.Empty(t, diff.Defaults(nil, nil))
}

func TestSetsFindsAValueAroundAndBelow(t *testing.T) {
	t.Parallel()
	values := map[string]any{"a": map[string]any{"b": map[string]any{"c": 1.0}, "e": map[string]any{}}, "n": nil, "l": []any{1.0}, "x.y": true}
	for path, want := range map[string]bool{
		"a": true, "a.b": true, "a.b.c": true, "a.b.c.d": true, "a.b.d": false, "a.e": false, "a.e.f": false, "n": true, "n.m": true,
		"l": true, "z": false, `x\.y`: true, "x": false,
	} {
		require.Equal(t, want, diff.Sets(values, path), path)
	}
}

func TestWhatDiffersAlikeInSeveralClustersIsToldOnce(t *testing.T) {
	t.Parallel()
	release := func(image, level string, own ...any) manifest.Release {
		pod := map[string]any{"containers": []any{map[string]any{"image": image}}, "initContainers": []any{map[string]any{"image": "init:1"}}}
		object, err := manifest.New(map[string]any{
			"apiVersion": "apps/v1", "kind": "Deployment", "metadata": map[string]any{"name": "web"},
			"spec": map[string]any{"level": level, "own": own, "template": map[string]any{"spec": pod}},
		}, "", "web/templates/d.yaml")
		require.NoError(t, err)
		crd, err := manifest.New(map[string]any{
			"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": map[string]any{"name": "w.example.com"},
			"spec": map[string]any{"containers": []any{map[string]any{"image": "no:1"}}, "v": image},
		}, "", "web/crds/w.yaml")
		require.NoError(t, err)
		return manifest.Release{Name: "web", Namespace: "team", Objects: []manifest.Object{object}, CRDs: []manifest.Object{crd}}
	}
	var u diff.ChartUpdate
	u.AddRendering("aws/a", release("web:1", "x"), release("web:2", "x"))
	u.AddRendering("aws/b", release("web:1", "x", "b.example.com"), release("web:2", "x", "b.example.com"))
	u.AddRendering("aws/c", release("web:1", "x"), release("web:2", "y"))
	require.Equal(t, 3, u.Releases)
	require.Len(t, u.Objects, 2)
	require.Equal(t, []string{"aws/a", "aws/b"}, u.Objects[0].Clusters)
	require.Equal(t, []string{"aws/c"}, u.Objects[1].Clusters)
	require.Len(t, u.Definitions, 1)
	require.Equal(t, []diff.ImageChange{
		{Image: "web:2", Action: diff.Create, Clusters: []string{"aws/a", "aws/b", "aws/c"}},
		{Image: "web:1", Action: diff.Delete, Clusters: []string{"aws/a", "aws/b", "aws/c"}},
	}, u.Images)
}

func TestVersionLabelsAloneAreCountedAndNotShown(t *testing.T) {
	t.Parallel()
	release := func(version string, pod bool) manifest.Release {
		labels := map[string]any{"helm.sh/chart": "web-" + version, "app.kubernetes.io/version": version, "app": "web"}
		data := map[string]any{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": map[string]any{"name": "web", "labels": labels}}
		if pod {
			data["spec"] = map[string]any{"template": map[string]any{"metadata": map[string]any{"labels": labels}}}
		}
		object, err := manifest.New(data, "", "")
		require.NoError(t, err)
		return manifest.Release{Name: "web", Objects: []manifest.Object{object}}
	}
	var u diff.ChartUpdate
	u.AddRendering("aws/a", release("1", false), release("2", false))
	u.AddRendering("aws/b", release("1", false), release("2", false))
	require.Equal(t, 1, u.Relabelled)
	require.Empty(t, u.Objects)
	require.False(t, u.Empty())
	u.AddRendering("aws/c", release("1", true), release("2", true))
	require.Len(t, u.Objects, 1, "pods are replaced")
}
