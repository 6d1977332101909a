package chart

import (
	"io/fs"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"

	"github.com/go-git/go-git/v5/storage/memory"
	"github.com/stretchr/testify/require"

	"github.com/redkubes/otomi/pkg/diag"
)

// state is a repository of files of a state.
func state(t *testing.T) (g *gitServer, commits [2]string) {
	t.Helper()
	store := memory.NewStorage()
	first := commit(t, store, map[string]string{
		"helmfile.yaml": "one", "deep/values.yaml": "a: 1", "deep/er/x.yaml": "b: 1", "link.yaml@": "deep/values.yaml", "folder@": "deep/er",
		"deep/back.yaml@": "../helmfile.yaml", "out.yaml@": "../../etc/passwd", "root.yaml@": "/etc/passwd", "circle@": "circle",
	})
	second := commit(t, store, map[string]string{"helmfile.yaml": "two"}, first)
	point(t, store, "refs/tags/v1", first)
	point(t, store, "refs/heads/main", second)
	point(t, store, "HEAD", second)
	return newGit(t, store), [2]string{first.String(), second.String()}
}

func read(t *testing.T, d Download, name string) string {
	t.Helper()
	b, err := fs.ReadFile(d.FS, name)
	require.NoError(t, err, name)
	return string(b)
}

func TestAFileOfAStateInGitIsFetched(t *testing.T) {
	t.Parallel()
	g, commits := state(t)
	r := remoteOf(t, func(o *RemoteOptions) { o.SkipTLSVerify = true })
	at := "git::" + g.URL + "/r.git"
	for address, want := range map[string]string{
		at + "@helmfile.yaml?ref=v1":                                       "one",
		at + "@helmfile.yaml":                                              "two",
		at + "@/helmfile.yaml?ref=main&cache=false&depth=1":                "two",
		at + "@helmfile.yaml?ref=" + commits[0]:                            "one",
		at + "@deep/values.yaml?ref=v1":                                    "a: 1",
		at + "@link.yaml?ref=v1":                                           "a: 1",
		at + "@folder/x.yaml?ref=v1":                                       "b: 1",
		at + "@deep/back.yaml?ref=v1":                                      "one",
		at + "//deep@values.yaml?ref=v1":                                   "a: 1",
		strings.Replace(at, "/r.", "/moved.", 1) + "@helmfile.yaml?ref=v1": "one",
		strings.Replace(strings.Replace(at, "/r.", "/private.", 1), "https://", "https://me:right@", 1) + "@helmfile.yaml?ref=v1": "one",
	} {
		d, ds, err := r.Download(t.Context(), address, nil)
		require.NoError(t, err, address)
		require.Empty(t, ds, address)
		require.Equal(t, want, read(t, d, d.Name), address)
		require.NotContains(t, d.Shown, "right")
	}
	d, _, err := r.Download(t.Context(), at+"@helmfile.yaml?ref=v1", nil)
	require.NoError(t, err)
	require.Equal(t, strings.TrimPrefix(g.URL, "https://")+"/r.git@v1", d.Shown)
	for _, name := range []string{"out.yaml", "root.yaml", "circle", "absent", "deep/absent", "helmfile.yaml/x", "../x", "/x"} {
		_, err := fs.ReadFile(d.FS, name)
		require.Error(t, err, name)
	}
	entries, err := fs.ReadDir(d.FS, "deep")
	require.NoError(t, err)
	require.Len(t, entries, 3)

	// A directory is all that is fetched of one that is named by //.
	d, _, err = r.Download(t.Context(), at+"//deep@values.yaml?ref=v1", nil)
	require.NoError(t, err)
	_, err = fs.ReadFile(d.FS, "../helmfile.yaml")
	require.Error(t, err)
	_, err = fs.ReadFile(d.FS, "back.yaml") // a link that leads out of the directory
	require.Error(t, err)
	d, _, err = r.Download(t.Context(), at+"//deep/er@x.yaml?ref=v1", nil)
	require.NoError(t, err)
	require.NoError(t, fstest.TestFS(d.FS, "x.yaml"))
}

