package main

import (
	"bytes"
	"strings"
	"syscall"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"
)

// TestNoVerbTakesWhatItDoesNotKnow walks the tree of commands: a group without a RunE exits 0 on an unknown subcommand, and
// a leaf without Args takes stray words.
func TestNoVerbTakesWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	var visit func(*cobra.Command)
	visit = func(cmd *cobra.Command) {
		require.NotNil(t, cmd.RunE, "%s has no RunE", cmd.CommandPath())
		require.NotEmpty(t, cmd.Short, cmd.CommandPath())
		if cmd.HasParent() {
			require.NotNil(t, cmd.Args, "%s has no Args", cmd.CommandPath())
			require.Contains(t, cmd.Long, "\n  "+cmd.CommandPath(), "%s has no example in its help", cmd.CommandPath())
		}
		for _, sub := range cmd.Commands() {
			visit(sub)
		}
	}
	visit(newRoot(&app{}))
}

func TestABrokenPipeIsNoFailure(t *testing.T) {
	t.Parallel()
	var talk bytes.Buffer
	code := run(world{
		args: []string{"version"}, env: func(string) string { return "" }, dir: t.TempDir(),
		stdin: strings.NewReader(""), stdout: brokenPipe{}, stderr: &talk,
	})
	require.Equal(t, exitBrokenPipe, code)
	require.Empty(t, talk.String())
}

type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, syscall.EPIPE }
