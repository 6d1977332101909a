package transform_test

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/rogpeppe/go-internal/txtar"
	"github.com/stretchr/testify/require"

	"github.com/redkubes/otomi/pkg/chart"
	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/manifest"
	"github.com/redkubes/otomi/pkg/render"
	"github.com/redkubes/otomi/pkg/runlevel"
	"github.com/redkubes/otomi/pkg/transform"
	"github.com/redkubes/otomi/pkg/yaml"
)

// TestApply renders the chart of each archive in testdata/apply, changes it as release.yaml says, and compares what comes of
// it, or the diagnostics, with want. OTOMI_UPDATE=1 writes want again.
func TestApply(t *testing.T) {
	t.Parallel()
	for _, file := range archives(t, "testdata/apply/*.txtar") {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel()
			a := parse(t, file)
			r := render.New()
			req := request(t, r, a.files)
			out, ds, err := transform.Apply(context.Background(), r, req)
			require.NoError(t, err)
			a.golden(t, written(out, ds))
		})
	}
}

// TestBuild builds the kustomization in dir/ of each archive in testdata/build with the values of values.yaml.
func TestBuild(t *testing.T) {
	t.Parallel()
	for _, file := range archives(t, "testdata/build/*.txtar") {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel()
			a := parse(t, file)
			var o struct {
				Namespace string
				Values    map[string]any
			}
			require.NoError(t, yaml.DecodeInto(a.text("options.yaml"), &o))
			out, ds, _, err := transform.Build(context.Background(), a.files, "dir", transform.BuildOptions{
				Display: "root", Values: o.Values, Namespace: o.Namespace, Range: diag.Range{File: "helmfile.yaml", Start: diag.Pos{Line: 3, Column: 10}},
			})
			require.NoError(t, err)
			a.golden(t, told(ds)+string(out))
		})
	}
}

func archives(t *testing.T, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(pattern)
	require.NoError(t, err)
	require.NotEmpty(t, files)
	return files
}

// archive is a txtar file; want is its last part.
type archive struct {
	name   string
	parsed *txtar.Archive
	files  fstest.MapFS
}

func parse(t *testing.T, name string) *archive {
	t.Helper()
	parsed, err := txtar.ParseFile(name)
	require.NoError(t, err)
	a := &archive{name: name, parsed: parsed, files: fstest.MapFS{}}
	for _, f := range parsed.Files {
		if f.Name != "want" {
			a.files[f.Name] = &fstest.MapFile{Data: f.Data, Mode: 0o644}
		}
	}
	return a
}

func (a *archive) text(name string) []byte {
	if f := a.files[name]; f != nil {
		return f.Data
	}
	return nil
}

func (a *archive) golden(t *testing.T, got string) {
	t.Helper()
	for i, f := range a.parsed.Files {
		if f.Name != "want" {
			continue
		}
		if os.Getenv("OTOMI_UPDATE") != "" {
			a.parsed.Files[i].Data = []byte(got)
			require.NoError(t, os.WriteFile(a.name, txtar.Format(a.parsed), 0o644))
			return
		}
		require.Equal(t, string(f.Data), got, a.name)
		return
	}
	require.Fail(t, a.name+" has no want")
}

// spec is release.yaml.
type spec struct {
	JSONPatches           []map[string]any `json:"jsonPatches"`
	StrategicMergePatches []map[string]any `json:"strategicMergePatches"`
	Transformers          []map[string]any `json:"transformers"`
	ForceNamespace        string           `json:"forceNamespace"`
	// ManifestNamespace is Request.Namespace.
	ManifestNamespace string         `json:"manifestNamespace"`
	Values            map[string]any `json:"values"`
}

// request renders the chart in chart/.
func request(t *testing.T, r *render.Renderer, files fstest.MapFS) transform.Request {
	t.Helper()
	var s spec
	if f := files["release.yaml"]; f != nil {
		require.NoError(t, yaml.DecodeInto(f.Data, &s))
	}
	return rendered(t, r, loaded(t, files, "chart"), runlevel.Release{
		Name: "web", Namespace: "apps", Values: s.Values, JSONPatches: s.JSONPatches, StrategicMergePatches: s.StrategicMergePatches,
		Transformers: s.Transformers, ForceNamespace: s.ForceNamespace, Range: diag.Range{File: "helmfile.yaml", Start: diag.Pos{Line: 2, Column: 3}},
	}, transform.Request{Namespace: s.ManifestNamespace, Files: host{files}, Dir: "state"})
}

