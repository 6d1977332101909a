package report

import (
	"encoding/base64"
	"io"
	"slices"
	"strings"
)

// redactor replaces secrets in what is written through it. A secret is found within one Write; the reporter writes whole
// lines and whole documents.
type redactor struct {
	to      io.Writer
	open    bool
	secrets []string
	// replacer is made of secrets at the first write after a change.
	replacer *strings.Replacer
}

const hidden = "(secret)"

func (w *redactor) hide(secrets []string) {
	for _, s := range secrets {
		if s == "" || slices.Contains(w.secrets, s) {
			continue
		}
		w.secrets = append(w.secrets, s)
		w.replacer = nil
	}
}

func (w *redactor) Write(p []byte) (int, error) {
	if w.open || len(w.secrets) == 0 {
		return w.to.Write(p)
	}
	if w.replacer == nil {
		w.replacer = newReplacer(w.secrets)
	}
	if _, err := io.WriteString(w.to, w.replacer.Replace(string(p))); err != nil {
		return 0, err
	}
	return len(p), nil
}

// newReplacer hides the secrets and what becomes of them in a Secret's data: the longest first, so that a secret that
// contains another one goes as a whole. A secret of several lines is also hidden line by line, since YAML indents them.
func newReplacer(secrets []string) *strings.Replacer {
	var forms []string
	for _, s := range secrets {
		forms = append(forms, s, base64.StdEncoding.EncodeToString([]byte(s)))
		if lines := strings.Split(s, "\n"); len(lines) > 1 {
			for _, line := range lines {
				if line = strings.TrimSpace(line); len(line) >= 8 {
					forms = append(forms, line)
				}
			}
		}
	}
	slices.SortStableFunc(forms, func(a, b string) int { return len(b) - len(a) })
	pairs := make([]string, 0, 2*len(forms))
	for _, form := range forms {
		pairs = append(pairs, form, hidden)
	}
	return strings.NewReplacer(pairs...)
}
