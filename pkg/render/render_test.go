package render_test

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/redkubes/otomi/pkg/chart"
	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/manifest"
	"github.com/redkubes/otomi/pkg/render"
	"github.com/redkubes/otomi/pkg/runlevel"
	"github.com/redkubes/otomi/pkg/source"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
)

// newChart makes a chart called web of files, with a Chart.yaml unless they have one.
func newChart(t testing.TB, files map[string]string) *chart.Chart {
	t.Helper()
	fsys := fstest.MapFS{"charts/web/Chart.yaml": &fstest.MapFile{Data: []byte("apiVersion: v2\nname: web\nversion: 1.0.0\n")}}
	for name, text := range files {
		fsys["charts/web/"+name] = &fstest.MapFile{Data: []byte(text)}
	}
	c, ds, err := chart.NewStore(chart.Options{Stack: source.Tree{FS: fsys, Prefix: "stack/"}}).Load(t.Context(), chart.Ref{Chart: "web"})
	require.NoError(t, err)
	require.Empty(t, ds)
	return c
}

func newRelease(values map[string]any) runlevel.Release {
	return runlevel.Release{
		Name: "web", Namespace: "alpha", Values: values,
		Range:      diag.Range{File: "50.yaml", Start: diag.Pos{Line: 2, Column: 5}},
		ChartRange: diag.Range{File: "50.yaml", Start: diag.Pos{Line: 4, Column: 12}},
	}
}

