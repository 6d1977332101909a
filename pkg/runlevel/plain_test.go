package runlevel_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/rogpeppe/go-internal/txtar"
	"github.com/stretchr/testify/require"

	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/runlevel"
	"github.com/redkubes/otomi/pkg/source"
	"github.com/redkubes/otomi/pkg/template"
)

// TestPlain evaluates the files of each archive as helmfile's, with the options that its part "options" has as JSON, and compares
// states and diagnostics with its part "want".
func TestPlain(t *testing.T) {
	t.Parallel()
	names, err := filepath.Glob("testdata/plain/*.txtar")
	require.NoError(t, err)
	require.NotEmpty(t, names)
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			t.Parallel()
			archive, err := txtar.ParseFile(name)
			require.NoError(t, err)
			files := fstest.MapFS{}
			var in runlevel.Input
			file, want := "", -1
			for i, f := range archive.Files {
				switch f.Name {
				case "want":
					want = i
				case "options":
					var o struct {
						File       string
						Env        map[string]string
						StateValue map[string]any
					}
					require.NoError(t, json.Unmarshal(f.Data, &in))
					require.NoError(t, json.Unmarshal(f.Data, &o))
					file, in.Allow = o.File, template.Permissions{Env: o.Env}
				default:
					files[f.Name] = &fstest.MapFile{Data: f.Data}
				}
			}
			in.FS = source.Inside(files)
			state, ds := runlevel.Discover(in.FS, file, "")
			in.Files = state
			got := ""
			if !ds.HasErrors() {
				var ev runlevel.Evaluation
				ev, ds = runlevel.Evaluate(t.Context(), in)
				got = describeStates(ev)
			}
			got += describeDiagnostics(ds)
			if *update {
				if want < 0 {
					archive.Files = append(archive.Files, txtar.File{Name: "want"})
					want = len(archive.Files) - 1
				}
				archive.Files[want].Data = []byte(got)
				require.NoError(t, os.WriteFile(name, txtar.Format(archive), 0o644))
				return
			}
			require.GreaterOrEqual(t, want, 0, "the archive has no part want")
			require.Equal(t, string(archive.Files[want].Data), got)
		})
	}
}

func describeStates(ev runlevel.Evaluation) string {
	var b strings.Builder
	for i, s := range ev.States {
		if s.Skipped {
			fmt.Fprintf(&b, "%s skipped\n", s.File)
			continue
		}
		values, _ := json.Marshal(s.Values)
		fmt.Fprintf(&b, "%s %s %s\n", s.File, s.Environment.Name, values)
		for _, r := range ev.Levels[i].Releases {
			fmt.Fprintf(&b, "  %d %s chart=%s", r.Group, r.ID(), r.Chart)
			if r.Version != "" {
				fmt.Fprintf(&b, " version=%s", r.Version)
			}
			if !r.Installed {
				b.WriteString(" installed=false")
			}
			if r.Wait {
				b.WriteString(" wait")
			}
			if r.Atomic {
				b.WriteString(" atomic")
			}
			if len(r.WrittenNeeds) > 0 {
				fmt.Fprintf(&b, " needs=%s", strings.Join(r.WrittenNeeds, ","))
			}
			for _, k := range slices.Sorted(func(yield func(string) bool) {
				for k := range r.Labels {
					if !slices.Contains([]string{"name", "namespace", "chart"}, k) && !yield(k) {
						return
					}
				}
			}) {
				fmt.Fprintf(&b, " %s:%s", k, r.Labels[k])
			}
			values, _ := json.Marshal(r.Values)
			fmt.Fprintf(&b, " %s\n", values)
		}
		for _, r := range ev.Levels[i].Disabled {
			fmt.Fprintf(&b, "  - %s\n", r.ID())
		}
	}
	return b.String()
}

func describeDiagnostics(ds diag.Diagnostics) string {
	var b strings.Builder
	for _, d := range ds.Sorted() {
		fmt.Fprintf(&b, "%s %s %s: %s\n", d.Severity, d.Code, d.Range, d.Detail)
		for _, n := range d.Notes {
			fmt.Fprintf(&b, "  %s: %s\n", n.Range, n.Message)
		}
	}
	return b.String()
}

