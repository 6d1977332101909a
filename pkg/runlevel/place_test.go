package runlevel_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/redkubes/otomi/pkg/runlevel"
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
	ev, ds := runlevel.Evaluate(t.Context(), []runlevel.File{{Name: "10-a.yaml", Display: "10-a.yaml", Text: []byte(text)}}, nil, runlevel.Options{})
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
