package chart

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path"
	"sort"
	"strings"

	"github.com/Masterminds/semver/v3"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/sideband"
	"github.com/go-git/go-git/v5/plumbing/transport"
	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"
	"github.com/go-git/go-git/v5/storage/memory"
	"github.com/redkubes/otomi/pkg/diag"
)

// maxCount is how many objects a git server may send, of which every one costs memory beside its bytes.
const maxCount = 500_000

// splitGit takes path and revision off an address of git: git+https://HOST/REPOSITORY[//PATH][@REVISION].
func (p *place) splitGit(scheme string) error {
	if p.url.RawQuery != "" || p.url.Fragment != "" {
		return faultf(diag.ChartUnsupported, "the address %s has a query. Write path and revision as git+https://HOST/REPOSITORY//PATH@REVISION", p.display)
	}
	p.url.Scheme = scheme
	rest := p.url.Path
	if i := strings.LastIndex(rest, "@"); i >= 0 {
		rest, p.revision = rest[:i], rest[i+1:]
		if p.revision == "" {
			return faultf(diag.ChartUnsupported, "the address %s has no revision behind its @. Write a tag, a branch or a commit there", p.display)
		}
	}
	if i := strings.Index(strings.TrimPrefix(rest, "/"), "//"); i >= 0 {
		i += len(rest) - len(strings.TrimPrefix(rest, "/"))
		rest, p.path = rest[:i], rest[i+2:]
	}
	p.path = strings.TrimPrefix(path.Clean("/"+p.path), "/")
	rest = strings.TrimSuffix(rest, "/")
	if strings.Trim(rest, "/") == "" {
		return faultf(diag.ChartUnsupported, "the address %s names no repository. Write git+https://HOST/REPOSITORY//PATH@REVISION", p.display)
	}
	p.url.Path, p.url.RawPath = rest, ""
	p.name = path.Base(p.path)
	if p.path == "" {
		p.name = strings.TrimSuffix(path.Base(rest), ".git")
	}
	p.owner = origin(p.url)
	return nil
}

// git opens a session with the server of a place, and returns the refs it lists.
func (r *Remote) git(ctx context.Context, p place) (transport.UploadPackSession, *packp.AdvRefs, error) {
	client, err := r.client(p)
	if err != nil {
		return nil, nil, err
	}
	endpoint, err := transport.NewEndpoint(p.url.String())
	if err != nil {
		return nil, nil, faultf(diag.ChartUnsupported, "the address %s is none of git. Write git+https://HOST/REPOSITORY//PATH@REVISION", p.display)
	}
	var method transport.AuthMethod
	if p.username != "" || p.password != "" {
		method = &githttp.BasicAuth{Username: p.username, Password: p.password}
	}
	limited := &http.Client{Transport: limitedAnswers{client.Transport}, CheckRedirect: client.CheckRedirect}
	session, err := githttp.NewClient(limited).NewUploadPackSession(endpoint, method)
	if err != nil {
		return nil, nil, fmt.Errorf("opening a session of git: %w", err)
	}
	refs, err := session.AdvertisedReferencesContext(ctx)
	if err != nil {
		return nil, nil, gitFault(p, "the branches and tags", err)
	}
	return session, refs, nil
}

// limitedAnswers ends the answers of a git server, which git's library reads whole.
type limitedAnswers struct{ base http.RoundTripper }

func (l limitedAnswers) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := l.base.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	most := int64(maxRefs)
	if req.Method == http.MethodPost {
		most = maxPack + 1<<20 // and what frames it
	}
	resp.Body = &limitedBody{ReadCloser: resp.Body, left: most, host: hostOf(req.URL), most: most}
	return resp, nil
}

type limitedBody struct {
	io.ReadCloser
	left, most int64
	host       string
}

func (b *limitedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, faultf(diag.ChartTooLarge, "%s sends more than %s, which is the most that otomi downloads from git. "+
			"Take the chart from a repository or a registry", b.host, size(b.most))
	}
	return n, err
}

