package chart_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/redkubes/otomi/pkg/chart"
	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/source"
	"github.com/stretchr/testify/require"
	helmchart "helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
)

func write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		name = filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o755))
		require.NoError(t, os.WriteFile(name, []byte(text), 0o644))
	}
}

func TestLoadFindsPaths(t *testing.T) {
	t.Parallel()
	s := chart.NewStore(chart.Options{Stack: stack(map[string]string{
		"charts/web/Chart.yaml":             meta("web", "1.0.0"),
		"runlevels/local/web/Chart.yaml":    meta("local", "1.0.0"),
		"runlevels/web/Chart.yaml":          meta("beside", "1.0.0"),
		"runlevels/own/Chart.yaml":          meta("own", "1.0.0"),
		"other/web/Chart.yaml":              meta("other", "1.0.0"),
		"runlevels/a.d/charts/x/Chart.yaml": meta("x", "1.0.0"),
	})})
	tests := []struct{ base, ref, want string }{
		{"runlevels", "../charts/web", "web"},
		{"runlevels", "./local/web", "local"},
		{"runlevels", "local/web", "local"},
		{"runlevels", "web", "web"},
		{"runlevels", "./web", "beside"},
		{"runlevels", "own", "own"},
		{"runlevels", "../other/web", "other"},
		{"runlevels", "../other/../other/web/", "other"},
		{"runlevels/a.d", "../charts/web", "web"},
		{"runlevels/a.d", "./charts/x", "x"},
		{"runlevels/a.d", "../../other/web", "other"},
		{"", "other/web", "other"},
		{"", "./other/web", "other"},
	}
	for _, tt := range tests {
		c, ds, err := s.Load(t.Context(), chart.Ref{Base: tt.base, Chart: tt.ref, Version: "is ignored"})
		require.NoError(t, err, tt.ref)
		require.Empty(t, ds, tt.ref)
		require.Equal(t, tt.want, c.Name, tt.ref)
	}
	for _, ref := range []string{"../../x", "../../../charts/web/..", "/charts/web", "../..", ".."} {
		_, ds, err := s.Load(t.Context(), chart.Ref{Base: "runlevels", Chart: ref})
		require.NoError(t, err)
		require.Len(t, ds, 1, ref)
		require.Equal(t, diag.ChartUnsupported, ds[0].Code, ref)
	}
}

// Links within the tree are followed in Helm's order, links that leave it or have no end are refused.
func TestLinksWithinTheTree(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, map[string]string{
		"stack/charts/web/Chart.yaml":       chartYAML,
		"stack/charts/web/.helmignore":      "*.skip\n",
		"stack/charts/web/templates/z.yaml": "z",
		"stack/shared/templates/a.yaml":     "a",
		"stack/shared/templates/b.skip":     "b",
		"stack/shared/file":                 "f",
		"outside/secret":                    "s",
	})
	web := filepath.Join(dir, "stack/charts/web")
	link := func(target, name string) { require.NoError(t, os.Symlink(target, filepath.Join(web, name))) }
	link("../../../shared/templates", "templates/more")
	link("../../shared/file", "file")
	link("../../../outside/secret", "out.skip")
	require.NoError(t, os.Symlink("web", filepath.Join(dir, "stack/charts/alias")))
	open := func(ref string) (*chart.Chart, diag.Diagnostics) {
		tree, closer, err := source.Open(filepath.Join(dir, "stack"), "stack/")
		require.NoError(t, err)
		defer closer.Close()
		c, ds, err := chart.NewStore(chart.Options{Stack: tree}).Load(t.Context(), chart.Ref{Chart: ref})
		require.NoError(t, err)
		return c, ds
	}
	helm, err := loader.LoadDir(web + "/")
	require.NoError(t, err)
	var want []string
	for _, f := range helm.Raw {
		want = append(want, f.Name)
	}
	for _, ref := range []string{"web", "alias"} {
		c, ds := open(ref)
		require.Empty(t, ds)
		require.Equal(t, want, names(c.Files))
	}

	refused := func(detail, at string) {
		t.Helper()
		c, ds := open("web")
		require.Nil(t, c)
		require.Len(t, ds, 1)
		require.Equal(t, diag.ChartUnsafe, ds[0].Code)
		require.Contains(t, ds[0].Detail, detail)
		require.Equal(t, at, ds[0].Range.File)
	}
	link("../../../../outside/secret", "templates/leaves")
	refused("leads out of the tree", "stack/charts/web/templates/leaves")
	require.NoError(t, os.Remove(filepath.Join(web, "templates/leaves")))
	link(".", "again")
	refused("no end", "stack/charts/web/again")
	require.NoError(t, os.Remove(filepath.Join(web, "again")))
	link("..", "templates/up")
	refused("no end", "stack/charts/web/templates/up")
	require.NoError(t, os.Remove(filepath.Join(web, "templates/up")))

	require.NoError(t, os.Symlink("../../outside", filepath.Join(dir, "stack/charts/out")))
	_, ds := open("out")
	require.Len(t, ds, 1)
	require.Equal(t, diag.ChartUnsafe, ds[0].Code)
}

