package runlevel_test

import (
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/redkubes/otomi/pkg/runlevel"
	"github.com/redkubes/otomi/pkg/source"
	"github.com/redkubes/otomi/pkg/value"
)

func TestPlaceOfAValueOfARelease(t *testing.T) {
	t.Parallel()
	const text = `releases:
  - {name: bare, chart: ../charts/x}
  - name: web
    chart: ../charts/x
    values:
      - image: {tag: a, repository: b}
        list: [x, y]
      - image:
          tag: c
      - list: null
        other:
          - z
`
	ev, ds := runlevel.Evaluate(t.Context(), runlevel.Input{
		Files: []runlevel.File{{Name: "10-a.yaml", Display: "10-a.yaml", Text: []byte(text)}}, Stack: true,
	})
	require.Empty(t, ds)
	bare, web := ev.Levels[0].Releases[0], ev.Levels[0].Releases[1]
	for path, want := range map[string]string{
		"image.tag":        "10-a.yaml:9:16 true",
		"image.repository": "10-a.yaml:6:37 true",
		"image.missing":    "10-a.yaml:8:9 false",
		"image.tag.deeper": "10-a.yaml:9:11 false",
		"list":             "10-a.yaml:10:15 true",
		"other[0]":         "10-a.yaml:12:13 true",
		"nowhere":          "10-a.yaml:5:5 false",
	} {
		p, err := value.ParsePath(path)
		require.NoError(t, err)
		at, set := web.Place(p)
		require.Equal(t, want, at.String()+" "+map[bool]string{true: "true", false: "false"}[set], path)
	}
	at, set := bare.Place(value.Path{}.Key("a"))
	require.Equal(t, "10-a.yaml:2:5", at.String())
	require.False(t, set)
	at, set = runlevel.Release{}.Place(nil)
	require.True(t, at.IsZero())
	require.False(t, set)
}

func TestPlaceOfAValueOfATemplateAFileAndASet(t *testing.T) {
	t.Parallel()
	files := fstest.MapFS{
		"d/values.yaml.gotmpl": &fstest.MapFile{Data: []byte("{{/* made */}}\nimage:\n  tag: {{ .Values.tag }}\nfile: x\n")},
	}
	const text = `{{ if true }}
{{ end }}
templates:
  base:
    values:
    - inherited: {{ .Values.tag }}
releases:
- name: web
  chart: ./x
  inherit: [{template: base}]
  values:
  - file: y
  - values.yaml.gotmpl
  set:
  - {name: a.b, value: 1}
`
	for _, stack := range []bool{true, false} {
		ev, ds := runlevel.Evaluate(t.Context(), runlevel.Input{
			Files: []runlevel.File{{Name: "s.yaml.gotmpl", Display: "s.yaml.gotmpl", Path: "d/s.yaml.gotmpl", Text: []byte(text)}},
			FS:    source.Inside(files), Stack: stack, Values: map[string]any{"tag": "v1"},
		})
		require.Empty(t, ds)
		web := ev.Levels[0].Releases[0]
		for path, want := range map[string]string{
			"inherited": "s.yaml.gotmpl:6:18 true",
			"image.tag": "d/values.yaml.gotmpl:3:8 true",
			"file":      "d/values.yaml.gotmpl:4:7 true",
			"a.b":       "s.yaml.gotmpl:15:5 true",
			"a.b.c":     "s.yaml.gotmpl:15:5 true",
		} {
			p, err := value.ParsePath(path)
			require.NoError(t, err)
			at, set := web.Place(p)
			require.Equal(t, want, at.String()+" "+map[bool]string{true: "true", false: "false"}[set], path)
		}
		require.Equal(t, stack, web.Entries == nil, "the trees of a stack's values are not kept")
	}
}
