package render_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/render"
)

func TestLocatorFindsTheLineOfTheTemplateThatWroteALine(t *testing.T) {
	t.Parallel()
	c := newChart(t, map[string]string{
		"templates/_helpers.tpl": `{{ define "labels" }}a: 1` + "\n" + `b: 2{{ end }}`,
		"templates/cm.yaml": `{{- if true }}
{{- range list "one" "two" }}
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ . }}
  labels:
    {{- include "labels" $ | nindent 4 }}
data:
  same: text
{{- end }}
{{- end }}`,
		"templates/plain.yaml": "# a comment\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: plain\n",
		"templates/list.yaml":  "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: ConfigMap, metadata: {name: {{ .Release.Name }}-item}}\n",
		"crds/crd.yaml":        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: first}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: second}\n",
	})
	r := render.New()
	req := render.Request{Release: newRelease(nil), Chart: c}
	out, ds, err := r.Render(t.Context(), req, capabilities())
	require.NoError(t, err)
	require.Empty(t, ds)
	locate := r.Locator(t.Context(), req, capabilities(), "aws/demo")
	line := func(n int) diag.Range { return diag.Range{Start: diag.Pos{Line: n, Column: 3}} }
	found := map[string][]string{}
	for _, o := range append(out.Objects, out.CRDs...) {
		for _, n := range []int{1, 4, 7, 9} {
			at, notes := locate(o, line(n))
			if len(notes) > 0 {
				require.NotEmpty(t, r.Sources()[at.File], at.File)
				if notes[0].Message == "which renders this" {
					require.Equal(t, o.Text, string(r.Sources()[notes[0].Range.File]))
					require.Contains(t, notes[0].Range.File, "(rendered for aws/demo alpha/web: ConfigMap")
				}
			}
			found[o.Name] = append(found[o.Name], at.String())
		}
	}
	const shown = "stack/charts/web/"
	require.Equal(t, []string{
		shown + "templates/cm.yaml:4:3", shown + "templates/cm.yaml:7:3", shown + "templates/cm.yaml:9:5", shown + "templates/cm.yaml:11:3",
	}, found["two"], "text of the template is at its own column, what an action wrote at the action")
	require.Equal(t, shown+"templates/plain.yaml:4:3", found["plain"][1])
	require.Equal(t, shown+"crds/crd.yaml:5:3", found["second"][0])
	require.Equal(t, shown+"templates/list.yaml (rendered for alpha/web: ConfigMap web-item):4:3", found["web-item"][1],
		"an item of a list stands in no text as it is")
}
