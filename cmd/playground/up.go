package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/redkubes/otomi/cmd/playground/internal/controlplane"
	"github.com/redkubes/otomi/cmd/playground/internal/health"
	"github.com/redkubes/otomi/cmd/playground/internal/state"
)

const upHelp = `Start the playground, wait until it can be worked with, and print the path of
its kubeconfig, alone on a line.

What was in it the last time is still in it. If it runs already, only the path
is printed, and the other flags have no effect.

With --audit every request is a line of audit.log in the state folder, on disk
before the request is answered (a watch has a second line, when it begins).
Your requests are those of the user playground-admin; the control plane's own
have the users playground-nodes, playground-controller-manager,
playground-scheduler and system:apiserver.`

const upExample = `  # In the background
  export KUBECONFIG="$(playground up)"

  # A second one, from a test: it ends when the test does, however that ends
  playground up --foreground --exit-with-parent --dir "$(mktemp -d)" --audit`

type upOptions struct {
	dir            string
	port           int
	foreground     bool
	exitWithParent bool
	audit          bool
	verbose        bool
	etcdRelay      bool
	timeout        time.Duration
}

func newUpCommand() *cobra.Command {
	var o upOptions
	cmd := &cobra.Command{
		Use:     "up",
		Short:   "Start the playground and print its kubeconfig's path",
		Long:    upHelp,
		Example: upExample,
		Args:    cobra.NoArgs,
	}
	bindUp(cmd, &o)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return runUp(cmd.Context(), o, cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr())
	}
	return cmd
}

func bindUp(cmd *cobra.Command, o *upOptions) {
	bindDir(cmd, &o.dir)
	flags := cmd.Flags()
	flags.IntVar(&o.port, "port", 0, "port of the API server; 0 is the one of the last time, or a free one")
	flags.BoolVar(&o.foreground, "foreground", false, "stay until interrupted")
	flags.BoolVar(&o.exitWithParent, "exit-with-parent", false, "with --foreground: end when standard input ends")
	flags.BoolVar(&o.audit, "audit", false, "write every request to audit.log in the state folder, one JSON object a line")
	flags.BoolVar(&o.verbose, "verbose", false, "let the components of the control plane log too")
	flags.BoolVar(&o.etcdRelay, "etcd-relay", false, "with --foreground: the API server looks for etcd at etcd-relay.sock of the state folder, for whoever started this to relay to etcd.sock")
	flags.DurationVar(&o.timeout, "timeout", 120*time.Second, "how long to wait until it is ready")
}

func runUp(ctx context.Context, o upOptions, stdin io.Reader, stdout, stderr io.Writer) error {
	if o.exitWithParent && !o.foreground {
		return errors.New("--exit-with-parent needs --foreground")
	}
	if o.etcdRelay && !o.foreground {
		return errors.New("--etcd-relay needs --foreground")
	}
	if o.port < 0 || o.port > 65535 {
		return fmt.Errorf("--port must be between 0 and 65535, not %d", o.port)
	}
	dir, err := openDir(o.dir)
	if err != nil {
		return err
	}
	if err := dir.Create(); err != nil {
		return err
	}
	if o.foreground {
		return upForeground(ctx, dir, o, stdin, stdout, stderr)
	}
	pid, err := dir.Holder()
	if err != nil {
		return err
	}
	if pid != 0 {
		return upAlready(ctx, dir, o.timeout, stdout, stderr)
	}
	started := time.Now()
	if err := startDetached(ctx, dir, o); err != nil {
		return err
	}
	fmt.Fprintf(stderr, "the playground is ready after %.1f s\n", time.Since(started).Seconds())
	fmt.Fprintln(stdout, dir.Kubeconfig())
	return nil
}

// upForeground is the playground itself.
func upForeground(ctx context.Context, dir state.Dir, o upOptions, stdin io.Reader, stdout, stderr io.Writer) error {
	release, err := dir.Hold()
	if errors.Is(err, state.ErrHeld) {
		return upAlready(ctx, dir, o.timeout, stdout, stderr)
	}
	if err != nil {
		return err
	}
	defer release()

	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if o.exitWithParent {
		go func() {
			// Whatever ends the input, an error too, the parent is gone.
			_, _ = io.Copy(io.Discard, stdin)
			cancel(errors.New("standard input ended, which --exit-with-parent takes for the end of the parent"))
		}()
	}
	timer := time.AfterFunc(o.timeout, func() {
		cancel(fmt.Errorf("not ready after %s; --verbose lets the components say why", o.timeout))
	})
	defer timer.Stop()

	var ready atomic.Bool
	err = controlplane.Run(ctx, dir, controlplane.Options{
		Port:    o.port,
		Audit:   o.audit,
		Verbose: o.verbose,
		Relay:   o.etcdRelay,
		Log:     stderr,
		Ready: func() {
			if !timer.Stop() {
				return // too late
			}
			ready.Store(true)
			fmt.Fprintln(stdout, dir.Kubeconfig())
		},
	})
	if err != nil {
		return err
	}
	if !ready.Load() {
		return fmt.Errorf("ended before it was ready: %w", context.Cause(ctx))
	}
	fmt.Fprintln(stderr, "the playground has ended")
	return nil
}

// upAlready is for a folder that is held: the control plane runs, or is about to.
func upAlready(ctx context.Context, dir state.Dir, timeout time.Duration, stdout, stderr io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if err := waitUntilReady(ctx, dir); err != nil {
		return fmt.Errorf("a playground runs in %s and is not ready: %w", dir, err)
	}
	fmt.Fprintln(stderr, "the playground runs already")
	fmt.Fprintln(stdout, dir.Kubeconfig())
	return nil
}

// waitUntilReady waits for a control plane that another process runs. Its kubeconfig is written early in its start, but
// after it took the folder.
func waitUntilReady(ctx context.Context, dir state.Dir) error {
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for {
		client, err := health.Client(dir.Kubeconfig(), userAgent)
		if err == nil {
			_, err = health.Check(ctx, client, controlplane.Nodes)
		}
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-ticker.C:
		}
	}
}
