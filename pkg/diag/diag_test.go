package diag_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/redkubes/otomi/pkg/diag"
)

func TestEveryCodeHasFixedWords(t *testing.T) {
	t.Parallel()
	seen := map[string]diag.Code{}
	for _, code := range diag.Codes() {
		summary := code.Summary()
		require.NotEmpty(t, summary, code)
		require.NotContains(t, summary, "%", "%s: a summary names no instance", code)
		require.NotContains(t, seen, summary, "%s and %s have the same words", code, seen[summary])
		require.Equal(t, 2, len(strings.Split(string(code), "/")), "%s is AREA/PROBLEM", code)
		seen[summary] = code
	}
}

func TestSortedShowsEachProblemOnce(t *testing.T) {
	t.Parallel()
	at := func(file string, line int) diag.Range {
		return diag.Range{File: file, Start: diag.Pos{Line: line, Column: 1}}
	}
	one := diag.Diagnostic{Severity: diag.Error, Code: diag.ValuesUnknownKey, Range: at("b.yaml", 2), Detail: "x"}
	two := diag.Diagnostic{Severity: diag.Warning, Code: diag.ValuesDeprecated, Range: at("a.yaml", 9), Detail: "y"}
	in := diag.Diagnostics{one, two, one}
	require.Equal(t, diag.Diagnostics{two, one}, in.Sorted())
	require.Len(t, in, 3)
	errors, warnings := in.Sorted().Count()
	require.Equal(t, 1, errors)
	require.Equal(t, 1, warnings)
}
