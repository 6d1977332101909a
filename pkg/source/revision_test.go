package source

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/stretchr/testify/require"
)

// committed makes a repository with one commit for each step.
func committed(t *testing.T, steps ...func(dir string)) (string, []string) {
	t.Helper()
	dir := t.TempDir()
	repo, err := git.PlainInit(dir, false)
	require.NoError(t, err)
	w, err := repo.Worktree()
	require.NoError(t, err)
	var hashes []string
	for i, step := range steps {
		step(dir)
		require.NoError(t, w.AddWithOptions(&git.AddOptions{All: true}))
		hash, err := w.Commit("c", &git.CommitOptions{Author: &object.Signature{Name: "a", When: time.Unix(int64(i), 0)}})
		require.NoError(t, err)
		hashes = append(hashes, hash.String())
	}
	return dir, hashes
}

func TestARevisionIsAFileSystem(t *testing.T) {
	t.Parallel()
	dir, hashes := committed(t, func(dir string) {
		write(t, filepath.Join(dir, "repo", "env", "a.yaml"), "a: 1")
		write(t, filepath.Join(dir, "repo", "stack", "charts", "b", "c.yaml"), "c: 1")
		write(t, filepath.Join(dir, "outside"), "o")
		for name, to := range map[string]string{
			"in": "env/a.yaml", "dir": "stack/charts", "out": "../outside", "absolute": filepath.Join(dir, "outside"), "loop": "loop",
		} {
			require.NoError(t, os.Symlink(to, filepath.Join(dir, "repo", name)))
		}
	}, func(dir string) {
		write(t, filepath.Join(dir, "repo", "env", "a.yaml"), "a: 2")
		require.NoError(t, os.RemoveAll(filepath.Join(dir, "repo", "stack")))
	})
	for _, revision := range []string{"HEAD~1", hashes[0], hashes[0][:10]} {
		r, err := OpenRevision(filepath.Join(dir, "repo", "env"), revision)
		require.NoError(t, err)
		require.Equal(t, hashes[0], r.Commit)
		tree, err := r.Tree(filepath.Join(dir, "repo"), "old:")
		require.NoError(t, err)
		for name, want := range map[string]string{"env/a.yaml": "a: 1", "in": "a: 1", "dir/b/c.yaml": "c: 1"} {
			text, err := fs.ReadFile(tree.FS, name)
			require.NoError(t, err)
			require.Equal(t, want, string(text))
		}
		for _, name := range []string{"out", "absolute", "loop", "nothing", "../outside"} {
			_, err := fs.ReadFile(tree.FS, name)
			require.Error(t, err, name)
		}
		names, err := fs.Glob(tree.FS, "env/*.yaml")
		require.NoError(t, err)
		require.Equal(t, []string{"env/a.yaml"}, names)
		stack, err := r.Tree(filepath.Join(dir, "repo", "stack"), "")
		require.NoError(t, err, "a directory that is not there any more")
		require.NoError(t, fstest.TestFS(stack.FS, "charts/b/c.yaml"))
		_, err = r.Tree(filepath.Join(dir, "repo", "nothing"), "")
		require.ErrorIs(t, err, fs.ErrNotExist)
		_, err = r.Tree(t.TempDir(), "")
		require.ErrorContains(t, err, "outside of the git repository")
	}
	_, err := OpenRevision(dir, "nothing")
	require.ErrorIs(t, err, ErrNoRevision)
	_, err = OpenRevision(t.TempDir(), "HEAD")
	require.ErrorContains(t, err, "in no git repository")
}

func TestARevisionThatAShallowCloneHasNotSaysHowToGetIt(t *testing.T) {
	t.Parallel()
	dir, hashes := committed(t, func(dir string) { write(t, filepath.Join(dir, "a"), "1") }, func(dir string) { write(t, filepath.Join(dir, "a"), "2") })
	to := t.TempDir()
	_, err := git.PlainClone(to, false, &git.CloneOptions{URL: dir, Depth: 1})
	require.NoError(t, err)
	r, err := OpenRevision(to, hashes[1])
	require.NoError(t, err)
	require.Equal(t, plumbing.NewHash(hashes[1]).String(), r.Commit)
	for _, revision := range []string{hashes[0], "HEAD~1"} {
		_, err = OpenRevision(to, revision)
		require.ErrorIs(t, err, ErrNoRevision)
		require.ErrorContains(t, err, "git fetch --depth=1 origin "+revision)
	}
}

func TestHostileTreesOfARevisionAreRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	repo, err := git.PlainInit(dir, false)
	require.NoError(t, err)
	put := func(o interface {
		Encode(plumbing.EncodedObject) error
	}) plumbing.Hash {
		encoded := repo.Storer.NewEncodedObject()
		require.NoError(t, o.Encode(encoded))
		hash, err := repo.Storer.SetEncodedObject(encoded)
		require.NoError(t, err)
		return hash
	}
	blob := func(text string) plumbing.Hash {
		o := repo.Storer.NewEncodedObject()
		o.SetType(plumbing.BlobObject)
		w, err := o.Writer()
		require.NoError(t, err)
		_, err = w.Write([]byte(text))
		require.NoError(t, err)
		require.NoError(t, w.Close())
		hash, err := repo.Storer.SetEncodedObject(o)
		require.NoError(t, err)
		return hash
	}
	open := func(entries ...object.TreeEntry) (Tree, error) {
		commit := put(&object.Commit{TreeHash: put(&object.Tree{Entries: entries})})
		r, err := OpenRevision(dir, commit.String())
		require.NoError(t, err)
		return r.Tree(dir, "")
	}
	text := blob("text")

	deep := put(&object.Tree{Entries: []object.TreeEntry{{Name: "f", Mode: filemode.Regular, Hash: text}}})
	for range maxPath {
		deep = put(&object.Tree{Entries: []object.TreeEntry{{Name: "d", Mode: filemode.Dir, Hash: deep}}})
	}
	_, err = open(object.TreeEntry{Name: "d", Mode: filemode.Dir, Hash: deep})
	require.ErrorContains(t, err, "more than 4096 bytes")

	_, err = open(object.TreeEntry{Name: "a", Mode: filemode.Regular, Hash: text}, object.TreeEntry{Name: "a", Mode: filemode.Symlink, Hash: text})
	require.ErrorContains(t, err, "twice")

	tree, err := open(object.TreeEntry{Name: "long", Mode: filemode.Symlink, Hash: blob(strings.Repeat("a/", maxPath))})
	require.NoError(t, err)
	_, err = fs.ReadFile(tree.FS, "long")
	require.ErrorContains(t, err, "too long")
}
