// Package report is the voice: it alone prints, to people and to machines.
//
// It is handed values of the stages and shows them; it computes nothing that another room could want. Products go to the
// one writer, talk to the other, and a redactor stands before both.
package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// FormatVersion is the version of every JSON document that otomi prints.
const FormatVersion = 1

// Options say where the voice goes. The zero value prints nowhere.
type Options struct {
	// Out takes the product: YAML, JSON, a diff.
	Out io.Writer
	// Err takes the talk: diagnostics, progress, summaries.
	Err io.Writer
	// ColourOut and ColourErr paint the words that a reader looks for first.
	ColourOut, ColourErr bool
	// Progress says that the talk's side is a terminal that shows how far a long run is.
	Progress bool
}

// Reporter shows results. Its methods are called from one goroutine.
type Reporter struct {
	out *redactor
	err *redactor
	// Whether the sides are painted.
	colourOut, colourErr bool
	// progress says that progress is shown; passing is the line of it that stands on the terminal.
	progress bool
	passing  string
}

// New returns a reporter.
func New(o Options) *Reporter {
	if o.Out == nil {
		o.Out = io.Discard
	}
	if o.Err == nil {
		o.Err = io.Discard
	}
	return &Reporter{
		out: &redactor{to: o.Out}, err: &redactor{to: o.Err, plain: true},
		colourOut: o.ColourOut, colourErr: o.ColourErr, progress: o.Progress,
	}
}

// Hide makes the given strings, and their base64 forms, unprintable: they show as (secret) from now on.
func (r *Reporter) Hide(secrets []string) {
	r.out.hide(secrets)
	r.err.hide(secrets)
}

// Reveal lets secrets through on the product's side, because the user asked for it. Talk stays redacted.
func (r *Reporter) Reveal() { r.out.open = true }

// Product writes text to the product's side as it is.
func (r *Reporter) Product(text string) error {
	_, err := io.WriteString(r.out, text)
	return err
}

// Talk writes one line to the talk's side.
func (r *Reporter) Talk(format string, args ...any) {
	fmt.Fprintf(r.err, format+"\n", args...)
}

// Ask writes a question to the talk's side and leaves the cursor behind it.
func (r *Reporter) Ask(format string, args ...any) { fmt.Fprintf(r.err, format, args...) }

// Failure shows an error of the world.
func (r *Reporter) Failure(err error) {
	r.Talk("%s %s", r.paint(red, "error:"), err)
}

// JSON writes a document to the product's side, indented. Secrets are replaced within its strings, so that it stays JSON.
func (r *Reporter) JSON(document any) error {
	body, err := r.document(r.out, document)
	if err != nil {
		return err
	}
	var indented bytes.Buffer
	if err := json.Indent(&indented, body, "", "  "); err != nil {
		return fmt.Errorf("encoding the result: %w", err)
	}
	indented.WriteByte('\n')
	_, err = r.out.to.Write(indented.Bytes())
	return err
}

// document encodes a value as JSON without the secrets that side may not show.
func (r *Reporter) document(side *redactor, value any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(value); err != nil {
		return nil, fmt.Errorf("encoding the result: %w", err)
	}
	return side.document(bytes.TrimRight(b.Bytes(), "\n")), nil
}

// The colours, as SGR parameters.
const (
	red    = "31"
	green  = "32"
	yellow = "33"
	cyan   = "36"
	bold   = "1"
	dim    = "2"
)

// paint colours a text of the talk's side, paintOut one of the product's.
func (r *Reporter) paint(sgr, text string) string    { return painted(r.colourErr, sgr, text) }
func (r *Reporter) paintOut(sgr, text string) string { return painted(r.colourOut, sgr, text) }

func painted(colour bool, sgr, text string) string {
	if !colour || text == "" {
		return text
	}
	return "\x1b[" + sgr + "m" + text + "\x1b[0m"
}

// Plural writes a count with its noun: "1 release", "2 releases".
func Plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	if stem, ok := strings.CutSuffix(noun, "y"); ok {
		return fmt.Sprintf("%d %sies", n, stem)
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
