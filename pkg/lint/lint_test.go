package lint_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/layer"
	"github.com/redkubes/otomi/pkg/lint"
	"github.com/redkubes/otomi/pkg/merge"
	"github.com/redkubes/otomi/pkg/value"
	"github.com/redkubes/otomi/pkg/yaml"
)

// world is a repository for a test: files by name, weakest first by cluster.
type world struct {
	files    map[string]layer.Layer
	clusters []cluster
}

// cluster is a cluster, CLOUD/NAME, with the names of its files, weakest first.
type cluster struct {
	id    string
	files string
}

// read reads files; a name that begins with all is everywhere, with cloud of a cloud, any other of one cluster.
func read(t *testing.T, files map[string]string) map[string]layer.Layer {
	t.Helper()
	out := map[string]layer.Layer{}
	for name, text := range files {
		root, diags := yaml.Read([]byte(text), yaml.ReadOptions{File: name, Layer: name, Map: true})
		require.Empty(t, diags)
		l := layer.Layer{Name: name, Root: root, Secret: strings.Contains(name, "secrets.")}
		switch {
		case strings.HasPrefix(name, "all"), name == layer.Defaults:
			l.Scope = layer.Everywhere
		case strings.HasPrefix(name, "cloud"):
			l.Scope = layer.InCloud
		}
		out[name] = l
	}
	return out
}

func (w world) lint(t *testing.T, o lint.Options) []string {
	t.Helper()
	linter := lint.New(o)
	for _, c := range w.clusters {
		var layers []layer.Layer
		for _, name := range strings.Fields(c.files) {
			layers = append(layers, w.files[name])
		}
		merged, diags := merge.Fold(layers, merge.Options{Lists: o.Lists})
		require.Empty(t, diags)
		cloud, name, _ := strings.Cut(c.id, "/")
		linter.Add(layer.Cluster{ID: c.id, Cloud: cloud, Name: name}, layers, merged)
	}
	var out []string
	for _, d := range linter.Findings() {
		require.Equal(t, diag.Warning, d.Severity)
		line := fmt.Sprintf("%s %s %s", d.Range, strings.TrimPrefix(string(d.Code), "lint/"), d.Path)
		for _, n := range d.Notes {
			line += " " + n.Range.String()
		}
		if d.Secret {
			line += " secret"
		}
		out = append(out, line)
	}
	return out
}

