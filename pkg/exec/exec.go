// Package exec runs the programs that the user allowed: for templates, hooks and post-renderers.
//
// It is a door, and the only room that starts a process. It decides nothing: who calls it has asked whether it may.
package exec

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/redkubes/otomi/pkg/template"
)

const (
	// maxOutput bounds what is kept of a program's standard output, and maxComplaint of its standard error, in bytes.
	maxOutput    = 64 << 20
	maxComplaint = 4 << 10
	// grace is how long a program that was told to end is waited for.
	grace = 5 * time.Second
)

// Runner runs programs. The zero Runner gives them no variable of the environment and runs them in the working directory.
type Runner struct {
	// Dir is the directory that the directories of programs are seen from.
	Dir string
	// Env are the variables, NAME=VALUE, that every program gets.
	Env []string
}

// Run runs a program without a shell and returns what it wrote to its standard output. Where ctx ends first, the program is
// told to end with all that it started, and killed a few seconds later. The error names the program, how it ended, and the last lines it wrote to its standard error.
func (r Runner) Run(ctx context.Context, p template.Program) ([]byte, error) {
	path := p.Command
	if strings.ContainsAny(path, "/"+string(filepath.Separator)) && !filepath.IsAbs(path) {
		// Go takes it from the directory of the caller, and who wrote it means that of the program.
		path = filepath.Join(r.dir(p.Dir), path)
	}
	cmd := exec.CommandContext(ctx, path, p.Args...)
	cmd.Dir = r.dir(p.Dir)
	cmd.Env = slices.Clone(r.Env)
	for _, name := range slices.Sorted(maps.Keys(p.Env)) {
		cmd.Env = append(cmd.Env, name+"="+p.Env[name])
	}
	if cmd.Env == nil {
		cmd.Env = []string{} // nil would be everything
	}
	end := group(cmd)
	cmd.WaitDelay = grace
	cmd.Stdin = strings.NewReader(p.Stdin)
	var out, complaint limited
	out.max, complaint.max = maxOutput, maxComplaint
	complaint.last = true
	cmd.Stdout, cmd.Stderr = &out, &complaint
	err := cmd.Run()
	switch {
	case ctx.Err() != nil:
		end()
		return nil, fmt.Errorf("running %s: %w", p.Command, context.Cause(ctx))
	case errors.Is(err, exec.ErrNotFound):
		return nil, fmt.Errorf("running %s: there is no such program", p.Command)
	case err != nil && complaint.b.Len() > 0:
		return nil, fmt.Errorf("running %s: %w: %s", p.Command, err, strings.TrimSpace(complaint.b.String()))
	case err != nil:
		return nil, fmt.Errorf("running %s: %w", p.Command, err)
	case out.over:
		return nil, fmt.Errorf("running %s: it wrote more than %d MiB", p.Command, maxOutput>>20)
	}
	return out.b.Bytes(), nil
}

func (r Runner) dir(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(r.Dir, filepath.FromSlash(name))
}

// limited keeps the first max bytes that are written to it, or the last.
type limited struct {
	b    bytes.Buffer
	max  int
	last bool
	over bool
}

func (w *limited) Write(p []byte) (int, error) {
	if w.last {
		w.b.Write(p)
		if over := w.b.Len() - w.max; over > 0 {
			w.b.Next(over)
		}
		return len(p), nil
	}
	if w.b.Len()+len(p) > w.max {
		w.over = true
		return len(p), nil
	}
	return w.b.Write(p)
}
