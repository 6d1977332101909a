package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"
	"k8s.io/klog/v2"

	"github.com/redkubes/otomi/charts"
	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/report"
	"github.com/redkubes/otomi/pkg/source"
	"github.com/redkubes/otomi/runlevels"
	"github.com/redkubes/otomi/schema"
)

const rootHelp = `otomi compiles a platform's values and deploys them to Kubernetes.

Layers of values, generic to specific, are merged into one tree per cluster, checked
against a schema, turned by runlevels into Helm releases, rendered, compared with the
cluster and applied: only what differs, one runlevel after the other.

A first run:

  otomi bootstrap --profile demo my-platform && cd my-platform
  otomi validate --all
  otomi diff -c aws/demo
  otomi apply -c aws/demo`

// The exit codes, in the words of helmfile and terraform.
const (
	exitFailed      = 1
	exitDifferences = 2
	exitNoMatch     = 3
	exitHungUp      = 129
	exitInterrupted = 130
	exitBrokenPipe  = 141
	exitTerminated  = 143
)

// gcPercent is how much garbage may stand beside what is held, in percent of it. With 200 the peak of memory is a quarter
// higher than with Go's 100.
const gcPercent = 200

// exit is an error that carries an exit code; what there is to say has been said.
type exit int

func (e exit) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// app is what the verbs share for one run of the program.
type app struct {
	world   world
	stack   source.Tree
	report  *report.Reporter
	noColor bool
}

// run executes one command line and returns the exit code.
func run(w world) (code int) {
	a := &app{
		world:  w,
		stack:  source.Overlay("builtin:", map[string]fs.FS{"charts": charts.FS, "runlevels": runlevels.FS, "schema": schema.FS}),
		report: report.New(report.Options{Out: w.stdout, Err: w.stderr}),
	}
	defer a.recovered(&code)
	// Helm and client-go log through these; what they say can hold values.
	log.SetOutput(io.Discard)
	klog.SetOutput(io.Discard)
	klog.LogToStderr(false)
	// A run is short: to collect garbage each time the little that it holds has doubled is a fifth of its time.
	if w.env("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}

	ctx, stop := interruptible(context.Background())
	defer stop()
	root := newRoot(a)
	root.SetArgs(verbFirst(root, w.args))
	root.SetIn(w.stdin)
	root.SetOut(w.stdout)
	root.SetErr(w.stderr)
	return a.code(ctx, root.ExecuteContext(ctx))
}

// code turns what a command returned into the exit code, and says what has not been said.
func (a *app) code(ctx context.Context, err error) int {
	var signalled signalError
	if errors.As(context.Cause(ctx), &signalled) {
		a.report.Talk("%s: stopped", signalled.name)
		return signalled.code
	}
	var code exit
	switch {
	case err == nil:
		return 0
	case errors.As(err, &code):
		return int(code)
	case errors.Is(err, syscall.EPIPE):
		// The reader had enough, as head has: nothing to tell.
		return exitBrokenPipe
	}
	a.report.Failure(err)
	return exitFailed
}

// signalError is the cause of a context that a signal ended.
type signalError struct {
	name string
	code int
}

func (e signalError) Error() string { return e.name }

// interruptible returns a context that SIGINT, SIGTERM and SIGHUP end. A second signal ends the process at once. A broken
// pipe ends no process: what writes to it gets an error, and an apply whose reader went away closes its records.
func interruptible(parent context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(parent)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	// Not ignored: that would be inherited by the programs of hooks, in which a broken pipe has to end the writer.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	done := make(chan struct{})
	go func() {
		defer close(done)
		select {
		case s := <-signals:
			signal.Stop(signals)
			switch s {
			case syscall.SIGTERM:
				cancel(signalError{name: "terminated", code: exitTerminated})
			case syscall.SIGHUP:
				cancel(signalError{name: "hung up", code: exitHungUp})
			default:
				cancel(signalError{name: "interrupted", code: exitInterrupted})
			}
		case <-ctx.Done():
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		cancel(nil)
		<-done
	}
}

func newRoot(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:               "otomi",
		Short:             "compile a platform's values and deploy them to Kubernetes",
		Long:              rootHelp,
		SilenceErrors:     true,
		SilenceUsage:      true,
		RunE:              func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error { return a.begin(cmd) },
	}
	cmd.CompletionOptions.DisableDefaultCmd = true
	cmd.PersistentFlags().BoolVar(&a.noColor, "no-color", false, "no colours, also on a terminal (NO_COLOR does the same)")
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		a.hideArguments()
		return fmt.Errorf("%w; `%s --help` lists the flags", err, cmd.CommandPath())
	})
	cmd.AddCommand(
		newBootstrap(a),
		newValues(a),
		newLayers(a),
		newExplain(a),
		newValidate(a),
		newLint(a),
		newTemplate(a),
		newDiff(a),
		newApply(a),
		newSync(a),
		newDestroy(a),
		newStatus(a),
		newDrift(a),
		newHistory(a),
		newRollback(a),
		newTest(a),
		newUnlock(a),
		newList(a),
		newSchema(a),
		newCharts(a),
		newRegistry(a),
		newCache(a),
		newBuild(a),
		newPrintEnv(a),
		newShowDAG(a),
		newWriteValues(a),
		newFetch(a),
		newDeps(a),
		newRepos(a),
		newVersion(a),
		newCompletion(),
	)
	hintAtHelp(cmd)
	groupFlags(cmd)
	return cmd
}

// hintAtHelp makes every command say, when it is called with words it does not take, where it tells how.
func hintAtHelp(cmd *cobra.Command) {
	if takes := cmd.Args; takes != nil {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			if err := takes(cmd, args); err != nil {
				return fmt.Errorf("%w; `%s --help` shows how it is called", err, cmd.CommandPath())
			}
			return nil
		}
	}
	for _, sub := range cmd.Commands() {
		hintAtHelp(sub)
	}
}

// begin reads the user's settings into the flags that were not given, and sets up the voice.
func (a *app) begin(cmd *cobra.Command) error {
	if err := readSettings(a.world, cmd); err != nil {
		return err
	}
	decorated := !a.noColor && a.world.env("NO_COLOR") == "" && !a.world.inCI()
	a.report = report.New(report.Options{
		Out:       a.world.stdout,
		Err:       a.world.stderr,
		ColourOut: decorated && a.world.stdoutTerminal,
		ColourErr: decorated && a.world.stderrTerminal,
		// A line that replaces itself is a decoration too.
		Progress: decorated && a.world.stderrTerminal,
	})
	return nil
}

// reported shows diagnostics; with errors among them it returns the error that ends the command.
func (a *app) reported(ds diag.Diagnostics, sources diag.Sources) error {
	a.report.Diagnostics(ds, sources)
	if ds.HasErrors() {
		return exit(exitFailed)
	}
	return nil
}
