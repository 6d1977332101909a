package faults_test

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redkubes/otomi/faults/proxy"
	"github.com/redkubes/otomi/faults/stack"
)

// The same faults on a real control plane, in seeded samples. The tests share one playground, one after the other.
func TestOnThePlayground(t *testing.T) {
	needsOtomi(t)
	ctx := background(t)
	s := playgroundSite(t)
	f := newPlatform(t, 25, func(s *stack.Stack) { s.Timeout = 20 })
	settled := func() {
		r, _, _, err := s.apply(f, 1, nil)
		require.NoError(t, err)
		require.Zero(t, r.code, "%s", r)
	}
	settled()
	total := 0
	for _, version := range []int{2, 1} {
		_, requests, _, err := s.apply(f, version, nil)
		require.NoError(t, err)
		total = len(requests)
	}
	dice := rand.New(rand.NewPCG(*seed, 2))

	t.Run("killed", func(t *testing.T) {
		n := count(2, 50)
		for i := range n {
			if !mine(t, i) {
				continue
			}
			version, of := 2-i%2, total
			name := "playground: kill -9 during an upgrade"
			if i%5 == 4 {
				name, version, of = "playground: kill -9 during an install", 1, total*3/4
				r, _, _, err := s.run(f, 1, nil, append([]string{"destroy", "--yes"}, suite.lease...)...)
				require.NoError(t, err)
				require.Zero(t, r.code, "%s", r)
				left, err := s.oracle.Empty(ctx, f.stack[1])
				require.NoError(t, err)
				require.Empty(t, left, "destroy left it")
			}
			at := point{n: 1 + dice.IntN(of), kind: []proxy.Kind{proxy.KillBefore, proxy.KillAfter}[dice.IntN(2)]}
			if err := s.trial(ctx, f, version, name, at.script(false)); err != nil {
				t.Errorf("%s: %v", at, err)
			}
		}
	})
	if !*all {
		return // the rest takes minutes; the same is tried on the fake
	}
	settled()
	t.Run("network", func(t *testing.T) {
		kinds := []int{1, 10, 50}
		for i := range count(1, 12) {
			percent := kinds[i%3]
			if err := s.trial(ctx, f, 2-i%2, fmt.Sprintf("playground: %d %% of requests: all sorts", percent), chance(dice, percent, len(sorts)-1)); err != nil {
				t.Errorf("trial %d: %v", i, err)
			}
		}
	})
	settled()
	t.Run("two", func(t *testing.T) {
		for i := range count(1, 20) {
			if err := s.together(ctx, t, f, [2]int{2, 2 - i%2}, "playground: two appliers at once"); err != nil {
				t.Errorf("trial %d: %v", i, err)
			}
			if i%2 == 0 {
				settled()
			}
		}
	})
	settled()
	t.Run("stopped", func(t *testing.T) {
		for i := range count(1, 10) {
			at := 1 + dice.IntN(total)
			if err := s.stopped(ctx, f, at, "playground: SIGSTOP past the Lease"); err != nil {
				t.Errorf("at request %d: %v", at, err)
			}
			_ = i
			settled()
		}
	})
	t.Run("changed", func(t *testing.T) {
		wanted := slices.DeleteFunc(compared(f), func(o stack.Object) bool { return o.Name == "" })
		for i := range count(1, 20) {
			o := wanted[dice.IntN(len(wanted))].Data
			done := false
			if err := s.trial(ctx, f, 2, "playground: an object changed or deleted between diff and apply", func(q proxy.Request) proxy.Fault {
				if done || !q.Writes {
					return proxy.Fault{}
				}
				done = true
				return proxy.Fault{Meanwhile: func() { s.meddle(o, i%2 == 0) }}
			}); err != nil {
				t.Errorf("%v %v: %v", o["kind"], o["metadata"], err)
			}
			settled()
		}
	})
	t.Run("finalizer", func(t *testing.T) {
		for _, held := range []struct{ what, kind, name string }{
			{"of an object that is replaced", "Job", "r08"}, {"of an object of a release that goes", "ConfigMap", "r07"},
			{"of an object that leaves its release", "ConfigMap", "r10-old"},
		} {
			o := find(t, f.stack[1], held.kind, held.name)
			require.NoError(t, s.finalizer(o, true))
			if err := s.fails(ctx, f, 2, "playground: a stuck finalizer "+held.what, func() error { return s.finalizer(o, false) }); err != nil {
				t.Errorf("%s: %v", held.what, err)
			}
			settled()
			if !*all {
				break
			}
		}
	})
	t.Run("quota", func(t *testing.T) {
		quota := map[string]any{"apiVersion": "v1", "kind": "ResourceQuota", "metadata": map[string]any{"name": "full", "namespace": "fleet-odd"},
			"spec": map[string]any{"hard": map[string]any{"configmaps": "1"}}}
		s.step(t, step{what: "a quota", method: "POST", path: "/api/v1/namespaces/fleet-odd/resourcequotas", body: quota, code: 201})
		s.step(t, step{what: "is in force", method: "GET", path: address(quota), code: 200, holds: is("1", "status", "hard", "configmaps"), eventually: true})
		if err := s.fails(ctx, f, 2, "playground: a full quota", func() error {
			_, _, err := s.ask("DELETE", address(quota), "application/json", nil)
			return err
		}, "quota"); err != nil {
			t.Error(err)
		}
		settled()
	})
	t.Run("webhook", func(t *testing.T) {
		for _, mode := range []string{"denies", "times out", "mutates", "denies at times"} {
			if err := s.webhook(ctx, t, f, mode); err != nil {
				t.Errorf("%s: %v", mode, err)
			}
			settled()
			if !*all {
				break
			}
		}
	})
	t.Run("record", func(t *testing.T) {
		heavy := newPlatform(t, 25, func(s *stack.Stack) { s.Heavy = 600_000 })
		r, _, _, err := s.apply(heavy, 2, nil)
		require.NoError(t, err)
		v, err := s.judge(ctx, heavy, 2, r, map[string]int{"heavy": 1})
		require.NoError(t, err)
		require.NoError(t, v.broken())
		if r.code != 0 { // at the edge it may fit
			if !strings.Contains(r.out, "too large") {
				t.Errorf("it does not say why: %s", r.out[max(0, len(r.out)-600):])
			}
		}
		require.NoError(t, s.aftermath(ctx, f, 2, "playground: a release record over 1 MiB, then a smaller one", r, map[string]int{"heavy": 1}))
	})
}

