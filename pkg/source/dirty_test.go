package source

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/stretchr/testify/require"
)

func TestDirty(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	dirty := func(at string) bool {
		t.Helper()
		got, err := Dirty(at)
		require.NoError(t, err)
		return got
	}
	require.False(t, dirty(dir), "no repository")
	repo, err := git.PlainInit(dir, false)
	require.NoError(t, err)
	require.False(t, dirty(dir), "no commit")
	write := func(name, text string) {
		t.Helper()
		path := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
	}
	write("env/a.yaml", "a: 1\n")
	write("other/b.yaml", "b: 1\n")
	require.NoError(t, os.Symlink("a.yaml", filepath.Join(dir, "env", "link")))
	tree, err := repo.Worktree()
	require.NoError(t, err)
	_, err = tree.Add(".")
	require.NoError(t, err)
	_, err = tree.Commit("one", &git.CommitOptions{Author: &object.Signature{Name: "a", Email: "a@example.com", When: time.Unix(1, 0)}})
	require.NoError(t, err)
	require.False(t, dirty(dir))
	require.False(t, dirty(filepath.Join(dir, "env")))

	write("env/untracked.yaml", "c: 1\n")
	require.False(t, dirty(dir), "what git does not track does not count")
	require.NoError(t, os.Chtimes(filepath.Join(dir, "env/a.yaml"), time.Unix(9, 0), time.Unix(9, 0)))
	require.False(t, dirty(dir), "touched, and the same")
	write("other/b.yaml", "b: 2\n")
	require.True(t, dirty(dir))
	require.False(t, dirty(filepath.Join(dir, "env")), "changed elsewhere")
	_, err = tree.Add("other/b.yaml")
	require.NoError(t, err)
	require.True(t, dirty(dir), "staged")
	write("env/a.yaml", "a: 22\n")
	require.True(t, dirty(filepath.Join(dir, "env")))
	require.NoError(t, os.Remove(filepath.Join(dir, "env/a.yaml")))
	require.True(t, dirty(filepath.Join(dir, "env")), "gone")
}
