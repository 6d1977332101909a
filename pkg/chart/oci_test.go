package chart

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/stretchr/testify/require"
	helmregistry "helm.sh/helm/v3/pkg/registry"

	"github.com/redkubes/otomi/pkg/diag"
)

// ociServer is a registry with TLS, behind a handler that a test puts before it.
type ociServer struct {
	*httptest.Server
	host string
	ca   string

	mu     sync.Mutex
	before func(next http.Handler) http.Handler
}

func (s *ociServer) put(before func(next http.Handler) http.Handler) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.before = before
}

func newOCI(t *testing.T) *ociServer {
	t.Helper()
	inner := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	s := &ociServer{}
	s.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		h := http.Handler(inner)
		if s.before != nil {
			h = s.before(inner)
		}
		s.mu.Unlock()
		h.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.host = strings.TrimPrefix(s.URL, "https://")
	s.ca = caOf(t, s.Server)
	return s
}

// push pushes a chart with Helm's own client, before any handler of the test.
func (s *ociServer) push(t *testing.T, archive []byte, name, version string, options ...helmregistry.PushOption) {
	t.Helper()
	_, err := s.helm(t).Push(archive, s.host+"/charts/"+name+":"+version, options...)
	require.NoError(t, err)
}

func (s *ociServer) helm(t *testing.T) *helmregistry.Client {
	t.Helper()
	c, err := helmregistry.NewClient(helmregistry.ClientOptHTTPClient(s.Client()), helmregistry.ClientOptWriter(io.Discard),
		helmregistry.ClientOptCredentialsFile(filepath.Join(t.TempDir(), "none.json")))
	require.NoError(t, err)
	return c
}

func (s *ociServer) remote(t *testing.T, change func(*RemoteOptions)) *Remote {
	return remoteOf(t, func(o *RemoteOptions) {
		o.CAFile = s.ca
		if change != nil {
			change(o)
		}
	})
}

func (s *ociServer) ref(rest string) Ref { return Ref{Chart: "oci://" + s.host + "/charts/web" + rest} }

func TestAChartOfARegistryIsFetched(t *testing.T) {
	t.Parallel()
	s := newOCI(t)
	archive := tgz(t, "web", "1.2.3+build.1")
	s.push(t, archive, "web", "1.2.3+build.1")
	want, err := s.helm(t).Pull(s.host + "/charts/web:1.2.3+build.1")
	require.NoError(t, err)
	byDigest := "@" + want.Manifest.Digest
	for _, c := range []struct {
		ref     Ref
		address string
	}{
		{s.ref(""), ":1.2.3_build.1"},
		{s.ref(":1.2.3+build.1"), ":1.2.3_build.1"},
		{s.ref(":1.2.3_build.1"), ":1.2.3_build.1"},
		{Ref{Chart: s.ref("").Chart, Version: "1.2.3+build.1"}, ":1.2.3_build.1"},
		{Ref{Chart: s.ref("").Chart, Version: "^1.2"}, ":1.2.3_build.1"},
		{s.ref(byDigest), byDigest},
		{s.ref(":1.2.3+build.1" + byDigest), byDigest},
		{Ref{Chart: s.ref(byDigest).Chart, Version: "1.2.3+build.1"}, byDigest},
		{Ref{Chart: "mine/web", Repository: &Repository{Name: "mine", URL: s.host + "/charts", OCI: true, CAFile: s.ca}}, ":1.2.3_build.1"},
		{Ref{Chart: "mine/web", Repository: &Repository{Name: "mine", URL: "oci://" + s.host + "/charts/", CAFile: s.ca}}, ":1.2.3_build.1"},
		{Ref{Chart: "mine/charts/web", Repository: &Repository{Name: "mine", URL: s.host, OCI: true, CAFile: s.ca}}, ":1.2.3_build.1"},
	} {
		to, out, diags, err := get(t, s.remote(t, nil), c.ref)
		require.NoError(t, err, c.ref.Chart)
		require.Empty(t, diags, c.ref.Chart)
		require.Equal(t, Resolved{
			Name: "web", Version: "1.2.3+build.1", URL: "oci://" + s.host + "/charts/web" + c.address,
			Digest: sum(archive), Manifest: want.Manifest.Digest,
		}, to)
		require.Equal(t, want.Chart.Data, out.Archive)
	}
}

