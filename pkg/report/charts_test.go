package report_test

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/redkubes/otomi/pkg/diff"
	"github.com/redkubes/otomi/pkg/manifest"
	"github.com/redkubes/otomi/pkg/report"
)

func TestAChartUpdateShowsNoSecret(t *testing.T) {
	t.Parallel()
	config := func(password string) map[string]any {
		return map[string]any{"kind": "ConfigMap", "data": map[string]any{"password": password}}
	}
	update := func() diff.ChartUpdate {
		return diff.ChartUpdate{
			Chart: "web", Old: diff.UpdateVersion{Version: "1"}, New: diff.UpdateVersion{Version: "2"}, Releases: 5, Clusters: 5,
			Values: []diff.DefaultChange{
				{Path: "a", Action: diff.Update, Before: "s3cret", After: map[string]any{"b": []any{"s3cret"}}},
				{Path: "text", Action: diff.Create, After: "two\nlines", SetBy: []diff.Where{
					{Cluster: "c/1", Release: "n/1"}, {Cluster: "c/2", Release: "n/2"}, {Cluster: "c/2", Release: "n/3"}, {Cluster: "c/2", Release: "n/4"},
				}},
			},
			Objects: []diff.UpdateChange{{
				Change: diff.Change{
					ID: manifest.ID{Kind: "ConfigMap", Name: "web"}, Action: diff.Update, Before: config("s3cret"), After: config("other"),
				},
				Release: "n/1", Clusters: []string{"c/1", "c/2", "c/3", "c/4"},
			}},
			Images: []diff.ImageChange{{Image: "x:1", Action: diff.Delete, Clusters: []string{"c/1", "c/2", "c/3", "c/4", "c/5"}}},
		}
	}
	for _, format := range []string{"text", "json"} {
		var out, talk bytes.Buffer
		r := report.New(report.Options{Out: &out, Err: &talk})
		r.Hide([]string{"s3cret"})
		require.NoError(t, r.ChartUpdate(update(), format))
		require.NotContains(t, out.String()+talk.String(), "s3cret")
		require.Contains(t, out.String(), "(secret)")
		if format == "text" {
			require.Contains(t, out.String(), `  ~ a: (secret) → {"b":["(secret)"]}`)
			require.Contains(t, out.String(), `  + text: "two\nlines"   # set by n/1, n/2, n/3 and 1 more in 2 clusters`)
			require.Contains(t, out.String(), "in c/1, c/2, c/3 and 1 more clusters")
			require.Contains(t, out.String(), "  - x:1\n", "in all of them")
			require.Equal(t, "5 releases of 5 clusters rendered with both versions; 1 object differs\n", talk.String())
		}
	}
}

func TestALockChangeWithTheSameVersionSaysWhatDiffers(t *testing.T) {
	t.Parallel()
	entry := func(sha, manifest, commit string) *report.LockedChart {
		return &report.LockedChart{Version: "1.0.0", URL: "https://example.com/web.tgz", SHA256: sha, Manifest: manifest, Commit: commit}
	}
	var out bytes.Buffer
	r := report.New(report.Options{Out: &out})
	require.NoError(t, r.LockChanges([]report.LockChange{
		{Chart: "a", Action: "change", Before: entry("aaaaaaaaaaaaaaa", "", ""), After: entry("bbbbbbbbbbbbbbb", "", "")},
		{Chart: "b", Action: "change", Before: entry("a", "x", ""), After: entry("a", "y", "")},
		{Chart: "c", Action: "change", Before: entry("a", "", "x"), After: entry("a", "", "y")},
		{Chart: "d", Action: "change", Before: &report.LockedChart{Version: "1.0.0", SHA256: "a"}, After: entry("a", "", "")},
	}, "text"))
	require.Equal(t, `~ a: 1.0.0, other content: sha256 aaaaaaaaaaaa → bbbbbbbbbbbb
~ b: 1.0.0, another manifest with the same content
~ c: 1.0.0, another commit with the same content
~ d: 1.0.0, from https://example.com/web.tgz
`, out.String())
	out.Reset()
	require.NoError(t, r.LockChanges(nil, "json"))
	require.JSONEq(t, `{"formatVersion":1,"changes":[]}`, out.String())
	out.Reset()
	require.NoError(t, r.Charts(nil, "json"))
	require.JSONEq(t, `{"formatVersion":1,"charts":[]}`, out.String())
}
