package render

import (
	"context"
	"strings"
	"testing"

	"github.com/redkubes/otomi/pkg/chart"
	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/manifest"
	"github.com/redkubes/otomi/pkg/runlevel"
	"github.com/stretchr/testify/require"
	"helm.sh/helm/v3/pkg/releaseutil"
)

// FuzzDocuments compares our reading of rendered texts with Helm's: what Helm takes we take, in its order.
func FuzzDocuments(f *testing.F) {
	f.Add("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n---\n# nothing\n--- \nkind: Zoo", "kind: Namespace\n\n---\n\nkind: Ant")
	f.Add("kind: Job\nmetadata:\n  name: x\n  annotations: {helm.sh/hook: 'pre-install, test', helm.sh/hook-weight: 3, helm.sh/hook-delete-policy: true}", "")
	f.Add("kind: 3\nmetadata: {annotations: {a: 1.5, b: null}}", "kind: null\nmetadata:")
	f.Add("metadata: {annotations: {helm.sh/hook: null}}", "a: [")
	f.Add("metadata: {name: [1]}", "- a")
	f.Add("items: [1]", "kind: true")
	f.Add("kInd: 3\nmetadata:", "lind: nulk\nmetadata:") // Helm takes a key in any case for the kind
	f.Fuzz(func(t *testing.T, a, b string) {
		files := map[string]string{"web/templates/a.yaml": a, "web/templates/b.yaml": b, "web/templates/_c.yaml": a}
		hooks, manifests, err := releaseutil.SortManifests(files, nil, releaseutil.InstallOrder)
		if err != nil {
			return
		}
		j := &job{r: New(), req: Request{Chart: &chart.Chart{}}, files: files}
		var ours []document
		var hooked []document
		documents, over := j.documents(t.Context())
		require.Empty(t, over)
		for _, d := range documents {
			if d.isHook {
				hooked = append(hooked, d)
			} else {
				ours = append(ours, d)
			}
		}
		if j.diags.HasErrors() {
			return // no object, though Helm would find out only from the cluster
		}
		require.Len(t, ours, len(manifests))
		for i, m := range manifests {
			require.Equal(t, m.Name, ours[i].source)
			require.Equal(t, m.Content, ours[i].text)
		}
		n := 0
		for _, d := range hooked {
			got, ok := j.hook(d)
			if !ok {
				continue
			}
			for n < len(hooks) && hooks[n].Manifest != d.text {
				n++ // one that is no object for us
			}
			require.Less(t, n, len(hooks))
			require.Equal(t, hooks[n].Path, d.source)
			require.Equal(t, hooks[n].Weight, got.Weight)
			require.Len(t, got.Events, len(hooks[n].Events))
			for k, p := range hooks[n].DeletePolicies {
				require.Equal(t, manifest.DeletePolicy(p), got.DeletePolicies[k])
			}
			n++
		}
	})
}

func TestReadingWhatWasRenderedHadNoBound(t *testing.T) {
	t.Parallel()
	c := &chart.Chart{Name: "web", Version: "1.0.0", Digest: "x", Display: "charts/web", Files: []chart.File{
		{Name: "Chart.yaml", Data: []byte("apiVersion: v2\nname: web\nversion: 1.0.0\n")},
		{Name: "templates/a.yaml", Data: []byte("{{ .Values.text }}")},
	}}
	for name, text := range map[string]string{
		"items":     strings.Repeat("- 1\n", maxNodes),
		"dashes":    strings.Repeat(strings.Repeat("- ", 5000)+"1\n", maxNodes/5000+2),
		"flow":      "a: [" + strings.Repeat("1,", maxNodes) + "1]",
		"documents": strings.Repeat("a: b\n---\n", maxNodes/2+1),
	} {
		_, ds, err := New().Render(t.Context(), Request{Chart: c, Release: runlevel.Release{
			Name: "web", Namespace: "apps", Values: map[string]any{"text": text},
		}}, Capabilities{})
		require.NoError(t, err)
		require.Len(t, ds, 1, name)
		require.Equal(t, diag.TemplateBudget, ds[0].Code, name)
		require.Contains(t, ds[0].Detail, "more than 1048576 values")
	}
}

func TestATextOfBrokenDocumentsWasReportedWhole(t *testing.T) {
	t.Parallel()
	j := &job{r: New(), req: Request{Chart: &chart.Chart{}}, files: map[string]string{"web/templates/a.yaml": strings.Repeat("- a\n---\n", 50_000)}}
	_, over := j.documents(t.Context())
	require.Empty(t, over)
	require.Len(t, j.diags, maxProblems)
}

func TestReadingWhatWasRenderedWentOnAfterItsTime(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	j := &job{r: New(), req: Request{Chart: &chart.Chart{}}, files: map[string]string{"web/templates/a.yaml": "a: b\n"}}
	_, over := j.documents(ctx)
	require.Equal(t, overTime, over)
}

func TestNodesAreNeverLessThanThereAre(t *testing.T) {
	t.Parallel()
	for text, n := range map[string]int{"": 1, "- - 1\n- 2": 3, "[1,2,[3]]": 4, "{a: 1, b: {}}": 3, "? a\n: b": 2} {
		require.GreaterOrEqual(t, nodes(text, 100), n, text)
		require.Equal(t, 1, nodes(text, 1))
	}
}