func TestRenderReports(t *testing.T) {
	t.Parallel()
	const shown = "stack/charts/web/templates/cm.yaml"
	tests := []struct {
		name   string
		files  map[string]string
		values map[string]any
		code   diag.Code
		at     string
		detail string
		secret bool
	}{
		{
			name:  "a template that can't be read",
			files: map[string]string{"templates/cm.yaml": "a: b\nc: {{ .x | nope }}\n"},
			code:  diag.RenderTemplate, at: shown + ":2:1", detail: `function "nope" not defined`,
		},
		{
			name:  "a value that is not set",
			files: map[string]string{"templates/cm.yaml": "a: b\nc: {{ .Values.app.name }}\n"},
			code:  diag.RenderTemplate, at: shown + ":2:7", detail: `what should have "name" is null`,
		},
		{
			name: "in a partial",
			files: map[string]string{
				"templates/cm.yaml":   "a: {{ include \"x\" . }}",
				"templates/_help.tpl": "{{ define \"x\" }}\n  {{ .Values.a.b }}{{ end }}",
			},
			code: diag.RenderTemplate, at: "stack/charts/web/templates/_help.tpl:2:6", detail: ".Values.a.b leads through",
		},
		{
			name:   "in a text given to tpl, which is not shown",
			files:  map[string]string{"templates/cm.yaml": "a: b\n{{ tpl .Values.text . }}"},
			values: map[string]any{"text": "s3cret {{ .Values.a.b }}"},
			code:   diag.RenderTemplate, at: shown + ":2:4", detail: "is null",
		},
		{
			name:  "required",
			files: map[string]string{"templates/cm.yaml": "a:\n  {{ required \"set a domain\" .Values.domain }}"},
			code:  diag.RenderTemplate, at: shown + ":2:6", detail: "the chart says: set a domain. It asks for domain, which is not set.",
		},
		{
			name:   "a message with a value",
			files:  map[string]string{"templates/cm.yaml": "{{ range .Values.n }}{{ end }}{{ mustToDate \"2006\" .Values.p }}"},
			values: map[string]any{"p": "s3cret"},
			code:   diag.RenderTemplate, at: shown + ":1:", detail: "(value)",
		},
		{
			name:  "a subchart",
			files: map[string]string{"charts/sub/Chart.yaml": "apiVersion: v2\nname: sub\nversion: 1.0.0\n", "charts/sub/templates/x.yaml": "\n\n{{ fail \"no\" }}"},
			code:  diag.RenderTemplate, at: "stack/charts/web/charts/sub/templates/x.yaml:3:4", detail: "the chart says: no",
		},
		{
			name:  "no YAML",
			files: map[string]string{"templates/cm.yaml": "{{- if true }}\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: x\n---\na: b\n c: d: e\n{{- end }}\n"},
			code:  diag.RenderNotYAML, at: shown + " (rendered for alpha/web):8:", detail: "web/templates/cm.yaml renders is not YAML",
		},
		{
			name:  "a Secret that is no YAML is not shown",
			files: map[string]string{"templates/cm.yaml": "kind: Secret\ns3cret: : x\n"},
			code:  diag.RenderNotYAML, at: shown + ":2:", detail: "not shown", secret: true,
		},
		{
			name:  "no kind",
			files: map[string]string{"templates/cm.yaml": "apiVersion: v1\nmetadata: {name: x}"},
			code:  diag.RenderNotObject, at: shown + ":1:1", detail: "has no kind",
		},
		{
			name:  "no map",
			files: map[string]string{"templates/cm.yaml": "- a\n- b"},
			code:  diag.RenderNotObject, at: shown + ":1:1", detail: "it is no map",
		},
		{
			name:  "an annotation that is a list",
			files: map[string]string{"templates/cm.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: x\n  annotations:\n    list: [1]\n"},
			code:  diag.RenderNotObject, at: shown + ":6:1", detail: "the annotation list is no string",
		},
		{
			name:  "an object twice, once with the namespace written",
			files: map[string]string{"templates/cm.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: x, namespace: alpha}\n"},
			code:  diag.RenderDuplicate, at: shown + ":5:1", detail: "ConfigMap alpha/x is rendered twice",
		},
		{
			name:  "a version of Kubernetes that does not fit",
			files: map[string]string{"Chart.yaml": "apiVersion: v2\nname: web\nversion: 1.0.0\nkubeVersion: \">=1.40\"\n"},
			code:  diag.ChartIncompatible, at: "50.yaml:4:12", detail: "asks for Kubernetes >=1.40, and the cluster has v1.34.",
		},
		{
			name:   "values that do not fit the chart's schema",
			files:  map[string]string{"values.schema.json": `{"properties": {"n": {"type": "integer"}, "p": {"pattern": "^a$"}}}`},
			values: map[string]any{"n": "x", "p": "s3cret"},
			code:   diag.RenderValues, at: "50.yaml:2:5", detail: "p: the value does not match the pattern ^a$",
		},
		{
			name:  "too much text",
			files: map[string]string{"templates/cm.yaml": `{{ $mib := repeat 1048576 "x" }}{{ range until 65 }}{{ $mib }}{{ end }}`},
			code:  diag.TemplateBudget, at: "stack/charts/web/Chart.yaml", detail: "writes more than 32 MiB",
		},
		{
			name:  "a loop over a number took all memory",
			files: map[string]string{"templates/cm.yaml": "a: b\n{{ range until 2000000000 }}x{{ end }}"},
			code:  diag.TemplateBudget, at: shown + ":2:10", detail: "until was asked for too much",
		},
		{
			name:  "include of a template that is not there lost its name",
			files: map[string]string{"templates/cm.yaml": `{{ include "nope" . }}`},
			code:  diag.RenderTemplate, at: shown + ":1:4", detail: `there is no template "nope"`,
		},
		{
			name:   "a subchart's values that are no map",
			files:  map[string]string{"charts/sub/Chart.yaml": "apiVersion: v2\nname: sub\nversion: 1.0.0\n"},
			values: map[string]any{"sub": "s3cret"},
			code:   diag.ChartInvalid, at: "stack/charts/web/Chart.yaml", detail: "type mismatch on sub, which takes a map",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := render.New()
			_, ds, err := r.Render(t.Context(), render.Request{Release: newRelease(tt.values), Chart: newChart(t, tt.files)}, capabilities())
			require.NoError(t, err)
			require.NotEmpty(t, ds)
			d := ds[0]
			require.Equal(t, tt.code, d.Code, d.Detail)
			require.True(t, strings.HasPrefix(d.Range.String(), tt.at), "%s: %s", d.Range, d.Detail)
			require.Contains(t, d.Detail, "release alpha/web: ")
			require.Contains(t, d.Detail, tt.detail)
			require.NotContains(t, fmt.Sprint(ds), "s3cret")
			require.Equal(t, tt.secret, d.Secret)
			if strings.Contains(tt.at, "templates/") {
				require.Contains(t, r.Sources(), d.Range.File)
			}
		})
	}
}

