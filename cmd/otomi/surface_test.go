package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// surfaceEntry is a row of testdata/helmfile/surface.txt: a key or a flag of helmfile's, how much it is used, and what becomes of
// it here.
type surfaceEntry struct {
	// mark is C (core), O (occasional) or R (rare).
	mark string
	// place is where a key stands, or the verb that has a flag.
	place string
	// name is the key or the flag, and input the value it is tried with.
	name, input string
	// want is works, idle (a warning says that it has no effect), or refused with the code of the diagnostic; of a flag refused
	// alone.
	want string
}

func (e surfaceEntry) flag() bool { return strings.HasPrefix(e.name, "-") }

// surface reads the table.
func surface(t *testing.T) []surfaceEntry {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "testdata", "helmfile", "surface.txt"))
	require.NoError(t, err)
	var out []surfaceEntry
	place := ""
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		switch {
		case line == "", strings.HasPrefix(line, "#"):
			continue
		case strings.HasPrefix(line, "["):
			place = strings.Trim(line, "[]")
			continue
		}
		parts := regexp.MustCompile(`\s*\|\s*`).Split(line, 4)
		require.Len(t, parts, 4, line)
		out = append(out, surfaceEntry{mark: parts[0], place: place, name: parts[1], want: parts[2], input: parts[3]})
	}
	return out
}

// written is a state file with the key at its place.
func (e surfaceEntry) written() string {
	key := e.name + ": " + e.input
	// A map that has more beside the key, which may be one of those.
	with := func(others ...string) string {
		fields := slices.DeleteFunc(others, func(f string) bool { return strings.HasPrefix(f, e.name+":") })
		return "{" + strings.Join(append(fields, key), ", ") + "}"
	}
	release := "releases: [{name: r, chart: ./chart}]\n"
	switch e.place {
	case "state":
		if e.name == "releases" || e.name == "environments" {
			release = ""
		}
		if e.name == "values" || e.name == "bases" {
			return key + "\n---\n" + release
		}
		return key + "\n" + release
	case "environments":
		return "environments: {default: {" + key + "}}\n---\n" + release
	case "helmDefaults":
		return "helmDefaults: {" + key + "}\n" + release
	case "helmfiles":
		if e.name == "path" {
			return "helmfiles: [{" + key + "}]\n"
		}
		return "repositories: [{name: r, url: 'https://charts.example'}]\nhelmfiles: [{path: sub.yaml, " + key + "}]\n" + release
	case "repositories":
		return "repositories: [" + with("name: some", "url: 'https://charts.example'") + "]\n" + release
	case "releases":
		if e.name == "directory" {
			return "releases: [{name: r, " + key + "}]\n"
		}
		return "values: [{app: {enabled: true}}]\ntemplates: {base: {labels: {a: b}}}\n---\n" +
			"templates: {base: {labels: {a: b}}}\nreleases:\n- {name: other, chart: ./chart}\n- " + with("name: r", "chart: ./chart") + "\n"
	case "hooks":
		return "hooks: [" + with("events: [prepare]", "command: 'true'") + "]\n" + release
	}
	return ""
}

// surfaceFiles are the files beside the state file.
var surfaceFiles = map[string]string{
	"chart/Chart.yaml":          "apiVersion: v2\nname: chart\nversion: 0.1.0\n",
	"chart/templates/main.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: {{ .Release.Name }}}\n",
	"extra/Chart.yaml":          "apiVersion: v2\nname: extra\nversion: 0.1.0\n",
	"base.yaml":                 "values: [{b: 1}]\n",
	"values.yaml":               "v: 1\n",
	"sub.yaml":                  "releases: [{name: s, chart: ./chart}]\n",
	"plain.yaml":                "releases: [{name: r, chart: ./chart}]\n",
}

func surfaceDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range surfaceFiles {
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
	}
	return dir
}

// reached is what deploying verbs say without a cluster: everything that is refused was refused before.
var reached = regexp.MustCompile(`no cluster is named|no kubeconfig|KUBECONFIG|kubeconfig`)

