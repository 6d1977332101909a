package chart

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"helm.sh/helm/v3/pkg/repo"

	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/yaml"
)

// tgz packs a chart of two files.
func tgz(t *testing.T, name, version string) []byte {
	t.Helper()
	var out bytes.Buffer
	zipped := gzip.NewWriter(&out)
	w := tar.NewWriter(zipped)
	for _, f := range []File{
		{Name: name + "/Chart.yaml", Data: []byte("apiVersion: v2\nname: " + name + "\nversion: " + version + "\n")},
		{Name: name + "/values.yaml", Data: []byte("a: 1\n")},
	} {
		require.NoError(t, w.WriteHeader(&tar.Header{Name: f.Name, Mode: 0o644, Size: int64(len(f.Data))}))
		_, err := w.Write(f.Data)
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	require.NoError(t, zipped.Close())
	return out.Bytes()
}

func sum(data []byte) string {
	s := sha256.Sum256(data)
	return hex.EncodeToString(s[:])
}

// caOf writes the certificate of a test server to a file.
func caOf(t *testing.T, s *httptest.Server) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600))
	return file
}

func everyHost(string) bool { return true }

// remoteOf returns a Remote that may reach everything and never sleeps.
func remoteOf(t *testing.T, change func(*RemoteOptions)) *Remote {
	t.Helper()
	o := RemoteOptions{Allow: everyHost, Sleep: func(context.Context, time.Duration) error { return nil }, HeaderTimeout: 20 * time.Second}
	if change != nil {
		change(&o)
	}
	return NewRemote(o)
}

// get resolves and fetches.
func get(t *testing.T, r *Remote, ref Ref) (Resolved, Fetched, diag.Diagnostics, error) {
	t.Helper()
	to, diags, err := r.Resolve(t.Context(), ref)
	if err != nil || diags.HasErrors() {
		return to, Fetched{}, diags, err
	}
	out, diags, err := r.Fetch(t.Context(), ref, to)
	return to, out, diags, err
}

// refused demands one diagnostic of a code whose detail has all the words, and returns the detail.
func refused(t *testing.T, code diag.Code, diags diag.Diagnostics, err error, words ...string) string {
	t.Helper()
	require.NoError(t, err)
	require.Len(t, diags, 1)
	require.Equal(t, code, diags[0].Code, diags[0].Detail)
	for _, w := range words {
		require.Contains(t, diags[0].Detail, w)
	}
	return diags[0].Detail
}

// answers is an HTTP server for charts: by path, what it answers.
type answers map[string]http.HandlerFunc

func (a answers) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if h, ok := a[r.URL.Path]; ok {
		h(w, r)
		return
	}
	http.NotFound(w, r)
}

func text(data []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(data) }
}

// indexOf is an index of one version of the chart web.
func indexOf(address, digest string) []byte {
	return []byte("apiVersion: v1\nentries:\n  web:\n    - apiVersion: v2\n      name: web\n      version: 1.2.3\n      digest: \"" + digest +
		"\"\n      urls: [\"" + address + "\"]\n")
}

// repository serves an index of one chart and the chart.
func repository(t *testing.T) (*httptest.Server, answers, []byte) {
	t.Helper()
	archive := tgz(t, "web", "1.2.3")
	a := answers{"/charts/index.yaml": text(indexOf("web-1.2.3.tgz", sum(archive))), "/charts/web-1.2.3.tgz": text(archive)}
	s := httptest.NewTLSServer(a)
	s.Config.ErrorLog = nil
	t.Cleanup(s.Close)
	return s, a, archive
}

func refOf(t *testing.T, s *httptest.Server, change func(*Repository)) Ref {
	t.Helper()
	r := Repository{Name: "mine", URL: s.URL + "/charts", CAFile: caOf(t, s)}
	if change != nil {
		change(&r)
	}
	return Ref{Chart: "mine/web", Repository: &r}
}

func TestAChartOfARepositoryIsFetched(t *testing.T) {
	t.Parallel()
	s, _, archive := repository(t)
	to, out, diags, err := get(t, remoteOf(t, nil), refOf(t, s, nil))
	require.NoError(t, err)
	require.Empty(t, diags)
	require.Equal(t, Resolved{Name: "web", Version: "1.2.3", URL: s.URL + "/charts/web-1.2.3.tgz", Digest: sum(archive)}, to)
	require.Equal(t, archive, out.Archive)
}

func TestAChartAtAnAddressIsFetched(t *testing.T) {
	t.Parallel()
	s, _, archive := repository(t)
	r := remoteOf(t, func(o *RemoteOptions) { o.CAFile = caOf(t, s) })
	to, out, diags, err := get(t, r, Ref{Chart: s.URL + "/charts/web-1.2.3.tgz"})
	require.NoError(t, err)
	require.Empty(t, diags)
	require.Equal(t, "web-1.2.3", to.Name)
	require.Equal(t, archive, out.Archive)
	versions, diags, err := r.Versions(t.Context(), Ref{Chart: s.URL + "/charts/web-1.2.3.tgz"})
	require.NoError(t, err)
	require.Empty(t, diags)
	require.Empty(t, versions)
}

func TestTheIndexOfARepositoryIsReadOnce(t *testing.T) {
	t.Parallel()
	s, a, _ := repository(t)
	var asked atomic.Int32
	index := a["/charts/index.yaml"]
	a["/charts/index.yaml"] = func(w http.ResponseWriter, r *http.Request) { asked.Add(1); index(w, r) }
	r, ref := remoteOf(t, nil), refOf(t, s, nil)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			_, diags, err := r.Resolve(context.Background(), ref)
			if err != nil || diags.HasErrors() {
				t.Error(err, diags)
			}
		})
	}
	all.Wait()
	require.EqualValues(t, 1, asked.Load())
}

