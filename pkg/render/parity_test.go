package render_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/redkubes/otomi/pkg/chart"
	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/manifest"
	"github.com/redkubes/otomi/pkg/render"
	"github.com/redkubes/otomi/pkg/runlevel"
	"github.com/redkubes/otomi/pkg/source"
	"github.com/rogpeppe/go-internal/txtar"
	"github.com/stretchr/testify/require"
	"helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/cli/values"
)

// sample is one archive of testdata/parity, around one rule. Its files:
//
//	chart/...       the chart; the files of a folder *.tgz are packed into an archive of that name
//	flags           flags of helm template, one a line; their files are those of the archive
//	values.yaml     the release's values, as by -f values.yaml
//	edit            changes to files that txtar can't hold: "crlf FILE", "bom FILE", "unterminated FILE"
//	helm/stdout     what the CLI prints, recorded
//	helm/stderr     what it says where it fails, recorded
//	helm/notes      its notes, recorded, for a chart that has some
//	says            texts, one a line, that both the CLI and our diagnostics must say where it fails
//	refused         texts, one a line, that our diagnostics say of what the CLI prints and we do not
//
// To record anew: make parity.
type sample struct {
	file    string
	archive *txtar.Archive
	chart   *chart.Chart
	// problems are those of the chart itself, for which there is none.
	problems diag.Diagnostics
	values   map[string]any
	flags    flags
}

// flags are those of helm template that a sample may give.
type flags struct {
	set                                        *flag.FlagSet
	name, namespace, kubeVersion               string
	apiVersions                                []string
	includeCRDs, isUpgrade, noHooks, skipTests bool
	values                                     values.Options
}

// words collects a flag that may be given several times. A name of a file is seen from dir.
func words(to *[]string, prefix func(string) string) func(string) error {
	return func(text string) error {
		*to = append(*to, prefix(text))
		return nil
	}
}

func parseFlags(text, dir string) (flags, error) {
	f := flags{set: flag.NewFlagSet("helm template", flag.ContinueOnError)}
	f.set.StringVar(&f.name, "name", "web", "")
	f.set.StringVar(&f.namespace, "namespace", "team-alpha", "")
	f.set.StringVar(&f.kubeVersion, "kube-version", "1.34", "")
	f.set.BoolVar(&f.includeCRDs, "include-crds", false, "")
	f.set.BoolVar(&f.isUpgrade, "is-upgrade", false, "")
	f.set.BoolVar(&f.noHooks, "no-hooks", false, "")
	f.set.BoolVar(&f.skipTests, "skip-tests", false, "")
	same := func(s string) string { return s }
	inDir := func(s string) string { return filepath.Join(dir, s) }
	f.set.Func("api-versions", "", words(&f.apiVersions, same))
	f.set.Func("f", "", words(&f.values.ValueFiles, inDir))
	f.set.Func("set", "", words(&f.values.Values, same))
	f.set.Func("set-string", "", words(&f.values.StringValues, same))
	f.set.Func("set-json", "", words(&f.values.JSONValues, same))
	f.set.Func("set-literal", "", words(&f.values.LiteralValues, same))
	f.set.Func("set-file", "", words(&f.values.FileValues, func(s string) string {
		key, name, _ := strings.Cut(s, "=")
		return key + "=" + inDir(name)
	}))
	return f, f.set.Parse(lines(text))
}

// lines returns the lines of a text, without empty ones.
func lines(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == '\n' })
}

// cli returns the flags as helm template has them.
func (f flags) cli(text string) []string {
	args := []string{"template", f.name, "chart", "-n", f.namespace}
	for _, line := range lines(text) {
		if !strings.HasPrefix(line, "--name=") && !strings.HasPrefix(line, "--namespace=") {
			args = append(args, line)
		}
	}
	for _, given := range []struct{ name, arg string }{{"kube-version", "--kube-version=1.34"}, {"api-versions", "--api-versions=example.com/v1"}} {
		if !strings.Contains(text, "--"+given.name) {
			args = append(args, given.arg)
		}
	}
	return args
}

// section returns a file of the archive, or nil.
func (s sample) section(name string) []byte {
	i := slices.IndexFunc(s.archive.Files, func(f txtar.File) bool { return f.Name == name })
	if i < 0 {
		return nil
	}
	return s.archive.Files[i].Data
}