func TestAPointerOfGitLFSWasReadAsTheFile(t *testing.T) {
	t.Parallel()
	store := memory.NewStorage()
	text := "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n"
	point(t, store, "HEAD", commit(t, store, map[string]string{
		"values.yaml": text, "link.yaml@": "values.yaml", "about.md": strings.Repeat("#", 2000) + text, "version.txt": "version https://git-lfs.github.com/\n",
	}))
	g := newGit(t, store)
	r := remoteOf(t, func(o *RemoteOptions) { o.SkipTLSVerify = true })
	d, ds, err := r.Download(t.Context(), "git::"+g.URL+"/r.git@values.yaml", nil)
	require.NoError(t, err)
	require.Empty(t, ds)
	for _, name := range []string{"values.yaml", "link.yaml"} {
		_, err = fs.ReadFile(d.FS, name)
		require.ErrorContains(t, err, "commit the file itself", name)
	}
	require.Contains(t, read(t, d, "about.md"), "git-lfs")
	require.Contains(t, read(t, d, "version.txt"), "git-lfs")
}

func TestFilesOfACommitAreReadSideBySide(t *testing.T) {
	t.Parallel()
	g, _ := state(t)
	r := remoteOf(t, func(o *RemoteOptions) { o.SkipTLSVerify = true })
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			d, _, err := r.Download(t.Context(), "git::"+g.URL+"/r.git@helmfile.yaml?ref=v1", nil)
			if err != nil {
				t.Error(err)
				return
			}
			for range 50 {
				if _, err := fs.ReadFile(d.FS, "deep/er/x.yaml"); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
}

func TestACommitIsKeptAndABranchAskedFor(t *testing.T) {
	t.Parallel()
	g, commits := state(t)
	cache := kept{}
	download := func(rest string) (string, error) {
		r := remoteOf(t, func(o *RemoteOptions) { o.SkipTLSVerify = true })
		d, ds, err := r.Download(t.Context(), "git::"+g.URL+"/r.git@helmfile.yaml"+rest, cache)
		if err != nil {
			return "", err
		}
		require.Empty(t, ds)
		return read(t, d, d.Name), nil
	}
	out, err := download("?ref=main")
	require.NoError(t, err)
	require.Equal(t, "two", out)
	require.Len(t, cache, 1)
	// The branch moves.
	third := commit(t, g.store, map[string]string{"helmfile.yaml": "three"})
	point(t, g.store, "refs/heads/main", third)
	out, err = download("?ref=main")
	require.NoError(t, err)
	require.Equal(t, "three", out)
	// A commit is the same for ever, also without its server.
	g.Close()
	out, err = download("?ref=" + commits[1])
	require.NoError(t, err)
	require.Equal(t, "two", out)
	_, err = download("?ref=main")
	require.ErrorContains(t, err, "fetching ")
}

func TestAFileOfAStateIsFetchedByItsAddress(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		switch r.URL.Path {
		case "/dir/values.yaml":
			_, _ = w.Write([]byte("a: " + r.URL.RawQuery))
		case "/private.yaml":
			if _, password, _ := r.BasicAuth(); password != "right" {
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			_, _ = w.Write([]byte("secret"))
		case "/large.yaml":
			_, _ = w.Write(make([]byte, maxDownload+1))
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(s.Close)
	r := remoteOf(t, func(o *RemoteOptions) { o.SkipTLSVerify = true })
	for range 2 {
		d, ds, err := r.Download(t.Context(), s.URL+"/dir/values.yaml?b=1&cache=false", nil)
		require.NoError(t, err)
		require.Empty(t, ds)
		require.Equal(t, "a: b=1", read(t, d, d.Name))
		require.Equal(t, strings.TrimPrefix(s.URL, "https://")+"/dir", d.Shown)
		require.NoError(t, fstest.TestFS(d.FS, "values.yaml"))
	}
	require.EqualValues(t, 1, asked.Load())
	d, ds, err := r.Download(t.Context(), strings.Replace(s.URL, "//", "//me:right@", 1)+"/private.yaml", nil)
	require.NoError(t, err)
	require.Empty(t, ds)
	require.Equal(t, "secret", read(t, d, d.Name))
	for address, word := range map[string]string{
		s.URL + "/private.yaml": "wants credentials",
		strings.Replace(s.URL, "//", "//me:wrong@", 1) + "/private.yaml": "does not accept the credentials",
		s.URL + "/absent.yaml": "has no file /absent.yaml",
		s.URL + "/large.yaml":  "more than 16 MiB",
		s.URL + "/":            "names no file",
	} {
		_, ds, err := r.Download(t.Context(), address, nil)
		require.NoError(t, err, address)
		require.Len(t, ds, 1, address)
		require.Equal(t, diag.RunlevelRemote, ds[0].Code)
		require.Contains(t, ds[0].Detail, word)
		require.NotContains(t, ds[0].Detail, "wrong")
	}
}

func TestARedirectToAnotherHostIsAskedFor(t *testing.T) {
	t.Parallel()
	var got http.Header
	other := httptest.NewTLSServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.Header }))
	t.Cleanup(other.Close)
	s := httptest.NewTLSServer(http.RedirectHandler(other.URL+"/x.yaml", http.StatusFound))
	t.Cleanup(s.Close)
	address := strings.Replace(s.URL, "//", "//me:right@", 1) + "/x.yaml"
	first := strings.TrimPrefix(s.URL, "https://")
	r := remoteOf(t, func(o *RemoteOptions) {
		o.SkipTLSVerify = true
		o.Allow = func(host string) bool { return host == first }
	})
	_, ds, err := r.Download(t.Context(), address, nil)
	require.NoError(t, err)
	require.Len(t, ds, 1)
	require.Equal(t, diag.TemplateForbidden, ds[0].Code)
	require.Contains(t, ds[0].Detail, "--allow net="+strings.TrimPrefix(other.URL, "https://"))
	require.Nil(t, got)
	r = remoteOf(t, func(o *RemoteOptions) { o.SkipTLSVerify = true })
	_, ds, err = r.Download(t.Context(), address, nil)
	require.NoError(t, err)
	require.Empty(t, ds)
	require.Empty(t, got.Get("Authorization"))
}

