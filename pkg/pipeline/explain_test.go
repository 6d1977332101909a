package pipeline_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/pipeline"
	"github.com/redkubes/otomi/pkg/value"
)

// write writes the files of a values repository with a stack of its own.
func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	if _, ok := files["stack/runlevels/10.yaml"]; !ok {
		files["stack/runlevels/10.yaml"] = "releases: []\n"
	}
	files["otomi.yaml"] = "version: 1\nstack: stack\n"
	for name, text := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
	}
	return dir
}

func openWith(t *testing.T, dir string, flags pipeline.ValueFlags) *pipeline.Platform {
	t.Helper()
	platform, diags, err := pipeline.Open(t.Context(), pipeline.Options{Dir: dir, Flags: flags})
	require.NoError(t, err)
	require.Empty(t, diags)
	t.Cleanup(func() { platform.Close() })
	return platform
}

func compile(t *testing.T, platform *pipeline.Platform, id string) pipeline.Values {
	t.Helper()
	clusters, diags := platform.Clusters(id, false)
	require.Empty(t, diags)
	values, diags, err := platform.Compile(t.Context(), clusters[0])
	require.NoError(t, err)
	require.Empty(t, diags)
	return values
}

func path(t *testing.T, text string) value.Path {
	t.Helper()
	p, err := value.ParsePath(text)
	require.NoError(t, err)
	return p
}

// everySource says something in every kind of layer.
var everySource = map[string]string{
	"stack/schema/values.schema.yaml": `
type: object
properties:
  cluster: { type: object }
  a: { type: integer, default: 1 }
  b: { type: object, default: {}, properties: { c: { default: 2 }, d: { default: [] } } }
  appended: { type: array, x-merge: append }
  keyed: { type: array, x-merge: { key: name } }
`,
	"stack/schema/defaults.yaml":       "a: 2\nempty: {}\nlist: [{x: 1}, {x: 2}]\n",
	"stack/schema/derived.yaml.gotmpl": "sum: {{ add .Values.a .Values.b.c }}\na: 6\n",
	"env/clusters.yaml":                "clouds: {aws: {domain: x.io, clusters: {one: {}, two: {a: 1}}}}\n",
	"env/a.yaml": "a: 3\nanchors: &x {p: 1, q: {r: 2}}\nalias: *x\nmerged: {<<: *x, p: 3}\nappended: [one]\nkeyed: [{name: u, v: 1}, {name: m}]\n" +
		"list: [{x: 3}, {x: 4}]\nnothing: null\n",
	"env/secrets.a.yaml":        "a: 4\n",
	"env/clouds/aws/one/b.yaml": "a: 5\nappended: [two]\nkeyed: [{name: u, v: 2}]\nlist: [{x: 5}, {x: 6}]\nempty: {}\n",
	"more.yaml":                 "a: 50\nflagged: true\n",
}

func TestLeavesWonAddUpToTheTree(t *testing.T) {
	t.Parallel()
	dir := write(t, everySource)
	flags := pipeline.ValueFlags{
		Files: []string{"more.yaml", "more.yaml"}, Set: []string{"a=51,list[0].x=7,new.key=1,gap[1]=x"}, SetString: []string{"a=52"},
	}
	for _, f := range []pipeline.ValueFlags{{}, flags} {
		platform := openWith(t, dir, f)
		for _, id := range []string{"aws/one", "aws/two"} {
			values := compile(t, platform, id)
			won := 0
			for _, c := range values.Contributions() {
				require.LessOrEqual(t, c.Won, values.Leaves(), c.Layer)
				won += c.Won
			}
			require.Equal(t, values.Leaves(), won)
			layers := map[string]bool{"schema": true}
			for _, l := range values.Layers {
				layers[l.Name] = true
			}
			values.Root.Leaves(func(p value.Path, n *value.Node) {
				require.True(t, layers[n.Origin.Layer], "%s is from %q", p, n.Origin.Layer)
			})
		}
	}
	f := hundredLayers(3)
	platform := open(t, f.write(t))
	clusters, _ := platform.Clusters("", true)
	for _, c := range clusters {
		values := compile(t, platform, c.ID)
		won := 0
		for _, contribution := range values.Contributions() {
			won += contribution.Won
		}
		require.Equal(t, values.Leaves(), won)
		require.Len(t, values.Contributions(), 100+2, "the registry and the schema")
	}
}

