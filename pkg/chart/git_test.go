package chart

import (
	"bytes"
	"compress/zlib"
	"crypto/sha1"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/format/pktline"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/storer"
	"github.com/go-git/go-git/v5/plumbing/transport"
	"github.com/go-git/go-git/v5/plumbing/transport/server"
	"github.com/go-git/go-git/v5/storage/memory"
	"github.com/stretchr/testify/require"

	"github.com/redkubes/otomi/pkg/diag"
)

// gitServer serves one repository, r.git, over smart HTTP, by go-git's own server.
type gitServer struct {
	*httptest.Server
	store storer.Storer
}

func (g *gitServer) Load(*transport.Endpoint) (storer.Storer, error) { return g.store, nil }

func newGit(t *testing.T, store storer.Storer) *gitServer {
	t.Helper()
	g := &gitServer{store: store}
	mux := http.NewServeMux()
	fail := func(w http.ResponseWriter, err error) bool {
		if err != nil {
			http.Error(w, err.Error(), http.StatusTeapot)
		}
		return err != nil
	}
	mux.HandleFunc("GET /r.git/info/refs", func(w http.ResponseWriter, r *http.Request) {
		s, err := server.NewServer(g).NewUploadPackSession(&transport.Endpoint{}, nil)
		if fail(w, err) {
			return
		}
		refs, err := s.AdvertisedReferencesContext(r.Context())
		if fail(w, err) {
			return
		}
		refs.Prefix = [][]byte{[]byte("# service=git-upload-pack"), pktline.Flush}
		w.Header().Set("Content-Type", "application/x-git-upload-pack-advertisement")
		_ = refs.Encode(w)
	})
	mux.HandleFunc("POST /r.git/git-upload-pack", func(w http.ResponseWriter, r *http.Request) {
		s, err := server.NewServer(g).NewUploadPackSession(&transport.Endpoint{}, nil)
		if fail(w, err) {
			return
		}
		req := packp.NewUploadPackRequest()
		if fail(w, req.Decode(r.Body)) {
			return
		}
		answer, err := s.UploadPack(r.Context(), req)
		if fail(w, err) {
			return
		}
		w.Header().Set("Content-Type", "application/x-git-upload-pack-result")
		_ = answer.Encode(w)
	})
	mux.HandleFunc("/moved.git/", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, strings.Replace(r.URL.String(), "/moved.git", "/r.git", 1), http.StatusMovedPermanently)
	})
	mux.Handle("/private.git/", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if u, p, _ := r.BasicAuth(); u != "me" || p != "right" {
			w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		r2 := r.Clone(r.Context())
		r2.URL.Path = strings.Replace(r.URL.Path, "/private.git", "/r.git", 1)
		mux.ServeHTTP(w, r2)
	}))
	g.Server = httptest.NewTLSServer(mux)
	g.Config.ErrorLog = log.New(io.Discard, "", 0)
	t.Cleanup(g.Close)
	return g
}

// commit writes a commit of files, whose names end in @ for links, and returns its hash.
func commit(t *testing.T, s storer.Storer, files map[string]string, parents ...plumbing.Hash) plumbing.Hash {
	t.Helper()
	c := &object.Commit{
		Author: object.Signature{Name: "a", When: time.Unix(1, 0)}, Committer: object.Signature{Name: "a", When: time.Unix(1, 0)},
		Message: "m", TreeHash: tree(t, s, files), ParentHashes: parents,
	}
	return encode(t, s, c.Encode)
}

func tree(t *testing.T, s storer.Storer, files map[string]string) plumbing.Hash {
	t.Helper()
	sub, out := map[string]map[string]string{}, &object.Tree{}
	for name, data := range files {
		if dir, rest, ok := strings.Cut(name, "/"); ok {
			if sub[dir] == nil {
				sub[dir] = map[string]string{}
			}
			sub[dir][rest] = data
			continue
		}
		mode := filemode.Regular
		if link, ok := strings.CutSuffix(name, "@"); ok {
			name, mode = link, filemode.Symlink
		}
		h := encode(t, s, func(o plumbing.EncodedObject) error {
			o.SetType(plumbing.BlobObject)
			w, err := o.Writer()
			if err != nil {
				return err
			}
			_, err = io.WriteString(w, data)
			return errors.Join(err, w.Close())
		})
		out.Entries = append(out.Entries, object.TreeEntry{Name: name, Mode: mode, Hash: h})
	}
	for dir, files := range sub {
		out.Entries = append(out.Entries, object.TreeEntry{Name: dir, Mode: filemode.Dir, Hash: tree(t, s, files)})
	}
	sortTree(out.Entries)
	return encode(t, s, out.Encode)
}

