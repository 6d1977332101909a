package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestMigrationPage demands that what the page tells people to type is what the script runs, line by line.
func TestMigrationPage(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "helmfile-migration.md"))
	require.NoError(t, err)
	script, err := os.ReadFile(filepath.Join("..", "..", "testdata", "script", "apply_helmfile_migration.txtar"))
	require.NoError(t, err)
	var shown, run []string
	inside := false
	for line := range strings.Lines(string(page)) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "```"):
			inside = line == "```sh"
		case inside:
			shown = append(shown, line)
		}
	}
	for line := range strings.Lines(string(script)) {
		if command, ok := strings.CutPrefix(strings.TrimPrefix(strings.TrimSpace(line), "! "), "exec "); ok {
			run = append(run, command)
		}
	}
	require.NotEmpty(t, shown)
	require.Equal(t, shown, run)
}
