package manifest

import (
	"encoding/base64"
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// leastText is the shortest text of a Secret's data that is taken for secret wherever it turns up, in bytes: nobody declared it
// so, and "true", "admin" and "5432" stand in Secrets, too.
const leastText = 8

// secretKey matches the names of what is secret within a file that a Secret holds; what else a configuration has in it is none.
var secretKey = regexp.MustCompile(`(?i)pass|pwd|secret|token|key|cred|auth|dsn`)

// SecretKey reports whether a name is one that secrets have. It is a guess, for where nobody says what is secret.
func SecretKey(name string) bool { return secretKey.MatchString(name) }

// SecretTexts returns the texts that Secrets among objects hold, so that they can be hidden wherever else they turn up: their
// values, what looks like a password in files that they hold, and the values of JSON. What names one of the objects, or a place
// that one is in, is no secret; nor is a certificate, nor what names lists.
func SecretTexts(objects []Object, names ...string) []string {
	public := map[string]bool{}
	for _, name := range names {
		public[name] = true
	}
	for _, o := range objects {
		public[o.Name], public[o.Namespace], public[o.Kind] = true, true, true
	}
	var out []string
	add := func(text string) {
		if text = strings.TrimSpace(text); len(text) >= leastText && !public[text] && !strings.HasPrefix(text, "-----BEGIN CERTIFICATE") {
			out = append(out, text)
		}
	}
	for _, o := range objects {
		ReplaceSecrets(o.Data, func(secret map[string]any) map[string]any {
			for _, field := range SecretFields(secret) {
				held(secret[field], field == "data", add)
			}
			return secret
		})
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// SecretTexts returns the texts that the Secrets of a release hold.
func (r Release) SecretTexts() []string {
	objects := slices.Concat(r.Objects, r.CRDs)
	for _, h := range r.Hooks {
		objects = append(objects, h.Object)
	}
	return SecretTexts(objects, r.Name, r.Namespace, r.Chart.Name)
}

// held calls add for the texts in a field of a Secret.
func held(v any, encoded bool, add func(string)) {
	switch v := v.(type) {
	case map[string]any:
		for _, e := range v {
			held(e, encoded, add)
		}
	case []any:
		for _, e := range v {
			held(e, encoded, add)
		}
	case string:
		if encoded {
			raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(v))
			if err != nil || !utf8.Valid(raw) {
				add(v)
				return
			}
			v = string(raw)
		}
		add(v)
		var document any
		if json.Unmarshal([]byte(v), &document) == nil {
			leaves(document, "", add)
			return
		}
		for line := range strings.Lines(v) {
			key, value, found := strings.Cut(line, "=")
			if name, text, ok := strings.Cut(line, ": "); ok && (!found || len(name) < len(key)) {
				key, value, found = name, text, true
			}
			if found && secretKey.MatchString(key) {
				add(strings.Trim(strings.TrimSpace(value), `"'`))
			}
		}
	}
}

// leaves calls add for the strings of a JSON document under keys that are those of secrets.
func leaves(v any, key string, add func(string)) {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			leaves(e, k, add)
		}
	case []any:
		for _, e := range v {
			leaves(e, key, add)
		}
	case string:
		if secretKey.MatchString(key) {
			add(v)
		}
	}
}
