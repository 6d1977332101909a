package layer

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/source"
	"github.com/redkubes/otomi/pkg/value"
	"github.com/redkubes/otomi/pkg/yaml"
	"github.com/stretchr/testify/require"
)

const clusters = `clouds:
  aws:
    domain: aws.example.com
    clusters:
      demo: { kubeContext: demo-admin, k8sVersion: "1.34", region: eu-central-1 }
      prod: { domain: prod.example.org }
  google:
    clusters:
      demo:
`

// tree makes a repository of files; a name without a text is an empty file.
func tree(files ...string) source.Tree {
	m := fstest.MapFS{}
	for _, f := range files {
		name, text, _ := strings.Cut(f, "|")
		m[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return source.Tree{FS: m}
}

func open(t *testing.T, repo source.Tree) *Repository {
	t.Helper()
	r, diags, err := OpenRepository(repo)
	require.NoError(t, err)
	require.Empty(t, diags)
	return r
}

func names(layers []Layer) []string {
	out := []string{}
	for _, l := range layers {
		out = append(out, l.Name)
	}
	return out
}

func shorts(ds diag.Diagnostics) []string {
	out := []string{}
	for _, d := range ds {
		out = append(out, d.Range.String()+" "+string(d.Code))
	}
	return out
}

func TestLayersFollowTheHierarchy(t *testing.T) {
	t.Parallel()
	files := []string{
		"env/settings.yaml", "env/B.yaml", "env/a.yaml", "env/secrets.a.yaml", "env/secrets.settings.yaml", "env/.hidden.yaml", "env/readme.md",
		"env/clusters.yaml|" + clusters, "env/apps/x.yaml", "env/apps/secrets.x.yaml", "env/apps/deep/y.yaml", "env/teams/t.yaml",
		"env/clouds/aws/c.yaml", "env/clouds/aws/secrets.c.yaml", "env/clouds/aws/demo/d.yaml", "env/clouds/aws/demo/secrets.d.yaml",
		"env/clouds/aws/prod/p.yaml", "env/clouds/google/g.yaml",
	}
	r := open(t, tree(files...))
	demo, diags := r.Cluster("aws/demo")
	require.Empty(t, diags)
	layers, diags, err := r.Layers(demo, Options{Stack: tree("schema/defaults.yaml|a: 1"), DefaultsPath: "schema/defaults.yaml"})
	require.NoError(t, err)
	require.Empty(t, diags)
	require.Equal(t, []string{
		"defaults", "registry",
		"env/B.yaml", "env/a.yaml", "env/settings.yaml", "env/secrets.a.yaml", "env/secrets.settings.yaml",
		"env/apps/x.yaml", "env/apps/secrets.x.yaml", "env/teams/t.yaml",
		"env/clouds/aws/c.yaml", "env/clouds/aws/secrets.c.yaml",
		"env/clouds/aws/demo/d.yaml", "env/clouds/aws/demo/secrets.d.yaml",
	}, names(layers))
	for _, l := range layers {
		require.Equal(t, strings.Contains(l.Name, "secrets."), l.Secret, l.Name)
	}
	google, _ := r.Cluster("google/demo")
	layers, _, err = r.Layers(google, Options{Stack: source.Tree{FS: fstest.MapFS{}, Prefix: "other/"}, DefaultsPath: "schema/defaults.yaml"})
	require.NoError(t, err)
	require.Equal(t, "env/clouds/google/g.yaml", layers[len(layers)-1].Name)
	require.NotContains(t, names(layers), "defaults")
}

func TestLayersOfAnOwnHierarchy(t *testing.T) {
	t.Parallel()
	r := open(t, tree("env/clusters.yaml|"+clusters, `otomi.yaml|
version: 1
hierarchy: [env/b.yaml, "env/*.yaml", "env/[xy]/?.yaml", "{cloud}-*/{cluster}.yaml", nothing/*.yaml]
exclude: ["env/*-old.yaml", "env/x/{cluster}.yaml"]
`, "env/a.yaml", "env/b.yaml", "env/c-old.yaml", "env/x/1.yaml", "env/x/22.yaml", "env/y/1.yaml", "env/z/1.yaml", "aws-eu/demo.yaml", "aws-us/demo.yaml", "aws-us/prod.yaml"))
	c, _ := r.Cluster("aws/demo")
	layers, diags, err := r.Layers(c, Options{})
	require.NoError(t, err)
	require.Empty(t, diags)
	require.Equal(t, []string{
		"registry", "env/b.yaml", "env/a.yaml", "env/x/1.yaml", "env/y/1.yaml", "aws-eu/demo.yaml", "aws-us/demo.yaml",
	}, names(layers))
}

func TestRegistryLayer(t *testing.T) {
	t.Parallel()
	r := open(t, tree("env/clusters.yaml|"+clusters))
	var ids []string
	for _, c := range r.Clusters() {
		ids = append(ids, c.ID)
	}
	require.Equal(t, []string{"aws/demo", "aws/prod", "google/demo"}, ids)

	demo, _ := r.Cluster("aws/demo")
	require.Equal(t, "demo.aws.example.com", demo.Domain)
	require.Equal(t, "demo-admin", demo.KubeContext)
	require.Equal(t, "1.34", demo.K8sVersion)
	require.Equal(t, "env/clusters.yaml:5:7", demo.Range.String())
	layers, _, err := r.Layers(demo, Options{})
	require.NoError(t, err)
	root := layers[0].Root
	require.Equal(t, map[string]any{
		"id": "aws/demo", "provider": "aws", "name": "demo", "domain": "demo.aws.example.com",
		"kubeContext": "demo-admin", "k8sVersion": "1.34", "region": "eu-central-1",
	}, root.Get("cluster").Plain())
	require.Equal(t, "prod.example.org", root.At(value.Path{}.Key("clouds").Key("aws").Key("clusters").Key("prod").Key("domain")).Text())
	require.Equal(t, "env/clusters.yaml:5:7", root.Get("cluster").Get("id").Origin.Range.String())
	require.Equal(t, "env/clusters.yaml:5:68", root.Get("cluster").Get("region").Origin.Range.String()[:len("env/clusters.yaml:5:68")])
	root.Walk(func(_ value.Path, n *value.Node) bool {
		require.Equal(t, Registry, n.Origin.Layer)
		return true
	})

	prod, _ := r.Cluster("aws/prod")
	require.Equal(t, "prod.example.org", prod.Domain)
	google, _ := r.Cluster("google/demo")
	require.Empty(t, google.Domain)
	layers, _, err = r.Layers(google, Options{})
	require.NoError(t, err)
	require.Equal(t, map[string]any{"id": "google/demo", "provider": "google", "name": "demo"}, layers[0].Root.Get("cluster").Plain())
}

func TestClusterByName(t *testing.T) {
	t.Parallel()
	several := open(t, tree("env/clusters.yaml|"+clusters))
	one := open(t, tree("env/clusters.yaml|clouds: {aws: {clusters: {demo: {}}}}"))
	empty := open(t, tree("env/clusters.yaml|clouds:"))
	none := open(t, tree("env/a.yaml"))
	tests := map[string]struct {
		repo   *Repository
		id     string
		want   string
		code   diag.Code
		detail string
	}{
		"named":                  {several, "google/demo", "google/demo", "", ""},
		"not named":              {several, "", "", diag.ClusterNotNamed, "aws/demo, aws/prod, google/demo"},
		"unknown":                {several, "aws/dmeo", "", diag.ClusterUnknown, `Did you mean "aws/demo"? Known are aws/demo, aws/prod, google/demo.`},
		"without its cloud":      {several, "prod", "", diag.ClusterUnknown, `Did you mean "aws/prod"?`},
		"far from all":           {several, "x", "", diag.ClusterUnknown, "Known are aws/demo"},
		"the only one":           {one, "", "aws/demo", "", ""},
		"the only one, named":    {one, "aws/demo", "aws/demo", "", ""},
		"empty registry":         {empty, "", "", diag.ClusterUnknown, "Add one"},
		"no registry":            {none, "", "", "", ""},
		"no registry, but named": {none, "aws/demo", "", diag.ClusterNoRegistry, "Leave out --cluster"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, diags := tt.repo.Cluster(tt.id)
			require.Equal(t, tt.want, c.ID)
			if tt.code == "" {
				require.Empty(t, diags)
				return
			}
			require.Len(t, diags, 1)
			require.Equal(t, tt.code, diags[0].Code)
			require.Contains(t, diags[0].Detail, tt.detail)
		})
	}
	require.Empty(t, none.Clusters())
}

func TestLayersWithoutARegistrySkipPatternsOfClusters(t *testing.T) {
	t.Parallel()
	r := open(t, tree("env/a.yaml", "env/clouds/x.yaml", "env/clouds/{cloud}/x.yaml"))
	layers, diags, err := r.Layers(Cluster{}, Options{})
	require.NoError(t, err)
	require.Empty(t, diags)
	require.Equal(t, []string{"env/a.yaml"}, names(layers))
}

func TestOpenRepositoryReportsMistakes(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		files  []string
		want   []string
		detail string
	}{
		"no repository":          {[]string{"x.yaml"}, []string{" repository/missing"}, "otomi bootstrap"},
		"unknown key":            {[]string{"otomi.yaml|version: 1\nhierachy: []"}, []string{"otomi.yaml:2:1 repository/unknown-key"}, `Did you mean "hierarchy"?`},
		"version":                {[]string{"otomi.yaml|version: 2"}, []string{"otomi.yaml:1:10 repository/version"}, "version: 1"},
		"version in quotes":      {[]string{"otomi.yaml|version: '1'"}, []string{"otomi.yaml:1:10 repository/version"}, ""},
		"requires a string":      {[]string{"otomi.yaml|requires: 0.3"}, []string{"otomi.yaml:1:11 repository/wrong-type"}, "quotes"},
		"stack a map":            {[]string{"otomi.yaml|stack: {a: b}"}, []string{"otomi.yaml:1:8 repository/wrong-type"}, ""},
		"hierarchy a string":     {[]string{"otomi.yaml|hierarchy: env/*.yaml"}, []string{"otomi.yaml:1:12 repository/wrong-type"}, "- "},
		"patterns":               {[]string{"otomi.yaml|hierarchy:\n- env/**/*.yaml\n- /env/*.yaml\n- ../x.yaml\n- env/[a.yaml\n- env/{region}/*.yaml\n- 1\n- env//x.yaml"}, []string{"otomi.yaml:2:3 repository/bad-pattern", "otomi.yaml:3:3 repository/bad-pattern", "otomi.yaml:4:3 repository/bad-pattern", "otomi.yaml:5:3 repository/bad-pattern", "otomi.yaml:6:3 repository/bad-pattern", "otomi.yaml:7:3 repository/wrong-type", "otomi.yaml:8:3 repository/bad-pattern"}, ""},
		"broken settings":        {[]string{"otomi.yaml|a: b: c"}, []string{"otomi.yaml:1:1 yaml/syntax"}, ""},
		"broken registry":        {[]string{"env/clusters.yaml|a: b: c"}, []string{"env/clusters.yaml:1:1 yaml/syntax"}, ""},
		"registry key":           {[]string{"env/clusters.yaml|cloud: {}"}, []string{"env/clusters.yaml:1:1 repository/unknown-key"}, `"clouds"`},
		"cloud key":              {[]string{"env/clusters.yaml|clouds: {aws: {cluster: {}, region: x}}"}, []string{"env/clusters.yaml:1:16 repository/unknown-key"}, `"clusters"`},
		"clusters a list":        {[]string{"env/clusters.yaml|clouds: {aws: {clusters: [a]}}"}, []string{"env/clusters.yaml:1:26 repository/wrong-type"}, ""},
		"cluster key":            {[]string{"env/clusters.yaml|clouds: {aws: {clusters: {a: {kubecontext: x}}}}"}, []string{"env/clusters.yaml:1:31 repository/unknown-key"}, `"kubeContext"`},
		"version without quotes": {[]string{"env/clusters.yaml|clouds: {aws: {clusters: {a: {k8sVersion: 1.30}}}}"}, []string{"env/clusters.yaml:1:43 repository/wrong-type"}, "quotes"},
		"a version that can't be read was an error of the renderer": {[]string{"env/clusters.yaml|clouds: {aws: {clusters: {a: {k8sVersion: latest}, b: {k8sVersion: '1'}, c: {k8sVersion: 1.34.x}, d: {k8sVersion: v1.29.3-eks-abc}, e: {k8sVersion: '1.08'}, f: {k8sVersion: ''}, g: {k8sVersion: 1.30+}}}}"},
			[]string{"env/clusters.yaml:1:43 values/format", "env/clusters.yaml:1:68 values/format", "env/clusters.yaml:1:90 values/format", "env/clusters.yaml:1:149 values/format"}, `"latest" is no version of Kubernetes`},
		"computed key":            {[]string{"env/clusters.yaml|clouds: {aws: {clusters: {a: {name: b}}}}"}, []string{"env/clusters.yaml:1:31 repository/wrong-type"}, "rename its key"},
		"names that are patterns": {[]string{"env/clusters.yaml|clouds: {'a*': {}, aws: {clusters: {'../x': {}, 'a/b': {}, '[x]': {}, '..': {}, a..b: {}, '{cloud}': {}, ok-1.2: {}}}}"}, []string{"env/clusters.yaml:1:10 cluster/invalid-name", "env/clusters.yaml:1:37 cluster/invalid-name", "env/clusters.yaml:1:49 cluster/invalid-name", "env/clusters.yaml:1:60 cluster/invalid-name", "env/clusters.yaml:1:71 cluster/invalid-name", "env/clusters.yaml:1:81 cluster/invalid-name", "env/clusters.yaml:1:91 cluster/invalid-name"}, ""},
		"encrypted registry":      {[]string{"env/clusters.yaml|sops: {}"}, []string{"env/clusters.yaml:1:1 secret/encrypted"}, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, diags, err := OpenRepository(tree(tt.files...))
			require.NoError(t, err)
			require.NotNil(t, r)
			require.Equal(t, tt.want, shorts(diags), "%v", diags)
			require.Contains(t, diags[0].Detail, tt.detail)
		})
	}
}