func TestEvaluationIsTheSameEveryTime(t *testing.T) {
	files := fstest.MapFS{}
	for i := range 12 {
		name := fmt.Sprintf("d/%02d.yaml.gotmpl", i)
		files[name] = &fstest.MapFile{Data: fmt.Appendf(nil, "bases: [../base.yaml.gotmpl]\nhelmfiles: [../sub/*.yaml, https://host/far.yaml.gotmpl]\n---\nreleases:\n"+
			"{{ range $i, $k := keys .Values.m }}- {name: r%d-{{ $i }}, chart: c, labels: {k: \"{{ $k }}\"}, values: [{all: {{ $.Values | toJson }}}]}\n{{ end }}"+
			"- {name: bad%d, chart: c, needs: [nope], valus: []}\n- {name: far%d, chart: c, values: [https://host/v.yaml, https://host/absent.yaml]}\n", i, i, i)}
		files[fmt.Sprintf("sub/%d.yaml", i)] = &fstest.MapFile{Data: fmt.Appendf(nil, "releases: [{name: s%d, chart: c, values: [missing.yaml]}]\n", i)}
	}
	files["base.yaml.gotmpl"] = &fstest.MapFile{Data: []byte("environments: {default: {values: [env.yaml.gotmpl, b.hcl, a.hcl, https://host/v.yaml]}}\n")}
	files["d/a.hcl"] = &fstest.MapFile{Data: []byte("locals { n = 2 }\nvalues { h = { for k in [\"z\", \"a\", \"m\"] : k => local.n } }\n")}
	files["d/b.hcl"] = &fstest.MapFile{Data: []byte("values { g = [for k, v in hv.h : \"${k}${v}\"] }\n")}
	files["net/v.yaml"] = &fstest.MapFile{Data: []byte("far: [1, 2]\n")}
	files["net/far.yaml.gotmpl"] = &fstest.MapFile{Data: []byte("releases: [{name: far, chart: c, labels: {n: \"{{ len .Values }}\"}, values: [v.yaml, absent.yaml]}]\n")}
	files["d/env.yaml.gotmpl"] = &fstest.MapFile{Data: []byte("m: {c: 1, a: 2, b: {{ len .Environment.Name }}}\n")}
	first := ""
	before := runtime.GOMAXPROCS(0)
	defer runtime.GOMAXPROCS(before)
	for i := range 100 {
		runtime.GOMAXPROCS(1 + i%8)
		in := runlevel.Input{FS: netted{shuffled{source.Inside(files), i}}, Fetch: netted{}}
		var ds diag.Diagnostics
		in.Files, ds = runlevel.Discover(in.FS, "d", "")
		require.Empty(t, ds)
		ev, ds := runlevel.Evaluate(t.Context(), in)
		require.True(t, ds.HasErrors())
		got := describeStates(ev) + fmt.Sprintln(ds)
		for _, name := range slices.Sorted(func(yield func(string) bool) {
			for name := range ev.Sources {
				if !yield(name) {
					return
				}
			}
		}) {
			got += name + "\n" + string(ev.Sources[name])
		}
		if first == "" {
			first = got
			for _, part := range []string{`"g":["a2","m2","z2"]`, `"far":[1,2]`, "host/far.yaml.gotmpl"} {
				require.Contains(t, got, part)
			}
		}
		require.Equal(t, first, got)
	}
}

// shuffled gives the entries of directories in another order each time.
type shuffled struct {
	template.Files
	seed int
}

func (s shuffled) ReadDir(name string) ([]os.DirEntry, error) {
	entries, err := s.Files.ReadDir(name)
	rand.New(rand.NewPCG(uint64(s.seed), 1)).Shuffle(len(entries), func(i, j int) { entries[i], entries[j] = entries[j], entries[i] })
	return entries, err
}

// netted has the files of net/ as those of a host, which are read as what was fetched.
type netted struct{ shuffled }

const fetched = runlevel.Fetched + "1/host"

func (netted) Fetch(_ context.Context, address string) (string, diag.Diagnostics, error) {
	return fetched + strings.TrimPrefix(address, "https://host"), nil, nil
}

func (n netted) local(name string) string {
	if rest, ok := strings.CutPrefix(name, fetched); ok {
		return "net" + rest
	}
	return name
}

func (n netted) ReadFile(name string) ([]byte, error)       { return n.shuffled.ReadFile(n.local(name)) }
func (n netted) Stat(name string) (fs.FileInfo, error)      { return n.shuffled.Stat(n.local(name)) }
func (n netted) ReadDir(name string) ([]os.DirEntry, error) { return n.shuffled.ReadDir(n.local(name)) }