func TestVersionsOfARegistryAreThoseOfHelm(t *testing.T) {
	t.Parallel()
	s := newOCI(t)
	for _, v := range []string{"1.0.0", "1.0.0+b.2", "1.10.0", "1.9.0", "2.0.0-rc.1", "0.1.0"} {
		s.push(t, tgz(t, "web", v), "web", v)
	}
	for _, tag := range []string{"latest", "v1.11.0", "1.12"} { // tags that helm push does not write
		s.push(t, tgz(t, "web", "1.0.0"), "web", tag, helmregistry.PushOptStrictMode(false))
	}
	helm := s.helm(t)
	tags, err := helm.Tags(s.host + "/charts/web")
	require.NoError(t, err)
	versions, diags, err := s.remote(t, nil).Versions(t.Context(), s.ref(""))
	require.NoError(t, err)
	require.Empty(t, diags)
	require.Equal(t, tags, versions)
	for _, asked := range ranges {
		ref := s.ref("")
		ref.Version = asked
		got, diags, err := s.remote(t, nil).Resolve(t.Context(), ref)
		require.NoError(t, err)
		at, helmErr := helm.ValidateReference(ref.Chart, asked, mustParse(t, ref.Chart))
		want := ""
		if helmErr == nil {
			want = at.Path[strings.LastIndex(at.Path, ":")+1:]
			_, helmErr = helm.Resolve(s.host + "/" + strings.TrimPrefix(at.Path, "/"))
		}
		if helmErr != nil {
			require.Len(t, diags, 1, "%q: %v", asked, helmErr)
			refused(t, diag.ChartNoVersion, diags, err)
			continue
		}
		require.Empty(t, diags, asked)
		require.Equal(t, want, got.Version, asked)
	}
	for _, rest := range []string{":latest", ":9.9.9"} {
		_, diags, err := s.remote(t, nil).Resolve(t.Context(), s.ref(rest))
		refused(t, diag.ChartNoVersion, diags, err)
	}
	ref := s.ref(":1.0.0")
	ref.Version = "1.9.0"
	_, diags, err = s.remote(t, nil).Resolve(t.Context(), ref)
	refused(t, diag.ChartNoVersion, diags, err, "one place")
}

func TestTagsOfSeveralPagesAreAllRead(t *testing.T) {
	t.Parallel()
	s := newOCI(t)
	pages, endless, away := 0, false, ""
	s.put(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !strings.HasSuffix(r.URL.Path, "/tags/list") {
				next.ServeHTTP(w, r)
				return
			}
			pages++
			page, _ := strconv.Atoi(r.URL.Query().Get("page"))
			if page < 4 || endless {
				w.Header().Set("Link", fmt.Sprintf(`<%s/v2/charts/web/tags/list?page=%d>; rel="next"`, away, page+1))
			}
			tags := []string{fmt.Sprintf("1.%d.0", page)}
			if endless {
				tags = make([]string, 1000)
			}
			_ = json.NewEncoder(w).Encode(map[string]any{"name": "charts/web", "tags": tags})
		})
	})
	versions, diags, err := s.remote(t, nil).Versions(t.Context(), s.ref(""))
	require.NoError(t, err)
	require.Empty(t, diags)
	require.Equal(t, []string{"1.4.0", "1.3.0", "1.2.0", "1.1.0", "1.0.0"}, versions)
	endless = true
	_, diags, err = s.remote(t, nil).Versions(t.Context(), s.ref(""))
	refused(t, diag.ChartTooLarge, diags, err, "100000 tags")
	require.Less(t, pages, 200)
	away = "https://elsewhere.example.com"
	_, diags, err = s.remote(t, nil).Versions(t.Context(), s.ref(""))
	require.Empty(t, diags)
	require.ErrorContains(t, err, "not the same origin")
}

