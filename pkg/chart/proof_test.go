package chart

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/source"
	"github.com/stretchr/testify/require"
)

// kept is a cache in memory.
type kept map[string][]byte

func (k kept) Get(key string) ([]byte, bool)     { data, ok := k[key]; return data, ok }
func (k kept) Put(key string, data []byte) error { k[key] = data; return nil }

// Provenance was only asked for where the bytes came over the network: what was fetched for somebody else, what the cache
// had, and what was vendored went unverified.
func TestProvenanceIsAskedForWhereverTheBytesComeFrom(t *testing.T) {
	t.Parallel()
	key, ring := signer(t)
	_, stranger := signer(t)
	s, a, archive := repository(t)
	a["/charts/web-1.2.3.tgz.prov"] = text(sign(t, key, archive, "web-1.2.3.tgz"))
	plain := refOf(t, s, nil)
	by := func(ring string) Ref {
		r := plain
		repository := *plain.Repository
		repository.Verify, repository.Keyring = ring != "", ring
		r.Repository, r.Version = &repository, "1.2.3"
		return r
	}
	nothing := source.Tree{FS: fstest.MapFS{}}
	load := func(st *Store, ring string) diag.Diagnostics {
		_, diags, err := st.Load(t.Context(), by(ring))
		require.NoError(t, err)
		return diags
	}

	// Fetched for who does not ask, in one run.
	cache := kept{}
	st := NewStore(Options{Stack: nothing, Network: remoteOf(t, nil), Cache: cache})
	require.Empty(t, load(st, ""))
	refused(t, diag.ChartProvenance, load(st, stranger), nil, "does not have")
	require.Empty(t, load(st, ring))
	l, diags, err := st.Lock(t.Context(), []Ref{by("")}, LockOptions{})
	require.NoError(t, err)
	require.Empty(t, diags)

	// From the cache, without a network: with the .prov file and without.
	require.Contains(t, cache, provenanceKey(sum(archive)))
	offline := func(cache Cache, files source.Tree) *Store {
		return NewStore(Options{Stack: nothing, Files: files, Lock: l, Cache: cache})
	}
	require.Empty(t, load(offline(cache, source.Tree{}), ring))
	refused(t, diag.ChartProvenance, load(offline(cache, source.Tree{}), stranger), nil, "does not have")
	bare := kept{cacheKey(sum(archive)): archive}
	refused(t, diag.ChartProvenance, load(offline(bare, source.Tree{}), ring), nil, "neither vendor/charts nor the cache has it")

	// Vendored: the .prov file comes along, also where the archive was there before.
	dir := t.TempDir()
	vendoring := NewStore(Options{Stack: nothing, Lock: l, Network: remoteOf(t, nil)})
	out, diags, err := vendoring.Vendor(t.Context(), dir, []Ref{by("")})
	require.NoError(t, err)
	require.Empty(t, diags)
	require.Len(t, out.Written, 1)
	vendored := source.Tree{FS: os.DirFS(dir)}
	refused(t, diag.ChartProvenance, load(offline(nil, vendored), ring), nil, "neither vendor/charts nor the cache has it")
	_, diags, err = vendoring.Vendor(t.Context(), dir, []Ref{by(""), by(stranger)})
	refused(t, diag.ChartProvenance, diags, err, "does not have")
	out, diags, err = vendoring.Vendor(t.Context(), dir, []Ref{by(""), by(ring)})
	require.NoError(t, err)
	require.Empty(t, diags)
	require.Equal(t, []string{l.Entries[0].provenance()}, out.Written)
	require.Empty(t, load(offline(nil, vendored), ring))
	require.Empty(t, load(offline(nil, vendored), ""))
	refused(t, diag.ChartProvenance, load(offline(nil, vendored), stranger), nil, "does not have")

	// In an archive for a machine without a network.
	var packed strings.Builder
	diags, err = NewStore(Options{Stack: nothing, Files: vendored, Lock: l}).VendorArchive(t.Context(), &packed, []Ref{by(ring)})
	require.NoError(t, err)
	require.Empty(t, diags)
	other := t.TempDir()
	out, diags, err = UnpackVendor(t.Context(), strings.NewReader(packed.String()), other)
	require.NoError(t, err)
	require.Empty(t, diags)
	require.Len(t, out.Written, 2)
	require.Empty(t, load(offline(nil, source.Tree{FS: os.DirFS(other)}), ring))

	// What nothing names any more goes with its .prov file.
	empty := NewStore(Options{Stack: nothing, Lock: &Lock{}})
	out, _, err = empty.Vendor(t.Context(), other, nil)
	require.NoError(t, err)
	require.Len(t, out.Removed, 2)
}

// What one repository had without looking at the certificate was handed to another that looks.
func TestWhatCameOnAnotherWayIsNotShared(t *testing.T) {
	t.Parallel()
	s, _, _ := repository(t)
	lax := refOf(t, s, func(r *Repository) { r.CAFile, r.SkipTLSVerify = "", true })
	strict := refOf(t, s, func(r *Repository) { r.CAFile = "" })
	st := NewStore(Options{Stack: source.Tree{FS: fstest.MapFS{}}, Network: remoteOf(t, nil)})
	_, diags, err := st.Load(t.Context(), lax)
	require.NoError(t, err)
	require.Empty(t, diags)
	_, _, err = st.Load(t.Context(), strict)
	require.ErrorContains(t, err, "certificate")
}

