package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/redkubes/otomi/pkg/pipeline"
)

// holdOptions are the flags of verbs that change clusters: how they keep others from it meanwhile.
type holdOptions struct {
	lock     bool
	timeout  time.Duration
	duration time.Duration
}

func (o *holdOptions) flags(flags *pflag.FlagSet) {
	flags.BoolVar(&o.lock, "lock", true, "take the cluster's lease, so that no other run changes it at the same time")
	flags.DurationVar(&o.timeout, "lock-timeout", 2*time.Minute, "how long another run that has the lease is waited for")
	flags.DurationVar(&o.duration, "lease-duration", 30*time.Second, "how long a lease holds that is not renewed, 1s or more")
	_ = flags.MarkHidden("lease-duration")
}

func (o holdOptions) check() error {
	if o.duration < time.Second || o.timeout < 0 {
		return errors.New("--lease-duration is 1s or more, and --lock-timeout 0 or more; give such a time")
	}
	return nil
}

// hold says how a verb keeps others from the clusters that it changes. Emit tells whom it waits for.
func (a *app) hold(o holdOptions, connect connectOptions, emit func(pipeline.Event)) pipeline.HoldOptions {
	wait := o.timeout
	if wait == 0 {
		wait = -1 // not at all; 0 is the default there
	}
	return pipeline.HoldOptions{
		Off: !o.lock, Namespace: connect.systemNamespace, Holder: a.world.holder(), Duration: o.duration, Wait: wait,
		Adopt:   connect.adopt,
		Waiting: func(message string) { emit(pipeline.Event{Kind: pipeline.LockWaiting, Message: message}) },
	}
}

// giveBack ends a holding of work that ended in *failure. That the lease can't be given back changes nothing of what was done,
// and it ends by itself; but where it was lost before, others may have changed what was done.
func (a *app) giveBack(ctx context.Context, h *pipeline.Holding, failure *error) {
	err := h.Release(ctx)
	switch {
	case err == nil:
	case pipeline.Lost(err) && *failure == nil:
		*failure = fmt.Errorf("everything was done, but another run may have changed it meanwhile: %w; run it again", err)
	case !pipeline.Lost(err):
		a.report.Talk("warning: %v", err)
	}
}

// holder is who runs this, USER@HOST, in the characters that a name may have.
func (w world) holder() string {
	name := func(text string) string {
		text = strings.Map(func(c rune) rune {
			if c <= ' ' || c > '~' || c == '/' || c == '@' {
				return '-'
			}
			return c
		}, text)
		if text == "" {
			return "unknown"
		}
		return text[:min(len(text), 100)]
	}
	return fmt.Sprintf("%s@%s", name(w.either("USER", "LOGNAME", "USERNAME")), name(w.host))
}
