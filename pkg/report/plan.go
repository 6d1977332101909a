package report

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/aymanbagabas/go-udiff"

	"github.com/redkubes/otomi/pkg/diff"
	"github.com/redkubes/otomi/pkg/manifest"
	"github.com/redkubes/otomi/pkg/yaml"
)

// Plans shows what applying would do: per runlevel, release and object, each object as a unified diff from what is live
// to what is wanted. What is unchanged is only counted, on the talk's side.
func (r *Reporter) Plans(plans []diff.Plan, format string) error {
	return r.PlansOf(plans, PlanOptions{Format: format, Context: udiff.DefaultContextLines})
}

// PlanOptions say what is shown of plans.
type PlanOptions struct {
	// Format is text, json or markdown.
	Format string
	// Style is how objects are shown; empty is Unified. JSON has all of them.
	Style Style
	// MaxLength bounds markdown, in bytes: detail goes before counts. 0 is GitHub's bound of a comment.
	MaxLength int
	// Against is what the plans are compared with: live, release, or a revision. Empty is live.
	Against string
	// Context is how many unchanged lines are shown around changed ones.
	Context int
	// Kinds are the kinds of objects that are not shown.
	Kinds []string
	// NoHooks leaves out hooks, NoInstalls the objects of releases that are new, and Silent all but the sums.
	NoHooks, NoInstalls, Silent bool
}

// Style is how much of an object's change is shown, and in what form.
type Style string

const (
	// Unified is a unified diff of the objects as YAML.
	Unified Style = "unified"
	// Structural is a line for each field: PATH: OLD → NEW.
	Structural Style = "structural"
	// Brief is a line for each object.
	Brief Style = "summary"
)

// PlansOf is Plans with a choice of what is shown.
func (r *Reporter) PlansOf(plans []diff.Plan, o PlanOptions) error {
	if o.Format == "markdown" {
		return r.markdown(plans, o)
	}
	if o.Format == "json" {
		seen := make([]diff.Plan, len(plans))
		for i, plan := range plans {
			var err error
			if seen[i], err = r.Seen(plan, o); err != nil {
				return err
			}
		}
		plans = r.plainPlans(seen)
		return r.JSON(struct {
			FormatVersion int         `json:"formatVersion"`
			Plans         []diff.Plan `json:"plans"`
		}{FormatVersion, plans})
	}
	for _, plan := range plans {
		if len(plans) > 1 && !plan.Empty() && !o.Silent {
			where := "# cluster: " + plan.Cluster
			if plan.Cluster == "" {
				where = "# context: " + plan.Context
			}
			if err := r.Product(where + "\n"); err != nil {
				return err
			}
		}
		for _, level := range plan.Levels {
			if o.Silent {
				break
			}
			text, err := r.planned(level, o)
			if err != nil {
				return err
			}
			if err := r.Product(text); err != nil {
				return err
			}
		}
		r.warned(plan.Warnings)
		for _, note := range plan.Notes {
			r.Talk("%s %s", r.paint(yellow, "note:"), note)
		}
		r.Talk("%s", Summary(plan))
	}
	return nil
}

// Seen is a plan with what is shown of it: releases stay, and what is hidden of their objects and hooks is left out, unless it
// can't be applied.
func (r *Reporter) Seen(plan diff.Plan, o PlanOptions) (diff.Plan, error) {
	levels := slices.Clone(plan.Levels)
	for i := range levels {
		levels[i].Releases = slices.Clone(levels[i].Releases)
		for j := range levels[i].Releases {
			release := &levels[i].Releases[j]
			lines, err := matching(release.Hidden)
			if err != nil {
				return plan, err
			}
			var objects []diff.Change
			for _, change := range release.Objects {
				hidden, err := r.hidden(*release, change, o, lines)
				if err != nil {
					return plan, err
				}
				if !hidden {
					objects = append(objects, change)
				}
			}
			release.Objects = objects
			release.Hooks = slices.DeleteFunc(slices.Clone(release.Hooks), func(h diff.Hook) bool { return o.hidesHook(*release, h) })
		}
	}
	plan.Levels = levels
	return plan, nil
}

// hides reports whether an object of a release is not shown at all.
func (o PlanOptions) hides(release diff.Release, c diff.Change) bool {
	return c.Invalid == "" && (o.Silent || slices.Contains(o.Kinds, c.Kind) || release.Silent || o.NoInstalls && release.Action == diff.Install)
}

