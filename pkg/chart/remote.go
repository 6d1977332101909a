package chart

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"regexp"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/redkubes/otomi/pkg/diag"
)

// The bounds of what is downloaded. That of an archive is Helm's bound of a chart unpacked (pkg/chart/loader,
// MaxDecompressedChartSize): what is larger packed can't be smaller unpacked.
const (
	maxIndex      = 64 << 20
	maxArchive    = 100 << 20
	maxProvenance = 1 << 20
	maxManifest   = 4 << 20
	// maxCharts is how many charts an index may have, and maxItems how many keys and items the entries of one chart, by the
	// marks of YAML and JSON that make them; or all of the index, where it is not written as Helm writes it.
	maxCharts = 100_000
	maxItems  = 500_000
	// maxTags is how many versions of a chart a registry may list, maxPages in how many pages.
	maxTags  = 100_000
	maxPages = 1_000
	// maxRefs is how many bytes of branches and tags a git server may list; maxPack is how large what it sends may be, and
	// maxObjects what that may unpack to.
	maxRefs    = 16 << 20
	maxPack    = 100 << 20
	maxObjects = 256 << 20
)

// The times that the network gets.
const (
	dialTimeout   = 10 * time.Second
	headerTimeout = 60 * time.Second
	idleTimeout   = 30 * time.Second
	totalTimeout  = 10 * time.Minute
)

// RemoteOptions say what of the network may be used, and how. The zero value refuses every host.
type RemoteOptions struct {
	// Allow says whether a host may be reached; nil refuses all. The host is in lower case, with its port where that is not
	// the usual one of its scheme (443 with TLS, 80 without), an IPv6 address in brackets. It is asked for every host: that
	// of a reference, those it redirects to, and those that hand out tokens for a registry.
	Allow func(host string) bool
	// Credentials are paths of credential files as Docker and Helm write them. The first that knows a host wins; a file that
	// is not there is passed over.
	Credentials []string
	// UserAgent is sent with every request; empty is "otomi".
	UserAgent string

	// PlainHTTP, SkipTLSVerify, CAFile, CertFile and KeyFile are as in Repository, for references without one.
	PlainHTTP, SkipTLSVerify  bool
	CAFile, CertFile, KeyFile string
	// Verify asks for the provenance of every chart, by a key of Keyring (a path) where its repository names no other.
	Verify  bool
	Keyring string
	// Proxy returns the proxy of a request, or nil; nil uses none.
	Proxy func(*http.Request) (*url.URL, error)

	// HeaderTimeout is how long the headers of an answer may take, IdleTimeout how long a download may stand still, and
	// TotalTimeout how long one chart or index may take in all. Zero is 60 s, 30 s and 10 min.
	HeaderTimeout, IdleTimeout, TotalTimeout time.Duration
	// Sleep waits between the tries of a request; nil waits by the clock.
	Sleep func(ctx context.Context, d time.Duration) error
}

// Remote reaches repositories, registries, addresses and git servers for charts. It is safe for concurrent use, and reads
// the index of a repository once.
type Remote struct {
	o       RemoteOptions
	mu      sync.Mutex
	clients map[clientKey]*clientEntry
	indexes memo[*index]
	// downloads are files of states.
	downloads memo[Download]
}

// Resolved is what a reference means at one moment: all that a lock file has to remember.
type Resolved struct {
	// Name is the last part of the reference. Version is the exact version; empty where only the archive tells it (an
	// address, git, an OCI digest without a version).
	Name, Version string
	// URL is where the bytes are: https://…tgz, oci://HOST/PATH:TAG or git+https://HOST/REPOSITORY//PATH. It has neither the
	// credentials nor the query of the reference or its repository, which Fetch adds again; a query that an index wrote stays.
	URL string
	// Digest is the sha256 of the archive as hex, as the index or the manifest has it, or "".
	Digest string
	// Manifest is the digest of the OCI manifest with its algorithm, or "".
	Manifest string
	// Commit is the hash of the git commit, or "".
	Commit string
}

// Display returns the address as it may be shown: without a query.
func (r Resolved) Display() string { return scrub(r.URL) }

// Fetched is a chart as it came over the network. It was compared with all digests that Resolved has.
type Fetched struct {
	// Archive is the packed chart; nil for git.
	Archive []byte
	// Files are the files of the chart's directory in git, .helmignore not applied, in byte order; nil for the others.
	Files []File
	// Provenance is the text of the .prov file, which was verified; nil where nobody asked for it.
	Provenance []byte
}

