package chart_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/Masterminds/semver/v3"
	"github.com/redkubes/otomi/pkg/chart"
	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/source"
	"github.com/stretchr/testify/require"
)

// world is a network of charts by name and version, or by the address of git.
type world struct {
	mu sync.Mutex
	// archives are by name, then version.
	archives map[string]map[string][]byte
	git      map[string][]chart.File
	// claims hides the digests that an index has.
	silent bool
	asked  []string
	refs   []chart.Ref
}

func (w *world) Resolve(_ context.Context, r chart.Ref) (chart.Resolved, diag.Diagnostics, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked = append(w.asked, "resolve "+chart.KeyOf(r).String())
	w.refs = append(w.refs, r)
	key := chart.KeyOf(r)
	if _, ok := w.git[r.Chart]; ok {
		return chart.Resolved{Name: "g", URL: key.Chart, Commit: strings.Repeat("c", 40)}, nil, nil
	}
	name := key.Chart[strings.LastIndexByte(key.Chart, '/')+1:]
	constraint, err := semver.NewConstraint(orStar(key.Constraint))
	if err != nil {
		return chart.Resolved{}, nil, err
	}
	var best *semver.Version
	for v := range w.archives[name] {
		if v := semver.MustParse(v); constraint.Check(v) && (best == nil || v.GreaterThan(best)) {
			best = v
		}
	}
	if best == nil {
		return chart.Resolved{}, diag.Diagnostics{{Severity: diag.Error, Code: diag.ChartNoVersion, Detail: "no version", Range: r.Range}}, nil
	}
	out := chart.Resolved{Name: name, Version: best.String(), URL: fmt.Sprintf("https://dl.example.com/%s-%s.tgz", name, best)}
	if !w.silent {
		out.Digest = sum(w.archives[name][best.String()])
	}
	return out, nil, nil
}

func orStar(s string) string {
	if s == "" {
		return "*"
	}
	return s
}

func (w *world) Fetch(_ context.Context, r chart.Ref, to chart.Resolved) (chart.Fetched, diag.Diagnostics, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked = append(w.asked, "fetch "+to.URL)
	w.refs = append(w.refs, r)
	if files, ok := w.git[r.Chart]; ok {
		return chart.Fetched{Files: files}, nil, nil
	}
	for name, versions := range w.archives {
		if to.URL == fmt.Sprintf("https://dl.example.com/%s-%s.tgz", name, to.Version) {
			return chart.Fetched{Archive: versions[to.Version]}, nil, nil
		}
	}
	return chart.Fetched{}, nil, fmt.Errorf("nothing at %s", to.URL)
}

func (w *world) asks() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := w.asked
	w.asked = nil
	return out
}

func sum(data []byte) string {
	h := sha256.Sum256(data)
	return hex.EncodeToString(h[:])
}

// shelf is a cache in memory.
type shelf struct {
	mu   sync.Mutex
	kept map[string][]byte
}

func (s *shelf) Get(key string) ([]byte, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	data, ok := s.kept[key]
	return data, ok
}

func (s *shelf) Put(key string, data []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.kept == nil {
		s.kept = map[string][]byte{}
	}
	s.kept[key] = data
	return nil
}

var stable = &chart.Repository{Name: "stable", URL: "https://me:hunter2@Charts.example.com/stable/", Username: "me", Password: "hunter2"}

func nginx(version string) chart.Ref {
	return chart.Ref{Chart: "stable/nginx", Version: version, Repository: stable, Range: diag.Range{File: "50.yaml", Start: diag.Pos{Line: 3, Column: 5}}}
}

func newWorld(t testing.TB) *world {
	pack := func(name, version string) []byte {
		return tgz(t, entry{name: name + "/Chart.yaml", text: meta(name, version)}, entry{name: name + "/templates/x.yaml", text: "a: b"})
	}
	return &world{
		archives: map[string]map[string][]byte{
			"nginx": {"1.0.0": pack("nginx", "1.0.0"), "1.1.0": pack("nginx", "1.1.0"), "2.0.0": pack("nginx", "2.0.0")},
			"redis": {"3.0.0": pack("redis", "3.0.0"), "3.1.0": pack("redis", "3.1.0")},
		},
		git: map[string][]chart.File{
			"git+https://git.example.com/r//charts/g@v1": {
				{Name: ".helmignore", Data: []byte("notes/\n")},
				{Name: "Chart.yaml", Data: []byte("\xEF\xBB\xBF\xEF\xBB\xBF"[3:] + meta("g", "0.1.0") + "dependencies:\n- {name: h, version: 0.x, repository: 'file://../h'}\n- {name: redis, version: 3.0.x, repository: 'https://charts.example.com/stable'}\n")},
				{Name: "crds/a-b.yaml", Data: []byte("x: y")},
				{Name: "crds/a/b.yaml", Data: []byte("x: y")},
				{Name: "notes/secret", Data: []byte("x")},
				{Name: "templates/g.yaml", Data: []byte("a: b")},
			},
			"git+https://git.example.com/r//charts/h@v1": {{Name: "Chart.yaml", Data: []byte(meta("h", "0.2.0"))}, {Name: "templates/h.yaml", Data: []byte("a: b")}},
		},
	}
}

var gitRef = chart.Ref{Chart: "git+https://git.example.com/r//charts/g@v1"}

// lockOf locks references and fails on any diagnostic.
func lockOf(t testing.TB, s *chart.Store, o chart.LockOptions, refs ...chart.Ref) *chart.Lock {
	t.Helper()
	l, ds, err := s.Lock(t.Context(), refs, o)
	require.NoError(t, err)
	require.Empty(t, ds)
	return l
}

func versions(l *chart.Lock) []string {
	var out []string
	for _, e := range l.Entries {
		out = append(out, e.Chart+" "+e.Constraint+" = "+e.Version)
	}
	return out
}