// basic asks for a password, bearer for a token of the realm.
func basic(user, password string, seen func(*http.Request)) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			seen(r)
			if u, p, _ := r.BasicAuth(); u != user || p != password {
				w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

func bearer(realm string) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") != "Bearer good-token" {
				w.Header().Set("WWW-Authenticate", `Bearer realm="`+realm+`",service="x",scope="repository:charts/web:pull"`)
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

// tokenServer is a server that hands out tokens for a password.
func tokenServer(t *testing.T, tls bool) *httptest.Server {
	t.Helper()
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		u, p, _ := r.BasicAuth()
		if r.Method == http.MethodPost {
			u, p = r.PostFormValue("username"), r.PostFormValue("password")
		}
		token := "anonymous"
		if u != "" {
			if u != "me" || p != "right" {
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			token = "good-token"
		}
		_ = json.NewEncoder(w).Encode(map[string]string{"token": token, "access_token": token})
	})
	var s *httptest.Server
	if tls {
		s = httptest.NewTLSServer(h)
	} else {
		s = httptest.NewServer(h)
	}
	t.Cleanup(s.Close)
	return s
}

// keysFile writes a credential file.
func keysFile(t *testing.T, content string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "config.json")
	require.NoError(t, os.WriteFile(file, []byte(content), 0o600))
	return file
}

func authOf(user, password string) string {
	return base64.StdEncoding.EncodeToString([]byte(user + ":" + password))
}

func TestCredentialsOfARegistry(t *testing.T) {
	t.Parallel()
	s := newOCI(t)
	archive := tgz(t, "web", "1.0.0")
	s.push(t, archive, "web", "1.0.0")
	other := tokenServer(t, true)
	right := keysFile(t, `{"auths":{"`+s.host+`":{"auth":"`+authOf("me", "right")+`"}}}`)
	for name, way := range map[string]func(http.Handler) http.Handler{
		"basic": basic("me", "right", func(*http.Request) {}), "bearer": bearer(other.URL + "/token"),
	} {
		s.put(way)
		for _, c := range []struct {
			files []string
			repo  *Repository
			word  string // "" works
		}{
			{word: "wants credentials"},
			{files: []string{"/nowhere/config.json"}, word: "otomi registry login " + s.host},
			{files: []string{"/nowhere/config.json", right}},
			{files: []string{keysFile(t, `{"auths":{"`+s.host+`":{"auth":"`+authOf("me", "wrong-one")+`"}}}`), right}, word: "does not accept the credentials"},
			{files: []string{keysFile(t, `{"auths":{"other.example.com":{"auth":"`+authOf("me", "wrong-one")+`"}}}`), right}},
			{files: []string{keysFile(t, `{"auths":{"https://`+s.host+`/v2/":{"username":"me","password":"right"}}}`)}},
			{files: []string{keysFile(t, ``), right}},
			{files: []string{keysFile(t, `{"credHelpers":{"`+s.host+`":"cloud"}}`)}, word: "docker-credential-cloud"},
			{files: []string{keysFile(t, `{"auths":{"`+s.host+`":{}},"credsStore":"desktop"}`)}, word: "docker-credential-desktop"},
			{files: []string{keysFile(t, `{"auths":{"other.example.com":{}},"credsStore":"desktop"}`)}, word: "wants credentials"},
			{files: []string{keysFile(t, `{"auths":{},"credsStore":"desktop"}`), right}},
			{repo: &Repository{URL: s.host + "/charts", OCI: true, Username: "me", Password: "right"}},
			{repo: &Repository{URL: s.host + "/charts", OCI: true, Username: "me", Password: "wrong-one"}, word: "does not accept"},
			{repo: &Repository{URL: "oci://me:right@" + s.host + "/charts"}},
		} {
			ref := s.ref(":1.0.0")
			if c.repo != nil {
				c.repo.CAFile, c.repo.SkipTLSVerify = "", true
				ref = Ref{Chart: "mine/web", Repository: c.repo}
			}
			_, out, diags, err := get(t, s.remote(t, func(o *RemoteOptions) { o.Credentials, o.CAFile, o.SkipTLSVerify = c.files, "", true }), ref)
			if c.word != "" {
				detail := refused(t, diag.ChartUnauthorized, diags, err, c.word)
				require.NotContains(t, detail, "wrong-one")
				require.NotContains(t, detail, authOf("me", "wrong-one"))
				continue
			}
			require.NoError(t, err, "%s %v", name, c)
			require.Empty(t, diags, "%s %v", name, c)
			require.Equal(t, archive, out.Archive)
		}
	}
}

