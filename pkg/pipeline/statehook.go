package pipeline

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/diff"
	"github.com/redkubes/otomi/pkg/hook"
	"github.com/redkubes/otomi/pkg/runlevel"
)

// hooked says which of the hooks of prepare and cleanup a verb runs, as helmfile 1.7 has it (pkg/app, WithPreparedCharts and its
// callers; recorded in testdata/helmfile/hooks).
type hooked struct {
	// command is the verb as hooks see it.
	command string
	// prepare says that the hooks of prepare of releases run, and cleanup those of cleanup; those of files always do.
	prepare, cleanup bool
	// defined says that releases are cleaned up in the order of their definition, not in that of needs.
	defined bool
	// events are those whose hooks run while releases are applied.
	events []string
}

var applied = []string{"preapply", "presync", "preuninstall", "postuninstall", "postsync", "cleanup"}

var hookedVerbs = map[string]hooked{
	"template":     {command: "template", prepare: true, cleanup: true},
	"lint":         {command: "lint", prepare: true, cleanup: true},
	"diff":         {command: "diff", prepare: true, cleanup: true},
	"write-values": {command: "write-values", cleanup: true, defined: true},
	"list":         {command: "list"},
	"build":        {command: "build", prepare: true},
	"show-dag":     {command: "show-dag", prepare: true},
	"status":       {command: "status", prepare: true},
	"test":         {command: "test", prepare: true},
	"fetch":        {command: "pull", prepare: true},
	"apply":        {command: "apply", prepare: true, events: applied},
	"sync":         {command: "sync", prepare: true, events: applied},
	"destroy":      {command: "destroy", prepare: true, events: []string{"preuninstall", "postuninstall", "cleanup"}},
}

// Hooks are the hooks of state files, and how far they have come. Those of the zero Hooks never run.
type Hooks struct {
	// Hide takes what is secret out of the words of an error, which programs are given as they were told to people; nil leaves them.
	Hide func(string) string

	in      runlevel.Input
	options hook.Options
	states  []*runlevel.State
	levels  []runlevel.Level
	// prepared says that those of prepare have run, and said is what they said and has not been told.
	prepared bool
	said     string
	files    []fileHooks
}

// evaluated takes state files, which may have been read anew.
func (h *Hooks) evaluated(e runlevel.Evaluation) { h.states, h.levels = e.States, e.Levels }

// fileHooks are how far those of one file have come.
type fileHooks struct {
	// prepared says that those of prepare ran, begun that a release of it was begun, and done that those of cleanup ran.
	prepared, begun, done bool
	// refused is what keeps its releases from being applied, and failure the first thing that went wrong.
	refused, failure error
}

// HasHooks reports whether the state files have hooks that a verb runs before or after it. Verbs that run none have none.
func (h *Hooks) HasHooks(verb string) bool {
	v, runs := hookedVerbs[verb]
	if !runs {
		return false
	}
	has := func(hooks []runlevel.Hook, events ...string) bool {
		return slices.ContainsFunc(hooks, func(one runlevel.Hook) bool {
			return slices.ContainsFunc(events, func(event string) bool { return slices.Contains(one.Events, event) })
		})
	}
	for i, state := range h.states {
		if !state.Skipped && has(state.Hooks, "prepare", "cleanup") {
			return true
		}
		for _, r := range h.levels[i].Releases {
			if v.prepare && has(r.Hooks, "prepare") || v.cleanup && has(r.Hooks, "cleanup") {
				return true
			}
		}
	}
	return false
}

// Prepare runs the hooks of prepare, once: those of each file, then those of its releases that are to be installed, in the order of
// their definition, and the first file for which one fails is the last. Where one of prepare or cleanup would be refused, none runs. It returns what those said that show it.
func (h *Hooks) Prepare(ctx context.Context, verb string) (said string, ds diag.Diagnostics, err error) {
	v, runs := hookedVerbs[verb]
	if !runs || h.prepared {
		said, h.said = h.said, ""
		return said, nil, nil
	}
	if ds = h.Refused(verb); ds.HasErrors() {
		return "", ds, nil
	}
	h.prepared = true
	h.start()
	var shown strings.Builder
	defer func() { said = shown.String() }()
	for i, state := range h.states {
		if state.Skipped {
			continue
		}
		events := []runlevel.Event{{Name: "prepare", Command: v.command, State: state}}
		if v.prepare {
			for _, r := range h.comers(i) {
				events = append(events, runlevel.Event{Name: "prepare", Command: v.command, State: state, Release: &r})
			}
		}
		for _, e := range events {
			lines, more, err := h.hook(ctx, e)
			shown.WriteString(lines)
			// Another release of the file is prepared all the same.
			if ds = append(ds, more...); err != nil || ds.HasErrors() && e.Release == nil {
				return "", ds, err
			}
		}
		if ds.HasErrors() {
			return "", ds, nil
		}
		h.files[i].prepared = true
	}
	return "", ds, nil
}

