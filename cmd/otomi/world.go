package main

import (
	"io"
	"os"
	"path/filepath"

	"golang.org/x/term"
)

// world is all that the process gives a command. Nothing else in the program reads it.
type world struct {
	args   []string
	env    func(string) string
	dir    string
	stdin  io.Reader
	stdout io.Writer
	stderr io.Writer
	// Which of them are terminals: a person may be asked, and colours are wanted unless the environment forbids them.
	stdinTerminal, stdoutTerminal, stderrTerminal bool
}

// process returns the world of this process.
func process() world {
	dir, err := os.Getwd()
	if err != nil {
		dir = "."
	}
	return world{
		args:           os.Args[1:],
		env:            os.Getenv,
		dir:            dir,
		stdin:          os.Stdin,
		stdout:         os.Stdout,
		stderr:         os.Stderr,
		stdinTerminal:  term.IsTerminal(int(os.Stdin.Fd())),
		stdoutTerminal: term.IsTerminal(int(os.Stdout.Fd())),
		stderrTerminal: term.IsTerminal(int(os.Stderr.Fd())),
	}
}

// inCI reports whether the run is a step of a CI system, where nobody answers and nothing is coloured.
func (w world) inCI() bool { return w.env("CI") != "" }

// kubeconfig returns the kubeconfig files in the order kubectl reads them: KUBECONFIG, else ~/.kube/config.
func (w world) kubeconfig() []string {
	var files []string
	for _, file := range filepath.SplitList(w.env("KUBECONFIG")) {
		if file != "" {
			files = append(files, file)
		}
	}
	if len(files) > 0 {
		return files
	}
	if home := w.env("HOME"); home != "" {
		return []string{filepath.Join(home, ".kube", "config")}
	}
	return nil
}

// settingsFile is the file of the user's settings.
func (w world) settingsFile() string {
	if base := w.env("XDG_CONFIG_HOME"); base != "" {
		return filepath.Join(base, "otomi", "config.yaml")
	}
	if home := w.env("HOME"); home != "" {
		return filepath.Join(home, ".config", "otomi", "config.yaml")
	}
	return ""
}
