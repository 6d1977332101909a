package cluster

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync/atomic"
	"syscall"
)

// fence stands before the writes of a client that took a lease.
type fence struct{ lease atomic.Pointer[Lease] }

// close lets only the holder of a lease through.
func (f *fence) close(l *Lease) { f.lease.Store(l) }

// exempt marks the context of requests that no lease bounds: those for the lease itself.
type exempt struct{}

func unfenced(ctx context.Context) context.Context { return context.WithValue(ctx, exempt{}, true) }

// fencing gives every write of a client that took a lease a deadline before the lease ends, and does not send it where that is
// over: whoever takes the lease next finds no write of ours on its way. Reads and dry runs pass.
type fencing struct {
	next  http.RoundTripper
	fence *fence
}

var errLate = errors.New("the API server did not answer within the time that is left of the lease")

func (t *fencing) RoundTrip(r *http.Request) (*http.Response, error) {
	lease := t.fence.lease.Load()
	if lease == nil || !writes(r) || r.Context().Value(exempt{}) != nil {
		return t.next.RoundTrip(r)
	}
	allowed, err := lease.allow(r.Context())
	if err != nil {
		if r.Body != nil {
			_ = r.Body.Close()
		}
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(r.Context(), allowed, errLate)
	resp, err := t.next.RoundTrip(r.WithContext(ctx))
	if err != nil {
		if context.Cause(ctx) == errLate {
			err = errLate
		}
		cancel()
		return nil, err
	}
	resp.Body = &endingBody{ReadCloser: resp.Body, end: cancel}
	return resp, nil
}

// writes reports whether a request changes something on the server.
func writes(r *http.Request) bool {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return false
	}
	return !r.URL.Query().Has("dryRun")
}

// dialer makes connections that end when something is sent on them after the lease has run out. A process that stands still
// between the fence and the socket would else send its write when it goes on; the resource version that the write carries does
// not stop it where whoever took the lease meanwhile had nothing to change in the object. What is sent again passes the fence.
func (f *fence) dialer(dial func(ctx context.Context, network, address string) (net.Conn, error)) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &perishable{Conn: c, fence: f, late: f.over()}, nil
	}
}

// over reports whether the client took a lease that has run out.
func (f *fence) over() bool {
	l := f.lease.Load()
	return l != nil && l.left() <= 0
}

// perishable is a connection that ends with the lease.
type perishable struct {
	net.Conn
	fence *fence
	// late says that it was made after the lease ran out, by who knows that.
	late bool
}

func (c *perishable) Write(b []byte) (int, error) {
	if !c.late && c.fence.over() {
		_ = c.Close()
		return 0, &net.OpError{Op: "write", Net: "tcp", Err: syscall.ECONNRESET}
	}
	return c.Conn.Write(b)
}