func TestEveryLeafKnowsItsOriginAndWhatItBeat(t *testing.T) {
	t.Parallel()
	platform := openWith(t, write(t, everySource), pipeline.ValueFlags{
		Files: []string{"more.yaml"}, Set: []string{"a=51,list[0].x=7,new.key=1"}, SetString: []string{"a=52"},
	})
	values := compile(t, platform, "aws/one")
	tests := map[string]struct {
		want  any
		place string
		beats []string
	}{
		"a": {int64(6), "stack/schema/derived.yaml.gotmpl (rendered):2:4", []string{
			`52 --state-values-set-string`, `51 --state-values-set`, `50 more.yaml:1:4`, `5 env/clouds/aws/one/b.yaml:1:4`, `(secret) env/secrets.a.yaml:1:4`,
			`3 env/a.yaml:1:4`, `2 stack/schema/defaults.yaml:1:4`, `1 stack/schema/values.schema.yaml:5:32`,
		}},
		"sum":        {int64(54), "stack/schema/derived.yaml.gotmpl (rendered):1:6", nil},
		"b.c":        {int64(2), "stack/schema/values.schema.yaml:6:63", nil},
		"flagged":    {true, "more.yaml:2:10", nil},
		"new.key":    {int64(1), "--state-values-set", nil},
		"cluster.id": {"aws/one", "env/clusters.yaml:1:41", nil},
		// A list that is replaced, and one value of it that a flag sets: by place in the list.
		"list[0].x": {int64(7), "--state-values-set", []string{`5 env/clouds/aws/one/b.yaml:4:12`, `3 env/a.yaml:7:12`, `1 stack/schema/defaults.yaml:3:12`}},
		"list[1].x": {int64(6), "env/clouds/aws/one/b.yaml:4:20", []string{`4 env/a.yaml:7:20`, `2 stack/schema/defaults.yaml:3:20`}},
		// Lists with a strategy: items keep their origins.
		"appended[0]":   {"one", "env/a.yaml:5:12", nil},
		"appended[1]":   {"two", "env/clouds/aws/one/b.yaml:2:12", nil},
		"keyed[0].v":    {int64(2), "env/clouds/aws/one/b.yaml:3:22", []string{`1 env/a.yaml:6:22`}},
		"keyed[1].name": {"m", "env/a.yaml:6:33", nil},
		// Anchors: the value is written where its anchor is.
		"alias.q.r":  {int64(2), "env/a.yaml:2:27", nil},
		"merged.q.r": {int64(2), "env/a.yaml:2:27", nil},
		"merged.p":   {int64(3), "env/a.yaml:4:21", nil},
		"nothing":    {nil, "env/a.yaml:8:10", nil},
	}
	for text, tt := range tests {
		e, diags, err := platform.Explain(t.Context(), values, path(t, text), pipeline.ExplainOptions{})
		require.NoError(t, err)
		require.Empty(t, diags)
		require.Equal(t, tt.want, e.Value.Scalar, text)
		require.Equal(t, tt.place, place(e.Value), text)
		var beats []string
		for _, n := range e.Beaten {
			beats = append(beats, fmt.Sprint(n.Scalar)+" "+place(n))
		}
		require.Equal(t, tt.beats, beats, text)
	}
	e, _, err := platform.Explain(t.Context(), values, path(t, "appended"), pipeline.ExplainOptions{})
	require.NoError(t, err)
	require.Len(t, e.Leaves, 2, "a list of several layers shows its items")
	e, _, err = platform.Explain(t.Context(), values, path(t, "a"), pipeline.ExplainOptions{Reveal: true})
	require.NoError(t, err)
	require.Equal(t, int64(4), e.Beaten[4].Scalar)
}

func place(n *value.Node) string {
	if n.Origin.Range.IsZero() {
		return n.Origin.Layer
	}
	return n.Origin.Range.String()
}

func TestExplainAllGroupsByValueAndNotByMask(t *testing.T) {
	t.Parallel()
	files := map[string]string{
		"stack/schema/values.schema.yaml": "type: object\nproperties: {v: {type: string}}\nadditionalProperties: true\n",
		"env/clusters.yaml":               "clouds: {c: {clusters: {a: {}, b: {}, d: {}, e: {}}}}\n",
		"env/clouds/c/a/secrets.x.yaml":   "v: first-secret\n",
		"env/clouds/c/b/secrets.x.yaml":   "v: second-secret\n",
		"env/clouds/c/d/secrets.x.yaml":   "v: first-secret\n",
	}
	platform := openWith(t, write(t, files), pipeline.ValueFlags{})
	clusters, _ := platform.Clusters("", true)
	groups, secrets, diags, err := platform.ExplainAll(t.Context(), clusters, path(t, "v"), pipeline.ExplainOptions{})
	require.NoError(t, err)
	require.Empty(t, diags)
	require.Equal(t, []string{"first-secret", "second-secret"}, secrets)
	require.Len(t, groups, 3)
	require.Equal(t, "(secret)", groups[0].Value.Scalar)
	require.Equal(t, "(secret)", groups[1].Value.Scalar)
	require.Nil(t, groups[2].Value)
	require.Equal(t, []int{2, 1, 1}, []int{groups[0].Clusters(), groups[1].Clusters(), groups[2].Clusters()})
	require.Len(t, groups[0].Places, 2)
	_, _, diags, err = platform.ExplainAll(t.Context(), clusters, path(t, "v.below"), pipeline.ExplainOptions{})
	require.NoError(t, err)
	require.Equal(t, diag.ValuesNoPath, diags[0].Code)
}

