package report

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// redactor replaces secrets in what is written through it. A secret is found within one Write; the reporter writes whole
// lines and whole documents.
//
// Text is the last line of defence: an encoder may fold or escape a secret so that no form of it is found. What has
// structure is therefore redacted before it is encoded: see tree and document.
type redactor struct {
	to   io.Writer
	open bool
	// plain keeps the control characters of input from the terminal: only the colours and the progress line of our own
	// pass.
	plain bool
	// mu guards what follows: programs are told of errors while others are shown.
	mu      sync.Mutex
	secrets []string
	known   map[string]bool
	// The others are made of secrets at the first use after a change: what finds whole secrets, what finds them where lines are
	// wrapped, indented or marked, and what finds single lines of them.
	whole *strings.Replacer
	woven weave
	lines *strings.Replacer
	// No form of a secret is shorter than least bytes: most strings of a manifest are.
	least int
}

const hidden = "(secret)"

// controls matches the control sequences of ours, and any other character that a terminal obeys or that turns the
// direction of a line; ours matches the first alone.
var (
	controls = regexp.MustCompile(`\x1b\[[0-9]*[mK]|\r\x1b\[K|[\x00-\x08\x0b-\x1f\x7f-\x{9f}\x{202a}-\x{202e}\x{2066}-\x{2069}]`)
	ours     = regexp.MustCompile(`^(\x1b\[[0-9]*m|\r\x1b\[K)$`)
)

func (w *redactor) hide(secrets []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range secrets {
		if s == "" || w.known[s] {
			continue
		}
		if w.known == nil {
			w.known = map[string]bool{}
		}
		w.known[s] = true
		w.secrets = append(w.secrets, s)
		w.whole = nil
	}
}

func (w *redactor) Write(p []byte) (int, error) {
	text := w.text(string(p))
	if w.plain {
		text = controls.ReplaceAllStringFunc(text, func(s string) string {
			if ours.MatchString(s) {
				return s
			}
			return "?"
		})
	}
	if _, err := io.WriteString(w.to, text); err != nil {
		return 0, err
	}
	return len(p), nil
}

// idle reports that there is nothing to hide.
func (w *redactor) idle() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.open || len(w.secrets) == 0
}

// text replaces secrets in a text.
func (w *redactor) text(s string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.open || len(w.secrets) == 0 {
		return s
	}
	if w.whole == nil {
		w.whole, w.least = newReplacer(w.secrets, forms)
		w.lines, _ = newReplacer(w.secrets, longLines)
		w.woven = newWeave(w.secrets)
	}
	if len(s) < w.least {
		return s
	}
	return w.lines.Replace(w.woven.replace(w.whole.Replace(s)))
}

// tree replaces secrets in the strings of a plain tree, and says whether there were any. The input stays as it is, and is
// what is returned where there are none.
func (w *redactor) tree(data any) (any, bool) {
	if w.idle() {
		return data, false
	}
	switch data := data.(type) {
	case string:
		out := w.text(data)
		return out, out != data
	case map[string]any:
		var out map[string]any
		for key, v := range data {
			redacted, hit := w.tree(v)
			name := w.text(key)
			if !hit && name == key {
				continue
			}
			if out == nil {
				out = maps.Clone(data)
			}
			if name != key {
				delete(out, key)
			}
			out[name] = redacted
		}
		if out != nil {
			return out, true
		}
	case []any:
		var out []any
		for i, v := range data {
			redacted, hit := w.tree(v)
			if !hit {
				continue
			}
			if out == nil {
				out = slices.Clone(data)
			}
			out[i] = redacted
		}
		if out != nil {
			return out, true
		}
	}
	return data, false
}

// document replaces secrets in the strings of an encoded JSON document. What is between them stays, byte for byte.
func (w *redactor) document(body []byte) []byte {
	if w.idle() {
		return body
	}
	var out bytes.Buffer
	for len(body) > 0 {
		start := bytes.IndexByte(body, '"')
		if start < 0 {
			break
		}
		end := start + 1
		for body[end] != '"' {
			if body[end] == '\\' {
				end++
			}
			end++
		}
		literal := body[start : end+1]
		out.Write(body[:start])
		var s string
		if err := json.Unmarshal(literal, &s); err == nil && w.text(s) != s {
			literal = encode(w.text(s))
		}
		out.Write(literal)
		body = body[end+1:]
	}
	out.Write(body)
	return out.Bytes()
}

