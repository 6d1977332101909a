package runlevel

import (
	"context"
	"errors"
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

// happened is an event as the templates of hooks see it: helmfile's, whose error prints as <nil> where there is none.
type happened struct {
	Name  string
	Error error
}

// Hooks returns the programs that an event runs, in the order of their definition. Their texts are templates that are carried out
// here, with the permissions of in. A hook that applies files with kubectl runs that (helmfile 1.7, pkg/event, Bus.Trigger).
func Hooks(ctx context.Context, in Input, e Event) ([]Call, diag.Diagnostics) {
	s, rel := e.State, e.Release
	hooks := s.Hooks
	event := happened{Name: e.Name}
	if e.Error != "" {
		event.Error = errors.New(e.Error)
	}
	data := map[string]any{
		"Environment": s.Environment.Data(),
		"Values":      s.Values, "StateValues": s.Values, "Namespace": in.Namespace, "HelmfileCommand": e.Command, "Event": event,
	}
	if rel != nil {
		hooks = rel.Hooks
		of := releaseData(rel.Name, rel.WrittenNamespace, rel.Chart, rel.Version, rel.KubeContext, rel.Labels)
		of["Version"], of["Installed"] = rel.Version, rel.Installed
		data["Release"] = of
	}
	var out []Call
	var ds diag.Diagnostics
	for _, h := range hooks {
		if !slices.Contains(h.Events, e.Name) {
			continue
		}
		texts := append([]string{h.Command}, h.Args...)
		if len(h.KubectlApply) > 0 {
			file, files := h.KubectlApply["filename"]
			overlay, kustomize := h.KubectlApply["kustomize"]
			if files == kustomize {
				ds = append(ds, problem(diag.RunlevelInvalid, h.Range, "kubectlApply of a hook has either filename or kustomize. Write one of them."))
				continue
			}
			texts = []string{"kubectl", "apply", "-f", file}
			if kustomize {
				texts = []string{"kubectl", "apply", "-k", overlay}
			}
		}
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
