package parallel_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/redkubes/otomi/pkg/parallel"
)

func TestPanicOfAGoroutineReachesWhoWaits(t *testing.T) {
	t.Parallel()
	var fault *parallel.Fault
	func() {
		defer func() { fault, _ = recover().(*parallel.Fault) }()
		outer, ctx := parallel.WithContext(t.Context())
		outer.SetLimit(2)
		outer.Go(func() error {
			var inner parallel.Group
			inner.Go(func() error { panic("lost a bird") })
			return inner.Wait()
		})
		outer.Go(func() error {
			<-ctx.Done() // others are told to stop
			return ctx.Err()
		})
		_ = outer.Wait()
	}()
	require.NotNil(t, fault)
	require.Equal(t, "lost a bird", fault.Value)
	require.Contains(t, string(fault.Stack), "parallel_test.go", "the stack is that of the panic")
	require.ErrorContains(t, fault, "lost a bird")
}

func TestFirstErrorEndsTheContext(t *testing.T) {
	t.Parallel()
	failed := errors.New("failed")
	group, ctx := parallel.WithContext(t.Context())
	group.Go(func() error { return failed })
	group.Go(func() error {
		<-ctx.Done()
		return context.Cause(ctx)
	})
	require.ErrorIs(t, group.Wait(), failed)
}
