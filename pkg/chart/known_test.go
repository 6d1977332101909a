package chart_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/redkubes/otomi/pkg/chart"
	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/source"
	"github.com/stretchr/testify/require"
	helmchart "helm.sh/helm/v3/pkg/chart"
)

// scripted is a network by functions.
type scripted struct {
	resolve func(chart.Ref) chart.Resolved
	fetch   func(chart.Ref, chart.Resolved) chart.Fetched
}

func (s scripted) Resolve(_ context.Context, r chart.Ref) (chart.Resolved, diag.Diagnostics, error) {
	return s.resolve(r), nil, nil
}

func (s scripted) Fetch(_ context.Context, r chart.Ref, to chart.Resolved) (chart.Fetched, diag.Diagnostics, error) {
	return s.fetch(r, to), nil, nil
}

// One cluster's repositories were taken for those of all: whichever was evaluated first named what @NAME means.
func TestAnAliasMeansTheRepositoryOfItsCluster(t *testing.T) {
	t.Parallel()
	pack := func(version string) []byte {
		return tgz(t, entry{name: "web/Chart.yaml", text: meta("web", version)})
	}
	net := scripted{
		resolve: func(r chart.Ref) chart.Resolved {
			version := "1.0.0"
			if strings.Contains(r.Repository.URL, "two") {
				version = "2.0.0"
			}
			return chart.Resolved{Name: "web", Version: version, URL: r.Repository.URL + "/web.tgz"}
		},
		fetch: func(_ chart.Ref, to chart.Resolved) chart.Fetched { return chart.Fetched{Archive: pack(to.Version)} },
	}
	files := map[string]string{
		"charts/app/Chart.yaml":  meta("app", "1.0.0") + "dependencies:\n- {name: near, version: '*', repository: 'file://../near'}\n",
		"charts/near/Chart.yaml": meta("near", "1.0.0") + "dependencies:\n- {name: web, version: '>=1', repository: '@remote'}\n",
		"charts/bare/Chart.yaml": meta("bare", "1.0.0"),
	}
	at := func(name, of string) chart.Ref {
		known := []chart.Repository{{Name: "remote", URL: "https://" + of + ".example.com"}}
		return chart.Ref{Chart: "../charts/" + name, Base: "runlevels", Known: known}
	}
	s := chart.NewStore(chart.Options{Stack: stack(files), Network: net})
	l := lockOf(t, s, chart.LockOptions{}, at("app", "one"), at("app", "two"))
	require.Equal(t, []string{"web >=1 = 1.0.0", "web >=1 = 2.0.0"}, versions(l))
	s = chart.NewStore(chart.Options{Stack: stack(files), Network: net, Lock: l})
	var wg sync.WaitGroup
	var got [8]*chart.Chart
	for i := range got {
		wg.Go(func() { got[i], _, _ = s.Load(t.Context(), at("app", []string{"one", "two"}[i%2])) })
	}
	wg.Wait()
	for i, c := range got {
		require.NotNil(t, c)
		text, _ := c.File("charts/near/charts/web/Chart.yaml")
		require.Contains(t, string(text), fmt.Sprintf("version: %d.0.0", i%2+1))
		require.Same(t, got[i%2], c, "each is loaded once")
	}
	one, _, err := s.Load(t.Context(), at("bare", "one"))
	require.NoError(t, err)
	two, _, err := s.Load(t.Context(), at("bare", "two"))
	require.NoError(t, err)
	require.Same(t, one, two, "what depends on no repository is loaded once")
}

