package report

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/aymanbagabas/go-udiff"

	"github.com/redkubes/otomi/pkg/diff"
	"github.com/redkubes/otomi/pkg/value"
	"github.com/redkubes/otomi/pkg/yaml"
)

// changedSecret stands for a secret that is another one on the other side.
const changedSecret = diff.SecretChanged

// sides are both sides of a change as they may be shown.
type sides struct {
	diff.Change
	// texts are the texts of several lines that differ and that YAML would write in one line.
	texts []longText
}

// longText is a text on both sides.
type longText struct{ path, before, after string }

// sides redacts both sides of a change. A text whose secrets differ says so: hidden, both sides would look the same.
func (r *Reporter) sides(c diff.Change) sides {
	s := sides{Change: c}
	s.Fields = slices.Clone(c.Fields)
	for i, f := range s.Fields {
		s.Fields[i].Before, s.Fields[i].After = r.both(f.Before, f.After)
	}
	if c.Before == nil || c.After == nil {
		s.Before, s.After = r.masked(c.Before), r.masked(c.After)
		return s
	}
	before, after := r.both(c.Before, c.After)
	s.Before, _ = before.(map[string]any)
	s.After, _ = after.(map[string]any)
	return s
}

// both redacts two values that stand at one place.
func (r *Reporter) both(before, after any) (b, a any) {
	switch now := after.(type) {
	case map[string]any:
		old, ok := before.(map[string]any)
		if !ok {
			break
		}
		outOld, outNow := map[string]any{}, map[string]any{}
		for key, v := range now {
			if w, was := old[key]; was {
				outOld[r.out.text(key)], outNow[r.out.text(key)] = r.both(w, v)
			} else {
				outNow[r.out.text(key)], _ = r.out.tree(v)
			}
		}
		for key, v := range old {
			if _, is := now[key]; !is {
				outOld[r.out.text(key)], _ = r.out.tree(v)
			}
		}
		return outOld, outNow
	case []any:
		old, ok := before.([]any)
		if !ok {
			break
		}
		outOld, outNow := slices.Clone(old), slices.Clone(now)
		for i := range max(len(old), len(now)) {
			switch {
			case i >= len(old):
				outNow[i], _ = r.out.tree(now[i])
			case i >= len(now):
				outOld[i], _ = r.out.tree(old[i])
			default:
				outOld[i], outNow[i] = r.both(old[i], now[i])
			}
		}
		return outOld, outNow
	case string:
		old, ok := before.(string)
		if !ok {
			break
		}
		was, is := r.out.text(old), r.out.text(now)
		if was == is && old != now {
			is = strings.ReplaceAll(is, hidden, changedSecret)
		}
		return was, is
	}
	b, _ = r.out.tree(before)
	a, _ = r.out.tree(after)
	return b, a
}

// plainPlans are plans without secrets, for JSON.
func (r *Reporter) plainPlans(plans []diff.Plan) []diff.Plan {
	out := make([]diff.Plan, len(plans))
	for i, p := range plans {
		p.Levels = slices.Clone(p.Levels)
		for j, l := range p.Levels {
			l.Releases = slices.Clone(l.Releases)
			for k, release := range l.Releases {
				release.Objects = slices.Clone(release.Objects)
				for n, c := range release.Objects {
					release.Objects[n] = r.sides(c).Change
				}
				l.Releases[k] = release
			}
			p.Levels[j] = l
		}
		out[i] = p
	}
	return out
}

// unifiedSides is the unified diff of both sides as YAML. Texts of several lines that YAML writes in one are compared line by
// line behind it.
func (r *Reporter) unifiedSides(s *sides, o PlanOptions, lines []*regexp.Regexp) (string, error) {
	old, now := s.texted(nil, s.Before, s.After)
	before, err := plainYAML(old)
	if err != nil {
		return "", err
	}
	after, err := plainYAML(now)
	if err != nil {
		return "", err
	}
	from, to := cmp.Or(o.Against, "live")+" "+s.ID.String(), "wanted "+s.ID.String()
	if o.Against == "applied" {
		to = "live " + s.ID.String()
	}
	var b strings.Builder
	compare := func(from, to, before, after string) error {
		before, after = withoutLines(before, lines), withoutLines(after, lines)
		if before == after {
			return nil
		}
		text, err := udiff.ToUnified(from, to, before, udiff.Lines(before, after), o.Context)
		b.WriteString(text)
		return err
	}
	if err := compare(from, to, before, after); err != nil {
		return "", err
	}
	for _, t := range s.texts {
		before, after := ended(t.before, t.after)
		if err := compare(from+" "+t.path, to+" "+t.path, before, after); err != nil {
			return "", err
		}
	}
	return b.String(), nil
}

