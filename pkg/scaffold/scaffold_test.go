package scaffold_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"

	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/layer"
	"github.com/redkubes/otomi/pkg/merge"
	"github.com/redkubes/otomi/pkg/scaffold"
	"github.com/redkubes/otomi/pkg/schema"
	"github.com/redkubes/otomi/pkg/source"
	stack "github.com/redkubes/otomi/schema"
)

// epoch is a time that no file of a test was written at.
var epoch = time.Unix(0, 0)

var single = scaffold.Answers{Cluster: "aws/demo", Domain: "demo.example.com", KubeContext: "demo-admin"}

func bootstrap(t *testing.T, dir string, a scaffold.Answers, o scaffold.Options) scaffold.Result {
	t.Helper()
	result, ds, err := scaffold.Bootstrap(dir, a, o)
	require.NoError(t, err)
	require.Empty(t, ds)
	return result
}

func TestWritesARepository(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "not", "there", "yet")
	result := bootstrap(t, dir, single, scaffold.Options{EditorSchema: []byte("{}\n")})
	require.Equal(t, []string{
		".gitattributes", ".gitignore", ".vscode/clusters.schema.json", ".vscode/extensions.json", ".vscode/settings.json",
		".vscode/values.schema.json", "README.md", "env/clouds/aws/demo/settings.yaml", "env/clusters.yaml",
		"env/settings.yaml", "env/teams/example.yaml", "otomi.yaml",
	}, result.Written)
	require.Empty(t, result.Unchanged)
	require.Empty(t, result.Left)
	require.Equal(t, result.Written, files(t, dir), "no other file, and no temporary one, is there")

	registry := load(t, filepath.Join(dir, "env/clusters.yaml"))
	require.Equal(t, map[string]any{"clouds": map[string]any{"aws": map[string]any{"clusters": map[string]any{
		"demo": map[string]any{"domain": "demo.example.com", "kubeContext": "demo-admin"},
	}}}}, registry)
	require.Equal(t, map[string]any{"version": 1.0}, load(t, filepath.Join(dir, "otomi.yaml")))

	readme, err := os.ReadFile(filepath.Join(dir, "README.md"))
	require.NoError(t, err)
	require.NotContains(t, string(readme), "The example")
	require.NotContains(t, string(readme), "<no value>")
}

func TestWritesNoEditorSchemaWithoutOne(t *testing.T) {
	t.Parallel()
	result := bootstrap(t, t.TempDir(), single, scaffold.Options{})
	require.NotContains(t, result.Written, ".vscode/values.schema.json")
}

// A repository that was only bootstrapped is valid as it is.
func TestPlainRepositoryIsValid(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	bootstrap(t, dir, scaffold.Answers{Cluster: "aws/demo", Domain: "demo.example.com"}, scaffold.Options{})
	require.Equal(t, map[string]any{
		"id": "aws/demo", "provider": "aws", "name": "demo", "domain": "demo.example.com",
	}, values(t, dir)["aws/demo"]["cluster"])
}

func TestSecondRunWritesNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := bootstrap(t, dir, single, scaffold.Options{})
	require.NoError(t, filepath.WalkDir(dir, func(name string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			return os.Chtimes(name, epoch, epoch)
		}
		return err
	}))
	second := bootstrap(t, dir, single, scaffold.Options{})
	require.Empty(t, second.Written)
	require.Empty(t, second.Left)
	require.Equal(t, first.Written, second.Unchanged)
	for _, name := range first.Written {
		info, err := os.Stat(filepath.Join(dir, name))
		require.NoError(t, err)
		require.Equal(t, epoch.Unix(), info.ModTime().Unix(), name)
	}
}

func TestLeavesAnEditedFileAndBringsBackADeletedOne(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	bootstrap(t, dir, single, scaffold.Options{})
	edited := filepath.Join(dir, "env", "teams", "example.yaml")
	require.NoError(t, os.WriteFile(edited, []byte("teams: {}\n"), 0o600))
	require.NoError(t, os.Remove(filepath.Join(dir, ".gitignore")))

	result := bootstrap(t, dir, single, scaffold.Options{})
	require.Equal(t, []string{"env/teams/example.yaml"}, result.Left)
	require.Equal(t, []string{".gitignore"}, result.Written)
	content, err := os.ReadFile(edited)
	require.NoError(t, err)
	require.Equal(t, "teams: {}\n", string(content))
}