// An index that names an address without a scheme got the repository's query, which may be a token, sent to any host.
func TestTheQueryOfARepositoryStaysAtItsOrigin(t *testing.T) {
	t.Parallel()
	archive := tgz(t, "web", "1.2.3")
	asked := make(chan string, 4)
	evil := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.URL.String()
		w.Write(archive)
	}))
	defer evil.Close()
	s := httptest.NewTLSServer(answers{"/index.yaml": text(indexOf(strings.TrimPrefix(evil.URL, "https:")+"/web-1.2.3.tgz", sum(archive)))})
	defer s.Close()
	repo := Repository{Name: "r", URL: s.URL + "/?token=SECRET", SkipTLSVerify: true}
	_, diags, err := NewStore(Options{Stack: source.Tree{FS: fstest.MapFS{}}, Network: remoteOf(t, nil)}).Load(t.Context(), Ref{Chart: "r/web", Repository: &repo})
	require.NoError(t, err)
	require.Empty(t, diags)
	require.Equal(t, "/web-1.2.3.tgz", <-asked)
}

// A digest in capitals was never that of what came, and what is no sha256 was taken for one.
func TestTheDigestOfAnIndexMayBeWrittenOtherwise(t *testing.T) {
	t.Parallel()
	archive := tgz(t, "web", "1.2.3")
	for _, digest := range []string{strings.ToUpper(sum(archive)), "sha256:" + sum(archive), "md5:0123", "", sum(archive)} {
		s := httptest.NewTLSServer(answers{"/index.yaml": text(indexOf("web-1.2.3.tgz", digest)), "/web-1.2.3.tgz": text(archive)})
		repo := Repository{Name: "r", URL: s.URL, CAFile: caOf(t, s)}
		_, diags, err := NewStore(Options{Stack: source.Tree{FS: fstest.MapFS{}}, Network: remoteOf(t, nil)}).Load(t.Context(), Ref{Chart: "r/web", Repository: &repo})
		s.Close()
		require.NoError(t, err, digest)
		require.Empty(t, diags, digest)
	}
}

// Who asked first and gave up was the end of the index for all others.
func TestAnIndexIsAskedForAgainAfterSomebodyGaveUp(t *testing.T) {
	t.Parallel()
	s, _, _ := repository(t)
	r, ref := remoteOf(t, nil), refOf(t, s, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, _, err := r.Resolve(ctx, ref)
	require.ErrorIs(t, err, context.Canceled)
	_, diags, err := r.Resolve(t.Context(), ref)
	require.NoError(t, err)
	require.Empty(t, diags)
}

// The digest of a chart of git is that of its files, and an archive with them in another order installed CRDs in that order.
func TestTheOrderOfAVendoredArchiveOfGitDoesNotMatter(t *testing.T) {
	t.Parallel()
	files := []File{
		{Name: "Chart.yaml", Data: []byte("apiVersion: v2\nname: web\nversion: 1.0.0\n")},
		{Name: "crds/a.yaml", Data: []byte("a: 1\n")},
		{Name: "crds/b.yaml", Data: []byte("b: 1\n")},
	}
	p, err := received(Fetched{Files: files}, true)
	require.NoError(t, err)
	ref := Ref{Chart: "git+https://h.example.com/r"}
	e := Entry{Key: KeyOf(ref), Name: "web", Version: "1.0.0", URL: ref.Chart, SHA256: p.digest, Commit: strings.Repeat("a", 40)}
	other, err := pack("web", []File{files[0], files[2], files[1]})
	require.NoError(t, err)
	dir := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, VendorDir), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, VendorDir, e.file()), other, 0o600))
	c, diags, err := NewStore(Options{Stack: source.Tree{FS: fstest.MapFS{}}, Files: source.Tree{FS: os.DirFS(dir)}, Lock: &Lock{Entries: []Entry{e}}}).Load(t.Context(), ref)
	require.NoError(t, err)
	require.Empty(t, diags)
	require.Equal(t, files, c.Files)
}

// Two processes wrote into one file, and the first to end removed what the other was writing.
func TestVendoringLeavesWhatAnotherProcessIsWriting(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	vendor := filepath.Join(dir, VendorDir)
	require.NoError(t, os.MkdirAll(vendor, 0o755))
	const name = "-web-1.0.0-0123456789ab.tgz"
	for _, file := range []string{".new-00000001", ".new-00000002"} {
		require.NoError(t, os.WriteFile(filepath.Join(vendor, file+name), nil, 0o600))
	}
	old := time.Now().Add(-2 * abandoned)
	require.NoError(t, os.Chtimes(filepath.Join(vendor, ".new-00000001"+name), old, old))
	out, diags, err := NewStore(Options{Stack: source.Tree{FS: fstest.MapFS{}}, Lock: &Lock{}}).Vendor(t.Context(), dir, nil)
	require.NoError(t, err)
	require.Empty(t, diags)
	require.Equal(t, []string{".new-00000001" + name}, out.Removed)
}
