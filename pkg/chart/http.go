package chart

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/source"
)

const (
	maxRedirects = 10
	// tries is how often a request is made in all while the answer says that another moment may be better.
	tries    = 4
	maxPause = 10 * time.Second
	// maxPEM is how large a file of certificates or keys may be, in bytes.
	maxPEM = 4 << 20
)

// clientKey is what makes one HTTP client differ from another.
type clientKey struct {
	ca, cert, key   string
	insecure, plain bool
	// file says that files of a state are fetched with it.
	file bool
}

type clientEntry struct {
	once   sync.Once
	client *http.Client
	err    error
}

// client returns the HTTP client for a place. All requests of this file, of the registry's library and of git's go
// through it, so that every host is allowed, every hop is checked and every answer ends.
func (r *Remote) client(p place) (*http.Client, error) {
	k := clientKey{p.repository.CAFile, p.repository.CertFile, p.repository.KeyFile, p.repository.SkipTLSVerify, p.repository.PlainHTTP, p.file}
	r.mu.Lock()
	e, ok := r.clients[k]
	if !ok {
		e = &clientEntry{}
		r.clients[k] = e
	}
	r.mu.Unlock()
	e.once.Do(func() {
		var config *tls.Config
		if config, e.err = tlsConfig(k); e.err != nil {
			return
		}
		base := &http.Transport{
			Proxy:                  r.o.Proxy,
			DialContext:            (&net.Dialer{Timeout: dialTimeout}).DialContext,
			TLSClientConfig:        config,
			TLSHandshakeTimeout:    dialTimeout,
			ResponseHeaderTimeout:  r.o.HeaderTimeout,
			IdleConnTimeout:        90 * time.Second,
			MaxIdleConnsPerHost:    4,
			MaxResponseHeaderBytes: 1 << 20,
			DisableCompression:     true, // a small answer would be any size
			ForceAttemptHTTP2:      true,
		}
		e.client = &http.Client{
			Transport:     &guard{o: r.o, plain: k.plain, file: k.file, base: base},
			CheckRedirect: checkRedirect,
		}
	})
	return e.client, e.err
}