// Three files are wrong: all are told in one run.
func TestRenderReportsAllThatIsWrong(t *testing.T) {
	t.Parallel()
	c := newChart(t, map[string]string{"templates/a.yaml": "a: b: c", "templates/b.yaml": "x: [", "templates/c.yaml": "apiVersion: v1"})
	_, ds, err := render.New().Render(t.Context(), render.Request{Release: newRelease(nil), Chart: c}, capabilities())
	require.NoError(t, err)
	require.Len(t, ds, 3)
	require.Contains(t, ds[0].Range.File, "templates/a.yaml")
	require.Contains(t, ds[1].Range.File, "templates/b.yaml")
	require.Equal(t, diag.RenderNotObject, ds[2].Code)
}

func TestSchemaThatLeadsElsewhereIsNotFetched(t *testing.T) {
	t.Parallel()
	for _, schema := range []string{
		`{"properties": {"a": {"$ref": "https://example.com/schema.json"}}}`,
		`{"allOf": [{"$ref": "urn:example:other#/definitions/a"}]}`,
		`{"$schema": "https://example.com/draft"}`,
	} {
		c := newChart(t, map[string]string{"values.schema.json": schema})
		_, ds, err := render.New().Render(t.Context(), render.Request{Release: newRelease(nil), Chart: c}, capabilities())
		require.NoError(t, err)
		require.Len(t, ds, 1)
		require.Equal(t, diag.Warning, ds[0].Severity)
		require.Equal(t, diag.RenderValues, ds[0].Code)
	}
}

func TestValuesThatDoNotFitTheSchemaOfASubchart(t *testing.T) {
	t.Parallel()
	c := newChart(t, map[string]string{
		"Chart.yaml":                                "apiVersion: v2\nname: web\nversion: 1.0.0\n",
		"values.schema.json":                        `{"required": ["name"]}`,
		"charts/sub/Chart.yaml":                     "apiVersion: v2\nname: sub\nversion: 1.0.0\n",
		"charts/sub/values.yaml":                    "port: 80\n",
		"charts/sub/values.schema.json":             "{\n\"properties\": {\"port\": {\"$ref\": \"schemas/port.json\"}}}",
		"charts/sub/schemas/port.json":              `{"type": "integer"}`,
		"charts/sub/charts/deep/Chart.yaml":         "apiVersion: v2\nname: deep\nversion: 1.0.0\n",
		"charts/sub/charts/deep/values.schema.json": `{"properties": {"list": {"items": {"maximum": 3}}}}`,
	})
	values := map[string]any{"sub": map[string]any{"port": "s3cret", "deep": map[string]any{"list": []any{1.0, 7.0}}}}
	_, ds, err := render.New().Render(t.Context(), render.Request{Release: newRelease(values), Chart: c}, capabilities())
	require.NoError(t, err)
	var details, places []string
	for _, d := range ds {
		require.Equal(t, diag.RenderValues, d.Code)
		details = append(details, d.Detail)
		places = append(places, d.Notes[len(d.Notes)-1].Range.String())
	}
	require.Equal(t, []string{
		`release alpha/web: the values do not fit the schema of the chart web: name: the key "name" is missing. Add it.`,
		`release alpha/web: the values do not fit the schema of the chart sub: sub.port: this is a string, and the schema wants an integer. Write an integer, such as 2.`,
		`release alpha/web: the values do not fit the schema of the chart deep: sub.deep.list[1]: the value is out of range: it must be at most 3.`,
	}, details)
	require.Equal(t, []string{
		"stack/charts/web/values.schema.json:1:14", "stack/charts/web/charts/sub/schemas/port.json:1:10",
		"stack/charts/web/charts/sub/charts/deep/values.schema.json:1:47",
	}, places)
}