// Two addresses that differ in their query alone were one download, and the second was locked as the first.
func TestAddressesThatDifferInTheirQueryAreTwoCharts(t *testing.T) {
	t.Parallel()
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Write(tgz(t, entry{name: "web/Chart.yaml", text: meta("web", r.URL.Query().Get("v"))}))
	}))
	defer server.Close()
	remote := chart.NewRemote(chart.RemoteOptions{Allow: func(string) bool { return true }, SkipTLSVerify: true})
	l := lockOf(t, chart.NewStore(chart.Options{Stack: stack(nil), Network: remote}), chart.LockOptions{},
		chart.Ref{Chart: server.URL + "/web.tgz?v=1.0.0"}, chart.Ref{Chart: server.URL + "/web.tgz?v=2.0.0"})
	got := map[string]bool{}
	for _, e := range l.Entries {
		got[e.Version] = true
	}
	require.Equal(t, map[string]bool{"1.0.0": true, "2.0.0": true}, got)
}

// A chart of git and its neighbour were of two commits, where the branch moved between two questions.
func TestANeighbourInGitIsOfTheSameCommit(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	asked := 0
	net := scripted{
		resolve: func(r chart.Ref) chart.Resolved {
			mu.Lock()
			defer mu.Unlock()
			asked++
			return chart.Resolved{Name: "g", URL: chart.KeyOf(r).Chart, Commit: strings.Repeat(fmt.Sprint(asked), 40)}
		},
		fetch: func(r chart.Ref, to chart.Resolved) chart.Fetched {
			text := meta("web", "1.0.0") + "dependencies:\n- {name: lib, version: '*', repository: 'file://../lib'}\n"
			if strings.Contains(r.Chart, "//lib") {
				text = meta("lib", "1.0.0")
			}
			return chart.Fetched{Files: []chart.File{{Name: "Chart.yaml", Data: []byte(text)}, {Name: "commit", Data: []byte(to.Commit)}}}
		},
	}
	web, lib := chart.Ref{Chart: "git+https://h.example.com/r//web@main"}, chart.Ref{Chart: "git+https://h.example.com/r//lib@main"}
	commits := func(l *chart.Lock) (out []string) {
		for _, e := range l.Entries {
			out = append(out, e.Name+" "+e.Commit[:1])
		}
		return out
	}
	l := lockOf(t, chart.NewStore(chart.Options{Stack: stack(nil), Network: net}), chart.LockOptions{}, web)
	require.Equal(t, []string{"lib 1", "web 1"}, commits(l))
	// The neighbour follows where the chart alone is updated, also where a release names it.
	update := chart.LockOptions{Update: true, Names: []string{"web"}}
	l = lockOf(t, chart.NewStore(chart.Options{Stack: stack(nil), Network: net, Lock: l}), update, lib, web)
	require.Equal(t, []string{"lib 2", "web 2"}, commits(l))
	require.Empty(t, lockOf(t, chart.NewStore(chart.Options{Stack: stack(nil), Network: net, Lock: l}), chart.LockOptions{}, web).Diff(l))
}

// The entry of one dependency was taken for another one of the same chart: the last that fits won.
func TestHelmsLockOfOneChartTwiceIsReadInItsOrder(t *testing.T) {
	t.Parallel()
	needs := "dependencies:\n- {name: redis, alias: new, version: '>=3.0', repository: 'https://charts.example.com/stable'}\n" +
		"- {name: redis, alias: old, version: '3.0.x', repository: 'https://charts.example.com/stable'}\n"
	asked := []*helmchart.Dependency{
		{Name: "redis", Alias: "new", Version: ">=3.0", Repository: "https://charts.example.com/stable"},
		{Name: "redis", Alias: "old", Version: "3.0.x", Repository: "https://charts.example.com/stable"},
	}
	for _, order := range [][]string{{"3.1.0", "3.0.0"}, {"3.0.0", "3.1.0"}} {
		var locked []*helmchart.Dependency
		text := "dependencies:\n"
		for _, v := range order {
			locked = append(locked, &helmchart.Dependency{Name: "redis", Version: v, Repository: "https://charts.example.com/stable"})
			text += "- {name: redis, version: " + v + ", repository: 'https://charts.example.com/stable'}\n"
		}
		both, err := json.Marshal([2][]*helmchart.Dependency{asked, locked})
		require.NoError(t, err)
		h := sha256.Sum256(both)
		text += "digest: sha256:" + hex.EncodeToString(h[:]) + "\ngenerated: \"2026-01-01T00:00:00Z\"\n"
		files := map[string]string{"charts/web/Chart.yaml": meta("web", "1.0.0") + needs, "charts/web/Chart.lock": text}
		c, ds, err := chart.NewStore(chart.Options{Stack: stack(files), Network: newWorld(t)}).Load(t.Context(), chart.Ref{Chart: "web"})
		require.NoError(t, err)
		require.Empty(t, ds)
		loaded, err := load(c.Files)
		require.NoError(t, err)
		if order[0] == "3.1.0" {
			require.ElementsMatch(t, []string{"redis-3.1.0", "redis-3.0.0"}, dependencies(loaded))
		} else {
			// Sorted by somebody: the first dependency takes what is in its place, which fits, and nothing is left for the other.
			require.Contains(t, dependencies(loaded), "redis-3.0.0")
		}
	}
}