// NewRemote returns a Remote. It opens nothing.
func NewRemote(o RemoteOptions) *Remote {
	if o.Allow == nil {
		o.Allow = func(string) bool { return false }
	}
	if o.UserAgent == "" {
		o.UserAgent = "otomi"
	}
	if o.HeaderTimeout == 0 {
		o.HeaderTimeout = headerTimeout
	}
	if o.IdleTimeout == 0 {
		o.IdleTimeout = idleTimeout
	}
	if o.TotalTimeout == 0 {
		o.TotalTimeout = totalTimeout
	}
	if o.Sleep == nil {
		o.Sleep = sleep
	}
	return &Remote{o: o, clients: map[clientKey]*clientEntry{}}
}

// IsRemote reports whether a chart of this reference comes over the network by its form alone: oci://, http(s):// and
// git+ addresses. REPOSITORY/NAME is remote as well, which its Repository tells.
func IsRemote(ref string) bool {
	scheme, _, ok := strings.Cut(ref, "://")
	if !ok {
		return false
	}
	scheme = strings.ToLower(scheme)
	return scheme == "oci" || scheme == "http" || scheme == "https" || strings.HasPrefix(scheme, "git+")
}

// Resolve finds the exact version and the address that a reference means, as Helm does: by the index of a repository
// (pkg/repo, IndexFile.Get), the tags of a registry (pkg/registry, Client.ValidateReference) or a ref of a git server. An
// address of an archive says all itself, and nothing is asked. The result counts only if the diagnostics have no errors.
func (r *Remote) Resolve(ctx context.Context, ref Ref) (Resolved, diag.Diagnostics, error) {
	var out Resolved
	diags, err := r.visit(ctx, ref, "resolving", func(ctx context.Context, p place) (err error) {
		switch p.kind {
		case atRepository:
			out, err = r.resolveIndex(ctx, p, wanted(ref))
		case atRegistry:
			out, err = r.resolveOCI(ctx, p, wanted(ref))
		case atGit:
			out, err = r.resolveGit(ctx, p)
		default:
			at := *p.url
			at.RawQuery, at.Fragment = "", "" // Fetch adds the query
			out = Resolved{Name: p.name, URL: at.String()}
		}
		return err
	})
	return out, diags, err
}

// Fetch downloads what Resolve found, now or when the lock file was written. What differs from the digests of to is
// refused. Where the repository or the options ask for provenance, a chart without a valid one is refused too.
func (r *Remote) Fetch(ctx context.Context, ref Ref, to Resolved) (Fetched, diag.Diagnostics, error) {
	var out Fetched
	diags, err := r.visit(ctx, ref, "fetching", func(ctx context.Context, p place) (err error) {
		switch p.kind {
		case atRegistry:
			out, err = r.fetchOCI(ctx, p, to)
		case atGit:
			out, err = r.fetchGit(ctx, p, to)
		default:
			out, err = r.fetchArchive(ctx, p, to)
		}
		return err
	})
	return out, diags, err
}

// Versions lists all versions that there are of a chart, newest first: those of the index, the tags of a registry or of a
// git server that are versions. An address has none.
func (r *Remote) Versions(ctx context.Context, ref Ref) ([]string, diag.Diagnostics, error) {
	var out []string
	diags, err := r.visit(ctx, ref, "listing the versions of", func(ctx context.Context, p place) (err error) {
		switch p.kind {
		case atRepository:
			out, err = r.listIndex(ctx, p)
		case atRegistry:
			out, err = r.listOCI(ctx, p)
		case atGit:
			out, err = r.listGit(ctx, p)
		}
		return err
	})
	return out, diags, err
}

// visit does something at the place of a reference, within the time for it, and sorts what went wrong: the user's part
// into diagnostics.
func (r *Remote) visit(ctx context.Context, ref Ref, doing string, do func(context.Context, place) error) (diag.Diagnostics, error) {
	p, err := r.place(ref)
	if err == nil {
		timed, cancel := context.WithTimeoutCause(ctx, r.o.TotalTimeout, fmt.Errorf("it took longer than %v", r.o.TotalTimeout))
		defer cancel()
		if err = do(timed, p); err != nil && timed.Err() != nil && ctx.Err() == nil {
			err = context.Cause(timed)
		}
	}
	if err == nil {
		return nil, nil
	}
	var f fault
	if errors.As(err, &f) {
		return diag.Diagnostics{{Severity: diag.Error, Code: f.code, Detail: f.detail, Range: ref.Range}}, nil
	}
	host := ""
	if p.url != nil {
		host = " from " + hostOf(p.url)
	}
	return nil, fmt.Errorf("%s the chart %s%s: %w", doing, scrub(ref.Chart), host, clean(err))
}