// A release that disables a subchart once took it from the next release of the same chart.
func TestDisabledSubchartComesBackForTheNextRelease(t *testing.T) {
	t.Parallel()
	c := newChart(t, map[string]string{
		"Chart.yaml":                  "apiVersion: v2\nname: web\nversion: 1.0.0\ndependencies: [{name: sub, version: 1.0.0, condition: sub.enabled}]\n",
		"charts/sub/Chart.yaml":       "apiVersion: v2\nname: sub\nversion: 1.0.0\n",
		"charts/sub/templates/a.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: sub}\n",
	})
	r := render.New()
	off := map[string]any{"sub": map[string]any{"enabled": false}}
	got, _, err := r.Render(t.Context(), render.Request{Release: newRelease(off), Chart: c}, capabilities())
	require.NoError(t, err)
	require.Empty(t, got.Objects)
	got, _, err = r.Render(t.Context(), render.Request{Release: newRelease(nil), Chart: c}, capabilities())
	require.NoError(t, err)
	require.Len(t, got.Objects, 1)
	require.Equal(t, manifest.ID{Kind: "ConfigMap", Name: "sub"}, got.Objects[0].ID)
}

func TestUnknownHookIsAWarning(t *testing.T) {
	t.Parallel()
	s := readSample(t, "testdata/parity/hooks.txtar")
	_, ds, err := render.New().Render(t.Context(), s.request(), capabilities())
	require.NoError(t, err)
	require.Len(t, ds, 1)
	require.Equal(t, diag.Warning, ds[0].Severity)
	require.Equal(t, diag.RenderUnknownHook, ds[0].Code)
	require.Contains(t, ds[0].Detail, `"crd-install"`)
}

func TestListsAreTheirItems(t *testing.T) {
	t.Parallel()
	s := readSample(t, "testdata/parity/old-chart.txtar")
	got, ds, err := render.New().Render(t.Context(), s.request(), capabilities())
	require.NoError(t, err)
	require.Empty(t, ds)
	var ids []string
	for _, o := range got.Objects {
		ids = append(ids, o.ID.String())
		require.Equal(t, "v1", o.APIVersion())
	}
	require.ElementsMatch(t, []string{"ConfigMap one", "ConfigMap two", "ConfigMap three", "ConfigMap crlf", "Secret crlf", "ConfigMap sub"}, ids)
}

func TestAHookThatIsAListWasOneObject(t *testing.T) {
	t.Parallel()
	list := func(items string) map[string]string {
		return map[string]string{"templates/hook.yaml": "apiVersion: v1\nkind: List\nmetadata: {name: all, annotations: {helm.sh/hook: pre-install}}\n" +
			"items: [" + items + "]\n"}
	}
	const configMap, secret = "{apiVersion: v1, kind: ConfigMap, metadata: {name: one}}", "{apiVersion: v1, kind: Secret, metadata: {name: two}}"
	got, ds, err := render.New().Render(t.Context(), render.Request{Chart: newChart(t, list(configMap+", "+secret)), Release: newRelease(nil)}, capabilities())
	require.NoError(t, err)
	require.Empty(t, ds)
	require.Len(t, got.Hooks, 1, "the record keeps the document whole")
	require.Equal(t, "List all", got.Hooks[0].ID.String())
	var ids []string
	for _, o := range render.Flat(got.Hooks[0]) {
		ids = append(ids, o.ID.String())
	}
	require.Equal(t, []string{"ConfigMap one", "Secret two"}, ids)

	_, ds, err = render.New().Render(t.Context(), render.Request{Chart: newChart(t, list("{kind: Secret}, 1")), Release: newRelease(nil)}, capabilities())
	require.NoError(t, err)
	require.Len(t, ds, 2)
	require.Contains(t, ds[0].Detail, "items[0] of the list: the object has no apiVersion")
	require.True(t, ds[0].Secret, "a Secret in a list is one")
}

