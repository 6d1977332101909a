package report_test

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/report"
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