func TestACredentialFileThatIsNoneIsNamedAndNotShown(t *testing.T) {
	t.Parallel()
	s := newOCI(t)
	s.put(basic("me", "right", func(*http.Request) {}))
	for _, content := range []string{`hunter2`, `{"auths":{"` + s.host + `":{"auth":"aHVudGVyMg=="}}}`, `{"auths":{"` + s.host + `":{"auth":"%hunter2"}}}`, `{"auths":["hunter2"]}`} {
		file := keysFile(t, content)
		_, _, diags, err := get(t, s.remote(t, func(o *RemoteOptions) { o.Credentials = []string{file} }), s.ref(":1.0.0"))
		detail := refused(t, diag.ChartCredentials, diags, err, file)
		require.NotContains(t, detail, "hunter2")
	}
}

// A token server may be on another host, as the Docker Hub's is; it has to be allowed, and to be asked with TLS.
func TestATokenServerOfAnotherHost(t *testing.T) {
	t.Parallel()
	s := newOCI(t)
	s.push(t, tgz(t, "web", "1.0.0"), "web", "1.0.0")
	other, plain := tokenServer(t, true), tokenServer(t, false)
	right := keysFile(t, `{"auths":{"`+s.host+`":{"auth":"`+authOf("me", "right")+`"}}}`)
	r := func(allow func(string) bool) *Remote {
		return s.remote(t, func(o *RemoteOptions) {
			o.Credentials, o.CAFile, o.SkipTLSVerify, o.Allow = []string{right}, "", true, allow
		})
	}
	s.put(bearer(other.URL + "/token"))
	host := strings.TrimPrefix(other.URL, "https://")
	_, _, diags, err := get(t, r(func(h string) bool { return h == s.host }), s.ref(":1.0.0"))
	refused(t, diag.ChartRefusedHost, diags, err, "--allow net="+host)
	_, _, diags, err = get(t, r(func(h string) bool { return h == s.host || h == host }), s.ref(":1.0.0"))
	require.NoError(t, err)
	require.Empty(t, diags)
	for _, realm := range []string{plain.URL, "ftp://" + host, "https://169.254.169.254/latest"} {
		s.put(bearer(realm))
		_, _, diags, err = get(t, r(everyHost), s.ref(":1.0.0"))
		require.Empty(t, diags, realm)
		require.ErrorContains(t, err, "realm", realm)
	}
}

// A layer is often behind a redirect to a store; that store sees no credentials.
func TestALayerBehindARedirect(t *testing.T) {
	t.Parallel()
	s := newOCI(t)
	archive := tgz(t, "web", "1.0.0")
	s.push(t, archive, "web", "1.0.0")
	var got []string
	store := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = append(got, r.Header.Get("Authorization")+r.Header.Get("Referer"))
		if r.URL.Path == "/denied" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		_, _ = w.Write(archive)
	}))
	t.Cleanup(store.Close)
	to := "/blob"
	s.put(func(next http.Handler) http.Handler {
		return basic("me", "right", func(*http.Request) {})(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.Contains(r.URL.Path, "/blobs/") {
				http.Redirect(w, r, store.URL+to+"?sig=secret", http.StatusTemporaryRedirect)
				return
			}
			next.ServeHTTP(w, r)
		}))
	})
	r := s.remote(t, func(o *RemoteOptions) {
		o.CAFile, o.SkipTLSVerify = "", true
		o.Credentials = []string{keysFile(t, `{"auths":{"`+s.host+`":{"auth":"`+authOf("me", "right")+`"}}}`)}
	})
	_, out, diags, err := get(t, r, s.ref(":1.0.0"))
	require.NoError(t, err)
	require.Empty(t, diags)
	require.Equal(t, archive, out.Archive)
	require.Equal(t, []string{""}, got)
	to = "/denied"
	_, _, diags, err = get(t, r, s.ref(":1.0.0"))
	detail := refused(t, diag.ChartUnauthorized, diags, err)
	require.NotContains(t, detail, "sig")
}