// gitFault tells what a git server's refusal means.
func gitFault(p place, what string, err error) error {
	var f fault
	host := hostOf(p.url)
	switch {
	case errors.As(err, &f):
		return f
	case errors.Is(err, transport.ErrAuthenticationRequired), errors.Is(err, transport.ErrAuthorizationFailed):
		if p.username != "" || p.password != "" {
			return faultf(diag.ChartUnauthorized, "%s does not accept the credentials for %s of %s. Correct them", host, what, p.display)
		}
		form := "git+https"
		if p.file {
			form = "git::https"
		}
		return faultf(diag.ChartUnauthorized, "%s wants credentials for %s of %s. Put them into the address from the environment: "+
			form+`://USER:{{ requiredEnv "TOKEN" }}@%s/…`, host, what, p.display, host)
	case errors.Is(err, transport.ErrRepositoryNotFound):
		return faultf(diag.ChartMissing, "%s has no git repository %s. Correct the address", host, p.url.Path)
	case errors.Is(err, transport.ErrEmptyRemoteRepository):
		return faultf(diag.ChartMissing, "the git repository %s of %s is empty. Correct the address", p.url.Path, host)
	}
	return fmt.Errorf("asking %s for %s: %w", host, what, inner(err))
}

// resolveGit finds the commit that a revision means: a tag, a branch or a whole hash; without one, HEAD.
func (r *Remote) resolveGit(ctx context.Context, p place) (Resolved, error) {
	_, refs, err := r.git(ctx, p)
	if err != nil {
		return Resolved{}, err
	}
	commit, err := revision(p, refs)
	if err != nil {
		return Resolved{}, err
	}
	at := *p.url
	at.Scheme = "git+" + at.Scheme
	if p.path != "" {
		at.Path += "//" + p.path
	}
	return Resolved{Name: p.name, URL: at.String(), Commit: commit.String()}, nil
}

func revision(p place, refs *packp.AdvRefs) (plumbing.Hash, error) {
	if p.revision == "" {
		if refs.Head == nil {
			return plumbing.ZeroHash, faultf(diag.ChartNoVersion, "the git repository %s of %s has no HEAD. Write a revision: %s@TAG", p.url.Path, hostOf(p.url), p.display)
		}
		return *refs.Head, nil
	}
	// As git has it: a tag before a branch of the same name (gitrevisions).
	for _, name := range []string{p.revision, "refs/" + p.revision, "refs/tags/" + p.revision, "refs/heads/" + p.revision} {
		if h, ok := refs.Peeled[name]; ok {
			return h, nil
		}
		if h, ok := refs.References[name]; ok {
			return h, nil
		}
	}
	if plumbing.IsHash(p.revision) {
		return plumbing.NewHash(p.revision), nil
	}
	return plumbing.ZeroHash, faultf(diag.ChartNoVersion, "the git repository %s of %s has no tag and no branch %q. Correct the revision; a commit is written with all 40 digits",
		p.url.Path, hostOf(p.url), p.revision)
}

// listGit returns the tags that are versions, newest first.
func (r *Remote) listGit(ctx context.Context, p place) ([]string, error) {
	_, refs, err := r.git(ctx, p)
	if err != nil {
		return nil, err
	}
	var versions []*semver.Version
	for name := range refs.References {
		if tag, ok := strings.CutPrefix(name, "refs/tags/"); ok {
			if v, err := semver.NewVersion(tag); err == nil {
				versions = append(versions, v)
			}
		}
	}
	sort.Slice(versions, func(i, j int) bool {
		if versions[i].Equal(versions[j]) {
			return versions[i].Original() < versions[j].Original()
		}
		return versions[j].LessThan(versions[i])
	})
	out := make([]string, len(versions))
	for i, v := range versions {
		out[i] = v.Original()
	}
	return out, nil
}

