package chart_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"

	"github.com/redkubes/otomi/pkg/chart"
	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/source"
	"github.com/stretchr/testify/require"
	"helm.sh/helm/v3/pkg/chart/loader"
)

const chartYAML = "apiVersion: v2\nname: web\nversion: 1.2.3\nappVersion: \"7\"\nkubeVersion: \">=1.30\"\n"

func stack(files map[string]string) source.Tree {
	fsys := fstest.MapFS{}
	for name, text := range files {
		fsys[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return source.Tree{FS: fsys, Prefix: "builtin:"}
}

func TestLoad(t *testing.T) {
	t.Parallel()
	s := chart.NewStore(chart.Options{Stack: stack(map[string]string{"charts/web/Chart.yaml": chartYAML, "charts/web/templates/_helpers.tpl": "\xEF\xBB\xBFx"})})
	var first *chart.Chart
	for _, ref := range []string{"web", "charts/web", "./charts/web", "../charts/web", "../charts/web/"} {
		c, ds, err := s.Load(t.Context(), chart.Ref{Chart: ref})
		require.NoError(t, err)
		require.Empty(t, ds)
		if first == nil {
			first = c
		}
		require.Same(t, first, c, ref)
	}
	require.Equal(t, "web", first.Name)
	require.Equal(t, "1.2.3", first.Version)
	require.Equal(t, "7", first.AppVersion)
	require.Equal(t, ">=1.30", first.KubeVersion)
	require.Equal(t, "builtin:charts/web", first.Display)
	require.Equal(t, "builtin:charts/web/Chart.yaml", first.Range.File)
	require.JSONEq(t, `{"apiVersion":"v2","name":"web","version":"1.2.3","appVersion":"7","kubeVersion":">=1.30"}`, string(first.Metadata))
	require.Len(t, first.Files, 2)
	data, ok := first.File("templates/_helpers.tpl")
	require.True(t, ok)
	require.Equal(t, "x", string(data), "a byte order mark is dropped, as Helm does")
	_, ok = first.File("values.yaml")
	require.False(t, ok)
}

func TestLoadReports(t *testing.T) {
	t.Parallel()
	at := diag.Range{File: "50.yaml", Start: diag.Pos{Line: 3, Column: 12}}
	files := map[string]string{
		"charts/grafana/Chart.yaml":  chartYAML,
		"charts/nameless/Chart.yaml": "apiVersion: v2\nversion: 1.0.0\n",
		"charts/empty/README.md":     "",
		"charts/file":                "",
		"charts/ignore/Chart.yaml":   chartYAML,
		"charts/ignore/.helmignore":  "a/**\n",
		"charts/sub/Chart.yaml":      chartYAML,
		"charts/sub/charts/x/a.yaml": "",
	}
	files["charts/needy/Chart.yaml"] = chartYAML + "dependencies: [{name: redis, version: 1.x}, {name: sub, version: 1.x}]\n"
	files["charts/needy/charts/sub/Chart.yaml"] = "apiVersion: v2\nname: sub\nversion: 1.0.0\n"
	tests := []struct {
		ref    string
		code   diag.Code
		at     string
		detail string
	}{
		{"../charts/grafna", diag.ChartMissing, "50.yaml:3:12", `Did you mean "../charts/grafana"?`},
		{"zzz", diag.ChartMissing, "50.yaml:3:12", "Its charts are empty, grafana"},
		{"file", diag.ChartMissing, "50.yaml:3:12", "no directory builtin:charts/file"},
		{"bitnami/nginx", diag.ChartUnsupported, "50.yaml:3:12", `no repository is called "bitnami". Add it to repositories`},
		{"oci://example.com/nginx", diag.ChartNotFetched, "50.yaml:3:12", "--allow net=example.com"},
		{"https://example.com/x.tgz", diag.ChartNotFetched, "50.yaml:3:12", "otomi charts lock"},
		{"git+https://example.com:8443/x//y@v1", diag.ChartNotFetched, "50.yaml:3:12", "--allow net=example.com:8443"},
		{"git::https://example.com/x", diag.ChartUnsupported, "50.yaml:3:12", "git+https://HOST"},
		{"s3://example.com/x", diag.ChartUnsupported, "50.yaml:3:12", "git+https://HOST"},
		{"../grafana", diag.ChartUnsupported, "50.yaml:3:12", ""},
		{"../../charts/grafana", diag.ChartUnsupported, "50.yaml:3:12", ""},
		{"../charts/..", diag.ChartUnsupported, "50.yaml:3:12", ""},
		{"/charts/grafana", diag.ChartUnsupported, "50.yaml:3:12", ""},
		{"charts/grafana/templates", diag.ChartMissing, "50.yaml:3:12", "no directory builtin:charts/grafana/templates"},
		{"../../x", diag.ChartUnsupported, "50.yaml:3:12", "not within the stack"},
		{`charts\grafana`, diag.ChartUnsupported, "50.yaml:3:12", ""},
		{"charts/grafna-1.0.0.tgz", diag.ChartMissing, "50.yaml:3:12", "no archive builtin:charts/grafna-1.0.0.tgz"},
		{"", diag.ChartUnsupported, "50.yaml:3:12", ""},
		{"nameless", diag.ChartInvalid, "builtin:charts/nameless/Chart.yaml", "chart.metadata.name is required"},
		{"needy", diag.ChartInvalid, "builtin:charts/needy/Chart.yaml", "depends on redis, which"},
		{"empty", diag.ChartInvalid, "builtin:charts/empty/Chart.yaml", "Chart.yaml file is missing"},
		{"ignore", diag.ChartInvalid, "builtin:charts/ignore/.helmignore", "double-star"},
		{"sub", diag.ChartInvalid, "builtin:charts/sub/Chart.yaml", "error unpacking subchart x"},
	}
	s := chart.NewStore(chart.Options{Stack: stack(files)})
	for _, tt := range tests {
		t.Run(tt.ref, func(t *testing.T) {
			t.Parallel()
			c, ds, err := s.Load(t.Context(), chart.Ref{Chart: tt.ref, Range: at})
			require.NoError(t, err)
			require.Nil(t, c)
			require.Len(t, ds, 1)
			require.Equal(t, tt.code, ds[0].Code, ds[0].Detail)
			require.Equal(t, tt.at, ds[0].Range.String())
			require.Contains(t, ds[0].Detail, tt.detail)
		})
	}
}

// A library is loaded, since it may be a part of another chart, and not installed.
func TestLibraryIsNotInstallable(t *testing.T) {
	t.Parallel()
	s := chart.NewStore(chart.Options{Stack: stack(map[string]string{
		"charts/lib/Chart.yaml": chartYAML + "type: library\n",
		"charts/app/Chart.yaml": chartYAML + "type: application\n",
	})})
	c, ds, err := s.Load(t.Context(), chart.Ref{Chart: "lib"})
	require.NoError(t, err)
	require.Empty(t, ds)
	ds = chart.Installable(c)
	require.Len(t, ds, 1)
	require.Equal(t, diag.ChartInvalid, ds[0].Code)
	require.Equal(t, "builtin:charts/lib/Chart.yaml", ds[0].Range.String())
	require.Contains(t, ds[0].Detail, "type library")
	require.Contains(t, s.Sources(), "builtin:charts/lib/Chart.yaml")
	c, ds, err = s.Load(t.Context(), chart.Ref{Chart: "app"})
	require.NoError(t, err)
	require.Empty(t, ds)
	require.Empty(t, chart.Installable(c))
}

// TestLoadReadsWhatHelmReads compares the files with those of Helm's own directory loader.
func TestLoadReadsWhatHelmReads(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"Chart.yaml":                chartYAML,
		".helmignore":               "# comment\n*.bak\n/docs/\nsecret?.txt\n",
		"a.bak":                     "x",
		"docs/readme":               "x",
		"secret1.txt":               "x",
		"secret12.txt":              "x",
		"templates/.hidden.yaml":    "x",
		"templates/a.yaml":          "x",
		"templates/a/b.yaml":        "x",
		"crds/a.yaml":               "a: b",
		"crds/a/b.yaml":             "a: b",
		"crds/a-b.yaml":             "a: b",
		"charts/sub/Chart.yaml":     "apiVersion: v2\nname: sub\nversion: 1.0.0\n",
		"charts/sub/x.bak":          "x",
		"charts/sub/templates/y":    "x",
		"charts/_ignored/Chart.yml": "x",
		".git/config":               "x",
	} {
		path := filepath.Join(dir, "charts/web", name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
	}
	helm, err := loader.LoadDir(filepath.Join(dir, "charts/web"))
	require.NoError(t, err)
	var want []string
	for _, f := range helm.Raw {
		want = append(want, f.Name)
	}
	c, ds, err := chart.NewStore(chart.Options{Stack: source.Tree{FS: os.DirFS(dir)}}).Load(t.Context(), chart.Ref{Chart: "web"})
	require.NoError(t, err)
	require.Empty(t, ds)
	var got []string
	for _, f := range c.Files {
		got = append(got, f.Name)
	}
	require.Equal(t, want, got)
}

func TestLinksAreRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "stack/charts/web/templates"), 0o755))
	require.NoError(t, os.Mkdir(filepath.Join(dir, "outside"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "outside/secret"), []byte("s3cret"), 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "stack/charts/web/Chart.yaml"), []byte(chartYAML), 0o644))
	link := filepath.Join(dir, "stack/charts/web/templates/x.yaml")
	for _, target := range []string{"../../../../outside/secret", "../../../../outside", filepath.Join(dir, "outside/secret")} {
		require.NoError(t, os.Symlink(target, link))
		tree, closer, err := source.Open(filepath.Join(dir, "stack"), "stack/")
		require.NoError(t, err)
		c, ds, err := chart.NewStore(chart.Options{Stack: tree}).Load(t.Context(), chart.Ref{Chart: "web"})
		require.Nil(t, c)
		require.True(t, err != nil || ds.HasErrors(), target)
		require.NoError(t, closer.Close())
		require.NoError(t, os.Remove(link))
	}
}