func TestLockNamesAllThatComesFromElsewhere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	files := map[string]string{
		"charts/web/Chart.yaml":  meta("web", "1.0.0") + "dependencies:\n- {name: near, version: 1.x, repository: 'file://../near'}\n- {name: nginx, version: 2.x, repository: '@stable'}\n",
		"charts/near/Chart.yaml": meta("near", "1.0.0") + "dependencies:\n- {name: redis, version: 3.x, repository: 'oci://r.example.com/charts'}\n",
	}
	s := chart.NewStore(chart.Options{Stack: stack(files), Network: w})
	known := []chart.Repository{*stable}
	refs := []chart.Ref{
		{Chart: "../charts/web", Base: "runlevels", Known: known}, nginx("~1.0"), nginx("~1.0"), {Chart: gitRef.Chart, Known: known},
	}
	l := lockOf(t, s, chart.LockOptions{}, refs...)
	text := string(l.Marshal())
	g := l.Entries[0]
	require.Equal(t, strings.Repeat("c", 40), g.Commit)
	want := fmt.Sprintf(`formatVersion: 1
charts:
- chart: "git+https://git.example.com/r//charts/g@v1"
  name: "g"
  version: "0.1.0"
  url: "git+https://git.example.com/r//charts/g"
  sha256: "%s"
  commit: "%s"
- chart: "git+https://git.example.com/r//charts/h@v1"
  name: "h"
  version: "0.2.0"
  url: "git+https://git.example.com/r//charts/h"
  sha256: "%s"
  commit: "%[2]s"
- chart: "oci://r.example.com/charts/redis"
  constraint: "3.x"
  name: "redis"
  version: "3.1.0"
  url: "https://dl.example.com/redis-3.1.0.tgz"
  sha256: "%[4]s"
- chart: "nginx"
  repository: "https://charts.example.com/stable"
  constraint: "2.x"
  name: "nginx"
  version: "2.0.0"
  url: "https://dl.example.com/nginx-2.0.0.tgz"
  sha256: "%[5]s"
- chart: "nginx"
  repository: "https://charts.example.com/stable"
  constraint: "~1.0"
  name: "nginx"
  version: "1.0.0"
  url: "https://dl.example.com/nginx-1.0.0.tgz"
  sha256: "%[6]s"
- chart: "redis"
  repository: "https://charts.example.com/stable"
  constraint: "3.0.x"
  name: "redis"
  version: "3.0.0"
  url: "https://dl.example.com/redis-3.0.0.tgz"
  sha256: "%[7]s"
`, g.SHA256, g.Commit, l.Entries[1].SHA256, sum(w.archives["redis"]["3.1.0"]), sum(w.archives["nginx"]["2.0.0"]),
		sum(w.archives["nginx"]["1.0.0"]), sum(w.archives["redis"]["3.0.0"]))
	_, body, _ := strings.Cut(text, "formatVersion")
	require.Equal(t, want, "formatVersion"+body)
	require.NotContains(t, text, "hunter2")

	slices.Reverse(refs)
	require.Equal(t, text, string(lockOf(t, s, chart.LockOptions{}, refs...).Marshal()), "the order of the references changes nothing")
	for _, r := range w.refs {
		if r.Repository != nil && strings.Contains(r.Repository.URL, "harts.example.com") {
			require.Equal(t, "hunter2", r.Repository.Password, "a dependency is asked for with the credentials of the repository that is known")
		}
	}

	// Read back, it is the same; and so is what loads.
	read, ds, err := chart.ReadLock(source.Tree{FS: stack(map[string]string{"charts.lock": text}).FS})
	require.NoError(t, err)
	require.Empty(t, ds)
	require.Equal(t, text, string(read.Marshal()))
	require.Empty(t, l.Diff(read))
	w.asks()
	s = chart.NewStore(chart.Options{Stack: stack(files), Network: w, Lock: read})
	for _, r := range refs {
		c, ds, err := s.Load(t.Context(), r)
		require.NoError(t, err)
		require.Empty(t, ds)
		require.NotNil(t, c)
	}
	for _, asked := range w.asks() {
		require.Contains(t, asked, "fetch", "what is locked is not resolved again")
	}
}

// What is locked stays, unless an update asks for more.
func TestLockKeepsWhatFits(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	at := func(old *chart.Lock) *chart.Store {
		return chart.NewStore(chart.Options{Stack: stack(nil), Network: w, Lock: old})
	}
	redis := chart.Ref{Chart: "oci://r.example.com/charts/redis", Version: "3.x"}
	two, three := w.archives["nginx"]["2.0.0"], w.archives["redis"]["3.1.0"]
	delete(w.archives["nginx"], "2.0.0")
	delete(w.archives["redis"], "3.1.0")
	old := lockOf(t, at(nil), chart.LockOptions{}, nginx(">=1"), redis)
	require.Equal(t, []string{"oci://r.example.com/charts/redis 3.x = 3.0.0", "nginx >=1 = 1.1.0"}, versions(old))
	w.archives["nginx"]["2.0.0"], w.archives["redis"]["3.1.0"] = two, three
	w.asks()

	same := lockOf(t, at(old), chart.LockOptions{}, nginx(">=1"), redis)
	require.Equal(t, string(old.Marshal()), string(same.Marshal()))
	require.Empty(t, w.asks(), "nothing is asked of the network where nothing is new")

	changed := lockOf(t, at(old), chart.LockOptions{}, nginx("1.x"), redis)
	require.Equal(t, []string{"oci://r.example.com/charts/redis 3.x = 3.0.0", "nginx 1.x = 1.1.0"}, versions(changed), "a constraint that still fits changes no version")
	require.Len(t, old.Diff(changed), 2)

	unfit := lockOf(t, at(old), chart.LockOptions{}, nginx("2.x"), redis)
	require.Equal(t, []string{"oci://r.example.com/charts/redis 3.x = 3.0.0", "nginx 2.x = 2.0.0"}, versions(unfit))

	added := lockOf(t, at(old), chart.LockOptions{}, nginx(">=1"), nginx(""), redis)
	require.Equal(t, []string{"oci://r.example.com/charts/redis 3.x = 3.0.0", "nginx  = 2.0.0", "nginx >=1 = 1.1.0"}, versions(added), "a new reference is no change of another")

	one := lockOf(t, at(old), chart.LockOptions{Update: true, Names: []string{"nginx"}}, nginx(">=1"), redis)
	require.Equal(t, []string{"oci://r.example.com/charts/redis 3.x = 3.0.0", "nginx >=1 = 2.0.0"}, versions(one))
	changes := old.Diff(one)
	require.Len(t, changes, 1)
	require.Equal(t, "1.1.0", changes[0].Old.Version)
	require.Equal(t, "2.0.0", changes[0].New.Version)

	all := lockOf(t, at(old), chart.LockOptions{Update: true}, nginx(">=1"), redis)
	require.Equal(t, []string{"oci://r.example.com/charts/redis 3.x = 3.1.0", "nginx >=1 = 2.0.0"}, versions(all))

	require.Equal(t, []string{"nginx >=1 = 1.1.0"}, versions(lockOf(t, at(old), chart.LockOptions{}, nginx(">=1"))), "what nobody asks for is dropped")

	_, ds, err := at(old).Lock(t.Context(), []chart.Ref{nginx(">=1"), redis}, chart.LockOptions{Update: true, Names: []string{"nginks"}})
	require.NoError(t, err)
	require.Len(t, ds, 1)
	require.Contains(t, ds[0].Detail, `Did you mean "nginx"?`)

	l, ds, err := at(old).Lock(t.Context(), []chart.Ref{nginx("9.x"), redis, {Chart: "gone"}}, chart.LockOptions{})
	require.NoError(t, err)
	require.Nil(t, l)
	require.Len(t, ds, 2, "all that can't be found is said at once")

	offline := chart.NewStore(chart.Options{Stack: stack(nil), Lock: old})
	require.Equal(t, string(old.Marshal()), string(lockOf(t, offline, chart.LockOptions{}, nginx(">=1"), redis).Marshal()))
}