// wanted returns the version that a reference asks for, as helm's --devel changes it.
func wanted(ref Ref) string {
	if ref.Version == "" && ref.Devel {
		return ">0.0.0-0"
	}
	return ref.Version
}

// fault is what is wrong with the user's input or with what answers it. It travels as an error and leaves the room as a
// diagnostic.
type fault struct {
	code   diag.Code
	detail string
}

func (f fault) Error() string { return f.detail }

func faultf(code diag.Code, format string, args ...any) fault {
	return fault{code, fmt.Sprintf(format, args...)}
}

// kind is what a reference leads to.
type kind string

const (
	atAddress    kind = "address"
	atRepository kind = "repository"
	atRegistry   kind = "registry"
	atGit        kind = "git"
)

// place is a reference taken apart.
type place struct {
	kind kind
	// url is the address of the archive, the repository, the registry's path or the git repository, without credentials.
	url *url.URL
	// name is the chart's, display how the chart is shown.
	name, display string
	// tag and digest are those of an OCI reference; path and revision those of a git one.
	tag, digest, path, revision string
	// owner is the origin that username and password belong to.
	owner              string
	username, password string
	// repository has the TLS options, and what else the entry says.
	repository Repository
	// file says that it is no chart but a file of a state.
	file bool
}

// place takes a reference apart. The error is a fault.
func (r *Remote) place(ref Ref) (place, error) {
	p := place{display: scrub(ref.Chart)}
	raw := ref.Chart
	if ref.Repository != nil {
		p.repository = *ref.Repository
		p.repository.Range = diag.Range{}
	} else {
		p.repository = Repository{
			PlainHTTP: r.o.PlainHTTP, SkipTLSVerify: r.o.SkipTLSVerify,
			CAFile: r.o.CAFile, CertFile: r.o.CertFile, KeyFile: r.o.KeyFile,
		}
	}
	p.repository.Verify, p.repository.Keyring = ref.provenance()
	if !IsRemote(raw) {
		if ref.Repository == nil {
			return place{}, faultf(diag.ChartUnsupported, "the chart %q is no address, and no repository is named for it. "+
				"Write oci://, https:// or git+https://, or add its repository to repositories", p.display)
		}
		// As helm: the first part names the repository, the others the chart (pkg/downloader, ResolveChartVersion).
		_, name, ok := strings.Cut(raw, "/")
		if !ok || name == "" {
			return place{}, faultf(diag.ChartUnsupported, "the chart %q names no chart of the repository. Write REPOSITORY/NAME", p.display)
		}
		raw, p.name, p.kind = p.repository.URL, name, atRepository
		if p.repository.OCI || strings.HasPrefix(raw, "oci://") {
			raw = "oci://" + strings.TrimSuffix(strings.TrimPrefix(raw, "oci://"), "/") + "/" + name
		}
	}
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" {
		// The text is not shown: what can't be parsed may hold a password anywhere.
		return place{}, faultf(diag.ChartUnsupported, "the address of the chart %s is no URL. Correct it: https://HOST/PATH", p.where(ref))
	}
	p.url = u
	if err := p.own(ref.Repository); err != nil {
		return place{}, err
	}
	switch scheme := strings.ToLower(u.Scheme); scheme {
	case "oci":
		p.kind = atRegistry
		if err := p.splitOCI(); err != nil {
			return place{}, err
		}
	case "http", "https":
		if p.kind == "" {
			p.kind, p.name = atAddress, strings.TrimSuffix(path.Base(u.Path), ".tgz")
		}
	case "git+https", "git+http":
		p.kind = atGit
		if err := p.splitGit(strings.TrimPrefix(scheme, "git+")); err != nil {
			return place{}, err
		}
	default:
		return place{}, faultf(diag.ChartUnsupported, "otomi doesn't fetch charts over %s. Write oci://, https:// or git+https://", scheme)
	}
	return p, nil
}

// where names the reference in a message about an address that can't be read.
func (p *place) where(ref Ref) string {
	if ref.Repository != nil {
		return fmt.Sprintf("(repository %s)", ref.Repository.Name)
	}
	return "here"
}