// tree returns the files that an archive describes: the chart's and those that flags name.
func tree(t testing.TB, archive *txtar.Archive) map[string][]byte {
	t.Helper()
	files, packed := map[string][]byte{}, map[string][]txtar.File{}
	var edits []byte
	for _, f := range archive.Files {
		before, after, isPacked := strings.Cut(f.Name, ".tgz/")
		switch {
		case strings.HasPrefix(f.Name, "helm/") || f.Name == "says" || f.Name == "refused" || f.Name == "flags":
		case f.Name == "edit":
			edits = f.Data
		case isPacked:
			packed[before+".tgz"] = append(packed[before+".tgz"], txtar.File{Name: after, Data: f.Data})
		default:
			files[f.Name] = f.Data
		}
	}
	for line := range strings.Lines(string(edits)) {
		change, name, _ := strings.Cut(strings.TrimSpace(line), " ")
		data, ok := files[name]
		require.True(t, ok, "edit: no file %s", name)
		switch change {
		case "crlf":
			files[name] = bytes.ReplaceAll(data, []byte("\n"), []byte("\r\n"))
		case "bom":
			files[name] = append([]byte("\ufeff"), data...)
		case "unterminated":
			files[name] = bytes.TrimSuffix(data, []byte("\n"))
		default:
			require.Fail(t, "edit: no change "+change)
		}
	}
	for name, content := range packed {
		var out bytes.Buffer
		zipped := gzip.NewWriter(&out)
		w := tar.NewWriter(zipped)
		for _, f := range content {
			require.NoError(t, w.WriteHeader(&tar.Header{Name: f.Name, Mode: 0o644, Size: int64(len(f.Data))}))
			_, err := w.Write(f.Data)
			require.NoError(t, err)
		}
		require.NoError(t, w.Close())
		require.NoError(t, zipped.Close())
		files[name] = out.Bytes()
	}
	return files
}

func readSample(t testing.TB, name string) sample {
	t.Helper()
	archive, err := txtar.ParseFile(name)
	require.NoError(t, err)
	s := sample{file: name, archive: archive}
	dir := t.TempDir()
	s.flags, err = parseFlags(string(s.section("flags")), dir)
	require.NoError(t, err)
	files := fstest.MapFS{}
	for name, data := range tree(t, archive) {
		if rest, ok := strings.CutPrefix(name, "chart/"); ok {
			files["charts/sample/"+rest] = &fstest.MapFile{Data: data}
			continue
		}
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), data, 0o600))
		if name == "values.yaml" {
			s.flags.values.ValueFiles = append([]string{filepath.Join(dir, name)}, s.flags.values.ValueFiles...)
		}
	}
	// The values as Helm folds its flags. Our own folding is that of package runlevel, whose tests compare it with helmfile's.
	s.values, err = s.flags.values.MergeValues(nil)
	require.NoError(t, err)
	s.chart, s.problems, err = chart.NewStore(chart.Options{Stack: source.Tree{FS: files}}).Load(t.Context(), chart.Ref{Chart: "sample"})
	require.NoError(t, err)
	if s.chart != nil {
		s.problems = append(s.problems, chart.Installable(s.chart)...)
	}
	return s
}

func (s sample) request() render.Request {
	return render.Request{
		Release: runlevel.Release{Name: s.flags.name, Namespace: s.flags.namespace, Chart: "sample", Values: s.values},
		Chart:   s.chart,
		Upgrade: s.flags.isUpgrade,
	}
}

func capabilities() render.Capabilities {
	return render.Capabilities{KubeVersion: "1.34", APIVersions: append(render.BuiltIn(), "example.com/v1")}
}

func (s sample) capabilities() render.Capabilities {
	caps := render.Capabilities{KubeVersion: s.flags.kubeVersion, APIVersions: append(render.BuiltIn(), s.flags.apiVersions...)}
	if len(s.flags.apiVersions) == 0 {
		caps.APIVersions = append(caps.APIVersions, "example.com/v1")
	}
	return caps
}

// printed is what helm template prints of a release (Helm 3.22, cmd/helm/template.go and pkg/action, renderResources).
func (s sample) printed(r manifest.Release) string {
	var text strings.Builder
	if s.flags.includeCRDs {
		var last string
		for _, o := range r.CRDs {
			if o.Source == last {
				continue
			}
			last = o.Source
			_, name, _ := strings.Cut(o.Source, "/")
			data, _ := s.chart.File(name)
			fmt.Fprintf(&text, "---\n# Source: %s\n%s\n", o.Source, data)
		}
	}
	text.WriteString(r.Text)
	out := strings.TrimSpace(text.String()) + "\n"
	for _, h := range r.Hooks {
		if s.flags.noHooks || s.flags.skipTests && slices.Contains(h.Events, manifest.Test) {
			continue
		}
		out += fmt.Sprintf("---\n# Source: %s\n%s\n", h.Source, h.Text)
	}
	return out
}

func samples(t testing.TB) []string {
	t.Helper()
	names, err := filepath.Glob("testdata/parity/*.txtar")
	require.NoError(t, err)
	require.NotEmpty(t, names)
	return names
}