func sortTree(entries []object.TreeEntry) {
	for i := range entries {
		for j := i; j > 0 && entries[j].Name < entries[j-1].Name; j-- {
			entries[j], entries[j-1] = entries[j-1], entries[j]
		}
	}
}

func encode(t *testing.T, s storer.Storer, write func(plumbing.EncodedObject) error) plumbing.Hash {
	t.Helper()
	o := s.NewEncodedObject()
	require.NoError(t, write(o))
	h, err := s.SetEncodedObject(o)
	require.NoError(t, err)
	return h
}

func point(t *testing.T, s storer.Storer, name string, to plumbing.Hash) {
	t.Helper()
	require.NoError(t, s.SetReference(plumbing.NewHashReference(plumbing.ReferenceName(name), to)))
}

// charted is a repository with two versions of a chart.
func charted(t *testing.T) (store *memory.Storage, first, second plumbing.Hash) {
	t.Helper()
	store = memory.NewStorage()
	first = commit(t, store, map[string]string{"README.md": "r", "charts/web/Chart.yaml": "one", "charts/web/templates/a.yaml": "a: 1\n"})
	second = commit(t, store, map[string]string{"README.md": "r", "charts/web/Chart.yaml": "two", "charts/web/values.yaml": "b: 1\n", "charts/bad/link@": "/etc/passwd"}, first)
	point(t, store, "refs/tags/v1.0.0", first)
	point(t, store, "refs/heads/main", second)
	point(t, store, "refs/heads/feature/x", first)
	point(t, store, "refs/tags/v1.10.0", second)
	point(t, store, "refs/tags/v1.9.0", second)
	point(t, store, "refs/tags/nonsense", second)
	point(t, store, "refs/tags/main", first) // a tag is before a branch
	tag := encode(t, store, (&object.Tag{Name: "annotated", Tagger: object.Signature{Name: "a", When: time.Unix(1, 0)}, Message: "m\n", TargetType: plumbing.CommitObject, Target: first}).Encode)
	point(t, store, "refs/tags/annotated", tag)
	require.NoError(t, store.SetReference(plumbing.NewSymbolicReference(plumbing.HEAD, "refs/heads/main")))
	return store, first, second
}

var (
	oldFiles = []File{{Name: "Chart.yaml", Data: []byte("one")}, {Name: "templates/a.yaml", Data: []byte("a: 1\n")}}
	newFiles = []File{{Name: "Chart.yaml", Data: []byte("two")}, {Name: "values.yaml", Data: []byte("b: 1\n")}}
)

