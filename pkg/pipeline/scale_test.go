package pipeline_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/layer"
	"github.com/redkubes/otomi/pkg/merge"
	"github.com/redkubes/otomi/pkg/pipeline"
	"github.com/redkubes/otomi/pkg/source"
	"github.com/redkubes/otomi/pkg/value"
)

func open(tb testing.TB, dir string) *pipeline.Platform {
	tb.Helper()
	platform, diags, err := pipeline.Open(tb.Context(), pipeline.Options{Dir: dir, Builtin: source.Tree{}})
	require.NoError(tb, err)
	require.Empty(tb, diags)
	tb.Cleanup(func() { platform.Close() })
	return platform
}

// all returns the clusters of a platform.
func all(tb testing.TB, platform *pipeline.Platform) []pipeline.Cluster {
	tb.Helper()
	clusters, diags := platform.Clusters("", true)
	require.Empty(tb, diags)
	return clusters
}

func TestAFleetIsAsLargeAsItSays(t *testing.T) {
	t.Parallel()
	f := hundredLayers(4)
	require.Equal(t, 100, f.layers())
	platform := open(t, f.write(t))
	clusters, diags := platform.Clusters("", true)
	require.Empty(t, diags)
	require.Len(t, clusters, 4)
	for _, c := range clusters {
		values, diags, err := platform.Validate(t.Context(), c)
		require.NoError(t, err)
		require.Empty(t, diags)
		leaves := 0
		values.Root.Walk(func(_ value.Path, n *value.Node) bool {
			if n.Kind != value.Map && n.Kind != value.List {
				leaves++
			}
			return true
		})
		require.Greater(t, leaves, 2000)
	}
}

// spoil makes a fleet's repository wrong in generic layers, in those of a cloud and in those of some clusters.
func spoil(tb testing.TB, dir string) {
	tb.Helper()
	put := func(name, text string) {
		require.NoError(tb, os.WriteFile(filepath.Join(dir, filepath.FromSlash(name)), []byte(text), 0o644))
	}
	put("env/zz.yaml", "apps:\n  app00: { replicas: many, bogus: 1 }\n  app99: {}\nteams: { team00: { title: 5 } }\n")
	put("env/clouds/cloud1/zz.yaml", "apps: { app01: { replicas: 99 } }\n")
	put("env/clouds/cloud1/cluster0001/zz.yaml", "apps: { app01: [] }\nplatform: { part00: { enabled: yes } }\n")
	put("env/clouds/cloud2/cluster0002/zz.yaml", "apps: { app02: \n")
}

func TestClustersValidatedSideBySideFindWhatOneAfterTheOtherDoes(t *testing.T) {
	t.Parallel()
	dir := hundredLayers(12).write(t)
	spoil(t, dir)
	var want diag.Collection
	lonely := open(t, dir)
	for _, c := range all(t, lonely) {
		// A platform of its own for each cluster shares nothing.
		_, diags, err := open(t, dir).Validate(t.Context(), c)
		require.NoError(t, err)
		want.Add(c.ID, diags)
	}
	require.GreaterOrEqual(t, len(want.Diagnostics()), 6)
	for range 3 {
		platform := open(t, dir)
		done := 0
		got, err := platform.ValidateAll(t.Context(), all(t, platform), pipeline.ValidateOptions{Emit: func(p pipeline.Progress) {
			done++
			require.Equal(t, pipeline.Progress{Done: done, Total: 12}, p)
		}})
		require.NoError(t, err)
		require.Equal(t, 12, done)
		require.Equal(t, want.Diagnostics(), got.Diagnostics)
	}
}

func TestTheSharedFoldOfAFleetEqualsTheUnshared(t *testing.T) {
	t.Parallel()
	dir := hundredLayers(6).write(t)
	tree, closer, err := source.Open(dir, "")
	require.NoError(t, err)
	defer closer.Close()
	repository, diags, err := layer.OpenRepository(tree)
	require.NoError(t, err)
	require.Empty(t, diags)
	o := merge.Options{Lists: func(p value.Path) merge.Strategy {
		return merge.Strategy{Append: len(p) == 3 && p[2].Key == "members"}
	}}
	folder := merge.NewFolder(o)
	for _, c := range repository.Clusters() {
		layers, _, err := repository.Layers(c, layer.Options{})
		require.NoError(t, err)
		want, _ := merge.Fold(layers, o)
		got, _ := folder.Fold(layers)
		require.Equal(t, want, got, c.ID)
	}
}

