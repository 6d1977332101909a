package pipeline

import (
	"context"
	"runtime"

	"github.com/redkubes/otomi/pkg/parallel"
)

// lookAhead is how many results may wait for an earlier one, for each processor.
const lookAhead = 4

// inOrder calls work for every index below n side by side, as each does, and hands the results to take in the order of the
// indexes, in the caller's goroutine. What was made and not yet taken is bounded by the number of processors. After the
// first error of either no more work begins.
func inOrder[T any](ctx context.Context, n int, work func(ctx context.Context, i int) (T, error), take func(i int, result T) error) error {
	processors := runtime.GOMAXPROCS(0)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	group, ctx := parallel.WithContext(ctx)
	group.SetLimit(processors + 1) // and the one that hands out the work
	slots := make(chan chan T, processors*lookAhead)
	group.Go(func() error {
		defer close(slots)
		for i := range n {
			slot := make(chan T, 1)
			select {
			case slots <- slot:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
			group.Go(func() error {
				result, err := work(ctx, i)
				if err == nil {
					slot <- result
				}
				return err
			})
		}
		return nil
	})
	var err error
	taken := 0
	for slot := range slots {
		select {
		case result := <-slot:
			if err == nil {
				err = take(taken, result)
			}
			if err != nil {
				cancel()
			}
		case <-ctx.Done():
		}
		taken++
	}
	if wait := group.Wait(); err == nil {
		err = wait
	}
	return err
}