func TestAChartOfGitIsFetched(t *testing.T) {
	t.Parallel()
	store, first, second := charted(t)
	g := newGit(t, store)
	ca := caOf(t, g.Server)
	r := remoteOf(t, func(o *RemoteOptions) { o.CAFile = ca })
	for rest, want := range map[string]struct {
		commit plumbing.Hash
		files  []File
	}{
		"//charts/web@v1.0.0":             {first, oldFiles},
		"//charts/web@v1.10.0":            {second, newFiles},
		"//charts/web@main":               {first, oldFiles},
		"//charts/web@heads/main":         {second, newFiles},
		"//charts/web@refs/heads/main":    {second, newFiles},
		"//charts/web@feature/x":          {first, oldFiles},
		"//charts/web":                    {second, newFiles},
		"//charts/web/":                   {second, newFiles},
		"//charts/web@" + first.String():  {first, oldFiles},
		"//charts/web@" + second.String(): {second, newFiles},
		"//../charts/./web@v1.0.0":        {first, oldFiles},
	} {
		to, out, diags, err := get(t, r, Ref{Chart: "git+" + g.URL + "/r.git" + rest})
		require.NoError(t, err, rest)
		require.Empty(t, diags, rest)
		require.Equal(t, Resolved{Name: "web", URL: "git+" + g.URL + "/r.git//charts/web", Commit: want.commit.String()}, to, rest)
		require.Equal(t, want.files, out.Files, rest)
		require.Nil(t, out.Archive)
	}
	_, out, diags, err := get(t, r, Ref{Chart: "git+" + g.URL + "/r.git//charts/web@annotated"})
	require.NoError(t, err)
	require.Empty(t, diags)
	require.Equal(t, oldFiles, out.Files)
	to, out, diags, err := get(t, r, Ref{Chart: "git+" + g.URL + "/r.git@v1.0.0"})
	require.NoError(t, err)
	require.Empty(t, diags)
	require.Equal(t, "r", to.Name)
	require.Len(t, out.Files, 3)
	_, out, diags, err = get(t, r, Ref{Chart: "git+" + g.URL + "/moved.git//charts/web@v1.0.0"})
	require.NoError(t, err)
	require.Empty(t, diags)
	require.Equal(t, oldFiles, out.Files)

	// What is locked stays, wherever the branch went.
	ref := Ref{Chart: "git+" + g.URL + "/r.git//charts/web@heads/main"}
	out, diags, err = r.Fetch(t.Context(), ref, Resolved{Commit: first.String()})
	require.NoError(t, err)
	require.Empty(t, diags)
	require.Equal(t, oldFiles, out.Files)
	versions, diags, err := r.Versions(t.Context(), ref)
	require.NoError(t, err)
	require.Empty(t, diags)
	require.Equal(t, []string{"v1.10.0", "v1.9.0", "v1.0.0"}, versions)
}

func TestWhatGitDoesNotHaveIsNamed(t *testing.T) {
	t.Parallel()
	store, _, _ := charted(t)
	g := newGit(t, store)
	r := remoteOf(t, func(o *RemoteOptions) { o.SkipTLSVerify = true })
	for _, c := range []struct {
		rest string
		code diag.Code
		word string
	}{
		{"/r.git//charts/web@v9", diag.ChartNoVersion, "no tag and no branch"},
		{"/r.git//charts/web@abc1234", diag.ChartNoVersion, "all 40 digits"},
		{"/r.git//charts/nope@v1.0.0", diag.ChartMissing, "no directory charts/nope"},
		{"/r.git//README.md@v1.0.0", diag.ChartMissing, "no directory"},
		{"/r.git//charts/bad@v1.10.0", diag.ChartInvalid, "link of the chart"},
		{"/none.git//charts/web@v1.0.0", diag.ChartMissing, "no git repository"},
		{"/private.git//charts/web@v1.0.0", diag.ChartUnauthorized, "wants credentials"},
	} {
		_, _, diags, err := get(t, r, Ref{Chart: "git+" + g.URL + c.rest})
		refused(t, c.code, diags, err, c.word)
	}
	host := strings.TrimPrefix(g.URL, "https://")
	_, _, diags, err := get(t, r, Ref{Chart: "git+https://me:wrong-one@" + host + "/private.git//charts/web@v1.0.0"})
	require.NotContains(t, refused(t, diag.ChartUnauthorized, diags, err, "does not accept"), "wrong-one")
	to, out, diags, err := get(t, r, Ref{Chart: "git+https://me:right@" + host + "/private.git//charts/web@v1.0.0"})
	require.NoError(t, err)
	require.Empty(t, diags)
	require.Equal(t, oldFiles, out.Files)
	require.NotContains(t, to.URL, "right")
	empty := newGit(t, memory.NewStorage())
	_, _, diags, err = get(t, r, Ref{Chart: "git+" + empty.URL + "/r.git@v1"})
	require.True(t, err != nil || diags.HasErrors())
}