// webhook has the API server ask a webhook of ours about ConfigMaps of the stack.
func (s *site) webhook(ctx context.Context, t *testing.T, f *platform, mode string) error {
	t.Helper()
	var n atomic.Int64
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var review struct {
			Request struct {
				UID    string         `json:"uid"`
				Object map[string]any `json:"object"`
			} `json:"request"`
		}
		raw, err := io.ReadAll(r.Body)
		if err == nil {
			err = json.Unmarshal(raw, &review)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		response := map[string]any{"uid": review.Request.UID, "allowed": true}
		switch {
		case mode == "times out" && n.Add(1)%5 == 0:
			time.Sleep(1500 * time.Millisecond) // longer than the API server waits
		case mode == "denies", mode == "denies at times" && n.Add(1)%10 == 0:
			response["allowed"], response["status"] = false, map[string]any{"message": "not today", "code": 403}
		case mode == "mutates" && review.Request.Object != nil:
			patch := `[{"op":"add","path":"/metadata/annotations/example.com~1seen","value":"yes"}]`
			if at(review.Request.Object, "metadata", "annotations") == nil {
				patch = `[{"op":"add","path":"/metadata/annotations","value":{"example.com/seen":"yes"}}]`
			}
			response["patchType"], response["patch"] = "JSONPatch", []byte(patch)
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response})
	}))
	defer server.Close()
	kind := "ValidatingWebhookConfiguration"
	if mode == "mutates" {
		kind = "MutatingWebhookConfiguration"
	}
	hook := map[string]any{"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": map[string]any{"name": "faults"},
		"webhooks": []any{map[string]any{
			"name": "policy.example.com", "sideEffects": "None", "admissionReviewVersions": []any{"v1"}, "failurePolicy": "Fail", "timeoutSeconds": 1,
			"clientConfig": map[string]any{"url": server.URL, "caBundle": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})},
			"rules":        []any{map[string]any{"apiGroups": []any{""}, "apiVersions": []any{"v1"}, "operations": []any{"CREATE", "UPDATE"}, "resources": []any{"configmaps"}}},
			"namespaceSelector": map[string]any{"matchExpressions": []any{map[string]any{
				"key": "kubernetes.io/metadata.name", "operator": "In", "values": f.stack[1].Namespaces()}}},
		}}}
	path := address(hook)
	s.step(t, step{what: "a webhook", method: "POST", path: path[:strings.LastIndex(path, "/")], body: hook, code: 201})
	remove := func() error {
		_, _, err := s.ask("DELETE", path, "application/json", nil)
		return err
	}
	defer func() { _ = remove() }()
	// The API server asks it from some moment on.
	probe := map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "probe", "namespace": "fleet-even"}}
	if mode == "denies" {
		s.step(t, step{what: "it is asked", method: "POST", path: "/api/v1/namespaces/fleet-even/configmaps?dryRun=All", body: probe, code: 403, eventually: true})
	} else {
		time.Sleep(2 * time.Second)
	}
	free := remove
	if mode == "mutates" {
		free = func() error { return nil }
	}
	return s.fails(ctx, f, 2, "playground: a webhook that "+mode, free)
}

