package faults_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redkubes/otomi/faults/fakeapi"
	"github.com/redkubes/otomi/faults/stack"
)

// fails is a trial in which the cluster itself is in the way: the run must say so, and a plain one converges once the way is free.
func (s *site) fails(ctx context.Context, f *platform, version int, name string, free func() error, words ...string) error {
	first, _, _, err := s.apply(f, version, nil)
	if err != nil {
		return err
	}
	v, err := s.judge(ctx, f, version, first, map[string]int{name: 1})
	if err != nil {
		return err
	}
	failure := v.broken()
	if failure == nil && v.code == 0 && !v.equal() {
		failure = fmt.Errorf("it got through where it can't\n%s", first)
	}
	for _, w := range words {
		if failure == nil && v.code != 0 && !strings.Contains(v.out, w) {
			failure = fmt.Errorf("it does not say %q\n%s", w, first)
		}
	}
	if err := free(); err != nil {
		return err
	}
	began := time.Now()
	again, _, _, err := s.apply(f, version, nil)
	if err != nil {
		return err
	}
	elapsed := time.Since(began)
	w, err := s.judge(ctx, f, version, again, nil)
	if err != nil {
		return err
	}
	if failure == nil {
		failure = w.broken()
	}
	if failure == nil && (w.code != 0 || !w.equal()) {
		failure = fmt.Errorf("the second run does not converge: %v\n%s\nthe first: %s", w.wrong, again, first)
	}
	suite.table.add(name, func(r *row) {
		r.trials++
		r.faults++
		if v.code == 0 {
			r.zero++
		}
		if v.equal() {
			r.equal++
		}
		if v.equal() && v.code > 0 {
			r.careful++
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

// short gives the releases of a stack little time.
func short(s *stack.Stack) { s.Timeout = 2 }

// finalizer holds an object, or lets it go.
func (s *site) finalizer(o map[string]any, held bool) error {
	var list any
	if held {
		list = []any{"example.com/stuck"}
	}
	code, answer, err := s.ask("PATCH", address(o), "application/merge-patch+json",
		map[string]any{"metadata": map[string]any{"finalizers": list}})
	if err == nil && code != 200 {
		err = fmt.Errorf("holding %s: %d %v", address(o), code, answer["message"])
	}
	return err
}

// find is an object of a stack by its kind and name.
func find(t testing.TB, s stack.Stack, kind, name string) map[string]any {
	t.Helper()
	for _, o := range s.Wanted() {
		if o.Data["kind"] == kind && o.Data["metadata"].(map[string]any)["name"] == name {
			return o.Data
		}
	}
	require.Failf(t, "no such object", "%s %s", kind, name)
	return nil
}

func TestStuckFinalizer(t *testing.T) {
	needsOtomi(t)
	ctx := background(t)
	f := newPlatform(t, 13, short)
	base := installed(t, f)
	for _, held := range []struct {
		what, kind, name string
	}{
		{"of an object that is replaced", "Job", "r08"},
		{"of an object of a release that goes", "ConfigMap", "r07"},
		{"of an object that leaves its release", "ConfigMap", "r10-old"},
		{"of an object that stays", "ConfigMap", "r04"},
	} {
		s, err := fakeSite(base.Fork())
		require.NoError(t, err)
		o := find(t, f.stack[1], held.kind, held.name)
		require.NoError(t, s.finalizer(o, true))
		err = s.fails(ctx, f, 2, "a stuck finalizer "+held.what, func() error { return s.finalizer(o, false) })
		s.close()
		if err != nil {
			t.Errorf("%s: %v", held.what, err)
		}
	}
}

func TestRecordOverAMebibyte(t *testing.T) {
	needsOtomi(t)
	ctx := background(t)
	heavy := newPlatform(t, 13, func(s *stack.Stack) { s.Heavy = 800_000 })
	light := newPlatform(t, 13, nil)
	for _, server := range []*fakeapi.Server{fakeapi.New(), installed(t, light)} {
		s, err := fakeSite(server)
		require.NoError(t, err)
		r, _, _, err := s.apply(heavy, 2, nil)
		require.NoError(t, err)
		v, err := s.judge(ctx, heavy, 2, r, map[string]int{"heavy": 1})
		require.NoError(t, err)
		require.NoError(t, v.broken())
		require.NotZero(t, r.code)
		if !strings.Contains(r.out, "too large") {
			t.Errorf("it does not say why: %s", r.out[max(0, len(r.out)-600):])
		}
		require.NoError(t, s.aftermath(ctx, light, 2, "a release record over 1 MiB, then a smaller one", result{code: 1}, map[string]int{"heavy": 1}))
		s.close()
	}
}

func TestAdmission(t *testing.T) {
	needsOtomi(t)
	ctx := background(t)
	f := newPlatform(t, 13, short)
	base := installed(t, f)
	denied := func(message string) *fakeapi.Refusal {
		return &fakeapi.Refusal{Code: 403, Reason: "Forbidden", Message: `admission webhook "policy.example.com" denied the request: ` + message}
	}
	each(t, count(6, 120), func(i int) error {
		s, err := fakeSite(base.Fork())
		if err != nil {
			return err
		}
		defer s.close()
		var mu sync.Mutex
		r := rand.New(rand.NewPCG(*seed, uint64(i)))
		free := func() error { s.fake.Admit(nil); return nil }
		// Which objects it is about: those of a kind.
		kind := []string{"ConfigMap", "Secret", "Deployment", "Widget", "Job", "CustomResourceDefinition"}[r.IntN(6)]
		about := func(o map[string]any) bool {
			name, _ := o["metadata"].(map[string]any)["name"].(string)
			return o["kind"] == kind && !strings.HasPrefix(name, "sh.helm.release")
		}
		switch i % 4 {
		case 0:
			s.fake.Admit(func(_ string, o map[string]any) (map[string]any, *fakeapi.Refusal) {
				if about(o) {
					return nil, denied("no " + kind)
				}
				return o, nil
			})
			return s.fails(ctx, f, 2, "a webhook that denies a kind", free)
		case 1:
			s.fake.Admit(func(_ string, o map[string]any) (map[string]any, *fakeapi.Refusal) {
				mu.Lock()
				defer mu.Unlock()
				if r.IntN(20) == 0 {
					return nil, denied("not now")
				}
				return o, nil
			})
			return s.fails(ctx, f, 2, "a webhook that denies 5 % of writes", free)
		case 2:
			s.fake.Admit(func(_ string, o map[string]any) (map[string]any, *fakeapi.Refusal) {
				mu.Lock()
				defer mu.Unlock()
				if r.IntN(20) == 0 {
					return nil, &fakeapi.Refusal{Code: 500, Reason: "InternalError", Message: `Internal error occurred: failed calling webhook "policy.example.com": ` +
						`failed to call webhook: Post "https://policy.example.com/?timeout=1s": context deadline exceeded`}
				}
				return o, nil
			})
			return s.fails(ctx, f, 2, "a webhook that times out on 5 % of writes", free)
		}
		s.fake.Admit(func(_ string, o map[string]any) (map[string]any, *fakeapi.Refusal) {
			if about(o) {
				md := o["metadata"].(map[string]any)
				labels, _ := md["labels"].(map[string]any)
				if labels == nil {
					labels = map[string]any{}
				}
				labels["example.com/seen"] = "yes"
				md["labels"] = labels
			}
			return o, nil
		})
		return s.fails(ctx, f, 2, "a webhook that adds a label", func() error { return nil })
	})
}

// tokens is a gate that lets tokens in which are numbered and short of breath: one is good for so many requests.
type tokens struct {
	mu   sync.Mutex
	dir  string
	life int
	used map[string]int
}

// good reports whether a token is good, once more.
func (k *tokens) good(token string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !strings.HasPrefix(token, "token-") {
		return false
	}
	k.used[token]++
	return k.used[token] <= k.life
}

// plugin writes an exec credential plugin that gives another token each time. With an expiry a token says when it ends.
func (k *tokens) plugin(expires time.Duration) (map[string]any, error) {
	path := filepath.Join(k.dir, "plugin")
	expiry := ""
	if expires > 0 {
		expiry = `,\"expirationTimestamp\":\"$(date -u -d "+` + strconv.Itoa(int(expires.Seconds())) + ` seconds" +%Y-%m-%dT%H:%M:%SZ)\"`
	}
	script := "#!/bin/sh\necho \"{\\\"apiVersion\\\":\\\"client.authentication.k8s.io/v1\\\",\\\"kind\\\":\\\"ExecCredential\\\",\\\"status\\\":{\\\"token\\\":\\\"token-$$-$(date +%N)\\\"" + expiry + "}}\"\n"
	if err := os.WriteFile(path, []byte(script), 0o755); err != nil {
		return nil, err
	}
	return map[string]any{"exec": map[string]any{"apiVersion": "client.authentication.k8s.io/v1", "command": path, "interactiveMode": "Never"}}, nil
}

func TestTokenExpires(t *testing.T) {
	needsOtomi(t)
	ctx := background(t)
	f := newPlatform(t, 13, nil)
	base := installed(t, f)
	each(t, count(2, 60), func(i int) error {
		dir, err := os.MkdirTemp(suite.dir, "plugin")
		if err != nil {
			return err
		}
		// From nearly each request to nearly never.
		k := &tokens{dir: dir, life: []int{20, 60, 150, 400}[i%4], used: map[string]int{}}
		user, err := k.plugin(time.Duration(i/4%2) * time.Hour)
		if err != nil {
			return err
		}
		server := base.Fork()
		s, err := fakeSite(server)
		if err != nil {
			return err
		}
		defer s.close()
		text, err := s.proxy.Kubeconfig("faults", user)
		if err != nil {
			return err
		}
		if err := os.WriteFile(s.kubeconfig, text, 0o600); err != nil {
			return err
		}
		gate := func(token string) bool { return token == "" || k.good(token) } // the oracle has none
		server.Tokens(gate)
		first, _, _, err := s.apply(f, 2, nil)
		if err != nil {
			return err
		}
		// Then they live long.
		server.Tokens(nil)
		return s.aftermath(ctx, f, 2, fmt.Sprintf("tokens that end after %d requests", k.life), first, map[string]int{"tokens": len(k.used)})
	})
}

func base64Text(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }

// The oracle can fail: what is wrong in any of the ways that the tests look for is seen.
func TestOracleSeesSabotage(t *testing.T) {
	needsOtomi(t)
	ctx := background(t)
	f := newPlatform(t, 13, nil)
	base := installed(t, f)
	good := result{code: 0, out: "done"}
	check := func(s *site, r result, hits map[string]int) error {
		v, err := s.judge(ctx, f, 1, r, hits)
		require.NoError(t, err)
		return v.broken()
	}
	s, err := fakeSite(base.Fork())
	require.NoError(t, err)
	require.NoError(t, check(s, good, nil))
	require.ErrorContains(t, check(s, result{code: 1}, nil), "says that it failed")
	require.NoError(t, check(s, result{code: 1}, map[string]int{"500": 1}))
	s.close()

	// Each object of the stack, gone or changed.
	for _, o := range f.stack[1].Wanted() {
		for _, deletes := range []bool{true, false} {
			if o.Data["kind"] == "Namespace" && !deletes || o.Name == "" && !deletes && o.Data["kind"] != "ConfigMap" {
				continue // the stack wants nothing of it but that it is there
			}
			s, err := fakeSite(base.Fork())
			require.NoError(t, err)
			s.meddle(o.Data, deletes)
			require.ErrorContains(t, check(s, good, nil), "not as wanted", "%v %v", o.Data["kind"], o.Data["metadata"])
			s.close()
		}
	}
	// Something left over, and a hook that should be gone.
	for _, o := range []map[string]any{
		find(t, f.stack[2], "ServiceAccount", "r04-new"),
		{"apiVersion": "batch/v1", "kind": "Job", "metadata": map[string]any{"name": "r02-pre", "namespace": "fleet-even"}, "spec": map[string]any{}},
	} {
		s, err := fakeSite(base.Fork())
		require.NoError(t, err)
		path := address(o)
		code, _, err := s.ask("POST", path[:strings.LastIndex(path, "/")], "application/json", o)
		require.NoError(t, err)
		require.Equal(t, 201, code)
		require.ErrorContains(t, check(s, good, nil), "left over")
		s.close()
	}
	// A key that is left in a Secret, a record that is pending by its label, one that is gone, and a second deployed one.
	record := "/api/v1/namespaces/fleet-even/secrets/sh.helm.release.v1.r02.v1"
	for _, sabotage := range []struct {
		what string
		do   func(*site) (int, map[string]any, error)
	}{
		{"left over", func(s *site) (int, map[string]any, error) {
			return s.ask("PATCH", "/api/v1/namespaces/fleet-even/secrets/r02", "application/merge-patch+json", map[string]any{"data": map[string]any{"old": "YQ=="}})
		}},
		{"by its label", func(s *site) (int, map[string]any, error) {
			return s.ask("PATCH", record, "application/merge-patch+json", map[string]any{"metadata": map[string]any{"labels": map[string]any{"status": "pending-upgrade"}}})
		}},
		{"has no record", func(s *site) (int, map[string]any, error) { return s.ask("DELETE", record, "application/json", nil) }},
		{"belong", func(s *site) (int, map[string]any, error) {
			return s.ask("PATCH", "/api/v1/namespaces/fleet-even/configmaps/r02", "application/merge-patch+json",
				map[string]any{"metadata": map[string]any{"annotations": map[string]any{"meta.helm.sh/release-name": "another"}}})
		}},
	} {
		s, err := fakeSite(base.Fork())
		require.NoError(t, err)
		code, answer, err := sabotage.do(s)
		require.NoError(t, err)
		require.Equal(t, 200, code, "%v", answer)
		require.ErrorContains(t, check(s, good, nil), sabotage.what)
		s.close()
	}
	// A child that says it is done and did nothing, and one that does all and says it failed.
	fork := base.Fork()
	s, err = fakeSite(fork)
	require.NoError(t, err)
	v, err := s.judge(ctx, f, 2, good, nil)
	require.NoError(t, err)
	require.ErrorContains(t, v.broken(), "not as wanted")
	s.close()

	// Each secret, in each form.
	for _, text := range []string{
		"x " + f.secrets[0] + " y", fmt.Sprintf("%q", f.secrets[1]), base64Text("x" + f.secrets[2] + "yz"), base64Text(f.secrets[3]),
	} {
		s, err := fakeSite(base.Fork())
		require.NoError(t, err)
		require.ErrorContains(t, check(s, result{out: text}, nil), "holds a secret", text)
		s.close()
	}
}