// Helm's dependency build puts neighbours into charts/; so do we, in memory.
func TestDependenciesOfDirectories(t *testing.T) {
	t.Parallel()
	files := map[string]string{
		"charts/web/Chart.yaml": meta("web", "1.0.0") + "dependencies:\n" +
			"- {name: redis, version: 1.x, repository: 'file://../redis', alias: cache}\n" +
			"- {name: redis, version: 1.x, repository: 'file://../redis', alias: queue}\n" +
			"- {name: lib, version: '>=1', repository: 'file://../../libs/lib/'}\n" +
			"- {name: own, version: 1.0.0, repository: 'file://../nowhere'}\n",
		"charts/web/charts/own/Chart.yaml": meta("own", "1.0.0"),
		"charts/redis/Chart.yaml":          meta("redis", "1.2.3") + "dependencies: [{name: base, version: 1.0.0, repository: 'file://../base'}]\n",
		"charts/redis/templates/r.yaml":    "r",
		"charts/redis/.helmignore":         "secret\n",
		"charts/redis/secret":              "s",
		"charts/base/Chart.yaml":           meta("base", "1.0.0"),
		"charts/base/templates/b.yaml":     "b",
		"libs/lib/Chart.yaml":              meta("lib", "1.0.0") + "type: library\n",
	}
	s := chart.NewStore(chart.Options{Stack: stack(files)})
	c, ds, err := s.Load(t.Context(), chart.Ref{Chart: "web"})
	require.NoError(t, err)
	require.Empty(t, ds)
	require.Equal(t, []string{
		"Chart.yaml", "charts/own/Chart.yaml",
		"charts/redis/.helmignore", "charts/redis/Chart.yaml", "charts/redis/templates/r.yaml",
		"charts/redis/charts/base/Chart.yaml", "charts/redis/charts/base/templates/b.yaml",
		"charts/lib/Chart.yaml",
	}, names(c.Files))
	loaded, err := load(c.Files)
	require.NoError(t, err)
	require.Len(t, loaded.Dependencies(), 3)
	require.Equal(t, "builtin:charts/redis/templates/r.yaml", c.Shown("charts/redis/templates/r.yaml"))
	require.Equal(t, "builtin:charts/base/templates/b.yaml", c.Shown("charts/redis/charts/base/templates/b.yaml"))
	require.Equal(t, "builtin:charts/web/charts/own/Chart.yaml", c.Shown("charts/own/Chart.yaml"))
}

