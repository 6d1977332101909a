package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/require"
)

// hookCase is a line of testdata/helmfile/hooks/cases.
type hookCase struct {
	name, cluster, fail string
	args                []string
}

func hookCases(t *testing.T) (dir string, cases []hookCase) {
	t.Helper()
	dir, err := filepath.Abs(filepath.Join("..", "..", "testdata", "helmfile", "hooks"))
	require.NoError(t, err)
	table, err := os.ReadFile(filepath.Join(dir, "cases"))
	require.NoError(t, err)
	for line := range strings.Lines(string(table)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		f := strings.Split(line, "|")
		require.Len(t, f, 4, line)
		cases = append(cases, hookCase{
			name: strings.TrimSpace(f[0]), cluster: strings.TrimSpace(f[1]), fail: strings.TrimSpace(f[2]), args: strings.Fields(f[3]),
		})
	}
	return dir, cases
}

// TestHelmfileHooks runs the cases of testdata/helmfile/hooks that need no cluster as its record.sh runs helmfile, and compares
// which hooks ran, what they saw and the exit code.
func TestHelmfileHooks(t *testing.T) {
	t.Parallel()
	dir, cases := hookCases(t)
	for _, c := range cases {
		if c.cluster != "none" {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			golden, err := os.ReadFile(filepath.Join(dir, "golden", c.name))
			require.NoError(t, err)
			work := t.TempDir()
			require.NoError(t, os.CopyFS(work, os.DirFS(filepath.Join(dir, "files"))))
			require.NoError(t, os.Chmod(filepath.Join(work, "note"), 0o755))
			environ := map[string]string{"FAIL": c.fail, "PATH": os.Getenv("PATH")}
			var stdout, stderr bytes.Buffer
			code := run(world{
				args: append([]string{"--allow", "hooks,env=FAIL", "-f", "helmfile.d"}, c.args...),
				env:  func(name string) string { return environ[name] }, dir: work, stdout: &stdout, stderr: &stderr,
			})
			ran, err := os.ReadFile(filepath.Join(work, "ran"))
			if err != nil {
				require.ErrorIs(t, err, os.ErrNotExist)
			}
			got := reachedFiles(string(golden), fmt.Sprintf("%sexit %d\n", ran, code))
			require.Equal(t, hooksRan(string(golden)), hooksRan(got), stderr.String())
		})
	}
}

// reachedFiles leaves out of got the lines of files that helmfile did not come to, where something failed: here all files are prepared
// before one is worked on, and so all are cleaned up.
func reachedFiles(golden, got string) string {
	if strings.Contains(golden, "exit 0") {
		return got
	}
	var out strings.Builder
	for line := range strings.Lines(got) {
		name, rest, found := strings.Cut(line, ":")
		if !found || strings.Contains(golden, name+":") || !strings.Contains(rest, "prepare") && !strings.Contains(rest, "cleanup") {
			out.WriteString(line)
		}
	}
	return out.String()
}

// hooksRan are the lines that hooks noted, by file: which file is first is not defined where helmfile takes them side by side. So
// is the order of the releases that are prepared, but for template, of those that are cleaned up with nothing changed, and of those
// of one group that are destroyed.
func hooksRan(text string) []string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	file := func(line string) string {
		if name, _, found := strings.Cut(line, ":"); found {
			return name
		}
		return "~" // the exit code comes last
	}
	slices.SortStableFunc(lines, func(a, b string) int { return strings.Compare(file(a), file(b)) })
	event := func(i int) string {
		name, rest, _ := strings.Cut(lines[i], " ")
		if strings.Contains(rest, "uninstall delete") {
			return file(lines[i]) + " destroyed"
		}
		if strings.HasSuffix(name, ":") || strings.HasSuffix(name, ":another") || !strings.HasPrefix(rest, "cleanup") && !strings.HasPrefix(rest, "prepare") ||
			strings.HasPrefix(rest, "prepare template") {
			return ""
		}
		return file(lines[i]) + rest
	}
	for i := 0; i < len(lines); {
		j := i + 1
		for ; event(i) != "" && j < len(lines) && event(j) == event(i); j++ {
		}
		slices.SortStableFunc(lines[i:j], func(a, b string) int { // by release, where several events of one are in a run
			return strings.Compare(a[:strings.Index(a, " ")], b[:strings.Index(b, " ")])
		})
		i = j
	}
	return lines
}

// hooksRanAs compares what hooks noted in the file ran with a recorded case, and forgets it:
//
//	hooks CASE DIRECTORY
func hooksRanAs(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: hooks CASE DIRECTORY")
	}
	golden, err := os.ReadFile(filepath.Join(ts.Getenv("HOOKS"), "golden", args[0]))
	ts.Check(err)
	ran := ts.MkAbs(filepath.Join(args[1], "ran"))
	got, err := os.ReadFile(ran)
	if !os.IsNotExist(err) {
		ts.Check(err)
	}
	_ = os.Remove(ran)
	// The exit code is the script's to test.
	lines := slices.DeleteFunc(hooksRan(string(golden)), func(line string) bool { return strings.HasPrefix(line, "exit ") })
	want, have := strings.Join(lines, "\n"), strings.Join(hooksRan(reachedFiles(string(golden), string(got))), "\n")
	if want != have {
		ts.Fatalf("hooks of %s: want\n%s\n\ngot\n%s", args[0], want, have)
	}
}
