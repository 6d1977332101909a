package faults_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/redkubes/otomi/faults/proxy"
)

// plurals are the addresses of the kinds of the stack.
var plurals = map[string]string{
	"ConfigMap": "configmaps", "Secret": "secrets", "Service": "services", "ServiceAccount": "serviceaccounts", "Deployment": "deployments",
	"Job": "jobs", "Widget": "widgets", "Gadget": "gadgets", "CustomResourceDefinition": "customresourcedefinitions", "Namespace": "namespaces",
	"ResourceQuota": "resourcequotas", "ValidatingWebhookConfiguration": "validatingwebhookconfigurations",
	"MutatingWebhookConfiguration": "mutatingwebhookconfigurations",
}

// address is where an object is.
func address(o map[string]any) string {
	group := fmt.Sprint("/apis/", o["apiVersion"])
	if o["apiVersion"] == "v1" {
		group = "/api/v1"
	}
	md := o["metadata"].(map[string]any)
	if namespace, ok := md["namespace"].(string); ok {
		group += "/namespaces/" + namespace
	}
	return group + "/" + plurals[o["kind"].(string)] + "/" + md["name"].(string)
}

// ask sends a request straight to the API server, as somebody else.
func (s *site) ask(method, path, contentType string, body any) (int, map[string]any, error) {
	raw, err := json.Marshal(body)
	if err != nil {
		return 0, nil, err
	}
	if body == nil {
		raw = nil
	}
	r, err := http.NewRequest(method, s.oracle.Server+path, bytes.NewReader(raw))
	if err != nil {
		return 0, nil, err
	}
	r.Header.Set("Content-Type", contentType)
	r.Header.Set("User-Agent", "somebody/1")
	resp, err := s.oracle.Client.Do(r)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, nil, err
	}
	var answer map[string]any
	_ = json.Unmarshal(text, &answer) // an answer may be no JSON
	return resp.StatusCode, answer, nil
}

// meddle deletes an object, or changes something in it that the stack wants; where it is not there, nothing happens.
func (s *site) meddle(o map[string]any, deletes bool) {
	if deletes {
		_, _, _ = s.ask("DELETE", address(o), "application/json", nil)
		return
	}
	change := map[string]any{"metadata": map[string]any{"labels": map[string]any{"app.kubernetes.io/managed-by": "somebody"}}}
	switch o["kind"] {
	case "ConfigMap":
		// Only what the stack wants: keys that somebody adds are theirs.
		data := map[string]any{}
		for key := range o["data"].(map[string]any) {
			data[key] = "another"
		}
		change = map[string]any{"data": data}
	case "Secret":
		change = map[string]any{"data": map[string]any{"password": "YW5vdGhlcg=="}}
	case "Widget", "Gadget":
		change = map[string]any{"spec": map[string]any{"size": 99}}
	case "Deployment":
		change = map[string]any{"spec": map[string]any{"replicas": 3}}
	}
	_, _, _ = s.ask("PATCH", address(o), "application/merge-patch+json", change)
}

// together has two appliers at once, of the versions, and judges what is left: if both got through, the cluster is as one of them
// wanted it; if one said it failed, nothing is said. A plain run of version 2 then converges.
func (s *site) together(ctx context.Context, t testing.TB, f *platform, versions [2]int, name string) error {
	s.proxy.Begin(nil, nil)
	var children [2]*child
	for i, version := range versions {
		c, err := start(s.kubeconfig, f.repo[version], s.env, applyArgs()...)
		if err != nil {
			return err
		}
		children[i] = c
	}
	var results [2]result
	zero := 0
	for i, c := range children {
		r, err := c.wait()
		if err != nil {
			return err
		}
		results[i] = r
		if r.code == 0 {
			zero++
		}
	}
	s.proxy.End()
	var failure error
	var verdicts [2]verdict
	for i, version := range versions {
		v, err := s.judge(ctx, f, version, results[i], map[string]int{"another": 1})
		if err != nil {
			return err
		}
		verdicts[i] = v
		if len(v.leaks) > 0 {
			failure = v.broken()
		}
	}
	switch {
	case failure != nil:
	case zero == 2 && !verdicts[0].equal() && !verdicts[1].equal():
		failure = fmt.Errorf("both exited with 0, and the cluster is as neither wanted\nfirst: %s\nsecond: %s", verdicts[0].broken(), verdicts[1].broken())
	case zero == 1 && versions[0] == versions[1] && !verdicts[0].equal():
		failure = fmt.Errorf("one exited with 0, and the cluster is not as wanted: %v\nfirst: %s\nsecond: %s", verdicts[0].wrong, results[0], results[1])
	}
	began := time.Now()
	r, _, _, err := s.apply(f, 2, nil)
	if err != nil {
		return err
	}
	elapsed := time.Since(began)
	v, err := s.judge(ctx, f, 2, r, nil)
	if err != nil {
		return err
	}
	if failure == nil && (v.code != 0 || !v.equal() || len(v.leaks) > 0) {
		failure = fmt.Errorf("the run after both does not converge: %v\n%s\nfirst: %s\nsecond: %s", v.wrong, r, results[0], results[1])
	}
	suite.table.add(name, func(r *row) {
		r.trials++
		r.faults++
		r.zero += zero
		if verdicts[0].equal() || verdicts[1].equal() {
			r.equal++
		}
		r.again++
		r.elapsed += elapsed
		r.slowest = max(r.slowest, elapsed)
		if failure != nil {
			r.wrong++
		}
	})
	return failure
}