func TestReferencesOfTheNetworkAreKnownByTheirForm(t *testing.T) {
	t.Parallel()
	for ref, want := range map[string]bool{
		"oci://h/p": true, "https://h/p.tgz": true, "HTTPS://h/p.tgz": true, "http://h/p.tgz": true, "git+https://h/r//p@v1": true,
		"git+ssh://h/r": true, "git+file:///r": true, "../charts/web": false, "mine/web": false, "web": false, "file://../x": false, "C:\\x": false,
	} {
		require.Equal(t, want, IsRemote(ref), ref)
	}
}

func TestReferencesThatLeadNowhereSayWhatToWrite(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		ref  Ref
		word string
	}{
		{Ref{Chart: "mine/web"}, "no repository is named"},
		{Ref{Chart: "web", Repository: &Repository{URL: "https://h"}}, "REPOSITORY/NAME"},
		{Ref{Chart: "git+ssh://h/r"}, "git+ssh"},
		{Ref{Chart: "git+file:///r/x"}, "no URL"},
		{Ref{Chart: "git+https://h"}, "names no repository"},
		{Ref{Chart: "git+https://h/r//p@"}, "no revision"},
		{Ref{Chart: "git+https://h/r?ref=v1"}, "has a query"},
		{Ref{Chart: "oci://h"}, "not one of a registry"},
		{Ref{Chart: "oci://h/P"}, "not one of a registry"},
		{Ref{Chart: "oci://h/p@md5:1"}, "not one of a registry"},
		{Ref{Chart: "https://user:se/cret@h/p"}, "no URL"},
		{Ref{Chart: "x/web", Repository: &Repository{Name: "x", URL: "https://user:se/cret@h/p"}}, "no URL"},
		{Ref{Chart: "x/web", Repository: &Repository{Name: "x", URL: "s3://bucket/p"}}, "over s3"},
	} {
		_, diags, err := remoteOf(t, nil).Resolve(t.Context(), c.ref)
		detail := refused(t, diag.ChartUnsupported, diags, err, c.word)
		require.NotContains(t, detail, "cret")
	}
}

// A host is refused unless it is allowed, wherever its name came from.
func TestAHostThatNobodyAllowedIsRefused(t *testing.T) {
	t.Parallel()
	s, a, archive := repository(t)
	host := strings.TrimPrefix(s.URL, "https://")
	at := diag.Range{File: "runlevels/10.yaml", Start: diag.Pos{Line: 3, Column: 5}}
	ref := refOf(t, s, nil)
	ref.Range = at
	for _, ref := range []Ref{ref, {Chart: s.URL + "/charts/web-1.2.3.tgz", Range: at}, {Chart: "oci://" + host + "/web:1.0.0", Range: at}, {Chart: "git+" + s.URL + "/r@v1", Range: at}} {
		_, _, diags, err := get(t, NewRemote(RemoteOptions{}), ref)
		refused(t, diag.ChartRefusedHost, diags, err, host, "otomi charts lock", "otomi charts vendor", "--allow net="+host)
		require.Equal(t, at, diags[0].Range)
	}
	t.Run("behind a redirect", func(t *testing.T) {
		other := httptest.NewTLSServer(text(archive))
		t.Cleanup(other.Close)
		a["/charts/away.tgz"] = http.RedirectHandler(other.URL+"/web.tgz?sig=abc", http.StatusFound).ServeHTTP
		r := remoteOf(t, func(o *RemoteOptions) {
			o.SkipTLSVerify = true
			o.Allow = func(h string) bool { return h == host }
		})
		_, _, diags, err := get(t, r, Ref{Chart: s.URL + "/charts/away.tgz"})
		refused(t, diag.ChartRefusedHost, diags, err, "--allow net="+strings.TrimPrefix(other.URL, "https://"))
	})
}

func TestAHostIsAskedForInOneForm(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"https://Example.COM/x": "example.com", "https://example.com.:443/x": "example.com", "http://example.com:80": "example.com",
		"https://example.com:80": "example.com:80", "https://[::1]:5000/": "[::1]:5000", "oci://h:443/x": "h",
	} {
		u, err := url.Parse(in)
		require.NoError(t, err)
		require.Equal(t, want, hostOf(u), in)
	}
}

func TestPlainHTTPIsOnlyUsedOnRequest(t *testing.T) {
	t.Parallel()
	archive := tgz(t, "web", "1.2.3")
	s := httptest.NewServer(answers{"/charts/index.yaml": text(indexOf("web.tgz", sum(archive))), "/charts/web.tgz": text(archive)})
	t.Cleanup(s.Close)
	repo := &Repository{Name: "mine", URL: s.URL + "/charts"}
	for _, ref := range []Ref{{Chart: "mine/web", Repository: repo}, {Chart: s.URL + "/charts/web.tgz"}, {Chart: "git+" + s.URL + "/r"}} {
		_, _, diags, err := get(t, remoteOf(t, nil), ref)
		refused(t, diag.ChartInsecure, diags, err, "plainHttp: true")
	}
	plain := *repo
	plain.PlainHTTP = true
	_, out, diags, err := get(t, remoteOf(t, nil), Ref{Chart: "mine/web", Repository: &plain})
	require.NoError(t, err)
	require.Empty(t, diags)
	require.Equal(t, archive, out.Archive)
}