func (o PlanOptions) hidesHook(release diff.Release, h diff.Hook) bool {
	return o.NoHooks || o.Silent || release.Silent || slices.Contains(o.Kinds, h.Kind)
}

// hidden reports whether an object is not shown: all of it, or the only lines in which it differs.
func (r *Reporter) hidden(release diff.Release, c diff.Change, o PlanOptions, lines []*regexp.Regexp) (bool, error) {
	if o.hides(release, c) {
		return true, nil
	}
	if len(lines) == 0 || c.Invalid != "" || c.Action != diff.Update {
		return false, nil
	}
	before, err := r.yaml(c.Before)
	if err != nil {
		return false, err
	}
	after, err := r.yaml(c.After)
	if err != nil {
		return false, err
	}
	return withoutLines(before, lines) == withoutLines(after, lines), nil
}

// warned shows what an API server warned of.
func (r *Reporter) warned(warnings []string) {
	for _, text := range warnings {
		r.Talk("%s the API server: %s", r.paint(yellow, "warning:"), text)
	}
}

// Summary counts a plan in one line.
func Summary(plan diff.Plan) string {
	where := plan.Context
	if plan.Cluster != "" {
		where = plan.Cluster
	}
	counts := plan.Counts()
	var parts []string
	for _, part := range []struct {
		n    int
		what string
	}{{counts.Install, "install"}, {counts.Upgrade, "upgrade"}, {counts.Uninstall, "uninstall"}} {
		if part.n > 0 {
			parts = append(parts, fmt.Sprintf("%s to %s", Plural(part.n, "release"), part.what))
		}
	}
	var objects []string
	for _, action := range []diff.Action{diff.Create, diff.Update, diff.Replace, diff.Adopt, diff.TakeOver, diff.Delete} {
		if n := counts.Objects[action]; n > 0 {
			objects = append(objects, fmt.Sprintf("%d to %s", n, action))
		}
	}
	if len(parts) == 0 && counts.Invalid == 0 {
		return fmt.Sprintf("%s: no changes (%s)", where, Plural(counts.Unchanged, "release"))
	}
	text := where + ": " + strings.Join(parts, ", ")
	if len(objects) > 0 {
		text += "; objects: " + strings.Join(objects, ", ")
	}
	if counts.Unchanged > 0 {
		text += fmt.Sprintf("; %s unchanged", Plural(counts.Unchanged, "release"))
	}
	if counts.Invalid > 0 {
		text += fmt.Sprintf("; %s can't be applied", Plural(counts.Invalid, "release"))
	}
	return text
}

// planned writes the changes of one runlevel; one without any is left out.
func (r *Reporter) planned(level diff.Level, o PlanOptions) (string, error) {
	var b strings.Builder
	for _, release := range level.Releases {
		if release.Action == diff.Same && len(release.Problems()) == 0 {
			continue
		}
		if b.Len() == 0 {
			fmt.Fprintf(&b, "%s\n", r.paintOut(bold, "runlevel "+level.Name))
		}
		head := fmt.Sprintf("%s %s %s", releaseMark(release.Action).sign, release.Action, release.Key())
		if release.Chart != "" {
			head += " " + release.Chart
		}
		if release.Revision > 0 && release.Action != diff.Uninstall {
			head += fmt.Sprintf(", revision %d", release.Revision)
		}
		if release.Reason != "" {
			head += ": " + release.Reason
		}
		fmt.Fprintf(&b, "%s\n", r.paintOut(releaseMark(release.Action).colour, head))
		if release.Invalid != "" {
			fmt.Fprintf(&b, "  %s\n", r.paintOut(red, "! "+release.Invalid))
		}
		lines, err := matching(release.Hidden)
		if err != nil {
			return "", err
		}
		for _, change := range release.Objects {
			if o.hides(release, change) {
				continue
			}
			text, err := r.changed(change, o, lines)
			if err != nil {
				return "", err
			}
			b.WriteString(text)
		}
		for _, hook := range release.Hooks {
			if o.hidesHook(release, hook) {
				continue
			}
			fmt.Fprintf(&b, "  %s\n", r.paintOut(cyan, "* hook "+hook.ID.String()+" at "+join(hook.Events)+sourceNote(hook.Source)))
		}
	}
	return b.String(), nil
}

