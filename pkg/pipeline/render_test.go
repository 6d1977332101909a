package pipeline_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/pipeline"
	"github.com/redkubes/otomi/pkg/source"
)

// rendering writes a repository with a chart and releases of it, by their names and what their values say.
func rendering(tb testing.TB, template string, names []string, values func(name string) string) string {
	tb.Helper()
	dir := tb.TempDir()
	var releases strings.Builder
	releases.WriteString("releases:\n")
	for _, name := range names {
		fmt.Fprintf(&releases, "  - {name: %s, namespace: apps, chart: ../charts/web, values: [%s]}\n", name, values(name))
	}
	for name, text := range map[string]string{
		"otomi.yaml":                           "version: 1\nstack: stack\n",
		"stack/schema/values.schema.yaml":      "type: object\n",
		"stack/runlevels/10-apps.yaml":         releases.String(),
		"stack/charts/web/Chart.yaml":          "apiVersion: v2\nname: web\nversion: 1.0.0\n",
		"stack/charts/web/templates/text.yaml": template,
	} {
		name = filepath.Join(dir, filepath.FromSlash(name))
		require.NoError(tb, os.MkdirAll(filepath.Dir(name), 0o755))
		require.NoError(tb, os.WriteFile(name, []byte(text), 0o600))
	}
	return dir
}

// stageOf opens a repository with a cache, or with "" without one, and evaluates its only cluster.
func stageOf(tb testing.TB, dir, cacheDir string) (*pipeline.Platform, pipeline.Stage) {
	tb.Helper()
	platform, diags, err := pipeline.Open(tb.Context(), pipeline.Options{
		Dir: dir, Builtin: source.Tree{}, Cache: pipeline.CacheOptions{Dir: cacheDir, Build: "test"},
	})
	require.NoError(tb, err)
	require.Empty(tb, diags)
	tb.Cleanup(func() { platform.Close() })
	clusters, diags := platform.Clusters("", false)
	require.Empty(tb, diags)
	values, diags, err := platform.Validate(tb.Context(), clusters[0])
	require.NoError(tb, err)
	require.Empty(tb, diags)
	stage, diags := platform.Evaluate(tb.Context(), values, nil)
	require.Empty(tb, diags)
	return platform, stage
}

func numbered(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("r%03d", i)
	}
	return names
}

const configMap = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: {{ .Release.Name }}}\n"

func TestReleasesAreHandedOverInTheirOrder(t *testing.T) {
	t.Parallel()
	names := numbered(60)
	dir := rendering(t, configMap, names, func(string) string { return "{}" })
	cacheDir := t.TempDir()
	var first []string
	for range 3 {
		platform, stage := stageOf(t, dir, cacheDir)
		var got, texts []string
		diags, err := platform.Render(t.Context(), stage, pipeline.Capabilities{}, func(r pipeline.Rendered) error {
			got, texts = append(got, r.Name), append(texts, r.Text)
			require.Contains(t, r.File, "runlevels/10-apps.yaml")
			return nil
		})
		require.NoError(t, err)
		require.Empty(t, diags)
		require.Equal(t, names, got)
		if first == nil {
			first = texts
		}
		require.Equal(t, first, texts)
		require.NoError(t, platform.CacheFailure())
	}
	caches, err := pipeline.LookIntoCaches(cacheDir)
	require.NoError(t, err)
	require.Equal(t, "render", caches[1].Name)
	require.Equal(t, len(names), caches[1].Entries)
}

func TestAfterAnErrorNothingIsTakenAndAllErrorsAreFound(t *testing.T) {
	t.Parallel()
	dir := rendering(t, configMap+"data: {a: {{ required \"give a\" .Values.a }}}\n", numbered(40), func(name string) string {
		if name == "r010" || name == "r030" {
			return "{}"
		}
		return "{a: b}"
	})
	platform, stage := stageOf(t, dir, "")
	taken := 0
	diags, err := platform.Render(t.Context(), stage, pipeline.Capabilities{}, func(pipeline.Rendered) error {
		taken++
		return nil
	})
	require.NoError(t, err)
	require.Equal(t, 10, taken)
	failed, _ := diags.Count()
	require.Equal(t, 2, failed)
	require.Contains(t, diags[0].Detail, "apps/r010")
	require.Contains(t, diags[1].Detail, "apps/r030")
}