func TestTLSOptionsOfARepository(t *testing.T) {
	t.Parallel()
	s, _, _ := repository(t)
	_, _, diags, err := get(t, remoteOf(t, nil), refOf(t, s, func(r *Repository) { r.CAFile = "" }))
	require.Empty(t, diags)
	require.ErrorContains(t, err, "certificate")
	_, _, diags, err = get(t, remoteOf(t, nil), refOf(t, s, func(r *Repository) { r.CAFile, r.SkipTLSVerify = "", true }))
	require.NoError(t, err)
	require.Empty(t, diags)
	_, _, diags, err = get(t, remoteOf(t, nil), refOf(t, s, func(r *Repository) { r.CAFile = "nowhere.pem" }))
	require.Empty(t, diags)
	require.ErrorContains(t, err, "reading the certificates of the CA")
	empty := filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(empty, []byte("x"), 0o600))
	_, _, diags, err = get(t, remoteOf(t, nil), refOf(t, s, func(r *Repository) { r.CAFile = empty }))
	refused(t, diag.ChartCredentials, diags, err, "caFile")
	_, _, diags, err = get(t, remoteOf(t, nil), refOf(t, s, func(r *Repository) { r.CertFile = empty }))
	refused(t, diag.ChartCredentials, diags, err, "keyFile")
}

// guarded serves only who has the right password, and notes who came with which.
func guarded(next http.Handler, seen *[]string) http.HandlerFunc {
	var mu sync.Mutex
	return func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		*seen = append(*seen, r.URL.Path+" "+r.Header.Get("Authorization")+r.Header.Get("Referer"))
		mu.Unlock()
		if user, password, _ := r.BasicAuth(); user != "me" || password != "right" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	}
}

func TestCredentialsOfARepository(t *testing.T) {
	t.Parallel()
	_, a, _ := repository(t)
	var seen []string
	s := httptest.NewTLSServer(guarded(a, &seen))
	t.Cleanup(s.Close)
	_, _, diags, err := get(t, remoteOf(t, nil), refOf(t, s, nil))
	refused(t, diag.ChartUnauthorized, diags, err, "wants credentials")
	_, _, diags, err = get(t, remoteOf(t, nil), refOf(t, s, func(r *Repository) { r.Username, r.Password = "me", "wrong-one" }))
	detail := refused(t, diag.ChartUnauthorized, diags, err, "does not accept")
	require.NotContains(t, detail, "wrong-one")
	for _, change := range []func(*Repository){
		func(r *Repository) { r.Username, r.Password = "me", "right" },
		func(r *Repository) { r.URL = strings.Replace(r.URL, "https://", "https://me:right@", 1) },
	} {
		to, _, diags, err := get(t, remoteOf(t, nil), refOf(t, s, change))
		require.NoError(t, err)
		require.Empty(t, diags)
		require.NotContains(t, to.URL, "right")
	}
}

// Credentials stay with their origin: an archive on another host, another port, behind a redirect, or behind one that comes
// back, does not see them.
func TestCredentialsAreNotSentToAnotherHost(t *testing.T) {
	t.Parallel()
	const password = "hunter2-secret"
	archive := tgz(t, "web", "1.2.3")
	var mu sync.Mutex
	var got []string
	note := func(name string, next http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			got = append(got, fmt.Sprintf("%s %v %q", name, r.Header.Get("Authorization") != "", r.Header.Get("Referer")))
			mu.Unlock()
			next(w, r)
		}
	}
	cases := []struct {
		name    string
		address string // in the index; OWN and OTHER stand for the servers
		pass    bool
		want    []string
	}{
		{"on the same host", "web.tgz", false, []string{`own true ""`, `own true ""`}},
		{"on another host", "OTHER/web.tgz", false, []string{`own true ""`, `other false ""`}},
		{"on another host with passCredentials", "OTHER/web.tgz", true, []string{`own true ""`, `other true ""`}},
		{"redirected on the same host", "again?token=abc", false, []string{`own true ""`, `own true ""`, `own true ""`}},
		{"redirected to another host", "away?token=abc", false, []string{`own true ""`, `own true ""`, `other false ""`}},
		{"redirected to another host with passCredentials", "away", true, []string{`own true ""`, `own true ""`, `other false ""`}},
		{"redirected there and back", "there", false, []string{`own true ""`, `own true ""`, `other false ""`, `own false ""`}},
	}
	for _, c := range cases {
		got = nil
		var own, other *httptest.Server
		other = httptest.NewTLSServer(note("other", func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/back" {
				http.Redirect(w, r, own.URL+"/charts/web.tgz", http.StatusFound)
				return
			}
			_, _ = w.Write(archive)
		}))
		own = httptest.NewTLSServer(note("own", func(w http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/charts/index.yaml":
				_, _ = w.Write(indexOf(strings.ReplaceAll(c.address, "OTHER", other.URL), sum(archive)))
			case "/charts/again":
				http.Redirect(w, r, "/charts/web.tgz", http.StatusFound)
			case "/charts/away":
				http.Redirect(w, r, other.URL+"/web.tgz", http.StatusFound)
			case "/charts/there":
				http.Redirect(w, r, other.URL+"/back", http.StatusFound)
			default:
				_, _ = w.Write(archive)
			}
		}))
		_, out, diags, err := get(t, remoteOf(t, nil), refOf(t, own, func(r *Repository) {
			r.Username, r.Password, r.PassCredentials, r.SkipTLSVerify, r.CAFile = "me", password, c.pass, true, ""
		}))
		own.Close()
		other.Close()
		require.NoError(t, err, c.name)
		require.Empty(t, diags, c.name)
		require.Equal(t, archive, out.Archive, c.name)
		require.Equal(t, c.want, got, c.name)
	}
}

