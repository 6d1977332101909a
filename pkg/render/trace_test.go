package render_test

import (
	"strings"
	"testing"

	"github.com/redkubes/otomi/pkg/render"
	"github.com/stretchr/testify/require"
)

// Each line of the template's text ends in the number of the line that writes it.
func TestTrace(t *testing.T) {
	t.Parallel()
	c := newChart(t, map[string]string{
		"templates/_help.tpl": "{{ define \"labels\" }}\nl1: {{ .Release.Name }}\nl2: x\n{{- end }}",
		"templates/cm.yaml": `{{- $x := 1 -}}
first: 2
{{ if true }}
  in-if: 4
{{- range $i, $e := list "a" "b" }}
  {{ $e }}: 6
{{- else }}
  none: 8
{{- end }}
{{- include "labels" . }}
after: {{ .Values.absent }}11
{{ template "labels" . }}
{{- tpl "{{ if true }}\n\nt: 13{{ end }}" . }}
{{- toYaml (dict "y1" 14 "y2" 14) | nindent 2 }}
{{- /* a comment
of two lines */}}
{{- end }}
{{- define "in" }}
d: 21
{{- end }}
{{- include "in" . }}
last: 22
`,
	})
	r := render.New()
	req := render.Request{Release: newRelease(nil), Chart: c}
	trace, err := r.Trace(t.Context(), req, render.Capabilities{KubeVersion: "1.34"}, "web/templates/cm.yaml")
	require.NoError(t, err)
	want := map[string]int{
		"first: 2": 2, "in-if: 4": 4, "a: 6": 6, "b: 6": 6, "l1: web": 10, "l2: x": 10, "after: 11": 11, "t: 13": 13, "y1: 14": 14, "y2: 14": 14, "d: 21": 21, "last: 22": 22,
	}
	text := traced(t, r, req)
	for i, line := range strings.Split(text, "\n") {
		key := strings.TrimSpace(line)
		number, ok := want[key]
		if !ok {
			continue
		}
		if key == "l1: web" || key == "l2: x" {
			require.Contains(t, []int{10, 12}, trace.At(i+1).Start.Line, "%d %s\n%s", i+1, line, text)
			continue
		}
		require.Equal(t, number, trace.At(i+1).Start.Line, "%d %s\n%s", i+1, line, text)
		require.Equal(t, "stack/charts/web/templates/cm.yaml", trace.At(i+1).File)
	}
	require.Zero(t, trace.At(1000).Start)

	_, err = r.Trace(t.Context(), req, render.Capabilities{KubeVersion: "1.34"}, "web/templates/nope.yaml")
	require.ErrorContains(t, err, "no such template")
}

// traced is the text that the template renders: the notes are the one that needs no object.
func traced(t *testing.T, r *render.Renderer, req render.Request) string {
	t.Helper()
	files := map[string]string{}
	for _, f := range req.Chart.Files {
		switch f.Name {
		case "templates/cm.yaml":
			files["templates/NOTES.txt"] = string(f.Data)
		case "Chart.yaml":
		default:
			files[f.Name] = string(f.Data)
		}
	}
	req.Chart = newChart(t, files)
	out, ds, err := r.Render(t.Context(), req, render.Capabilities{KubeVersion: "1.34"})
	require.NoError(t, err)
	require.False(t, ds.HasErrors(), "%v", ds)
	return out.Notes
}
