package exec_test

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redkubes/otomi/pkg/exec"
	"github.com/redkubes/otomi/pkg/template"
)

func sh(script string) template.Program {
	return template.Program{Command: "/bin/sh", Args: []string{"-c", script}}
}

func TestRun(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, "sub"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "sub/tool"), []byte("#!/bin/sh\necho tool $1\n"), 0o755))
	r := exec.Runner{Dir: dir, Env: []string{"A=1"}}
	p := sh("cat; echo $A $B $HOME; pwd | sed s#.*/##")
	p.Dir, p.Stdin, p.Env = "sub", "in ", map[string]string{"B": "2"}
	out, err := r.Run(t.Context(), p)
	require.NoError(t, err)
	require.Equal(t, "in 1 2\nsub\n", string(out))
	out, err = r.Run(t.Context(), template.Program{Command: "./tool", Args: []string{"$A"}, Dir: "sub"})
	require.NoError(t, err)
	require.Equal(t, "tool $A\n", string(out))
}

func TestRunFails(t *testing.T) {
	t.Parallel()
	r := exec.Runner{}
	_, err := r.Run(t.Context(), sh("echo out; echo why >&2; exit 3"))
	require.EqualError(t, err, "running /bin/sh: exit status 3: why")
	_, err = r.Run(t.Context(), template.Program{Command: "no-such-program"})
	require.EqualError(t, err, "running no-such-program: there is no such program")
	_, err = r.Run(t.Context(), sh("head -c 70000000 /dev/zero"))
	require.ErrorContains(t, err, "more than 64 MiB")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err = r.Run(ctx, sh("exec sleep 60"))
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

func TestRunKillsWhatTheProgramStarted(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	fifo := filepath.Join(dir, "alive")
	require.NoError(t, syscall.Mkfifo(fifo, 0o600))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() {
		_, err := exec.Runner{Dir: dir}.Run(ctx, sh("/bin/sh -c 'echo up; exec /bin/sleep 60' >alive & wait"))
		done <- err
	}()
	reader, err := os.Open(fifo)
	require.NoError(t, err)
	defer reader.Close()
	up := make([]byte, 3)
	_, err = io.ReadFull(reader, up)
	require.NoError(t, err)
	cancel()
	require.ErrorIs(t, <-done, context.Canceled)
	// The fifo ends when the last process that holds it does.
	require.NoError(t, reader.SetReadDeadline(time.Now().Add(20*time.Second)))
	_, err = reader.Read(up)
	require.ErrorIs(t, err, io.EOF)
}