func TestAFailedDerivationStillLetsOtherMistakesShow(t *testing.T) {
	t.Parallel()
	dir := write(t, map[string]string{
		"stack/schema/values.schema.yaml":  "type: object\nrequired: [url, name]\nproperties: {k: {type: integer}, url: {type: string}}\n",
		"stack/schema/derived.yaml.gotmpl": "url: {{ .Values.host }}\n",
		"env/a.yaml":                       "k: text\npassword: hush-hush\n",
	})
	platform := openWith(t, dir, pipeline.ValueFlags{})
	values, diags, err := platform.Validate(t.Context(), pipeline.Cluster{})
	require.NoError(t, err)
	var codes []diag.Code
	for _, d := range diags {
		codes = append(codes, d.Code)
	}
	require.ElementsMatch(t, []diag.Code{diag.TemplateUndefined, diag.ValuesWrongType}, codes, "%v", diags)
	require.NotNil(t, values.Root)
}

func TestARenderingThatDiffersByClusterIsNotShownForAnother(t *testing.T) {
	t.Parallel()
	dir := write(t, map[string]string{
		"stack/schema/values.schema.yaml":  "type: object\n",
		"stack/schema/derived.yaml.gotmpl": "id: {{ .Values.cluster.id }}\n",
		"env/clusters.yaml":                "clouds: {c: {clusters: {a: {}, b: {}}}}\n",
	})
	platform := openWith(t, dir, pipeline.ValueFlags{})
	compile(t, platform, "c/a")
	const name = "stack/schema/derived.yaml.gotmpl (rendered)"
	require.Equal(t, "id: c/a\n", string(platform.Sources()[name]))
	compile(t, platform, "c/a")
	require.NotEmpty(t, platform.Sources()[name])
	compile(t, platform, "c/b")
	require.Empty(t, platform.Sources()[name])
}

func TestAMisspeltKeyOfAnOpenMapIsGuessed(t *testing.T) {
	t.Parallel()
	platform := openWith(t, write(t, map[string]string{
		"stack/schema/values.schema.yaml": "type: object\nproperties: {teams: {type: object, additionalProperties: {type: object, properties: {size: {type: integer}}}}}\nadditionalProperties: false\n",
		"env/a.yaml":                      "teams: {alpha: {size: 1}}\n",
	}), pipeline.ValueFlags{})
	values := compile(t, platform, "")
	e, diags, err := platform.Explain(t.Context(), values, path(t, "teams.alhpa.size"), pipeline.ExplainOptions{})
	require.NoError(t, err)
	require.Empty(t, diags)
	require.Nil(t, e.Value)
	require.Equal(t, "teams.alpha.size", e.Near.String())
	_, diags, err = platform.Explain(t.Context(), values, path(t, "taems.alpha"), pipeline.ExplainOptions{})
	require.NoError(t, err)
	require.Contains(t, diags[0].Detail, `Did you mean "teams"?`)
}

func TestExplainKnowsWhatANullRemoved(t *testing.T) {
	t.Parallel()
	platform := openWith(t, write(t, map[string]string{
		"stack/schema/values.schema.yaml":  "type: object\nproperties: {l: {type: array, x-merge: append}, any: {type: object, properties: {given: {default: 1}}}}\n",
		"stack/schema/derived.yaml.gotmpl": "any: {derived: 1}\n",
		"stack/schema/defaults.yaml":       "any: {bogus: 1}\nl: [0]\n",
		"env/clusters.yaml":                "clouds: {c: {clusters: {a: {}}}}\n",
		"env/a.yaml":                       "any: null\nl: null\n",
		"env/clouds/c/a.yaml":              "any: {bogus: 2}\nl: [1]\n",
		"env/clouds/c/a/a.yaml":            "any: {bogus: 3}\nl: [2]\n",
	}), pipeline.ValueFlags{})
	values := compile(t, platform, "c/a")
	for text, want := range map[string][]string{
		"any.bogus": {"env/clouds/c/a.yaml:1:14", "stack/schema/defaults.yaml:1:14"},
		"l":         {"env/a.yaml:2:4", "stack/schema/defaults.yaml:2:4"},
	} {
		e, diags, err := platform.Explain(t.Context(), values, path(t, text), pipeline.ExplainOptions{})
		require.NoError(t, err)
		require.Empty(t, diags)
		var beats []string
		for _, n := range e.Beaten {
			beats = append(beats, place(n))
		}
		require.Equal(t, want, beats, text)
	}
}

func TestDiffShowsAnItemThatOneClusterLacksOnItsSideOnly(t *testing.T) {
	t.Parallel()
	platform := openWith(t, write(t, map[string]string{
		"stack/schema/values.schema.yaml": "type: object\n",
		"env/clusters.yaml":               "clouds: {c: {clusters: {a: {}, b: {}}}}\n",
		"env/clouds/c/a/a.yaml":           "l: [{name: gone}, {name: kept}]\n",
		"env/clouds/c/b/a.yaml":           "l: [{name: kept}]\n",
	}), pipeline.ValueFlags{})
	found := pipeline.Differences(compile(t, platform, "c/a"), compile(t, platform, "c/b"), path(t, "l"), pipeline.ExplainOptions{})
	require.Len(t, found, 1)
	require.Equal(t, "l[0]", found[0].Path.String())
	require.Equal(t, map[string]any{"name": "gone"}, found[0].A.Plain())
	require.Nil(t, found[0].B)
}
