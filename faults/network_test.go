package faults_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redkubes/otomi/faults/fakeapi"
	"github.com/redkubes/otomi/faults/proxy"
	"github.com/redkubes/otomi/faults/stack"
)

// sorts are the ways in which a request goes wrong.
var sorts = []struct {
	name string
	of   func(r *rand.Rand) proxy.Fault
}{
	{"429 with Retry-After", func(*rand.Rand) proxy.Fault { return proxy.Fault{Kind: proxy.Refuse, Code: 429, RetryAfter: 1} }},
	{"429", func(*rand.Rand) proxy.Fault { return proxy.Fault{Kind: proxy.Refuse, Code: 429} }},
	{"500", func(*rand.Rand) proxy.Fault { return proxy.Fault{Kind: proxy.Refuse, Code: 500} }},
	{"503", func(*rand.Rand) proxy.Fault { return proxy.Fault{Kind: proxy.Refuse, Code: 503} }},
	{"timeout", func(r *rand.Rand) proxy.Fault {
		if r.IntN(2) == 0 {
			return proxy.Fault{Kind: proxy.Refuse, Code: 504}
		}
		return proxy.Fault{Kind: proxy.Hang, Delay: time.Second}
	}},
	{"reset", func(*rand.Rand) proxy.Fault { return proxy.Fault{Kind: proxy.Reset} }},
	{"lost answer", func(*rand.Rand) proxy.Fault { return proxy.Fault{Kind: proxy.Lose} }},
	{"all of these", nil},
}

// chance is a script in which each request goes wrong with a probability.
func chance(r *rand.Rand, percent int, sort int) proxy.Script {
	return func(proxy.Request) proxy.Fault {
		if r.IntN(100) >= percent {
			return proxy.Fault{}
		}
		of := sorts[sort].of
		if of == nil {
			of = sorts[r.IntN(len(sorts)-1)].of
		}
		return of(r)
	}
}

func TestBadNetwork(t *testing.T) {
	needsOtomi(t)
	ctx := background(t)
	f := newPlatform(t, 25, nil)
	bases := map[int]*fakeapi.Server{1: fakeapi.New(), 2: installed(t, f)}
	type kind struct{ percent, sort, version int }
	var kinds []kind
	for _, percent := range []int{1, 10, 50} {
		for sort := range sorts {
			kinds = append(kinds, kind{percent, sort, 1}, kind{percent, sort, 2})
		}
	}
	n := count(1, 10)
	if !*all && *trials == 0 {
		kinds = sample(kinds, 8)
	}
	each(t, n*len(kinds), func(i int) error {
		k := kinds[i%len(kinds)]
		s, err := fakeSite(bases[k.version].Fork())
		if err != nil {
			return err
		}
		defer s.close()
		name := fmt.Sprintf("%d %% of requests: %s", k.percent, sorts[k.sort].name)
		r := rand.New(rand.NewPCG(*seed, uint64(i)))
		if err := s.trial(ctx, f, k.version, name, chance(r, k.percent, k.sort), patient()...); err != nil {
			return fmt.Errorf("%s, version %d: %w", name, k.version, err)
		}
		return nil
	})
}

// A run is tried until it gets through, as a pipeline does.
func TestRunsUntilItGetsThrough(t *testing.T) {
	needsOtomi(t)
	ctx := background(t)
	f := newPlatform(t, 13, nil)
	base := installed(t, f)
	each(t, count(1, 20), func(i int) error {
		s, err := fakeSite(base.Fork())
		if err != nil {
			return err
		}
		defer s.close()
		r := rand.New(rand.NewPCG(*seed, uint64(i)))
		for try := 1; ; try++ {
			first, _, hits, err := s.apply(f, 2, chance(r, 10, len(sorts)-1), patient()...)
			if err != nil {
				return err
			}
			v, err := s.judge(ctx, f, 2, first, hits)
			if err != nil {
				return err
			}
			if err := v.broken(); err != nil {
				return err
			}
			if v.code == 0 {
				return nil
			}
			if try == 20 {
				return fmt.Errorf("20 runs at 10 %% and none got through\n%s", first)
			}
		}
	})
}

func TestTwoAtOnce(t *testing.T) {
	needsOtomi(t)
	ctx := background(t)
	f := newPlatform(t, 13, nil)
	bases := []*fakeapi.Server{fakeapi.New(), installed(t, f)}
	each(t, count(4, 200), func(i int) error {
		s, err := fakeSite(bases[i/2%2].Fork())
		if err != nil {
			return err
		}
		defer s.close()
		// The same twice, or one against the other.
		versions := [2]int{2, 2 - i%2}
		return s.together(ctx, t, f, versions, "two appliers at once")
	})
}

// compared are the objects of version 2 that are compared: not what hooks leave behind, which Helm does not look at either, nor
// namespaces.
func compared(f *platform) []stack.Object {
	return slices.DeleteFunc(f.stack[2].Wanted(), func(o stack.Object) bool {
		return o.Name == "" && o.Data["kind"] != "CustomResourceDefinition"
	})
}

func TestChangedBetweenDiffAndApply(t *testing.T) {
	needsOtomi(t)
	ctx := background(t)
	f := newPlatform(t, 13, nil)
	base := installed(t, f)
	wanted := compared(f)
	each(t, count(6, 200), func(i int) error {
		s, err := fakeSite(base.Fork())
		if err != nil {
			return err
		}
		defer s.close()
		r := rand.New(rand.NewPCG(*seed, uint64(i)))
		o := wanted[r.IntN(len(wanted))].Data
		name := "an object deleted between diff and apply"
		change := func() { s.meddle(o, true) }
		if i%2 == 0 {
			name, change = "an object changed between diff and apply", func() { s.meddle(o, false) }
		}
		done := false
		if err := s.trial(ctx, f, 2, name, func(q proxy.Request) proxy.Fault {
			if done || !q.Writes {
				return proxy.Fault{}
			}
			done = true
			return proxy.Fault{Meanwhile: change}
		}); err != nil {
			return fmt.Errorf("%s %v: %w", o["kind"], o["metadata"], err)
		}
		return nil
	})
}

// The same at any moment of the apply but its last look.
func TestChangedWhileItApplies(t *testing.T) {
	needsOtomi(t)
	ctx := background(t)
	f := newPlatform(t, 13, nil)
	base := installed(t, f)
	requests := reference(t, f, base, 2)
	last := 0
	for i, q := range requests {
		if q.Writes && q.Method == "PUT" && i < len(requests)-20 {
			last = i
		}
	}
	require.NotZero(t, last)
	wanted := compared(f)
	each(t, count(6, 200), func(i int) error {
		s, err := fakeSite(base.Fork())
		if err != nil {
			return err
		}
		defer s.close()
		r := rand.New(rand.NewPCG(*seed, uint64(i)))
		o := wanted[r.IntN(len(wanted))].Data
		when := 1 + r.IntN(last)
		if err := s.trial(ctx, f, 2, "an object changed or deleted while it applies", func(q proxy.Request) proxy.Fault {
			if q.N != when {
				return proxy.Fault{}
			}
			return proxy.Fault{Meanwhile: func() { s.meddle(o, i%2 == 0) }}
		}); err != nil {
			return fmt.Errorf("%s %v at request %d: %w", o["kind"], o["metadata"], when, err)
		}
		return nil
	})
}