func FuzzEvaluate(f *testing.F) {
	for _, text := range []string{
		"releases:\n- {name: a, chart: c, needs: [b], values: [{a: 1}, v.yaml]}\n- {name: b, chart: c}\n",
		"bases: [b.yaml]\nenvironments: {default: {values: [{a: {{ 1 }}}]}}\n---\nreleases: [{name: a, chart: \"{{ .Values.a }}\"}]\n",
		"templates: {a: {inherit: [{template: b}]}, b: {chart: c, labels: {x: \"{{`{{ .Release.Name }}`}}\"}}}\nreleases: [{name: r, inherit: [{template: a, except: [labels]}]}]\n",
		"values: [{a: [1, null]}]\n---\nhelmfiles: [x.yaml, {path: y.yaml, selectors: [a=b], values: [{a: 1}], inherits: [environments]}]\n",
		"helmDefaults: {wait: yes, timeout: 5, args: [--x]}\ncommonLabels: {a: 1.10}\nhooks: [{events: [prepare], command: echo}]\n--- \nreleases: []\n",
		"releases:\n- {name: a, chart: c, set: [{name: \"a[0].b\", value: \"{x,y}\"}], setTemplate: [{name: x, values: [1, {a: b}]}], setString: [{name: a, value: 5}], env: [{name: a, value: HOME}]}\n",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		files := fstest.MapFS{
			"b.yaml": {Data: []byte("environments: {default: {values: [{b: 1}]}}\n")}, "v.yaml": {Data: []byte("a: 1\na: 2\n")},
			"x.yaml": {Data: []byte("releases: [{name: x, chart: c}]\n")}, "y.yaml": {Data: []byte("releases: [{name: y, chart: c}]\n")},
		}
		in := runlevel.Input{FS: source.Inside(files), Files: []runlevel.File{{Name: "f.yaml.gotmpl", Display: "f.yaml.gotmpl", Path: "f.yaml.gotmpl", Text: []byte(text)}}}
		ev, ds := runlevel.Evaluate(t.Context(), in)
		for _, d := range ds {
			require.NotEmpty(t, d.Code.Summary())
			require.NotEmpty(t, d.Detail)
		}
		if !ds.HasErrors() {
			for _, l := range ev.Levels {
				for _, r := range l.Releases {
					require.NotEmpty(t, r.Name)
					_, _ = r.Written()
				}
			}
		}
	})
}

func TestStateFilesHaveBudgets(t *testing.T) {
	t.Parallel()
	evaluate := func(files fstest.MapFS) diag.Diagnostics {
		in := runlevel.Input{FS: source.Inside(files)}
		var ds diag.Diagnostics
		in.Files, ds = runlevel.Discover(in.FS, "s.yaml", "")
		require.Empty(t, ds)
		_, ds = runlevel.Evaluate(t.Context(), in)
		return ds
	}
	var templates strings.Builder
	for i := range 40 {
		fmt.Fprintf(&templates, "  t%d: {chart: c, values: [{a: 1}], inherit: [{template: t%d}, {template: t%d}]}\n", i, i+1, i+1)
	}
	doubling := fstest.MapFS{}
	for i := range 40 {
		doubling[fmt.Sprintf("%d.yaml", i)] = &fstest.MapFile{Data: fmt.Appendf(nil, "helmfiles: [%d.yaml, %d.yaml]\n", i+1, i+1)}
	}
	doubling["40.yaml"] = &fstest.MapFile{Data: []byte("releases: []\n")}
	doubling["s.yaml"] = doubling["0.yaml"]
	for name, files := range map[string]fstest.MapFS{
		"parts":     {"s.yaml": {Data: []byte("releases: []\n" + strings.Repeat("\n---\na: 1\n", 10_000))}},
		"templates": {"s.yaml": {Data: []byte("templates:\n" + templates.String() + "  t40: {}\nreleases: [{name: a, inherit: [{template: t0}]}]\n")}},
		"files":     doubling,
	} {
		ds := evaluate(files)
		require.NotEmpty(t, ds, name)
		require.True(t, slices.ContainsFunc(ds, func(d diag.Diagnostic) bool { return d.Code == diag.TemplateBudget }), name)
	}
}