// tried is what becomes of a command line.
func tried(t *testing.T, dir string, args ...string) string {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code := run(world{
		args: args, env: func(name string) string {
			return map[string]string{"HOME": dir, "PATH": os.Getenv("PATH"), "KUBECONFIG": filepath.Join(dir, "none")}[name]
		},
		environ: os.Environ, dir: dir, stdin: strings.NewReader(""), stdout: &stdout, stderr: &stderr,
	})
	said := stderr.String()
	if found := regexp.MustCompile(`(?m)^error: .* ([a-z-]+/[a-z-]+)$`).FindStringSubmatch(said); found != nil {
		return "refused " + found[1]
	}
	if code == exitFailed && !reached.MatchString(said) {
		if strings.Contains(said, "unknown") {
			return "unknown: " + said
		}
		return "refused"
	}
	if strings.Contains(said, "has no effect") {
		return "idle"
	}
	return "works"
}

// TestSurface tries every key and flag of helmfile's that is in the table, and demands what the table says: what is core or
// occasional works, and what is rare works or is refused.
func TestSurface(t *testing.T) {
	t.Parallel()
	for _, e := range surface(t) {
		t.Run(fmt.Sprintf("%s/%s", e.place, e.name), func(t *testing.T) {
			t.Parallel()
			if e.mark != "R" {
				require.Contains(t, []string{"works", "idle"}, e.want, "what is core or occasional works")
			}
			dir := surfaceDir(t)
			if e.flag() {
				args := []string{e.place, "-f", "plain.yaml", "--allow", "all"}
				if e.place == "global" {
					args[0] = "template"
				}
				if e.name == "--write-output" {
					args = append(args, "--output-dir=out") // which it is of no use without
				}
				if e.input == "" {
					args = append(args, e.name)
				} else {
					args = append(args, e.name+"="+e.input)
				}
				require.Equal(t, e.want, tried(t, dir, args...), args)
				return
			}
			text := e.written()
			require.NoError(t, os.WriteFile(filepath.Join(dir, "helmfile.yaml"), []byte(text), 0o644))
			got := tried(t, dir, "template", "--allow", "all")
			if got == "works" {
				got = tried(t, dir, "diff", "--allow", "all")
			}
			require.Equal(t, e.want, got, text)
		})
	}
}

// TestSurfaceIsDocumented demands that the table of docs/helmfile.md is the one that TestSurface tries. OTOMI_UPDATE=1 rewrites it.
func TestSurfaceIsDocumented(t *testing.T) {
	t.Parallel()
	const begin, end = "<!-- made of testdata/helmfile/surface.txt by TestSurfaceIsDocumented -->\n", "<!-- end -->\n"
	var places []string
	names := map[string]map[string][]string{}
	for _, e := range surface(t) {
		if names[e.place] == nil {
			names[e.place] = map[string][]string{}
			places = append(places, e.place)
		}
		outcome, _, _ := strings.Cut(e.want, " ")
		if e.want == "refused runlevel/unknown-key" {
			continue // it is in helmfile's documentation alone
		}
		name := e.name
		if e.flag() {
			name = "`" + name + "`"
		}
		names[e.place][outcome] = append(names[e.place][outcome], name)
	}
	var b strings.Builder
	b.WriteString(begin + "| where | works | has no effect: a warning | refused, with what to do instead |\n| --- | --- | --- | --- |\n")
	for _, place := range places {
		fmt.Fprintf(&b, "| %s |", place)
		for _, outcome := range []string{"works", "idle", "refused"} {
			fmt.Fprintf(&b, " %s |", strings.Join(names[place][outcome], ", "))
		}
		b.WriteString("\n")
	}
	b.WriteString(end)
	file := filepath.Join("..", "..", "docs", "helmfile.md")
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	before, rest, found := strings.Cut(string(text), begin)
	require.True(t, found)
	_, after, found := strings.Cut(rest, end)
	require.True(t, found)
	if os.Getenv("OTOMI_UPDATE") != "" {
		require.NoError(t, os.WriteFile(file, []byte(before+b.String()+after), 0o644))
		return
	}
	require.Equal(t, b.String(), begin+strings.TrimSuffix(rest, after))
}
