package openapi_test

import (
	"encoding/json"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"github.com/stretchr/testify/require"

	"github.com/redkubes/otomi/kubernetes"
	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/manifest"
	"github.com/redkubes/otomi/pkg/openapi"
	"github.com/redkubes/otomi/pkg/yaml"
)

// example is one object of testdata/objects.txtar with what is expected of it: a code, or "".
type example struct {
	name   string
	want   diag.Code
	object manifest.Object
}

func object(t testing.TB, text string) manifest.Object {
	t.Helper()
	data, err := yaml.Decode([]byte(text))
	require.NoError(t, err)
	o, err := manifest.New(data.(map[string]any), text, "chart/templates/file.yaml")
	require.NoError(t, err)
	return o
}

func examples(t testing.TB) (definitions []manifest.Object, all []example) {
	t.Helper()
	archive, err := txtar.ParseFile(filepath.Join("testdata", "objects.txtar"))
	require.NoError(t, err)
	for _, f := range archive.Files {
		o := object(t, string(f.Data))
		folder, _ := path.Split(f.Name)
		switch folder {
		case "definitions/":
			definitions = append(definitions, o)
		case "accept/":
			all = append(all, example{f.Name, "", o})
		default:
			code := diag.Code(strings.Replace(strings.TrimSuffix(folder, "/"), "-", "/", 1))
			require.NotEmpty(t, code.Summary(), f.Name)
			all = append(all, example{f.Name, code, o})
		}
	}
	return definitions, all
}

func library(t testing.TB) *openapi.Library {
	t.Helper()
	l, err := openapi.NewLibrary(kubernetes.FS)
	require.NoError(t, err)
	return l
}

func checker(t testing.TB, version string, crds []manifest.Object) *openapi.Checker {
	t.Helper()
	c, diags, err := library(t).Checker(version, crds)
	require.NoError(t, err)
	require.Empty(t, diags)
	return c
}

func here(at diag.Range) (diag.Range, []diag.Note) { return at, nil }

func check(t testing.TB, c *openapi.Checker, o manifest.Object) diag.Diagnostics {
	t.Helper()
	diags, err := c.Check(t.Context(), "apps/web", o, here)
	require.NoError(t, err)
	return diags
}

func TestEveryExampleIsFoundByItsCode(t *testing.T) {
	t.Parallel()
	definitions, all := examples(t)
	c := checker(t, "v1.36.3", definitions)
	for _, d := range definitions {
		require.Empty(t, check(t, c, d), "a definition is an object as others")
	}
	for _, e := range all {
		diags := check(t, c, e.object)
		if e.want == "" {
			require.Empty(t, diags, e.name)
			continue
		}
		require.NotEmpty(t, diags, e.name)
		for _, d := range diags {
			require.Equal(t, e.want, d.Code, "%s: %s", e.name, d.Detail)
		}
	}
}

func TestWhatTheNewestAcceptsOlderOnesDo(t *testing.T) {
	t.Parallel()
	definitions, all := examples(t)
	for _, minor := range library(t).Minors() {
		c := checker(t, minor, definitions)
		for _, e := range all {
			if e.want == "" {
				require.Empty(t, check(t, c, e.object), "%s in %s", e.name, minor)
			}
		}
	}
}

func TestTheBundledSchemasCanBeRead(t *testing.T) {
	t.Parallel()
	l := library(t)
	require.Len(t, l.Minors(), 5)
	for _, minor := range l.Minors() {
		c, diags, err := l.Checker(minor, nil)
		require.NoError(t, err)
		require.Empty(t, diags)
		require.NoError(t, openapi.ReadAll(c))
	}
}

