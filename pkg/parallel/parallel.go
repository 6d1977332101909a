// Package parallel runs work side by side, so that a fault in it ends the program as one of its own: with the redactor before its
// last words. What Go itself prints of a panic that nobody recovers passes nothing, and may hold a value.
//
// It is golang.org/x/sync/errgroup with that one difference, and decides nothing about what is done or how much at once.
package parallel

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"

	"golang.org/x/sync/errgroup"
)

// Group is work that is awaited together. The zero value has no bound and no context.
type Group struct {
	group errgroup.Group
	of    *errgroup.Group
	mu    sync.Mutex
	fault *Fault
}

// WithContext returns a group, and a context that ends with the first error or panic of its work, or when Wait returns.
func WithContext(ctx context.Context) (*Group, context.Context) {
	of, ctx := errgroup.WithContext(ctx)
	return &Group{of: of}, ctx
}

func (g *Group) errgroup() *errgroup.Group {
	if g.of != nil {
		return g.of
	}
	return &g.group
}

// SetLimit bounds how much is done at once. It is called before Go.
func (g *Group) SetLimit(n int) { g.errgroup().SetLimit(n) }

// Go does work in a goroutine of its own, once the limit allows it.
func (g *Group) Go(work func() error) {
	g.errgroup().Go(func() (err error) {
		ended := false
		defer func() {
			if ended {
				return
			}
			v := recover()
			if v == nil {
				return // runtime.Goexit, as a failed test does
			}
			fault, ok := v.(*Fault)
			if !ok {
				fault = &Fault{Value: v, Stack: debug.Stack()}
			}
			g.mu.Lock()
			defer g.mu.Unlock()
			if g.fault == nil {
				g.fault = fault
			}
			err = fault
		}()
		err = work()
		ended = true
		return err
	})
}

// Wait waits for all work and returns its first error. Where work panicked, it panics with the *Fault of it.
func (g *Group) Wait() error {
	err := g.errgroup().Wait()
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.fault != nil {
		panic(g.fault)
	}
	return err
}

// Fault is a panic in another goroutine.
type Fault struct {
	// Value is what it panicked with, and Stack where.
	Value any
	Stack []byte
}

func (f *Fault) Error() string { return fmt.Sprintf("%v\n%s", f.Value, f.Stack) }