// fetchGit reads the files of a chart's directory at a commit. Nothing is checked out: they come from the objects that the
// server sends, which are kept in memory.
func (r *Remote) fetchGit(ctx context.Context, p place, to Resolved) (Fetched, error) {
	if asked, _ := r.verify(p); asked {
		return Fetched{}, noProvenanceInGit(p.display)
	}
	session, refs, err := r.git(ctx, p)
	if err != nil {
		return Fetched{}, err
	}
	commit := plumbing.NewHash(to.Commit)
	if to.Commit == "" {
		if commit, err = revision(p, refs); err != nil {
			return Fetched{}, err
		}
	}
	pack, err := r.pack(ctx, p, session, refs, commit)
	if err != nil {
		return Fetched{}, err
	}
	if err := checkPack(p, pack); err != nil {
		return Fetched{}, err
	}
	objects := memory.NewStorage()
	if err := packfile.UpdateObjectStorage(objects, bytes.NewReader(pack)); err != nil {
		return Fetched{}, fmt.Errorf("reading what %s sent: %w", hostOf(p.url), err)
	}
	tree, err := treeOf(objects, commit)
	if err != nil {
		return Fetched{}, faultf(diag.ChartMissing, "%s did not send the commit %s. Correct the revision, or write charts.lock again with otomi charts lock", hostOf(p.url), commit)
	}
	if p.path != "" {
		if tree, err = tree.Tree(p.path); err != nil {
			return Fetched{}, faultf(diag.ChartMissing, "the git repository %s of %s has no directory %s at %s. Correct the path behind //",
				p.url.Path, hostOf(p.url), p.path, commit)
		}
	}
	w := gitWalk{p: p, objects: objects}
	if err := w.tree(tree, "", 0); err != nil {
		return Fetched{}, err
	}
	sort.Slice(w.files, func(i, j int) bool { return w.files[i].Name < w.files[j].Name })
	return Fetched{Files: w.files}, nil
}

// pack downloads a commit with its files, without its history where the server can do that.
func (r *Remote) pack(ctx context.Context, p place, session transport.UploadPackSession, refs *packp.AdvRefs, commit plumbing.Hash) ([]byte, error) {
	req := packp.NewUploadPackRequestFromCapabilities(refs.Capabilities)
	req.Wants = []plumbing.Hash{commit}
	if refs.Capabilities.Supports(capability.Shallow) {
		req.Depth = packp.DepthCommits(1)
		if err := req.Capabilities.Set(capability.Shallow); err != nil {
			return nil, fmt.Errorf("asking for one commit: %w", err)
		}
	}
	answer, err := session.UploadPack(ctx, req)
	if err != nil {
		return nil, gitFault(p, "the commit "+commit.String(), err)
	}
	defer answer.Close()
	var body io.Reader = answer
	switch {
	case req.Capabilities.Supports(capability.Sideband64k):
		body = sideband.NewDemuxer(sideband.Sideband64k, answer)
	case req.Capabilities.Supports(capability.Sideband):
		body = sideband.NewDemuxer(sideband.Sideband, answer)
	}
	pack, err := readBounded(body, -1, maxPack)
	if errors.Is(err, errTooLarge) {
		return nil, tooLargePack(p, size(maxPack))
	}
	if err != nil {
		return nil, gitFault(p, "the commit "+commit.String(), err)
	}
	return pack, nil
}

func tooLargePack(p place, most string) fault {
	if p.file {
		return faultf(diag.RunlevelRemote, "the git repository %s of %s has more than %s at that commit, which is the most that otomi reads. "+
			"Put what is needed into a smaller one", p.url.Path, hostOf(p.url), most)
	}
	return faultf(diag.ChartTooLarge, "the git repository %s of %s has more than %s at that commit, which is the most that otomi reads. "+
		"Take the chart from a repository or a registry", p.url.Path, hostOf(p.url), most)
}

// checkPack refuses a pack that would unpack to more than is read, before anything of it is: by the sizes that its objects
// announce, which git's library holds them to, and for a delta by the size of what it makes.
func checkPack(p place, pack []byte) error {
	s := packfile.NewScanner(bytes.NewReader(pack))
	_, count, err := s.Header()
	if err != nil {
		return fmt.Errorf("reading what %s sent: %w", hostOf(p.url), err)
	}
	if count > maxCount {
		return tooLargePack(p, fmt.Sprintf("%d objects", maxCount))
	}
	left := int64(maxObjects)
	for range count {
		h, err := s.NextObjectHeader()
		if err != nil {
			return fmt.Errorf("reading what %s sent: %w", hostOf(p.url), err)
		}
		if h.Length < 0 || h.Length > left {
			return tooLargePack(p, size(maxObjects)+" unpacked")
		}
		left -= h.Length
		var head prefix
		if _, _, err := s.NextObject(&head); err != nil {
			return fmt.Errorf("reading what %s sent: %w", hostOf(p.url), err)
		}
		if h.Type.IsDelta() {
			_, n := binary.Uvarint(head.bytes)
			target, m := binary.Uvarint(head.bytes[max(n, 0):])
			if n <= 0 || m <= 0 || target > uint64(left) {
				return tooLargePack(p, size(maxObjects)+" unpacked")
			}
			left -= int64(target)
		}
	}
	return nil
}