func TestFollowsNoLinkOutOfTheRepository(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		link, target string
		want         string
	}{
		"directory":       {link: "env", want: "env is a link"},
		"file":            {link: ".gitignore", target: "outside.txt", want: ".gitignore is a link"},
		"dangling file":   {link: ".gitignore", target: "nothing", want: ".gitignore"},
		"deeper":          {link: "env/teams", want: "env/teams is a link"},
		"schema's folder": {link: ".vscode", want: ".vscode is a link"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			outside, dir := t.TempDir(), t.TempDir()
			require.NoError(t, os.WriteFile(filepath.Join(outside, "outside.txt"), []byte("mine\n"), 0o600))
			link := filepath.Join(dir, test.link)
			require.NoError(t, os.MkdirAll(filepath.Dir(link), 0o755))
			require.NoError(t, os.Symlink(filepath.Join(outside, test.target), link))

			result, ds, err := scaffold.Bootstrap(dir, single, scaffold.Options{})
			require.Empty(t, ds)
			require.ErrorContains(t, err, test.want)
			require.Empty(t, result.Written, "it looks at every file before it writes the first")
			require.Equal(t, []string{"outside.txt"}, files(t, outside))
		})
	}
}

func TestSaysWhatIsInTheWay(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "env"), nil, 0o600))
	_, _, err := scaffold.Bootstrap(dir, single, scaffold.Options{})
	require.ErrorContains(t, err, "env is no directory; move it away")
}

func TestRefusesBadAnswers(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		answers scaffold.Answers
		want    map[diag.Code]string
	}{
		"nothing said": {want: map[diag.Code]string{diag.BootstrapAnswer: "--cluster CLOUD/NAME"}},
		"no cloud": {
			answers: scaffold.Answers{Cluster: "demo", Domain: "example.com"},
			want:    map[diag.Code]string{diag.ClusterInvalidName: "--cluster aws/demo"},
		},
		"upper case": {
			answers: scaffold.Answers{Cluster: "AWS/demo", Domain: "example.com"},
			want:    map[diag.Code]string{diag.ClusterInvalidName: "AWS/demo"},
		},
		"a path": {
			answers: scaffold.Answers{Cluster: "../demo", Domain: "example.com"},
			want:    map[diag.Code]string{diag.ClusterInvalidName: "../demo"},
		},
		"three parts": {
			answers: scaffold.Answers{Cluster: "aws/demo/x", Domain: "example.com"},
			want:    map[diag.Code]string{diag.ClusterInvalidName: "aws/demo/x"},
		},
		"no domain": {
			answers: scaffold.Answers{Cluster: "aws/demo"},
			want:    map[diag.Code]string{diag.BootstrapAnswer: "--domain DOMAIN"},
		},
		"a URL for a domain": {
			answers: scaffold.Answers{Cluster: "aws/demo", Domain: "https://example.com"},
			want:    map[diag.Code]string{diag.BootstrapAnswer: "--domain demo.example.com"},
		},
		"a line break in the context": {
			answers: scaffold.Answers{Cluster: "aws/demo", Domain: "example.com", KubeContext: "a\nb"},
			want:    map[diag.Code]string{diag.BootstrapAnswer: "--kube-context"},
		},
		"unknown profile": {
			answers: scaffold.Answers{Cluster: "aws/demo", Domain: "example.com", Profile: "dmeo"},
			want:    map[diag.Code]string{diag.BootstrapAnswer: "--profile demo"},
		},
		"another cluster for the demo": {
			answers: scaffold.Answers{Cluster: "gcp/x", Profile: scaffold.Demo},
			want:    map[diag.Code]string{diag.BootstrapAnswer: "Leave --cluster out"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "new")
			result, ds, err := scaffold.Bootstrap(dir, test.answers, scaffold.Options{})
			require.NoError(t, err)
			require.Empty(t, result)
			require.NoDirExists(t, dir)
			require.True(t, ds.HasErrors())
			for code, text := range test.want {
				require.True(t, slices.ContainsFunc(ds, func(d diag.Diagnostic) bool {
					return d.Code == code && strings.Contains(d.Detail, text)
				}), "want %s with %q in %v", code, text, ds)
			}
		})
	}
}