// start makes room for how far the files have come.
func (h *Hooks) start() {
	if h.files == nil {
		h.files = make([]fileHooks, len(h.states))
	}
}

// Refused reports the hooks of a verb that would not be run, so that a run does not end half-way at one.
func (h *Hooks) Refused(verb string) diag.Diagnostics {
	v, runs := hookedVerbs[verb]
	if !runs {
		return nil
	}
	var around []string
	if v.prepare {
		around = append(around, "prepare")
	}
	if v.cleanup {
		around = append(around, "cleanup")
	}
	var ds diag.Diagnostics
	for i, state := range h.states {
		if state.Skipped {
			continue
		}
		ds = append(ds, hook.Refused(state.Hooks, h.options, "prepare", "cleanup")...)
		comers := h.comers(i)
		for _, r := range h.levels[i].Releases {
			events := v.events
			if slices.ContainsFunc(comers, func(c runlevel.Release) bool { return c.Key() == r.Key() && c.KubeContext == r.KubeContext }) {
				events = slices.Concat(around, v.events)
			}
			ds = append(ds, hook.Refused(r.Hooks, h.options, events...)...)
		}
	}
	return ds
}

// comers are the releases of a file that are to be worked on and installed, in the order of their definition.
func (h *Hooks) comers(file int) []runlevel.Release {
	var out []runlevel.Release
	for _, r := range h.states[file].Releases {
		if i := slices.IndexFunc(h.levels[file].Releases, func(l runlevel.Release) bool {
			return l.Key() == r.Key() && l.KubeContext == r.KubeContext
		}); i >= 0 && r.Enabled && h.levels[file].Releases[i].Installed {
			out = append(out, h.levels[file].Releases[i])
		}
	}
	return out
}

// Cleanup runs the hooks of cleanup of the files whose hooks of prepare ran, once each: those of releases first, whose failure is
// told and changes nothing, then those of the file. failure is what went wrong, for those of files to see.
func (h *Hooks) Cleanup(ctx context.Context, verb string, failure error) (said string, ds diag.Diagnostics, err error) {
	v := hookedVerbs[verb]
	ctx = context.WithoutCancel(ctx)
	var shown strings.Builder
	for i := range h.files {
		f := &h.files[i]
		if !f.prepared || f.done || i >= len(h.levels) { // what prepare made may have left fewer
			continue
		}
		f.done = true
		if v.cleanup {
			releases := h.levels[i].Releases
			if v.defined {
				releases = h.comers(i)
			}
			for _, r := range releases {
				if !r.Installed {
					continue
				}
				lines, more, err := h.hook(ctx, runlevel.Event{Name: "cleanup", Command: v.command, State: h.states[i], Release: &r})
				shown.WriteString(lines)
				if ds = append(ds, told(more)...); err != nil {
					return shown.String(), ds, err
				}
			}
		}
		lines, more, err := h.hook(ctx, runlevel.Event{
			Name: "cleanup", Command: v.command, State: h.states[i], Error: text(cmp.Or(f.failure, failure)),
		})
		shown.WriteString(lines)
		if ds = append(ds, more...); err != nil {
			return shown.String(), ds, err
		}
	}
	return shown.String(), ds, nil
}

// told are diagnostics of hooks that change nothing.
func told(ds diag.Diagnostics) diag.Diagnostics {
	for i := range ds {
		ds[i].Severity = diag.Warning
	}
	return ds
}

// text is an error as hooks see it.
func text(err error) string {
	if err == nil {
		return ""
	}
	return cmp.Or(err.Error(), "the run failed")
}

// hook runs the hooks of an event and returns the lines of those that show them.
func (h *Hooks) hook(ctx context.Context, e runlevel.Event) (string, diag.Diagnostics, error) {
	if h.Hide != nil {
		e.Error = h.Hide(e.Error)
	}
	lines, ds, err := hook.Run(ctx, h.in, e, h.options)
	var said strings.Builder
	for _, line := range lines {
		said.WriteString(line + "\n")
	}
	return said.String(), ds, err
}

