package faults_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redkubes/otomi/faults/fakeapi"
	"github.com/redkubes/otomi/faults/oracle"
	"github.com/redkubes/otomi/faults/proxy"
	"github.com/redkubes/otomi/faults/stack"
)

func newRecorder() *httptest.ResponseRecorder { return httptest.NewRecorder() }

// needsOtomi fails a test where otomi could not be built.
func needsOtomi(t testing.TB) {
	t.Helper()
	require.NoError(t, suite.buildError)
}

// site is a cluster with the proxy before it and the oracle beside it.
type site struct {
	proxy      *proxy.Proxy
	oracle     oracle.Oracle
	kubeconfig string
	env        []string
	// fake is the API server, where it is a fake.
	fake *fakeapi.Server
}

// sites numbers the sites of the process.
var sites atomic.Int64

// newSite puts a proxy before an API server. User is the user of the kubeconfig, as in it.
func newSite(next http.Handler, o oracle.Oracle, user any) (*site, error) {
	s := &site{proxy: proxy.New(next), oracle: o}
	text, err := s.proxy.Kubeconfig("faults", user)
	if err != nil {
		return nil, err
	}
	s.kubeconfig = filepath.Join(suite.dir, fmt.Sprintf("kubeconfig-%d", sites.Add(1)))
	return s, os.WriteFile(s.kubeconfig, text, 0o600)
}

func (s *site) close() {
	s.proxy.Close()
	_ = os.Remove(s.kubeconfig)
}

// fakeSite is a site with a fake API server.
func fakeSite(server *fakeapi.Server) (*site, error) {
	s, err := newSite(server, oracle.Oracle{Server: "http://fake", Client: &http.Client{Transport: direct{server}}}, nil)
	if s != nil {
		s.fake = server
	}
	return s, err
}

// platform is the stack in both versions, written to disk.
type platform struct {
	stack [3]stack.Stack // by version
	repo  [3]string
	// secrets are those of both versions.
	secrets []string
}

// newPlatform writes a platform; change may change its stacks.
func newPlatform(t testing.TB, releases int, change func(*stack.Stack)) *platform {
	t.Helper()
	p := &platform{}
	dir, err := os.MkdirTemp(suite.dir, "platform")
	require.NoError(t, err)
	for _, version := range []int{1, 2} {
		s := stack.Stack{Releases: releases, Version: version, Prefix: "fleet", Canary: canary}
		if change != nil {
			change(&s)
		}
		p.stack[version], p.repo[version] = s, filepath.Join(dir, fmt.Sprint(version))
		require.NoError(t, s.Write(p.repo[version]))
		p.secrets = append(p.secrets, s.Secrets()...)
	}
	return p
}

// apply runs an apply of a version, with the script of faults between.
func (s *site) apply(p *platform, version int, script proxy.Script, args ...string) (result, []proxy.Request, map[string]int, error) {
	return s.run(p, version, script, applyArgs(args...)...)
}

// run runs otomi with the script of faults between.
func (s *site) run(p *platform, version int, script proxy.Script, args ...string) (result, []proxy.Request, map[string]int, error) {
	var c *child
	var ready sync.WaitGroup
	ready.Add(1)
	s.proxy.Begin(script, func() {
		ready.Wait()
		c.kill()
	})
	c, err := start(s.kubeconfig, p.repo[version], s.env, args...)
	ready.Done()
	if err != nil {
		return result{}, nil, nil, err
	}
	r, err := c.wait()
	requests, hits := s.proxy.End()
	return r, requests, hits, err
}

// verdict compares the exit code of a run with what the oracle says, and looks for secrets in what it said.
type verdict struct {
	result
	wrong []string // what the oracle found
	hits  int
	leaks []string
}

func (v verdict) killed() bool { return v.code < 0 }
func (v verdict) equal() bool  { return len(v.wrong) == 0 }

// judge has the oracle look at the cluster after a run.
func (s *site) judge(ctx context.Context, p *platform, version int, r result, hits map[string]int) (verdict, error) {
	v := verdict{result: r, leaks: oracle.Leaks(r.out, p.secrets)}
	for _, n := range hits {
		v.hits += n
	}
	var err error
	v.wrong, err = s.oracle.Judge(ctx, p.stack[version])
	return v, err
}

// broken says which promise a run broke: it exited with 0 and the cluster is not as wanted, or the other way round where
// nothing had gone wrong, or it told a secret.
func (v verdict) broken() error {
	switch {
	case len(v.leaks) > 0:
		return fmt.Errorf("the output holds a secret (%s)\n%s", strings.Join(v.leaks, "; "), v.result)
	case strings.Contains(v.out, "panic:") || strings.Contains(v.out, "goroutine "):
		return fmt.Errorf("otomi panicked\n%s", v.result)
	case v.code == 0 && !v.equal():
		return fmt.Errorf("exit code 0, and the cluster is not as wanted:\n  %s\n%s", strings.Join(v.wrong, "\n  "), v.result)
	case v.code > 0 && v.equal() && v.hits == 0:
		return fmt.Errorf("it says that it failed, and the cluster is as wanted\n%s", v.result)
	}
	return nil
}

// trial is one run under faults and a plain second one, with the oracle after each, noted in a row of the table.
func (s *site) trial(ctx context.Context, p *platform, version int, name string, script proxy.Script, args ...string) error {
	first, _, hits, err := s.apply(p, version, script, args...)
	if err != nil {
		return err
	}
	return s.aftermath(ctx, p, version, name, first, hits)
}

// aftermath judges a run under faults, and has a plain second one converge.
func (s *site) aftermath(ctx context.Context, p *platform, version int, name string, first result, hits map[string]int) error {
	v, err := s.judge(ctx, p, version, first, hits)
	if err != nil {
		return err
	}
	failure := v.broken()
	began := time.Now()
	second, _, _, err := s.apply(p, version, nil)
	if err != nil {
		return err
	}
	elapsed := time.Since(began)
	w, err := s.judge(ctx, p, version, second, nil)
	if err != nil {
		return err
	}
	if failure == nil {
		failure = w.broken()
	}
	if failure == nil && (w.code != 0 || !w.equal()) {
		failure = fmt.Errorf("the second run does not converge:\n  %s\nfirst run: %s\nsecond run: %s", strings.Join(w.wrong, "\n  "), first, second)
	}
	suite.table.add(name, func(r *row) {
		r.trials++
		r.faults += v.hits
		r.again++
		r.elapsed += elapsed
		r.slowest = max(r.slowest, elapsed)
		switch {
		case v.killed():
			r.killed++
		case v.code == 0:
			r.zero++
		}
		if v.equal() {
			r.equal++
		}
		if v.equal() && v.code > 0 {
			r.careful++
		}
		if failure != nil {
			r.wrong++
		}
	})
	return failure
}
