// Package hook runs the programs that a state file wants run at certain moments, where the user allowed it.
//
// The moments are helmfile's: prepare, preapply, presync, preuninstall, postuninstall, postsync, cleanup. They have nothing to do
// with the hooks of charts, which are objects in the cluster. The package starts no process: who does is handed in.
package hook

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/runlevel"
	"github.com/redkubes/otomi/pkg/template"
)

// Options say what hooks may do. The zero value lets none run.
type Options struct {
	// Allowed says that the user allowed hooks.
	Allowed bool
	// Off names what turned hooks off altogether, so that there may be none; empty where nothing did.
	Off string
	// Programs run the programs.
	Programs template.Programs
}

// Run runs the hooks of an event, one after the other in the order of their definition: those of its release, or where it has
// none those of its file. Command and arguments are templates that are carried out just before their program is run, so that they
// see what the hooks before them made; in is the input that the state was evaluated with. It returns the lines that hooks with
// showlogs wrote, as helmfile logs them (helmfile 1.7, pkg/event, Bus.Trigger).
//
// The first hook that fails is a diagnostic and ends the run. The error is the end of ctx.
func Run(ctx context.Context, in runlevel.Input, e runlevel.Event, o Options) ([]string, diag.Diagnostics, error) {
	hooks := e.State.Hooks
	if e.Release != nil {
		hooks = e.Release.Hooks
	}
	if o.Off != "" && len(hooks) > 0 {
		return nil, diag.Diagnostics{off(hooks[0], o)}, nil
	}
	var said []string
	var ds diag.Diagnostics
	for _, h := range hooks {
		if !slices.Contains(h.Events, e.Name) {
			continue
		}
		out, more, err := one(ctx, in, h, e, o)
		said = append(said, out...)
		if err != nil {
			return said, ds, err
		}
		ds = append(ds, more...)
		if len(more) > 0 {
			break
		}
	}
	return said, ds, nil
}

// Refused reports, of the hooks of some events, those that Run would not let run, so that a run does not begin which would end
// half-way at one.
func Refused(hooks []runlevel.Hook, o Options, events ...string) diag.Diagnostics {
	if o.Off != "" && len(hooks) > 0 {
		return diag.Diagnostics{off(hooks[0], o)}
	}
	var ds diag.Diagnostics
	for _, h := range hooks {
		for _, event := range events {
			if !slices.Contains(h.Events, event) {
				continue
			}
			if refused := refusal(h, event, o); len(refused) > 0 {
				ds = append(ds, refused...)
				break
			}
		}
	}
	return ds
}

func off(h runlevel.Hook, o Options) diag.Diagnostic {
	return problem(h, diag.ProgramForbidden, "there are hooks, and %s turned them off. Unset it, or drop the hooks.", o.Off)
}

// refusal says why a hook does not run.
func refusal(h runlevel.Hook, event string, o Options) diag.Diagnostics {
	if o.Allowed && o.Programs == nil {
		return diag.Diagnostics{problem(h, diag.ProgramForbidden, "the hook %s runs a program at %s, and no program can run here: the stack is not in a directory. "+
			"Take the stack from a directory, or leave the hooks out of it.", name(h), event)}
	}
	if !o.Allowed {
		return diag.Diagnostics{problem(h, diag.ProgramForbidden, "the hook %s runs a program at %s, which a state file may only where you allow it. "+
			"Allow it: --allow hooks", name(h), event)}
	}
	return nil
}

// one runs one hook.
func one(ctx context.Context, in runlevel.Input, h runlevel.Hook, e runlevel.Event, o Options) ([]string, diag.Diagnostics, error) {
	if refused := refusal(h, e.Name, o); len(refused) > 0 {
		return nil, refused, nil
	}
	// One at a time: the next one's templates may read what this one writes.
	if e.Release != nil {
		alone := *e.Release
		alone.Hooks = []runlevel.Hook{h}
		e.Release = &alone
	} else {
		alone := *e.State
		alone.Hooks = []runlevel.Hook{h}
		e.State = &alone
	}
	calls, ds := runlevel.Hooks(ctx, in, e)
	if ctx.Err() != nil {
		return nil, nil, ended(ctx, h)
	}
	if ds.HasErrors() {
		return nil, ds, nil
	}
	var said []string
	for _, c := range calls {
		out, err := o.Programs.Run(ctx, c.Program)
		if ctx.Err() != nil {
			return said, ds, ended(ctx, h)
		}
		if err != nil {
			return said, append(ds, problem(h, diag.ProgramFailed, "the hook %s failed at %s: %v. %s", name(h), e.Name, err, advice(h))), nil
		}
		if h.ShowLogs {
			for line := range strings.SplitSeq(strings.TrimRight(string(out), "\n"), "\n") {
				said = append(said, fmt.Sprintf("hook[%s] logs | %s", e.Name, line))
			}
		}
	}
	return said, ds, nil
}

// advice is what to do about a hook that failed.
func advice(h runlevel.Hook) string {
	if len(h.KubectlApply) > 0 {
		return "It runs kubectl, which otomi does not bring; correct its files, or make a release of them: chart: DIRECTORY."
	}
	return "Correct the program or its arguments."
}

func ended(ctx context.Context, h runlevel.Hook) error {
	return fmt.Errorf("running the hook %s (%s): %w", name(h), h.Range, context.Cause(ctx))
}

// name is how a hook is called in messages.
func name(h runlevel.Hook) string {
	switch {
	case h.Name != "":
		return h.Name
	case len(h.KubectlApply) > 0:
		return "kubectlApply"
	}
	return h.Command
}

func problem(h runlevel.Hook, code diag.Code, format string, args ...any) diag.Diagnostic {
	return diag.Diagnostic{Severity: diag.Error, Code: code, Detail: fmt.Sprintf(format, args...), Range: h.Range}
}