func TestAnEndlessAnswerOfGitEndsAtItsBound(t *testing.T) {
	t.Parallel()
	store, first, _ := charted(t)
	g := newGit(t, store)
	var part string
	front := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, part) {
			if part == "info/refs" {
				fmt.Fprint(w, "001e# service=git-upload-pack\n0000")
				for i := 0; r.Context().Err() == nil; i++ {
					line := fmt.Sprintf("%s refs/heads/%060d\n", first, i)
					if i == 0 {
						line = strings.TrimSuffix(line, "\n") + "\x00ofs-delta agent=x\n"
					}
					if _, err := fmt.Fprintf(w, "%04x%s", len(line)+4, line); err != nil {
						return
					}
				}
				return
			}
			fmt.Fprint(w, "0008NAK\nPACK\x00\x00\x00\x02\x00\x00\x00\x01")
			zeros(w, r)
			return
		}
		g.Config.Handler.ServeHTTP(w, r)
	}))
	t.Cleanup(front.Close)
	r := remoteOf(t, func(o *RemoteOptions) { o.SkipTLSVerify = true })
	for _, part = range []string{"info/refs", "git-upload-pack"} {
		_, _, diags, err := get(t, r, Ref{Chart: "git+" + front.URL + "/r.git//charts/web@v1.0.0"})
		refused(t, diag.ChartTooLarge, diags, err, "git")
	}
}

// A pack of a few bytes may unpack to anything; it is refused by what it announces.
func TestAPackThatUnpacksToTooMuchIsRefused(t *testing.T) {
	t.Parallel()
	type entry struct {
		kind   plumbing.ObjectType
		length int64 // as it is announced
		data   []byte
	}
	pack := func(count uint32, entries ...entry) []byte {
		out := binary.BigEndian.AppendUint32([]byte("PACK\x00\x00\x00\x02"), count)
		for _, e := range entries {
			offset := len(out)
			out = append(out, byte(e.kind)<<4|byte(e.length&15)|0x80)
			out = binary.AppendUvarint(out, uint64(e.length>>4))
			if e.kind == plumbing.OFSDeltaObject {
				out = append(out, byte(offset-12)) // the first object
			}
			var zipped bytes.Buffer
			w := zlib.NewWriter(&zipped)
			_, _ = w.Write(e.data)
			_ = w.Close()
			out = append(out, zipped.Bytes()...)
		}
		s := sha1.Sum(out)
		return append(out, s[:]...)
	}
	blob := func(announced int64, data string) entry { return entry{plumbing.BlobObject, announced, []byte(data)} }
	delta := func(target uint64) entry {
		d := binary.AppendUvarint(binary.AppendUvarint(nil, 5), target)
		return entry{plumbing.OFSDeltaObject, int64(len(d)), d}
	}
	p := place{url: mustParse(t, "https://h/r"), display: "x"}
	require.NoError(t, checkPack(p, pack(2, blob(5, "hello"), blob(5, "hallo"))))
	require.NoError(t, checkPack(p, pack(2, blob(5, "hello"), delta(maxObjects-100))))
	for name, c := range map[string]struct {
		pack []byte
		word string
	}{
		"one that is too large":      {pack(1, blob(maxObjects+1, "hello")), "256 MiB unpacked"},
		"two that are":               {pack(2, blob(5, "hello"), blob(maxObjects-4, "hello")), "256 MiB unpacked"},
		"a delta that makes it":      {pack(2, blob(5, "hello"), delta(maxObjects)), "256 MiB unpacked"},
		"a delta of any size":        {pack(2, blob(5, "hello"), delta(1<<63)), "256 MiB unpacked"},
		"more than was announced":    {pack(1, blob(4, "hello")), "exceeds declared size"},
		"too many":                   {pack(maxCount + 1), "500000 objects"},
		"fewer than were announced":  {pack(3, blob(5, "hello")), "reading what h sent"},
		"no pack":                    {[]byte("hello, world"), "reading what h sent"},
		"an end in the middle of it": {pack(1, blob(5, "hello"))[:14], "reading what h sent"},
	} {
		require.ErrorContains(t, checkPack(p, c.pack), c.word, name)
	}
}

// Directories of nothing but directories, the same ones again and again, are of any number in a pack of a kilobyte.
func TestADirectoryThatMultipliesIsRefused(t *testing.T) {
	t.Parallel()
	store := memory.NewStorage()
	below := tree(t, store, map[string]string{})
	for range 40 {
		var next object.Tree
		for i := range 10 {
			next.Entries = append(next.Entries, object.TreeEntry{Name: fmt.Sprint(i), Mode: filemode.Dir, Hash: below})
		}
		below = encode(t, store, next.Encode)
	}
	c := &object.Commit{Message: "m", TreeHash: below}
	point(t, store, "refs/tags/v1", encode(t, store, c.Encode))
	g := newGit(t, store)
	r := remoteOf(t, func(o *RemoteOptions) { o.SkipTLSVerify = true })
	_, _, diags, err := get(t, r, Ref{Chart: "git+" + g.URL + "/r.git@v1"})
	refused(t, diag.ChartTooLarge, diags, err, "10000 files and directories")
}