func baseName(file string) string { return strings.TrimSuffix(filepath.Base(file), ".txtar") }

// TestParity compares what we make of each sample with what the CLI printed when it was recorded, to the byte.
func TestParity(t *testing.T) {
	t.Parallel()
	for _, name := range samples(t) {
		t.Run(baseName(name), func(t *testing.T) {
			t.Parallel()
			s := readSample(t, name)
			if failure := s.section("helm/stderr"); failure != nil {
				s.requireFails(t, s.section("says"))
				for _, line := range lines(string(s.section("says"))) {
					require.Contains(t, string(failure), line)
				}
				return
			}
			if refused := s.section("refused"); refused != nil {
				s.requireFails(t, refused)
				return
			}
			require.Empty(t, s.problems)
			r := render.New()
			// Twice, since a chart that is used a second time must not remember the first.
			for range 2 {
				got, ds, err := r.Render(t.Context(), s.request(), s.capabilities())
				require.NoError(t, err)
				require.False(t, ds.HasErrors(), "%v", ds)
				require.Equal(t, string(s.section("helm/stdout")), s.printed(got))
				require.Equal(t, string(s.section("helm/notes")), terminated(got.Notes))
			}
		})
	}
}

// requireFails demands that we refuse a sample, and that our diagnostics say some texts, one a line.
func (s sample) requireFails(t *testing.T, says []byte) {
	t.Helper()
	ds := s.problems
	if s.chart != nil && !ds.HasErrors() {
		var err error
		_, ds, err = render.New().Render(t.Context(), s.request(), s.capabilities())
		require.NoError(t, err)
	}
	require.True(t, ds.HasErrors())
	require.NotEmpty(t, says)
	for _, line := range lines(string(says)) {
		said := slices.ContainsFunc(ds, func(d diag.Diagnostic) bool {
			return strings.Contains(d.Detail, line) || strings.Contains(d.Range.File, line)
		})
		require.Truef(t, said, "nothing says %q: %v", line, ds)
	}
}

// TestParityInProcess compares what is not printed: hooks' weights, events and policies, and what a record holds of the
// chart and the values.
func TestParityInProcess(t *testing.T) {
	t.Parallel()
	for _, name := range samples(t) {
		t.Run(baseName(name), func(t *testing.T) {
			t.Parallel()
			s := readSample(t, name)
			if s.section("helm/stderr") != nil || s.section("refused") != nil {
				return
			}
			var files []*loader.BufferedFile
			for _, f := range s.chart.Files {
				files = append(files, &loader.BufferedFile{Name: f.Name, Data: f.Data})
			}
			c, err := loader.LoadFiles(files)
			require.NoError(t, err)
			install := action.NewInstall(&action.Configuration{Log: t.Logf})
			install.ClientOnly, install.DryRun = true, true
			install.ReleaseName, install.Namespace = s.flags.name, s.flags.namespace
			install.IsUpgrade = s.flags.isUpgrade
			install.KubeVersion, err = chartutil.ParseKubeVersion(s.flags.kubeVersion)
			require.NoError(t, err)
			install.APIVersions = s.capabilities().APIVersions
			want, err := install.RunWithContext(t.Context(), c, readSample(t, name).values)
			require.NoError(t, err)
			got, ds, err := render.New().Render(t.Context(), s.request(), s.capabilities())
			require.NoError(t, err)
			require.False(t, ds.HasErrors(), "%v", ds)
			require.Len(t, got.Hooks, len(want.Hooks))
			for i, h := range want.Hooks {
				require.Equal(t, h.Manifest, got.Hooks[i].Text)
				require.Equal(t, h.Path, got.Hooks[i].Source)
				require.Equal(t, h.Kind, got.Hooks[i].Kind)
				require.Equal(t, h.Name, got.Hooks[i].Name)
				require.Equal(t, h.Weight, got.Hooks[i].Weight)
				for k, e := range h.Events {
					require.Equal(t, manifest.Event(e), got.Hooks[i].Events[k])
				}
				require.Len(t, got.Hooks[i].DeletePolicies, len(h.DeletePolicies))
				for k, p := range h.DeletePolicies {
					require.Equal(t, manifest.DeletePolicy(p), got.Hooks[i].DeletePolicies[k])
				}
			}
			metadata, err := json.Marshal(want.Chart.Metadata)
			require.NoError(t, err)
			require.JSONEq(t, string(metadata), string(got.Chart.Metadata))
			require.Equal(t, want.Chart.Values, got.Chart.Values)
			require.Equal(t, want.Config, got.Values)
		})
	}
}

