package runlevel_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/runlevel"
	"github.com/redkubes/otomi/pkg/source"
	"github.com/redkubes/otomi/pkg/yaml"
	"github.com/rogpeppe/go-internal/txtar"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "rewrite the golden parts of testdata")

// TestEvaluate reads the files of each archive as a stack with values.yaml, and compares levels and diagnostics with its
// part "want".
func TestEvaluate(t *testing.T) {
	t.Parallel()
	names, err := filepath.Glob("testdata/*.txtar")
	require.NoError(t, err)
	require.NotEmpty(t, names)
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			t.Parallel()
			archive, err := txtar.ParseFile(name)
			require.NoError(t, err)
			files := fstest.MapFS{"charts/web/Chart.yaml": &fstest.MapFile{}}
			values := map[string]any{}
			want := -1
			for i, f := range archive.Files {
				switch f.Name {
				case "want":
					want = i
				case "values.yaml":
					root, ds := yaml.Read(f.Data, yaml.ReadOptions{})
					require.Empty(t, ds)
					values = root.PlainMap()
				default:
					files["runlevels/"+f.Name] = &fstest.MapFile{Data: f.Data}
				}
			}
			state, ds, err := runlevel.Files(source.Tree{FS: files}, "runlevels")
			require.NoError(t, err)
			ev, more := runlevel.Evaluate(t.Context(), runlevel.Input{
				Files: state, FS: source.Inside(files), Stack: true, Values: values, KubeContext: "here",
			})
			got := describe(ev, append(ds, more...).Sorted())
			for _, d := range more {
				require.Contains(t, ev.Sources, d.Range.File)
			}
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

// describe writes levels and diagnostics, one a line; what is as usual is left out.
func describe(ev runlevel.Evaluation, ds diag.Diagnostics) string {
	var b strings.Builder
	release := func(mark string, r runlevel.Release) {
		fmt.Fprintf(&b, "  %s %s chart=%s", mark, r.Key(), r.Chart)
		if r.Version != "" {
			fmt.Fprintf(&b, " version=%s", r.Version)
		}
		if repo := r.Repository; repo != nil {
			shown := *repo
			shown.Range = diag.Range{}
			fmt.Fprintf(&b, " from=%+v", shown)
		}
		if r.Devel || r.Verify || r.PlainHTTP || r.SkipTLSVerify || r.Keyring != "" {
			fmt.Fprintf(&b, " devel=%t verify=%t keyring=%s plain=%t skip=%t", r.Devel, r.Verify, r.Keyring, r.PlainHTTP, r.SkipTLSVerify)
		}
		if !r.Installed {
			b.WriteString(" installed=false")
		}
		if !r.Wait {
			b.WriteString(" wait=false")
		}
		if r.Timeout != 300*time.Second {
			fmt.Fprintf(&b, " timeout=%s", r.Timeout)
		}
		if !r.CreateNamespace {
			b.WriteString(" createNamespace=false")
		}
		if len(r.Needs) > 0 {
			fmt.Fprintf(&b, " needs=%s", strings.Join(r.Needs, ","))
		}
		fmt.Fprintf(&b, " labels=%v at=%s\n", r.Labels, r.Range)
		if len(r.Values) > 0 {
			fmt.Fprintf(&b, "      values %v\n", r.Values)
		}
	}
	for _, l := range ev.Levels {
		fmt.Fprintf(&b, "%s (%s)\n", l.Name, l.File)
		for _, r := range l.Releases {
			release(fmt.Sprintf("%d", r.Group), r)
		}
		for _, r := range l.Disabled {
			release("-", r)
		}
	}
	for _, d := range ds {
		fmt.Fprintf(&b, "%s %s %s: %s\n", d.Severity, d.Code, d.Range, d.Detail)
		for _, n := range d.Notes {
			fmt.Fprintf(&b, "  %s: %s\n", n.Range, n.Message)
		}
	}
	return b.String()
}

func TestFiles(t *testing.T) {
	t.Parallel()
	fsys := fstest.MapFS{}
	for _, name := range []string{"20-b.yaml.gotmpl", "10-a.yaml", "9-c.yml", "notes.md", "_helpers.tpl", ".hidden.yaml", "x.gotmpl", "sub/30-d.yaml"} {
		fsys["runlevels/"+name] = &fstest.MapFile{Data: []byte(name)}
	}
	files, ds, err := runlevel.Files(source.Tree{FS: fsys, Prefix: "builtin:"}, "runlevels")
	require.NoError(t, err)
	require.Empty(t, ds)
	require.Equal(t, []runlevel.File{
		{Name: "10-a.yaml", Display: "builtin:runlevels/10-a.yaml", Path: "runlevels/10-a.yaml", Text: []byte("10-a.yaml")},
		{Name: "20-b.yaml.gotmpl", Display: "builtin:runlevels/20-b.yaml.gotmpl", Path: "runlevels/20-b.yaml.gotmpl", Text: []byte("20-b.yaml.gotmpl")},
		{Name: "9-c.yml", Display: "builtin:runlevels/9-c.yml", Path: "runlevels/9-c.yml", Text: []byte("9-c.yml")},
	}, files)

	for _, fsys := range []fstest.MapFS{{}, {"runlevels/notes.md": &fstest.MapFile{}}} {
		_, ds, err = runlevel.Files(source.Tree{FS: fsys}, "runlevels")
		require.NoError(t, err)
		require.Len(t, ds, 1)
		require.Equal(t, diag.RunlevelNone, ds[0].Code)
	}
}

func TestTwoFilesGaveTwoLevelsOfOneName(t *testing.T) {
	t.Parallel()
	fsys := fstest.MapFS{}
	for _, name := range []string{"50-x.yaml", "50-x.yaml.gotmpl", "50-x.yml", "50-x.y.yaml", "60-x.yaml"} {
		fsys["runlevels/"+name] = &fstest.MapFile{}
	}
	_, ds, err := runlevel.Files(source.Tree{FS: fsys}, "runlevels")
	require.NoError(t, err)
	require.Len(t, ds, 2)
	require.True(t, ds.HasErrors())
	for i, name := range []string{"50-x.yaml.gotmpl", "50-x.yml"} {
		require.Equal(t, diag.RunlevelSameName, ds[i].Code)
		require.Equal(t, "runlevels/"+name, ds[i].Range.File)
		require.Equal(t, "runlevels/50-x.yaml", ds[i].Notes[0].Range.File)
		require.Contains(t, ds[i].Detail, "are both the runlevel 50-x.")
	}
}

func TestFilesHaveABudget(t *testing.T) {
	t.Parallel()
	const most = 16 << 20
	fsys := fstest.MapFS{
		"runlevels/1.yaml": &fstest.MapFile{Data: make([]byte, most)},
		"runlevels/2.yaml": &fstest.MapFile{Data: make([]byte, most+1)},
	}
	files, ds, err := runlevel.Files(source.Tree{FS: fsys}, "runlevels")
	require.NoError(t, err)
	require.Len(t, files, 1)
	require.Len(t, ds, 1)
	require.Equal(t, diag.YAMLTooLarge, ds[0].Code)
	require.Equal(t, "runlevels/2.yaml", ds[0].Range.File)
}

func TestEvaluateChangesNoValue(t *testing.T) {
	t.Parallel()
	values := map[string]any{"a": map[string]any{"b": int64(1)}}
	files := []runlevel.File{
		{Name: "1.yaml.gotmpl", Display: "1", Text: []byte(`{{ $_ := set .Values.a "c" 1 }}`)},
		{Name: "2.yaml.gotmpl", Display: "2", Text: []byte(`{{ if hasKey .Values.a "c" }}{{ fail "seen" }}{{ end }}`)},
	}
	_, ds := runlevel.Evaluate(t.Context(), runlevel.Input{Files: files, Stack: true, Values: values})
	require.Empty(t, ds)
	require.Equal(t, map[string]any{"a": map[string]any{"b": int64(1)}}, values)
}

func TestEnvironment(t *testing.T) {
	t.Parallel()
	files := []runlevel.File{{Name: "1.yaml.gotmpl", Display: "1", Text: []byte(
		`releases: [{name: x, chart: y, labels: {l: "{{ .Environment.Name }}-{{ .Environment.KubeContext }}-{{ .Namespace }}-{{ .Environment.Values.a }}"}}]`)}}
	ev, ds := runlevel.Evaluate(t.Context(), runlevel.Input{
		Files: files, Stack: true, Values: map[string]any{"a": "b"}, KubeContext: "c", Namespace: "n",
	})
	require.Empty(t, ds)
	require.Equal(t, "default-c-n-b", ev.Levels[0].Releases[0].Labels["l"])
	require.Equal(t, "c", ev.Levels[0].Releases[0].KubeContext)
}