func TestANameThatNoFileMayHaveIsRefused(t *testing.T) {
	t.Parallel()
	store := memory.NewStorage()
	blob := encode(t, store, func(o plumbing.EncodedObject) error { o.SetType(plumbing.BlobObject); return nil })
	for i, names := range [][]string{{".."}, {"."}, {".git"}, {".GIT"}, {"a/b"}, {"a\\b"}, {"../../x"}, {"a", "a"}, {"deep"}} {
		var tr object.Tree
		for _, n := range names {
			tr.Entries = append(tr.Entries, object.TreeEntry{Name: n, Mode: filemode.Regular, Hash: blob})
		}
		h := plumbing.ZeroHash
		write := func(o plumbing.EncodedObject) error { // by hand, since git's library refuses some
			o.SetType(plumbing.TreeObject)
			w, err := o.Writer()
			for _, e := range tr.Entries {
				_, err = fmt.Fprintf(w, "100644 %s\x00%s", e.Name, e.Hash[:])
			}
			return errors.Join(err, w.Close())
		}
		h = encode(t, store, write)
		if names[0] == "deep" {
			for range maxDepth + 2 {
				up := object.Tree{Entries: []object.TreeEntry{{Name: "d", Mode: filemode.Dir, Hash: h}}}
				h = encode(t, store, up.Encode)
			}
		}
		top, err := object.GetTree(store, h)
		require.NoError(t, err)
		w := gitWalk{p: place{display: "x"}, objects: store}
		require.Error(t, w.tree(top, "", 0), "%d %q", i, names)
	}
}

// The same with git's own server: one commit without its history, and a commit by its hash.
func TestGitsOwnServer(t *testing.T) {
	t.Parallel()
	program, err := exec.LookPath("git")
	if err != nil {
		t.Skip("git is not installed: make test installs it")
	}
	root := t.TempDir()
	repo, err := git.PlainInit(filepath.Join(root, "r.git"), true)
	require.NoError(t, err)
	store, first, _ := charted(t)
	objects, err := store.IterEncodedObjects(plumbing.AnyObject)
	require.NoError(t, err)
	require.NoError(t, objects.ForEach(func(o plumbing.EncodedObject) error { _, err := repo.Storer.SetEncodedObject(o); return err }))
	refs, err := store.IterReferences()
	require.NoError(t, err)
	require.NoError(t, refs.ForEach(repo.Storer.SetReference))
	front := httptest.NewTLSServer(&cgi.Handler{
		Path: program, Args: []string{"http-backend"}, Logger: log.New(io.Discard, "", 0), Stderr: io.Discard,
		Env: []string{"GIT_PROJECT_ROOT=" + root, "GIT_HTTP_EXPORT_ALL=1", "GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*"},
	})
	t.Cleanup(front.Close)
	resp, err := front.Client().Get(front.URL + "/r.git/info/refs?service=git-upload-pack")
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	if resp.StatusCode != http.StatusOK {
		t.Skip("git http-backend is not installed: it comes with git, which make test installs")
	}
	r := remoteOf(t, func(o *RemoteOptions) { o.SkipTLSVerify = true })
	for rest, want := range map[string][]File{
		"//charts/web@v1.0.0": oldFiles, "//charts/web@annotated": oldFiles, "//charts/web": newFiles, "//charts/web@" + first.String(): oldFiles,
	} {
		to, out, diags, err := get(t, r, Ref{Chart: "git+" + front.URL + "/r.git" + rest})
		require.NoError(t, err, rest)
		require.Empty(t, diags, rest)
		require.Equal(t, want, out.Files, rest)
		if rest == "//charts/web@annotated" {
			require.Equal(t, first.String(), to.Commit, "the commit that the tag is about")
		}
	}
}
