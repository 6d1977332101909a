package template

import (
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/redkubes/otomi/pkg/diag"
)

// TestFunctionNames compares the names of the functions with helmfile's, both ways; the list was tried on helmfile itself
// (testdata/helmfile/functions, row @names).
func TestFunctionNames(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../testdata/helmfile/functions/names.txt")
	require.NoError(t, err)
	r := &run{Bounds: NewBounds(t.Context(), maxOutput, maxDepth), ctx: t.Context()}
	ours := r.funcs(all)
	got := map[string]bool{"include": true, "tpl": true} // bound to a template
	for name := range maps.Keys(ours) {
		got[name] = true
	}
	for name := range builtins {
		got[name] = true
	}
	require.Equal(t, strings.Fields(string(text)), slices.Sorted(maps.Keys(got)))
}

func TestADecimalTextCountedAsItsInteger(t *testing.T) {
	t.Parallel()
	for expression, want := range map[string]string{
		`int "1.5"`: "0", `int "1.0"`: "1", `int64 "-3.00"`: "-3", `add "1.5" 2`: "2", `mul 3 "2.5"`: "0", `max "2.9" 1`: "1", `int ""`: "0",
		`int "0x10"`: "16", `div "8.0" 2`: "4", `add1 "x"`: "1", `int "."`: "0", `int ".0"`: "0", `int 1.5`: "1",
	} {
		out, ds := Execute(t.Context(), []byte("{{ "+expression+" }}"), nil, Options{})
		require.Empty(t, ds, expression)
		require.Equal(t, want, out, expression)
	}
}

func TestEqShowedTheListsItCouldNotCompare(t *testing.T) {
	t.Parallel()
	data := map[string]any{"l": []any{"hunter2"}, "m": map[string]any{"k": "hunter2"}}
	for _, text := range []string{`{{ eq .l .l }}`, `{{ ne .m .m }}`, `{{ eq .l .m }}`} {
		_, ds := Execute(t.Context(), []byte(text), data, Options{File: "a"})
		require.Len(t, ds, 1, text)
		require.NotContains(t, ds[0].Detail, "hunter2")
		require.Contains(t, ds[0].Detail, "deepEqual")
	}
}

func TestKeysOfTheRootWereOfferedForAnotherDot(t *testing.T) {
	t.Parallel()
	data := map[string]any{"Values": map[string]any{"nested": map[string]any{"a": 1}}, "Namespace": "", "Labels": map[string]string{"tier": "web"}}
	for text, want := range map[string]string{
		`{{ tpl "{{ .y }}" (dict "x" 1) }}`:          "",
		`{{ with .Values.nested }}{{ .y }}{{ end }}`: "",
		`{{ .Value.nested }}`:                        `Did you mean "Values"?`,
		`{{ .Labels.teir }}`:                         `Did you mean "tier"?`,
	} {
		_, ds := Execute(t.Context(), []byte(text), data, Options{File: "a"})
		require.Len(t, ds, 1, text)
		require.Equal(t, diag.TemplateUndefined, ds[0].Code)
		require.NotContains(t, ds[0].Detail, "There are", text)
		require.Contains(t, ds[0].Detail, want, text)
	}
}

func TestSetOnValuesChangedTheEnvironment(t *testing.T) {
	t.Parallel()
	values := map[string]any{"a": 1}
	data := map[string]any{"Values": values, "StateValues": values, "Environment": map[string]any{"Values": values}}
	out, ds := Execute(t.Context(), []byte(`{{ $_ := set .Values "a" 2 }}{{ .Values.a }}{{ .StateValues.a }}{{ .Environment.Values.a }}`), data, Options{})
	require.Empty(t, ds)
	require.Equal(t, "221", out)
	require.Equal(t, 1, values["a"])
}

func TestExpandenvLeftWhatAShellAloneHas(t *testing.T) {
	t.Parallel()
	out, ds := Execute(t.Context(), []byte(`{{ expandenv "a$$b$1c${}d$*e${A}f$A-${g" }}`), nil, Options{
		Allow: Permissions{Env: map[string]string{"A": "x"}},
	})
	require.Empty(t, ds)
	require.Equal(t, "abcdexfx-g", out)
}