// tlsConfig reads the files of a repository's TLS options, as Helm does (internal/tlsutil): a CA replaces the system's.
func tlsConfig(k clientKey) (*tls.Config, error) {
	config := &tls.Config{InsecureSkipVerify: k.insecure} //nolint:gosec // on the user's request alone
	if (k.cert == "") != (k.key == "") {
		return nil, faultf(diag.ChartCredentials, "a client certificate needs both certFile and keyFile. Give the other one too")
	}
	if k.cert != "" {
		cert, err := source.ReadFile(k.cert, maxPEM)
		if err != nil {
			return nil, fmt.Errorf("reading the client certificate: %w", err)
		}
		key, err := source.ReadFile(k.key, maxPEM)
		if err != nil {
			return nil, fmt.Errorf("reading the key of the client certificate: %w", err)
		}
		pair, err := tls.X509KeyPair(cert, key)
		if err != nil {
			return nil, faultf(diag.ChartCredentials, "%s and %s are no certificate and its key: %v. Correct certFile and keyFile", k.cert, k.key, err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	if k.ca != "" {
		text, err := source.ReadFile(k.ca, maxPEM)
		if err != nil {
			return nil, fmt.Errorf("reading the certificates of the CA: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(text) {
			return nil, faultf(diag.ChartCredentials, "%s has no certificate in PEM. Correct caFile", k.ca)
		}
	}
	return config, nil
}

// guard is the one way out. It lets through what is allowed, tries again what may work in a moment, and ends what stands
// still.
type guard struct {
	o     RemoteOptions
	plain bool
	// file says that no chart is fetched.
	file bool
	base http.RoundTripper
}

func (g *guard) RoundTrip(req *http.Request) (*http.Response, error) {
	if err := g.check(req.URL); err != nil {
		return nil, err
	}
	if req.Header.Get("User-Agent") == "" {
		req = req.Clone(req.Context())
		req.Header.Set("User-Agent", g.o.UserAgent)
	}
	repeatable := (req.Method == http.MethodGet || req.Method == http.MethodHead) && req.Body == nil
	for try := 1; ; try++ {
		resp, err := g.send(req)
		if !repeatable || try == tries || !passing(resp, err) {
			return resp, err
		}
		pause := 250 * time.Millisecond << (try - 1)
		pause += rand.N(pause) //nolint:gosec // spreads the tries of many, keeps no secret
		if resp != nil {
			pause = min(max(pause, retryAfter(resp)), maxPause)
			_, _ = io.CopyN(io.Discard, resp.Body, 4<<10) // so that the connection can be used again
			resp.Body.Close()
		}
		if err := g.o.Sleep(req.Context(), pause); err != nil {
			return nil, err
		}
	}
}

// check refuses a host that is not allowed, and a way to it that is open to everyone.
func (g *guard) check(u *url.URL) error {
	host := hostOf(u)
	switch {
	case g.file && (u.Scheme == "http" || u.Scheme == "https") && !g.o.Allow(host):
		return faultf(diag.TemplateForbidden, "the host %s is on the network, which a state file may only reach where you allow it. Allow it: --allow net=%s", host, host)
	case u.Scheme == "http" && !g.plain:
		return faultf(diag.ChartInsecure, "%s would be asked without TLS, so that anyone on the way could hand out another chart. "+
			"Use https://, or allow it for this repository with plainHttp: true", host)
	case u.Scheme != "http" && u.Scheme != "https":
		return faultf(diag.ChartInsecure, "%s leads to an address of the scheme %q, and charts come over https alone", host, u.Scheme)
	case !g.o.Allow(host):
		return faultf(diag.ChartRefusedHost, "the host %s may not be reached here, since nobody allowed it. "+
			"Fetch the charts first with otomi charts lock or otomi charts vendor, which may, or allow the host with --allow net=%s", host, host)
	}
	return nil
}

// send makes one request whose answer can't stand still for long.
func (g *guard) send(req *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(req.Context())
	resp, err := g.base.RoundTrip(req.WithContext(ctx))
	if err != nil {
		cancel(nil)
		return nil, err
	}
	idle := g.o.IdleTimeout
	timer := time.AfterFunc(idle, func() { cancel(fmt.Errorf("the download stood still for %v", idle)) })
	resp.Body = &body{ReadCloser: resp.Body, ctx: ctx, cancel: cancel, timer: timer, idle: idle}
	return resp, nil
}

// body is a body that fails when nothing arrives for too long.
type body struct {
	io.ReadCloser
	ctx    context.Context // of the request, for the cause of its end
	cancel context.CancelCauseFunc
	timer  *time.Timer
	idle   time.Duration
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if n > 0 {
		b.timer.Reset(b.idle)
	}
	if err != nil && !errors.Is(err, io.EOF) && b.ctx.Err() != nil {
		err = context.Cause(b.ctx)
	}
	return n, err
}

func (b *body) Close() error {
	b.timer.Stop()
	err := b.ReadCloser.Close()
	b.cancel(nil)
	return err
}

// passing reports whether an answer, or none, may be another one in a moment. A host that is not there is not asked again.
func passing(resp *http.Response, err error) bool {
	if err != nil {
		return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF)
	}
	switch resp.StatusCode {
	case http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable,
		http.StatusGatewayTimeout:
		return true
	}
	return false
}

// retryAfter returns the seconds that the server asks to wait, or 0.
func retryAfter(resp *http.Response) time.Duration {
	seconds, err := strconv.Atoi(resp.Header.Get("Retry-After"))
	if err != nil || seconds < 0 || seconds > int(maxPause/time.Second) {
		return 0
	}
	return time.Duration(seconds) * time.Second
}

// checkRedirect follows a redirect without what belongs to the host that it came from. The first request's headers are in
// req, and once a chain of redirects has left the origin they stay away, even where it comes back.
func checkRedirect(req *http.Request, via []*http.Request) error {
	first, last := via[0].URL, via[len(via)-1].URL
	if len(via) > maxRedirects {
		return fmt.Errorf("%s redirects more than %d times", hostOf(first), maxRedirects)
	}
	if last.Scheme == "https" && req.URL.Scheme != "https" {
		return faultf(diag.ChartInsecure, "%s redirects to %s without TLS, and that is never followed. Use the address that it should lead to",
			hostOf(last), hostOf(req.URL))
	}
	req.URL.User = nil        // it would be sent as credentials
	req.Header.Del("Referer") // it may hold a token
	away := origin(req.URL) != origin(first) || slices.ContainsFunc(via, func(v *http.Request) bool { return origin(v.URL) != origin(first) })
	if away {
		req.Header.Del("Authorization")
		req.Header.Del("Cookie")
	}
	return nil
}

// get downloads an address. Credentials of the place are sent to their own origin, and to others only where the entry of
// the repository says pass credentials; as with Helm not after a redirect to another host.
func (r *Remote) get(ctx context.Context, p place, at *url.URL, what string, max int64) ([]byte, error) {
	client, err := r.client(p)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		return nil, err
	}
	sent := false
	// Both, as with Helm (pkg/getter, HTTPGetter.get).
	if p.username != "" && p.password != "" && (origin(at) == p.owner || p.repository.PassCredentials) {
		req.SetBasicAuth(p.username, p.password)
		sent = true
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("asking %s for %s: %w", hostOf(at), what, inner(err))
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusUnauthorized, http.StatusForbidden:
		if sent {
			return nil, faultf(diag.ChartUnauthorized, "%s does not accept the credentials for %s (%s). Correct username and password of the repository",
				hostOf(resp.Request.URL), what, status(resp.StatusCode))
		}
		return nil, faultf(diag.ChartUnauthorized, "%s wants credentials for %s (%s). Give the repository a username and a password",
			hostOf(resp.Request.URL), what, status(resp.StatusCode))
	case http.StatusNotFound, http.StatusGone:
		return nil, faultf(diag.ChartMissing, "%s has no %s at %s. Correct the address", hostOf(resp.Request.URL), what, scrub(at.String()))
	default:
		return nil, fmt.Errorf("asking %s for %s: it answers %s", hostOf(resp.Request.URL), what, status(resp.StatusCode))
	}
	data, err := readBounded(resp.Body, resp.ContentLength, max)
	if errors.Is(err, errTooLarge) {
		return nil, faultf(diag.ChartTooLarge, "%s sends more than %s for %s, which is the most that otomi downloads. Ask who runs it why",
			hostOf(resp.Request.URL), size(max), what)
	}
	if err != nil {
		return nil, fmt.Errorf("downloading %s from %s: %w", what, hostOf(resp.Request.URL), err)
	}
	return data, nil
}

// inner returns what went wrong without the method and the address that net/http puts before it.
func inner(err error) error {
	var at *url.Error
	if errors.As(err, &at) {
		return at.Err
	}
	return err
}

var errTooLarge = errors.New("too large")

// readBounded reads all of a body that announced length bytes (-1: nothing), and fails with errTooLarge when it has more
// than max.
func readBounded(body io.Reader, length, max int64) ([]byte, error) {
	if length > max {
		return nil, errTooLarge
	}
	var buffer bytes.Buffer
	if length > 0 {
		buffer.Grow(int(min(length, 1<<20)) + bytes.MinRead) // what is announced may never come
	}
	if _, err := buffer.ReadFrom(io.LimitReader(body, max+1)); err != nil {
		return nil, err
	}
	if int64(buffer.Len()) > max {
		return nil, errTooLarge
	}
	return buffer.Bytes(), nil
}

// status is a status in our words: those of the server may be anything.
func status(code int) string {
	return strings.TrimSpace(fmt.Sprintf("%d %s", code, http.StatusText(code)))
}

func size(n int64) string { return strconv.FormatInt(n>>20, 10) + " MiB" }

// fetchArchive downloads a packed chart, from a repository or an address.
func (r *Remote) fetchArchive(ctx context.Context, p place, to Resolved) (Fetched, error) {
	at, err := url.Parse(to.URL)
	if err != nil || at.Host == "" {
		return Fetched{}, faultf(diag.ChartUnsupported, "the address of the archive of %s is no URL. Write charts.lock again with otomi charts lock", p.display)
	}
	at.User = nil
	if at.RawQuery == "" && origin(at) == origin(p.url) && (p.kind == atRepository || at.Path == p.url.Path) {
		at.RawQuery = p.url.RawQuery
	}
	if strings.EqualFold(at.Scheme, "oci") {
		return r.fetchListed(ctx, p, to)
	}
	archive, err := r.get(ctx, p, at, "the chart "+p.name, maxArchive)
	if err != nil {
		return Fetched{}, err
	}
	if err := checkDigest(archive, to.Digest, "the archive "+scrub(at.String())); err != nil {
		return Fetched{}, err
	}
	out := Fetched{Archive: archive}
	if wanted, keyring := r.verify(p); wanted {
		beside := *at
		beside.Path, beside.RawPath = at.Path+".prov", ""
		out.Provenance, err = r.get(ctx, p, &beside, "the provenance of "+p.name, maxProvenance)
		var f fault
		if errors.As(err, &f) && f.code == diag.ChartMissing {
			err = faultf(diag.ChartProvenance, "%s has no %s.prov, and the repository asks for provenance. "+
				"Sign the chart with helm package --sign, or take verify away", hostOf(at), path.Base(at.Path))
		}
		if err != nil {
			return Fetched{}, err
		}
		if err := verifyProvenance(archive, path.Base(at.Path), out.Provenance, keyring); err != nil {
			return Fetched{}, err
		}
	}
	return out, nil
}

// fetchListed downloads a chart that an index lists with an address in a registry. The repository's credentials are for
// its own host.
func (r *Remote) fetchListed(ctx context.Context, p place, to Resolved) (Fetched, error) {
	u, err := url.Parse(to.URL)
	if err != nil {
		return Fetched{}, faultf(diag.ChartUnsupported, "the index lists %s at an address that is no URL", p.display)
	}
	u.User = nil
	p.kind, p.url = atRegistry, u
	if err := p.splitOCI(); err != nil {
		return Fetched{}, err
	}
	return r.fetchOCI(ctx, p, to)
}

// checkDigest compares data with a sha256 as hex, with or without its algorithm before it; an empty one fits everything.
func checkDigest(data []byte, want, what string) error {
	want = strings.TrimPrefix(want, "sha256:")
	if want == "" {
		return nil
	}
	sum := sha256.Sum256(data)
	if got := hex.EncodeToString(sum[:]); !strings.EqualFold(got, want) {
		return faultf(diag.ChartDigest, "%s is not the one that is expected: its sha256 is %s, and %s was expected. "+
			"Find out who changed it; if it is meant to be so, write charts.lock again with otomi charts lock --update", what, got, want)
	}
	return nil
}
