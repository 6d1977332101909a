package report

import (
	"fmt"
	"html"
	"slices"
	"strings"

	"github.com/redkubes/otomi/pkg/diff"
	"github.com/redkubes/otomi/pkg/manifest"
)

// GitHubLength is the length that GitHub allows a comment to have, in characters.
const GitHubLength = 65536

// leastLength is what markdown never goes below: the counts.
const leastLength = 400

// markdown shows plans for a pull request: counts first, then what is dangerous, then each release folded.
func (r *Reporter) markdown(plans []diff.Plan, o PlanOptions) error {
	var d document
	for _, p := range plans {
		where := p.Cluster
		if where == "" {
			where = p.Context
		}
		if err := r.section(&d, where, Summary(p), p, o); err != nil {
			return err
		}
	}
	return r.Product(r.out.text(d.text(o.MaxLength)))
}

// document is markdown whose parts can be made shorter.
type document struct {
	sections []section
}

// section is one cluster, or a block of clusters.
type section struct {
	title, counts string
	risks         []string
	releases      []folder
}

// folder is a release in the forms that it may have, from the longest: the objects with what differs, the objects, its line.
type folder struct {
	forms [3]string
	level int
}

// section adds a plan.
func (r *Reporter) section(d *document, title, counts string, p diff.Plan, o PlanOptions) error {
	s := section{title: title, counts: counts, risks: risks(r, p)}
	for i := range s.risks {
		s.risks[i] = r.out.text(s.risks[i])
	}
	for _, l := range p.Levels {
		for _, release := range l.Releases {
			if release.Action == diff.Same && len(release.Problems()) == 0 {
				continue
			}
			head := fmt.Sprintf("%s %s %s", releaseMark(release.Action).sign, release.Action, release.Key())
			if release.Chart != "" {
				head += " " + release.Chart
			}
			if release.Reason != "" {
				head += ": " + release.Reason
			}
			head = r.out.text(head)
			var f folder
			for i, style := range []Style{o.Style, Brief} {
				of := o
				of.Style = style
				body, err := r.plainReleases(diff.Level{Name: l.Name, Releases: []diff.Release{release}}, of)
				if err != nil {
					return err
				}
				// Hidden before it is measured: what stands for a short secret is longer than it. As code, nothing in the
				// line is a mention of anybody or a link.
				body = r.out.text(body)
				f.forms[i] = fmt.Sprintf("<details><summary><code>%s</code></summary>\n\n%s\n</details>\n\n", html.EscapeString(oneLine(head)), fenced(body))
			}
			f.forms[2] = "- " + code(head) + "\n"
			s.releases = append(s.releases, f)
		}
	}
	d.sections = append(d.sections, s)
	return nil
}

// plainReleases is the text of a level without its first two lines and without colours.
func (r *Reporter) plainReleases(level diff.Level, o PlanOptions) (string, error) {
	plain := &Reporter{out: r.out, err: r.err}
	body, err := plain.planned(level, o)
	_, body, _ = strings.Cut(body, "\n")
	_, body, _ = strings.Cut(body, "\n")
	return body, err
}

// text is the document in at most most bytes, if the counts fit into that.
func (d *document) text(most int) string {
	if most == 0 {
		most = GitHubLength
	}
	size := func() int { return len(d.join(-1)) }
	for total := size(); total > most; {
		// The longest release loses detail first.
		var longest *folder
		for i := range d.sections {
			for j := range d.sections[i].releases {
				f := &d.sections[i].releases[j]
				if f.level < 2 && (longest == nil || len(f.forms[f.level]) > len(longest.forms[longest.level])) {
					longest = f
				}
			}
		}
		if longest == nil {
			break
		}
		total -= len(longest.forms[longest.level])
		longest.level++
		total += len(longest.forms[longest.level])
	}
	if out := d.join(-1); len(out) <= most {
		return out
	}
	// Fewer lines of everything, down to the counts alone.
	low, high := 0, d.lines()
	for low < high {
		middle := (low + high + 1) / 2
		if len(d.join(middle)) <= most {
			low = middle
		} else {
			high = middle - 1
		}
	}
	out := d.join(low)
	if len(out) <= most {
		return out
	}
	// Even the counts of all clusters are too long.
	const more = "\n…\n"
	if cut := max(most, leastLength) - len(more); cut < len(out) {
		out = strings.ToValidUTF8(out[:cut], "")
		out = out[:strings.LastIndex(out, "\n")+1] + more
	}
	return out
}

func (d *document) lines() int {
	n := 0
	for _, s := range d.sections {
		n = max(n, len(s.risks)+len(s.releases))
	}
	return n
}

