package runlevel

import (
	"context"
	"slices"

	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/template"
)

// Event is what hooks are run for.
type Event struct {
	// Name is one of helmfile's: prepare, preapply, presync, preuninstall, postuninstall, postsync, cleanup.
	Name string
	// Error is what went wrong before it, or "".
	Error string
	// Command is the verb that is carried out.
	Command string
	// State is the file, and Release the release whose hooks they are; nil for those of the file itself.
	State   *State
	Release *Release
}

// Call is a hook that is to be run.
type Call struct {
	Hook    Hook
	Program template.Program
}

// Hooks returns the programs that an event runs, in the order of their definition. Their texts are templates that are carried out
// here, with the permissions of in.
func Hooks(ctx context.Context, in Input, e Event) ([]Call, diag.Diagnostics) {
	s, rel := e.State, e.Release
	hooks := s.Hooks
	data := map[string]any{
		"Environment": map[string]any{"Name": s.Environment.Name, "KubeContext": s.Environment.KubeContext, "Values": s.Environment.Values},
		"Values":      s.Values, "StateValues": s.Values, "Namespace": in.Namespace, "HelmfileCommand": e.Command,
		"Event": map[string]any{"Name": e.Name, "Error": e.Error},
	}
	if rel != nil {
		hooks = rel.Hooks
		data["Release"] = releaseData(rel.Name, rel.WrittenNamespace, rel.Chart, rel.Version, rel.KubeContext, rel.Labels)
	}
	var out []Call
	var ds diag.Diagnostics
	for _, h := range hooks {
		if !slices.Contains(h.Events, e.Name) {
			continue
		}
		if len(h.KubectlApply) > 0 {
			ds = append(ds, problem(diag.RunlevelUnsupported, h.Range, "the hook applies manifests with kubectl, and otomi runs none. "+
				"Put them into a chart, or run kubectl as the hook's command."))
			continue
		}
		texts := append([]string{h.Command}, h.Args...)
		for i, text := range texts {
			done, more := template.Execute(ctx, []byte(text), data, template.Options{
				File: "(hook)", Dir: s.Dir, Files: in.FS, Programs: in.Programs, Allow: in.Allow,
			})
			for _, d := range more {
				d.Range = h.Range
				ds = append(ds, d)
			}
			texts[i] = done
		}
		out = append(out, Call{Hook: h, Program: template.Program{Command: texts[0], Args: texts[1:], Dir: s.Dir}})
	}
	return out, ds
}
