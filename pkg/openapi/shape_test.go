package openapi_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/redkubes/otomi/kubernetes"
	"github.com/redkubes/otomi/pkg/manifest"
	"github.com/redkubes/otomi/pkg/openapi"
)

func TestItemsOfListsAreToldApartAsTheSchemaSays(t *testing.T) {
	t.Parallel()
	crd, err := manifest.New(map[string]any{
		"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": map[string]any{"name": "x"},
	}, "", "")
	require.NoError(t, err)
	schema := map[string]any{"type": "object", "properties": map[string]any{"spec": map[string]any{"type": "object", "properties": map[string]any{
		"rules": map[string]any{
			"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": []any{"id"},
			"items": map[string]any{"type": "object"},
		},
		"plain": map[string]any{"type": "array", "items": map[string]any{"type": "object"}},
	}}}}
	crd.Data["spec"] = map[string]any{
		"group": "x.io", "names": map[string]any{"kind": "Widget"},
		"versions": []any{map[string]any{"name": "v1", "served": true, "schema": map[string]any{"openAPIV3Schema": schema}}},
	}
	crd.Text = `{"spec":{"group":"x.io","names":{"kind":"Widget"},"versions":[{"name":"v1","served":true,"schema":{"openAPIV3Schema":` +
		`{"type":"object","properties":{"spec":{"type":"object","properties":{"rules":{"type":"array","x-kubernetes-list-type":"map",` +
		`"x-kubernetes-list-map-keys":["id"],"items":{"type":"object"}},"plain":{"type":"array","items":{"type":"object"}}}}}}}}]}}`
	library, err := openapi.NewLibrary(kubernetes.FS)
	require.NoError(t, err)
	checker, _, err := library.Checker("1.36", []manifest.Object{crd})
	require.NoError(t, err)
	at := func(group, version, kind string, path ...string) openapi.Shape {
		s := checker.Shape(group, version, kind)
		for _, step := range path {
			if step == "[]" {
				s = s.Item()
			} else {
				s = s.Field(step)
			}
		}
		return s
	}
	pod := []string{"spec", "template", "spec", "containers"}
	in := func(more ...string) []string { return append(append([]string{}, pod...), more...) }
	require.Equal(t, []string{"name"}, at("apps", "v1", "Deployment", pod...).Keys())
	require.Equal(t, []string{"name"}, at("apps", "v1", "Deployment", in("[]", "env")...).Keys())
	require.Equal(t, []string{"containerPort", "protocol"}, at("apps", "v1", "Deployment", in("[]", "ports")...).Keys())
	require.Empty(t, at("apps", "v1", "Deployment", in("[]", "args")...).Keys())
	require.Equal(t, []string{"port", "protocol"}, at("", "v1", "Service", "spec", "ports").Keys())
	require.Empty(t, at("networking.k8s.io", "v1", "Ingress", "spec", "rules").Keys())
	require.True(t, at("", "v1", "ConfigMap", "metadata", "finalizers").Set())
	require.Equal(t, []string{"id"}, at("x.io", "v1", "Widget", "spec", "rules").Keys())
	require.Empty(t, at("x.io", "v1", "Widget", "spec", "plain").Keys())
	require.Equal(t, []string{"uid"}, at("x.io", "v1", "Widget", "metadata", "ownerReferences").Keys())
	require.Empty(t, at("y.io", "v1", "Widget", "spec", "rules").Keys())
	var none *openapi.Checker
	require.Empty(t, none.Shape("apps", "v1", "Deployment").Field("spec").Item().Keys())
}
