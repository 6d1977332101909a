package yaml

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/redkubes/otomi/pkg/diag"
)

func TestReadStatesReadsEveryDocument(t *testing.T) {
	t.Parallel()
	roots, diags := ReadStates([]byte("---\na: 1\n--- \nb: 2\n---\n"), ReadOptions{File: "f"})
	require.Empty(t, diags)
	require.Len(t, roots, 2)
	require.Equal(t, map[string]any{"a": int64(1)}, roots[0].PlainMap())
	require.Equal(t, 4, roots[1].Fields[0].KeyRange.Start.Line)
}

func TestStateOptions(t *testing.T) {
	t.Parallel()
	root, diags := ReadState([]byte("a: 2020-01-02\nb: '2020-01-02'\nc: 2020-01-02T03:04:05+01:00\n"), ReadOptions{Dates: true})
	require.Empty(t, diags)
	require.Equal(t, map[string]any{"a": "2020-01-02T00:00:00Z", "b": "2020-01-02", "c": "2020-01-02T03:04:05+01:00"}, root.PlainMap())
	_, diags = ReadState([]byte("yes: 1\ntrue: 2\n'1': 2\n1: 3\n"), ReadOptions{File: "f", StringKeys: true})
	require.Len(t, diags, 2)
	require.Equal(t, diag.YAMLNonStringKey, diags[0].Code)
	require.Equal(t, 2, diags[0].Range.Start.Line)
}

func TestReadHelmTakesTheLastOfEqualKeys(t *testing.T) {
	t.Parallel()
	m, diags := ReadHelm([]byte("a: 1\nb: yes\na: 2\n1: x\n"), ReadOptions{File: "f"})
	require.Equal(t, map[string]any{"a": 2.0, "b": true, "1": "x"}, m)
	require.Len(t, diags, 1)
	require.Equal(t, diag.Warning, diags[0].Severity)
	require.Len(t, diags[0].Notes, 1)
	for _, text := range []string{"", "# c\n", "null"} {
		m, diags = ReadHelm([]byte(text), ReadOptions{File: "f"})
		require.Empty(t, diags)
		require.Equal(t, map[string]any{}, m)
	}
	_, diags = ReadHelm([]byte("- a\n"), ReadOptions{File: "f"})
	require.Equal(t, diag.ValuesRootNotMap, diags[0].Code)
	_, diags = ReadHelm([]byte("a: b: c\n"), ReadOptions{File: "f"})
	require.Equal(t, diag.YAMLSyntax, diags[0].Code)
}

func TestWriteState(t *testing.T) {
	t.Parallel()
	root, _ := ReadState([]byte("z: on\na: [{b: 1, c: []}]\non: {}\n\"1\": \"true\"\nn: null\n"), ReadOptions{})
	text, err := WriteState(root)
	require.NoError(t, err)
	require.Equal(t, "z: \"on\"\na:\n  - b: 1\n    c: []\n\"on\": {}\n\"1\": \"true\"\n\"n\": null\n", string(text))
	text, err = MarshalState(root.Plain())
	require.NoError(t, err)
	require.Equal(t, "\"1\": \"true\"\na:\n  - b: 1\n    c: []\n\"n\": null\n\"on\": {}\nz: \"on\"\n", string(text))
}