// join writes the document with at most lines risks and releases a section; -1 is all of them.
func (d *document) join(lines int) string {
	var b strings.Builder
	for _, s := range d.sections {
		if s.title != "" {
			fmt.Fprintf(&b, "### %s\n\n", code(s.title))
		}
		fmt.Fprintf(&b, "%s\n\n", escaped(s.counts))
		take := func(n int) int {
			if lines < 0 {
				return n
			}
			return min(n, lines)
		}
		if n := take(len(s.risks)); n > 0 {
			b.WriteString("**Look at these first**\n\n")
			for _, risk := range s.risks[:n] {
				b.WriteString("- " + risk + "\n")
			}
			if left := len(s.risks) - n; left > 0 {
				fmt.Fprintf(&b, "- and %d more\n", left)
			}
			b.WriteByte('\n')
		}
		left := len(s.risks)
		if lines >= 0 {
			lines := max(0, lines-left)
			n := min(len(s.releases), lines)
			for _, f := range s.releases[:n] {
				b.WriteString(f.forms[f.level])
			}
			if rest := len(s.releases) - n; rest > 0 {
				fmt.Fprintf(&b, "\n%s not shown: the text would be too long.\n\n", Plural(rest, "release"))
			}
			continue
		}
		cut := false
		for i, f := range s.releases {
			if f.level == 2 && i > 0 && s.releases[i-1].level < 2 {
				b.WriteByte('\n')
			}
			b.WriteString(f.forms[f.level])
			cut = cut || f.level > 0
		}
		if cut {
			b.WriteString("\nDetails are left out where the text would be too long.\n")
		}
		b.WriteByte('\n')
	}
	return strings.TrimRight(b.String(), "\n") + "\n"
}

// risks are what of a plan deserves a look first, the worst first.
func risks(r *Reporter, p diff.Plan) []string {
	var stuck, gone, replaced, definitions, rights, images []string
	for _, l := range p.Levels {
		for _, release := range l.Releases {
			in := " of release " + code(release.Key())
			for _, problem := range release.Problems() {
				stuck = append(stuck, "can't be applied: "+code(r.out.text(problem))+in)
			}
			if release.Action == diff.Uninstall {
				gone = append(gone, "uninstalls release "+code(release.Key()))
			}
			for _, c := range release.Objects {
				what := code(c.ID.String()) + in
				switch c.Action {
				case diff.Unchanged:
					continue
				case diff.Delete:
					gone = append(gone, "deletes "+what)
				case diff.Replace:
					replaced = append(replaced, "deletes and makes anew "+what)
				}
				switch {
				case diff.IsDefinition(c.ID):
					definitions = append(definitions, fmt.Sprintf("custom resource definition (%s): %s", c.Action, what))
				case c.Group == "rbac.authorization.k8s.io":
					rights = append(rights, fmt.Sprintf("rights (%s): %s", c.Action, what))
				}
				if c.Before == nil || c.After == nil {
					continue
				}
				was := diff.Images([]manifest.Object{{ID: c.ID, Data: c.Before}})
				is := diff.Images([]manifest.Object{{ID: c.ID, Data: c.After}})
				if slices.Equal(was, is) {
					continue
				}
				old := slices.DeleteFunc(was, func(s string) bool { return slices.Contains(is, s) })
				now := slices.DeleteFunc(is, func(s string) bool {
					return slices.Contains(diff.Images([]manifest.Object{{ID: c.ID, Data: c.Before}}), s)
				})
				images = append(images, fmt.Sprintf("images of %s: %s → %s", what, code(dash(strings.Join(old, ", "))), code(dash(strings.Join(now, ", ")))))
			}
		}
	}
	return slices.Concat(stuck, gone, replaced, definitions, rights, images)
}

// fenced is a text in a fence that it does not have itself.
func fenced(text string) string {
	fence := strings.Repeat("`", max(3, backticks(text)+1))
	if !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	return fence + "diff\n" + text + fence + "\n"
}

// backticks is how many stand side by side in a text at most.
func backticks(text string) int {
	most, n := 0, 0
	for _, c := range text {
		if c != '`' {
			n = 0
			continue
		}
		n++
		most = max(most, n)
	}
	return most
}

// code is a text as code within a line: nothing in it is markdown.
func code(text string) string {
	text = oneLine(text)
	fence := strings.Repeat("`", backticks(text)+1)
	if strings.HasPrefix(text, "`") || strings.HasSuffix(text, "`") {
		text = " " + text + " "
	}
	return fence + text + fence
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

// escaped is a text in which nothing is markdown or HTML.
func escaped(text string) string {
	var b strings.Builder
	for _, c := range oneLine(text) {
		if strings.ContainsRune("\\`*_[]<>&|#~@!", c) {
			b.WriteByte('\\')
		}
		b.WriteRune(c)
	}
	return b.String()
}