func TestCRDs(t *testing.T) {
	t.Parallel()
	const crd = "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: widgets.example.com}\n" +
		"spec:\n  group: example.com\n  names: {kind: Widget}\n  versions: [{name: v1, served: true}, {name: v2, served: false}]\n"
	r := render.New()
	crds, ds, err := r.CRDs(newChart(t, map[string]string{"crds/a.yaml": crd + "---\n" + strings.ReplaceAll(crd, "widgets", "gadgets")}))
	require.NoError(t, err)
	require.Empty(t, ds)
	require.Len(t, crds, 2)
	require.Equal(t, "web/crds/a.yaml", crds[0].Source)
	require.Equal(t, []string{"example.com/v1", "example.com/v1/Widget"}, render.APIVersions(crds))

	_, ds, err = r.CRDs(newChart(t, map[string]string{"crds/a.yaml": "a: b\n---\nx: y: z"}))
	require.NoError(t, err)
	require.Len(t, ds, 2)
	require.Equal(t, "stack/charts/web/crds/a.yaml:1:1", ds[0].Range.String())
	require.Contains(t, ds[1].Range.String(), "stack/charts/web/crds/a.yaml:3:")
	require.Contains(t, r.Sources(), "stack/charts/web/crds/a.yaml")
}

func TestRevisionAndCapabilities(t *testing.T) {
	t.Parallel()
	c := newChart(t, map[string]string{"templates/NOTES.txt": "{{ .Release.Revision }} {{ .Release.IsInstall }} {{ .Capabilities.KubeVersion }} " +
		"{{ .Capabilities.HelmVersion.Version }} {{ .Capabilities.APIVersions.Has \"apps/v1\" }}"})
	got, _, err := render.New().Render(t.Context(), render.Request{Release: newRelease(nil), Chart: c, Revision: 4, Upgrade: true}, render.Capabilities{})
	require.NoError(t, err)
	require.Equal(t, "4 false "+render.Newest()+" v3.22.0 false", got.Notes)
	require.Equal(t, map[string]any{}, got.Values)

	_, _, err = render.New().Render(t.Context(), render.Request{Release: newRelease(nil), Chart: c}, render.Capabilities{KubeVersion: "new"})
	require.ErrorContains(t, err, `reading the Kubernetes version "new"`)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, _, err = render.New().Render(ctx, render.Request{Release: newRelease(nil), Chart: c}, render.Capabilities{})
	require.ErrorIs(t, err, context.Canceled)
}

// The versions that a chart sees are those of the linked libraries, and say so by hand.
func TestVersionsAreThoseOfTheModule(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../go.mod")
	require.NoError(t, err)
	client := regexp.MustCompile(`k8s\.io/client-go v0\.(\d+)\.`).FindSubmatch(text)
	require.NotNil(t, client)
	require.Equal(t, "v1."+string(client[1])+".0", render.Newest())
	helm := regexp.MustCompile(`helm\.sh/helm/v3 (v\S+)`).FindSubmatch(text)
	require.NotNil(t, helm)
	c := newChart(t, map[string]string{"templates/NOTES.txt": "{{ .Capabilities.HelmVersion.Version }}"})
	got, _, err := render.New().Render(t.Context(), render.Request{Release: newRelease(nil), Chart: c}, render.Capabilities{})
	require.NoError(t, err)
	require.Equal(t, string(helm[1]), got.Notes)
}