func TestARunOverAFleetParsesEachLayerOnce(t *testing.T) {
	t.Parallel()
	f := hundredLayers(20) // as many as make every combination of applications that the fleet has
	platform := open(t, f.write(t))
	_, err := platform.ValidateAll(t.Context(), all(t, platform), pipeline.ValidateOptions{})
	require.NoError(t, err)
	const settingsAndRegistry = 2
	require.Equal(t, f.files()+settingsAndRegistry, platform.Stats().Parsed)
	parts := platform.Stats().Shared

	more := hundredLayers(40)
	platform = open(t, more.write(t))
	_, err = platform.ValidateAll(t.Context(), all(t, platform), pipeline.ValidateOptions{})
	require.NoError(t, err)
	require.Equal(t, more.files()+settingsAndRegistry, platform.Stats().Parsed)
	require.Equal(t, parts, platform.Stats().Shared, "what clusters share is folded once, however many they are")
}

func TestAReloadParsesOneLayer(t *testing.T) {
	t.Parallel()
	dir := hundredLayers(4).write(t)
	platform := open(t, dir)
	clusters := all(t, platform)
	_, diags, err := platform.Validate(t.Context(), clusters[0])
	require.NoError(t, err)
	require.Empty(t, diags)
	before := platform.Stats().Parsed

	name := "env/apps/app00.yaml"
	if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
		found, err := filepath.Glob(filepath.Join(dir, "env/apps/*.yaml"))
		require.NoError(t, err)
		name = "env/apps/" + filepath.Base(found[0])
	}
	require.Empty(t, platform.Reload(name, []byte("apps:\n  app00:\n    bogus: 1\n")))
	_, diags, err = platform.Validate(t.Context(), clusters[0])
	require.NoError(t, err)
	require.Len(t, diags, 1)
	require.Equal(t, diag.ValuesUnknownKey, diags[0].Code)
	require.Equal(t, name+":3:5", diags[0].Range.String())
	require.Equal(t, before+1, platform.Stats().Parsed)

	diags = platform.Reload(name, []byte("apps: {"))
	require.Len(t, diags, 1)
	require.Equal(t, diag.YAMLSyntax, diags[0].Code)
	require.Empty(t, platform.Reload(name, []byte("apps: {}\n")))
	require.Empty(t, platform.Reload("env/clusters.yaml", []byte("clouds: { cloud0: { clusters: { cluster0000: {} } } }\n")))
	require.Len(t, all(t, platform), 1)
}

func TestTheMemoryOfACluster(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: it measures allocations of whole runs; make test runs it")
	}
	perCluster := func(n int) float64 {
		f := hundredLayers(n)
		platform := open(t, f.write(t))
		clusters := all(t, platform)
		// What is done once is done before.
		_, err := platform.ValidateAll(t.Context(), clusters[:4], pipeline.ValidateOptions{})
		require.NoError(t, err)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err = platform.ValidateAll(t.Context(), clusters, pipeline.ValidateOptions{})
		require.NoError(t, err)
		runtime.ReadMemStats(&after)
		return float64(after.TotalAlloc-before.TotalAlloc) / float64(n)
	}
	few, many := perCluster(50), perCluster(200)
	require.InDelta(t, 1, many/few, 0.25, "bytes a cluster: %.0f of 50, %.0f of 200", few, many)
}

func TestACancelledRunSaysSo(t *testing.T) {
	t.Parallel()
	platform := open(t, hundredLayers(4).write(t))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := platform.ValidateAll(ctx, all(t, platform), pipeline.ValidateOptions{})
	require.ErrorIs(t, err, context.Canceled)
}

func TestLintOfAFleetNamesWhatIsSaidTwice(t *testing.T) {
	t.Parallel()
	dir := hundredLayers(8).write(t)
	platform := open(t, dir)
	found, err := platform.Lint(t.Context(), all(t, platform), pipeline.ValidateOptions{})
	require.NoError(t, err)
	require.NotEmpty(t, found.Diagnostics)
	require.False(t, found.Diagnostics.HasErrors())
	for _, code := range []diag.Code{diag.LintRedundantValue, diag.LintUnusedKey} {
		require.True(t, slices.ContainsFunc(found.Diagnostics, func(d diag.Diagnostic) bool { return d.Code == code }), code)
	}
}

func BenchmarkValidateAll(b *testing.B) {
	for _, n := range []int{10, 100, 1000} {
		b.Run(map[int]string{10: "10-clusters", 100: "100-clusters", 1000: "1000-clusters"}[n], func(b *testing.B) {
			dir := hundredLayers(n).write(b)
			b.ReportAllocs()
			for b.Loop() {
				platform := open(b, dir)
				clusters, _ := platform.Clusters("", true)
				found, err := platform.ValidateAll(b.Context(), clusters, pipeline.ValidateOptions{})
				require.NoError(b, err)
				require.Empty(b, found.Diagnostics)
			}
			var usage syscall.Rusage
			require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
			b.ReportMetric(float64(usage.Maxrss)/1024, "peak-MiB") // of this process so far, the generator included
		})
	}
}