func TestRedirectsEnd(t *testing.T) {
	t.Parallel()
	s, a, _ := repository(t)
	plain := httptest.NewServer(text([]byte("evil")))
	t.Cleanup(plain.Close)
	a["/loop"] = func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/loop", http.StatusFound) }
	a["/down"] = func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, plain.URL, http.StatusFound) }
	a["/file"] = func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "file:///etc/passwd", http.StatusFound)
	}
	for i := range 11 {
		a[fmt.Sprintf("/hop%d", i)] = func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, fmt.Sprintf("/hop%d", i+1), http.StatusFound)
		}
	}
	a["/hop11"] = text([]byte("there"))
	r := remoteOf(t, func(o *RemoteOptions) { o.SkipTLSVerify = true })
	_, _, diags, err := get(t, r, Ref{Chart: s.URL + "/loop"})
	require.Empty(t, diags)
	require.ErrorContains(t, err, "redirects more than 10 times")
	_, out, diags, err := get(t, r, Ref{Chart: s.URL + "/hop1"})
	require.NoError(t, err)
	require.Empty(t, diags)
	require.Equal(t, "there", string(out.Archive), "ten are followed")
	_, _, _, err = get(t, r, Ref{Chart: s.URL + "/hop0"})
	require.ErrorContains(t, err, "redirects more than 10 times")
	_, _, diags, err = get(t, remoteOf(t, func(o *RemoteOptions) { o.SkipTLSVerify, o.PlainHTTP = true, true }), Ref{Chart: s.URL + "/down"})
	refused(t, diag.ChartInsecure, diags, err, "redirects to", "without TLS")
	_, _, diags, err = get(t, r, Ref{Chart: s.URL + "/file"})
	refused(t, diag.ChartInsecure, diags, err)
}

func TestAChangedArchiveIsRefused(t *testing.T) {
	t.Parallel()
	s, a, archive := repository(t)
	a["/charts/web-1.2.3.tgz"] = text([]byte("another"))
	_, _, diags, err := get(t, remoteOf(t, nil), refOf(t, s, nil))
	refused(t, diag.ChartDigest, diags, err, sum(archive), sum([]byte("another")), "otomi charts lock")
}

func TestADownloadThatIsCutOffIsAnError(t *testing.T) {
	t.Parallel()
	s, a, archive := repository(t)
	a["/charts/web-1.2.3.tgz"] = func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(len(archive)+100))
		_, _ = w.Write(archive)
	}
	_, _, diags, err := get(t, remoteOf(t, nil), refOf(t, s, nil))
	require.Empty(t, diags)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.ErrorContains(t, err, "downloading the chart web")
}

// zeros sends zeros for as long as somebody reads them.
func zeros(w http.ResponseWriter, r *http.Request) {
	chunk := make([]byte, 1<<20)
	for r.Context().Err() == nil {
		if _, err := w.Write(chunk); err != nil {
			return
		}
	}
}

func TestAnEndlessDownloadEndsAtItsBound(t *testing.T) {
	s, a, _ := repository(t)
	a["/charts/web-1.2.3.tgz"] = zeros
	a["/charts/lie"] = func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(int64(maxArchive)+1))
		zeros(w, r)
	}
	ref := refOf(t, s, nil)
	used := growth(func() {
		_, _, diags, err := get(t, remoteOf(t, nil), ref)
		refused(t, diag.ChartTooLarge, diags, err, "100 MiB", "the chart web")
	})
	require.Less(t, used, int64(512<<20), "bytes held at the bound")
	used = growth(func() {
		r := remoteOf(t, func(o *RemoteOptions) { o.SkipTLSVerify = true })
		_, _, diags, err := get(t, r, Ref{Chart: s.URL + "/charts/lie"})
		refused(t, diag.ChartTooLarge, diags, err, "100 MiB")
	})
	require.Less(t, used, int64(64<<20), "what says that it is too large is not read")
	a["/charts/index.yaml"] = zeros
	_, _, diags, err := get(t, remoteOf(t, nil), ref)
	refused(t, diag.ChartTooLarge, diags, err, "64 MiB", "index")
}

// growth returns how much the heap grew at most while do ran.
func growth(do func()) int64 {
	var before, now runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	done, finished := make(chan struct{}), make(chan int64)
	go func() {
		var most uint64
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			runtime.ReadMemStats(&now)
			most = max(most, now.HeapInuse)
			select {
			case <-done:
				finished <- int64(most) - int64(before.HeapInuse)
				return
			case <-tick.C:
			}
		}
	}()
	do()
	close(done)
	return <-finished
}

func TestADownloadAtItsBoundIsTaken(t *testing.T) {
	t.Parallel()
	for _, n := range []int64{0, 9, 10} {
		data, err := readBounded(bytes.NewReader(make([]byte, n)), -1, 10)
		require.NoError(t, err)
		require.Len(t, data, int(n))
	}
	_, err := readBounded(bytes.NewReader(make([]byte, 11)), 3, 10)
	require.ErrorIs(t, err, errTooLarge)
	_, err = readBounded(bytes.NewReader(nil), 11, 10)
	require.ErrorIs(t, err, errTooLarge)
}

