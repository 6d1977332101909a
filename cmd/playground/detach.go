package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/redkubes/otomi/cmd/playground/internal/state"
)

const (
	// tailLines of the log are shown when the playground does not start.
	tailLines = 20
	// grace is how long a playground that does not start may take to say so itself, and to end.
	grace = 15 * time.Second
)

// startDetached starts this program once more, as `up --foreground` in a session of its own, and returns when that is
// ready. Its standard output is a pipe to us, and the one line it writes there says that it is ready; when the pipe ends
// without a line it has died. So nothing is polled and no marker is left behind.
func startDetached(ctx context.Context, dir state.Dir, o upOptions) error {
	program, err := os.Executable()
	if err != nil {
		return fmt.Errorf("finding this program: %w", err)
	}
	log, err := os.OpenFile(dir.Log(), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("opening the log: %w", err)
	}
	defer func() { _ = log.Close() }()
	read, write, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("making a pipe: %w", err)
	}
	defer func() { _ = read.Close() }()

	cmd := exec.Command(program, "up", "--foreground",
		"--dir="+string(dir),
		"--port="+strconv.Itoa(o.port),
		"--audit="+strconv.FormatBool(o.audit),
		"--verbose="+strconv.FormatBool(o.verbose),
		"--timeout="+o.timeout.String())
	cmd.Stdout = write
	cmd.Stderr = log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = cmd.Start()
	if err := errors.Join(err, write.Close()); err != nil {
		return fmt.Errorf("starting the playground: %w", err)
	}

	answered := make(chan error, 1)
	go func() {
		line, err := bufio.NewReader(read).ReadString('\n')
		if errors.Is(err, io.EOF) && line == "" {
			err = errors.New("it ended")
		}
		answered <- err
	}()
	select {
	case err = <-answered:
	case <-ctx.Done():
		err = context.Cause(ctx)
	case <-time.After(o.timeout + grace):
		err = fmt.Errorf("not ready after %s", o.timeout)
	}
	if err == nil {
		return cmd.Process.Release()
	}
	endErr := end(cmd)
	return errors.Join(fmt.Errorf("the playground did not start: %w%s", err, tail(dir.Log())), endErr)
}

// end ends a playground that did not start, kills it after grace, and waits until it is gone.
func end(cmd *exec.Cmd) error {
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("ending the playground: %w", err)
	}
	timer := time.AfterFunc(grace, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	_ = cmd.Wait() // how it ended is in the log, which is shown
	return nil
}

// tail is the end of the log, ready to follow a message.
func tail(path string) string {
	content, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	lines := strings.Split(strings.TrimSpace(string(content)), "\n")
	if len(lines) > tailLines {
		lines = lines[len(lines)-tailLines:]
	}
	return fmt.Sprintf("\nthe end of %s:\n  %s", path, strings.Join(lines, "\n  "))
}