// BenchmarkGrowth shows what a cluster costs with more layers and more keys, all cores at work.
func BenchmarkGrowth(b *testing.B) {
	for _, layers := range []int{25, 50, 100} {
		for _, keys := range []int{1, 2, 4} {
			if layers != 100 && keys != 1 {
				continue
			}
			b.Run(fmt.Sprintf("%d-layers-%dx-keys", layers, keys), func(b *testing.B) {
				const clusters = 40
				f := hundredLayers(clusters)
				f.settings, f.apps, f.teams = f.settings*layers/100, f.apps*layers/100, f.teams*layers/100
				f.perCloud, f.perCluster = f.perCloud*layers/100, f.perCluster*layers/100
				f.keys = keys
				platform := open(b, f.write(b))
				list := all(b, platform)
				b.ReportAllocs()
				for b.Loop() {
					found, err := platform.ValidateAll(b.Context(), list, pipeline.ValidateOptions{})
					require.NoError(b, err)
					require.Empty(b, found.Diagnostics)
				}
				b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/clusters, "µs/cluster")
			})
		}
	}
}

func BenchmarkLint(b *testing.B) {
	platform := open(b, hundredLayers(100).write(b))
	clusters := all(b, platform)
	b.ReportAllocs()
	for b.Loop() {
		_, err := platform.Lint(b.Context(), clusters, pipeline.ValidateOptions{})
		require.NoError(b, err)
	}
}

// BenchmarkRevalidate is what an editor does at each keystroke: one file changed, one cluster validated again.
func BenchmarkRevalidate(b *testing.B) {
	b.Run("fleet", func(b *testing.B) {
		dir := hundredLayers(10).write(b)
		revalidate(b, open(b, dir), dir, "env/clouds/cloud0/layer03.yaml")
	})
	b.Run("real", func(b *testing.B) {
		dir := realInput(b)
		platform, diags, err := pipeline.Open(b.Context(), pipeline.Options{Dir: dir, Schema: "values-schema.yaml", Builtin: source.Tree{FS: fstest.MapFS{"runlevels/10-none.yaml": {Data: []byte("releases: []\n")}}}})
		require.NoError(b, err)
		require.False(b, diags.HasErrors(), "%v", diags)
		b.Cleanup(func() { platform.Close() })
		revalidate(b, platform, dir, "env/settings.yaml")
	})
}

func revalidate(b *testing.B, platform *pipeline.Platform, dir, name string) {
	clusters, diags := platform.Clusters("", true)
	require.Empty(b, diags)
	text, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(name)))
	require.NoError(b, err)
	_, _, err = platform.Validate(b.Context(), clusters[0])
	require.NoError(b, err)
	b.ReportAllocs()
	for b.Loop() {
		platform.Reload(name, text)
		_, diags, err := platform.Validate(b.Context(), clusters[0])
		require.NoError(b, err)
		require.False(b, diags.HasErrors(), "%v", diags)
	}
}

// realInput is a copy of a real values tree, with the two patterns of its schema replaced that Go does not know, and the
// hierarchy that its README describes.
func realInput(tb testing.TB) string {
	tb.Helper()
	fixture := filepath.Join("..", "..", "..", "shared", "fixtures", "otomi-v0.13")
	if _, err := os.Stat(fixture); err != nil {
		tb.Skip("the real values tree is not on this machine: " + fixture)
	}
	dir := tb.TempDir()
	require.NoError(tb, os.CopyFS(dir, os.DirFS(fixture)))
	text, err := os.ReadFile(filepath.Join(dir, "values-schema.yaml"))
	require.NoError(tb, err)
	lines := bytes.Split(text, []byte("\n"))
	for i, line := range lines {
		if bytes.Contains(line, []byte("pattern:")) && bytes.Contains(line, []byte("(?<")) {
			lines[i] = append(line[:bytes.Index(line, []byte("pattern:"))], "pattern: ^.*$"...)
		}
	}
	require.NoError(tb, os.WriteFile(filepath.Join(dir, "values-schema.yaml"), bytes.Join(lines, []byte("\n")), 0o644))
	require.NoError(tb, os.Rename(filepath.Join(dir, "core.yaml"), filepath.Join(dir, "env", "zz-core.yaml")))
	require.NoError(tb, os.WriteFile(filepath.Join(dir, "otomi.yaml"), []byte(
		"version: 1\nexclude: [env/policies.yaml]\nhierarchy: [env/cluster.yaml, env/settings.yaml, env/teams.yaml, env/charts/*.yaml, env/teams/*.yaml, env/zz-core.yaml, env/*.yaml]\n"), 0o644))
	return dir
}