// CheckHooks reports the hooks of the events that would not be run, so that a run does not end half-way at one.
func (h *Hooks) CheckHooks(events ...string) diag.Diagnostics {
	var ds diag.Diagnostics
	for i, state := range h.states {
		if !state.Skipped && slices.Contains(events, "cleanup") { // which is, of these, the event of whole files
			ds = append(ds, hook.Refused(state.Hooks, h.options, "cleanup")...)
		}
		for _, r := range h.levels[i].Releases {
			ds = append(ds, hook.Refused(r.Hooks, h.options, events...)...)
		}
	}
	return ds
}

// deployment runs the hooks of state files while their releases are applied.
type deployment struct {
	hooks *Hooks
	verb  string
	// command is the verb as the hooks of releases see it.
	command string
	// places are the releases by context and key, and changes those of which something changes.
	places  map[string]place
	changes map[string]bool
	// One at a time: what programs make may be read by others, as if their files were one's own.
	mu sync.Mutex
}

// place is where a release is defined.
type place struct {
	file    int
	release runlevel.Release
}

// Programs returns o with the hooks of state files around each file and release, in helmfile's order: when the first release of a
// file is begun, what is left of the files before it; with apply the preapply of all of the file's releases, the last first; then
// for each release presync, around an uninstallation preuninstall and postuninstall, postsync and cleanup. Those that fail fail
// their release, but for postsync and cleanup of what went wrong or away anyway. The caller calls Finish after the run.
func (h *Hooks) Programs(o ApplyOptions, d Deployment, verb string) ApplyOptions {
	h.start()
	run := h.deployment(d, verb)
	o.Before, o.After = run.before, run.after
	return o
}

// Finish runs the hooks that are left when the plans of state files were carried out: cleanup of releases that did not change, and
// of files. failure is what went wrong.
func (h *Hooks) Finish(ctx context.Context, d Deployment, verb string, failure error) (said string, ds diag.Diagnostics, err error) {
	run := h.deployment(d, verb)
	return run.finish(context.WithoutCancel(ctx), func(int) bool { return true }, failure)
}

func (h *Hooks) deployment(d Deployment, verb string) *deployment {
	out := &deployment{hooks: h, verb: verb, command: "sync", places: map[string]place{}, changes: map[string]bool{}}
	if verb == "destroy" {
		out.command = "delete"
	}
	for i, l := range h.levels {
		for _, r := range l.Releases {
			out.places[r.KubeContext+" "+r.Key()] = place{i, r}
		}
	}
	for _, plan := range d.Plans {
		for _, l := range plan.Levels {
			for _, r := range l.Releases {
				if r.Action != diff.Same {
					out.changes[r.Context+" "+r.Key()] = true
				}
			}
		}
	}
	return out
}

// unchanged are the releases of a file of which nothing changes.
func (d *deployment) unchanged(file int) []runlevel.Release {
	return slices.DeleteFunc(slices.Clone(d.hooks.levels[file].Releases), func(r runlevel.Release) bool {
		return d.changes[r.KubeContext+" "+r.Key()]
	})
}

// changed reports whether anything of a file changes.
func (d *deployment) changed(file int) bool {
	return len(d.unchanged(file)) < len(d.hooks.levels[file].Releases)
}

// call runs the hooks of an event of a release, and returns what they said, and that of those that failed and only tell it.
func (d *deployment) call(ctx context.Context, at place, name, command string, failure error, tells bool) (string, error) {
	said, ds, err := d.hooks.hook(ctx, runlevel.Event{
		Name: name, Command: command, State: d.hooks.states[at.file], Release: &at.release, Error: text(failure),
	})
	if err != nil {
		return said, err
	}
	for _, problem := range ds {
		failed := fmt.Errorf("%s hook at %s:%d: %s", name, problem.Range.File, problem.Range.Start.Line, problem.Detail)
		if problem.Severity == diag.Error && !tells {
			return said, failed
		}
		said += fmt.Sprintf("warning: %v\n", failed)
	}
	return said, nil
}

