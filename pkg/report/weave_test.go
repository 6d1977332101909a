package report

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"
)

// awkward are secrets of every shape that a redactor may stumble over.
var awkward = map[string]string{
	"word":     "canary-word-7Kq2",
	"short":    "Qz7!",
	"quotes":   `canary"with'quotes"and\backslash`,
	"shell":    "canary$HOME`id`&<tag>;%d%%s",
	"unicode":  "canary-pässwörd-鍵-🔑",
	"number":   "98127364551",
	"lines":    "canary first line\n\tcanary second line\ncanary third line",
	"key":      "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSj\nAgEAAoIBAQC7VJTUt9Us8cKjMzEfYyjiWA4R\n-----END PRIVATE KEY-----\n",
	"4 KiB":    strings.Repeat("canary0123456789", 256),
	"sentence": "the canary sings when nobody listens to it at all",
}

func TestNoFormOfASecretPassesTheRedactor(t *testing.T) {
	t.Parallel()
	std := base64.StdEncoding
	forms := map[string]func(string) string{
		"plain":     func(s string) string { return s },
		"embedded":  func(s string) string { return "postgres://web:" + s + "@db/app" },
		"query":     func(s string) string { return "https://x/?p=" + url.QueryEscape(s) },
		"path":      url.PathEscape,
		"base64":    func(s string) string { return std.EncodeToString([]byte(s)) },
		"offset 1":  func(s string) string { return std.EncodeToString([]byte("u" + s + "v")) },
		"offset 2":  func(s string) string { return std.EncodeToString([]byte("us" + s + "vw")) },
		"base64url": func(s string) string { return base64.URLEncoding.EncodeToString([]byte("us" + s)) },
		"twice":     func(s string) string { return std.EncodeToString([]byte(std.EncodeToString([]byte(s)))) },
		"docker": func(s string) string {
			auth, _ := json.Marshal(map[string]any{"auths": map[string]any{"r.example.com": map[string]any{
				"password": s, "auth": std.EncodeToString([]byte("user:" + s)),
			}}})
			return std.EncodeToString(auth)
		},
		"hex":          func(s string) string { return hex.EncodeToString([]byte(s)) },
		"JSON":         func(s string) string { b, _ := json.Marshal(map[string]any{"a": s}); return string(b) },
		"JSON in JSON": func(s string) string { b, _ := json.Marshal(s); b, _ = json.Marshal(string(b)); return string(b) },
		"YAML": func(s string) string {
			b, _ := yaml.Marshal(map[string]any{"a": map[string]any{"b": s}})
			return string(b)
		},
		"YAML in YAML": func(s string) string {
			b, _ := yaml.Marshal(map[string]any{"a": s})
			b, _ = yaml.Marshal(map[string]any{"b": string(b)})
			return string(b)
		},
		"single":   func(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" },
		"Go":       func(s string) string { return fmt.Sprintf("%q", s) },
		"Go ASCII": strconv.QuoteToASCII,
		"HTML":     html.EscapeString,
		"indented": func(s string) string { return "a: |\n    " + strings.ReplaceAll(s, "\n", "\n    ") },
		"diff":     func(s string) string { return "+a: |\n+    " + strings.ReplaceAll(s, "\n", "\n+    ") },
		"in colour": func(s string) string {
			return "\x1b[31m-" + strings.ReplaceAll(s, "\n", "\x1b[0m\n\x1b[31m-") + "\x1b[0m"
		},
		"wrapped":     func(s string) string { return wrapped(std.EncodeToString([]byte("password="+s)), 76, "\n  ") },
		"folded":      func(s string) string { return wrapped(s, 20, "\n      ") },
		"continued":   func(s string) string { return wrapped(s, 20, "\\\n      ") },
		"diff of it":  func(s string) string { return wrapped(std.EncodeToString([]byte(s)), 64, "\n+     ") },
		"one by line": func(s string) string { return "> " + strings.ReplaceAll(s, "\n", "\n> ") },
	}
	for name, secret := range awkward {
		for form, write := range forms {
			t.Run(name+"/"+form, func(t *testing.T) {
				t.Parallel()
				text := write(secret)
				switch {
				case len(secret) < 8 && strings.Contains("offset 1 offset 2 base64url twice docker hex wrapped", form):
					t.Skip("a text of four characters has no such form that stands for it alone")
				case len(secret) < leastWoven && (form == "folded" || form == "continued" || form == "wrapped"):
					t.Skip("too short to be wrapped")
				case (form == "folded" || form == "continued") && len(secret) < 20:
					t.Skip("too short to be wrapped")
				}
				var out bytes.Buffer
				w := &redactor{to: &out}
				w.hide([]string{"another-secret-that-is-not-there", secret})
				_, err := w.Write([]byte("before " + text + " after\n"))
				require.NoError(t, err)
				require.Contains(t, out.String(), "before ")
				require.Contains(t, out.String(), " after\n")
				require.Contains(t, out.String(), hidden)
				for _, piece := range pieces(text, secret) {
					require.NotContains(t, out.String(), piece, "of %q", text)
				}
			})
		}
	}
}

// wrapped breaks a text into lines.
func wrapped(s string, width int, between string) string {
	var parts []string
	for len(s) > width {
		parts, s = append(parts, s[:width]), s[width:]
	}
	return strings.Join(append(parts, s), between)
}

// pieces are stretches of twelve letters and digits of a form, of which none may be left; of a text that is too short for one, itself.
func pieces(text, secret string) []string {
	var out []string
	for _, whole := range []string{secret, strings.TrimSpace(base64.StdEncoding.EncodeToString([]byte(secret)))} {
		for from := 0; from+12 <= len(whole); from += 12 {
			if piece := whole[from : from+12]; strings.Contains(text, piece) {
				out = append(out, piece)
			}
		}
	}
	if len(secret) < 12 {
		out = append(out, secret)
	}
	return out
}

func TestWhatIsNoSecretStays(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	w := &redactor{to: &out}
	w.hide([]string{"canary-word-7Kq2-canary", "Qz7!"})
	const text = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: canary-word\n  labels: { app: canary }\ndata:\n  a: Y2FuYXJ5LXdvcmQ=\n"
	_, err := w.Write([]byte(text))
	require.NoError(t, err)
	require.Equal(t, text, out.String())
}
