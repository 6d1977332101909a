package manifest_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"helm.sh/helm/v3/pkg/releaseutil"

	"github.com/redkubes/otomi/pkg/manifest"
)

func TestRankIsHelmsInstallOrder(t *testing.T) {
	t.Parallel()
	for i, kind := range releaseutil.InstallOrder {
		require.Equal(t, i, manifest.Rank(kind), kind)
	}
	require.Equal(t, len(releaseutil.InstallOrder), manifest.Rank("Widget"))
}

func TestNewNamesWhatIsMissing(t *testing.T) {
	t.Parallel()
	_, err := manifest.New(map[string]any{"kind": "ConfigMap"}, "", "")
	require.ErrorContains(t, err, "no apiVersion, no metadata.name")

	o, err := manifest.New(map[string]any{
		"apiVersion": "apps/v1", "kind": "Deployment", "metadata": map[string]any{"name": "web", "namespace": "apps"},
	}, "text", "web/templates/deployment.yaml")
	require.NoError(t, err)
	require.Equal(t, manifest.ID{Group: "apps", Kind: "Deployment", Namespace: "apps", Name: "web"}, o.ID)
	require.Equal(t, "apps/v1", o.APIVersion())
	require.Equal(t, "Deployment.apps apps/web", o.String())
}

func TestSortedKeepsTheOrderWithinAKind(t *testing.T) {
	t.Parallel()
	object := func(kind, name string) manifest.Object {
		return manifest.Object{ID: manifest.ID{Kind: kind, Name: name}}
	}
	var got []string
	in := []manifest.Object{object("Widget", "w"), object("Service", "b"), object("Alpha", "a"), object("Service", "a"), object("Namespace", "n")}
	for _, o := range manifest.Sorted(in) {
		got = append(got, o.String())
	}
	require.Equal(t, []string{"Namespace n", "Service b", "Service a", "Alpha a", "Widget w"}, got)
	require.Equal(t, "w", in[0].Name, "the input stays as it is")
}