type denied struct{ fstest.MapFS }

func (d denied) ReadDir(name string) ([]fs.DirEntry, error) {
	if name == chart.VendorDir {
		return nil, fs.ErrPermission
	}
	return d.MapFS.ReadDir(name)
}

// vendor/charts that could not be listed was as none, and the network was asked.
func TestVendorThatCannotBeListedIsAnError(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	l := lockOf(t, chart.NewStore(chart.Options{Stack: stack(nil), Network: w}), chart.LockOptions{}, nginx("1.x"))
	w.asks()
	files := source.Tree{FS: denied{fstest.MapFS{chart.VendorDir + "/x": {}}}}
	_, _, err := chart.NewStore(chart.Options{Stack: stack(nil), Network: w, Lock: l, Files: files}).Load(t.Context(), nginx("1.x"))
	require.ErrorIs(t, err, fs.ErrPermission)
	require.Empty(t, w.asks())
}

// A link to nothing was as no charts.lock, and nothing was pinned.
func TestALockThatIsALinkToNothingIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, os.Symlink("nowhere", filepath.Join(dir, chart.LockFile)))
	root, err := os.OpenRoot(dir)
	require.NoError(t, err)
	defer root.Close()
	_, ds, err := chart.ReadLock(source.Tree{FS: root.FS()})
	require.NoError(t, err)
	require.Len(t, ds, 1)
	require.Equal(t, diag.ChartLockInvalid, ds[0].Code)
}

// Five kilobytes of archive became half a gigabyte when Helm's loader read their values.
func TestValuesOfTooManyItemsAreRefused(t *testing.T) {
	t.Parallel()
	of := func(n int) source.Tree {
		body := "a: [" + strings.Repeat("[],", n) + "]"
		entries := []entry{{name: "web/Chart.yaml", text: meta("web", "1.0.0")}, {name: "web/values.yaml", text: body}}
		for i := range 3 {
			dir := fmt.Sprintf("web/charts/s%d/", i)
			entries = append(entries, entry{name: dir + "Chart.yaml", text: meta(fmt.Sprintf("s%d", i), "1.0.0")}, entry{name: dir + "values.yaml", text: body})
		}
		return stack(map[string]string{"charts/web.tgz": string(tgz(t, entries...))})
	}
	c, ds, err := chart.NewStore(chart.Options{Stack: of(10_000)}).Load(t.Context(), chart.Ref{Chart: "charts/web.tgz"})
	require.NoError(t, err)
	require.Empty(t, ds)
	require.NotNil(t, c)
	_, ds, err = chart.NewStore(chart.Options{Stack: of(100_000)}).Load(t.Context(), chart.Ref{Chart: "charts/web.tgz"})
	require.NoError(t, err)
	require.Len(t, ds, 1)
	require.Equal(t, diag.ChartBudget, ds[0].Code)
	require.Contains(t, ds[0].Detail, "500000 keys and items")
}