func TestAChangedOrTooLargeLayerIsRefused(t *testing.T) {
	t.Parallel()
	s := newOCI(t)
	archive := tgz(t, "web", "1.0.0")
	s.push(t, archive, "web", "1.0.0")
	r := s.remote(t, nil)
	good, diags, err := r.Resolve(t.Context(), s.ref(":1.0.0"))
	require.NoError(t, err)
	require.Empty(t, diags)
	answer := func(part string, h http.HandlerFunc) {
		s.put(func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if strings.Contains(r.URL.Path, part) {
					h(w, r)
					return
				}
				next.ServeHTTP(w, r)
			})
		})
	}
	changed := bytes.Clone(archive)
	changed[len(changed)-1] ^= 1
	answer("/blobs/", text(changed))
	_, _, diags, err = get(t, r, s.ref(":1.0.0"))
	refused(t, diag.ChartDigest, diags, err, sum(archive), sum(changed), "the chart web")
	answer("/blobs/", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(len(archive)))
		_, _ = w.Write(archive[:10])
	})
	_, _, diags, err = get(t, r, s.ref(":1.0.0"))
	require.Empty(t, diags)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	answer("/blobs/", func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).Flush() // so that no length is announced
		zeros(w, r)
	})
	_, _, diags, err = get(t, r, s.ref(":1.0.0"))
	refused(t, diag.ChartTooLarge, diags, err, "100 MiB")

	// The manifest: another one for the digest, a larger layer, a larger manifest, no manifest of a chart.
	raw := func(m string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
			w.Header().Set("Content-Length", strconv.Itoa(len(m)))
			w.Header().Set("Docker-Content-Digest", "sha256:"+sum([]byte(m)))
			if r.Method != http.MethodHead {
				_, _ = io.WriteString(w, m)
			}
		}
	}
	const layers = `{"schemaVersion":2,"config":{"mediaType":"%s","digest":"sha256:%s","size":2},"layers":[{"mediaType":"%s","digest":"%s","size":%d}]}`
	zero := strings.Repeat("0", 64)
	for _, c := range []struct {
		manifest string
		code     diag.Code
		word     string
	}{
		{fmt.Sprintf(layers, configType, zero, layerType, "sha256:"+zero, maxArchive+1), diag.ChartTooLarge, "104857601 bytes"},
		{fmt.Sprintf(layers, configType, zero, layerType, "sha256:x", 1), diag.ChartInvalid, "no sha256"},
		{fmt.Sprintf(layers, configType, zero, layerType, "sha512:"+zero+zero, 1), diag.ChartInvalid, "no sha256"},
		{fmt.Sprintf(layers, configType, zero, "image/png", "sha256:"+zero, 1), diag.ChartInvalid, "no layer of a chart"},
		{fmt.Sprintf(layers, "application/vnd.oci.image.config.v1+json", zero, layerType, "sha256:"+zero, 1), diag.ChartInvalid, "no chart"},
		{"{", diag.ChartInvalid, "not JSON"},
		{strings.Repeat(" ", maxManifest+1), diag.ChartTooLarge, "4 MiB"},
	} {
		answer("/manifests/", raw(c.manifest))
		_, _, diags, err = get(t, r, s.ref(":1.0.0"))
		refused(t, c.code, diags, err, c.word)
	}
	answer("/manifests/", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Docker-Content-Digest", good.Manifest)
		w.Header().Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
		_, _ = io.WriteString(w, `{"schemaVersion":2}`)
	})
	_, diags, err = r.Fetch(t.Context(), s.ref(":1.0.0"), good)
	refused(t, diag.ChartDigest, diags, err, good.Manifest, sum([]byte(`{"schemaVersion":2}`)))
}

