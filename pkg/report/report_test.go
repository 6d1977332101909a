package report_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/redkubes/otomi/pkg/apply"
	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/diff"
	"github.com/redkubes/otomi/pkg/manifest"
	"github.com/redkubes/otomi/pkg/report"
	"github.com/redkubes/otomi/pkg/yaml"
)

func TestSecretsReachNoWriter(t *testing.T) {
	t.Parallel()
	var out, err bytes.Buffer
	r := report.New(report.Options{Out: &out, Err: &err})
	r.Hide([]string{"horse", "correct-horse", "first line\nsecond line of a key"})
	require.NoError(t, r.Product("password: correct-horse\ndata: Y29ycmVjdC1ob3JzZQ==\nkey: |\n  second line of a key\n"))
	r.Talk("the server said: %s", "horse is wrong")
	require.Equal(t, "password: (secret)\ndata: (secret)\nkey: |\n  (secret)\n", out.String())
	require.Equal(t, "the server said: (secret) is wrong\n", err.String())

	r.Reveal()
	r.Talk("horse")
	require.NoError(t, r.Product("horse\n"))
	require.Contains(t, out.String(), "horse\n")
	require.NotContains(t, err.String(), "horse", "talk stays redacted")
}

func TestADiagnosticIsShownWithItsLine(t *testing.T) {
	t.Parallel()
	text := []byte("teams:\n  alpha:\n\tbogüs: 1\r\n")
	at := diag.Range{File: "a.yaml", Start: diag.Pos{Line: 3, Column: 2}, End: diag.Pos{Line: 3, Column: 7}}
	d := diag.Diagnostic{Severity: diag.Error, Code: diag.ValuesUnknownKey, Path: "teams.alpha.bogüs", Range: at, Detail: "no such key.",
		Notes: []diag.Note{{Message: "overrides this", Range: diag.Range{File: "b.yaml", Start: diag.Pos{Line: 1, Column: 1}}}}}
	for name, c := range map[string]struct {
		secret bool
		want   string
	}{
		"shown": {want: `error: unknown key                                            values/unknown-key
  a.yaml:3:2
    2 |   alpha:
    3 | 	bogüs: 1
      | 	^^^^^
  teams.alpha.bogüs: no such key.
  overrides this: b.yaml:1:1

1 error
`},
		"a secret's line is not": {secret: true, want: `error: unknown key                                            values/unknown-key
  a.yaml:3:2
  teams.alpha.bogüs: no such key.
  overrides this: b.yaml:1:1

1 error
`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var err bytes.Buffer
			d := d
			d.Secret = c.secret
			report.New(report.Options{Err: &err}).Diagnostics(diag.Diagnostics{d, d}, diag.Sources{"a.yaml": text})
			require.Equal(t, c.want, err.String())
		})
	}
}

func TestAPlaceBehindTheEndOfTheFileIsNoPanic(t *testing.T) {
	t.Parallel()
	var err bytes.Buffer
	at := diag.Range{File: "a.yaml", Start: diag.Pos{Line: 1, Column: 99}, End: diag.Pos{Line: 7, Column: 1}}
	report.New(report.Options{Err: &err}).Diagnostics(diag.Diagnostics{{Severity: diag.Error, Code: diag.YAMLSyntax, Range: at}}, diag.Sources{"a.yaml": []byte("a")})
	require.Contains(t, err.String(), "1 | a")
}

// printManifests prints one release.
func printManifests(r *report.Reporter, release manifest.Release, o report.ManifestOptions) error {
	m := r.Manifests(o)
	return errors.Join(m.Add(report.Rendered{Release: release}), m.Print(), m.Close())
}

