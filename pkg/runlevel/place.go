package runlevel

import (
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/redkubes/otomi/pkg/diag"
)

// carriedOut is what the name of a text ends in that a template gave.
const carriedOut = " (rendered)"

// aligned finds the lines of templates that lines of what they gave come from. A template does not tell; lines that are equal, or
// equal but for what actions gave, do, where only one can be meant.
type aligned struct {
	source, rendered []string
	// equal are the numbers of the lines of each text, from 0.
	inSource, inRendered map[string][]int
	// patterns are the lines of the source that have actions.
	patterns []pattern
}

type pattern struct {
	line int
	re   *regexp.Regexp
}

// action is an action of a template within one line. Braces in its texts do not end it.
var action = regexp.MustCompile("\\{\\{(?:\"(?:\\\\.|[^\"\\\\])*\"|`[^`]*`|[^`\"])*?\\}\\}")

// maxAligned bounds the texts that are aligned, in lines.
const maxAligned = 20_000

func align(source, rendered []byte) *aligned {
	a := &aligned{source: strings.Split(string(source), "\n"), rendered: strings.Split(string(rendered), "\n")}
	if len(a.source) > maxAligned || len(a.rendered) > maxAligned {
		return &aligned{}
	}
	count := func(lines []string) map[string][]int {
		out := map[string][]int{}
		for i, line := range lines {
			out[line] = append(out[line], i)
		}
		return out
	}
	a.inSource, a.inRendered = count(a.source), count(a.rendered)
	for i, line := range a.source {
		at := action.FindAllStringIndex(line, -1)
		if at == nil {
			continue
		}
		var b strings.Builder
		b.WriteString("^")
		last, literal := 0, 0
		for _, m := range at {
			b.WriteString(regexp.QuoteMeta(line[last:m[0]]) + ".*")
			literal += len(strings.TrimSpace(line[last:m[0]]))
			last = m[1]
		}
		b.WriteString(regexp.QuoteMeta(line[last:]) + "$")
		if literal+len(strings.TrimSpace(line[last:])) == 0 {
			continue // it could be any line
		}
		if re, err := regexp.Compile(b.String()); err == nil {
			a.patterns = append(a.patterns, pattern{i, re})
		}
	}
	return a
}

// line returns the line of the source that a line of the rendered text comes from, both counted from 1, and whether both are equal.
func (a *aligned) line(n int) (line int, equal, ok bool) {
	if n < 1 || n > len(a.rendered) {
		return 0, false, false
	}
	text := a.rendered[n-1]
	here, there := a.inSource[text], a.inRendered[text]
	switch {
	case strings.TrimSpace(text) == "":
		return 0, false, false
	case len(here) == 1:
		return here[0] + 1, true, true
	case len(here) == len(there) && len(here) > 0:
		return here[slices.Index(there, n-1)] + 1, true, true
	case len(here) > 0:
		return 0, false, false
	}
	for _, p := range a.patterns {
		if !p.re.MatchString(text) {
			continue
		}
		if ok {
			return 0, false, false
		}
		line, ok = p.line+1, true
	}
	return line, false, ok
}

// placer finds places in templates.
type placer struct {
	sources diag.Sources
	made    map[string]*aligned
}

// place returns the place in the source that a place in a rendered text comes from, and whether both lines are equal. A place that is
// not known stays.
func (p *placer) place(at diag.Range) (diag.Range, bool) {
	file, ok := strings.CutSuffix(at.File, carriedOut)
	if !ok || p.sources[file] == nil || p.sources[at.File] == nil {
		return at, true
	}
	a, ok := p.made[file]
	if !ok {
		a = align(p.sources[file], p.sources[at.File])
		if p.made == nil {
			p.made = map[string]*aligned{}
		}
		p.made[file] = a
	}
	line, equal, ok := a.line(at.Start.Line)
	if !ok {
		return at, true
	}
	out := diag.Range{File: file, Start: diag.Pos{Line: line, Column: at.Start.Column}}
	if equal {
		if at.End.Line == at.Start.Line {
			out.End = diag.Pos{Line: line, Column: at.End.Column}
		}
		return out, true
	}
	// As far as both lines are equal the place is the same; behind that it is that of the action.
	same := 0
	for _, c := range a.source[line-1] {
		if rest := []rune(a.rendered[at.Start.Line-1]); same >= len(rest) || rest[same] != c {
			break
		}
		same++
	}
	if at.Start.Column > same+1 {
		out.Start.Column = same + 1
		first := action.FindStringIndex(a.source[line-1])
		if first != nil && utf8.RuneCountInString(a.source[line-1][:first[0]]) <= same {
			out.Start.Column = utf8.RuneCountInString(a.source[line-1][:first[0]]) + 1
			out.End = diag.Pos{Line: line, Column: utf8.RuneCountInString(a.source[line-1][:first[1]]) + 1}
		}
	}
	return out, false
}

// placed gives diagnostics about rendered texts the place in the template that they come from, and the rendered line as a note where
// the two differ.
func (p *placer) placed(ds diag.Diagnostics) diag.Diagnostics {
	for i := range ds {
		d := &ds[i]
		at, equal := p.place(d.Range)
		if !equal {
			d.Notes = append(slices.Clone(d.Notes), diag.Note{Message: "carried out, it is this", Range: d.Range})
		}
		notes := slices.Clone(d.Notes)
		for j := range notes {
			if notes[j].Message != "carried out, it is this" {
				notes[j].Range, _ = p.place(notes[j].Range)
			}
		}
		d.Range, d.Notes = at, notes
	}
	return ds
}
