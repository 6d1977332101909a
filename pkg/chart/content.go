package chart

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/redkubes/otomi/pkg/diag"
)

// content is a chart that comes from elsewhere, and what is known of it.
type content struct {
	entry Entry
	files []File
}

// content returns what a reference outside of the stack means, once for each key. Where provenance is asked for, it is
// verified wherever the bytes came from.
func (s *Store) content(ctx context.Context, r Ref) (content, diag.Diagnostics, error) {
	got, diags, err := s.meant(ctx, r)
	if err != nil || diags.HasErrors() || !wantsProvenance(r) || got.files == nil {
		return got, diags, err
	}
	_, more, err := s.proven(ctx, r, got.entry)
	return got, append(diags, more...), err
}

func (s *Store) meant(ctx context.Context, r Ref) (content, diag.Diagnostics, error) {
	key := KeyOf(r)
	return s.contents.get(ctx, s.slot(r, key), r.Range, func() (content, diag.Diagnostics, error) {
		if s.locking != nil {
			return s.locking.content(ctx, s, r, key)
		}
		if s.o.Lock == nil {
			return s.current(ctx, r, key)
		}
		e, ok := s.o.Lock.Find(key)
		if !ok {
			return content{}, diag.Diagnostics{{
				Severity: diag.Error, Code: diag.ChartNotLocked, Range: r.Range,
				Detail: fmt.Sprintf("charts.lock does not say which %s that is. Add it with: otomi charts lock", key),
			}}, nil
		}
		p, diags, err := s.parcel(ctx, r, e)
		if err != nil || diags.HasErrors() {
			return content{}, diags, err
		}
		files, refused := p.files()
		if refused != nil {
			return content{}, append(diags, refused.at(shownAs(key, e))), nil
		}
		return content{entry: e, files: files}, diags, nil
	})
}

// slot is under what the store remembers a reference. Where the network may be asked, the way to it is part of that.
func (s *Store) slot(r Ref, key Key) string {
	id := key.id() + "\x00" + r.commit
	if s.o.Network != nil {
		id += "\x00" + r.way()
	}
	return id
}

// current returns what the network says that a reference means now. It is fetched once for each address.
func (s *Store) current(ctx context.Context, r Ref, key Key) (content, diag.Diagnostics, error) {
	if s.o.Network == nil {
		return content{}, diag.Diagnostics{notFetched(r.Range, key, "There is no charts.lock. ")}, nil
	}
	to, diags, err := s.resolve(ctx, r, key)
	if err != nil || diags.HasErrors() {
		return content{}, diags, err
	}
	// The address alone is not all that is asked for: a query was taken from it, which an address or a repository may have.
	id := strings.Join([]string{to.URL, key.Chart, key.Repository, to.Version, to.Commit, to.Digest, r.way()}, "\x00")
	got, more, err := s.fetches.get(ctx, id, r.Range,
		func() (content, diag.Diagnostics, error) { return s.fetch(ctx, r, key, to) })
	diags = append(diags, more...)
	got.entry.Key = key
	return got, diags, err
}

// resolve asks what a reference means now. What a branch or tag of git means is asked once, so that charts of one
// repository fit together.
func (s *Store) resolve(ctx context.Context, r Ref, key Key) (Resolved, diag.Diagnostics, error) {
	if !strings.HasPrefix(key.Chart, "git+") {
		return s.o.Network.Resolve(ctx, r)
	}
	at, repository, revision := cutGit(key.Chart)
	to := Resolved{Name: chartName(at), URL: at, Commit: r.commit}
	if to.Commit != "" {
		return to, nil, nil
	}
	found, diags, err := s.revisions.get(ctx, repository+"@"+revision+"\x00"+r.way(), r.Range, func() (Resolved, diag.Diagnostics, error) {
		return s.o.Network.Resolve(ctx, r)
	})
	to.Commit = found.Commit
	return to, diags, err
}

// cutGit takes the revision off an address of git without credentials, and returns that of the repository, too.
func cutGit(address string) (at, repository, revision string) {
	at = address
	if i := strings.LastIndexByte(at, '@'); i >= 0 {
		at, revision = at[:i], at[i+1:]
	}
	scheme, rest, _ := strings.Cut(at, "://")
	rest, _, _ = strings.Cut(rest, "//")
	return at, scheme + "://" + strings.TrimSuffix(rest, "/"), revision
}

