package diff_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/redkubes/otomi/pkg/diff"
	"github.com/redkubes/otomi/pkg/manifest"
)

func TestRenderingsAreComparedWithoutACluster(t *testing.T) {
	t.Parallel()
	object := func(kind, name string, fields map[string]any) manifest.Object {
		data := map[string]any{"apiVersion": "v1", "kind": kind, "metadata": map[string]any{"name": name}}
		for k, v := range fields {
			data[k] = v
		}
		o, err := manifest.New(data, "", "web/templates/"+name+".yaml")
		require.NoError(t, err)
		return o
	}
	secret := func(password string) manifest.Object {
		return object("Secret", "s", map[string]any{"stringData": map[string]any{"password": password, "user": "u"}})
	}
	changes := diff.Renderings(
		[]manifest.Object{object("ConfigMap", "same", nil), object("ConfigMap", "gone", nil), secret("one")},
		[]manifest.Object{secret("two"), object("ConfigMap", "new", nil), object("ConfigMap", "same", nil)},
	)
	require.Len(t, changes, 3)
	require.Equal(t, "Secret s", changes[0].ID.String())
	require.Equal(t, diff.Update, changes[0].Action)
	require.Equal(t, map[string]any{"password": "(secret)", "user": "(secret)"}, changes[0].Before["stringData"])
	require.Equal(t, map[string]any{"password": "(secret, changed)", "user": "(secret)"}, changes[0].After["stringData"])
	require.Equal(t, diff.Create, changes[1].Action)
	require.Nil(t, changes[1].Before)
	require.Equal(t, diff.Delete, changes[2].Action)
	require.Equal(t, "gone", changes[2].Name)
	require.Nil(t, changes[2].After)
	require.Empty(t, diff.Renderings(nil, nil))
}
