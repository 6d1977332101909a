package schema

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/layer"
	"github.com/redkubes/otomi/pkg/merge"
	"github.com/redkubes/otomi/pkg/source"
	"github.com/stretchr/testify/require"
)

// realHierarchy is the order that the fixture's README gives: the plain files, core.yaml, then the secrets as the plain ones.
const realHierarchy = `version: 1
hierarchy:
  - env/cluster.yaml
  - env/settings.yaml
  - env/teams.yaml
  - env/charts/[^s]*.yaml
  - env/charts/s[^e]*.yaml
  - env/teams/*.yaml
  - core.yaml
  - env/secrets.settings.yaml
  - env/secrets.teams.yaml
  - env/charts/secrets.*.yaml
`

// realRepository is the fixture as a values repository, in memory.
func realRepository(t testing.TB) fstest.MapFS {
	t.Helper()
	dir := os.DirFS(fixture(t))
	files := fstest.MapFS{"otomi.yaml": {Data: []byte(realHierarchy)}}
	require.NoError(t, fs.WalkDir(dir, ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(p) != ".yaml" || p == "values-schema.yaml" {
			return err
		}
		text, err := fs.ReadFile(dir, p)
		files[p] = &fstest.MapFile{Data: text}
		return err
	}))
	return files
}

// validated compiles a repository of one cluster and returns all that is found.
func validated(t testing.TB, s *Schema, files fstest.MapFS) diag.Diagnostics {
	t.Helper()
	repo, diags, err := layer.OpenRepository(source.Tree{FS: files})
	require.NoError(t, err)
	require.Empty(t, diags)
	cluster, diags := repo.Cluster("")
	require.Empty(t, diags)
	layers, diags, err := repo.Layers(cluster, layer.Options{})
	require.NoError(t, err)
	require.Empty(t, diags)
	require.Equal(t, 39, len(layers), "38 files of values and core.yaml")
	root, diags := merge.Fold(layers, merge.Options{Lists: s.Lists})
	require.Empty(t, diags)
	return s.Validate(s.Fill(root))
}

func realSchema(t testing.TB) *Schema {
	t.Helper()
	stack, path := fixtureSchema(t)
	s, diags, err := Compile(stack, path)
	require.NoError(t, err)
	require.False(t, diags.HasErrors(), "%v", diags)
	return s
}

func TestRealRepositoryIsValid(t *testing.T) {
	t.Parallel()
	require.Empty(t, validated(t, realSchema(t), realRepository(t)))
}

// at names a line of a file by its text without indentation; n counts those that are equal, from 1.
type at struct {
	file, line string
	n          int
}

// index returns the number of the line, from 0, and its indentation.
func (a at) index(t *testing.T, lines []string) (int, int) {
	t.Helper()
	seen := 0
	for i, l := range lines {
		if strings.TrimSpace(l) != a.line {
			continue
		}
		if seen++; seen == a.n {
			return i, len(l) - len(strings.TrimLeft(l, " "))
		}
	}
	t.Fatalf("%s has no line %q (%d)", a.file, a.line, a.n)
	return 0, 0
}

// spot is where a finding must be: the file, and line and column as they were counted in the mutated text.
func spot(file string, line, column int) string {
	return fmt.Sprintf("%s:%d:%d", file, line+1, column+1)
}