func TestADownloadThatStandsStillEnds(t *testing.T) {
	t.Parallel()
	s, a, _ := repository(t)
	stall := func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusOK)
		_, _ = w.Write([]byte("x"))
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}
	a["/charts/web-1.2.3.tgz"] = stall
	a["/charts/silent"] = func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	_, _, diags, err := get(t, remoteOf(t, func(o *RemoteOptions) { o.IdleTimeout = 50 * time.Millisecond }), refOf(t, s, nil))
	require.Empty(t, diags)
	require.ErrorContains(t, err, "stood still for 50ms")
	_, _, diags, err = get(t, remoteOf(t, func(o *RemoteOptions) { o.TotalTimeout = 100 * time.Millisecond }), refOf(t, s, nil))
	require.Empty(t, diags)
	require.ErrorContains(t, err, "it took longer than 100ms")
	r := remoteOf(t, func(o *RemoteOptions) { o.HeaderTimeout, o.SkipTLSVerify = 50*time.Millisecond, true })
	_, _, diags, err = get(t, r, Ref{Chart: s.URL + "/charts/silent"})
	require.Empty(t, diags)
	require.ErrorContains(t, err, "timeout awaiting response headers")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, diags, err = remoteOf(t, nil).Resolve(ctx, refOf(t, s, nil))
	require.Empty(t, diags)
	require.ErrorIs(t, err, context.Canceled)
}

func TestAHostThatIsNotThereIsAnErrorAtOnce(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	host := l.Addr().String()
	require.NoError(t, l.Close())
	var slept atomic.Int32
	r := NewRemote(RemoteOptions{Allow: everyHost, Sleep: func(context.Context, time.Duration) error { slept.Add(1); return nil }})
	for _, chart := range []string{"https://me:secret@" + host + "/web.tgz?token=secret", "oci://" + host + "/web:1.0.0", "git+https://me:secret@" + host + "/r//web@v1"} {
		_, _, diags, err := get(t, r, Ref{Chart: chart})
		require.Empty(t, diags)
		require.ErrorContains(t, err, host)
		require.ErrorContains(t, err, "the chart")
		require.ErrorContains(t, err, "connection refused")
		require.NotContains(t, err.Error(), "secret")
	}
	require.Zero(t, slept.Load(), "what is not there is not asked again")
}

