package main

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/redkubes/otomi/charts"
	"github.com/redkubes/otomi/pkg/pipeline"
	"github.com/redkubes/otomi/pkg/runlevel"
	"github.com/redkubes/otomi/pkg/source"
	"github.com/redkubes/otomi/runlevels"
	"github.com/redkubes/otomi/schema"
)

// The figures of docs/performance.md: each beside the helm CLI doing the same in the same run, forked per release as a
// script or helmfile does it. `make bench` builds the binaries and names them in the environment.

func BenchmarkStartUp(b *testing.B) {
	otomi, helm := binaries(b)
	b.Run("otomi", func(b *testing.B) {
		for b.Loop() {
			execute(b, ".", nil, otomi, "version")
		}
	})
	b.Run("helm", func(b *testing.B) {
		for b.Loop() {
			execute(b, ".", nil, helm, "version", "--short")
		}
	})
}

func BenchmarkCompile(b *testing.B) {
	dir := demo(b)
	b.Run("cold-process", func(b *testing.B) {
		otomi, _ := binaries(b)
		for b.Loop() {
			execute(b, dir, nil, otomi, "validate", "-c", "aws/demo")
		}
	})
	b.Run("in-process", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			platform, stage := evaluated(b, dir)
			require.NotEmpty(b, stage.Levels)
			require.NoError(b, platform.Close())
		}
	})
}

func BenchmarkTemplate(b *testing.B) {
	otomi, helm := binaries(b)
	dir := demo(b)
	releases := forHelm(b, dir)
	b.Run("otomi", func(b *testing.B) {
		for b.Loop() {
			execute(b, dir, nil, otomi, "template", "-c", "aws/demo", "--no-cache")
		}
		b.ReportMetric(float64(len(releases)), "releases")
	})
	b.Run("helm-per-release", func(b *testing.B) {
		for b.Loop() {
			for _, r := range releases {
				execute(b, dir, nil, helm, "template", r.name, r.chart, "-n", r.namespace, "-f", r.values, "--api-versions", "platform.otomi.io/v1/Team", "--api-versions", "platform.otomi.io/v1")
			}
		}
	})
}

func BenchmarkApplyWithoutChange(b *testing.B) {
	otomi, helm := binaries(b)
	c := startBenchCluster(b)
	dir, state, env := demo(b), c.state, c.env
	execute(b, dir, env, otomi, "apply", "-c", "aws/demo", "--yes")
	releases := forHelm(b, dir)

	b.Run("otomi", func(b *testing.B) {
		before := requests(b, state, "otomi/")
		n := 0
		for b.Loop() {
			execute(b, dir, env, otomi, "apply", "-c", "aws/demo", "--yes")
			n++
		}
		b.ReportMetric(float64(requests(b, state, "otomi/")-before)/float64(n), "requests/op")
		b.ReportMetric(float64(len(releases)), "releases")
	})
	b.Run("helm-per-release", func(b *testing.B) {
		before := requests(b, state, "Helm/")
		n := 0
		for b.Loop() {
			for _, r := range releases {
				execute(b, dir, env, helm, "upgrade", "--install", r.name, r.chart, "-n", r.namespace, "-f", r.values, "--no-hooks")
			}
			n++
		}
		b.ReportMetric(float64(requests(b, state, "Helm/")-before)/float64(n), "requests/op")
	})
}

// binaries returns the paths of otomi and helm, built without the race detector.
func binaries(b *testing.B) (otomi, helm string) {
	b.Helper()
	otomi, helm = os.Getenv("OTOMI_BIN"), os.Getenv("OTOMI_HELM")
	if otomi == "" || helm == "" {
		b.Skip("make bench builds the binaries and sets OTOMI_BIN and OTOMI_HELM")
	}
	return otomi, helm
}

// demo writes the demo's values repository and returns its directory.
func demo(b *testing.B) string {
	b.Helper()
	dir := b.TempDir()
	var out bytes.Buffer
	code := run(world{
		args: []string{"bootstrap", "--profile", "demo", "--kube-context", "playground", "."},
		env:  func(string) string { return "" }, dir: dir, stdout: &out, stderr: &out,
	})
	require.Zero(b, code, out.String())
	return dir
}

// evaluated compiles and evaluates aws/demo in this process.
func evaluated(b *testing.B, dir string) (*pipeline.Platform, pipeline.Stage) {
	b.Helper()
	stack := source.Overlay("builtin:", map[string]fs.FS{"charts": charts.FS, "runlevels": runlevels.FS, "schema": schema.FS})
	platform, diags, err := pipeline.Open(b.Context(), pipeline.Options{Dir: dir, Builtin: stack})
	require.NoError(b, err)
	require.False(b, diags.HasErrors())
	clusters, diags := platform.Clusters("aws/demo", false)
	require.False(b, diags.HasErrors())
	values, diags, err := platform.Validate(b.Context(), clusters[0])
	require.NoError(b, err)
	require.False(b, diags.HasErrors())
	stage, diags := platform.Evaluate(b.Context(), values, nil)
	require.False(b, diags.HasErrors())
	return platform, stage
}

// helmRelease is a release as a script around the helm CLI has it.
type helmRelease struct {
	name, namespace, chart, values string
}

// forHelm writes the charts and values of the demo's installed releases for the helm CLI.
func forHelm(b *testing.B, dir string) []helmRelease {
	b.Helper()
	platform, stage := evaluated(b, dir)
	defer platform.Close()
	out := b.TempDir()
	require.NoError(b, os.CopyFS(filepath.Join(out, "charts"), charts.FS))
	var releases []helmRelease
	for _, level := range stage.Levels {
		for _, r := range level.Releases {
			if r.Installed {
				releases = append(releases, writeForHelm(b, out, r))
			}
		}
	}
	return releases
}

func writeForHelm(b *testing.B, out string, r runlevel.Release) helmRelease {
	b.Helper()
	body, err := json.Marshal(r.Values)
	require.NoError(b, err)
	file := filepath.Join(out, r.Namespace+"-"+r.Name+".json")
	require.NoError(b, os.WriteFile(file, body, 0o600))
	return helmRelease{name: r.Name, namespace: r.Namespace, chart: filepath.Join(out, "charts", filepath.Base(r.Chart)), values: file}
}

// requests counts the finished requests of an agent in the audit log.
func requests(b *testing.B, state, agent string) int {
	b.Helper()
	text, err := os.ReadFile(filepath.Join(state, "audit.log"))
	require.NoError(b, err)
	n := 0
	for line := range bytes.Lines(text) {
		if bytes.Contains(line, []byte(`"stage":"ResponseComplete"`)) && bytes.Contains(line, []byte(`"userAgent":"`+agent)) {
			n++
		}
	}
	return n
}

func execute(b *testing.B, dir string, env []string, name string, args ...string) {
	b.Helper()
	cmd := exec.CommandContext(b.Context(), name, args...)
	cmd.Dir = dir
	cmd.Env = append([]string{"HOME=" + dir, "PATH=" + os.Getenv("PATH")}, env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}