func TestTheErrorOfWhoTakesEndsTheRun(t *testing.T) {
	t.Parallel()
	platform, stage := stageOf(t, rendering(t, configMap, numbered(20), func(string) string { return "{}" }), "")
	full := errors.New("no space left")
	_, err := platform.Render(t.Context(), stage, pipeline.Capabilities{}, func(pipeline.Rendered) error { return full })
	require.ErrorIs(t, err, full)
}

func TestAnObjectOfTwoReleasesIsFoundWhenAllWereTaken(t *testing.T) {
	t.Parallel()
	template := configMap + "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: {{ .Values.other }}}\n"
	dir := rendering(t, template, numbered(30), func(name string) string {
		if name == "r005" || name == "r025" {
			return "{other: shared}"
		}
		return "{other: of-" + name + "}"
	})
	platform, stage := stageOf(t, dir, t.TempDir())
	for range 2 {
		diags, err := platform.Render(t.Context(), stage, pipeline.Capabilities{}, func(pipeline.Rendered) error { return nil })
		require.NoError(t, err)
		require.Len(t, diags, 1)
		require.Equal(t, diag.RenderDuplicate, diags[0].Code)
		require.Contains(t, diags[0].Detail, "apps/r005")
		require.Contains(t, diags[0].Detail, "apps/r025")
	}
}

// TestMemoryDoesNotGrowWithTheReleases renders 10 MiB and looks at what is held meanwhile; once with charts that speak of
// custom resource definitions, whose releases are rendered before the others to learn the capabilities.
func TestMemoryDoesNotGrowWithTheReleases(t *testing.T) {
	for name, template := range map[string]string{
		"plain":       configMap + "data: {a: {{ repeat 20000 \"ab \" | quote }}}\n",
		"definitions": "# CustomResourceDefinition\n" + configMap + "data: {a: {{ repeat 20000 \"ab \" | quote }}}\n",
	} {
		t.Run(name, func(t *testing.T) {
			platform, stage := stageOf(t, rendering(t, template, numbered(180), func(string) string { return "{}" }), "")
			held := func() uint64 {
				runtime.GC()
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				return m.HeapAlloc
			}
			i, early, late := 0, uint64(0), uint64(0)
			diags, err := platform.Render(t.Context(), stage, pipeline.Capabilities{}, func(r pipeline.Rendered) error {
				require.Greater(t, len(r.Text), 60_000)
				switch i++; i {
				case 20:
					early = held()
				case 170:
					late = held()
				}
				return nil
			})
			require.NoError(t, err)
			require.Empty(t, diags)
			// Those that wait for their turn are some MiB; the 150 in between, with text and data, were 18 or more.
			require.Less(t, late, early+8<<20, "the releases that were taken are in memory")
		})
	}
}

func TestADefinitionThatIsAnotherOneAtEachRenderingNeverEnded(t *testing.T) {
	t.Parallel()
	const crd = "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: widgets}\n" +
		"spec: {group: %s.example.com, names: {kind: Widget}, versions: [{name: v1, served: true}]}\n"
	for name, group := range map[string]string{
		"of what is there": "v{{ len .Capabilities.APIVersions }}", "of chance": "v{{ randAlpha 20 | lower }}",
	} {
		platform, stage := stageOf(t, rendering(t, fmt.Sprintf(crd, group), []string{"web"}, func(string) string { return "{}" }), "")
		diags, err := platform.Render(t.Context(), stage, pipeline.Capabilities{}, func(pipeline.Rendered) error {
			t.Fatal("a release was taken")
			return nil
		})
		require.NoError(t, err)
		require.Len(t, diags, 1, name)
		require.Equal(t, diag.RenderUnsettled, diags[0].Code)
		require.Contains(t, diags[0].Detail, "release apps/web: CustomResourceDefinition.apiextensions.k8s.io widgets is another")
		require.Contains(t, diags[0].Range.File, "templates/text.yaml")
	}
}
