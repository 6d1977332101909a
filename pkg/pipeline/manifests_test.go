package pipeline_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/redkubes/otomi/kubernetes"
	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/pipeline"
	"github.com/redkubes/otomi/pkg/source"
)

// checkAll opens a repository and checks the manifests of all its clusters.
func checkAll(t *testing.T, dir, cache, build string) diag.Diagnostics {
	t.Helper()
	platform, diags, err := pipeline.Open(t.Context(), pipeline.Options{
		Dir: dir, Builtin: source.Tree{}, Kubernetes: kubernetes.FS, Cache: pipeline.CacheOptions{Dir: cache, Build: build},
	})
	require.NoError(t, err)
	require.Empty(t, diags)
	defer platform.Close()
	clusters, diags := platform.Clusters("", true)
	require.Empty(t, diags)
	found, err := platform.ValidateAll(t.Context(), clusters, pipeline.ValidateOptions{Manifests: &pipeline.Capabilities{}})
	require.NoError(t, err)
	return found.Diagnostics
}

func codes(ds diag.Diagnostics) []diag.Code {
	var out []diag.Code
	for _, d := range ds {
		out = append(out, d.Code)
	}
	return out
}

const widgets = `apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: { name: widgets.example.com }
spec:
  group: example.com
  scope: Namespaced
  names: { kind: Widget, plural: widgets }
  versions:
    - { name: v1, served: true, storage: true, schema: { openAPIV3Schema: { type: object, properties: { spec: { type: object, properties: { size: { type: {{ .Values.type }} } } } } } } }
`

func manifestsRepository() map[string]string {
	return map[string]string{
		"otomi.yaml":                       "version: 1\nstack: stack\n",
		"env/clusters.yaml":                "clouds: {aws: {clusters: {one: {}, two: {}}}}\n",
		"env/a.yaml":                       "type: integer\nport: \"80\"\n",
		"stack/schema/values.schema.yaml":  "type: object\n",
		"stack/runlevels/10-a.yaml.gotmpl": "releases:\n  - {name: good, chart: ../charts/web, values: [{port: \"80\"}]}\n  - {name: other, chart: ../charts/web, values: [{port: {{ .Values.port | quote }} }]}\n",
		"stack/runlevels/20-b.yaml.gotmpl": "releases:\n  - {name: crds, chart: ../charts/crds, values: [{type: {{ .Values.type }}}]}\n  - {name: widget, chart: ../charts/widget}\n",
		"stack/charts/web/Chart.yaml":      "apiVersion: v2\nname: web\nversion: 0.1.0\n",
		"stack/charts/web/templates/a.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: {{ .Release.Name }}}\n" +
			"data: {port: \"{{ .Values.port }}\"}\n",
		"stack/charts/crds/Chart.yaml":         "apiVersion: v2\nname: crds\nversion: 0.1.0\n",
		"stack/charts/crds/templates/crd.yaml": widgets,
		"stack/charts/widget/Chart.yaml":       "apiVersion: v2\nname: widget\nversion: 0.1.0\n",
		"stack/charts/widget/templates/a.yaml": "apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: a}\nspec: {size: 3}\n",
	}
}

func TestManifestsAreCheckedWithTheDefinitionsThatTheRunRendersLater(t *testing.T) {
	t.Parallel()
	files := manifestsRepository()
	require.Empty(t, checkAll(t, write(t, files), "", ""))

	files["env/clouds/aws/two/a.yaml"] = "type: string\n"
	ds := checkAll(t, write(t, files), "", "")
	require.Equal(t, []diag.Code{diag.ManifestWrongType}, codes(ds))
	require.Equal(t, []string{"aws/two"}, ds[0].Clusters)
	require.Contains(t, ds[0].Detail, "spec.size is a number, and Kubernetes wants a string")
}

func TestWhatWasFoundCleanIsCheckedAgainWhenItsDefinitionChanges(t *testing.T) {
	t.Parallel()
	cache := t.TempDir()
	files := manifestsRepository()
	entries := func() int {
		infos, err := pipeline.LookIntoCaches(cache)
		require.NoError(t, err)
		n := 0
		for _, i := range infos {
			n += i.Entries
		}
		return n
	}
	require.Empty(t, checkAll(t, write(t, files), cache, "1"))
	before := entries()
	require.Equal(t, 9, before, "four releases rendered, one of them once more to learn the capabilities, and four found clean")
	require.Empty(t, checkAll(t, write(t, files), cache, "1"))
	require.Equal(t, before, entries())

	files["env/a.yaml"] = "type: string\nport: \"80\"\n"
	require.Equal(t, []diag.Code{diag.ManifestWrongType}, codes(checkAll(t, write(t, files), cache, "1")), "the widget's text is the same")
	require.Equal(t, []diag.Code{diag.ManifestWrongType}, codes(checkAll(t, write(t, files), cache, "1")), "a finding is not kept away")
}

func TestAKindWithoutASchemaIsToldOnceForAllReleasesAndClusters(t *testing.T) {
	t.Parallel()
	files := manifestsRepository()
	files["stack/charts/web/templates/c.yaml"] = "apiVersion: other.com/v1\nkind: Thing\nmetadata: {name: a-{{ .Release.Name }}}\n" +
		"---\napiVersion: other.com/v1\nkind: Thing\nmetadata: {name: b-{{ .Release.Name }}}\n"
	ds := checkAll(t, write(t, files), "", "")
	require.Equal(t, []diag.Code{diag.ManifestNoSchema}, codes(ds))
	require.Equal(t, []string{"aws/one", "aws/two"}, ds[0].Clusters)
}