func TestSettings(t *testing.T) {
	t.Parallel()
	r := open(t, tree("otomi.yaml|requires: '>=0.3'\nstack: ./stack\n"))
	stack, at := r.Stack()
	require.Equal(t, "./stack otomi.yaml:2:8", stack+" "+at.String())
	requires, at := r.Requires()
	require.Equal(t, ">=0.3 otomi.yaml:1:11", requires+" "+at.String())
	stack, at = open(t, tree("env/a.yaml")).Stack()
	require.Equal(t, "builtin", stack)
	require.True(t, at.IsZero())
}

func TestSupports(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		requires, version string
		want              bool
	}{
		"nothing required": {"", "0.1.0", true},
		"newer":            {">=0.3", "0.4.1", true},
		"older":            {">=0.3", "v0.2.9", false},
		"pre-release":      {">=0.3", "0.3.0-rc.1", true},
		"from source":      {">=0.3", "dev", true},
		"no range":         {"latest", "0.4.0", false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			diags := open(t, tree("otomi.yaml|requires: '"+tt.requires+"'")).Supports(tt.version)
			require.Equal(t, tt.want, len(diags) == 0)
			for _, d := range diags {
				require.Equal(t, "otomi.yaml:1:11 repository/version", d.Range.String()+" "+string(d.Code))
			}
		})
	}
}