func rendered(t *testing.T, r *render.Renderer, c *chart.Chart, rel runlevel.Release, req transform.Request) transform.Request {
	t.Helper()
	req.Request = render.Request{Release: rel, Chart: c}
	out, ds, err := r.Render(context.Background(), req.Request, render.Capabilities{KubeVersion: render.Newest(), APIVersions: render.BuiltIn()})
	require.NoError(t, err)
	require.Empty(t, ds)
	req.Rendered = out
	return req
}

// loaded makes a chart of the files below dir.
func loaded(t *testing.T, files fs.FS, dir string) *chart.Chart {
	t.Helper()
	c := &chart.Chart{Display: dir, Range: diag.Range{File: dir + "/Chart.yaml"}, Digest: t.Name() + dir}
	err := fs.WalkDir(files, dir, func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		data, err := fs.ReadFile(files, name)
		c.Files = append(c.Files, chart.File{Name: strings.TrimPrefix(name, dir+"/"), Data: data})
		return err
	})
	require.NoError(t, err)
	text, ok := c.File("Chart.yaml")
	require.True(t, ok, "Chart.yaml")
	var metadata struct{ Name, Version string }
	require.NoError(t, yaml.DecodeInto(text, &metadata))
	c.Name, c.Version = metadata.Name, metadata.Version
	return c
}

// host are template.Files in memory.
type host struct{ fstest.MapFS }

// written shows a release: its text as it is, hooks and definitions behind it.
func written(r manifest.Release, ds diag.Diagnostics) string {
	var b strings.Builder
	b.WriteString(told(ds))
	b.WriteString(r.Text)
	for _, h := range r.Hooks {
		fmt.Fprintf(&b, "--- hook %v %d\n# Source: %s\n%s\n", h.Events, h.Weight, h.Source, h.Text)
	}
	for _, o := range r.CRDs {
		fmt.Fprintf(&b, "--- crd\n# Source: %s\n%s\n", o.Source, o.Text)
	}
	for _, o := range r.Objects {
		fmt.Fprintf(&b, "# object %s\n", o.ID)
	}
	return b.String()
}

func told(ds diag.Diagnostics) string {
	var b strings.Builder
	for _, d := range ds {
		fmt.Fprintf(&b, "%s: %s: %s: %s\n", d.Range, d.Severity, d.Code, d.Detail)
	}
	return b.String()
}

// small is a chart of one Deployment.
func small() *chart.Chart {
	return &chart.Chart{Name: "small", Display: "small", Digest: "small", Files: []chart.File{
		{Name: "Chart.yaml", Data: []byte("apiVersion: v2\nname: small\nversion: 0.1.0\n")},
		{Name: "templates/web.yaml", Data: []byte("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {replicas: 1}\n")},
	}}
}

// Kustomize looks kinds up in a schema of the whole process, which is not guarded.
func TestReleasesSideBySide(t *testing.T) {
	t.Parallel()
	r := render.New()
	want := ""
	results := make(chan string, 16)
	for range cap(results) {
		go func() {
			rel := runlevel.Release{Name: "web", Namespace: "apps", Values: map[string]any{}, StrategicMergePatches: []map[string]any{{
				"apiVersion": "apps/v1", "kind": "Deployment", "metadata": map[string]any{"name": "web"}, "spec": map[string]any{"replicas": int64(3)},
			}}}
			req := transform.Request{Request: render.Request{Release: rel, Chart: small()}}
			out, _, err := r.Render(context.Background(), req.Request, render.Capabilities{KubeVersion: render.Newest()})
			if err == nil {
				req.Rendered = out
				out, _, err = transform.Apply(context.Background(), r, req)
			}
			results <- fmt.Sprint(out.Text, err)
		}()
	}
	for range cap(results) {
		got := <-results
		if want == "" {
			want = got
		}
		require.Equal(t, want, got)
	}
	require.Contains(t, want, "replicas: 3")
}
