// Package diag says what is wrong with the user's input, and where.
//
// A diagnostic is a value: it carries a severity, a stable code, the place and a sentence that ends in what to do. It is
// not an error (the world failing is an error) and it does not print itself: package report shows it to people and
// machines. The package reads no files and knows no YAML.
package diag

import (
	"cmp"
	"fmt"
	"slices"
)

// Severity says whether a diagnostic stops the command.
type Severity string

const (
	// Error stops the command: exit code 1.
	Error Severity = "error"
	// Warning does not.
	Warning Severity = "warning"
)

// Pos is a place in a file: line and column count from 1, the column in characters (not bytes). The zero Pos is no place.
type Pos struct {
	Line   int `json:"line"`
	Column int `json:"column"`
}

// Before reports whether p stands before q.
func (p Pos) Before(q Pos) bool {
	return p.Line < q.Line || p.Line == q.Line && p.Column < q.Column
}

// Range is a stretch of a file. File is the name shown to the user, and the key of the file's text in Sources. End is
// the place after the last character; the zero End means that only the start is known.
type Range struct {
	File  string `json:"file"`
	Start Pos    `json:"start"`
	End   Pos    `json:"end,omitzero"`
}

// IsZero reports whether r names no place at all.
func (r Range) IsZero() bool { return r == Range{} }

// String is "file:line:column", as editors and terminals make links of it.
func (r Range) String() string {
	if r.Start == (Pos{}) {
		return r.File
	}
	return fmt.Sprintf("%s:%d:%d", r.File, r.Start.Line, r.Start.Column)
}

// Note adds another place to a diagnostic: what is overridden, where the schema asks.
type Note struct {
	Message string `json:"message"`
	Range   Range  `json:"range,omitzero"`
}

// Diagnostic is one problem in the user's input.
type Diagnostic struct {
	Severity Severity `json:"severity"`
	Code     Code     `json:"code"`
	// Detail names the thing, says why it is a problem, and ends in what to do.
	Detail string `json:"detail"`
	// Path is the place in the merged values, in the grammar of Helm's --set; empty where none is meant.
	Path string `json:"path,omitempty"`
	// Range is the place to change. It may be zero where the problem has none (a flag).
	Range Range  `json:"range,omitzero"`
	Notes []Note `json:"notes,omitempty"`
	// Clusters are those that the problem was found in, in the order they were checked; empty where it is none of a cluster.
	Clusters []string `json:"clusters,omitempty"`
	// Secret marks a diagnostic about a secret value: its source line is never shown.
	Secret bool `json:"-"`
}

// Diagnostics are the problems of one run.
type Diagnostics []Diagnostic

// HasErrors reports whether any of them stops the command.
func (ds Diagnostics) HasErrors() bool {
	return slices.ContainsFunc(ds, func(d Diagnostic) bool { return d.Severity == Error })
}

// Count returns how many are errors and how many are warnings.
func (ds Diagnostics) Count() (errors, warnings int) {
	for _, d := range ds {
		if d.Severity == Error {
			errors++
		} else {
			warnings++
		}
	}
	return errors, warnings
}

// Sorted returns the diagnostics by file, line, column and code, each once: two clusters that share a layer report its
// mistakes a single time.
func (ds Diagnostics) Sorted() Diagnostics {
	out := slices.Clone(ds)
	slices.SortStableFunc(out, func(a, b Diagnostic) int {
		return cmp.Or(
			cmp.Compare(a.Range.File, b.Range.File),
			cmp.Compare(a.Range.Start.Line, b.Range.Start.Line),
			cmp.Compare(a.Range.Start.Column, b.Range.Start.Column),
			cmp.Compare(a.Code, b.Code),
			cmp.Compare(a.Path, b.Path),
			cmp.Compare(a.Detail, b.Detail),
		)
	})
	return slices.CompactFunc(out, func(a, b Diagnostic) bool {
		return a.Range == b.Range && a.Code == b.Code && a.Path == b.Path && a.Detail == b.Detail
	})
}

// Concealed stands in Sources for a line that is not shown since it may hold a secret.
const Concealed = "(not shown: it may hold a secret)"

// Sources holds the text of files by the name that ranges use, so that a diagnostic can be shown with its lines.
type Sources map[string][]byte