func TestReadLockReports(t *testing.T) {
	t.Parallel()
	digest := strings.Repeat("a", 64)
	fine := "formatVersion: 1\ncharts:\n- chart: nginx\n  repository: https://charts.example.com\n  name: nginx\n  version: 1.0.0\n  url: https://dl.example.com/x.tgz\n  sha256: " + digest + "\n"
	tests := []struct{ what, text, at, detail string }{
		{"syntax", "charts: [", "charts.lock:1:1", ""},
		{"conflict", "formatVersion: 1\n<<<<<<< HEAD\ncharts: []\n", "charts.lock:2:1", ""},
		{"empty", "", "charts.lock:1:1", "formatVersion is not 1"},
		{"newer", "formatVersion: 2\ncharts: []\n", "charts.lock:1:16", "formatVersion is not 1"},
		{"no list", "formatVersion: 1\ncharts: {}\n", "charts.lock", "no list"},
		{"unknown key", fine + "more: 1\n", "charts.lock:9:1", `no key "more"`},
		{"unknown key of an entry", fine + "  digest: x\n", "charts.lock:9:3", `no key "digest"`},
		{"text for an entry", "formatVersion: 1\ncharts: [x]\n", "charts.lock:2:10", "is a map"},
		{"short digest", strings.Replace(fine, digest, "abc", 1), "charts.lock:8:11", `"abc" is no sha256`},
		{"number", strings.Replace(fine, "version: 1.0.0", "version: 1.0", 1), "charts.lock:6:12", "version is a string"},
		{"path for a name", strings.Replace(fine, "name: nginx", "name: ../../x", 1), "charts.lock:5:9", `no name`},
		{"path for a version", strings.Replace(fine, "version: 1.0.0", "version: ../1", 1), "charts.lock:6:12", `no version`},
		{"credentials", strings.Replace(fine, "https://dl", "https://me:you@dl", 1), "charts.lock:7:8", `no url`},
		{"no digest", strings.Replace(fine, "  sha256: "+digest+"\n", "", 1), "charts.lock:3:3", "no sha256"},
		{"commit", fine + "  commit: main\n", "charts.lock:9:11", "no commit"},
		{"manifest", fine + "  manifest: latest\n", "charts.lock:9:13", "no manifest"},
		{"line", strings.Replace(fine, "chart: nginx", `chart: "a\nb"`, 1), "charts.lock:3:10", "no chart"},
		{"twice", fine + strings.TrimPrefix(fine, "formatVersion: 1\ncharts:\n"), "charts.lock:9:3", "locked twice"},
		{"large", "# " + strings.Repeat("x", 4<<20), "charts.lock", "more than 4 MiB"},
	}
	for _, tt := range tests {
		t.Run(tt.what, func(t *testing.T) {
			t.Parallel()
			_, ds, err := chart.ReadLock(stackAt("", map[string]string{"charts.lock": tt.text}))
			require.NoError(t, err)
			require.NotEmpty(t, ds)
			require.Equal(t, tt.at, ds[0].Range.String(), ds[0].Detail)
			require.Contains(t, ds[0].Detail, tt.detail)
		})
	}
	l, ds, err := chart.ReadLock(stackAt("", map[string]string{"charts.lock": fine}))
	require.NoError(t, err)
	require.Empty(t, ds)
	require.Len(t, l.Entries, 1)
	require.Equal(t, "charts.lock:3:3", l.Entries[0].Range.String())
	l, ds, err = chart.ReadLock(stackAt("", nil))
	require.NoError(t, err)
	require.Empty(t, ds)
	require.Nil(t, l)
}

func stackAt(prefix string, files map[string]string) source.Tree {
	tree := stack(files)
	tree.Prefix = prefix
	return tree
}

