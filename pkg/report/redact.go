package report

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
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
	plain   bool
	secrets []string
	known   map[string]bool
	// replacer is made of secrets at the first use after a change. No form of a secret is shorter than least bytes: most
	// strings of a manifest are.
	replacer *strings.Replacer
	least    int
}

const hidden = "(secret)"

// controls matches the control sequences of ours, and any other character that a terminal obeys or that turns the
// direction of a line; ours matches the first alone.
var (
	controls = regexp.MustCompile(`\x1b\[[0-9]*[mK]|\r\x1b\[K|[\x00-\x08\x0b-\x1f\x7f-\x{9f}\x{202a}-\x{202e}\x{2066}-\x{2069}]`)
	ours     = regexp.MustCompile(`^(\x1b\[[0-9]*m|\r\x1b\[K)$`)
)

func (w *redactor) hide(secrets []string) {
	for _, s := range secrets {
		if s == "" || w.known[s] {
			continue
		}
		if w.known == nil {
			w.known = map[string]bool{}
		}
		w.known[s] = true
		w.secrets = append(w.secrets, s)
		w.replacer = nil
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

// text replaces secrets in a text.
func (w *redactor) text(s string) string {
	if w.open || len(w.secrets) == 0 {
		return s
	}
	if w.replacer == nil {
		w.replacer, w.least = newReplacer(w.secrets)
	}
	if len(s) < w.least {
		return s
	}
	return w.replacer.Replace(s)
}

// tree replaces secrets in the strings of a plain tree, and says whether there were any. The input stays as it is, and is
// what is returned where there are none.
func (w *redactor) tree(data any) (any, bool) {
	if w.open || len(w.secrets) == 0 {
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
	if w.open || len(w.secrets) == 0 {
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

// newReplacer hides the secrets and the forms that they take in manifests: the longest first, so that a secret that
// contains another one goes as a whole. Least is the length of the shortest form.
func newReplacer(secrets []string) (replacer *strings.Replacer, least int) {
	var all []string
	for _, s := range secrets {
		all = append(all, forms(s)...)
	}
	slices.SortStableFunc(all, func(a, b string) int { return len(b) - len(a) })
	pairs := make([]string, 0, 2*len(all))
	for _, form := range slices.Compact(all) {
		pairs = append(pairs, form, hidden)
	}
	return strings.NewReplacer(pairs...), len(pairs[len(pairs)-2])
}

// leastLine is the shortest line of a longer secret that is hidden by itself, in characters: YAML indents the lines of a
// key, and then only they are found.
const leastLine = 8

// forms are the texts that a secret becomes in manifests and messages.
func forms(s string) []string {
	out := []string{s, strings.ReplaceAll(s, "'", "''")}
	if escaped, err := json.Marshal(s); err == nil {
		plain := encode(s)
		out = append(out, string(escaped[1:len(escaped)-1]), string(plain[1:len(plain)-1]))
	}
	out = append(out, url.QueryEscape(s), url.PathEscape(s))
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		// What Helm makes of a whole number.
		out = append(out, strconv.FormatFloat(float64(n), 'g', -1, 64))
	}
	if lines := strings.Split(s, "\n"); len(lines) > 1 {
		for _, line := range lines {
			if line = strings.TrimSpace(line); len(line) >= leastLine {
				out = append(out, line)
			}
		}
	}
	return append(out, encoded(s)...)
}

// encoded are the base64 forms of a secret: alone, and within a longer text, where it stands at one of three offsets and
// its first and last characters depend on its neighbours.
func encoded(s string) []string {
	out := []string{base64.StdEncoding.EncodeToString([]byte(s)), base64.RawURLEncoding.EncodeToString([]byte(s))}
	for offset := range 3 {
		text := base64.RawStdEncoding.EncodeToString(append(make([]byte, offset), s...))
		first := (offset*8 + 5) / 6
		last := (offset + len(s)) * 8 / 6
		if last-first >= leastLine {
			out = append(out, text[first:last])
		}
	}
	return out
}
