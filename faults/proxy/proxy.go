// Package proxy stands between otomi and an API server and does to their talk what networks and servers do to it.
//
// A Proxy serves TLS on loopback and hands each request to the next server, or not, as its Script says. It counts requests,
// names them so that the same one can be found in another run, and knows which process it may kill.
package proxy

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"time"
)

// Kind says what happens to a request.
type Kind string

// The kinds of faults.
const (
	// Pass: nothing happens to it.
	Pass Kind = ""
	// KillBefore kills the caller before the request is passed on, which it never is.
	KillBefore Kind = "kill-before"
	// KillAfter passes the request on, and kills the caller before it has the answer.
	KillAfter Kind = "kill-after"
	// Refuse answers with Code.
	Refuse Kind = "refuse"
	// Reset ends the connection; the request is not passed on.
	Reset Kind = "reset"
	// Lose passes the request on and ends the connection in place of the answer.
	Lose Kind = "lose"
	// Hang keeps the request for Delay, or until the caller gives up, and then ends the connection.
	Hang Kind = "hang"
	// Late passes the request on after Delay, also where the caller is gone by then.
	Late Kind = "late"
)

// Fault is what happens to one request.
type Fault struct {
	Kind Kind
	// Code is the answer of Refuse; RetryAfter in seconds is sent along where it is positive.
	Code       int
	RetryAfter int
	Delay      time.Duration
	// Meanwhile is called before the request is passed on, for tests that change the cluster at that moment; nil for nothing.
	Meanwhile func()
}

func (f Fault) String() string {
	switch {
	case f.Kind == Refuse && f.RetryAfter > 0:
		return fmt.Sprintf("%d with Retry-After", f.Code)
	case f.Kind == Refuse:
		return fmt.Sprint(f.Code)
	}
	return string(f.Kind)
}

// Request is one request, as a Script sees it.
type Request struct {
	// N counts the requests of a run from 1, in the order in which they arrive.
	N int
	// Name is the method and the address with a count, the same in another run that asks the same: "GET /api/v1/… #2".
	Name   string
	Method string
	Path   string
	// Writes says that the request changes something: dry-runs do not.
	Writes bool
}

// Script says what happens to each request. It is called for one request at a time.
type Script func(Request) Fault

// Proxy is a server that misbehaves.
type Proxy struct {
	next   http.Handler
	server *httptest.Server

	mu      sync.Mutex
	script  Script
	kill    func()
	count   map[string]int
	all     []Request
	hits    map[string]int
	dead    bool
	working sync.WaitGroup
}

type connection struct{}

// New starts a proxy in front of next.
func New(next http.Handler) *Proxy {
	p := &Proxy{next: next}
	p.Begin(nil, nil)
	p.server = httptest.NewUnstartedServer(p)
	p.server.EnableHTTP2 = true
	p.server.Config.ErrorLog = log.New(io.Discard, "", 0)
	p.server.Config.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		return context.WithValue(ctx, connection{}, c)
	}
	p.server.StartTLS()
	return p
}

// Close ends it.
func (p *Proxy) Close() {
	p.server.CloseClientConnections()
	p.server.Close()
}

// URL is where it serves; CA the certificate to trust, in PEM.
func (p *Proxy) URL() string { return p.server.URL }

// CA is the certificate to trust, in PEM.
func (p *Proxy) CA() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.server.Certificate().Raw})
}

// Kubeconfig is one for the proxy, with one context of that name; user is what stands under the user's name, as JSON.
func (p *Proxy) Kubeconfig(contextName string, user any) ([]byte, error) {
	if user == nil {
		user = map[string]any{}
	}
	return json.MarshalIndent(map[string]any{
		"apiVersion": "v1", "kind": "Config", "current-context": contextName,
		"clusters": []any{map[string]any{"name": contextName, "cluster": map[string]any{
			"server": p.URL(), "certificate-authority-data": p.CA(),
		}}},
		"users":    []any{map[string]any{"name": contextName, "user": user}},
		"contexts": []any{map[string]any{"name": contextName, "context": map[string]any{"cluster": contextName, "user": contextName}}},
	}, "", "  ")
}

