package hook_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/hook"
	"github.com/redkubes/otomi/pkg/runlevel"
	"github.com/redkubes/otomi/pkg/template"
)

// programs note what is run. The program false fails.
type programs struct{ ran []string }

func (p *programs) Run(ctx context.Context, run template.Program) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	p.ran = append(p.ran, strings.Join(append([]string{run.Dir + ":" + run.Command}, run.Args...), " "))
	if run.Command == "false" {
		return nil, errors.New("running false: exit status 1")
	}
	return []byte("one " + run.Command + "\ntwo\n"), nil
}

func at(line int) diag.Range {
	return diag.Range{File: "helmfile.yaml", Start: diag.Pos{Line: line, Column: 5}}
}

func state(hooks ...runlevel.Hook) *runlevel.State {
	return &runlevel.State{Dir: "deploy", Hooks: hooks, Environment: runlevel.Environment{Name: "prod"}, Values: map[string]any{"a": "b"}}
}

func TestHooksRunInOrderWithTheirTemplates(t *testing.T) {
	t.Parallel()
	s := state(
		runlevel.Hook{Events: []string{"prepare", "cleanup"}, Command: "first", Args: []string{"{{ .Event.Name }}", "{{ .HelmfileCommand }}", "{{ .Environment.Name }}"}, ShowLogs: true},
		runlevel.Hook{Events: []string{"presync"}, Command: "other"},
		runlevel.Hook{Events: []string{"prepare"}, Command: "{{ .Values.a }}"},
	)
	p := &programs{}
	said, ds, err := hook.Run(context.Background(), runlevel.Input{}, runlevel.Event{Name: "prepare", Command: "template", State: s}, hook.Options{Allowed: true, Programs: p})
	require.NoError(t, err)
	require.Empty(t, ds)
	require.Equal(t, []string{"deploy:first prepare template prod", "deploy:b"}, p.ran)
	require.Equal(t, []string{"hook[prepare] logs | one first", "hook[prepare] logs | two"}, said, "only with showlogs")
}

func TestHooksOfAReleaseSeeIt(t *testing.T) {
	t.Parallel()
	r := runlevel.Release{Name: "web", WrittenNamespace: "apps", Hooks: []runlevel.Hook{{
		Events: []string{"postsync"}, Command: "echo", Args: []string{"{{ .Release.Name }}/{{ .Release.Namespace }}", "{{ .Event.Error }}"},
	}}}
	p := &programs{}
	e := runlevel.Event{Name: "postsync", Error: "it failed", State: state(runlevel.Hook{Events: []string{"postsync"}, Command: "global"}), Release: &r}
	_, ds, err := hook.Run(context.Background(), runlevel.Input{}, e, hook.Options{Allowed: true, Programs: p})
	require.NoError(t, err)
	require.Empty(t, ds)
	require.Equal(t, []string{"deploy:echo web/apps it failed"}, p.ran)
}

// A hook may make the file that the arguments of the next one read.
func TestTemplatesOfAHookAreCarriedOutAfterTheHooksBeforeIt(t *testing.T) {
	t.Parallel()
	p := &programs{}
	s := state(
		runlevel.Hook{Events: []string{"prepare"}, Command: "make"},
		runlevel.Hook{Events: []string{"prepare"}, Command: "use", Args: []string{`{{ exec "ran" (list) }}`}},
	)
	in := runlevel.Input{Programs: p, Allow: template.Permissions{Exec: true}}
	_, ds, err := hook.Run(context.Background(), in, runlevel.Event{Name: "prepare", State: s}, hook.Options{Allowed: true, Programs: p})
	require.NoError(t, err)
	require.Empty(t, ds)
	require.Equal(t, "deploy:make", p.ran[0])
	require.Equal(t, "deploy:ran", p.ran[1])
}

func TestHooksThatDoNotRun(t *testing.T) {
	t.Parallel()
	all := func(h runlevel.Hook) []runlevel.Hook { return []runlevel.Hook{h, {Events: h.Events, Command: "after"}} }
	one := runlevel.Hook{Events: []string{"prepare"}, Command: "false", Range: at(7)}
	failing := func(event string) runlevel.Hook {
		return runlevel.Hook{Name: "mine", Events: []string{event}, Command: "false", Range: at(7)}
	}
	for name, c := range map[string]struct {
		hook      runlevel.Hook
		event     string
		ofRelease bool
		options   hook.Options
		severity  diag.Severity
		code      diag.Code
		detail    string
	}{
		"not allowed":       {hook: one, event: "prepare", severity: diag.Error, code: diag.ProgramForbidden, detail: "--allow hooks"},
		"turned off":        {hook: one, event: "cleanup", options: hook.Options{Allowed: true, Off: "HELMFILE_DISABLE_HOOKS"}, severity: diag.Error, code: diag.ProgramForbidden, detail: "HELMFILE_DISABLE_HOOKS turned them off"},
		"fails":             {hook: one, event: "prepare", options: hook.Options{Allowed: true}, severity: diag.Error, code: diag.ProgramFailed, detail: "hook false failed at prepare: running false: exit status 1"},
		"presync fails":     {hook: failing("presync"), event: "presync", ofRelease: true, options: hook.Options{Allowed: true}, severity: diag.Error, code: diag.ProgramFailed, detail: "hook mine failed"},
		"postsync fails":    {hook: failing("postsync"), event: "postsync", ofRelease: true, options: hook.Options{Allowed: true}, severity: diag.Error, code: diag.ProgramFailed, detail: "hook mine failed"},
		"cleanup fails":     {hook: failing("cleanup"), event: "cleanup", ofRelease: true, options: hook.Options{Allowed: true}, severity: diag.Error, code: diag.ProgramFailed, detail: "hook mine failed"},
		"global cleanup":    {hook: failing("cleanup"), event: "cleanup", options: hook.Options{Allowed: true}, severity: diag.Error, code: diag.ProgramFailed, detail: "hook mine failed"},
		"kubectl":           {hook: runlevel.Hook{Events: []string{"prepare"}, KubectlApply: map[string]string{"filename": "false"}, Range: at(7)}, event: "prepare", severity: diag.Error, code: diag.ProgramForbidden, detail: "the hook kubectlApply runs a program"},
		"kubectl of both":   {hook: runlevel.Hook{Events: []string{"prepare"}, KubectlApply: map[string]string{"filename": "x", "kustomize": "y"}, Range: at(7)}, event: "prepare", options: hook.Options{Allowed: true}, severity: diag.Error, code: diag.RunlevelInvalid, detail: "either filename or kustomize"},
		"a broken template": {hook: runlevel.Hook{Events: []string{"prepare"}, Command: "{{ .Absent }}", Range: at(7)}, event: "prepare", options: hook.Options{Allowed: true}, severity: diag.Error, code: diag.TemplateUndefined, detail: "Absent"},
	} {
		p := &programs{}
		c.options.Programs = p
		e := runlevel.Event{Name: c.event, State: state(all(c.hook)...)}
		if c.ofRelease {
			e = runlevel.Event{Name: c.event, State: state(), Release: &runlevel.Release{Name: "web", Hooks: all(c.hook)}}
		}
		_, ds, err := hook.Run(context.Background(), runlevel.Input{}, e, c.options)
		require.NoError(t, err, name)
		require.Len(t, ds, 1, name)
		require.Equal(t, c.severity, ds[0].Severity, name)
		require.Equal(t, c.code, ds[0].Code, name)
		require.Contains(t, ds[0].Detail, c.detail, name)
		require.Equal(t, at(7), ds[0].Range, name)
		require.NotContains(t, strings.Join(p.ran, " "), "after", name+": what comes after does not run")
	}
}

