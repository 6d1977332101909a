package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/redkubes/otomi/cmd/playground/internal/state"
)

const downHelp = `Stop the playground and wait until it is gone. What is in it is kept for the
next "up", unless --delete is given.`

const downExample = `  playground down
  playground down --delete`

type downOptions struct {
	dir     string
	delete  bool
	timeout time.Duration
}

func newDownCommand() *cobra.Command {
	var o downOptions
	cmd := &cobra.Command{
		Use:     "down",
		Short:   "Stop the playground",
		Long:    downHelp,
		Example: downExample,
		Args:    cobra.NoArgs,
	}
	bindDown(cmd, &o)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return runDown(cmd.Context(), o, cmd.ErrOrStderr())
	}
	return cmd
}

func bindDown(cmd *cobra.Command, o *downOptions) {
	bindDir(cmd, &o.dir)
	flags := cmd.Flags()
	flags.BoolVar(&o.delete, "delete", false, "remove the state too")
	flags.DurationVar(&o.timeout, "timeout", 30*time.Second, "how long it may take to end before it is killed")
}

func runDown(ctx context.Context, o downOptions, stderr io.Writer) error {
	dir, err := openDir(o.dir)
	if err != nil {
		return err
	}
	if err := stop(ctx, dir, o.timeout, stderr); err != nil {
		return err
	}
	if !o.delete {
		return nil
	}
	return dir.Delete()
}

func stop(ctx context.Context, dir state.Dir, timeout time.Duration, stderr io.Writer) error {
	pid, err := dir.Holder()
	if err != nil {
		return err
	}
	if pid == 0 {
		fmt.Fprintln(stderr, "the playground is not running")
		return nil
	}
	if err := signalHolder(dir, pid, syscall.SIGTERM); err != nil {
		return err
	}
	gone, err := waitUntilFree(ctx, dir, timeout)
	if err != nil || gone {
		return err
	}
	fmt.Fprintf(stderr, "process %d does not end after %s: killing it\n", pid, timeout)
	if err := signalHolder(dir, pid, syscall.SIGKILL); err != nil {
		return err
	}
	gone, err = waitUntilFree(ctx, dir, timeout)
	if err != nil || gone {
		return err
	}
	return fmt.Errorf("process %d does not end", pid)
}

// signalHolder sends sig if pid still holds the folder. A process that ended meanwhile is what was wanted.
func signalHolder(dir state.Dir, pid int, sig syscall.Signal) error {
	process, err := os.FindProcess(pid)
	if err != nil {
		return fmt.Errorf("finding process %d: %w", pid, err)
	}
	// Asked again with the process in hand (Go holds a pidfd on Linux): it can't be a later one of the same number.
	holder, err := dir.Holder()
	if err != nil || holder != pid {
		return err
	}
	if err := process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("sending a signal to process %d: %w", pid, err)
	}
	return nil
}

// waitUntilFree says whether nobody holds the folder any more, after at most timeout.
func waitUntilFree(ctx context.Context, dir state.Dir, timeout time.Duration) (bool, error) {
	deadline := time.After(timeout)
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		pid, err := dir.Holder()
		if err != nil || pid == 0 {
			return pid == 0, err
		}
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case <-deadline:
			return false, nil
		case <-ticker.C:
		}
	}
}