func TestLayersReportEveryFile(t *testing.T) {
	t.Parallel()
	r := open(t, tree("env/a.yaml|a: b: c", "env/b.yaml|- x", "env/c.yaml|a: 1\n---\nb: 1", "env/d.yaml|d: 1",
		"env/secrets.d.yaml|d: ENC[x]\nsops:\n  mac: x", "env/e.yaml|"+strings.Repeat("#", yaml.MaxBytes+1)))
	layers, diags, err := r.Layers(Cluster{}, Options{})
	require.NoError(t, err)
	require.Equal(t, []string{
		"env/a.yaml:1:1 yaml/syntax", "env/b.yaml:1:1 values/root-not-a-map", "env/c.yaml:3:1 yaml/several-documents",
		"env/e.yaml yaml/too-large", "env/secrets.d.yaml:2:1 secret/encrypted",
	}, shorts(diags.Sorted()))
	require.Contains(t, names(layers), "env/d.yaml")
	require.NotContains(t, names(layers), "env/secrets.d.yaml", "an encrypted file is never taken as plain")
	require.Equal(t, "d: 1", string(r.Sources()["env/d.yaml"]))
}

func TestLayersRefuseLinksThatLeadOut(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "repo", "env", "real"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "outside.yaml"), []byte("a: 1"), 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "repo", "env", "real", "in.yaml"), []byte("b: 1"), 0o644))
	for name, target := range map[string]string{
		"a-out.yaml": "../../outside.yaml", "b-in.yaml": "real/in.yaml", "c-nothing.yaml": "nothing.yaml", "d-dir.yaml": "real", "e-loop.yaml": "e-loop.yaml",
	} {
		require.NoError(t, os.Symlink(target, filepath.Join(dir, "repo", "env", name)))
	}
	repo, closer, err := source.Open(filepath.Join(dir, "repo"), "repo/")
	require.NoError(t, err)
	defer func() { require.NoError(t, closer.Close()) }()
	r := open(t, repo)
	layers, diags, err := r.Layers(Cluster{}, Options{})
	require.NoError(t, err)
	require.Equal(t, []string{
		"repo/env/a-out.yaml repository/unreadable-file", "repo/env/c-nothing.yaml repository/unreadable-file", "repo/env/e-loop.yaml repository/unreadable-file",
	}, shorts(diags.Sorted()))
	require.Equal(t, []string{"env/b-in.yaml"}, names(layers))
}