func TestLint(t *testing.T) {
	t.Parallel()
	both := []cluster{{"aws/a", "all cloud1 a"}, {"aws/b", "all cloud1 b"}}
	tests := map[string]struct {
		files    map[string]string
		clusters []cluster
		want     []string
	}{
		"nothing to say": {map[string]string{"all": "x: 1", "cloud1": "z: 1", "a": "x: 2", "b": "w: 1"}, both, nil},
		"overridden in one of two clusters": {
			map[string]string{"all": "x: 1", "cloud1": "", "a": "x: 2", "b": ""}, both, nil},
		"overridden in all clusters": {
			map[string]string{"all": "x: 1", "cloud1": "", "a": "x: 2", "b": "x: 3"}, both, []string{"all:1:1 unused-key x a:1:4"}},
		"removed by a null in all clusters": {
			map[string]string{"all": "m: {x: 1, z: 2}", "cloud1": "m: null", "a": "", "b": ""}, both,
			[]string{"all:1:5 unused-key m.x", "all:1:11 unused-key m.z"}},
		"an empty map is a place for others": {
			map[string]string{"all": "m: {}", "cloud1": "m: {x: 1}", "a": "", "b": ""}, both, nil},
		"the same as a weaker layer": {
			map[string]string{"all": "x: [1, {k: v, l: w}]", "cloud1": "x: [1, {l: w, k: v}]", "a": "", "b": ""}, both,
			[]string{"cloud1:1:1 redundant-value x all:1:4"}},
		"another kind is not the same": {
			map[string]string{"all": "x: '1'", "cloud1": "x: 1", "a": "x: '1'", "b": ""}, both, []string{"all:1:1 unused-key x a:1:4"}},
		"the same in one cluster and not in the other": {
			map[string]string{"all": "x: 1", "cloud1": "", "cloud2": "x: 2", "a": "x: 2", "b": ""},
			[]cluster{{"aws/a", "all cloud2"}, {"aws/b", "all"}}, nil},
		"a shared file that repeats for one cluster what is special for another": {
			map[string]string{"all1": "x: 1", "cloud1": "x: 2", "all2": "x: 2"},
			[]cluster{{"aws/a", "all1 cloud1 all2"}, {"azure/b", "all1 all2"}},
			[]string{"all1:1:1 unused-key x all2:1:4", "cloud1:1:1 unused-key x all2:1:4"}},
		"all clusters of a cloud": {
			map[string]string{"all": "x: 1", "cloud1": "", "a": "x: 2", "b": "x: 2"}, both,
			[]string{"a:1:4 could-move-up x b:1:4", "all:1:1 unused-key x a:1:4"}},
		"all clusters of a cloud but one": {
			map[string]string{"all": "", "cloud1": "", "a": "x: 2", "b": "x: 2", "c": ""},
			append(slices.Clone(both), cluster{"aws/c", "all cloud1 c"}), nil},
		"the only cluster of a cloud": {
			map[string]string{"all": "", "a": "x: 2"}, []cluster{{"aws/a", "all a"}}, nil},
		"all clouds": {
			map[string]string{"cloud1": "x: 2", "cloud2": "x: 2"}, []cluster{{"aws/a", "cloud1"}, {"aws/c", "cloud1"}, {"azure/b", "cloud2"}},
			[]string{"cloud1:1:4 could-move-up x cloud2:1:4"}},
		"clouds that differ": {
			map[string]string{"cloud1": "x: 2", "cloud2": "x: 3"}, []cluster{{"aws/a", "cloud1"}, {"azure/b", "cloud2"}}, nil},
		"the stack's defaults can't be changed": {
			map[string]string{"defaults": "x: 1", "all": "x: 2"}, []cluster{{"aws/a", "defaults all"}}, nil},
		"the same as the stack's defaults": {
			map[string]string{"defaults": "x: 1", "all": "x: 1"}, []cluster{{"aws/a", "defaults all"}},
			[]string{"all:1:1 redundant-value x defaults:1:4"}},
		"a cluster without a name": {
			map[string]string{"all1": "x: 1", "all2": "x: 1"}, []cluster{{"", "all1 all2"}}, []string{"all2:1:1 redundant-value x all1:1:4"}},
		"a secret file": {
			map[string]string{"all1": "x: 1", "allsecrets.yaml": "x: 1"}, []cluster{{"", "all1 allsecrets.yaml"}},
			[]string{"allsecrets.yaml:1:1 redundant-value x all1:1:4 secret"}},
		"a secret of the schema": {
			map[string]string{"all1": "password: 1", "all2": "password: 1"}, []cluster{{"", "all1 all2"}},
			[]string{"all2:1:1 redundant-value password all1:1:11 secret"}},
		"lists that are put together": {
			map[string]string{"all1": "joined: [1]", "all2": "joined: [2]"}, []cluster{{"", "all1 all2"}}, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := world{files: read(t, tt.files), clusters: tt.clusters}
			require.Equal(t, tt.want, w.lint(t, lint.Options{
				Lists: func(p value.Path) merge.Strategy {
					return merge.Strategy{Append: p.String() == "joined"}
				},
				Secret: func(p value.Path) bool { return p.String() == "password" },
			}))
		})
	}
}

func TestLintSaysWhereAValueCouldStand(t *testing.T) {
	t.Parallel()
	files := read(t, map[string]string{"env/clouds/aws/a/x.yaml": "x: 1", "env/clouds/aws/b/z.yaml": "x: 1"})
	linter := lint.New(lint.Options{})
	for name, file := range map[string]string{"a": "env/clouds/aws/a/x.yaml", "b": "env/clouds/aws/b/z.yaml"} {
		l := files[file]
		linter.Add(layer.Cluster{ID: "aws/" + name, Cloud: "aws", Name: name}, []layer.Layer{l}, l.Root)
	}
	found := linter.Findings()
	require.Len(t, found, 1)
	require.Regexp(t, `^all 2 clusters of aws say the same\. Say it once for the cloud, as in env/clouds/aws/[xz]\.yaml\.$`, found[0].Detail)
}