// Begin begins a run: requests are counted anew, and script says what happens to them. Kill ends the caller. Either may be nil.
func (p *Proxy) Begin(script Script, kill func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.script, p.kill, p.count, p.all, p.hits, p.dead = script, kill, map[string]int{}, nil, map[string]int{}, false
}

// End waits until no request is under way, and returns those of the run, and how many faults of which sort it had.
func (p *Proxy) End() ([]Request, map[string]int) {
	p.working.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.script, p.kill = nil, nil
	return p.all, p.hits
}

// note counts a request, and asks what happens to it.
func (p *Proxy) note(r *http.Request) (Fault, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.dead {
		// What a process that was killed had in its socket never arrives.
		return Fault{}, false
	}
	address := r.Method + " " + r.URL.RequestURI()
	p.count[address]++
	request := Request{
		N: len(p.all) + 1, Name: fmt.Sprintf("%s #%d", address, p.count[address]), Method: r.Method, Path: r.URL.Path,
		Writes: r.Method != http.MethodGet && r.Method != http.MethodHead && !strings.Contains(r.URL.RawQuery, "dryRun"),
	}
	p.all = append(p.all, request)
	if p.script == nil {
		return Fault{}, true
	}
	f := p.script(request)
	switch {
	case f.Kind != Pass:
		p.hits[f.String()]++
	case f.Meanwhile != nil:
		p.hits["meanwhile"]++
	}
	if f.Kind == KillBefore {
		p.end()
	}
	return f, true
}

// end kills the caller. The caller of end holds the lock.
func (p *Proxy) end() {
	p.dead = true
	if p.kill != nil {
		p.kill()
	}
}

// ServeHTTP passes a request on, or not.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.working.Add(1)
	defer p.working.Done()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the caller is gone
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	f, alive := p.note(r)
	if !alive {
		hangUp(r)
	}
	// What is passed on is carried out, also where the caller is gone: the API server has it.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), time.Minute)
	defer cancel()
	on := r.WithContext(ctx)
	if f.Meanwhile != nil {
		f.Meanwhile()
	}
	switch f.Kind {
	case KillBefore, Reset:
		hangUp(r)
	case KillAfter:
		p.next.ServeHTTP(httptest.NewRecorder(), on)
		p.mu.Lock()
		p.end()
		p.mu.Unlock()
		hangUp(r)
	case Lose:
		p.next.ServeHTTP(httptest.NewRecorder(), on)
		hangUp(r)
	case Refuse:
		refuse(w, f)
		return
	case Hang:
		wait(r.Context(), f.Delay)
		hangUp(r)
	case Late:
		wait(context.WithoutCancel(r.Context()), f.Delay)
	}
	p.next.ServeHTTP(w, on)
}

func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// hangUp ends the connection of a request, and with it all other requests on it. It does not return.
func hangUp(r *http.Request) {
	if c, ok := r.Context().Value(connection{}).(net.Conn); ok {
		if inner, ok := c.(interface{ NetConn() net.Conn }); ok {
			if tcp, ok := inner.NetConn().(*net.TCPConn); ok {
				_ = tcp.SetLinger(0) // then the close below is a reset
			}
			_ = inner.NetConn().Close()
		}
	}
	panic(http.ErrAbortHandler)
}

// reasons are what API servers say with a code.
var reasons = map[int]string{
	429: "TooManyRequests", 500: "InternalError", 502: "", 503: "ServiceUnavailable", 504: "Timeout",
}

// refuse answers as an API server that can't.
func refuse(w http.ResponseWriter, f Fault) {
	status := map[string]any{
		"kind": "Status", "apiVersion": "v1", "metadata": map[string]any{}, "status": "Failure", "code": f.Code,
		"reason": reasons[f.Code], "message": "the proxy of the fault suite answers " + fmt.Sprint(f.Code),
	}
	w.Header().Set("Content-Type", "application/json")
	if f.RetryAfter > 0 {
		w.Header().Set("Retry-After", fmt.Sprint(f.RetryAfter))
	}
	w.WriteHeader(f.Code)
	_ = json.NewEncoder(w).Encode(status) // the caller is gone
}
