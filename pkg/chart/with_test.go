package chart

import (
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
	"helm.sh/helm/v3/pkg/chart/loader"

	"github.com/redkubes/otomi/pkg/diag"
)

func simple(t *testing.T, name, version string, more ...File) *Chart {
	t.Helper()
	files := append([]File{
		{Name: "Chart.yaml", Data: []byte("apiVersion: v2\nname: " + name + "\nversion: " + version + "\n")},
		{Name: "templates/x.yaml", Data: []byte("a: b\n")},
	}, more...)
	c, ds := assembled(&Chart{Display: name, Range: diag.Range{File: name + "/Chart.yaml"}}, files)
	require.Empty(t, ds)
	return c
}

func TestWithAddsSubcharts(t *testing.T) {
	t.Parallel()
	c := simple(t, "web", "1.0.0")
	before := c.Digest
	extra := simple(t, "extra", "0.3.0-rc.1")
	got, ds := With(c, []Addition{{Chart: extra, Alias: "one"}, {Chart: extra, Alias: "two", Version: "0.3.0-rc.1"}, {Chart: simple(t, "extra", "2.0.0"), Version: ">=1"}})
	require.Empty(t, ds)
	require.Equal(t, before, c.Digest, "the chart itself stays as it is")
	require.Len(t, c.Files, 2)
	require.NotEqual(t, before, got.Digest)
	require.Equal(t, "web", got.Name)

	var names []string
	var buffered []*loader.BufferedFile
	for _, f := range got.Files {
		names = append(names, f.Name)
		buffered = append(buffered, &loader.BufferedFile{Name: f.Name, Data: f.Data})
	}
	require.Equal(t, []string{
		"Chart.yaml", "templates/x.yaml", "charts/extra/Chart.yaml", "charts/extra/templates/x.yaml",
		"charts/extra-2/Chart.yaml", "charts/extra-2/templates/x.yaml",
	}, names, "one chart under two aliases is there once")
	helm, err := loader.LoadFiles(buffered)
	require.NoError(t, err)
	require.Len(t, helm.Dependencies(), 2)
	require.Equal(t, "one.enabled", helm.Metadata.Dependencies[0].Condition)
	require.Equal(t, "0.3.0-rc.1", helm.Metadata.Dependencies[0].Version, "a pre-release fits what asks for nothing")
	require.Equal(t, "two", helm.Metadata.Dependencies[1].Alias)
	require.Equal(t, "extra.enabled", helm.Metadata.Dependencies[2].Condition)

	same, ds := With(c, nil)
	require.Empty(t, ds)
	require.Same(t, c, same)
}

func TestWithKeepsWhatAChartDependsOn(t *testing.T) {
	t.Parallel()
	c, ds := assembled(&Chart{Display: "web"}, []File{
		{Name: "Chart.yaml", Data: []byte("apiVersion: v1\nname: web\nversion: 1.0.0\n")},
		{Name: "requirements.yaml", Data: []byte("dependencies:\n- {name: old, version: 1.0.0, condition: old.on}\n")},
		{Name: "charts/old/Chart.yaml", Data: []byte("apiVersion: v1\nname: old\nversion: 1.0.0\n")},
	})
	require.Empty(t, ds)
	got, ds := With(c, []Addition{{Chart: simple(t, "old", "3.0.0"), Alias: "new"}})
	require.Empty(t, ds)
	_, ok := got.File("requirements.yaml")
	require.False(t, ok, "what it says is in Chart.yaml")
	text, _ := got.File("Chart.yaml")
	require.Equal(t, `apiVersion: v1
dependencies:
- condition: old.on
  name: old
  version: 1.0.0
- alias: new
  condition: new.enabled
  name: old
  version: 3.0.0
name: web
version: 1.0.0
`, string(text))
	_, ok = got.File("charts/old-2/Chart.yaml")
	require.True(t, ok, "another chart of the name does not take its place")
}

func TestWithRefusesAVersionThatIsNotAskedFor(t *testing.T) {
	t.Parallel()
	at := diag.Range{File: "helmfile.yaml", Start: diag.Pos{Line: 4, Column: 5}}
	_, ds := With(simple(t, "web", "1.0.0"), []Addition{{Chart: simple(t, "extra", "0.3.0"), Version: "^1", Range: at}})
	require.Len(t, ds, 1)
	require.Equal(t, at, ds[0].Range)
	require.Contains(t, ds[0].Detail, `0.3.0, which is not in "^1"`)
}

func TestManifestsBecomeAChartThatDoesNotCarryThemOut(t *testing.T) {
	t.Parallel()
	files := fstest.MapFS{
		"app/web.yaml":            {Data: []byte("kind: {{ .Kind }}\n")},
		"app/sub/more.yml":        {Data: []byte("a: b\n")},
		"app/made.yaml.gotmpl":    {Data: []byte("name: {{ .Release.Name }}\n")},
		"app/made.yaml":           {Data: []byte("name: older\n")},
		"app/README.md":           {Data: []byte("no\n")},
		"app/script.sh.gotmpl":    {Data: []byte("no\n")},
		"elsewhere/not-here.yaml": {Data: []byte("no\n")},
	}
	read, ds, err := ReadManifests(files, "app", func(name string, text []byte) (string, diag.Diagnostics) {
		require.Equal(t, "app/made.yaml.gotmpl", name)
		return "name: carried out\n", nil
	})
	require.NoError(t, err)
	require.Empty(t, ds)
	c, ds := Manifests(read, ManifestsOptions{Name: "app", Display: "app"})
	require.Empty(t, ds)
	require.Equal(t, "app", c.Name)
	require.Equal(t, "1.0.0", c.Version)
	text, _ := c.File("templates/web.yaml")
	require.Equal(t, `{{ .Files.Get "files/templates/web.yaml" }}`, string(text))
	text, _ = c.File("files/templates/made.yaml")
	require.Equal(t, "name: carried out\n", string(text))
	var names []string
	for _, f := range c.Files {
		names = append(names, f.Name)
	}
	require.Equal(t, []string{
		"Chart.yaml", "files/templates/made.yaml", "templates/made.yaml", "files/templates/sub/more.yml", "templates/sub/more.yml",
		"files/templates/web.yaml", "templates/web.yaml",
	}, names)

	_, ds, err = ReadManifests(fstest.MapFS{"app/README.md": {Data: []byte("no\n")}}, "app", nil)
	require.NoError(t, err)
	require.Contains(t, ds[0].Detail, "no manifests")

	_, ds = Manifests(read, ManifestsOptions{Name: "app", Version: "^1.2", Display: "app"})
	require.True(t, ds.HasErrors(), "a range is no version")
}
