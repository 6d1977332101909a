package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/redkubes/otomi/cmd/playground/internal/state"
)

// errSilent ends with exit code 1 and says nothing more: what was wrong is on stdout.
var errSilent = errors.New("")

const rootHelp = `Run a Kubernetes cluster in one process.

The control plane is real: etcd, kube-apiserver, kube-controller-manager and
kube-scheduler. The nodes are not: nothing runs in the pods, so that
"kubectl logs", "exec" and "top" don't work. Everything listens on 127.0.0.1
and on unix sockets only.

The annotation playground.otomi.io/pod on a pod (or on a pod template) plays
trouble: "pending" holds the pod before it is ready, "fail" makes it crash, or
end with an error if it is meant to end. Any other value, or none: all is well.`

const rootExample = `  export KUBECONFIG="$(playground up)"
  kubectl create deployment web --image=nginx --replicas=3
  kubectl rollout status deployment/web
  playground down --delete`

// run is the program with everything from outside handed in. The result is its exit code.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	// Components of the control plane must not die of writing to a pipe that nobody reads any more, as a playground's in
	// the background is once it has said that it is ready.
	signal.Ignore(syscall.SIGPIPE)
	// cobra offers what is in here as flags of every command, and Kubernetes's packages put a --version there.
	pflag.CommandLine = pflag.NewFlagSet("", pflag.ContinueOnError)

	interrupted, stopInterrupted := signal.NotifyContext(context.Background(), syscall.SIGINT)
	defer stopInterrupted()
	ctx, stop := signal.NotifyContext(interrupted, syscall.SIGTERM)
	defer stop()

	root := newRootCommand()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	if !errors.Is(err, errSilent) {
		fmt.Fprintln(stderr, "error:", err)
	}
	switch {
	case interrupted.Err() != nil:
		return 130
	case ctx.Err() != nil:
		return 143
	default:
		return 1
	}
}

func newRootCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:           "playground",
		Short:         "Run a Kubernetes cluster in one process",
		Long:          rootHelp,
		Example:       rootExample,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	cmd.CompletionOptions.DisableDefaultCmd = true
	cmd.AddCommand(newUpCommand(), newDownCommand(), newStatusCommand())
	return cmd
}

// bindDir adds the flag that every verb has.
func bindDir(cmd *cobra.Command, dir *string) {
	cmd.Flags().StringVar(dir, "dir", "", "folder of the state (default: otomi/playground under the user's cache folder)")
}

func openDir(flag string) (state.Dir, error) {
	if flag != "" {
		return state.At(flag)
	}
	path, err := state.Default()
	if err != nil {
		return "", err
	}
	return state.At(path)
}
