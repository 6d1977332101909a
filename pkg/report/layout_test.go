package report

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/redkubes/otomi/pkg/manifest"
)

func TestAnObjectsFileIsNamedForIt(t *testing.T) {
	t.Parallel()
	for want, id := range map[string]manifest.ID{
		"deployment-web":                  {Group: "apps", Kind: "Deployment", Name: "web"},
		"service-web":                     {Kind: "Service", Name: "web", Namespace: "apps"},
		"service-other.web":               {Kind: "Service", Name: "web", Namespace: "other"},
		"service.serving.knative.dev-web": {Group: "serving.knative.dev", Kind: "Service", Name: "web"},
		"ingress-web":                     {Group: "networking.k8s.io", Kind: "Ingress", Name: "web"},
		"clusterrole-system_web":          {Group: "rbac.authorization.k8s.io", Kind: "ClusterRole", Name: "system:web"},
		"clusterrole-.._.._etc_passwd":    {Group: "rbac.authorization.k8s.io", Kind: "ClusterRole", Name: "../../etc/passwd"},
		"_.-_.":                           {Kind: "..", Name: "/."},
	} {
		got := objectName(id, "apps")
		require.Equal(t, want, got)
		require.Equal(t, got, filepath.Base(got))
	}
	one := objectName(manifest.ID{Kind: "Role", Name: strings.Repeat("a", 250) + "1"}, "apps")
	require.Len(t, one, longest+9)
	require.NotEqual(t, one, objectName(manifest.ID{Kind: "Role", Name: strings.Repeat("a", 250) + "2"}, "apps"))
}

func TestNoTwoObjectsShareAFile(t *testing.T) {
	t.Parallel()
	for _, l := range []Layout{ObjectLayout, HelmfileLayout} {
		t.Run(string(l), func(t *testing.T) {
			t.Parallel()
			files := newLayout(l)
			for i, r := range []struct{ cluster, file, namespace, name, chart, kind, object string }{
				{"aws/demo", "/r/10.yaml", "a-b", "c", "web", "ConfigMap", "x"},
				{"aws/demo", "/r/10.yaml", "a", "b-c", "web", "ConfigMap", "x"},
				{"aws/demo", "/r/20.yaml", "z", "c", "web", "ConfigMap", "x"},
				{"aws/demo", "/r/10.yaml", "z2", "c", "web", "ConfigMap", "x"},
				{"aws-demo", "/r/10.yaml", "a-b", "c", "web", "ConfigMap", "x"},
				{"aws/demo2", "/r/10.yaml", "a-b", "c", "web", "ConfigMap", "x"},
				{"aws/demo", "/r/10.yaml", "a-b", "c", "web2", "ConfigMap", "X"}, // file systems may not tell capitals
				{"aws/demo", "/r/10.yaml", "a-b", "c", "web3", "ConfigMap", "x"}, // a hook beside an object
				{"../..", "/r/10.yaml", "..", "..", "..", "..", ".."},
			} {
				rendered := Rendered{Cluster: r.cluster, File: r.file, Release: manifest.Release{Name: r.name, Namespace: r.namespace}}
				files.add(rendered, manifest.ID{Kind: r.kind, Name: r.object}, r.chart+"/templates/all.yaml", int64(i), 1)
			}
			names := map[string]bool{}
			for _, f := range files.files {
				require.Len(t, f.parts, 1, f.name)
				require.True(t, filepath.IsLocal(f.name), f.name)
				names[strings.ToLower(f.name)] = true
			}
			require.Len(t, names, 9)
		})
	}
}

func TestASpoolGivesBackWhatWasWritten(t *testing.T) {
	t.Parallel()
	for _, limit := range []int64{0, 1, 1000, chunk, 3*chunk + 5, 1 << 30} {
		t.Run(fmt.Sprint(limit), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			s := newSpool(dir)
			s.limit = limit
			var want bytes.Buffer
			for i := range 60 {
				text := bytes.Repeat([]byte{byte('a' + i%26)}, 1+i*797%40_000)
				n, err := s.Write(text)
				require.NoError(t, err)
				require.Equal(t, len(text), n)
				want.Write(text)
			}
			got, err := io.ReadAll(s.section(0, s.size))
			require.NoError(t, err)
			require.Equal(t, want.Bytes(), got)
			for _, from := range []int64{0, 1, chunk - 1, chunk, 2*chunk + 3, s.size - 2} {
				n := min(int64(chunk+7), s.size-from)
				got, err := io.ReadAll(s.section(from, n))
				require.NoError(t, err)
				require.Equal(t, want.Bytes()[from:from+n], got)
			}
			entries, err := os.ReadDir(dir)
			require.NoError(t, err)
			require.Empty(t, entries, "the temporary file has no name")
			require.NoError(t, s.Close())
		})
	}
}

func TestASpoolWithoutAPlaceForItsFileSaysSo(t *testing.T) {
	t.Parallel()
	s := newSpool(filepath.Join(t.TempDir(), "none"))
	s.limit = 10
	_, err := s.Write(make([]byte, 11))
	require.ErrorContains(t, err, "making a temporary file")
}

func TestAListOfObjectsInJSONIsOneDocument(t *testing.T) {
	t.Parallel()
	for n := range 3 {
		var out bytes.Buffer
		r := New(Options{Out: &out})
		r.Hide([]string{"pass<word>"})
		m := r.Manifests(ManifestOptions{Format: "json"})
		objects := []object{}
		for i := range n {
			data := map[string]any{"kind": "ConfigMap", "data": map[string]any{"a": "<&>", "b": "pass<word>", "empty": map[string]any{}}}
			release := manifest.Release{Name: fmt.Sprint(i), Objects: []manifest.Object{{Source: "web/templates/cm.yaml", Data: data}}}
			require.NoError(t, m.Add(Rendered{Release: release}))
			objects = append(objects, object{
				Release: fmt.Sprint(i), Source: "web/templates/cm.yaml", Object: data, Chart: "-@sha256:",
			})
		}
		require.Empty(t, out.String())
		require.NoError(t, m.Print())
		require.NoError(t, m.Close())
		got := out.String()
		out.Reset()
		require.NoError(t, r.JSON(struct {
			FormatVersion int      `json:"formatVersion"`
			Objects       []object `json:"objects"`
		}{FormatVersion, objects}))
		require.Equal(t, out.String(), got)
	}
}

func TestSizesAreReadByPeople(t *testing.T) {
	t.Parallel()
	for want, n := range map[string]int64{"0 B": 0, "1023 B": 1023, "1 KiB": 1024, "1.5 KiB": 1536, "512 MiB": 512 << 20, "2 GiB": 2 << 30} {
		require.Equal(t, want, size(n))
	}
}

func TestRunsSideBySideTookEachOthersTemporaryFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	root, err := os.OpenRoot(dir)
	require.NoError(t, err)
	defer root.Close()
	var group errgroup.Group
	for i := range 8 {
		group.Go(func() error {
			for k := range 30 {
				if err := replace(root, "a.yaml", []byte(strings.Repeat(fmt.Sprint(i), 10+k)), 0o644); err != nil {
					return err
				}
			}
			return nil
		})
	}
	require.NoError(t, group.Wait())
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 1, "nothing is left")
}