func TestRealMutationsAreReportedAtTheirPlace(t *testing.T) {
	t.Parallel()
	s, files := realSchema(t), realRepository(t)
	lines := func(file string) []string { return strings.Split(string(files[file].Data), "\n") }
	// expect validates the fixture with one file replaced; it must have one finding, at the place.
	expect := func(t *testing.T, file string, mutated []string, code diag.Code, want string) {
		t.Helper()
		changed := fstest.MapFS{}
		for name, f := range files {
			changed[name] = f
		}
		changed[file] = &fstest.MapFile{Data: []byte(strings.Join(mutated, "\n"))}
		var got []string
		for _, d := range validated(t, s, changed) {
			got = append(got, d.Range.String()+" "+string(d.Code))
		}
		require.Equal(t, []string{want + " " + string(code)}, got, "%s:\n%s", file, strings.Join(mutated, "\n"))
	}

	wrongTypes := []struct {
		at    at
		value string
	}{
		{at{"env/cluster.yaml", "region: eu-central-1", 1}, "[1]"},
		{at{"env/settings.yaml", "hasCloudLB: false", 1}, "maybe"},
		{at{"env/settings.yaml", "zones: []", 1}, "nothing"},
		{at{"env/charts/istio.yaml", "minReplicas: 1", 3}, "one"},
		{at{"env/teams/services.demo.yaml", "port: 443", 1}, "https"},
		{at{"core.yaml", "port: 3000", 1}, "[3000]"},
		{at{"env/charts/sitespeed.yaml", "retention: 10m:7d,30m:14d", 1}, "[10m]"},
		{at{"env/charts/cert-manager.yaml", "_rawValues: {}", 1}, "text"},
		{at{"env/charts/keycloak.yaml", "alias: redkubes-azure", 1}, "5"},
		{at{"env/secrets.settings.yaml", "adminPassword: bladibla", 1}, "[x]"},
	}
	for _, m := range wrongTypes {
		t.Run("wrong type/"+m.at.file+"/"+m.at.line, func(t *testing.T) {
			t.Parallel()
			text := lines(m.at.file)
			i, indent := m.at.index(t, text)
			key, _, _ := strings.Cut(m.at.line, ": ")
			text[i] = strings.Repeat(" ", indent) + key + ": " + m.value
			expect(t, m.at.file, text, diag.ValuesWrongType, spot(m.at.file, i, indent+len(key)+2))
		})
	}

	unknownKeys := []at{
		{"env/cluster.yaml", "name: demo", 1},
		{"env/settings.yaml", "customer:", 1},
		{"env/charts/cert-manager.yaml", "email: admins@redkubes.com", 1},
		{"env/charts/istio.yaml", "minReplicas: 1", 2},
		{"env/charts/drone.yaml", "debug: false", 1},
		{"env/teams.yaml", "id: demo", 1},
		{"env/teams.yaml", "memory: 64Mi", 1},
		{"env/teams/services.demo.yaml", "tlsPass: true", 1},
		{"core.yaml", "hide: true", 2},
		{"env/charts/secrets.drone.yaml", "sharedSecret: somesecretvalue", 1},
	}
	for _, m := range unknownKeys {
		t.Run("unknown key/"+m.file+"/"+m.line, func(t *testing.T) {
			t.Parallel()
			text := lines(m.file)
			i, indent := m.index(t, text)
			text = slices.Insert(text, i, strings.Repeat(" ", indent)+"zzUnknown: 1")
			expect(t, m.file, text, diag.ValuesUnknownKey, spot(m.file, i, indent))
		})
	}

	// The map that lacks the key is reported where the most specific file opens it.
	missing := []struct{ removed, opened at }{
		{at{"env/cluster.yaml", "name: demo", 1}, at{"env/cluster.yaml", "cluster:", 1}},
		{at{"env/cluster.yaml", "provider: aws", 1}, at{"env/cluster.yaml", "cluster:", 1}},
		{at{"env/charts/cert-manager.yaml", "email: admins@redkubes.com", 1}, at{"env/charts/cert-manager.yaml", "cert-manager:", 1}},
		{at{"env/teams.yaml", "id: demo", 1}, at{"env/secrets.teams.yaml", "demo:", 1}},
		{at{"env/teams.yaml", "cpu: 100m", 1}, at{"env/teams.yaml", "default:", 1}},
		{at{"env/teams.yaml", "memory: 64Mi", 1}, at{"env/teams.yaml", "defaultRequest:", 1}},
		{at{"env/charts/nginx-ingress.yaml", "cpu: 200m", 1}, at{"env/charts/nginx-ingress.yaml", "limits:", 1}},
		{at{"env/charts/nginx-ingress.yaml", "memory: 192Mi", 2}, at{"env/charts/nginx-ingress.yaml", "requests:", 2}},
		{at{"env/charts/istio.yaml", "cpu: 10m", 1}, at{"env/charts/istio.yaml", "requests:", 3}},
		{at{"env/charts/secrets.keycloak.yaml", "postgresqlPassword: postgresqlPassword", 1}, at{"env/charts/secrets.keycloak.yaml", "keycloak:", 1}},
	}
	for _, m := range missing {
		t.Run("missing key/"+m.removed.file+"/"+m.removed.line, func(t *testing.T) {
			t.Parallel()
			text := lines(m.removed.file)
			i, _ := m.removed.index(t, text)
			text = slices.Delete(text, i, i+1)
			where := text
			if m.opened.file != m.removed.file {
				where = lines(m.opened.file)
			}
			j, column := m.opened.index(t, where)
			expect(t, m.removed.file, text, diag.ValuesMissing, spot(m.opened.file, j, column))
		})
	}
}