// stopped starts an apply of version 2 on a cluster with version 1, stops its process at a request for longer than its Lease, has
// another one apply version 1 meanwhile, and lets the first go on. The second got through, so its version must be what is left,
// whatever the first still tried.
func (s *site) stopped(ctx context.Context, f *platform, at int, name string) error {
	paused := make(chan struct{}, 1)
	var first *child
	ready := make(chan struct{})
	s.proxy.Begin(func(r proxy.Request) proxy.Fault {
		if r.N == at {
			<-ready
			_ = first.cmd.Process.Signal(syscall.SIGSTOP)
			paused <- struct{}{}
		}
		return proxy.Fault{}
	}, nil)
	first, err := start(s.kubeconfig, f.repo[2], s.env, applyArgs()...)
	close(ready)
	if err != nil {
		return err
	}
	ended := make(chan struct{})
	var one result
	var waited error
	go func() {
		defer close(ended)
		one, waited = first.wait()
	}()
	select {
	case <-paused:
	case <-ended:
		return waited // it did not ask as often this time
	}
	two, err := start(s.kubeconfig, f.repo[1], s.env, applyArgs()...)
	if err != nil {
		return err
	}
	r, err := two.wait()
	if err != nil {
		return err
	}
	before, err := s.judge(ctx, f, 1, r, map[string]int{"stopped": 1})
	if err != nil {
		return err
	}
	if err := first.cmd.Process.Signal(syscall.SIGCONT); err != nil && err != os.ErrProcessDone {
		return err
	}
	<-ended
	if waited != nil {
		return waited
	}
	s.proxy.End()
	failure := before.broken()
	after, err := s.judge(ctx, f, 1, r, map[string]int{"stopped": 1})
	if err != nil {
		return err
	}
	late, err := s.judge(ctx, f, 2, one, map[string]int{"stopped": 1})
	if err != nil {
		return err
	}
	// The first may have held no Lease yet when it was stopped; then it goes on in its turn, and its version is what is left. Or
	// it was done.
	if failure == nil && r.code == 0 && !after.equal() && !(one.code == 0 && late.equal()) {
		failure = fmt.Errorf("a process that was stopped wrote over what another one had done meanwhile:\n  %v\nthe stopped one: %s\nthe other: %s", after.wrong, one, r)
	}
	if failure == nil && len(late.leaks) > 0 {
		failure = late.broken()
	}
	if failure == nil && r.code != 0 {
		failure = fmt.Errorf("the other one did not get through: %s", r)
	}
	began := time.Now()
	again, _, _, err := s.apply(f, 2, nil)
	if err != nil {
		return err
	}
	elapsed := time.Since(began)
	v, err := s.judge(ctx, f, 2, again, nil)
	if err != nil {
		return err
	}
	if failure == nil && (v.code != 0 || !v.equal()) {
		failure = fmt.Errorf("the run after both does not converge: %v\n%s", v.wrong, again)
	}
	suite.table.add(name, func(w *row) {
		w.trials++
		w.faults++
		w.again++
		w.elapsed += elapsed
		w.slowest = max(w.slowest, elapsed)
		for _, code := range []int{one.code, r.code} {
			if code == 0 {
				w.zero++
			}
		}
		if after.equal() || late.equal() {
			w.equal++
		}
		if failure != nil {
			w.wrong++
		}
	})
	return failure
}

func TestStoppedPastTheLease(t *testing.T) {
	needsOtomi(t)
	ctx := background(t)
	f := newPlatform(t, 13, nil)
	base := installed(t, f)
	requests := reference(t, f, base, 2)
	each(t, count(4, 100), func(i int) error {
		s, err := fakeSite(base.Fork())
		if err != nil {
			return err
		}
		defer s.close()
		at := 1 + (i*7919+int(*seed))%len(requests)
		if err := s.stopped(ctx, f, at, "SIGSTOP past the Lease, another applies meanwhile"); err != nil {
			return fmt.Errorf("at request %d: %w", at, err)
		}
		return nil
	})
}