// texted takes the texts of several lines out that differ and that YAML can't write as a block.
func (s *sides) texted(at value.Path, before, after any) (b, a any) {
	switch now := after.(type) {
	case map[string]any:
		old, ok := before.(map[string]any)
		if !ok {
			break
		}
		outOld, outNow := maps.Clone(old), maps.Clone(now)
		for _, key := range slices.Sorted(maps.Keys(now)) {
			if w, was := old[key]; was {
				outOld[key], outNow[key] = s.texted(at.Key(key), w, now[key])
			}
		}
		return outOld, outNow
	case []any:
		old, ok := before.([]any)
		if !ok {
			break
		}
		outOld, outNow := slices.Clone(old), slices.Clone(now)
		for i := range min(len(old), len(now)) {
			outOld[i], outNow[i] = s.texted(at.Index(i), old[i], now[i])
		}
		return outOld, outNow
	case string:
		old, ok := before.(string)
		if ok && old != now && strings.Contains(strings.TrimSpace(old)+strings.TrimSpace(now), "\n") && (!blocked(old) || !blocked(now)) {
			s.texts = append(s.texts, longText{at.String(), old, now})
			const below = "(differs, see below)"
			return below, below
		}
	}
	return before, after
}

// ended are two texts whose last lines end. Where that is all in which they differ, the one that did not says so.
func ended(a, b string) (string, string) {
	x, y := strings.TrimSuffix(a, "\n")+"\n", strings.TrimSuffix(b, "\n")+"\n"
	if x != y || a == b {
		return x, y
	}
	const missing = "(no end of the last line)\n"
	if strings.HasSuffix(a, "\n") {
		return x, y + missing
	}
	return x + missing, y
}

// blocked reports whether YAML writes a text as a block of its lines, or in the one line that it has.
func blocked(s string) bool {
	body, err := yaml.Marshal(map[string]any{"x": s})
	return err != nil || !strings.Contains(s, "\n") || strings.HasPrefix(string(body), "x: |")
}

// plainYAML writes an object that is redacted, and nothing as nothing.
func plainYAML(v any) (string, error) {
	if m, ok := v.(map[string]any); ok && m == nil || v == nil {
		return "", nil
	}
	body, err := yaml.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("writing an object: %w", err)
	}
	return string(body), nil
}

// fields writes a line for each field that differs.
func (r *Reporter) fields(s sides, lines []*regexp.Regexp) (string, error) {
	var b strings.Builder
	for _, f := range s.Fields {
		text, err := r.field(f)
		if err != nil {
			return "", err
		}
		for line := range strings.Lines(withoutLines(text, lines)) {
			line = strings.TrimSuffix(line, "\n")
			colour := map[byte]string{'+': green, '-': red}[line[0]]
			fmt.Fprintf(&b, "    %s\n", r.paintOut(colour, line))
		}
	}
	return b.String(), nil
}

// longestValue is how long a value may be that stands in the line of its path.
const longestValue = 100

// field writes a field that differs: one line, or a few where it is a text of several or something large.
func (r *Reporter) field(f diff.Field) (string, error) {
	tail := ""
	if f.By != "" {
		tail = "   # " + setBy(f)
	}
	old, oldText := f.Before.(string)
	now, nowText := f.After.(string)
	if oldText && nowText && strings.Contains(old+now, "\n") {
		old, now = ended(old, now)
		text, err := udiff.ToUnified("a", "b", old, udiff.Lines(old, now), 1)
		if err != nil {
			return "", err
		}
		_, body, _ := strings.Cut(text, "\n+++ b\n")
		return "~ " + f.Path + ":" + tail + "\n" + below(body), nil
	}
	inline := func(v any) (string, error) {
		if text, ok := v.(string); ok && !strings.Contains(text, "\n") {
			return r.inline(text)
		}
		switch v.(type) {
		case map[string]any, []any, string:
			return string(encode(v)), nil
		}
		return r.inline(v)
	}
	before, err := inline(f.Before)
	if err != nil {
		return "", err
	}
	after, err := inline(f.After)
	if err != nil {
		return "", err
	}
	large := func(v any, text string) (string, error) {
		if len(text) <= longestValue {
			return " " + text + tail + "\n", nil
		}
		body, err := plainYAML(v)
		return tail + "\n" + below(body), err
	}
	switch f.Action {
	case diff.Create:
		rest, err := large(f.After, after)
		return "+ " + f.Path + ":" + rest, err
	case diff.Delete:
		rest, err := large(f.Before, before)
		return "- " + f.Path + ":" + rest, err
	}
	return "~ " + f.Path + ": " + before + " → " + after + tail + "\n", nil
}

// below moves lines to the right.
func below(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		b.WriteString("    " + strings.TrimSuffix(line, "\n") + "\n")
	}
	return b.String()
}

// setBy says who wrote a field that differs, and when.
func setBy(f diff.Field) string {
	verb := "is set by"
	if f.Drift {
		verb = "was changed by"
	}
	out := verb + " " + f.By
	if f.At != "" {
		out += " at " + f.At
	}
	return out
}
