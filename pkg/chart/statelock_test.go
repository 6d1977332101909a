package chart

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// What helmfile v1.7.2 with helm v3.22.0 wrote for these releases, once with each of the two digests: it takes the names of charts
// in an order of chance.
func TestStateLockIsHelmfiles(t *testing.T) {
	t.Parallel()
	const recorded = `version: v1.7.2
dependencies:
  - name: db
    repository: oci://127.0.0.1:41273/charts
    version: 2.1.0
  - name: db
    repository: oci://127.0.0.1:41273/charts/deep_er
    version: 2.0.0
  - name: web
    repository: http://127.0.0.1:42485
    version: 1.1.0
  - name: web
    repository: http://127.0.0.1:42485
    version: 1.0.0
  - name: web
    repository: http://127.0.0.1:42485
    version: 2.0.0
digest: sha256:529a07bcb4f64006eccbbe0beb84e001c3528aa147e27dc498da5fb67111bbec
generated: "2026-11-20T19:18:31.108634Z"
`
	r := &Repository{Name: "r", URL: "http://127.0.0.1:42485"}
	o := &Repository{Name: "o", URL: "127.0.0.1:41273/charts", OCI: true}
	pin := func(namespace, release string, repo *Repository, name, constraint, version string) Pin {
		return Pin{Namespace: namespace, Release: release, Version: version,
			Ref: Ref{Chart: repo.Name + "/" + name, Repository: repo, Version: constraint}}
	}
	pins := []Pin{
		pin("apps", "web", r, "web", "^1.0.0", "1.1.0"),
		pin("", "web2", r, "web", "1.0.0", "1.0.0"),
		pin("x", "web3", r, "web", "^1.0.0", "1.1.0"),
		pin("apps", "ocidb", o, "db", ">=2.0.0", "2.1.0"),
		pin("apps", "deep", o, "deep_er/db", "~2.0", "2.0.0"),
		pin("apps", "off", r, "web", "2.0.0", "2.0.0"),
		pin("apps", "cond", r, "web", "^2", "2.0.0"),
	}
	now := time.Date(2026, 11, 20, 19, 18, 31, 108634000, time.UTC)
	text, entries, err := StateLock(pins, nil, now)
	require.NoError(t, err)
	require.Equal(t, 5, entries)
	require.Equal(t, recorded, strings.Replace(string(text), "version: 1.7.2", "version: v1.7.2", 1))

	t.Run("one that holds is left", func(t *testing.T) {
		text, _, err := StateLock(pins, []byte(recorded), now.Add(time.Hour))
		require.NoError(t, err)
		require.Equal(t, recorded, string(text))
	})
	t.Run("one of another constraint is made anew", func(t *testing.T) {
		changed := append([]Pin{pin("apps", "web", r, "web", "~1.1", "1.1.0")}, pins[1:]...)
		text, _, err := StateLock(changed, []byte(recorded), now.Add(time.Hour))
		require.NoError(t, err)
		require.NotContains(t, string(text), "529a07bcb4f64006eccbbe0beb84e001c3528aa147e27dc498da5fb67111bbec")
		require.Contains(t, string(text), "2026-11-20T20:18:31")
	})
	t.Run("what is no lock is made anew", func(t *testing.T) {
		for _, old := range []string{"", "[", "- a", "version: 1"} {
			again, _, err := StateLock(pins, []byte(old), now)
			require.NoError(t, err)
			require.Equal(t, string(text), string(again))
		}
	})
}

// The digest is over what the files ask for: without a version that is *, and the alias of a release without a namespace begins with -.
func TestStateLockOfOneChart(t *testing.T) {
	t.Parallel()
	r := &Repository{Name: "r", URL: "http://127.0.0.1:42485"}
	text, _, err := StateLock([]Pin{
		{Namespace: "apps", Release: "web", Ref: Ref{Chart: "r/web", Repository: r, Version: "^1.0.0"}, Version: "1.1.0"},
		{Release: "web2", Ref: Ref{Chart: "r/web", Repository: r}, Version: "2.0.0"},
	}, nil, time.Now())
	require.NoError(t, err)
	require.Contains(t, string(text), "digest: sha256:8a4e8028b4fc13a9390145f036ba608763604a7908f06b52f228e334069ca009\n")
}