// enter begins a file: what is left of those that were before it is done, and its hooks of preapply run.
func (d *deployment) enter(ctx context.Context, file int) (string, error) {
	f := &d.hooks.files[file]
	if f.begun {
		return "", f.refused
	}
	f.begun = true
	before := func(other int) bool { return other < file }
	if d.verb == "destroy" {
		before = func(other int) bool { return other > file }
	}
	said, ds, err := d.finish(ctx, before, nil)
	if f.refused = err; err != nil {
		return said, err
	}
	for _, problem := range ds {
		failed := fmt.Errorf("cleanup hook at %s:%d: %s", problem.Range.File, problem.Range.Start.Line, problem.Detail)
		if problem.Severity == diag.Error {
			f.refused = failed
			return said, failed
		}
		said += fmt.Sprintf("warning: %v\n", failed)
	}
	releases := slices.Clone(d.hooks.levels[file].Releases)
	// The last group first, and within one in the order of their definition.
	slices.SortStableFunc(releases, func(a, b runlevel.Release) int { return b.Group - a.Group })
	if d.verb == "destroy" {
		for _, r := range d.unchanged(file) {
			more, err := d.call(ctx, place{file, r}, "cleanup", d.command, nil, true)
			if said += more; err != nil {
				f.refused = err
				return said, err
			}
		}
	}
	if d.verb != "apply" {
		return said, nil
	}
	for _, r := range releases {
		more, err := d.call(ctx, place{file, r}, "preapply", "apply", nil, false)
		if said += more; err != nil {
			f.refused = err
			return said, err
		}
	}
	return said, nil
}

// finish runs what is left of the files that which names, in the order they are carried out.
func (d *deployment) finish(ctx context.Context, which func(file int) bool, failure error) (string, diag.Diagnostics, error) {
	files := make([]int, len(d.hooks.files))
	for i := range files {
		files[i] = i
	}
	if d.verb == "destroy" {
		slices.Reverse(files)
	}
	var said strings.Builder
	var ds diag.Diagnostics
	for _, i := range files {
		f := &d.hooks.files[i]
		if !which(i) || !f.prepared || f.done {
			continue
		}
		f.done = true
		var events []runlevel.Event
		// Those of a file that is destroyed were cleaned up when it was begun.
		if d.verb == "destroy" && !f.begun || d.verb == "sync" || d.verb == "apply" && d.changed(i) && (f.begun && f.refused == nil) {
			command := d.verb
			if d.verb == "destroy" {
				command = d.command
			}
			for _, r := range d.unchanged(i) {
				events = append(events, runlevel.Event{Name: "cleanup", Command: command, State: d.hooks.states[i], Release: &r})
			}
		}
		own := cmp.Or(f.refused, f.failure)
		if own == nil && !f.begun {
			own = failure
		}
		events = append(events, runlevel.Event{Name: "cleanup", Command: d.verb, State: d.hooks.states[i], Error: text(own)})
		for _, e := range events {
			lines, more, err := d.hooks.hook(ctx, e)
			said.WriteString(lines)
			if e.Release != nil {
				more = told(more)
			}
			if ds = append(ds, more...); err != nil {
				return said.String(), ds, err
			}
		}
	}
	return said.String(), ds, nil
}

// before runs what comes before a release.
func (d *deployment) before(ctx context.Context, r diff.Release) (string, error) {
	at, found := d.places[r.Context+" "+r.Key()]
	if !found {
		return "", nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	said, err := d.enter(ctx, at.file)
	if err != nil {
		return said, err
	}
	events := []string{"presync"}
	switch {
	case d.verb == "destroy":
		events = []string{"preuninstall"}
	case r.Action == diff.Uninstall:
		events = append(events, "preuninstall")
	}
	for _, name := range events {
		more, err := d.call(ctx, at, name, d.command, nil, false)
		if said += more; err != nil {
			more, err := d.left(ctx, at, r, err)
			return said + more, err
		}
	}
	return said, nil
}

// after runs what comes after a release, of which failure is what went wrong.
func (d *deployment) after(ctx context.Context, r diff.Release, failure error) (string, error) {
	at, found := d.places[r.Context+" "+r.Key()]
	if !found {
		return "", nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	said, err := "", failure
	if r.Action == diff.Uninstall && failure == nil {
		said, err = d.call(ctx, at, "postuninstall", d.command, nil, false)
	}
	more, err := d.left(ctx, at, r, err)
	if failure != nil {
		err = nil // who calls has it
	}
	return said + more, err
}

// left runs postsync and cleanup of a release of which failure is what went wrong, and returns that, or what goes wrong there.
func (d *deployment) left(ctx context.Context, at place, r diff.Release, failure error) (string, error) {
	var said strings.Builder
	if d.verb != "destroy" {
		ctx = context.WithoutCancel(ctx)
		for _, name := range []string{"postsync", "cleanup"} {
			seen := failure
			if name == "cleanup" {
				seen = nil // helmfile does not tell it
			}
			more, err := d.call(ctx, at, name, d.command, seen, failure != nil || r.Action == diff.Uninstall)
			said.WriteString(more)
			failure = cmp.Or(failure, err)
		}
	}
	f := &d.hooks.files[at.file]
	if f.failure == nil && failure != nil {
		f.failure = fmt.Errorf("release %s: %w", r.Key(), failure)
	}
	return said.String(), failure
}