func TestDependenciesThatCannotBeTaken(t *testing.T) {
	t.Parallel()
	needs := func(name, version, repository string) string {
		return fmt.Sprintf("dependencies:\n- name: %s\n  version: %q\n  repository: %q\n", name, version, repository)
	}
	files := map[string]string{
		"charts/gone/Chart.yaml":     meta("gone", "1.0.0") + needs("x", "1.x", "file://../nowhere"),
		"charts/file/Chart.yaml":     meta("file", "1.0.0") + needs("x", "1.x", "file://Chart.yaml"),
		"charts/out/Chart.yaml":      meta("out", "1.0.0") + needs("x", "1.x", "file://../../../x"),
		"charts/absolute/Chart.yaml": meta("absolute", "1.0.0") + needs("x", "1.x", "file:///etc"),
		"charts/old/Chart.yaml":      meta("old", "1.0.0") + needs("base", "2.x", "file://../base"),
		"charts/other/Chart.yaml":    meta("other", "1.0.0") + needs("bass", "1.x", "file://../base"),
		"charts/base/Chart.yaml":     meta("base", "1.0.0"),
		"charts/self/Chart.yaml":     meta("self", "1.0.0") + needs("self", "1.x", "file://."),
		"charts/a/Chart.yaml":        meta("a", "1.0.0") + needs("b", "1.x", "file://../b"),
		"charts/b/Chart.yaml":        meta("b", "1.0.0") + needs("c", "1.x", "file://../c"),
		"charts/c/Chart.yaml":        meta("c", "1.0.0") + needs("b", "1.x", "file://../b"),
		"charts/alias/Chart.yaml":    meta("alias", "1.0.0") + needs("x", "1.x", "@stable"),
		"charts/scheme/Chart.yaml":   meta("scheme", "1.0.0") + needs("x", "1.x", "s3://bucket"),
		"charts/stable/Chart.yaml":   meta("stable", "1.0.0") + needs("x", "1.x", "stable"),
		"charts/name/Chart.yaml":     meta("name", "1.0.0") + needs("../x", "1.x", "https://example.com"),
		"charts/remote/Chart.yaml":   meta("remote", "1.0.0") + needs("x", "1.x", "https://me:hunter2@example.com/charts"),
		"charts/big/Chart.yaml":      meta("big", "1.0.0") + needs("bigger", "1.x", "file://../bigger"),
		"charts/bigger/Chart.yaml":   meta("bigger", "1.0.0"),
		"charts/bigger/x":            strings.Repeat("x", 5<<20+1),
		"charts/unsynced/Chart.yaml": meta("unsynced", "1.0.0") + needs("x", "1.x", "https://example.com"),
		"charts/unsynced/Chart.lock": "digest: sha256:0\ngenerated: \"2024-01-01T00:00:00Z\"\ndependencies: [{name: x, version: 1.0.0, repository: 'https://example.com'}]\n",
	}
	tests := []struct {
		name   string
		code   diag.Code
		at     string
		detail string
	}{
		{"gone", diag.ChartDependency, "Chart.yaml:5:9", "no directory builtin:charts/nowhere"},
		{"file", diag.ChartDependency, "Chart.yaml:5:9", "is no directory"},
		{"out", diag.ChartDependency, "Chart.yaml:5:9", "leads out of the stack"},
		{"absolute", diag.ChartDependency, "Chart.yaml:5:9", "absolute path"},
		{"old", diag.ChartDependency, "Chart.yaml:5:9", "has version 1.0.0"},
		{"other", diag.ChartDependency, "Chart.yaml:5:9", `is called "base"`},
		{"self", diag.ChartDependency, "Chart.yaml:5:9", "builtin:charts/self → builtin:charts/self"},
		{"a", diag.ChartDependency, "../c/Chart.yaml:5:9", "each other: builtin:charts/b → builtin:charts/c → builtin:charts/b"},
		{"alias", diag.ChartDependency, "Chart.yaml:5:9", `no repository is called "stable"`},
		{"scheme", diag.ChartDependency, "Chart.yaml:5:9", "no address of a repository"},
		{"stable", diag.ChartDependency, "Chart.yaml:5:9", "no address of a repository"},
		{"name", diag.ChartDependency, "Chart.yaml:5:9", "no name of a chart"},
		{"remote", diag.ChartNotFetched, "Chart.yaml:5:9", "the chart x 1.x from https://example.com/charts"},
		{"big", diag.ChartBudget, "charts/bigger/x", "more than 5 MiB"},
		{"unsynced", diag.ChartDependency, "Chart.lock", "helm dependency update"},
	}
	s := chart.NewStore(chart.Options{Stack: stack(files)})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, ds, err := s.Load(t.Context(), chart.Ref{Chart: tt.name})
			require.NoError(t, err)
			require.Nil(t, c)
			require.Len(t, ds, 1)
			require.Equal(t, tt.code, ds[0].Code, ds[0].Detail)
			require.Contains(t, ds[0].Detail, tt.detail)
			require.NotContains(t, ds[0].Detail, "hunter2")
			want := "builtin:" + filepath.Join("charts", tt.name, tt.at)
			require.Equal(t, want, ds[0].Range.String())
			if ds[0].Range.Start.Line > 0 {
				require.Contains(t, s.Sources(), ds[0].Range.File)
			}
		})
	}
}