func TestATransientAnswerIsAskedForAgain(t *testing.T) {
	t.Parallel()
	for _, status := range []int{429, 500, 502, 503, 504} {
		s, a, archive := repository(t)
		var count atomic.Int32
		a["/charts/web-1.2.3.tgz"] = func(w http.ResponseWriter, _ *http.Request) {
			if count.Add(1) < tries {
				w.Header().Set("Retry-After", "3")
				w.WriteHeader(status)
				return
			}
			_, _ = w.Write(archive)
		}
		var pauses []time.Duration
		r := remoteOf(t, func(o *RemoteOptions) {
			o.Sleep = func(_ context.Context, d time.Duration) error { pauses = append(pauses, d); return nil }
		})
		_, out, diags, err := get(t, r, refOf(t, s, nil))
		require.NoError(t, err)
		require.Empty(t, diags)
		require.Equal(t, archive, out.Archive)
		require.Len(t, pauses, tries-1)
		for _, p := range pauses {
			require.GreaterOrEqual(t, p, 3*time.Second)
			require.LessOrEqual(t, p, maxPause)
		}
	}
	s, a, _ := repository(t)
	var count atomic.Int32
	a["/charts/web-1.2.3.tgz"] = func(w http.ResponseWriter, _ *http.Request) {
		count.Add(1)
		w.Header().Set("Retry-After", "86400")
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_, _, diags, err := get(t, remoteOf(t, nil), refOf(t, s, nil))
	require.Empty(t, diags)
	require.ErrorContains(t, err, "503 Service Unavailable")
	require.EqualValues(t, tries, count.Load())
}

func TestAResetConnectionIsTriedAgain(t *testing.T) {
	t.Parallel()
	s, a, archive := repository(t)
	var count atomic.Int32
	a["/charts/web-1.2.3.tgz"] = func(w http.ResponseWriter, _ *http.Request) {
		if count.Add(1) == 1 {
			c, _, err := http.NewResponseController(w).Hijack()
			if err == nil {
				_ = c.Close()
			}
			return
		}
		_, _ = w.Write(archive)
	}
	_, out, diags, err := get(t, remoteOf(t, nil), refOf(t, s, nil))
	require.NoError(t, err)
	require.Empty(t, diags)
	require.Equal(t, archive, out.Archive)
}

func TestAMissingArchiveOrIndexIsNamed(t *testing.T) {
	t.Parallel()
	s, a, _ := repository(t)
	delete(a, "/charts/web-1.2.3.tgz")
	_, _, diags, err := get(t, remoteOf(t, nil), refOf(t, s, nil))
	refused(t, diag.ChartMissing, diags, err, "/charts/web-1.2.3.tgz")
	ref := refOf(t, s, nil)
	ref.Chart = "mine/wbe"
	_, _, diags, err = get(t, remoteOf(t, nil), ref)
	refused(t, diag.ChartMissing, diags, err, `Did you mean "web"?`)
	delete(a, "/charts/index.yaml")
	_, _, diags, err = get(t, remoteOf(t, nil), refOf(t, s, nil))
	refused(t, diag.ChartMissing, diags, err, "the index of the repository mine")
}

func TestAnIndexThatIsNoneIsRefused(t *testing.T) {
	t.Parallel()
	for name, index := range map[string]string{
		"empty":           "",
		"a page":          "<html><body>login: here</body></html>",
		"no apiVersion":   "entries: {}\n",
		"an unknown key":  "apiVersion: v1\nbogus: 1\n",
		"a key twice":     "apiVersion: v1\napiVersion: v1\n",
		"a bomb":          "apiVersion: v1\nannotations: &a {a: b}\nserverInfo: {a: *a, b: {c: *a}}\nentries: [1]\n",
		"no JSON of ours": `{"apiVersion": 1}`,
	} {
		file := filepath.Join(t.TempDir(), "index.yaml")
		require.NoError(t, os.WriteFile(file, []byte(index), 0o600))
		_, helm := repo.LoadIndexFile(file)
		require.Error(t, helm, name)
		_, err := readIndex([]byte(index), "mine", "example.com")
		require.Equal(t, diag.ChartIndex, err.(fault).code, name)
		require.Less(t, len(err.Error()), 600)
	}
}

func TestAnIndexOfTooManyItemsIsRefused(t *testing.T) {
	for name, c := range map[string]struct{ head, unit, foot string }{
		"yaml":      {"apiVersion: v1\nentries:\n  web:\n", "  - {}\n", ""},
		"json":      {`{"apiVersion":"v1","entries":{"web":[{}`, ",{}", "]}}"},
		"other key": {"apiVersion: v1\nentries:\nannotations:\n", "  a: b\n", ""},
		"slow way":  {"apiVersion: v1\nentries: {web: [{}", ",{}", "]}"},
	} {
		for n, want := range map[int]diag.Code{maxItems/4 - 10: "", maxItems: diag.ChartTooLarge} {
			text := []byte(c.head + strings.Repeat(c.unit, n) + c.foot)
			used := growth(func() {
				x, err := readIndex(text, "mine", "example.com")
				if err == nil {
					_, err = x.chart("web")
				}
				var f fault
				if errors.As(err, &f); want != "" || f.code == diag.ChartTooLarge {
					require.Equal(t, want, f.code, name)
				}
			})
			require.Less(t, used, int64(512<<20), name)
		}
	}
	many := "apiVersion: v1\nentries:\n"
	var b strings.Builder
	for i := range maxCharts + 1 {
		fmt.Fprintf(&b, "  c%d: []\n", i)
	}
	many += b.String()
	_, _, ok := cutYAML([]byte(many))
	require.False(t, ok)
	_, _, ok = cutYAML([]byte(strings.Replace(many, "  c0: []\n", "", 1)))
	require.True(t, ok)
}

// indexes are three writings of one index: the fast way, the slow way, and JSON.
func indexes(t *testing.T) map[string][]byte {
	t.Helper()
	var v any
	require.NoError(t, yaml.DecodeInto([]byte(versioned), &v))
	asJSON, err := json.Marshal(v)
	require.NoError(t, err)
	out := map[string][]byte{
		"in parts": []byte(versioned), "whole": []byte(versioned + "annotations: {a: &x b, c: *x}\n"), "json": asJSON,
		"a document mark": []byte("---\n" + versioned), "with returns": []byte(strings.ReplaceAll(versioned, "\n", "\r\n")),
	}
	for name, want := range map[string]bool{"in parts": true, "whole": false, "a document mark": true, "with returns": true} {
		_, _, ok := cutYAML(out[name])
		require.Equal(t, want, ok, name)
	}
	return out
}

func TestOnlyTheFormOfHelmIsReadInParts(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"apiVersion: v1\nentries:\n  a:\n  - b\n":        true,
		"entries:\n    a:\n    - b\napiVersion: v1\n":    true,
		"entries:\n  a:\n  - b\n # c\n\n  d: []\nx: y\n": true,
		"entries:\n":                           true,
		"entries: {}\n":                        false,
		"entries:\n  a:\n  - b\n  a:\n  - c\n": false,
		"entries:\n  a:\nentries:\n  b:\n":     false,
		"entries:\n  true:\n  - b\n":           false,
		"entries:\n  1.5:\n  - b\n":            false,
		"entries:\n  \"a\":\n  - b\n":          false,
		"entries:\n  a: [b]\n":                 false,
		"entries:\n  a:\n - b\n":               false,
		"entries:\n- a\n":                      false,
		"entries:\n  a:\n  - &x b\n":           false,
		"entries:\n  a:\n  - <<: b\n":          false,
		"entries:\n  a:\n  - b\n---\nc: d\n":   false,
		"entries:\n  a:\n  - \"b\nc: \"\n":     true, // which no YAML is without its other half
		"apiVersion: v1\n":                     false,
		"\tentries:\n":                         false,
	} {
		_, _, ok := cutYAML([]byte(text))
		require.Equal(t, want, ok, text)
	}
}

// What is read in parts is what is read as a whole.
func FuzzIndexInParts(f *testing.F) {
	f.Add(versioned)
	f.Add("apiVersion: v1\nentries:\n  a:\n  - name: a\n    version: 1.0.0\n    urls: [b]\n  # c\n  b: []\n")
	f.Add("apiVersion: v1\nentries:\n  a:\n  - name: a\n    description: |\n      b:\n    version: 1.0.0\ngenerated: \"2026-01-01T00:00:00Z\"\n")
	f.Fuzz(func(t *testing.T, text string) {
		var file indexFile
		if len(text) == 0 || json.Valid([]byte(text)) || yaml.DecodeStrictInto([]byte(text), &file) != nil || file.APIVersion == "" {
			return
		}
		if _, _, ok := cutYAML([]byte(text)); !ok {
			return
		}
		x, err := readIndex([]byte(text), "mine", "example.com")
		require.NoError(t, err)
		require.Len(t, x.parts, len(file.Entries))
		for name, versions := range file.Entries {
			got, err := x.chart(name)
			require.NoError(t, err)
			require.Equal(t, sorted(versions), got)
		}
	})
}

