// Package rows reads the table of template expressions that helmfile and otomi are compared by.
package rows

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"

	"github.com/rogpeppe/go-internal/txtar"
)

// Places are where a row is carried out: state files of main/.
var Places = []string{"state.yaml.gotmpl", "base.yaml.gotmpl", "env.yaml.gotmpl", "values.yaml", "inline.yaml", "sub.yaml"}

// Row is a line of the table.
type Row struct {
	Name string
	// Text is the template, and Raw says that it is more than one expression.
	Text string
	Raw  bool
}

// Outcome is what a row gives in a place: a text, or an error.
type Outcome struct {
	Out   string `json:"out,omitempty"`
	Error string `json:"error,omitempty"`
}

// Record is what helmfile makes of a row. Outcome is that of every place that Places does not have.
type Record struct {
	Row string `json:"row"`
	Outcome
	Places map[string]Outcome `json:"places,omitempty"`
}

// In is the outcome in a place.
func (r Record) In(place string) Outcome {
	if o, ok := r.Places[place]; ok {
		return o
	}
	return r.Outcome
}

// Table reads the table in dir.
func Table(dir string) ([]Row, error) {
	text, err := os.ReadFile(filepath.Join(dir, "table.txt"))
	if err != nil {
		return nil, err
	}
	var out []Row
	for line := range strings.Lines(string(text)) {
		line = strings.TrimRight(line, "\n")
		raw, isRaw := strings.CutPrefix(line, "raw: ")
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
		case line == "@names":
			names, err := Names(dir)
			if err != nil {
				return nil, err
			}
			out = append(out, Row{Name: line, Text: "{{ if false }}{{ " + strings.Join(names, " }}{{ ") + " }}{{ end }}"})
		case isRaw:
			out = append(out, Row{Name: line, Text: strings.ReplaceAll(raw, `\n`, "\n"), Raw: true})
		default:
			out = append(out, Row{Name: line, Text: "{{ " + line + " }}"})
		}
	}
	return out, nil
}

// Names are the functions that helmfile has.
func Names(dir string) ([]string, error) {
	text, err := os.ReadFile(filepath.Join(dir, "names.txt"))
	return strings.Fields(string(text)), err
}

// Write puts the files of the row into work.
func (r Row) Write(dir, work string) error {
	archive, err := txtar.ParseFile(filepath.Join(dir, "places.txtar"))
	if err != nil {
		return err
	}
	block := "|-\n          " + strings.ReplaceAll(r.Text, "\n", "\n          ")
	define, out := `{{ define "e" }}`+r.Text+"{{ end -}}\n", `{{ include "e" . | toJson }}`
	if r.Raw {
		define, out = "", block
	}
	for _, f := range archive.Files {
		text := strings.NewReplacer("@DEFINE@", define, "@OUT@", out, "@INLINE@", block).Replace(string(f.Data))
		if err := os.WriteFile(filepath.Join(work, f.Name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// Golden reads what was recorded.
func Golden(dir string) (map[string]Record, error) {
	text, err := os.ReadFile(filepath.Join(dir, "golden.json"))
	if err != nil {
		return nil, err
	}
	var records []Record
	if err := json.Unmarshal(text, &records); err != nil {
		return nil, err
	}
	out := map[string]Record{}
	for _, r := range records {
		out[r.Row] = r
	}
	return out, nil
}