// encode writes a value as JSON without escaping what only HTML minds.
func encode(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic("report: a string is always JSON: " + err.Error())
	}
	return bytes.TrimRight(b.Bytes(), "\n")
}

// newReplacer hides the forms that secrets take in manifests: the longest first, so that a secret that contains another one
// goes as a whole. Least is the length of the shortest form.
func newReplacer(secrets []string, forms func(string) []string) (replacer *strings.Replacer, least int) {
	var all []string
	for _, s := range secrets {
		all = append(all, forms(s)...)
	}
	slices.SortFunc(all, func(a, b string) int { return cmp.Or(len(b)-len(a), strings.Compare(a, b)) })
	all = slices.Compact(all)
	pairs := make([]string, 0, 2*len(all))
	for _, form := range all {
		pairs = append(pairs, form, hidden)
	}
	if len(all) > 0 {
		least = len(all[len(all)-1])
	}
	return strings.NewReplacer(pairs...), least
}

// leastLine is the shortest line of a longer secret that is hidden by itself, in characters: YAML indents the lines of a
// key, and then only they are found. No encoded form is shorter, either.
const leastLine = 8

// forms are the texts that a secret becomes in manifests and messages.
func forms(s string) []string {
	out := written(s)
	for _, text := range out {
		out = append(out, url.QueryEscape(text), url.PathEscape(text))
		out = append(out, encoded(text)...)
	}
	if len(s) >= leastLine {
		digits := hex.EncodeToString([]byte(s))
		out = append(out, digits, strings.ToUpper(digits))
	}
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		// What Helm makes of a whole number.
		out = append(out, strconv.FormatFloat(float64(n), 'g', -1, 64))
	}
	return out
}

// longLines are the lines of a secret of several, but for the short ones.
func longLines(s string) []string {
	lines := strings.Split(s, "\n")
	if len(lines) < 2 {
		return nil
	}
	var out []string
	for _, line := range lines {
		if line = strings.TrimSpace(line); len(line) >= leastLine {
			out = append(out, line)
		}
	}
	return out
}

// written are a secret as it is and as it stands between quotes: those of YAML, JSON (also within a text that is quoted once
// more), HTML and Go.
func written(s string) []string {
	out := []string{s}
	add := func(text string) {
		if !slices.Contains(out, text) {
			out = append(out, text)
		}
	}
	add(strings.ReplaceAll(s, "'", "''"))
	if escaped, err := json.Marshal(s); err == nil {
		add(inside(escaped))
		plain := inside(encode(s))
		add(plain)
		add(inside(encode(plain)))
		add(astral.ReplaceAllStringFunc(plain, func(c string) string { return fmt.Sprintf(`\U%08X`, []rune(c)[0]) }))
	}
	add(html.EscapeString(s))
	add(inside([]byte(strconv.Quote(s))))
	add(inside([]byte(strconv.QuoteToASCII(s))))
	return out
}

// astral matches the characters that YAML writers escape beside those that JSON does.
var astral = regexp.MustCompile(`[\x{10000}-\x{10ffff}]`)

// inside is a quoted text without its quotes.
func inside(quoted []byte) string { return string(quoted[1 : len(quoted)-1]) }

// encoded are the base64 forms of a text: alone, and within a longer one, where it stands at one of three offsets and its
// first and last characters depend on its neighbours; and base64 of those, which is what a registry's password is in a Secret.
func encoded(s string) []string {
	out := []string{base64.StdEncoding.EncodeToString([]byte(s)), base64.RawURLEncoding.EncodeToString([]byte(s))}
	for _, once := range shifted(base64.RawStdEncoding, s) {
		out = append(append(out, once), shifted(base64.RawStdEncoding, once)...)
	}
	return append(out, shifted(base64.RawURLEncoding, s)...)
}

// shifted are what does not depend on its neighbours of a text that is encoded within a longer one.
func shifted(encoding *base64.Encoding, s string) []string {
	var out []string
	for offset := range 3 {
		text := encoding.EncodeToString(append(make([]byte, offset), s...))
		first := (offset*8 + 5) / 6
		last := (offset + len(s)) * 8 / 6
		if last-first >= leastLine {
			out = append(out, text[first:last])
		}
	}
	return out
}