func TestDigest(t *testing.T) {
	t.Parallel()
	digest := func(files map[string]string) string {
		files["charts/web/Chart.yaml"] = chartYAML
		c, ds, err := chart.NewStore(chart.Options{Stack: stack(files)}).Load(t.Context(), chart.Ref{Chart: "web"})
		require.NoError(t, err)
		require.Empty(t, ds)
		return c.Digest
	}
	base := digest(map[string]string{"charts/web/a": "b"})
	require.Regexp(t, "^[0-9a-f]{64}$", base)
	require.Equal(t, base, digest(map[string]string{"charts/web/a": "b", "charts/other/x": ""}))
	for _, other := range []map[string]string{{"charts/web/a": "c"}, {"charts/web/ab": ""}, {}, {"charts/web/a": "", "charts/web/b": ""}} {
		require.NotEqual(t, base, digest(other))
	}
}

func TestChartHasABudget(t *testing.T) {
	t.Parallel()
	const most = 5 << 20
	files := map[string]string{"charts/web/Chart.yaml": chartYAML, "charts/web/big": strings.Repeat("x", most)}
	c, ds, err := chart.NewStore(chart.Options{Stack: stack(files)}).Load(t.Context(), chart.Ref{Chart: "web"})
	require.NoError(t, err)
	require.Empty(t, ds)
	require.NotNil(t, c)
	files["charts/web/big"] += "x"
	_, ds, err = chart.NewStore(chart.Options{Stack: stack(files)}).Load(t.Context(), chart.Ref{Chart: "web"})
	require.NoError(t, err)
	require.Len(t, ds, 1)
	require.Equal(t, "builtin:charts/web/big", ds[0].Range.File)

	files = map[string]string{"charts/web/Chart.yaml": chartYAML}
	for i := range 10_000 {
		files["charts/web/f/"+string(rune('a'+i%26))+strings.Repeat("x", i/26)] = ""
	}
	_, ds, err = chart.NewStore(chart.Options{Stack: stack(files)}).Load(t.Context(), chart.Ref{Chart: "web"})
	require.NoError(t, err)
	require.Len(t, ds, 1)
	require.Contains(t, ds[0].Detail, "more than 10000 files")
}