// TestParityGoldens runs the CLI over all samples and demands that it prints what was recorded; OTOMI_UPDATE=1 records it.
func TestParityGoldens(t *testing.T) {
	helm := os.Getenv("OTOMI_HELM")
	if helm == "" {
		t.Skip("OTOMI_HELM names no helm CLI: make helm builds it, make test names it, make parity records its output")
	}
	t.Parallel()
	server := emptyCluster(t)
	for _, name := range samples(t) {
		t.Run(baseName(name), func(t *testing.T) {
			t.Parallel()
			archive, err := txtar.ParseFile(name)
			require.NoError(t, err)
			want := run(t, helm, server, archive)
			if os.Getenv("OTOMI_UPDATE") != "" {
				isRecorded := func(f txtar.File) bool { return strings.HasPrefix(f.Name, "helm/") }
				archive.Files = append(slices.DeleteFunc(archive.Files, isRecorded), want...)
				require.NoError(t, os.WriteFile(name, txtar.Format(archive), 0o644))
				return
			}
			s := sample{archive: archive}
			for _, f := range want {
				require.Equal(t, string(f.Data), string(s.section(f.Name)), f.Name)
			}
		})
	}
}

// run returns what the CLI prints for an archive, as the files that record it.
func run(t *testing.T, helm, server string, archive *txtar.Archive) []txtar.File {
	t.Helper()
	dir := t.TempDir()
	files := tree(t, archive)
	for name, data := range files {
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), data, 0o600))
	}
	text := string(sample{archive: archive}.section("flags"))
	f, err := parseFlags(text, "")
	require.NoError(t, err)
	var given []string
	if _, ok := files["values.yaml"]; ok {
		given = []string{"-f", "values.yaml"}
	}
	command := func(args ...string) (stdout, stderr []byte, err error) {
		var out, errs bytes.Buffer
		cmd := exec.Command(helm, args...)
		cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &out, &errs
		cmd.Env = []string{"HOME=" + dir, "KUBECONFIG=" + filepath.Join(dir, "none"), "PATH=/nowhere"}
		err = cmd.Run()
		return out.Bytes(), errs.Bytes(), err
	}
	args := slices.Insert(f.cli(text), 5, given...)
	stdout, stderr, err := command(args...)
	if err != nil {
		require.NotEmpty(t, stderr)
		const most = 400 // of a define that included itself a thousand times the ends say all
		if n := len(stderr); n > 3*most {
			stderr = slices.Concat(stderr[:most], []byte(" ... "), stderr[n-most:])
		}
		return []txtar.File{{Name: "helm/stderr", Data: stderr}}
	}
	out := []txtar.File{{Name: "helm/stdout", Data: stdout}}
	if _, ok := files["chart/templates/NOTES.txt"]; !ok {
		return out
	}
	// Only helm install shows notes, and it asks a cluster for its version and kinds, also when it runs dry.
	install := slices.Concat([]string{"install", f.name, "chart", "-n", f.namespace}, given, f.forInstall(text),
		[]string{"--dry-run=client", "--disable-openapi-validation", "-o", "json", "--kube-apiserver", server})
	stdout, stderr, err = command(install...)
	require.NoError(t, err, string(stderr))
	var release struct {
		Info struct{ Notes string }
	}
	require.NoError(t, json.Unmarshal(stdout, &release))
	return append(out, txtar.File{Name: "helm/notes", Data: []byte(terminated(release.Info.Notes))})
}

// forInstall returns the flags that helm install has too: those of values.
func (f flags) forInstall(text string) []string {
	var args []string
	for _, line := range lines(text) {
		if strings.HasPrefix(line, "--set") || strings.HasPrefix(line, "-f=") {
			args = append(args, line)
		}
	}
	return args
}

// terminated is a text with a line end at its end, as txtar keeps it.
func terminated(text string) string {
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	return text
}

// emptyCluster is as much of an API server as helm install asks when it runs dry: a version, and one kind without objects.
func emptyCluster(t *testing.T) string {
	t.Helper()
	answers := map[string]string{
		"/version": `{"major": "1", "minor": "34", "gitVersion": "v1.34.0"}`,
		"/api":     `{"kind": "APIVersions", "versions": ["v1"]}`,
		"/apis":    `{"kind": "APIGroupList", "apiVersion": "v1", "groups": []}`,
		"/api/v1": `{"kind": "APIResourceList", "groupVersion": "v1", "resources": [{"name": "configmaps", "singularName": "", ` +
			`"namespaced": true, "kind": "ConfigMap", "verbs": ["get"]}]}`,
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		answer, ok := answers[r.URL.Path]
		if !ok {
			w.WriteHeader(http.StatusNotFound)
			answer = `{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404}`
		}
		_, _ = io.WriteString(w, answer)
	}))
	t.Cleanup(server.Close)
	return server.URL
}
