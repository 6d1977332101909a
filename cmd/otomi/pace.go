package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/pflag"
)

// paceOptions say how long a run may take, and what becomes of what it did when it fails.
type paceOptions struct {
	whole  time.Duration
	atomic bool
}

func (o *paceOptions) flags(flags *pflag.FlagSet) {
	flags.Var((*seconds)(&o.whole), "run-timeout", "how long the whole run may take (`TIME`: 30m, or seconds); it stops as if it were interrupted")
	flags.BoolVar(&o.atomic, "atomic", false, "take back what a failed run did: each release returns to its last good revision, the last first")
}

func (o paceOptions) check() error {
	if o.whole < 0 {
		return errors.New("--run-timeout takes a time from 0; give one")
	}
	return nil
}

// runTooLong is the cause of a context whose run took longer than it may.
type runTooLong struct{ whole time.Duration }

func (e runTooLong) Error() string {
	return fmt.Sprintf("the run took longer than --run-timeout %s; run it again, which goes on where it stopped", e.whole)
}

// bound returns a context that ends when the run took as long as it may.
func (o paceOptions) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	if o.whole == 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeoutCause(ctx, o.whole, runTooLong{o.whole})
}

// told is an error that says so where it came of the end of the run's time.
func (o paceOptions) told(ctx context.Context, err error) error {
	var late runTooLong
	if err == nil || !errors.As(context.Cause(ctx), &late) {
		return err
	}
	return fmt.Errorf("%w: %w", late, err)
}

// seconds is a flag that takes a time, or a number of seconds as helmfile's flags do.
type seconds time.Duration

func (s *seconds) String() string {
	if *s == 0 {
		return ""
	}
	return time.Duration(*s).String()
}

func (*seconds) Type() string { return "TIME" }

func (s *seconds) Set(text string) error {
	if text == "" {
		*s = 0 // as String has it
		return nil
	}
	if n, err := strconv.Atoi(text); err == nil {
		*s = seconds(time.Duration(n) * time.Second)
		return nil
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return errors.New("it is neither a number of seconds nor a time like 5m30s")
	}
	*s = seconds(d)
	return nil
}