// Every text comes back as it was, whatever YAML makes of it without quotes.
func TestLockQuotes(t *testing.T) {
	t.Parallel()
	for _, constraint := range []string{"1.2", "yes", "~1.2", ">=1 <2 || 3", `a"b\c`, "*", "1e3", "0x1", "12:30", "null", "2024-01-01", "# x", "1.2.3", "latest", "é"} {
		l := &chart.Lock{Entries: []chart.Entry{{Key: chart.Key{Chart: "x", Constraint: constraint}, Name: "x", Version: "1.0.0+build.1",
			URL: "oci://h.example.com:5000/p/x:1.0.0", SHA256: strings.Repeat("0", 64), Manifest: "sha256:" + strings.Repeat("1", 64)}}}
		read, ds, err := chart.ReadLock(stackAt("", map[string]string{"charts.lock": string(l.Marshal())}))
		require.NoError(t, err)
		require.Empty(t, ds, "%s\n%s", constraint, l.Marshal())
		require.Empty(t, l.Diff(read), string(l.Marshal()))
	}
	empty, ds, err := chart.ReadLock(stackAt("", map[string]string{"charts.lock": string((&chart.Lock{}).Marshal())}))
	require.NoError(t, err)
	require.Empty(t, ds)
	require.Empty(t, empty.Entries)
}

func TestLoadOfWhatIsLocked(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ref := nginx("1.x")
	l := lockOf(t, chart.NewStore(chart.Options{Stack: stack(nil), Network: w}), chart.LockOptions{}, ref)
	w.asks()
	cache := &shelf{}
	store := func(o chart.Options) *chart.Store {
		o.Stack, o.Lock = stack(nil), l
		return chart.NewStore(o)
	}
	refused := func(s *chart.Store, r chart.Ref) diag.Diagnostic {
		t.Helper()
		c, ds, err := s.Load(t.Context(), r)
		require.NoError(t, err)
		require.Nil(t, c)
		require.Len(t, ds, 1)
		return ds[0]
	}
	d := refused(store(chart.Options{Cache: cache}), ref)
	require.Equal(t, diag.ChartNotFetched, d.Code)
	require.Contains(t, d.Detail, "neither vendor/charts nor the cache")
	require.Contains(t, d.Detail, "otomi charts lock")
	require.Contains(t, d.Detail, "--allow net=charts.example.com")
	require.Equal(t, "50.yaml:3:5", d.Range.String())
	d = refused(store(chart.Options{Network: w}), nginx("2.x"))
	require.Equal(t, diag.ChartNotLocked, d.Code)
	require.Contains(t, d.Detail, "otomi charts lock")
	require.Empty(t, w.asks())

	s := store(chart.Options{Network: w, Cache: cache})
	c, ds, err := s.Load(t.Context(), ref)
	require.NoError(t, err)
	require.Empty(t, ds)
	require.Equal(t, []string{"fetch https://dl.example.com/nginx-1.1.0.tgz"}, w.asks())
	require.Equal(t, "charts.example.com/stable/nginx-1.1.0.tgz", c.Display)
	require.Equal(t, "charts.example.com/stable/nginx-1.1.0.tgz/templates/x.yaml", c.Shown("templates/x.yaml"))
	require.Equal(t, chart.Origin{Source: "https://charts.example.com/stable", Version: "1.1.0", SHA256: l.Entries[0].SHA256}, c.Origin)
	again, _, err := s.Load(t.Context(), ref)
	require.NoError(t, err)
	require.Same(t, c, again)
	_, ds, err = store(chart.Options{Cache: cache}).Load(t.Context(), ref)
	require.NoError(t, err)
	require.Empty(t, ds, "the cache has it")

	// A cache that lies is a cache that has nothing.
	for key := range cache.kept {
		cache.kept[key] = w.archives["nginx"]["2.0.0"]
	}
	d = refused(store(chart.Options{Cache: cache}), ref)
	require.Equal(t, diag.ChartNotFetched, d.Code)

	// The version was published again.
	w.archives["nginx"]["1.1.0"] = tgz(t, entry{name: "nginx/Chart.yaml", text: meta("nginx", "1.1.0")}, entry{name: "nginx/templates/evil.yaml", text: "x"})
	d = refused(store(chart.Options{Network: w}), ref)
	require.Equal(t, diag.ChartDigest, d.Code)
	for _, part := range []string{l.Entries[0].SHA256, sum(w.archives["nginx"]["1.1.0"]), "published again", "otomi charts lock --update nginx"} {
		require.Contains(t, d.Detail, part)
	}
}

// Without charts.lock the network says what a reference means, once a run.
func TestLoadWithoutLock(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	cache := &shelf{}
	for _, silent := range []bool{true, false} {
		w.silent = silent
		s := chart.NewStore(chart.Options{Stack: stack(nil), Network: w, Cache: cache})
		for _, constraint := range []string{"1.x", "~1.1", "1.x"} {
			c, ds, err := s.Load(t.Context(), nginx(constraint))
			require.NoError(t, err)
			require.Empty(t, ds)
			require.Equal(t, "1.1.0", c.Version)
		}
		asked := strings.Join(w.asks(), "\n")
		require.Equal(t, 2, strings.Count(asked, "resolve"))
		if silent {
			require.Equal(t, 1, strings.Count(asked, "fetch"), "two constraints, one version: one download")
		} else {
			require.NotContains(t, asked, "fetch", "the digest is known, and the cache has it")
		}
	}
	w.archives["nginx"]["1.1.0"] = []byte("no archive")
	c, ds, err := chart.NewStore(chart.Options{Stack: stack(nil), Network: w}).Load(t.Context(), nginx("1.x"))
	require.NoError(t, err)
	require.Nil(t, c)
	require.Len(t, ds, 1)
	require.Equal(t, "charts.example.com/stable/nginx-1.1.0.tgz", ds[0].Range.String())
}

