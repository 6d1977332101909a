package report

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/redkubes/otomi/pkg/diag"
)

// Diagnostics shows what is wrong with the user's input, sorted and each once, with the lines of the files concerned.
// It writes to the talk's side and ends in a count.
func (r *Reporter) Diagnostics(ds diag.Diagnostics, sources diag.Sources) {
	r.diagnostics(ds, sources, 0)
}

// maxShown is how many diagnostics are shown to a person; the others are counted.
const maxShown = 1000

// diagnostics shows diagnostics of a run over so many clusters.
func (r *Reporter) diagnostics(ds diag.Diagnostics, sources diag.Sources, clusters int) {
	ds = ds.Sorted()
	if len(ds) == 0 {
		return
	}
	shown := ds
	if len(ds) > maxShown {
		// What fails the command is not hidden behind what does not.
		shown = slices.Clone(ds)
		slices.SortStableFunc(shown, func(a, b diag.Diagnostic) int { return severityRank(a) - severityRank(b) })
		shown = shown[:maxShown].Sorted()
	}
	for i, d := range shown {
		if i > 0 {
			r.Talk("")
		}
		r.diagnostic(d, sources)
		if len(d.Clusters) > 0 && len(d.Clusters) < clusters {
			r.Talk("  in %s", someOf(d.Clusters))
		}
	}
	if more := len(ds) - len(shown); more > 0 {
		r.Talk("\nand %s more", thousands(more))
	}
	errors, warnings := ds.Count()
	var counts []string
	if errors > 0 {
		counts = append(counts, Plural(errors, "error"))
	}
	if warnings > 0 {
		counts = append(counts, Plural(warnings, "warning"))
	}
	r.Talk("\n%s", strings.Join(counts, ", "))
}

func severityRank(d diag.Diagnostic) int {
	if d.Severity == diag.Error {
		return 0
	}
	return 1
}

// someOf names the first two of a list, and how many more there are.
func someOf(names []string) string {
	const named = 2
	if len(names) > named+1 {
		return strings.Join(names[:named], ", ") + " and " + thousands(len(names)-named) + " more"
	}
	if len(names) == 1 {
		return names[0]
	}
	return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}

// thousands writes a count with commas: 4,213.
func thousands(n int) string {
	text := strconv.Itoa(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// DiagnosticsDocument is the JSON form of diagnostics.
type DiagnosticsDocument struct {
	FormatVersion int              `json:"formatVersion"`
	Diagnostics   []DiagnosticJSON `json:"diagnostics"`
}

// DiagnosticJSON is one diagnostic with its fixed summary.
type DiagnosticJSON struct {
	Summary string `json:"summary"`
	diag.Diagnostic
}

// DiagnosticsJSON prints the diagnostics as a document on the product's side; no diagnostics give an empty list.
func (r *Reporter) DiagnosticsJSON(ds diag.Diagnostics) error {
	doc := DiagnosticsDocument{FormatVersion: FormatVersion, Diagnostics: []DiagnosticJSON{}}
	for _, d := range ds.Sorted() {
		doc.Diagnostics = append(doc.Diagnostics, DiagnosticJSON{Summary: d.Code.Summary(), Diagnostic: d})
	}
	return r.JSON(doc)
}

func (r *Reporter) diagnostic(d diag.Diagnostic, sources diag.Sources) {
	const codeColumn = 62
	colour := red
	if d.Severity == diag.Warning {
		colour = yellow
	}
	severity, summary := string(d.Severity)+":", d.Code.Summary()
	pad := max(2, codeColumn-len(severity)-1-utf8.RuneCountInString(summary))
	r.Talk("%s %s%s%s", r.paint(colour, severity), r.paint(bold, summary), strings.Repeat(" ", pad), r.paint(dim, string(d.Code)))
	if !d.Range.IsZero() {
		r.Talk("  %s", r.paint(cyan, d.Range.String()))
	}
	if !d.Secret {
		r.snippet(d.Range, sources[d.Range.File], colour)
	}
	r.Talk("  %s", strings.ReplaceAll(sentence(d), "\n", "\n  "))
	for _, note := range d.Notes {
		if note.Range.IsZero() {
			r.Talk("  %s", note.Message)
			continue
		}
		r.Talk("  %s: %s", note.Message, note.Range)
		if strings.Contains(note.Range.File, " (rendered for ") && !d.Secret {
			r.snippet(note.Range, sources[note.Range.File], dim)
		}
	}
}

// sentence is the path of a diagnostic and its detail.
func sentence(d diag.Diagnostic) string {
	detail := strings.TrimRight(d.Detail, "\n")
	if d.Path != "" {
		return strings.Map(visible, d.Path) + ": " + detail
	}
	return detail
}

// snippet shows the line of a range, the one before it, and a mark below. Of a text that is rendered, which stands in no
// file that could be opened, it shows more lines around.
func (r *Reporter) snippet(at diag.Range, text []byte, colour string) {
	if len(text) == 0 || at.Start.Line == 0 {
		return
	}
	lines := strings.Split(string(text), "\n")
	if at.Start.Line > len(lines) {
		return
	}
	first, last := at.Start.Line-1, at.Start.Line
	if strings.Contains(at.File, " (rendered") {
		first, last = at.Start.Line-3, min(at.Start.Line+2, len(lines))
	}
	first = max(1, first)
	for first < at.Start.Line && strings.TrimSpace(lines[first-1]) == "" {
		first++
	}
	for last > at.Start.Line && strings.TrimSpace(lines[last-1]) == "" {
		last--
	}
	width := len(fmt.Sprint(last))
	show := func(n int) { r.Talk("    %*d | %s", width, n, clip(strings.TrimRight(lines[n-1], "\r"))) }
	for n := first; n <= at.Start.Line; n++ {
		show(n)
	}
	defer func() {
		for n := at.Start.Line + 1; n <= last; n++ {
			show(n)
		}
	}()
	if at.Start.Column == 0 || strings.HasSuffix(lines[at.Start.Line-1], diag.Concealed) {
		return
	}
	line := []rune(strings.TrimRight(lines[at.Start.Line-1], "\r"))
	length := 1
	switch {
	case at.End.Line == at.Start.Line && at.End.Column > at.Start.Column:
		length = at.End.Column - at.Start.Column
	case at.End.Line > at.Start.Line:
		length = len(line) - at.Start.Column + 1
	}
	start := min(at.Start.Column-1, len(line))
	length = max(1, min(length, len(line)-start))
	if start+length > clipAt {
		return
	}
	indent := strings.Map(func(c rune) rune {
		if c == '\t' {
			return '\t'
		}
		return ' '
	}, string(line[:start]))
	r.Talk("    %s | %s%s", strings.Repeat(" ", width), indent, r.paint(colour, strings.Repeat("^", length)))
}

// clipAt is the width, in characters, past which a source line is cut: a certificate in one line helps nobody.
const clipAt = 160

func clip(line string) string {
	if utf8.RuneCountInString(line) <= clipAt {
		return line
	}
	return string([]rune(line)[:clipAt]) + "…"
}
