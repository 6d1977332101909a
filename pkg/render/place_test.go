package render

import (
	"errors"
	"strings"
	"testing"

	"github.com/redkubes/otomi/pkg/chart"
	"github.com/redkubes/otomi/pkg/diag"
	"github.com/stretchr/testify/require"
	"helm.sh/helm/v3/pkg/chartutil"
)

func TestBlame(t *testing.T) {
	t.Parallel()
	values := map[string]any{
		"image": "nginx", "tag": "", "gone": nil, "n": 3.0, "half": 0.5, "list": []any{}, "global": map[string]any{"domain": ""},
		"sub": map[string]any{"host": "", "global": map[string]any{"domain": ""}, "deep": chartutil.Values{"x": true}},
		"map": map[string]any{"tag": "", "inner": map[string]any{}},
	}
	const at = `template: web/templates/a.yaml:1:3: executing "web/templates/a.yaml" at <`
	const inSub = `template: web/charts/sub/templates/a.yaml:1:3: executing "x" at <`
	const below = `>: error calling include: template: web/templates/_h.tpl:1:3: executing "h" at <`
	says := func(text string) string { return text + ">: error calling required: " + warnStart + "needed" + warnEnd }
	for name, tt := range map[string]struct{ message, line, want string }{
		"required, empty":                {says(at + `required "needed" .Values.tag`), "", "tag is empty"},
		"required, not set":              {says(at + `required "needed" $.Values.map.inner.x`), "", "map.inner.x is not set"},
		"required, null":                 {says(at + `required "needed" .Values.gone`), "", "gone is null"},
		"required of one that is there":  {says(at + `required "needed" (print .Values.n .Values.tag)`), "", "tag is empty"},
		"required of two":                {says(at + `required "needed" (coalesce .Values.tag .Values.gone)`), "", ""},
		"required behind a pipe":         {says(at + `required "needed"`), `{{ .Values.tag | required "needed" }}{{ .Values.gone }}`, "tag is empty"},
		"required in a subchart":         {says(inSub + `required "needed" .Values.host`), "", "sub.host is empty"},
		"required of globals":            {says(inSub + `required "needed" .Values.global.domain`), "", "global.domain is empty"},
		"required of what was given":     {says(at + `include "h" .Values.map` + below + `required "needed" .tag`), "", "map.tag is empty"},
		"required of what is not told":   {says(at + `include "h" .` + below + `required "needed" .tag`), "", ""},
		"fail with two values":           {at + `fail "x"` + ">: error calling fail: " + warnStart + "needed" + warnEnd, "{{ fail .Values.image }}", ""},
		"nil pointer":                    {at + ".Values.gone.a.b>: nil pointer evaluating interface {}.a", "", "gone is null"},
		"nil pointer, not set":           {at + ".Values.map.inner.x.y>: nil pointer evaluating interface {}.y", "", "map.inner.x is not set"},
		"nil pointer of no value":        {at + ".Release.x.y>: nil pointer evaluating interface {}.y", "", ""},
		"a field of a text":              {at + ".Values.image.tag>: can't evaluate field tag in type interface {}", "", "image is a string"},
		"a field of a boolean, below":    {inSub + ".Values.deep.x.y>: can't evaluate field y in type interface {}", "", "sub.deep.x is a boolean"},
		"range over a number":            {at + ".Values.n>: range can't iterate over 3", "", "n is an integer"},
		"range over another number":      {at + ".Values.half>: range can't iterate over 0.5", "", "half is a number"},
		"a function of a value":          {at + "atoi .Values.list>: wrong type for value; expected string; got []interface {}", "", "list is a list"},
		"a message that speaks of files": {at + `fail "x"` + ">: error calling fail: " + warnStart + at + ".Values.tag>: x" + warnEnd, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text := strings.ReplaceAll(tt.line, "\n", " ")
			j := &job{values: values, req: Request{Chart: &chart.Chart{Files: []chart.File{
				{Name: "templates/a.yaml", Data: []byte(text)}, {Name: "charts/sub/templates/a.yaml", Data: []byte(text)},
			}}}}
			var err error = errors.New(tt.message)
			if m := warned.FindStringSubmatch(tt.message); m != nil {
				err = authored{message: "execution error at (web/templates/a.yaml:1:3): " + m[1], cause: err}
			}
			got, ok := j.blame(failureOf(err))
			if tt.want == "" {
				require.False(t, ok, "%s %s", got.path, got.state)
				return
			}
			require.True(t, ok)
			require.Equal(t, tt.want, got.path.String()+" "+got.state)
		})
	}
}

func TestOffsetOfADocumentThatIsPartOfAnother(t *testing.T) {
	t.Parallel()
	const whole = "a: 1\nb: 2\n---\nb: 2\n--- # again\n\nb: 2\n"
	require.Equal(t, strings.Index(whole, "---\nb")+4, offset(whole, "b: 2", 0))
	require.Equal(t, strings.LastIndex(whole, "b"), offset(whole, "b: 2", 1))
	require.Equal(t, 0, offset(whole, "a: 1\nb: 2", 0))
	require.Equal(t, 0, offset(whole, "", 0))
	require.Equal(t, 0, offset("x", "y", 0))
}

func TestASecretBesideAFaultIsNotShown(t *testing.T) {
	t.Parallel()
	got := withoutSecrets("kind: Secret\ndata: {a: s3cret}\n---\na: b\n---\nkind: \"Secret\"\nstringData: s3cret")
	require.NotContains(t, got, "s3cret")
	require.Equal(t, 2, strings.Count(got, "\n---\na: b")+strings.Count(got, "a: b"))
	require.Equal(t, 6, strings.Count(got, "\n"))
	require.Contains(t, got, diag.Concealed)
}