func TestChartsOfGit(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	l := lockOf(t, chart.NewStore(chart.Options{Stack: stack(nil), Network: w}), chart.LockOptions{}, gitRef)
	require.Len(t, l.Entries, 3)
	s := chart.NewStore(chart.Options{Stack: stack(nil), Network: w, Lock: l})
	c, ds, err := s.Load(t.Context(), gitRef)
	require.NoError(t, err)
	require.Empty(t, ds)
	require.Equal(t, []string{".helmignore", "Chart.yaml", "crds/a/b.yaml", "crds/a-b.yaml", "templates/g.yaml",
		"charts/h/Chart.yaml", "charts/h/templates/h.yaml", "charts/redis/Chart.yaml", "charts/redis/templates/x.yaml"}, names(c.Files),
		"as Helm would read the directory: without what is ignored, in the order of its walk, with its dependencies")
	require.Equal(t, "git.example.com/r//charts/g@v1/templates/g.yaml", c.Shown("templates/g.yaml"))
	require.Equal(t, "git.example.com/r//charts/h@v1/templates/h.yaml", c.Shown("charts/h/templates/h.yaml"))
	require.Equal(t, strings.Repeat("c", 40), c.Origin.Commit)

	// Vendored, it is the same chart.
	dir := t.TempDir()
	_, ds, err = s.Vendor(t.Context(), dir, nil)
	require.NoError(t, err)
	require.Empty(t, ds)
	again, ds, err := chart.NewStore(chart.Options{Stack: stack(nil), Files: source.Tree{FS: os.DirFS(dir)}, Lock: l}).Load(t.Context(), gitRef)
	require.NoError(t, err)
	require.Empty(t, ds)
	require.Equal(t, c, again)

	// A file that is ignored changes nothing, another does.
	files := w.git[gitRef.Chart]
	files[4].Data = []byte("other")
	_, ds, err = chart.NewStore(chart.Options{Stack: stack(nil), Network: w, Lock: l}).Load(t.Context(), gitRef)
	require.NoError(t, err)
	require.Empty(t, ds)
	files[5].Data = []byte("other")
	_, ds, err = chart.NewStore(chart.Options{Stack: stack(nil), Network: w, Lock: l}).Load(t.Context(), gitRef)
	require.NoError(t, err)
	require.Len(t, ds, 1)
	require.Equal(t, diag.ChartDigest, ds[0].Code)
}

// Chart.lock of a chart of the stack says the exact version, and is looked at as helm dependency build does.
func TestHelmsOwnLockIsObeyed(t *testing.T) {
	t.Parallel()
	const needs = "dependencies:\n- name: redis\n  version: 3.x\n  repository: https://charts.example.com/stable\n"
	// helm dependency update of Helm 3.22 wrote this digest for these dependencies.
	digest := func(lock string) string {
		h := sha256.Sum256([]byte(`[[{"name":"redis","version":"3.x","repository":"https://charts.example.com/stable"}],` + lock + `]`))
		return "sha256:" + hex.EncodeToString(h[:])
	}
	locked := `[{"name":"redis","version":"3.0.0","repository":"https://charts.example.com/stable"}]`
	files := map[string]string{
		"charts/web/Chart.yaml": meta("web", "1.0.0") + needs,
		"charts/web/Chart.lock": "dependencies:\n- name: redis\n  version: 3.0.0\n  repository: https://charts.example.com/stable\ndigest: " + digest(locked) + "\ngenerated: \"2024-01-01T00:00:00Z\"\n",
	}
	w := newWorld(t)
	c, ds, err := chart.NewStore(chart.Options{Stack: stack(files), Network: w}).Load(t.Context(), chart.Ref{Chart: "web"})
	require.NoError(t, err)
	require.Empty(t, ds)
	loaded, err := load(c.Files)
	require.NoError(t, err)
	require.Equal(t, []string{"redis-3.0.0"}, dependencies(loaded))
	l := lockOf(t, chart.NewStore(chart.Options{Stack: stack(files), Network: w}), chart.LockOptions{}, chart.Ref{Chart: "web"})
	require.Equal(t, []string{"redis 3.0.0 = 3.0.0"}, versions(l))

	files["charts/web/Chart.yaml"] = strings.Replace(files["charts/web/Chart.yaml"], "3.x", "^3", 1)
	_, ds, err = chart.NewStore(chart.Options{Stack: stack(files), Network: w}).Load(t.Context(), chart.Ref{Chart: "web"})
	require.NoError(t, err)
	require.Len(t, ds, 1)
	require.Equal(t, "builtin:charts/web/Chart.lock", ds[0].Range.String())
}

// Digests that Helm itself wrote, out of the charts of its own tests: by Helm 2 (issue 7233) and by Helm 3.
func TestLocksThatHelmWroteAreInSync(t *testing.T) {
	t.Parallel()
	files := map[string]string{
		"charts/two/Chart.yaml":        "apiVersion: v1\nname: two\nversion: 0.1.0\n",
		"charts/two/requirements.yaml": "dependencies:\n- name: alpine\n  version: 0.1.0\n  repository: file://../alpine\n",
		"charts/two/requirements.lock": "dependencies:\n- name: alpine\n  repository: file://../alpine\n  version: 0.1.0\n" +
			"digest: sha256:7b380b1a826e7be1eecb089f66209d6d3df54be4bf879d4a8e6f8a9e871710e5\ngenerated: \"2020-01-31T11:30:21.911547651Z\"\n",
		"charts/alpine/Chart.yaml": meta("alpine", "0.1.0"),
		"charts/three/Chart.yaml": meta("three", "0.1.0") + "dependencies:\n" +
			"- {name: dev, repository: 'file://envs/dev', version: '>= 0.0.1', condition: 'dev.enabled,global.dev.enabled', tags: [dev], import-values: [data]}\n" +
			"- {name: prod, repository: 'file://envs/prod', version: '>= 0.0.1', condition: 'prod.enabled,global.prod.enabled', tags: [prod], import-values: [data]}\n",
		"charts/three/Chart.lock": "dependencies:\n- name: dev\n  repository: file://envs/dev\n  version: v0.1.0\n- name: prod\n  repository: file://envs/prod\n  version: v0.1.0\n" +
			"digest: sha256:9403fc24f6cf9d6055820126cf7633b4bd1fed3c77e4880c674059f536346182\ngenerated: \"2020-02-03T10:38:51.180474+01:00\"\n",
		"charts/three/envs/dev/Chart.yaml":  meta("dev", "v0.1.0"),
		"charts/three/envs/prod/Chart.yaml": meta("prod", "v0.1.0"),
	}
	s := chart.NewStore(chart.Options{Stack: stack(files)})
	for _, name := range []string{"two", "three"} {
		c, ds, err := s.Load(t.Context(), chart.Ref{Chart: name})
		require.NoError(t, err)
		require.Empty(t, ds)
		require.NotNil(t, c)
	}
	files["charts/two/requirements.yaml"] = strings.Replace(files["charts/two/requirements.yaml"], "0.1.0", "0.1.x", 1)
	_, ds, err := chart.NewStore(chart.Options{Stack: stack(files)}).Load(t.Context(), chart.Ref{Chart: "two"})
	require.NoError(t, err)
	require.Len(t, ds, 1)
	require.Equal(t, "builtin:charts/two/requirements.lock", ds[0].Range.String())
}

