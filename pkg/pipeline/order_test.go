package pipeline

import (
	"context"
	"errors"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestResultsAreTakenInOrderWithFewWaiting(t *testing.T) {
	t.Parallel()
	const n = 500
	var made, taken atomic.Int64
	most := int64(0)
	err := inOrder(t.Context(), n, func(_ context.Context, i int) (int, error) {
		if i%7 == 0 {
			runtime.Gosched()
		}
		made.Add(1)
		return i, nil
	}, func(i, result int) error {
		require.Equal(t, int(taken.Load()), i)
		require.Equal(t, i, result)
		most = max(most, made.Load()-taken.Load())
		taken.Add(1)
		return nil
	})
	require.NoError(t, err)
	require.EqualValues(t, n, taken.Load())
	// Those in the queue, those being made, the one being taken, and one more whose turn it is.
	require.LessOrEqual(t, most, int64(runtime.GOMAXPROCS(0)*(lookAhead+1)+2))
	require.NoError(t, inOrder(t.Context(), 0, func(context.Context, int) (int, error) { panic("none") }, func(int, int) error { panic("none") }))
}

func TestTheFirstErrorEndsTheRun(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	nothing := func(int, int) error { return nil }
	fine := func(_ context.Context, i int) (int, error) { return i, nil }
	var begun atomic.Int64
	err := inOrder(t.Context(), 10_000, func(_ context.Context, i int) (int, error) {
		begun.Add(1)
		if i == 20 {
			return 0, broken
		}
		return i, nil
	}, nothing)
	require.ErrorIs(t, err, broken)
	require.Less(t, begun.Load(), int64(1000))

	taken := 0
	err = inOrder(t.Context(), 10_000, fine, func(i, _ int) error {
		taken++
		if i == 20 {
			return broken
		}
		return nil
	})
	require.ErrorIs(t, err, broken)
	require.Equal(t, 21, taken)

	ctx, cancel := context.WithCancel(t.Context())
	err = inOrder(ctx, 10_000, func(ctx context.Context, i int) (int, error) { return i, ctx.Err() }, func(i, _ int) error {
		if i == 20 {
			cancel()
		}
		return nil
	})
	require.ErrorIs(t, err, context.Canceled)
}