func TestDuplicates(t *testing.T) {
	t.Parallel()
	object := func(group, kind, namespace, name string) manifest.Object {
		return manifest.Object{ID: manifest.ID{Group: group, Kind: kind, Namespace: namespace, Name: name}, Source: "c/templates/x.yaml"}
	}
	crd := object("apiextensions.k8s.io", "CustomResourceDefinition", "", "globals.example.com")
	crd.Data = map[string]any{"spec": map[string]any{"group": "example.com", "scope": "Cluster", "names": map[string]any{"kind": "Global"}}}
	ds := render.Duplicates([]manifest.Release{
		{Name: "a", Namespace: "one", CRDs: []manifest.Object{crd}, Objects: []manifest.Object{
			object("", "ConfigMap", "", "x"), object("rbac.authorization.k8s.io", "ClusterRole", "", "r"),
			object("example.com", "Global", "", "g"), object("", "ConfigMap", "two", "y"),
		}},
		{Name: "b", Namespace: "two", CRDs: []manifest.Object{crd}, Objects: []manifest.Object{
			object("", "ConfigMap", "", "x"), object("rbac.authorization.k8s.io", "ClusterRole", "", "r"),
			object("example.com", "Global", "", "g"), object("", "ConfigMap", "", "y"),
		}},
	})
	require.Len(t, ds, 3)
	require.Contains(t, ds[0].Detail, "ClusterRole.rbac.authorization.k8s.io r is rendered by two releases, one/a (c/templates/x.yaml) and two/b")
	require.Contains(t, ds[1].Detail, "Global.example.com g")
	require.Contains(t, ds[2].Detail, "ConfigMap two/y")
}

func TestDigest(t *testing.T) {
	t.Parallel()
	s := readSample(t, "testdata/parity/hooks.txtar")
	got, _, err := render.New().Render(t.Context(), s.request(), capabilities())
	require.NoError(t, err)
	digest := render.Digest(got)
	require.Regexp(t, "^[0-9a-f]{40}$", digest)
	changes := map[string]func(*manifest.Release){
		"text":     func(r *manifest.Release) { r.Text += "x" },
		"values":   func(r *manifest.Release) { r.Values = map[string]any{"a": 1.0} },
		"metadata": func(r *manifest.Release) { r.Chart.Metadata = []byte("{}") },
		"hooks":    func(r *manifest.Release) { r.Hooks = r.Hooks[1:] },
		"crds":     func(r *manifest.Release) { r.CRDs = []manifest.Object{{Text: "x"}} },
	}
	for name, change := range changes {
		other := got
		change(&other)
		require.NotEqual(t, digest, render.Digest(other), name)
	}
	got.Revision, got.Notes = 7, "other"
	require.Equal(t, digest, render.Digest(got))
}

func TestRenderIsConcurrent(t *testing.T) {
	t.Parallel()
	s := readSample(t, "testdata/parity/subcharts.txtar")
	r := render.New()
	texts := make([]string, 16)
	var g errgroup.Group
	for i := range texts {
		g.Go(func() error {
			got, _, err := r.Render(t.Context(), s.request(), capabilities())
			texts[i] = got.Text
			return err
		})
	}
	require.NoError(t, g.Wait())
	for _, text := range texts {
		require.Equal(t, texts[0], text)
	}
}

// BenchmarkRender renders one small release of a chart that is loaded.
func BenchmarkRender(b *testing.B) {
	s := readSample(b, "testdata/parity/subcharts.txtar")
	r := render.New()
	caps := capabilities()
	b.ReportAllocs()
	for b.Loop() {
		if _, ds, err := r.Render(b.Context(), s.request(), caps); err != nil || ds.HasErrors() {
			b.Fatal(err, ds)
		}
	}
}

func TestRenderWentOnAfterItsContext(t *testing.T) {
	t.Parallel()
	c := newChart(t, map[string]string{"templates/cm.yaml": `{{ range 1000000000000 }}{{ end }}`})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, _, err := render.New().Render(ctx, render.Request{Release: newRelease(nil), Chart: c}, capabilities())
	require.ErrorIs(t, err, context.DeadlineExceeded)
}
