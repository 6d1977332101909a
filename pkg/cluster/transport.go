package cluster

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	utilnet "k8s.io/apimachinery/pkg/util/net"

	"github.com/redkubes/otomi/pkg/manifest"
)

// dialer bounds the time that a connection takes to make.
func dialer(limit time.Duration) func(ctx context.Context, network, address string) (net.Conn, error) {
	d := &net.Dialer{Timeout: orDefault(limit, 10*time.Second), KeepAlive: 30 * time.Second}
	return d.DialContext
}

// headerTimeout bounds the time until an answer begins, and then the time until more of it comes. client-go makes the transport
// itself and has no setting for it; nothing here watches, so that an answer that pauses is one that never ends.
type headerTimeout struct {
	next  http.RoundTripper
	limit time.Duration
}

var errNoAnswer = errors.New("the API server did not answer in time")

func (t *headerTimeout) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(r.Context())
	timer := time.AfterFunc(t.limit, func() { cancel(errNoAnswer) })
	resp, err := t.next.RoundTrip(r.WithContext(ctx))
	if err != nil {
		timer.Stop()
		if errors.Is(context.Cause(ctx), errNoAnswer) {
			err = errNoAnswer
		}
		cancel(nil)
		return nil, err
	}
	// The body is read under the same context, which must not outlive it.
	timer.Reset(t.limit)
	resp.Body = &endingBody{ReadCloser: &promptBody{ReadCloser: resp.Body, ctx: ctx, timer: timer, limit: t.limit}, end: func() {
		timer.Stop()
		cancel(nil)
	}}
	return resp, nil
}

// promptBody gives each part of an answer the time that its beginning had.
type promptBody struct {
	io.ReadCloser
	ctx   context.Context // of the one request that this body is the answer to
	timer *time.Timer
	limit time.Duration
}

func (b *promptBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && errors.Is(context.Cause(b.ctx), errNoAnswer) {
		return n, errNoAnswer
	}
	b.timer.Reset(b.limit)
	return n, err
}

// endingBody calls end when the body is closed.
type endingBody struct {
	io.ReadCloser
	end func()
}

func (b *endingBody) Close() error {
	defer b.end()
	return b.ReadCloser.Close()
}

// impatient marks the context of a request that is sent once.
type impatient struct{}

// retrying sends a request again when the connection broke or the server was overloaded. client-go does so only for GETs
// and where the server says when (Retry-After); a server-side apply, an update and a delete may be repeated as well, also where
// it was the answer that broke off. A POST may not, since the object may have been made, unless the server had no time to look at
// it.
type retrying struct {
	next http.RoundTripper
}

// attempts is how often a request is sent at most, over about 4 s.
const attempts = 6

func (t *retrying) RoundTrip(r *http.Request) (*http.Response, error) {
	body := r.Body != nil && r.Body != http.NoBody
	if body && r.GetBody == nil || r.Context().Value(impatient{}) != nil {
		return t.next.RoundTrip(r)
	}
	for i := 1; ; i++ {
		attempt := r
		if body {
			again, err := r.GetBody()
			if err != nil {
				return nil, err
			}
			attempt = r.Clone(r.Context())
			attempt.Body = again
		}
		resp, err := t.next.RoundTrip(attempt)
		if err == nil && !streamed(r) {
			err = complete(resp)
		}
		asked := err == nil && retryAfter(resp) > 0
		if i == attempts && !asked || i == asksObeyed || r.Context().Err() != nil || !transient(r, resp, err) {
			if err != nil {
				return nil, err
			}
			if asked && i == asksObeyed {
				resp.Header.Del("Retry-After") // or client-go begins anew
			}
			return resp, nil
		}
		wait := backoff(min(i, attempts))
		if asked {
			// The same for all who were turned away: without chance they come back together.
			wait = retryAfter(resp)
			wait += rand.N(wait)
		}
		if resp != nil {
			// What is left unread keeps the connection from being used again.
			_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10))
			_ = resp.Body.Close()
		}
		if err := pause(r.Context(), wait); err != nil {
			return nil, err
		}
	}
}

// asksObeyed is how often a request is sent at most where the server says when to come back: as often as client-go does.
const asksObeyed = 11

// retryAfter is when the server wants the request again; 0 where it does not say, at most 30 s.
func retryAfter(resp *http.Response) time.Duration {
	seconds, err := strconv.Atoi(resp.Header.Get("Retry-After"))
	if err != nil || seconds <= 0 {
		return 0
	}
	return min(time.Duration(seconds)*time.Second, 30*time.Second)
}

// streamed reports whether an answer is read while it is made.
func streamed(r *http.Request) bool {
	q := r.URL.Query()
	return q.Has("watch") || q.Has("follow") || strings.HasSuffix(r.URL.Path, "/log")
}

// complete reads all of an answer, so that one that breaks off is seen while the request can be sent again.
func complete(resp *http.Response) error {
	whole, err := io.ReadAll(resp.Body)
	if closing := resp.Body.Close(); err == nil {
		err = closing
	}
	resp.Body = io.NopCloser(bytes.NewReader(whole))
	return err
}

// lasting reports whether sending a request again can't help: the server is another one, the lease does not allow it, or enough
// time was lost on it.
func lasting(err error) bool {
	var certificate *tls.CertificateVerificationError
	var unheld *manifest.Unheld
	return errors.As(err, &certificate) || errors.As(err, &unheld) || errors.Is(err, errLate) || errors.Is(err, errNoAnswer) ||
		errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// backoff is the pause after the i-th attempt, counting from 1: it doubles, and half of it is chance.
func backoff(i int) time.Duration {
	d := time.Duration(50<<i) * time.Millisecond
	return d + rand.N(d)
}

// transient reports whether the same request may have another answer soon.
func transient(r *http.Request, resp *http.Response, err error) bool {
	if r.Method == http.MethodPost && !r.URL.Query().Has("dryRun") && (err != nil || resp.StatusCode != http.StatusTooManyRequests) {
		return err != nil && utilnet.IsConnectionRefused(err)
	}
	if err != nil {
		return !lasting(err)
	}
	switch resp.StatusCode {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	case http.StatusInternalServerError:
		if retryAfter(resp) > 0 {
			return true
		}
		// Server-side apply answers so to an object that does not fit its schema.
		return r.Method != http.MethodPatch
	}
	return false
}

// clean takes the address of the request off an error, which says nothing that the caller's own words don't.
func clean(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// gitVersion reads the answer of /version.
func gitVersion(body []byte) (string, error) {
	var v struct {
		GitVersion string `json:"gitVersion"`
	}
	if err := json.Unmarshal(body, &v); err != nil {
		return "", fmt.Errorf("reading the server's version: %w", err)
	}
	if v.GitVersion == "" {
		return "", errors.New("the server's answer to /version names no version: is it a Kubernetes API server?")
	}
	return v.GitVersion, nil
}