// changed writes one change: a line, and the unified diff below it.
func (r *Reporter) changed(c diff.Change, o PlanOptions, hidden []*regexp.Regexp) (string, error) {
	if c.Action == diff.Unchanged && c.Invalid == "" {
		return "", nil
	}
	var b strings.Builder
	line := fmt.Sprintf("%s %s %s%s", objectMark(c.Action).sign, c.Action, c.ID, sourceNote(c.Source))
	if c.Reason != "" {
		line += ": " + c.Reason
	}
	fmt.Fprintf(&b, "  %s\n", r.paintOut(objectMark(c.Action).colour, line))
	if c.Invalid != "" {
		fmt.Fprintf(&b, "    %s\n", r.paintOut(red, "! "+c.Invalid))
	}
	if c.Deferred != "" {
		fmt.Fprintf(&b, "    %s\n", r.paintOut(yellow, "? "+c.Deferred))
	}
	if o.Style == Brief {
		return b.String(), nil
	}
	shown := r.sides(c)
	if o.Style == Structural {
		text, err := r.fields(shown, hidden)
		b.WriteString(text)
		return b.String(), err
	}
	for _, f := range c.Fields {
		if f.By != "" {
			fmt.Fprintf(&b, "    %s\n", r.paintOut(yellow, "# "+f.Path+" "+setBy(f)))
		}
	}
	text, err := r.unifiedSides(&shown, o, hidden)
	if err != nil {
		return "", fmt.Errorf("comparing %s: %w", c.ID, err)
	}
	b.WriteString(r.unified(text))
	return b.String(), nil
}

// matching compiles regular expressions.
func matching(texts []string) ([]*regexp.Regexp, error) {
	var out []*regexp.Regexp
	for _, text := range texts {
		re, err := regexp.Compile(text)
		if err != nil {
			return nil, fmt.Errorf("reading the regular expression of lines that are not shown: %w", err)
		}
		out = append(out, re)
	}
	return out, nil
}

// withoutLines leaves out the lines that match.
func withoutLines(text string, hidden []*regexp.Regexp) string {
	if len(hidden) == 0 {
		return text
	}
	var b strings.Builder
	for line := range strings.Lines(text) {
		if !slices.ContainsFunc(hidden, func(re *regexp.Regexp) bool { return re.MatchString(strings.TrimSuffix(line, "\n")) }) {
			b.WriteString(line)
		}
	}
	return b.String()
}

// unified paints a unified diff.
func (r *Reporter) unified(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		colour := ""
		switch {
		case strings.HasPrefix(line, "+++"), strings.HasPrefix(line, "---"):
			colour = bold
		case strings.HasPrefix(line, "@@"):
			colour = cyan
		case strings.HasPrefix(line, "+"):
			colour = green
		case strings.HasPrefix(line, "-"):
			colour = red
		}
		if colour != "" {
			line = r.paintOut(colour, line)
		}
		b.WriteString(line + "\n")
	}
	return b.String()
}

// yaml writes an object as YAML without secrets, and nothing as nothing.
func (r *Reporter) yaml(data map[string]any) (string, error) {
	if data == nil {
		return "", nil
	}
	redacted, _ := r.out.tree(data)
	body, err := yaml.Marshal(redacted)
	if err != nil {
		return "", fmt.Errorf("writing an object: %w", err)
	}
	return string(body), nil
}

func sourceNote(source string) string {
	if source == "" {
		return ""
	}
	return " (" + source + ")"
}

func join(events []manifest.Event) string {
	words := make([]string, len(events))
	for i, e := range events {
		words[i] = string(e)
	}
	return strings.Join(words, ", ")
}

// mark is how a kind of change is shown: a sign before it, and its colour.
type mark struct{ sign, colour string }

// releaseMark is the mark of a release; one that can't be applied has none of its own.
func releaseMark(a diff.ReleaseAction) mark {
	switch a {
	case diff.Install:
		return mark{"+", green}
	case diff.Uninstall:
		return mark{"-", red}
	case diff.Upgrade:
		return mark{"~", yellow}
	}
	return mark{"!", yellow}
}

func objectMark(a diff.Action) mark {
	switch a {
	case diff.Create:
		return mark{"+", green}
	case diff.Delete:
		return mark{"-", red}
	case diff.Replace:
		return mark{"±", red}
	}
	return mark{"~", yellow}
}