func TestLayersAreParsedOnceAndShared(t *testing.T) {
	t.Parallel()
	r := open(t, tree("env/clusters.yaml|"+clusters, "env/a.yaml|a: 1", "env/clouds/aws/b.yaml|b: 1"))
	var wg sync.WaitGroup
	roots := make([]*value.Node, 8)
	for i := range roots {
		wg.Go(func() {
			c, _ := r.Cluster([]string{"aws/demo", "google/demo"}[i%2])
			layers, _, err := r.Layers(c, Options{})
			if err == nil {
				roots[i] = layers[1].Root
			}
			r.Sources()
		})
	}
	wg.Wait()
	for _, root := range roots {
		require.NotNil(t, root)
		require.Same(t, roots[0], root)
	}
}

func BenchmarkLayers(b *testing.B) {
	files := []string{"env/clusters.yaml|" + clusters}
	for i := range 50 {
		files = append(files, fmt.Sprintf("env/apps/a%d.yaml|a%d: {b: 1}", i, i))
	}
	repo := tree(files...)
	b.ReportAllocs()
	for b.Loop() {
		r, _, err := OpenRepository(repo)
		require.NoError(b, err)
		c, _ := r.Cluster("aws/demo")
		_, _, err = r.Layers(c, Options{})
		require.NoError(b, err)
	}
}
