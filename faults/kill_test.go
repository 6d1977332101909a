package faults_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/redkubes/otomi/faults/fakeapi"
	"github.com/redkubes/otomi/faults/proxy"
)

// point is a moment to kill otomi at: before or after a request.
type point struct {
	name string
	n    int
	kind proxy.Kind
}

func (p point) String() string { return fmt.Sprintf("%s request %d, %s", p.kind, p.n, p.name) }

// points are those of a run, in order.
func points(requests []proxy.Request) []point {
	var all []point
	for i, r := range requests {
		all = append(all, point{r.Name, i + 1, proxy.KillBefore}, point{r.Name, i + 1, proxy.KillAfter})
	}
	return all
}

// sample is some of a list, chosen by the seed.
func sample[T any](list []T, n int) []T {
	if n >= len(list) {
		return list
	}
	r := rand.New(rand.NewPCG(*seed, 1))
	some := slices.Clone(list)
	r.Shuffle(len(some), func(i, j int) { some[i], some[j] = some[j], some[i] })
	return some[:n]
}

// script kills at the point. Requests side by side come in another order every time, so they go by their names; where exact is
// false by their number.
func (p point) script(byName bool) proxy.Script {
	return func(r proxy.Request) proxy.Fault {
		if byName && r.Name == p.name || !byName && r.N == p.n {
			return proxy.Fault{Kind: p.kind}
		}
		return proxy.Fault{}
	}
}

// installed is a fake API server with version 1, which forks copies.
func installed(t testing.TB, p *platform) *fakeapi.Server {
	t.Helper()
	server := fakeapi.New()
	s, err := fakeSite(server)
	require.NoError(t, err)
	defer s.close()
	r, _, _, err := s.apply(p, 1, nil)
	require.NoError(t, err)
	require.Zero(t, r.code, "%s", r)
	return server
}

// reference is what a run without faults asks for.
func reference(t testing.TB, p *platform, base *fakeapi.Server, version int) []proxy.Request {
	t.Helper()
	s, err := fakeSite(base.Fork())
	require.NoError(t, err)
	defer s.close()
	r, requests, _, err := s.apply(p, version, nil)
	require.NoError(t, err)
	require.Zero(t, r.code, "%s", r)
	return requests
}

// killed is one trial: killed at the point, and run again.
func (p point) killed(ctx context.Context, f *platform, base *fakeapi.Server, version int, name string) error {
	for _, byName := range []bool{true, false} {
		s, err := fakeSite(base.Fork())
		if err != nil {
			return err
		}
		defer s.close()
		first, _, hits, err := s.apply(f, version, p.script(byName))
		if err != nil {
			return err
		}
		if len(hits) == 0 && byName {
			continue // this run did not ask for it: then at its number
		}
		if err := s.aftermath(ctx, f, version, name, first, hits); err != nil {
			return fmt.Errorf("%s: %w", p, err)
		}
		return nil
	}
	return nil
}

func TestKilledWhileItInstalls(t *testing.T) {
	killedEverywhere(t, "kill -9 at each request of an install", 1, func(testing.TB, *platform) *fakeapi.Server { return fakeapi.New() })
}

func TestKilledWhileItUpgrades(t *testing.T) {
	killedEverywhere(t, "kill -9 at each request of an upgrade", 2, installed)
}

func killedEverywhere(t *testing.T, name string, version int, prepare func(testing.TB, *platform) *fakeapi.Server) {
	needsOtomi(t)
	ctx := background(t)
	f := newPlatform(t, 25, nil)
	base := prepare(t, f)
	all := points(reference(t, f, base, version))
	some := sample(all, count(12, len(all)))
	t.Logf("%d of %d points", len(some), len(all))
	each(t, len(some), func(i int) error { return some[i].killed(ctx, f, base, version, name) })
}