// What a chart may have counts over all that it is made of.
func TestDependenciesShareTheBudget(t *testing.T) {
	t.Parallel()
	files := map[string]string{}
	needs := "dependencies:\n"
	for i := range 11 {
		name := fmt.Sprintf("part%d", i)
		needs += fmt.Sprintf("- {name: %s, version: 1.x, repository: 'file://../%s'}\n", name, name)
		files["charts/"+name+"/Chart.yaml"] = meta(name, "1.0.0")
		files["charts/"+name+"/a"] = strings.Repeat("x", 5<<20)
		files["charts/"+name+"/b"] = strings.Repeat("y", 5<<20)
	}
	files["charts/web/Chart.yaml"] = meta("web", "1.0.0") + needs
	_, ds, err := chart.NewStore(chart.Options{Stack: stack(files)}).Load(t.Context(), chart.Ref{Chart: "web"})
	require.NoError(t, err)
	require.Len(t, ds, 1)
	require.Equal(t, diag.ChartBudget, ds[0].Code)

	// Each needs the next one twice: 2^20 copies.
	files = map[string]string{}
	for i := range 20 {
		name := fmt.Sprintf("c%d", i)
		files["charts/"+name+"/Chart.yaml"] = meta(name, "1.0.0") + fmt.Sprintf("dependencies:\n- {name: c%d, version: 1.x, repository: 'file://../c%d'}\n- {name: d%d, version: 1.x, repository: 'file://../d%d'}\n", i+1, i+1, i, i)
		files["charts/d"+fmt.Sprint(i)+"/Chart.yaml"] = meta("d"+fmt.Sprint(i), "1.0.0") + fmt.Sprintf("dependencies:\n- {name: c%d, version: 1.x, repository: 'file://../c%d'}\n", i+1, i+1)
	}
	files["charts/c20/Chart.yaml"] = meta("c20", "1.0.0")
	_, ds, err = chart.NewStore(chart.Options{Stack: stack(files)}).Load(t.Context(), chart.Ref{Chart: "c0"})
	require.NoError(t, err)
	require.NotEmpty(t, ds)
	require.Equal(t, diag.ChartBudget, ds[0].Code)
}

// A named pipe was opened, and stopped everything for ever.
func TestPipeInAChartIsRefused(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"pipe", ".helmignore"} {
		dir := t.TempDir()
		write(t, dir, map[string]string{"charts/web/Chart.yaml": chartYAML})
		pipe(t, filepath.Join(dir, "charts/web", name))
		tree, closer, err := source.Open(dir, "")
		require.NoError(t, err)
		_, ds, err := chart.NewStore(chart.Options{Stack: tree}).Load(t.Context(), chart.Ref{Chart: "web"})
		require.NoError(t, err)
		require.Len(t, ds, 1)
		require.Equal(t, diag.ChartUnsafe, ds[0].Code)
		require.NoError(t, closer.Close())
	}
	dir := t.TempDir()
	pipe(t, filepath.Join(dir, chart.LockFile))
	_, _, err := chart.ReadLock(source.Tree{FS: os.DirFS(dir)})
	require.ErrorContains(t, err, "not a regular file")
}

// slow is a network that is asked once and waits.
type slow struct {
	asked, answer chan struct{}
}

func (s slow) Resolve(ctx context.Context, r chart.Ref) (chart.Resolved, diag.Diagnostics, error) {
	s.asked <- struct{}{}
	select {
	case <-s.answer:
		return chart.Resolved{}, nil, errors.New("no network")
	case <-ctx.Done():
		return chart.Resolved{}, nil, ctx.Err()
	}
}

func (slow) Fetch(context.Context, chart.Ref, chart.Resolved) (chart.Fetched, diag.Diagnostics, error) {
	return chart.Fetched{}, nil, errors.New("not asked for")
}

// Who gives up takes nothing from those who still wait.
func TestCancelledLoadPoisonsNoOther(t *testing.T) {
	t.Parallel()
	network := slow{asked: make(chan struct{}, 2), answer: make(chan struct{})}
	s := chart.NewStore(chart.Options{Stack: stack(nil), Network: network})
	ref := chart.Ref{Chart: "oci://example.com/web"}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	var first, second error
	wg.Go(func() { _, _, first = s.Load(ctx, ref) })
	<-network.asked
	wg.Go(func() { _, _, second = s.Load(t.Context(), ref) })
	waiting, stop := context.WithCancel(t.Context())
	stop()
	_, _, err := s.Load(waiting, ref)
	require.ErrorIs(t, err, context.Canceled)
	cancel()
	<-network.asked
	close(network.answer)
	wg.Wait()
	require.ErrorIs(t, first, context.Canceled)
	require.ErrorContains(t, second, "no network")
}

// Two releases of one broken chart both hear of it, at their own places.
func TestDiagnosticsStandAtTheirOwnReference(t *testing.T) {
	t.Parallel()
	s := chart.NewStore(chart.Options{Stack: stack(nil)})
	for _, line := range []int{3, 9} {
		at := diag.Range{File: "50.yaml", Start: diag.Pos{Line: line, Column: 1}}
		_, ds, err := s.Load(t.Context(), chart.Ref{Chart: "oci://example.com/web", Range: at})
		require.NoError(t, err)
		require.Len(t, ds, 1)
		require.Equal(t, at, ds[0].Range)
	}
}

func dependencies(c *helmchart.Chart) []string {
	var out []string
	for _, d := range c.Dependencies() {
		out = append(out, d.Name()+"-"+d.Metadata.Version)
	}
	slices.Sort(out)
	return out
}