// fetch returns what was resolved, out of the cache where that has it.
func (s *Store) fetch(ctx context.Context, r Ref, key Key, to Resolved) (content, diag.Diagnostics, error) {
	e := Entry{Key: key, Version: to.Version, URL: withoutQuery(to.URL), Manifest: to.Manifest, Commit: to.Commit, SHA256: to.Digest}
	p, ok := s.cached(e)
	var diags diag.Diagnostics
	if !ok {
		got, more, err := s.o.Network.Fetch(ctx, r, to)
		diags = append(diags, more...)
		if err != nil || diags.HasErrors() {
			return content{}, diags, err
		}
		if p, err = received(got, to.Commit != ""); err != nil {
			return content{}, append(diags, asRefusal(err).at(shownAs(key, e))), nil
		}
		if e.SHA256 != "" && p.digest != e.SHA256 {
			return content{}, append(diags, digestMismatch(r.Range, e, p.digest,
				"What came is not what "+scrub(to.URL)+" is said to be. Ask who runs the server.")), nil
		}
		s.keep(p)
		s.keepProvenance(p.digest, got.Provenance)
	}
	files, refused := p.files()
	if refused != nil {
		return content{}, append(diags, refused.at(shownAs(key, e))), nil
	}
	e.SHA256 = p.digest
	m := metadataOf(files)
	if m == nil || !nameForm.MatchString(m.Name) || !well("version", m.Version) {
		return content{}, append(diags, invalid(r.Range, fmt.Sprintf("what %s has for %s is no chart: its Chart.yaml has no name or version. "+
			"Correct the reference, or ask who made it.", scrub(to.URL), key))), nil
	}
	e.Name, e.Version = m.Name, m.Version
	return content{entry: e, files: files}, diags, nil
}

// parcel is a chart that comes from elsewhere before it is unpacked, its digest known. Of git it is what otomi packed, and
// the digest that of the files, so that it does not depend on how they were packed.
type parcel struct {
	git     bool
	archive []byte
	digest  string
}

// received makes a parcel of what came over the network. The error is a refusal or a file that can't be packed.
func received(got Fetched, git bool) (parcel, error) {
	if !git {
		return parcel{archive: got.Archive, digest: sumOf(got.Archive)}, nil
	}
	files, err := asDirectory(got.Files, newBudget())
	if err != nil {
		return parcel{}, err
	}
	archive, err := pack(orElse(nameOf(files), "chart"), files)
	return parcel{git: true, archive: archive, digest: digest(files)}, err
}

// opened makes a parcel of an archive that is said to be that of an entry. Of git the error is a refusal where it can't be
// unpacked.
func opened(e Entry, archive []byte) (parcel, error) {
	if e.Commit == "" {
		return parcel{archive: archive, digest: sumOf(archive)}, nil
	}
	files, err := list(archive, newBudget(), 0)
	return parcel{git: true, archive: archive, digest: digest(files)}, err
}

// files unpacks the parcel.
func (p parcel) files() ([]File, *refusal) {
	left := newBudget()
	files, err := list(p.archive, left, 0)
	if p.git {
		// The digest says nothing of the order of the archive, and that of CRDs follows from it.
		slices.SortFunc(files, func(a, b File) int { return walkOrder(a.Name, b.Name) })
	}
	if err == nil {
		files, err = expand(trimmed(files), left, 0)
	}
	if err != nil {
		r := asRefusal(err)
		return nil, &r
	}
	return files, nil
}

// asRefusal is an error of reading an archive.
func asRefusal(err error) refusal {
	if r, ok := isRefusal(err); ok {
		return r
	}
	return refusal{code: diag.ChartInvalid, detail: err.Error() + ". Get the chart again."}
}

// parcel returns the bytes that an entry of the lock means: out of vendor/charts where there is one, else the cache, else
// the network. They are those that are locked.
func (s *Store) parcel(ctx context.Context, r Ref, e Entry) (parcel, diag.Diagnostics, error) {
	vendored, err := s.vendored()
	if err != nil {
		return parcel{}, nil, err
	}
	if vendored {
		return s.fromVendor(r, e)
	}
	if p, ok := s.cached(e); ok {
		return p, nil, nil
	}
	if s.o.Network == nil {
		return parcel{}, diag.Diagnostics{notFetched(r.Range, e.Key, "charts.lock has it, but neither vendor/charts nor the cache. ")}, nil
	}
	to, diags, err := s.address(ctx, r, e)
	if err != nil || diags.HasErrors() {
		return parcel{}, diags, err
	}
	to.Digest = "" // compared here, where it is known what the other digest means
	got, diags, err := s.o.Network.Fetch(ctx, r, to)
	if err != nil || diags.HasErrors() {
		return parcel{}, diags, err
	}
	p, err := received(got, e.Commit != "")
	if err != nil {
		return parcel{}, append(diags, asRefusal(err).at(shownAs(e.Key, e))), nil
	}
	if p.digest != e.SHA256 {
		return parcel{}, append(diags, digestMismatch(orPlace(e.Range, r.Range), e, p.digest,
			"What "+scrub(e.URL)+" has now is not what was locked: version "+e.Version+" was published again, or the server is not "+
				"the one it was. Ask who publishes it; if the new one is right: otomi charts lock --update "+e.Name)), nil
	}
	s.keep(p)
	s.keepProvenance(p.digest, got.Provenance)
	return p, diags, nil
}