func TestNoEncodingLetsASecretThrough(t *testing.T) {
	t.Parallel()
	odd := `p&ss"w<or>d\x`
	long := "a phrase that is far longer than the eighty characters at which the YAML writer folds a plain line"
	show := func(r *report.Reporter, s string) { // as a value within a document, in every form that a chart may give it
		object := map[string]any{"kind": "ConfigMap", "data": map[string]any{
			"plain": s, "within": "user:" + s + "@host",
			"base64": base64.StdEncoding.EncodeToString([]byte("user:" + s + "@host")),
			"url":    "https://user:" + url.QueryEscape(s) + "@host",
		}}
		release := manifest.Release{Name: "web", Namespace: "apps", Chart: manifest.Chart{Digest: "0123456789abcdef"}}
		body, err := yaml.Marshal(object)
		require.NoError(t, err)
		release.Objects = []manifest.Object{{Data: object, Text: string(body)}}
		for _, format := range []string{"yaml", "json"} {
			require.NoError(t, printManifests(r, release, report.ManifestOptions{Format: format}))
		}
		plan := diff.Plan{Levels: []diff.Level{{Releases: []diff.Release{{
			Action: diff.Upgrade, Objects: []diff.Change{{Action: diff.Update, Before: object, After: map[string]any{"kind": "ConfigMap"}}},
		}}}}}
		require.NoError(t, r.Plans([]diff.Plan{plan}, "text"))
		require.NoError(t, r.Plans([]diff.Plan{plan}, "json"))
		require.NoError(t, r.EventJSON(apply.Event{Message: "the server said: " + s}))
	}
	for _, secret := range []string{odd, long, "correct-horse", "a\nkey of several lines\nwith an end"} {
		var out, talk bytes.Buffer
		r := report.New(report.Options{Out: &out, Err: &talk})
		r.Hide([]string{secret})
		show(r, secret)
		shown := out.String() + talk.String()
		for _, part := range strings.Split(secret, "\n") {
			if len(part) < 8 {
				continue
			}
			require.NotContains(t, shown, part)
			require.NotContains(t, shown, strings.Trim(strconv.Quote(part), `"`))
			require.NotContains(t, shown, url.QueryEscape(part))
		}
		require.NotContains(t, shown, "longer than the eighty")
		require.NotContains(t, shown, `\u003c`)
		unaligned := base64.StdEncoding.EncodeToString([]byte("user:" + secret))[8:16]
		require.NotContains(t, shown, unaligned)
	}
}

func TestTheDataOfEverySecretIsMasked(t *testing.T) {
	t.Parallel()
	release := manifest.Release{Chart: manifest.Chart{Digest: "0123456789abcdef"}, Objects: []manifest.Object{{
		Data: map[string]any{"kind": "Secret", "stringData": map[string]any{"token": "made-by-the-chart"}},
		Text: "kind: Secret\nstringData:\n  token: made-by-the-chart\n",
	}}}
	var out bytes.Buffer
	r := report.New(report.Options{Out: &out})
	require.NoError(t, printManifests(r, release, report.ManifestOptions{}))
	require.Contains(t, out.String(), "token: (secret)")
	require.NotContains(t, out.String(), "made-by-the-chart")
	r.Reveal()
	require.NoError(t, printManifests(r, release, report.ManifestOptions{}))
	require.Contains(t, out.String(), "token: made-by-the-chart")
}

func TestAHookThatIsAListPrintedItsSecretInClear(t *testing.T) {
	t.Parallel()
	release := manifest.Release{Chart: manifest.Chart{Digest: "0123456789abcdef"}, Hooks: []manifest.Hook{{Object: manifest.Object{
		Data: map[string]any{"kind": "List", "items": []any{map[string]any{"kind": "Secret", "data": map[string]any{"token": "hunter5"}}}},
		Text: "kind: List\nitems: [{kind: Secret, data: {token: hunter5}}]\n",
	}}}}
	for _, format := range []string{"yaml", "json"} {
		var out bytes.Buffer
		require.NoError(t, printManifests(report.New(report.Options{Out: &out}), release, report.ManifestOptions{Format: format}))
		require.Contains(t, out.String(), "(secret)")
		require.NotContains(t, out.String(), "hunter5")
	}
}

func TestASecretWhoseDataIsNoMapPrintedItInClear(t *testing.T) {
	t.Parallel()
	for _, data := range []map[string]any{
		{"kind": "Secret", "data": "hunter5"},
		{"kind": "Secret", "data": []any{"hunter5"}},
		{"kind": "Secret", "StringData": map[string]any{"a": "hunter5"}},
		{"kind": "Secret", "stringDatas": map[string]any{"a": "hunter5"}},
		{"kind": "secret", "DATA": map[string]any{"a": map[string]any{"b": "hunter5"}}},
	} {
		var out bytes.Buffer
		release := manifest.Release{Chart: manifest.Chart{Digest: "0123456789abcdef"}, Objects: []manifest.Object{{Data: data, Text: "x: hunter5"}}}
		require.NoError(t, printManifests(report.New(report.Options{Out: &out}), release, report.ManifestOptions{}))
		require.NotContains(t, out.String(), "hunter5", "%v", data)
	}
}