// prefix keeps the first bytes that are written to it.
type prefix struct{ bytes []byte }

func (p *prefix) Write(b []byte) (int, error) {
	const most = 2 * binary.MaxVarintLen64
	if room := most - len(p.bytes); room > 0 {
		p.bytes = append(p.bytes, b[:min(room, len(b))]...)
	}
	return len(b), nil
}

// treeOf returns the files of a commit, or of the commit that an annotated tag is about.
func treeOf(objects *memory.Storage, hash plumbing.Hash) (*object.Tree, error) {
	for range 8 {
		tag, err := object.GetTag(objects, hash)
		if err != nil {
			break
		}
		hash = tag.Target
	}
	commit, err := object.GetCommit(objects, hash)
	if err != nil {
		return nil, err
	}
	return commit.Tree()
}

// gitWalk collects the files of a directory in git.
type gitWalk struct {
	p       place
	objects *memory.Storage
	files   []File
	bytes   int64
	// entries counts files and directories: a small pack may have any number of empty ones.
	entries int
}

func (w *gitWalk) tree(t *object.Tree, dir string, depth int) error {
	if depth > maxDepth {
		return faultf(diag.ChartTooLarge, "the directories of the chart %s are more than %d deep. Take the chart from a repository or a registry", w.p.display, maxDepth)
	}
	seen := map[string]bool{}
	for _, e := range t.Entries {
		name := path.Join(dir, e.Name)
		if e.Name == "" || e.Name == "." || e.Name == ".." || strings.EqualFold(e.Name, ".git") || strings.ContainsAny(e.Name, "/\\\x00") || seen[e.Name] {
			return faultf(diag.ChartInvalid, "the chart %s has a file of the name %q in %q, which no file may have, or has it twice. Tell who wrote it", w.p.display, e.Name, dir)
		}
		seen[e.Name] = true
		if w.entries++; w.entries > maxFiles {
			return w.tooMany()
		}
		switch e.Mode {
		case filemode.Dir:
			sub, err := object.GetTree(w.objects, e.Hash)
			if err != nil {
				return fmt.Errorf("reading %s: %w", name, err)
			}
			if err := w.tree(sub, name, depth+1); err != nil {
				return err
			}
		case filemode.Regular, filemode.Executable, filemode.Deprecated:
			if err := w.file(name, e.Hash); err != nil {
				return err
			}
		default:
			return faultf(diag.ChartInvalid, "%s of the chart %s is no file but a link or another repository, and a chart is made of files. "+
				"Replace it by a copy of what it stands for", name, w.p.display)
		}
	}
	return nil
}

func (w *gitWalk) tooMany() fault {
	return faultf(diag.ChartTooLarge, "the chart %s has more than %d files and directories or %s. Take what is no part of it out of its directory",
		w.p.display, maxFiles, size(maxChart))
}

func (w *gitWalk) file(name string, hash plumbing.Hash) error {
	blob, err := object.GetBlob(w.objects, hash)
	if err != nil {
		return fmt.Errorf("reading %s: %w", name, err)
	}
	if blob.Size > maxFile {
		return faultf(diag.ChartTooLarge, "%s of the chart %s has more than %s, which is Helm's limit for a file of a chart. Make it smaller",
			name, w.p.display, size(maxFile))
	}
	if w.bytes += blob.Size; w.bytes > maxChart {
		return w.tooMany()
	}
	r, err := blob.Reader()
	if err != nil {
		return fmt.Errorf("reading %s: %w", name, err)
	}
	defer r.Close()
	data, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	if err != nil {
		return fmt.Errorf("reading %s: %w", name, err)
	}
	w.files = append(w.files, File{Name: name, Data: data})
	return nil
}