// counting counts how often Chart.yaml is opened.
type counting struct {
	fs.FS
	opened atomic.Int32
}

func (c *counting) Open(name string) (fs.File, error) {
	if strings.HasSuffix(name, "Chart.yaml") {
		c.opened.Add(1)
	}
	return c.FS.Open(name)
}

func TestLoadReadsOnce(t *testing.T) {
	t.Parallel()
	fsys := &counting{FS: stack(map[string]string{"charts/web/Chart.yaml": chartYAML}).FS}
	s := chart.NewStore(chart.Options{Stack: source.Tree{FS: fsys}})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			_, _, err := s.Load(t.Context(), chart.Ref{Chart: "web"})
			require.NoError(t, err)
		})
	}
	wg.Wait()
	require.LessOrEqual(t, fsys.opened.Load(), int32(2), "one to look at it, one to read it")
}

type broken struct{ fs.FS }

func (b broken) Open(name string) (fs.File, error) {
	if strings.HasSuffix(name, "values.yaml") {
		return nil, errors.New("disk on fire")
	}
	return b.FS.Open(name)
}

func TestUnreadableFileIsAnError(t *testing.T) {
	t.Parallel()
	fsys := stack(map[string]string{"charts/web/Chart.yaml": chartYAML, "charts/web/values.yaml": ""}).FS
	_, ds, err := chart.NewStore(chart.Options{Stack: source.Tree{FS: broken{fsys}, Prefix: "p/"}}).Load(t.Context(), chart.Ref{Chart: "web"})
	require.Empty(t, ds)
	require.ErrorContains(t, err, "loading the chart p/charts/web: ")
	require.ErrorContains(t, err, "disk on fire")

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, _, err = chart.NewStore(chart.Options{Stack: source.Tree{FS: fsys}}).Load(ctx, chart.Ref{Chart: "web"})
	require.ErrorIs(t, err, context.Canceled)
}