func TestKeyOf(t *testing.T) {
	t.Parallel()
	oci := &chart.Repository{Name: "r", URL: "R.example.com/charts/", OCI: true}
	tests := []struct {
		ref  chart.Ref
		want chart.Key
	}{
		{nginx("1.x"), chart.Key{Chart: "nginx", Repository: "https://charts.example.com/stable", Constraint: "1.x"}},
		{chart.Ref{Chart: "other/nginx", Devel: true, Repository: &chart.Repository{Name: "other", URL: "https://charts.example.com/stable"}},
			chart.Key{Chart: "nginx", Repository: "https://charts.example.com/stable", Constraint: ">0.0.0-0"}},
		{chart.Ref{Chart: "r/team/x", Version: "1", Repository: oci}, chart.Key{Chart: "oci://r.example.com/charts/team/x", Constraint: "1"}},
		{chart.Ref{Chart: "oci://R.example.com/charts/team/x", Version: "1"}, chart.Key{Chart: "oci://r.example.com/charts/team/x", Constraint: "1"}},
		{chart.Ref{Chart: "https://me:you@example.com/x.tgz", Version: "1"}, chart.Key{Chart: "https://example.com/x.tgz"}},
		{chart.Ref{Chart: "https://example.com/x.tgz?token=s3cret#part"}, chart.Key{Chart: "https://example.com/x.tgz?sha256=" + sum([]byte("token=s3cret"))[:12]}},
		{chart.Ref{Chart: "git+https://me:you@example.com/x//y@v1", Version: "1"}, chart.Key{Chart: "git+https://example.com/x//y@v1"}},
	}
	for _, tt := range tests {
		require.Equal(t, tt.want, chart.KeyOf(tt.ref))
	}
}

// An index may name addresses with a token in them, which must not be written down, and is another one the next time.
func TestLockHasNoTokensOfAddresses(t *testing.T) {
	t.Parallel()
	archive := tgz(t, entry{name: "web/Chart.yaml", text: meta("web", "1.2.3")})
	var token atomic.Int32
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/index.yaml":
			fmt.Fprintf(w, "apiVersion: v1\nentries:\n  web:\n  - {apiVersion: v2, name: web, version: 1.2.3, urls: ['https://%s/web.tgz?token=s3cret%d']}\n", r.Host, token.Load())
		case r.URL.Path == "/web.tgz" && r.URL.RawQuery == fmt.Sprintf("token=s3cret%d", token.Load()):
			w.Write(archive)
		default:
			http.Error(w, "no", http.StatusForbidden)
		}
	}))
	defer server.Close()
	ref := chart.Ref{Chart: "r/web", Version: "^1", Repository: &chart.Repository{Name: "r", URL: server.URL, SkipTLSVerify: true}}
	store := func(l *chart.Lock) *chart.Store {
		remote := chart.NewRemote(chart.RemoteOptions{Allow: func(string) bool { return true }})
		return chart.NewStore(chart.Options{Stack: stack(nil), Lock: l, Network: remote})
	}
	l := lockOf(t, store(nil), chart.LockOptions{}, ref)
	require.NotContains(t, string(l.Marshal()), "s3cret")
	l, ds, err := chart.ReadLock(stackAt("", map[string]string{"charts.lock": string(l.Marshal())}))
	require.NoError(t, err)
	require.Empty(t, ds)
	token.Add(1)
	c, ds, err := store(l).Load(t.Context(), ref)
	require.NoError(t, err)
	require.Empty(t, ds)
	require.Equal(t, "1.2.3", c.Version)
}

// A chart of another registry or another path never gets them.
func TestLockRefsHaveTheCredentialsOfTheirRepository(t *testing.T) {
	t.Parallel()
	known := []chart.Repository{*stable, {Name: "r", URL: "r.example.com/team", OCI: true, Password: "oci"}}
	l := &chart.Lock{Entries: []chart.Entry{
		{Key: chart.Key{Chart: "nginx", Repository: "https://charts.example.com/stable", Constraint: "1"}},
		{Key: chart.Key{Chart: "nginx", Repository: "https://charts.example.com/other"}},
		{Key: chart.Key{Chart: "oci://r.example.com/team/sub/x", Constraint: "2"}},
		{Key: chart.Key{Chart: "oci://r.example.com/teams/x"}},
		{Key: chart.Key{Chart: "oci://r.example.com.evil.test/team/x"}},
		{Key: chart.Key{Chart: "https://charts.example.com/stable/x.tgz"}},
	}}
	want := []string{"hunter2", "", "oci", "", "", ""}
	for i, r := range l.Refs(known) {
		require.Equal(t, l.Entries[i].Key, chart.KeyOf(r))
		got := ""
		if r.Repository != nil {
			got = r.Repository.Password
		}
		require.Equal(t, want[i], got, r.Chart)
	}
}

// A network that is a nil *Remote is none.
func TestNilRemoteFetchesNothing(t *testing.T) {
	t.Parallel()
	var none *chart.Remote
	_, ds, err := chart.NewStore(chart.Options{Stack: stack(nil), Network: none}).Load(t.Context(), nginx("1"))
	require.NoError(t, err)
	require.Equal(t, diag.ChartNotFetched, ds[0].Code)
}

