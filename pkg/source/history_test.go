package source

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/stretchr/testify/require"
)

// commit writes a file and commits it; the parents are those of HEAD unless they are given.
func commit(t *testing.T, repo *git.Repository, file, text, author string, day int, parents ...plumbing.Hash) plumbing.Hash {
	t.Helper()
	w, err := repo.Worktree()
	require.NoError(t, err)
	write(t, filepath.Join(w.Filesystem.Root(), file), text)
	_, err = w.Add(file)
	require.NoError(t, err)
	hash, err := w.Commit("change "+file, &git.CommitOptions{
		Author:  &object.Signature{Name: author, Email: author + "@example.com", When: time.Date(2026, 11, day, 12, 0, 0, 0, time.UTC)},
		Parents: parents,
	})
	require.NoError(t, err)
	return hash
}

func repository(t *testing.T) (string, *git.Repository) {
	t.Helper()
	dir := t.TempDir()
	repo, err := git.PlainInit(dir, false)
	require.NoError(t, err)
	return dir, repo
}

func TestLastChangeFollowsALine(t *testing.T) {
	t.Parallel()
	dir, repo := repository(t)
	const file = "values/env/a.yaml"
	first := commit(t, repo, file, "a: 1\nb: 1\nc: 1", "ann", 1)
	second := commit(t, repo, file, "# new\na: 1\nb: 2\nc: 1\n", "bob", 2)
	commit(t, repo, "other.yaml", "x: 1\n", "eve", 3)
	// Not committed: a line in front, and one that is changed.
	write(t, filepath.Join(dir, file), "# newer\r\n# new\r\na: 1\r\nb: 2\r\nc: 9\r\n")

	ask := func(line int) Change {
		t.Helper()
		c, found, err := LastChange(t.Context(), filepath.Join(dir, file), line)
		require.NoError(t, err)
		require.True(t, found)
		return c
	}
	require.Equal(t, Change{}, ask(1))
	require.Equal(t, second.String(), ask(2).Commit)
	require.Equal(t, first.String(), ask(3).Commit)
	require.Equal(t, second.String(), ask(4).Commit)
	require.Equal(t, Change{}, ask(5))
	require.Equal(t, Change{}, ask(99))
	got := ask(4)
	require.Equal(t, "bob", got.Author)
	require.True(t, got.Date.Equal(time.Date(2026, 11, 2, 12, 0, 0, 0, time.UTC)))
	require.False(t, got.OrEarlier)
}

func TestLastChangeFollowsTheSideOfAMergeThatHasTheLine(t *testing.T) {
	t.Parallel()
	dir, repo := repository(t)
	base := commit(t, repo, "a.yaml", "a: 1\nb: 1\nc: 1\n", "ann", 1)
	left := commit(t, repo, "a.yaml", "a: 2\nb: 1\nc: 1\n", "bob", 2)
	right := commit(t, repo, "a.yaml", "a: 1\nb: 1\nc: 3\n", "eve", 3, base)
	commit(t, repo, "a.yaml", "a: 2\nb: 1\nc: 3\n", "ann", 4, left, right)
	for line, want := range map[int]plumbing.Hash{1: left, 2: base, 3: right} {
		c, found, err := LastChange(t.Context(), filepath.Join(dir, "a.yaml"), line)
		require.NoError(t, err)
		require.True(t, found)
		require.Equal(t, want.String(), c.Commit, "line %d", line)
	}
}

func TestLastChangeWhereThereIsNoHistory(t *testing.T) {
	t.Parallel()
	plain := t.TempDir()
	write(t, filepath.Join(plain, "a.yaml"), "a: 1\n")
	_, found, err := LastChange(t.Context(), filepath.Join(plain, "a.yaml"), 1)
	require.NoError(t, err)
	require.False(t, found)

	dir, repo := repository(t)
	write(t, filepath.Join(dir, "a.yaml"), "a: 1\n")
	c, found, err := LastChange(t.Context(), filepath.Join(dir, "a.yaml"), 1)
	require.NoError(t, err)
	require.True(t, found, "a repository without a commit")
	require.Equal(t, Change{}, c)
	commit(t, repo, "b.yaml", "b: 1\n", "ann", 1)
	c, found, err = LastChange(t.Context(), filepath.Join(dir, "a.yaml"), 1)
	require.NoError(t, err)
	require.True(t, found, "a file that is not committed")
	require.Equal(t, Change{}, c)
}

func TestLastChangeEndsWhereAShallowCloneDoes(t *testing.T) {
	t.Parallel()
	dir, repo := repository(t)
	commit(t, repo, "a.yaml", "a: 1\n", "ann", 1)
	head := commit(t, repo, "b.yaml", "b: 1\n", "bob", 2)
	clone := t.TempDir()
	_, err := git.PlainCloneContext(t.Context(), clone, false, &git.CloneOptions{URL: dir, Depth: 1})
	require.NoError(t, err)
	c, found, err := LastChange(t.Context(), filepath.Join(clone, "a.yaml"), 1)
	require.NoError(t, err)
	require.True(t, found)
	require.Equal(t, head.String(), c.Commit)
	require.True(t, c.OrEarlier)
}

func TestReadFileStopsAfterItsBound(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "a")
	require.NoError(t, os.WriteFile(file, []byte(strings.Repeat("x", 100)), 0o644))
	text, err := ReadFile(file, 10)
	require.NoError(t, err)
	require.Len(t, text, 11)
	_, err = ReadFile(filepath.Dir(file), 10)
	require.Error(t, err)
}