func TestFindingsSayWhatAndWhere(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, version, text, place, detail string }{
		{
			"nearest name", "1.36",
			"# a comment\napiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec:\n  containers:\n    - name: a\n      imagePullpolicy: Always\n",
			":8:7", `release apps/web: Pod web: there is no field "imagePullpolicy" in spec.containers[0]. Did you mean "imagePullPolicy"?`,
		}, {
			"quote", "1.36",
			"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: web\n  annotations:\n    a.b/c: 80\n",
			":6:12", `release apps/web: ConfigMap web: metadata.annotations.a\.b/c is a number, and Kubernetes wants a string. Quote it in the template: {{ … | quote }}.`,
		}, {
			"missing", "1.36",
			"apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec:\n  containers:\n    - image: a\n",
			":6:7", `release apps/web: Pod web: spec.containers[0] has no "name", which is required. Add it.`,
		}, {
			"removed", "1.36",
			"apiVersion: flowcontrol.apiserver.k8s.io/v1beta3\nkind: FlowSchema\nmetadata: {name: f}\n",
			":1:13", "release apps/web: FlowSchema.flowcontrol.apiserver.k8s.io f: Kubernetes 1.36 has no FlowSchema of flowcontrol.apiserver.k8s.io/v1beta3 any more: 1.31 was the last that had it. Write apiVersion: flowcontrol.apiserver.k8s.io/v1, and look at what changed between them.",
		}, {
			"removed, by the documents", "1.37",
			"apiVersion: networking.k8s.io/v1beta1\nkind: IPAddress\nmetadata: {name: f}\n",
			":1:13", "release apps/web: IPAddress.networking.k8s.io f: Kubernetes 1.37 has no IPAddress of networking.k8s.io/v1beta1 any more: 1.36 was the last that had it. Write apiVersion: networking.k8s.io/v1, and look at what changed between them.",
		}, {
			"moved", "1.36",
			"apiVersion: extensions/v1beta1\nkind: Ingress\nmetadata: {name: f}\n",
			":1:13", "release apps/web: Ingress.extensions f: Kubernetes 1.36 has no Ingress of extensions/v1beta1 any more: 1.21 was the last that had it. Write apiVersion: networking.k8s.io/v1, and look at what changed between them.",
		}, {
			"not yet", "1.33",
			"apiVersion: resource.k8s.io/v1\nkind: DeviceClass\nmetadata: {name: f}\n",
			":1:13", "release apps/web: DeviceClass.resource.k8s.io f: Kubernetes 1.33 has no DeviceClass of resource.k8s.io/v1 yet: 1.34 is the first that has it. Write apiVersion: resource.k8s.io/v1beta2.",
		}, {
			"other group", "1.36",
			"apiVersion: v1\nkind: Deployment\nmetadata: {name: f}\n",
			":2:7", "release apps/web: Deployment f: Kubernetes 1.36 has no kind Deployment in v1. It is in another group: write apiVersion: apps/v1.",
		}, {
			"unknown group", "1.36",
			"apiVersion: cert-manager.io/v1\nkind: Certificate\nmetadata: {name: f}\n",
			":1:13", "objects of kind Certificate in cert-manager.io/v1 are not checked: Kubernetes has no such kind of its own, and this run brings no definition of it. Let the chart that carries its CustomResourceDefinition be part of the runlevels.",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			diags := check(t, checker(t, test.version, nil), object(t, test.text))
			require.Len(t, diags, 1)
			require.Equal(t, test.detail, diags[0].Detail)
			require.Equal(t, test.place, diags[0].Range.String())
		})
	}
}

func TestAVersionThatIsNotBundledIsCheckedAgainstTheNearestWithAWarning(t *testing.T) {
	t.Parallel()
	l := library(t)
	for version, want := range map[string]string{"1.20": "1.33", "v1.32.9": "1.33", "1.99.0": l.Minors()[4]} {
		_, diags, err := l.Checker(version, nil)
		require.NoError(t, err)
		require.Len(t, diags, 1)
		require.Equal(t, diag.ManifestOtherVersion, diags[0].Code)
		require.Equal(t, diag.Warning, diags[0].Severity)
		require.Contains(t, diags[0].Detail, "those of "+want)
	}
	for _, version := range []string{"1.34", "v1.34.9", "1.34.2-eks-1234"} {
		checker(t, version, nil)
	}
	for _, version := range []string{"", "next", "2.0"} {
		_, _, err := l.Checker(version, nil)
		require.Error(t, err, version)
	}
}

func TestAnOldClusterStillHasTheVersionThatNewerOnesDropped(t *testing.T) {
	t.Parallel()
	c, _, err := library(t).Checker("1.24", nil)
	require.NoError(t, err)
	diags := check(t, c, object(t, "apiVersion: batch/v1beta1\nkind: CronJob\nmetadata: {name: f}\n"))
	require.Len(t, diags, 1)
	require.Equal(t, diag.ManifestNoSchema, diags[0].Code)
}

func TestNoFindingShowsAValue(t *testing.T) {
	t.Parallel()
	definitions, all := examples(t)
	c := checker(t, "1.36", definitions)
	for _, e := range all {
		e.object.Text = strings.ReplaceAll(e.object.Text, "abcde", "hunter2")
		for _, d := range check(t, c, e.object) {
			for _, value := range []string{"not base64!", "1 GB", "1234", "blue", "hunter2", "yesterday"} {
				require.NotContains(t, d.Detail, value)
			}
			require.Equal(t, e.object.Kind == "Secret", d.Secret, "the source line of a Secret is not shown")
		}
	}
}

func TestTheDigestChangesWithVersionAndDefinitions(t *testing.T) {
	t.Parallel()
	definitions, _ := examples(t)
	a, b := checker(t, "1.36", nil), checker(t, "1.36", definitions)
	require.NotEqual(t, a.Digest(), b.Digest())
	require.NotEqual(t, a.Digest(), checker(t, "1.35", nil).Digest())
	require.Equal(t, b.Digest(), checker(t, "v1.36.3", definitions).Digest())
}

func TestAMistakeInEveryContainerIsBounded(t *testing.T) {
	t.Parallel()
	labels := map[string]any{}
	for i := range 1000 {
		labels[strings.Repeat("a", i+1)] = 1
	}
	data := map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "x", "labels": labels}}
	text, err := json.Marshal(data)
	require.NoError(t, err)
	require.Len(t, check(t, checker(t, "1.36", nil), object(t, string(text))), 50)
}

func BenchmarkCheck(b *testing.B) {
	definitions, all := examples(b)
	c := checker(b, "1.36", definitions)
	for b.Loop() {
		for _, e := range all {
			if e.want == "" {
				if _, err := c.Check(b.Context(), "apps/web", e.object, here); err != nil {
					b.Fatal(err)
				}
			}
		}
	}
}

func BenchmarkFirstCheck(b *testing.B) {
	o := object(b, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: f}\n")
	for b.Loop() {
		check(b, checker(b, "1.36", nil), o)
	}
}