// The real network: locked, fetched by Remote, published again.
func TestLockAndLoadOverHTTP(t *testing.T) {
	t.Parallel()
	archive := tgz(t, entry{name: "web/Chart.yaml", text: meta("web", "1.2.3")})
	served := archive
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/charts/index.yaml":
			fmt.Fprintf(w, "apiVersion: v1\nentries:\n  web:\n  - {apiVersion: v2, name: web, version: 1.2.3, urls: [web-1.2.3.tgz], digest: %s}\n", sum(served))
		case "/charts/web-1.2.3.tgz":
			w.Write(served)
		default:
			http.NotFound(w, r)
		}
	}))
	defer server.Close()
	ref := chart.Ref{Chart: "r/web", Version: "^1", Repository: &chart.Repository{Name: "r", URL: server.URL + "/charts", SkipTLSVerify: true}}
	store := func(l *chart.Lock, cache chart.Cache) *chart.Store {
		remote := chart.NewRemote(chart.RemoteOptions{Allow: func(string) bool { return true }})
		return chart.NewStore(chart.Options{Stack: stack(nil), Lock: l, Cache: cache, Network: remote})
	}
	cache := &shelf{}
	l := lockOf(t, store(nil, cache), chart.LockOptions{}, ref)
	require.Equal(t, sum(archive), l.Entries[0].SHA256)
	for range 2 {
		c, ds, err := store(l, nil).Load(t.Context(), ref)
		require.NoError(t, err)
		require.Empty(t, ds)
		require.Equal(t, "1.2.3", c.Version)
	}
	served = tgz(t, entry{name: "web/Chart.yaml", text: meta("web", "1.2.3")}, entry{name: "web/evil", text: "x"})
	_, ds, err := store(l, nil).Load(t.Context(), ref)
	require.NoError(t, err)
	require.Len(t, ds, 1)
	require.Equal(t, diag.ChartDigest, ds[0].Code)
	require.Contains(t, ds[0].Detail, "otomi charts lock --update web")
	server.Close()
	c, ds, err := store(l, cache).Load(t.Context(), ref)
	require.NoError(t, err)
	require.Empty(t, ds)
	require.Equal(t, "1.2.3", c.Version)
}

func TestVendor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	refs := []chart.Ref{nginx("1.x"), nginx("~1.1"), {Chart: "oci://r.example.com/charts/redis", Version: "3.x"}, gitRef}
	locked := lockOf(t, chart.NewStore(chart.Options{Stack: stack(nil), Network: w}), chart.LockOptions{}, refs...)
	dir := t.TempDir()
	changed, err := chart.WriteLock(dir, locked)
	require.NoError(t, err)
	require.True(t, changed)
	changed, err = chart.WriteLock(dir, locked)
	require.NoError(t, err)
	require.False(t, changed)

	cache := &shelf{}
	s := chart.NewStore(chart.Options{Stack: stack(nil), Network: w, Cache: cache, Lock: locked})
	write(t, dir, map[string]string{
		"vendor/charts/README.md":                    "mine",
		"vendor/charts/nginx-0.9.0-0123456789ab.tgz": "old",
		"vendor/charts/mine.tgz":                     "mine",
	})
	out, ds, err := s.Vendor(t.Context(), dir, refs)
	require.NoError(t, err)
	require.Empty(t, ds)
	nginxFile := "nginx-1.1.0-" + sum(w.archives["nginx"]["1.1.0"])[:12] + ".tgz"
	require.Len(t, out.Written, 5, "two references to one version are one file")
	require.Contains(t, out.Written, nginxFile)
	require.Equal(t, []string{"nginx-0.9.0-0123456789ab.tgz"}, out.Removed)
	data, err := os.ReadFile(filepath.Join(dir, "vendor/charts", nginxFile))
	require.NoError(t, err)
	require.Equal(t, w.archives["nginx"]["1.1.0"], data)
	require.FileExists(t, filepath.Join(dir, "vendor/charts/mine.tgz"))

	// Again, after one was damaged: with the cache alone.
	require.NoError(t, os.WriteFile(filepath.Join(dir, "vendor/charts", nginxFile), []byte("x"), 0o644))
	out, ds, err = chart.NewStore(chart.Options{Stack: stack(nil), Cache: cache, Lock: locked}).Vendor(t.Context(), dir, refs)
	require.NoError(t, err)
	require.Empty(t, ds)
	require.Equal(t, []string{nginxFile}, out.Written)
	require.Len(t, out.Kept, 4)
	require.Empty(t, out.Removed)

	// With vendor/charts, nothing else is asked.
	w.asks()
	offline := func(network chart.Network) *chart.Store {
		read, ds, err := chart.ReadLock(source.Tree{FS: os.DirFS(dir)})
		require.NoError(t, err)
		require.Empty(t, ds)
		return chart.NewStore(chart.Options{Stack: stack(nil), Files: source.Tree{FS: os.DirFS(dir), Prefix: "repo/"}, Lock: read, Network: network})
	}
	for _, r := range refs {
		c, ds, err := offline(w).Load(t.Context(), r)
		require.NoError(t, err)
		require.Empty(t, ds)
		require.NotNil(t, c)
	}
	require.Empty(t, w.asks())

	// One that was changed is refused, one that is missing too.
	require.NoError(t, os.WriteFile(filepath.Join(dir, "vendor/charts", nginxFile), w.archives["nginx"]["2.0.0"], 0o644))
	_, ds, err = offline(w).Load(t.Context(), refs[0])
	require.NoError(t, err)
	require.Len(t, ds, 1)
	require.Equal(t, diag.ChartDigest, ds[0].Code)
	require.Contains(t, ds[0].Detail, "repo/vendor/charts/"+nginxFile)
	require.Equal(t, "charts.lock", ds[0].Range.File)
	require.NoError(t, os.Remove(filepath.Join(dir, "vendor/charts", nginxFile)))
	_, ds, err = offline(w).Load(t.Context(), refs[0])
	require.NoError(t, err)
	require.Len(t, ds, 1)
	require.Equal(t, diag.ChartNotFetched, ds[0].Code)
	require.Contains(t, ds[0].Detail, "otomi charts vendor")
	require.Empty(t, w.asks())

	// Nothing is removed where not all is there.
	write(t, dir, map[string]string{"vendor/charts/nginx-0.9.0-0123456789ab.tgz": "old"})
	_, ds, err = chart.NewStore(chart.Options{Stack: stack(nil), Lock: locked}).Vendor(t.Context(), dir, refs)
	require.NoError(t, err)
	require.NotEmpty(t, ds)
	require.FileExists(t, filepath.Join(dir, "vendor/charts/nginx-0.9.0-0123456789ab.tgz"))

	// An empty vendor/charts would keep everything from being fetched.
	empty := t.TempDir()
	delete(w.archives, "redis")
	_, _, err = chart.NewStore(chart.Options{Stack: stack(nil), Network: w, Lock: locked}).Vendor(t.Context(), empty, refs)
	require.ErrorContains(t, err, "nothing at")
	require.NoDirExists(t, filepath.Join(empty, "vendor"))

	_, ds, err = chart.NewStore(chart.Options{Stack: stack(nil)}).Vendor(t.Context(), dir, refs)
	require.NoError(t, err)
	require.Equal(t, diag.ChartNotLocked, ds[0].Code)
}

func TestVendorFollowsNoLinkOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	locked := lockOf(t, chart.NewStore(chart.Options{Stack: stack(nil), Network: w}), chart.LockOptions{}, nginx("1.x"))
	dir, outside := t.TempDir(), t.TempDir()
	require.NoError(t, os.Symlink(outside, filepath.Join(dir, "vendor")))
	_, _, err := chart.NewStore(chart.Options{Stack: stack(nil), Network: w, Lock: locked}).Vendor(t.Context(), dir, nil)
	require.Error(t, err)
	entries, err := os.ReadDir(outside)
	require.NoError(t, err)
	require.Empty(t, entries)
}

func TestVendorArchive(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	refs := []chart.Ref{nginx("1.x"), {Chart: "oci://r.example.com/charts/redis", Version: "3.x"}, gitRef}
	locked := lockOf(t, chart.NewStore(chart.Options{Stack: stack(nil), Network: w}), chart.LockOptions{}, refs...)
	s := chart.NewStore(chart.Options{Stack: stack(nil), Network: w, Lock: locked})
	var archive, again bytes.Buffer
	for _, b := range []*bytes.Buffer{&archive, &again} {
		ds, err := s.VendorArchive(t.Context(), b, refs)
		require.NoError(t, err)
		require.Empty(t, ds)
	}
	require.Equal(t, archive.Bytes(), again.Bytes())

	unpack := func(dir string, archive []byte) (chart.Vendored, diag.Diagnostics) {
		out, ds, err := chart.UnpackVendor(t.Context(), bytes.NewReader(archive), dir)
		require.NoError(t, err)
		return out, ds
	}
	dir := t.TempDir()
	write(t, dir, map[string]string{"vendor/charts/nginx-0.9.0-0123456789ab.tgz": "old"})
	out, ds := unpack(dir, archive.Bytes())
	require.Empty(t, ds)
	require.Len(t, out.Written, 5)
	require.Len(t, out.Removed, 1)
	read, ds, err := chart.ReadLock(source.Tree{FS: os.DirFS(dir)})
	require.NoError(t, err)
	require.Empty(t, ds)
	require.Empty(t, locked.Diff(read))
	for _, r := range refs {
		c, ds, err := chart.NewStore(chart.Options{Stack: stack(nil), Files: source.Tree{FS: os.DirFS(dir)}, Lock: read}).Load(t.Context(), r)
		require.NoError(t, err)
		require.Empty(t, ds)
		require.NotNil(t, c)
	}
	out, ds = unpack(dir, archive.Bytes())
	require.Empty(t, ds, "a second time changes nothing")
	require.Empty(t, out.Removed)

	// Whatever is wrong with it, the repository stays as it was.
	lock := entry{name: "charts.lock", text: string(locked.Marshal())}
	file := "vendor/charts/nginx-1.1.0-" + sum(w.archives["nginx"]["1.1.0"])[:12] + ".tgz"
	other := lockOf(t, chart.NewStore(chart.Options{Stack: stack(nil), Network: w}), chart.LockOptions{}, nginx("2.x"))
	flipped := slices.Clone(archive.Bytes())
	flipped[len(flipped)/2] ^= 1
	for what, bad := range map[string][]byte{
		"nothing":        nil,
		"cut":            archive.Bytes()[:archive.Len()/2],
		"one bit":        flipped,
		"no lock":        tarball(t, entry{name: file, text: "x"}),
		"broken lock":    tarball(t, entry{name: "charts.lock", text: "["}),
		"other bytes":    tarball(t, lock, entry{name: file, text: string(w.archives["nginx"]["2.0.0"])}),
		"file not named": tarball(t, lock, entry{name: "vendor/charts/x-1.0.0-0123456789ab.tgz", text: "x"}),
		"elsewhere":      tarball(t, lock, entry{name: "../../x", text: "x"}),
		"link":           tarball(t, lock, entry{name: file, kind: '2', link: "/etc/passwd"}),
		"lacks":          tarball(t, lock),
	} {
		empty := t.TempDir()
		_, ds := unpack(empty, bad)
		require.NotEmpty(t, ds, what)
		require.Equal(t, diag.ChartDigest, ds[0].Code, what)
		require.NoFileExists(t, filepath.Join(empty, "charts.lock"), what)
		require.NoDirExists(t, filepath.Join(empty, "vendor"), what)
	}
	owned := t.TempDir()
	_, err = chart.WriteLock(owned, other)
	require.NoError(t, err)
	_, ds = unpack(owned, archive.Bytes())
	require.NotEmpty(t, ds)
	require.Contains(t, ds[0].Detail, "another charts.lock")
}
