package main

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPlanIsWrittenForTheUserAloneAndOntoFilesAlone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	require.NoError(t, os.WriteFile(at("open"), []byte("old"), 0o666))
	require.NoError(t, os.Symlink("open", at("link")))
	require.NoError(t, os.Symlink("nowhere", at("dangling")))
	require.NoError(t, syscall.Mkfifo(at("pipe"), 0o666))
	require.NoError(t, os.Symlink("pipe", at("stdout")))

	for _, name := range []string{"new", "link", "dangling", "open"} {
		require.NoError(t, replaceFile(at(name), []byte("plan")))
		is, err := os.Lstat(at(name))
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), is.Mode(), name)
		if name == "link" {
			old, err := os.ReadFile(at("open"))
			require.NoError(t, err)
			require.Equal(t, "old", string(old), "what a link points to stays")
		}
	}
	for _, name := range []string{"pipe", "stdout", "."} {
		require.ErrorContains(t, replaceFile(at(name), []byte("plan")), "is no file", name)
	}
	left, err := filepath.Glob(at(".otomi-*"))
	require.NoError(t, err)
	require.Empty(t, left)
}
