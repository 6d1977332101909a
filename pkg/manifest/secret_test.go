package manifest_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/redkubes/otomi/pkg/manifest"
)

func printed(v any) string { return fmt.Sprint(v) }

func TestASecretWithinAListWasNotSeen(t *testing.T) {
	t.Parallel()
	secret := func(kind any) map[string]any {
		out := map[string]any{"stringData": map[string]any{"a": "hunter5"}}
		if kind != nil {
			out["kind"] = kind
		}
		return out
	}
	gone := func(map[string]any) map[string]any { return map[string]any{} }
	for name, list := range map[string]map[string]any{
		"a list":        {"kind": "List", "items": []any{"x", map[string]any{"kind": "ConfigMap"}, secret("Secret")}},
		"a typed list":  {"kind": "SecretList", "items": []any{secret(nil)}},
		"within a list": {"kind": "List", "items": []any{map[string]any{"kind": "List", "items": []any{secret("Secret")}}}},
		"in lower case": {"kind": "List", "items": []any{secret("secret")}},
	} {
		out, hit := manifest.ReplaceSecrets(list, gone)
		require.True(t, hit, name)
		require.NotContains(t, printed(out), "hunter5", name)
		require.Contains(t, printed(list), "hunter5", "the input stays as it is")
	}
	plain := map[string]any{"kind": "List", "items": []any{secret("ConfigMap")}}
	out, hit := manifest.ReplaceSecrets(plain, gone)
	require.False(t, hit)
	require.Equal(t, plain, out)
}

func TestAMisspeltFieldOfASecretIsOneThatMayHoldASecret(t *testing.T) {
	t.Parallel()
	require.Equal(t, []string{"StringData", "data", "strignData"}, manifest.SecretFields(map[string]any{
		"apiVersion": "v1", "kind": "Secret", "metadata": map[string]any{}, "type": "Opaque", "immutable": true, "stringData": nil,
		"data": "hunter5", "StringData": map[string]any{"a": "hunter5"}, "strignData": 5,
	}))
}