// A packed subchart of a few kilobytes unpacked to any size, since Helm's loader counts anew for each archive.
func TestPackedSubchartsCount(t *testing.T) {
	t.Parallel()
	pack := func(files map[string][]byte) []byte {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		w := tar.NewWriter(z)
		for name, data := range files {
			require.NoError(t, w.WriteHeader(&tar.Header{Name: name, Size: int64(len(data)), Mode: 0o644, Typeflag: tar.TypeReg}))
			_, err := w.Write(data)
			require.NoError(t, err)
		}
		require.NoError(t, w.Close())
		require.NoError(t, z.Close())
		return b.Bytes()
	}
	sub := func(name string) []byte { return []byte("apiVersion: v2\nname: " + name + "\nversion: 1.0.0\n") }
	small := pack(map[string][]byte{"inner/Chart.yaml": sub("inner")})
	fine := pack(map[string][]byte{"sub/Chart.yaml": sub("sub"), "sub/charts/inner-1.0.0.tgz": small})
	c, ds, err := chart.NewStore(chart.Options{Stack: stack(map[string]string{"charts/web/Chart.yaml": chartYAML, "charts/web/charts/sub-1.0.0.tgz": string(fine)})}).
		Load(t.Context(), chart.Ref{Chart: "web"})
	require.NoError(t, err)
	require.Empty(t, ds)
	require.NotNil(t, c)

	block := make([]byte, 4<<20)
	large := pack(map[string][]byte{"inner/Chart.yaml": sub("inner"), "inner/a": block, "inner/b": block, "inner/c": block})
	nested := map[string][]byte{"sub/Chart.yaml": sub("sub")}
	for i := range 9 {
		nested["sub/charts/inner-"+string(rune('0'+i))+".tgz"] = large
	}
	bomb := pack(nested)
	_, ds, err = chart.NewStore(chart.Options{Stack: stack(map[string]string{"charts/web/Chart.yaml": chartYAML, "charts/web/charts/sub-1.0.0.tgz": string(bomb)})}).
		Load(t.Context(), chart.Ref{Chart: "web"})
	require.NoError(t, err)
	require.Len(t, ds, 1)
	require.Contains(t, ds[0].Detail, "packed subcharts unpacked")
}
