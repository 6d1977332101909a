//go:build unix

package exec

import (
	"os/exec"
	"syscall"
)

// group makes the program the first of a process group of its own, so that the end of its context ends what it started, too: a shell
// does not take its children with it. What it returns kills those that are left.
func group(cmd *exec.Cmd) func() {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	signal := func(s syscall.Signal) error {
		if cmd.Process == nil {
			return nil
		}
		return syscall.Kill(-cmd.Process.Pid, s)
	}
	cmd.Cancel = func() error { return signal(syscall.SIGTERM) }
	return func() { _ = signal(syscall.SIGKILL) }
}
