package apply

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/redkubes/otomi/pkg/manifest"
)

func TestWhatPodsWroteStaysOutOfTheRecord(t *testing.T) {
	t.Parallel()
	failed := &logged{errors.New("pre-install hook: Job a failed"), "a/b: password\na/b: again"}
	require.EqualError(t, failed, "pre-install hook: Job a failed; it wrote:\n    a/b: password\n    a/b: again")
	for _, err := range []error{
		failed, fmt.Errorf("release x: %w", failed), errors.Join(failed, errors.New("deleting it failed")),
		fmt.Errorf("%w; it was uninstalled", errors.Join(failed, errors.New("and more"))), fmt.Errorf("%w; and %w", failed, errors.New("more")),
	} {
		text := recorded(err)
		require.NotContains(t, text, "password")
		require.Contains(t, text, "pre-install hook: Job a failed")
	}
	require.Equal(t, "plain", recorded(errors.New("plain")))
}

func TestLogPoliciesAreThoseOfHelm(t *testing.T) {
	t.Parallel()
	h := manifest.Hook{Object: manifest.Object{Data: map[string]any{"metadata": map[string]any{
		"annotations": map[string]any{manifest.LogPolicyAnnotation: "hook-succeeded, Hook-Failed"}}}}}
	require.True(t, h.Logs(manifest.HookSucceeded))
	require.True(t, h.Logs(manifest.HookFailed))
	require.False(t, manifest.Hook{}.Logs(manifest.HookFailed))
}
