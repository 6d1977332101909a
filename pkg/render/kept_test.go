package render

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"helm.sh/helm/v3/pkg/chartutil"

	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/manifest"
)

func TestEveryKindOfValueIsReadBack(t *testing.T) {
	t.Parallel()
	tree := map[string]any{
		"nil": nil, "false": false, "true": true, "empty": "", "text": "text", "again": "text", "unicode": "grüße\x00\xff",
		"float": 1.5, "negative zero": math.Copysign(0, -1), "infinite": math.Inf(-1), "large": 1e300,
		"int64": int64(math.MinInt64), "int": -1, "map": map[string]any{"text": "text"}, "no map": map[string]any{},
		"nil map": map[string]any(nil), "list": []any{"a", []any{}, nil, map[string]any{}}, "no list": []any{}, "nil list": []any(nil),
		"values": chartutil.Values{"a": chartutil.Values{}},
	}
	object := manifest.Object{ID: manifest.ID{Kind: "A", Name: "a"}, Text: "a: b", Data: tree}
	for name, r := range map[string]manifest.Release{
		"empty": {},
		"texts that are and are not in the text": {
			Text: "---\na: b\n---\na: b\n", Objects: []manifest.Object{object, object, {Text: "c: d"}, {Text: ""}, object},
			Hooks: []manifest.Hook{{Object: object, Weight: -5, Events: []manifest.Event{}}, {Events: []manifest.Event{"test"}}},
		},
		"empty lists": {Objects: []manifest.Object{}, Hooks: []manifest.Hook{}, CRDs: []manifest.Object{}, Impure: []manifest.ImpureCall{}},
		"metadata":    {Chart: manifest.Chart{Metadata: []byte("{}"), Values: tree}, Notes: "notes", CRDs: []manifest.Object{object}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want := kept{release: r, places: "here", sources: diag.Sources{"a": []byte("text")}, diags: diag.Diagnostics{{
				Severity: diag.Warning, Notes: []diag.Note{{Message: "a", Range: diag.Range{File: "a", End: diag.Pos{Line: 3}}}}, Secret: true,
			}}}
			data, err := want.encode()
			require.NoError(t, err)
			got, err := decodeKept(data, &sharedValues{})
			require.NoError(t, err)
			require.Equal(t, want, got)
			for i := range data {
				_, err := decodeKept(data[:i], &sharedValues{})
				require.Errorf(t, err, "cut off at %d", i)
			}
			_, err = decodeKept(append(data, 0), &sharedValues{})
			require.Error(t, err)
		})
	}
	_, err := kept{release: manifest.Release{Chart: manifest.Chart{Values: map[string]any{"a": uint(1)}}}}.encode()
	require.Error(t, err, "a type that is not known is not kept")
}

// BenchmarkReadBack is what it costs to read a kept release back, in our form and in those of the standard library.
func BenchmarkReadBack(b *testing.B) {
	release := manifest.Release{Chart: manifest.Chart{Metadata: []byte("{}"), Values: map[string]any{"replicas": 2.0, "image": map[string]any{"tag": "1"}}}}
	labels := func() map[string]any {
		return map[string]any{"app.kubernetes.io/name": "web", "app.kubernetes.io/instance": "web", "app.kubernetes.io/managed-by": "Helm"}
	}
	for range 8 {
		text := "apiVersion: apps/v1\nkind: Deployment\n" + string(bytes.Repeat([]byte("  line: of some text\n"), 40))
		release.Text += "---\n# Source: web/templates/all.yaml\n" + text
		release.Objects = append(release.Objects, manifest.Object{
			ID: manifest.ID{Group: "apps", Kind: "Deployment", Name: "web"}, Version: "v1", Source: "web/templates/all.yaml", Text: text,
			Data: map[string]any{
				"apiVersion": "apps/v1", "kind": "Deployment", "metadata": map[string]any{"name": "web", "labels": labels()},
				"spec": map[string]any{
					"selector": map[string]any{"matchLabels": labels()}, "replicas": 2.0,
					"template": map[string]any{"metadata": map[string]any{"labels": labels()}, "spec": map[string]any{"containers": []any{map[string]any{
						"name": "web", "image": "example.com/web:1", "ports": []any{map[string]any{"name": "http", "containerPort": 8080.0}},
						"resources": map[string]any{"limits": map[string]any{"cpu": "1", "memory": "1Gi"}, "requests": map[string]any{"cpu": "1"}},
					}}}},
				},
			},
		})
	}
	b.Run("own", func(b *testing.B) {
		data, err := kept{release: release}.encode()
		require.NoError(b, err)
		b.SetBytes(int64(len(data)))
		var shared sharedValues
		for b.Loop() {
			_, err := decodeKept(data, &shared)
			require.NoError(b, err)
		}
	})
	b.Run("json", func(b *testing.B) {
		data, err := json.Marshal(release)
		require.NoError(b, err)
		b.SetBytes(int64(len(data)))
		for b.Loop() {
			var out manifest.Release
			require.NoError(b, json.Unmarshal(data, &out))
		}
	})
	b.Run("gob", func(b *testing.B) {
		gob.Register(map[string]any{})
		gob.Register([]any{})
		var data bytes.Buffer
		require.NoError(b, gob.NewEncoder(&data).Encode(release))
		b.SetBytes(int64(data.Len()))
		for b.Loop() {
			var out manifest.Release
			require.NoError(b, gob.NewDecoder(bytes.NewReader(data.Bytes())).Decode(&out))
		}
	})
}