// address is where the bytes of an entry are now.
func (s *Store) address(ctx context.Context, r Ref, e Entry) (Resolved, diag.Diagnostics, error) {
	to := e.resolved()
	if !strings.HasSuffix(to.URL, "?") {
		return to, nil, nil
	}
	again := r
	again.Version = orElse(e.Version, r.Version)
	found, diags, err := s.o.Network.Resolve(ctx, again)
	to.URL = found.URL
	return to, diags, err
}

// fromVendor reads the file of an entry in vendor/charts.
func (s *Store) fromVendor(r Ref, e Entry) (parcel, diag.Diagnostics, error) {
	name := path.Join(VendorDir, e.file())
	shown := s.o.Files.Display(name)
	archive, err := readFile(s.o.Files.FS, name, maxArchive)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return parcel{}, diag.Diagnostics{{
			Severity: diag.Error, Code: diag.ChartNotFetched, Range: r.Range,
			Detail: fmt.Sprintf("%s has no %s, and where there is a %s nothing is fetched. Write it anew with: otomi charts vendor",
				s.o.Files.Display(VendorDir), e.file(), VendorDir),
		}}, nil
	case errors.Is(err, errLarge):
		return parcel{}, diag.Diagnostics{over("", "the archive has more than %d MiB. Write it anew with: otomi charts vendor", maxArchive>>20).at(shown)}, nil
	case err != nil:
		return parcel{}, nil, err
	}
	p, err := opened(e, archive)
	if err == nil && p.digest == e.SHA256 {
		return p, nil, nil
	}
	got := p.digest
	if err != nil {
		got = "an archive that can't be unpacked: " + asRefusal(err).detail
	}
	return parcel{}, diag.Diagnostics{digestMismatch(orPlace(e.Range, r.Range), e, got,
		"The file "+shown+" was changed since it was written, or charts.lock was. Look at their history; if charts.lock is right: otomi charts vendor")}, nil
}

func digestMismatch(at diag.Range, e Entry, got, what string) diag.Diagnostic {
	return diag.Diagnostic{
		Severity: diag.Error, Code: diag.ChartDigest, Range: at,
		Detail: fmt.Sprintf("the chart %s is to have the sha256 %s, and has %s. %s", e.Key, e.SHA256, got, what),
	}
}

// orPlace is the first place that is one.
func orPlace(a, b diag.Range) diag.Range {
	if a.IsZero() {
		return b
	}
	return a
}

// notFetched says that a chart is not here and may not be fetched, and both ways out.
func notFetched(at diag.Range, key Key, why string) diag.Diagnostic {
	allow := "--allow net=HOST"
	if u, err := url.Parse(strings.TrimPrefix(orElse(key.Repository, key.Chart), "git+")); err == nil && u.Host != "" {
		allow = "--allow net=" + hostOf(u)
	}
	return diag.Diagnostic{
		Severity: diag.Error, Code: diag.ChartNotFetched, Range: at,
		Detail: fmt.Sprintf("the chart %s comes from elsewhere, and this command does not fetch. %sEither pin and fetch it with "+
			"otomi charts lock (and otomi charts vendor, to keep it in the repository), or allow its host with %s", key, why, allow),
	}
}

func orElse(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// cacheKey is where the cache keeps the archive of a digest.
func cacheKey(digest string) string { return "chart " + digest }

// cached returns what the cache has for an entry, if those are its bytes.
func (s *Store) cached(e Entry) (parcel, bool) {
	if s.o.Cache == nil || e.SHA256 == "" {
		return parcel{}, false
	}
	archive, ok := s.o.Cache.Get(cacheKey(e.SHA256))
	if !ok {
		return parcel{}, false
	}
	p, err := opened(e, archive)
	return p, err == nil && p.digest == e.SHA256
}

// keep puts a parcel into the cache. One that can't be written keeps nothing, and costs another download.
func (s *Store) keep(p parcel) {
	if s.o.Cache != nil {
		_ = s.o.Cache.Put(cacheKey(p.digest), p.archive)
	}
}
