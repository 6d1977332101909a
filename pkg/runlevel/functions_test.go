package runlevel_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redkubes/otomi/pkg/exec"
	"github.com/redkubes/otomi/pkg/runlevel"
	"github.com/redkubes/otomi/pkg/source"
	"github.com/redkubes/otomi/pkg/template"
	"github.com/redkubes/otomi/testdata/helmfile/functions/rows"
)

// functions is where the rows are, and what helmfile made of them.
const functions = "../../testdata/helmfile/functions"

// The rows were recorded in UTC, and sprig prints dates in the local time.
func TestMain(m *testing.M) {
	time.Local = time.UTC
	os.Exit(m.Run())
}

// TestFunctions carries out each row in each place, and compares the outcome with helmfile's. What differs is listed in
// different.txt, and nothing else is.
func TestFunctions(t *testing.T) {
	t.Parallel()
	table, err := rows.Table(functions)
	require.NoError(t, err)
	golden, err := rows.Golden(functions)
	require.NoError(t, err)
	// The rows write the same files, so each worker has its own.
	const workers = 4
	outcomes := make([]map[string]rows.Outcome, len(table))
	t.Run("rows", func(t *testing.T) {
		for worker := range workers {
			t.Run(fmt.Sprint(worker), func(t *testing.T) {
				t.Parallel()
				work := t.TempDir()
				require.NoError(t, os.CopyFS(work, os.DirFS(filepath.Join(functions, "work"))))
				require.NoError(t, os.Chmod(filepath.Join(work, "data/fails.sh"), 0o755))
				for i := worker; i < len(table); i += workers {
					require.NoError(t, table[i].Write(functions, work))
					outcomes[i] = map[string]rows.Outcome{}
					for _, place := range rows.Places {
						outcomes[i][place] = outcome(t, work, place)
					}
				}
			})
		}
	})
	if t.Failed() {
		return
	}
	known := readDifferences(t)
	var different, failures strings.Builder
	different.WriteString(differencesHead)
	failures.WriteString(failuresHead)
	for i, row := range table {
		record, ok := golden[row.Name]
		require.True(t, ok, "%s: record it with %s/record.sh new", row.Name, functions)
		var order []string
		places := map[string][]string{}
		for _, place := range rows.Places {
			want := record.In(place)
			got := outcomes[i][place]
			if place == rows.Places[0] && want.Error != "" && got.Error != "" {
				fmt.Fprintf(&failures, "%s\n  helmfile %s\n  otomi    %s\n", row.Name, told(want), told(got))
			}
			if (want.Error != "") == (got.Error != "") && want.Out == got.Out {
				continue
			}
			difference := fmt.Sprintf("  helmfile %s\n  otomi    %s\n", told(want), told(got))
			if places[difference] == nil {
				order = append(order, difference)
			}
			places[difference] = append(places[difference], strings.TrimSuffix(strings.TrimSuffix(place, ".gotmpl"), ".yaml"))
		}
		if len(order) == 0 {
			continue
		}
		reason := known[row.Name]
		if reason == "" {
			reason = "TODO"
		}
		fmt.Fprintf(&different, "\n%s\n  because  %s\n", row.Name, reason)
		for _, difference := range order {
			in := strings.Join(places[difference], ", ")
			if len(places[difference]) == len(rows.Places) {
				in = "everywhere"
			}
			fmt.Fprintf(&different, "  in       %s\n%s", in, difference)
		}
	}
	for name, got := range map[string]string{"different.txt": different.String(), "failures.txt": failures.String()} {
		name = filepath.Join(functions, name)
		if os.Getenv("OTOMI_UPDATE") != "" {
			require.NoError(t, os.WriteFile(name, []byte(got), 0o644))
		}
		want, err := os.ReadFile(name)
		require.NoError(t, err)
		require.Equal(t, string(want), got, name)
	}
	require.NotContains(t, different.String(), "because  TODO", "make it equal, or write the reason into different.txt")
}