func TestHooksApplyFilesWithKubectl(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		apply map[string]string
		ran   string
	}{
		"files":   {map[string]string{"filename": "crds/{{ .Event.Name }}.yaml"}, "deploy:kubectl apply -f crds/prepare.yaml"},
		"overlay": {map[string]string{"kustomize": "overlay"}, "deploy:kubectl apply -k overlay"},
	} {
		p := &programs{}
		s := state(runlevel.Hook{Events: []string{"prepare"}, Command: "ignored", KubectlApply: c.apply})
		_, ds, err := hook.Run(context.Background(), runlevel.Input{}, runlevel.Event{Name: "prepare", State: s}, hook.Options{Allowed: true, Programs: p})
		require.NoError(t, err, name)
		require.Empty(t, ds, name)
		require.Equal(t, []string{c.ran}, p.ran, name)
	}
}

// helmfile hands on a Go error, which prints as <nil> and counts as false where there is none.
func TestHooksSeeTheErrorAsHelmfileShowsIt(t *testing.T) {
	t.Parallel()
	p := &programs{}
	s := state(runlevel.Hook{Events: []string{"cleanup"}, Command: "tell", Args: []string{"{{ .Event.Error }}", "{{ if .Event.Error }}bad{{ end }}"}})
	for _, failure := range []string{"", "it broke"} {
		e := runlevel.Event{Name: "cleanup", State: s, Error: failure}
		_, ds, err := hook.Run(context.Background(), runlevel.Input{}, e, hook.Options{Allowed: true, Programs: p})
		require.NoError(t, err)
		require.Empty(t, ds)
	}
	require.Equal(t, []string{"deploy:tell <nil> ", "deploy:tell it broke bad"}, p.ran)
}

func TestHooksEndWithTheirContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	s := state(runlevel.Hook{Events: []string{"prepare"}, Command: "x"})
	_, _, err := hook.Run(ctx, runlevel.Input{}, runlevel.Event{Name: "prepare", State: s}, hook.Options{Allowed: true, Programs: &programs{}})
	require.ErrorIs(t, err, context.Canceled)
}

func TestNoHookNeedsNoPermission(t *testing.T) {
	t.Parallel()
	s := state(runlevel.Hook{Events: []string{"postsync"}, Command: "x"})
	said, ds, err := hook.Run(context.Background(), runlevel.Input{}, runlevel.Event{Name: "prepare", State: s}, hook.Options{})
	require.NoError(t, err)
	require.Empty(t, ds)
	require.Empty(t, said)
}

// A run that would end half-way at a hook does not begin.
func TestRefusedHooksAreKnownBeforeTheyAreReached(t *testing.T) {
	t.Parallel()
	hooks := []runlevel.Hook{
		{Events: []string{"presync", "postsync"}, Command: "x", Range: at(3)},
		{Events: []string{"prepare"}, Command: "y", Range: at(4)},
		{Events: []string{"postsync"}, KubectlApply: map[string]string{"filename": "x"}, Range: at(5)},
	}
	allowed := hook.Options{Allowed: true, Programs: &programs{}}
	for name, c := range map[string]struct {
		options hook.Options
		events  []string
		lines   []int
	}{
		"nothing allowed": {events: []string{"presync", "postsync"}, lines: []int{3, 5}},
		"other events":    {events: []string{"cleanup"}},
		"allowed":         {options: allowed, events: []string{"presync", "prepare"}},
		"turned off":      {options: hook.Options{Allowed: true, Off: "OFF", Programs: &programs{}}, events: []string{"cleanup"}, lines: []int{3}},
	} {
		var lines []int
		for _, d := range hook.Refused(hooks, c.options, c.events...) {
			require.Equal(t, diag.Error, d.Severity, name)
			lines = append(lines, d.Range.Start.Line)
		}
		require.Equal(t, c.lines, lines, name)
	}
}
