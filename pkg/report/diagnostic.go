package report

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/redkubes/otomi/pkg/diag"
)

// Diagnostics shows what is wrong with the user's input, sorted and each once, with the lines of the files concerned.
// It writes to the talk's side and ends in a count.
func (r *Reporter) Diagnostics(ds diag.Diagnostics, sources diag.Sources) {
	ds = ds.Sorted()
	if len(ds) == 0 {
		return
	}
	for i, d := range ds {
		if i > 0 {
			r.Talk("")
		}
		r.diagnostic(d, sources)
	}
	errors, warnings := ds.Count()
	var counts []string
	if errors > 0 {
		counts = append(counts, plural(errors, "error"))
	}
	if warnings > 0 {
		counts = append(counts, plural(warnings, "warning"))
	}
	r.Talk("\n%s", strings.Join(counts, ", "))
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
	detail := d.Detail
	if d.Path != "" {
		detail = d.Path + ": " + detail
	}
	r.Talk("  %s", strings.ReplaceAll(strings.TrimRight(detail, "\n"), "\n", "\n  "))
	for _, note := range d.Notes {
		if note.Range.IsZero() {
			r.Talk("  %s", note.Message)
			continue
		}
		r.Talk("  %s: %s", note.Message, note.Range)
	}
}

// snippet shows the line of a range, the one before it, and a mark below.
func (r *Reporter) snippet(at diag.Range, text []byte, colour string) {
	if len(text) == 0 || at.Start.Line == 0 {
		return
	}
	lines := strings.Split(string(text), "\n")
	if at.Start.Line > len(lines) {
		return
	}
	width := len(fmt.Sprint(at.Start.Line))
	first := max(1, at.Start.Line-1)
	if strings.TrimSpace(lines[first-1]) == "" {
		first = at.Start.Line
	}
	for n := first; n <= at.Start.Line; n++ {
		r.Talk("    %*d | %s", width, n, clip(strings.TrimRight(lines[n-1], "\r")))
	}
	if at.Start.Column == 0 {
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