const (
	differencesHead = "What differs from helmfile on purpose, with the reason. The test writes this file (OTOMI_UPDATE=1), but for the reasons.\n"
	failuresHead    = "What helmfile says and what otomi says of each row that fails in both. The test writes this file (OTOMI_UPDATE=1).\n\n"
)

// readDifferences returns the reasons of the rows that differ.
func readDifferences(t *testing.T) map[string]string {
	text, err := os.ReadFile(filepath.Join(functions, "different.txt"))
	require.NoError(t, err)
	out := map[string]string{}
	last := ""
	for line := range strings.Lines(string(text)) {
		line = strings.TrimRight(line, "\n")
		if reason, ok := strings.CutPrefix(line, "  because  "); ok {
			out[last] = reason
		}
		last = line
	}
	return out
}

// frames are what text/template says of the templates around the one that failed, and what helmfile says before that.
var frames = regexp.MustCompile(`(?s)^.*(?:template: stringTemplate:\d+:\d+: executing "[^"]*" at |template: stringTemplate:\d+: )`)

func told(o rows.Outcome) string {
	const most = 400
	out := fmt.Sprintf("%q", o.Out)
	if o.Error != "" {
		out = "fails: " + strings.TrimPrefix(frames.ReplaceAllString(o.Error, ""), "release rel: ")
		out = strings.ReplaceAll(out, "\n", "\n           ")
	}
	if len(out) > most {
		out = strings.ToValidUTF8(out[:most/2]+" ... "+out[len(out)-most/2:], "")
	}
	return out
}

// outcome is what a place gives.
func outcome(t *testing.T, work, place string) rows.Outcome {
	t.Helper()
	host, err := source.OpenHost(work, work, true)
	require.NoError(t, err)
	env := map[string]string{"FUNCS_SET": "value", "FUNCS_EMPTY": ""}
	in := runlevel.Input{
		FS: host, Allow: template.Permissions{Exec: true, AnyEnv: true, Env: env},
		Programs: exec.Runner{Dir: work, Env: []string{"PATH=" + os.Getenv("PATH"), "FUNCS_SET=value", "FUNCS_EMPTY="}},
	}
	files, ds := runlevel.Discover(host, filepath.Join("main", place), "")
	require.Empty(t, ds)
	in.Files = files
	ev, ds := runlevel.Evaluate(t.Context(), in)
	if ds.HasErrors() {
		for _, d := range ds {
			require.NotContains(t, d.Detail, work)
		}
		return rows.Outcome{Error: ds[0].Detail}
	}
	i := slices.IndexFunc(ev.Levels, func(l runlevel.Level) bool { return len(l.Releases) > 0 })
	require.GreaterOrEqual(t, i, 0)
	rel := ev.Levels[i].Releases[0]
	if out, ok := rel.Labels["out"]; ok {
		return rows.Outcome{Out: out}
	}
	values, ds := rel.Written()
	require.Empty(t, ds)
	return rows.Outcome{Out: fmt.Sprint(values["out"])}
}

func TestNamespaceOfTheCommandLineReachedValuesOfEnvironments(t *testing.T) {
	t.Parallel()
	files := fstest.MapFS{
		"helmfile.yaml.gotmpl": {Data: []byte("environments: {default: {values: [e.yaml.gotmpl]}}\n---\n" +
			"releases: [{name: a, chart: c, values: [{out: \"{{ .Values.ns }}/{{ .Namespace }}\"}]}]\n")},
		"e.yaml.gotmpl": {Data: []byte("ns: \"<{{ .Namespace }}>\"\n")},
	}
	state, ds := runlevel.Discover(source.Inside(files), "helmfile.yaml.gotmpl", "")
	require.Empty(t, ds)
	ev, ds := runlevel.Evaluate(t.Context(), runlevel.Input{Files: state, FS: source.Inside(files), Namespace: "over"})
	require.Empty(t, ds)
	values, ds := ev.Levels[0].Releases[0].Written()
	require.Empty(t, ds)
	require.Equal(t, "<>/over", values["out"])
}