func TestWhatIsNotFetchedIsRefusedByName(t *testing.T) {
	t.Parallel()
	g, _ := state(t)
	r := remoteOf(t, func(o *RemoteOptions) { o.SkipTLSVerify = true })
	at := "git::" + g.URL + "/r.git"
	for address, word := range map[string]string{
		at + "/helmfile.yaml?ref=v1":                      "Write one @ between them",
		at + "@a@b":                                       "Write one @ between them",
		at + "@x?sshkey=abc":                              `the option "sshkey"`,
		"git::" + g.URL + "/@x":                           "names no repository",
		at + "@x?ref=v9":                                  "no tag and no branch",
		at + "//none@x?ref=v1":                            "no directory none",
		"git::" + g.URL + "/private.git@x":                "git::https://USER",
		"git::ssh://git@example.com/team/r.git@x":         "Write git::https://example.com/team/r.git",
		"git::git@example.com:team/r.git@x":               "the address is no URL",
		"git::file:///r.git@x":                            "over https alone",
		"s3://bucket/x.yaml":                              "nothing from S3",
		"s3::https://bucket.s3.eu-west-1.amazonaws.com/x": "nothing from S3",
		"https::https://example.com/x.tgz@y":              "no archives",
		"hg::https://example.com/x@y":                     `no getter "hg"`,
		"git+https://example.com/r@v1":                    "another form",
		"ftp://example.com/x":                             `over "ftp"`,
		"https:///x.yaml":                                 "no host",
		"https://me:p%zz@example.com/x":                   "the address is no URL",
	} {
		_, ds, err := r.Download(t.Context(), address, nil)
		require.NoError(t, err, address)
		require.Len(t, ds, 1, address)
		require.Equal(t, diag.RunlevelRemote, ds[0].Code, address)
		require.Contains(t, ds[0].Detail, word, address)
	}
	none := NewRemote(RemoteOptions{})
	_, ds, err := none.Download(t.Context(), "git::https://me:hidden@example.com:8443/r.git@a/b.yaml?ref=v1", nil)
	require.NoError(t, err)
	require.Len(t, ds, 1)
	require.Equal(t, diag.TemplateForbidden, ds[0].Code)
	require.Equal(t, "example.com:8443/r.git@v1 is on the network, which a state file may only reach where you allow it. "+
		"Allow it: --allow net=example.com:8443", ds[0].Detail)
	plain := remoteOf(t, func(*RemoteOptions) {})
	_, ds, err = plain.Download(t.Context(), "http://example.com/x.yaml", nil)
	require.NoError(t, err)
	require.Len(t, ds, 1)
	require.Contains(t, ds[0].Detail, "without TLS")
}

func TestSecretsOfAnAddress(t *testing.T) {
	t.Parallel()
	require.ElementsMatch(t, []string{"hunter2", "a", "b"}, SecretsOf("git::https://me:hunter2@example.com/r.git@x?ref=v1&ACCESS_TOKEN=a&X-Amz-Signature=b"))
	require.Empty(t, SecretsOf("https://example.com/x?ref=v1"))
	require.Empty(t, SecretsOf("::"))
}
