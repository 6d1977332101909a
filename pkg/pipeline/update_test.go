package pipeline

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/redkubes/otomi/pkg/chart"
	"github.com/redkubes/otomi/pkg/runlevel"
)

func TestDefaultsOfAChartHaveThoseOfItsSubcharts(t *testing.T) {
	t.Parallel()
	file := func(name, text string) chart.File { return chart.File{Name: name, Data: []byte(text)} }
	values, err := defaultsOf([]chart.File{
		file("Chart.yaml", "name: web\ndependencies: [{name: db, alias: primary}, {name: db, alias: replica}, {name: cache}]\n"),
		file("values.yaml", "a: 1\nprimary: {size: 2}\ncache: null\n"),
		file("charts/db/Chart.yaml", "name: db\n"),
		file("charts/db/values.yaml", "size: 1\nport: 5432\n"),
		file("charts/db/charts/log/Chart.yaml", "name: log\n"),
		file("charts/db/charts/log/values.yaml", "level: info\n"),
		file("charts/cache/Chart.yaml", "name: cache\n"),
		file("charts/cache/values.yaml", "ttl: 5\n"),
		file("charts/README.md", ""),
	})
	require.NoError(t, err)
	log := map[string]any{"level": "info"}
	require.Equal(t, map[string]any{
		"a":       1.0,
		"primary": map[string]any{"size": 2.0, "port": 5432.0, "log": log},
		"replica": map[string]any{"size": 1.0, "port": 5432.0, "log": log},
		"cache":   map[string]any{"ttl": 5.0},
	}, values)
	values, err = defaultsOf(nil)
	require.NoError(t, err)
	require.Empty(t, values)
	_, err = defaultsOf([]chart.File{file("values.yaml", "- a\n")})
	require.Error(t, err)
}

func TestTheNameOfAChartIsTheLastPartOfItsReference(t *testing.T) {
	t.Parallel()
	for reference, want := range map[string]string{
		"../charts/web": "web", "bitnami/nginx": "nginx", "oci://example.com/charts/web": "web", "https://example.com/web-1.0.0.tgz": "web-1.0.0",
		"git+https://example.com/repo//charts/web@feature/x": "web", "git+https://me@example.com/repo//charts/web": "web", "web": "web",
	} {
		require.Equal(t, want, chartBase(reference), reference)
	}
}

// Release keys about the way to a registry changed what charts.lock calls the chart.
func TestAReleaseSaysHowItsRegistryIsAsked(t *testing.T) {
	t.Parallel()
	plain := runlevel.Release{Chart: "oci://example.com/charts/team/web", Version: "^1", PlainHTTP: true, Keyring: "k"}
	ref := reference(plain)
	require.True(t, ref.Repository.PlainHTTP)
	require.Equal(t, "k", ref.Keyring)
	require.Equal(t, chart.KeyOf(reference(runlevel.Release{Chart: plain.Chart, Version: "^1"})), chart.KeyOf(ref))

	repo := &runlevel.Repository{Name: "r", URL: "https://example.com", CAFile: "ca.pem"}
	ref = reference(runlevel.Release{Chart: "r/web", Repository: repo, Verify: true, SkipTLSVerify: true})
	require.True(t, ref.Verify && ref.Repository.SkipTLSVerify)
	require.False(t, repo.Verify, "what other releases use stays as it is")
	p := &Platform{beside: "/repo/stack/runlevels"}
	require.Equal(t, "/repo/stack/runlevels/ca.pem", p.reference(Stage{}, runlevel.Release{Chart: "r/web", Repository: repo}).Repository.CAFile)
	require.Nil(t, reference(runlevel.Release{Chart: "../charts/web"}).Repository)
	// verify of an archive at an address, and of git, was passed over.
	require.True(t, reference(runlevel.Release{Chart: "https://example.com/web.tgz", Verify: true}).Verify)
}

func TestPasswordsOfChartsAreSecrets(t *testing.T) {
	t.Parallel()
	stage := Stage{Levels: []runlevel.Level{{
		Releases: []runlevel.Release{{Chart: "r/web", Repository: &runlevel.Repository{Username: "u", Password: "one"}}, {Chart: "web"}},
		Disabled: []runlevel.Release{{Chart: "git+https://me:two@example.com/repo//web@v1"}},
	}}}
	require.Equal(t, []string{"one", "two"}, stage.Secrets())
}