// A name that YAML would read as a boolean, a number or a null, or an ARN for a context, comes back as the same text.
func TestNamesAreReadBackAsTheyWereTyped(t *testing.T) {
	t.Parallel()
	for _, a := range []scaffold.Answers{
		{Cluster: "on/no", Domain: "1e3", KubeContext: "true"},
		{Cluster: "0x1f/007", Domain: "127.0.0.1", KubeContext: "arn:aws:eks:eu-central-1:123456789012:cluster/demo"},
		{Cluster: "null/y", Domain: "example.com", KubeContext: `a "b": {{ .Name }} # c <&>`},
	} {
		dir := t.TempDir()
		bootstrap(t, dir, a, scaffold.Options{})
		cloud, name, _ := strings.Cut(a.Cluster, "/")
		require.Equal(t, map[string]any{"clouds": map[string]any{cloud: map[string]any{"clusters": map[string]any{
			name: map[string]any{"domain": a.Domain, "kubeContext": a.KubeContext},
		}}}}, load(t, filepath.Join(dir, "env/clusters.yaml")))
	}
}

func TestDemoIsValidForEveryCluster(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	bootstrap(t, dir, scaffold.Answers{Profile: scaffold.Demo}, scaffold.Options{})
	clusters := values(t, dir)
	require.Len(t, clusters, 3)
	replicas := func(id string) any {
		return at(clusters[id], "teams", "alpha", "services", "web", "replicas")
	}
	require.Equal(t, int64(2), replicas("aws/demo"), "the team's file is the last word where a change is to be tried")
	require.Equal(t, int64(6), replicas("aws/prod"))
	require.Equal(t, int64(1), replicas("azure/demo"))
	require.Equal(t, "playground", at(clusters["aws/demo"], "cluster", "kubeContext"))
	require.Equal(t, "1.28", at(clusters["aws/prod"], "teams", "alpha", "services", "web", "image", "tag"))
	require.Equal(t, false, at(clusters["azure/demo"], "teams", "bravo", "enabled"))
	for _, name := range files(t, dir) {
		require.NotContains(t, name, "secrets.", "no secret is in the example")
	}
}

// What a file of the plain profile shows as a comment is meant to be used.
func TestCommentedExamplesAreValid(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	bootstrap(t, dir, single, scaffold.Options{})
	for _, name := range []string{"env/settings.yaml", "env/teams/example.yaml", "env/clouds/aws/demo/settings.yaml"} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		require.NoError(t, err)
		require.Nil(t, load(t, filepath.Join(dir, name)), "%s holds comments only", name)
		_, example, found := strings.Cut(string(text), "\n#\n")
		require.True(t, found, name)
		example = strings.ReplaceAll("\n"+example, "\n# ", "\n")
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(example), 0o600))
	}
	require.Equal(t, int64(4), at(values(t, dir)["aws/demo"], "teams", "example", "services", "web", "replicas"))
}

// values are the merged values of every cluster of a repository, by its id, checked against the stack's schema.
func values(t *testing.T, dir string) map[string]map[string]any {
	t.Helper()
	compiled, ds, err := schema.Compile(source.Tree{FS: stack.FS}, "values.schema.yaml")
	require.NoError(t, err)
	require.Empty(t, ds)
	repo, ds, err := layer.OpenRepository(source.Tree{FS: os.DirFS(dir)})
	require.NoError(t, err)
	require.Empty(t, ds)
	clusters := map[string]map[string]any{}
	for _, cluster := range repo.Clusters() {
		layers, ds, err := repo.Layers(cluster, layer.Options{})
		require.NoError(t, err)
		require.Empty(t, ds)
		root, ds := merge.Fold(layers, merge.Options{Lists: compiled.Lists})
		require.Empty(t, ds)
		root = compiled.Fill(root)
		require.Empty(t, compiled.Validate(root))
		clusters[cluster.ID] = root.PlainMap()
	}
	return clusters
}

func at(tree map[string]any, keys ...string) any {
	var node any = tree
	for _, key := range keys {
		m, _ := node.(map[string]any)
		node = m[key]
	}
	return node
}

func load(t *testing.T, name string) map[string]any {
	t.Helper()
	text, err := os.ReadFile(name)
	require.NoError(t, err)
	var tree map[string]any
	require.NoError(t, yaml.UnmarshalStrict(text, &tree), name)
	return tree
}

func files(t *testing.T, dir string) []string {
	t.Helper()
	var names []string
	require.NoError(t, filepath.WalkDir(dir, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		rel, err := filepath.Rel(dir, name)
		names = append(names, filepath.ToSlash(rel))
		return err
	}))
	slices.Sort(names)
	return names
}
