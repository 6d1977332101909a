//go:build unix

package cache

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// A directory that was not there at Open was read from whoever made it since.
func TestGetReadsNothingThatOthersMayWrite(t *testing.T) {
	t.Parallel()
	for _, where := range []string{"directory", "entry"} {
		dir := filepath.Join(t.TempDir(), "c")
		c, err := Open(dir, Options{})
		require.NoError(t, err)
		other, err := Open(dir, Options{})
		require.NoError(t, err)
		require.NoError(t, other.Put("k", []byte("evil")))
		if where == "directory" {
			require.NoError(t, os.Chmod(dir, 0o777))
		} else {
			require.NoError(t, os.Chmod(c.path("k"), 0o666))
		}
		_, ok := c.Get("k")
		require.False(t, ok, where)
		require.NoError(t, os.Chmod(dir, 0o700))
		require.NoError(t, os.Chmod(other.path("k"), 0o600))
		_, ok = c.Get("k")
		require.True(t, ok, where)
	}
}

// The opening of a named pipe in the place of an entry waited for ever.
func TestGetOpensNoPipe(t *testing.T) {
	t.Parallel()
	c, err := Open(filepath.Join(t.TempDir(), "c"), Options{})
	require.NoError(t, err)
	require.NoError(t, c.Put("k", []byte("x")))
	require.NoError(t, os.Remove(c.path("k")))
	require.NoError(t, syscall.Mkfifo(c.path("k"), 0o600))
	_, ok := c.Get("k")
	require.False(t, ok)
}
