package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
)

// benchChart has five objects of the kinds that most charts have.
const benchChart = `apiVersion: v1
kind: ConfigMap
metadata: {name: one}
data: {text: {{ .Values.text | quote }}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: two}
data: {text: {{ .Release.Name | quote }}}
---
apiVersion: v1
kind: Secret
metadata: {name: keys}
stringData: {key: {{ .Values.text | quote }}}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: web}]}
`

// BenchmarkApplyFleet is what many releases of five objects each cost on a cluster, beside the helm CLI called for each release, one
// call after the other and eight at once: the first install, which waits; an apply and a diff with nothing to do. The requests
// are those of the API server's audit log.
func BenchmarkApplyFleet(b *testing.B) {
	otomi, helm := binaries(b)
	c := startBenchCluster(b)
	const many = 100
	installs := 0
	install := func(n int) string {
		installs++
		return writeFleet(b, fmt.Sprintf("i%d", installs), n)
	}

	b.Run("install/100/otomi", func(b *testing.B) {
		c.measure(b, "otomi/", func() {
			execute(b, install(many), c.env, otomi, "apply", "-f", "helmfile.yaml")
		})
	})
	for _, width := range []int{8, 1} {
		b.Run(fmt.Sprintf("install/100/helm-%d-at-once", width), func(b *testing.B) {
			c.measure(b, "Helm/", func() {
				c.each(b, install(many), many, width, helm, "upgrade", "--install", "app", "chart", "--create-namespace", "--wait", "-n")
			})
		})
	}

	dir := install(many)
	execute(b, dir, c.env, otomi, "apply", "-f", "helmfile.yaml")
	for _, verb := range []string{"apply", "diff"} {
		b.Run(verb+"-without-change/100/otomi", func(b *testing.B) {
			c.measure(b, "otomi/", func() { execute(b, dir, c.env, otomi, verb, "-f", "helmfile.yaml") })
		})
	}
	for _, width := range []int{8, 1} {
		b.Run(fmt.Sprintf("diff-without-change/100/helm-%d-at-once", width), func(b *testing.B) {
			c.measure(b, "Helm/", func() {
				c.each(b, dir, many, width, helm, "get", "manifest", "app", "-n")
				c.each(b, dir, many, width, helm, "template", "app", "chart", "-n")
			})
		})
		b.Run(fmt.Sprintf("apply-without-change/100/helm-%d-at-once", width), func(b *testing.B) {
			c.measure(b, "Helm/", func() {
				c.each(b, dir, many, width, helm, "upgrade", "--install", "app", "chart", "-n")
			})
		})
	}

	for _, n := range []int{10, 1000} {
		dir := install(n)
		b.Run(fmt.Sprintf("install/%d/otomi", n), func(b *testing.B) {
			first := true
			c.measure(b, "otomi/", func() {
				if !first {
					dir = install(n)
				}
				first = false
				execute(b, dir, c.env, otomi, "apply", "-f", "helmfile.yaml")
			})
		})
		b.Run(fmt.Sprintf("apply-without-change/%d/otomi", n), func(b *testing.B) {
			c.measure(b, "otomi/", func() { execute(b, dir, c.env, otomi, "apply", "-f", "helmfile.yaml") })
		})
	}
}

// writeFleet writes a state file of n releases of one chart in namespaces of their own, PREFIX-NUMBER.
func writeFleet(b *testing.B, prefix string, n int) string {
	b.Helper()
	dir := b.TempDir()
	write := func(name, text string) {
		file := filepath.Join(dir, name)
		require.NoError(b, os.MkdirAll(filepath.Dir(file), 0o700))
		require.NoError(b, os.WriteFile(file, []byte(text), 0o600))
	}
	write("chart/Chart.yaml", "apiVersion: v2\nname: app\nversion: 1.0.0\n")
	write("chart/values.yaml", "text: hello\n")
	write("chart/templates/all.yaml", benchChart)
	write("prefix", prefix)
	var state strings.Builder
	state.WriteString("releases:\n")
	for i := range n {
		fmt.Fprintf(&state, "- {name: app, namespace: %s-%d, chart: ./chart, wait: true, createNamespace: true}\n", prefix, i)
	}
	write("helmfile.yaml", state.String())
	return dir
}

// benchCluster is a playground with an audit log.
type benchCluster struct {
	state string
	env   []string
}

func startBenchCluster(b *testing.B) benchCluster {
	b.Helper()
	playground := os.Getenv("OTOMI_PLAYGROUND")
	if playground == "" {
		b.Skip("make bench builds the playground and sets OTOMI_PLAYGROUND")
	}
	c := benchCluster{state: b.TempDir()}
	up := exec.Command(playground, "up", "--foreground", "--exit-with-parent", "--audit", "--dir", c.state)
	stdin, err := up.StdinPipe()
	require.NoError(b, err)
	stdout, err := up.StdoutPipe()
	require.NoError(b, err)
	require.NoError(b, up.Start())
	b.Cleanup(func() {
		stdin.Close()
		io.Copy(io.Discard, stdout)
		up.Wait()
	})
	kubeconfig, err := bufio.NewReader(stdout).ReadString('\n')
	require.NoError(b, err)
	c.env = []string{"KUBECONFIG=" + strings.TrimSpace(kubeconfig)}
	return c
}

// measure times work, and reports the requests of an agent for one call of it.
func (c benchCluster) measure(b *testing.B, agent string, work func()) {
	before := requests(b, c.state, agent)
	n := 0
	for b.Loop() {
		work()
		n++
	}
	b.ReportMetric(float64(requests(b, c.state, agent)-before)/float64(n), "requests/op")
}

// each calls a program for each of n releases of a directory that writeFleet made, some at once, with the namespace as its last
// argument.
func (c benchCluster) each(b *testing.B, dir string, n, width int, name string, args ...string) {
	prefix, err := os.ReadFile(filepath.Join(dir, "prefix"))
	require.NoError(b, err)
	var group errgroup.Group
	group.SetLimit(width)
	for i := range n {
		group.Go(func() error {
			cmd := exec.CommandContext(b.Context(), name, append(args[:len(args):len(args)], fmt.Sprintf("%s-%d", prefix, i))...)
			cmd.Dir = dir
			cmd.Env = append([]string{"HOME=" + dir, "PATH=" + os.Getenv("PATH")}, c.env...)
			if out, err := cmd.CombinedOutput(); err != nil {
				return fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, out)
			}
			return nil
		})
	}
	require.NoError(b, group.Wait())
}