// versioned is an index with all that a list of versions may have.
const versioned = `apiVersion: v1
generated: "2026-01-01T00:00:00Z"
entries:
  web:
    - {name: web, version: 1.0.0, urls: [a-1.0.0.tgz]}
    - {name: web, version: 1.10.0, urls: [a-1.10.0.tgz]}
    - {name: web, version: 1.9.0, urls: [a-1.9.0.tgz]}
    - {name: web, version: 2.0.0-rc.1, urls: [a-2.0.0-rc.1.tgz]}
    - {name: web, version: 2.0.0-rc.2, urls: [a-2.0.0-rc.2.tgz]}
    - {name: web, version: 1.0.0+build.1, urls: [b-1.0.0.tgz]}
    - {name: web, version: 1.0.0+build.2, urls: [c-1.0.0.tgz]}
    - {name: web, version: v1.5.0, urls: [v-1.5.0.tgz]}
    - {name: web, version: "1.6", urls: [a-1.6.tgz]}
    - {name: web, version: nonsense, urls: [x.tgz]}
    - {name: web, version: 0.1.0, urls: [https://elsewhere.example.com/a-0.1.0.tgz]}
    - {name: web, version: 0.2.0, urls: []}
    - {name: "", version: 9.9.9, urls: [no-name.tgz]}
    - {version: 9.9.9, urls: [no-name.tgz]}
    - null
    - {name: ../web, version: 9.9.8, urls: [bad-name.tgz]}
    - {name: web, version: 3.0.0-alpha, urls: [a.tgz], dependencies: [{name: a, version: 1.0.0, repository: x}, {name: a, version: 1.0.0, repository: x}]}
    - {name: web, version: 1.2.3, type: bogus, urls: [a.tgz]}
  only-pre:
    - {name: only-pre, version: 1.0.0-beta.1, urls: [p1.tgz]}
    - {name: only-pre, version: 1.0.0-beta.2, urls: [p2.tgz]}
  empty: []
`

var ranges = []string{
	"", "1.0.0", "1.0.0+build.2", "1.10", "1.10.0", "v1.10.0", "v1.5.0", "1.5.0", "1.6", "1.6.0", "1", "1.x", "~1", "~1.9", "^1", "^1.9.0", ">1.0.0", ">=1.0.0 <1.10.0",
	">=1.0.0, <1.10.0", "<1.0.0", "1.0.0 - 1.9.9", "*", "x", ">0.0.0-0", "2.0.0-rc.1", "^2.0.0-0", "~2.0.0-rc.1", "2", ">=2", "nonsense", "=1.0.0", "!=1.10.0",
	"1.9.0 || 2.0.0-rc.2", "9.9.9", "9.9.8", "3.0.0-alpha", "1.2.3", "latest", ">", "1.0.0.0", "0.2.0", "0.1.0",
}

func TestVersionsOfAnIndexAreThoseOfHelm(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "index.yaml")
	require.NoError(t, os.WriteFile(file, []byte(versioned), 0o600))
	want, err := repo.LoadIndexFile(file)
	require.NoError(t, err)
	for _, index := range indexes(t) {
		sameAsHelm(t, index, want)
	}
}

func sameAsHelm(t *testing.T, index []byte, want *repo.IndexFile) {
	t.Helper()
	s := httptest.NewTLSServer(text(index))
	t.Cleanup(s.Close)
	r := remoteOf(t, nil)
	for name := range want.Entries {
		ref := refOf(t, s, nil)
		ref.Chart = "mine/" + name
		versions, diags, err := r.Versions(t.Context(), ref)
		require.NoError(t, err)
		require.Empty(t, diags)
		helm := []string{}
		for _, v := range want.Entries[name] {
			helm = append(helm, v.Version)
		}
		require.Equal(t, helm, versions)
		for _, asked := range ranges {
			ref.Version = asked
			got, diags, err := r.Resolve(t.Context(), ref)
			require.NoError(t, err)
			v, helmErr := want.Get(name, asked)
			if helmErr != nil {
				refused(t, diag.ChartNoVersion, diags, err)
				continue
			}
			if len(v.URLs) == 0 {
				refused(t, diag.ChartIndex, diags, err, "without an address")
				continue
			}
			require.Empty(t, diags, "%s %q", name, asked)
			address, err := repo.ResolveReferenceURL(ref.Repository.URL, v.URLs[0])
			require.NoError(t, err)
			require.Equal(t, Resolved{Name: name, Version: v.Version, URL: address}, got, "%s %q", name, asked)
		}
	}
}

func TestDevelLetsAPreReleaseAnswer(t *testing.T) {
	t.Parallel()
	s := httptest.NewTLSServer(text([]byte(versioned)))
	t.Cleanup(s.Close)
	ref := refOf(t, s, nil)
	ref.Chart = "mine/only-pre"
	_, diags, err := remoteOf(t, nil).Resolve(t.Context(), ref)
	refused(t, diag.ChartNoVersion, diags, err, "only pre-releases: 1.0.0-beta.2", "devel: true")
	ref.Devel = true
	got, diags, err := remoteOf(t, nil).Resolve(t.Context(), ref)
	require.NoError(t, err)
	require.Empty(t, diags)
	require.Equal(t, "1.0.0-beta.2", got.Version)
}