// relay stands between the API server and etcd, and can hold its breath.
type relay struct {
	mu     sync.Mutex
	paused chan struct{} // closed while it is not
}

// listen relays from one socket to another until the listener is closed.
func (r *relay) listen(listener net.Listener, to string) {
	r.paused = make(chan struct{})
	close(r.paused)
	for {
		in, err := listener.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("unix", to)
		if err != nil {
			_ = in.Close()
			continue
		}
		go r.copy(in, out)
		go r.copy(out, in)
	}
}

func (r *relay) copy(to, from net.Conn) {
	defer func() { _ = to.Close() }()
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			r.mu.Lock()
			open := r.paused
			r.mu.Unlock()
			<-open
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// pause holds everything for so long.
func (r *relay) pause(d time.Duration) {
	r.mu.Lock()
	open := make(chan struct{})
	r.paused = open
	r.mu.Unlock()
	time.AfterFunc(d, func() { close(open) })
}

func TestEtcdPauses(t *testing.T) {
	if !*all {
		t.Skip("part of the whole suite: make faults")
	}
	needsOtomi(t)
	ctx := background(t)
	p := preparePlayground(t, "--etcd-relay")
	r := &relay{}
	listener, err := net.Listen("unix", filepath.Join(p.dir, "etcd-relay.sock"))
	require.NoError(t, err)
	go r.listen(listener, filepath.Join(p.dir, "etcd.sock"))
	t.Cleanup(func() { _ = listener.Close() })
	require.NoError(t, p.begin())
	s := p.site(t)
	f := newPlatform(t, 13, nil)
	first, requests, _, err := s.apply(f, 1, nil)
	require.NoError(t, err)
	require.Zero(t, first.code, "%s", first)
	dice := rand.New(rand.NewPCG(*seed, 3))
	for i := range count(1, 10) {
		when, long := 1+dice.IntN(len(requests)), []time.Duration{500 * time.Millisecond, 2 * time.Second, 5 * time.Second}[i%3]
		if err := s.trial(ctx, f, 2-i%2, fmt.Sprintf("playground: etcd pauses for %s", long), func(q proxy.Request) proxy.Fault {
			if q.N != when {
				return proxy.Fault{}
			}
			return proxy.Fault{Meanwhile: func() { r.pause(long) }}
		}); err != nil {
			t.Errorf("at request %d, for %s: %v", when, long, err)
		}
	}
}

func TestAPIServerRestarts(t *testing.T) {
	if !*all {
		t.Skip("part of the whole suite: make faults")
	}
	needsOtomi(t)
	ctx := background(t)
	p := startPlayground(t)
	s := p.site(t)
	f := newPlatform(t, 13, nil)
	first, requests, _, err := s.apply(f, 1, nil)
	require.NoError(t, err)
	require.Zero(t, first.code, "%s", first)
	dice := rand.New(rand.NewPCG(*seed, 4))
	for i := range count(1, 10) {
		when := 1 + dice.IntN(len(requests))
		back := make(chan error, 1)
		hit := false
		first, _, hits, err := s.apply(f, 2-i%2, func(q proxy.Request) proxy.Fault {
			if q.N != when {
				return proxy.Fault{}
			}
			hit = true
			return proxy.Fault{Meanwhile: func() {
				// In order, or as a machine that loses its power.
				if i%2 == 0 {
					p.kill()
				} else {
					p.end()
				}
				go func() { back <- p.begin() }()
			}}
		})
		require.NoError(t, err)
		if hit {
			require.NoError(t, <-back)
		}
		if err := s.aftermath(ctx, f, 2-i%2, "playground: the API server restarts", first, hits); err != nil {
			t.Errorf("at request %d: %v", when, err)
		}
	}
}