// What is locked is fetched by its digest: a tag that moved changes nothing, and another digest in the lock is told.
func TestATagThatMovedDoesNotChangeWhatIsLocked(t *testing.T) {
	t.Parallel()
	s := newOCI(t)
	archive := tgz(t, "web", "1.0.0")
	s.push(t, archive, "web", "1.0.0")
	r := s.remote(t, nil)
	locked, diags, err := r.Resolve(t.Context(), s.ref(":1.0.0"))
	require.NoError(t, err)
	require.Empty(t, diags)
	s.push(t, tgz(t, "web", "1.0.0-moved"), "web", "1.0.0", helmregistry.PushOptStrictMode(false))
	out, diags, err := r.Fetch(t.Context(), s.ref(":1.0.0"), locked)
	require.NoError(t, err)
	require.Empty(t, diags)
	require.Equal(t, archive, out.Archive)
	now, _, _ := r.Resolve(t.Context(), s.ref(":1.0.0"))
	require.NotEqual(t, locked.Manifest, now.Manifest)
	_, diags, err = r.Resolve(t.Context(), Ref{Chart: s.ref("@" + locked.Manifest).Chart, Version: "1.0.0"})
	refused(t, diag.ChartDigest, diags, err, locked.Manifest, now.Manifest)
	other := locked
	other.Digest = strings.Repeat("0", 64)
	_, diags, err = r.Fetch(t.Context(), s.ref(":1.0.0"), other)
	refused(t, diag.ChartDigest, diags, err, other.Digest, sum(archive))
	gone := locked
	gone.Manifest = "sha256:" + strings.Repeat("0", 64)
	_, diags, err = r.Fetch(t.Context(), s.ref(":1.0.0"), gone)
	refused(t, diag.ChartNoVersion, diags, err, gone.Manifest)
}

func TestARegistryWithoutTLSOnRequest(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(s.Close)
	host := strings.TrimPrefix(s.URL, "http://")
	c, err := helmregistry.NewClient(helmregistry.ClientOptPlainHTTP(), helmregistry.ClientOptWriter(io.Discard),
		helmregistry.ClientOptCredentialsFile(filepath.Join(t.TempDir(), "none.json")))
	require.NoError(t, err)
	archive := tgz(t, "web", "1.0.0")
	_, err = c.Push(archive, host+"/web:1.0.0")
	require.NoError(t, err)
	ref := Ref{Chart: "oci://" + host + "/web"}
	_, _, diags, err := get(t, remoteOf(t, nil), ref)
	require.Empty(t, diags)
	require.ErrorContains(t, err, "HTTP response to HTTPS client")
	_, out, diags, err := get(t, remoteOf(t, func(o *RemoteOptions) { o.PlainHTTP = true }), ref)
	require.NoError(t, err)
	require.Empty(t, diags)
	require.Equal(t, archive, out.Archive)
}

// An index may list a chart of a registry; the repository's password is not for that.
func TestAnIndexThatListsARegistry(t *testing.T) {
	t.Parallel()
	s := newOCI(t)
	archive := tgz(t, "web", "1.2.3")
	s.push(t, archive, "web", "1.2.3")
	var sent []string
	s.put(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			sent = append(sent, r.Header.Get("Authorization"))
			next.ServeHTTP(w, r)
		})
	})
	repo := httptest.NewTLSServer(text(indexOf("oci://"+s.host+"/charts/web:1.2.3", sum(archive))))
	t.Cleanup(repo.Close)
	_, out, diags, err := get(t, remoteOf(t, nil), refOf(t, repo, func(r *Repository) {
		r.CAFile, r.SkipTLSVerify, r.Username, r.Password = "", true, "me", "right"
	}))
	require.NoError(t, err)
	require.Empty(t, diags)
	require.Equal(t, archive, out.Archive)
	require.False(t, slices.ContainsFunc(sent, func(a string) bool { return a != "" }), sent)
}