// own takes the credentials out of the address. Those of the repository's entry win, and belong to its own origin.
func (p *place) own(entry *Repository) error {
	if user := p.url.User; user != nil {
		p.username = user.Username()
		p.password, _ = user.Password()
		p.url.User = nil
	}
	p.owner = origin(p.url)
	if entry == nil || entry.Username == "" && entry.Password == "" {
		return nil
	}
	p.username, p.password = entry.Username, entry.Password
	raw := entry.URL
	if entry.OCI && !strings.Contains(raw, "://") {
		raw = "oci://" + raw
	}
	u, err := url.Parse(raw)
	if err != nil {
		return faultf(diag.ChartUnsupported, "the address of the repository %s is no URL. Correct it: https://HOST/PATH", entry.Name)
	}
	p.owner = origin(u)
	return nil
}

// verify reports whether the chart's provenance is asked for, and the path of the keyring.
func (r *Remote) verify(p place) (bool, string) {
	keyring := p.repository.Keyring
	if keyring == "" {
		keyring = r.o.Keyring
	}
	return p.repository.Verify || r.o.Verify, keyring
}

// hostOf returns a host as Allow is asked for it: in lower case, without a dot at its end, and with its port only where
// that is not the usual one.
func hostOf(u *url.URL) string {
	host := strings.TrimSuffix(strings.ToLower(u.Hostname()), ".")
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	port := u.Port()
	if port == "" || port == usualPort(u.Scheme) {
		return host
	}
	return host + ":" + port
}

func usualPort(scheme string) string {
	if scheme == "http" || scheme == "git+http" {
		return "80"
	}
	return "443"
}

// origin is what credentials belong to: scheme, host and port. An oci address has that of the HTTP it stands for.
func origin(u *url.URL) string {
	if scheme := strings.ToLower(u.Scheme); scheme == "http" || scheme == "git+http" {
		return "http://" + hostOf(u)
	}
	return "https://" + hostOf(u)
}

var (
	addresses = regexp.MustCompile(`[A-Za-z][A-Za-z0-9+.-]*://[^\s"]*`)
	// nothing that looks like an Authorization header is shown, whoever put it into a message.
	tokens = regexp.MustCompile(`(?i)\b(basic|bearer)\s+[A-Za-z0-9+/_.=~-]{8,}`)
)

// scrub takes user names, passwords, queries and fragments from the addresses in a text, and what would steer a terminal:
// servers write part of it.
func scrub(text string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, text)
	return tokens.ReplaceAllString(addresses.ReplaceAllStringFunc(text, plain), "$1 …")
}

// plain is an address without what may be secret. It is not parsed: a password that should have been escaped may hold
// anything, also what ends the host for a parser.
func plain(address string) string {
	scheme, rest, _ := strings.Cut(address, "://")
	scheme += "://"
	head, tail := "", rest
	i := strings.LastIndexByte(rest, '@')
	if i >= 0 {
		head, tail = rest[:i], rest[i+1:]
	}
	if i := strings.IndexAny(tail, "?#'"); i >= 0 && tail[i] != '\'' {
		tail = tail[:i]
	}
	if strings.ContainsAny(head, "?#") {
		return scheme + "…" // a query with an @, or a password with a question mark
	}
	host, path, inPath := strings.Cut(head, "/")
	if !inPath {
		return scheme + tail
	}
	host = host[strings.LastIndexByte(host, '@')+1:]
	revision := strings.HasPrefix(strings.ToLower(scheme), "git+") && !strings.Contains(tail, "//") &&
		(!strings.Contains(tail, "/") || strings.Contains(host, ".") && !strings.Contains(host, ":"))
	digest := strings.EqualFold(scheme, "oci://") && strings.HasPrefix(tail, "sha256:")
	if strings.ContainsAny(path, "@'") || !revision && !digest {
		return scheme + tail
	}
	return scheme + host + "/" + path + "@" + tail
}

// cleaned is an error whose text holds no credentials.
type cleaned struct{ err error }

func (c cleaned) Error() string {
	const most = 1000 // servers write part of it
	text := []rune(scrub(c.err.Error()))
	if len(text) > most {
		return string(text[:most]) + "…"
	}
	return string(text)
}

func (c cleaned) Unwrap() error { return c.err }

// clean returns err without the credentials and tokens that an address in its text may hold.
func clean(err error) error {
	var at *url.Error
	if errors.As(err, &at) && errors.Is(err, at) && err == error(at) {
		err = at.Err // what was being done and where is said by the caller
	}
	return cleaned{err}
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
