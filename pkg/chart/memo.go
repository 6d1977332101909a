package chart

import (
	"context"
	"slices"
	"sync"

	"github.com/redkubes/otomi/pkg/diag"
)

// memo makes each value once, by key, and hands it to everyone who asks. It is safe for concurrent use. The zero memo is
// empty.
type memo[T any] struct {
	mu    sync.Mutex
	slots map[string]*slot[T]
}

type slot[T any] struct {
	// turn is held by who makes the value.
	turn  chan struct{}
	done  bool
	value T
	diags diag.Diagnostics
	err   error
	// at is the place of the reference that the value was made for.
	at diag.Range
}

// get returns the value under key, made now where nobody made it before. Who waits for another one's making stops with its
// own context; what failed since the maker's context ended is made again by the next. Diagnostics at the place of the
// reference that it was made for are moved to at, the caller's own.
func (m *memo[T]) get(ctx context.Context, key string, at diag.Range, create func() (T, diag.Diagnostics, error)) (T, diag.Diagnostics, error) {
	m.mu.Lock()
	s, ok := m.slots[key]
	if !ok {
		s = &slot[T]{turn: make(chan struct{}, 1)}
		if m.slots == nil {
			m.slots = map[string]*slot[T]{}
		}
		m.slots[key] = s
	}
	m.mu.Unlock()
	var none T
	select {
	case s.turn <- struct{}{}:
	case <-ctx.Done():
		return none, nil, context.Cause(ctx)
	}
	defer func() { <-s.turn }()
	if !s.done {
		value, diags, err := create()
		if err != nil && ctx.Err() != nil {
			return none, nil, err
		}
		s.value, s.diags, s.err, s.at, s.done = value, diags, err, at, true
	}
	diags := slices.Clone(s.diags)
	for i := range diags {
		if diags[i].Range == s.at {
			diags[i].Range = at
		}
	}
	return s.value, diags, s.err
}