func TestAddressesOfAnIndexAreSeenAsHelmDoes(t *testing.T) {
	t.Parallel()
	for _, base := range []string{"https://h/charts", "https://h/charts/", "https://h", "https://h/a%2Fb", "https://h/charts?token=1"} {
		for _, address := range []string{"a.tgz", "sub/a.tgz", "/a.tgz", "../a.tgz", "https://o/a.tgz", "https://o/a.tgz?x=1", "a.tgz?y=2", "a%20b.tgz", "//o/a.tgz"} {
			want, err := repo.ResolveReferenceURL(base, address)
			require.NoError(t, err)
			u, err := url.Parse(base)
			require.NoError(t, err)
			got, err := resolveURL(u, address)
			require.NoError(t, err)
			if strings.HasPrefix(address, "//") {
				// Helm sends the query, which may be a token, to whatever host the index names.
				want = strings.TrimSuffix(want, "?token=1")
			}
			require.Equal(t, want, got.String(), "%s %s", base, address)
		}
	}
}

func TestNoAddressIsShownWithItsSecrets(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		`Get "https://me:secret@h/p?token=secret#x": EOF`: `Get "https://h/p": EOF`,
		"git+https://secret@h/r//p@v1":                    "git+https://h/r//p@v1",
		"oci://h/p@sha256:abc":                            "oci://h/p@sha256:abc",
		"https://a@b:secret@h/p":                          "https://h/p",
		"Authorization: Basic c2VjcmV0OnNlY3JldA==":       "Authorization: Basic …",
		"two https://h/a?k=secret and http://u:secret@h":  "two https://h/a and http://h",
		"nothing at all":                                  "nothing at all",
		"https://user:pa'ss@h/x.tgz":                      "https://h/x.tgz",
		"https://user:12/34@h/x.tgz":                      "https://h/x.tgz",
		"https://user:p?w@h/x.tgz":                        "https://…",
		"https://h/x.tgz?token=a@secret":                  "https://…",
		"git+https://user:to'ken@h/r.git//p@v1":           "git+https://h/r.git//p@v1",
		"git+https://user:to/ken@h/r.git//p":              "git+https://h/r.git//p",
		"git+https://user:12/34@h.example.com/r":          "git+https://h.example.com/r",
		"git+https://h.example.com/r//p@feature/x":        "git+https://h.example.com/r//p@feature/x",
		"oci://user:a'b/c@h/x":                            "oci://h/x",
		"oci://user:a'b/c@h/x@sha256:abc":                 "oci://sha256:abc", // nobody can tell what is the host
		"in 'https://h/x.tgz', 'https://h/y?t=secret'":    "in 'https://h/x.tgz', 'https://h/y",
	} {
		require.Equal(t, want, scrub(in))
	}
	require.Equal(t, "https://h/a.tgz", Resolved{URL: "https://h/a.tgz?token=secret"}.Display())
}

// The query of an address may be a token: it is sent, and not remembered, since what is remembered is written to a lock file.
func TestTheQueryOfAnAddressIsSentAndNotRemembered(t *testing.T) {
	t.Parallel()
	archive := tgz(t, "web", "1.2.3")
	for address, want := range map[string][]string{
		"web.tgz":          {"/charts/index.yaml?token=secret", "/charts/web.tgz?token=secret"},
		"OWN/charts/w.tgz": {"/charts/index.yaml?token=secret", "/charts/w.tgz?token=secret"},
		"OWN/charts/w?k=v": {"/charts/index.yaml?token=secret", "/charts/w?k=v"},
		"OTHER/charts/w":   {"/charts/index.yaml?token=secret", "other /charts/w"},
	} {
		var asked []string
		var own, other *httptest.Server
		other = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			asked = append(asked, "other "+r.URL.String())
			_, _ = w.Write(archive)
		}))
		own = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			asked = append(asked, r.URL.String())
			if r.URL.Path == "/charts/index.yaml" {
				_, _ = w.Write(indexOf(strings.NewReplacer("OWN", own.URL, "OTHER", other.URL).Replace(address), ""))
				return
			}
			_, _ = w.Write(archive)
		}))
		to, out, diags, err := get(t, remoteOf(t, nil), refOf(t, own, func(r *Repository) {
			r.URL, r.CAFile, r.SkipTLSVerify = r.URL+"?token=secret", "", true
		}))
		own.Close()
		other.Close()
		require.NoError(t, err)
		require.Empty(t, diags)
		require.Equal(t, archive, out.Archive)
		require.NotContains(t, to.URL, "secret")
		require.Equal(t, want, asked, address)
	}
}

func TestAProxyIsUsedWhereTheCallerNamesOne(t *testing.T) {
	t.Parallel()
	archive := tgz(t, "web", "1.2.3")
	var asked []string
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.String())
		_, _ = w.Write(archive)
	}))
	t.Cleanup(proxy.Close)
	at, err := url.Parse(proxy.URL)
	require.NoError(t, err)
	r := remoteOf(t, func(o *RemoteOptions) {
		o.PlainHTTP = true
		o.Proxy = func(*http.Request) (*url.URL, error) { return at, nil }
	})
	_, out, diags, err := get(t, r, Ref{Chart: "http://charts.invalid/web.tgz"})
	require.NoError(t, err)
	require.Empty(t, diags)
	require.Equal(t, archive, out.Archive)
	require.True(t, slices.Equal([]string{"http://charts.invalid/web.tgz"}, asked), asked)
}
