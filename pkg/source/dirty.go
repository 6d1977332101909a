package source

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// Dirty reports whether a file of a directory that git tracks is not as the commit has it that is checked out. Only files that were
// touched since they were checked out are read. Files that git does not track don't count: what of them is ignored, by whose
// rules, git alone knows. A directory in no repository, or without a commit, is not dirty.
func Dirty(dir string) (bool, error) {
	repo, err := git.PlainOpenWithOptions(dir, &git.PlainOpenOptions{DetectDotGit: true, EnableDotGitCommonDir: true})
	if errors.Is(err, git.ErrRepositoryNotExists) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("opening the git repository: %w", err)
	}
	ref, err := repo.Head()
	if errors.Is(err, plumbing.ErrReferenceNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("finding HEAD: %w", err)
	}
	worktree, err := repo.Worktree()
	if errors.Is(err, git.ErrIsBareRepository) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("finding the work tree: %w", err)
	}
	root, err := filepath.EvalSymlinks(worktree.Filesystem.Root())
	if err != nil {
		return false, err
	}
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return false, err
	}
	inside, err := filepath.Rel(root, dir)
	if err != nil {
		return false, err
	}
	committed, err := blobsBelow(repo, ref.Hash(), filepath.ToSlash(inside))
	if err != nil {
		return false, fmt.Errorf("reading the commit: %w", err)
	}
	index, err := repo.Storer.Index()
	if err != nil {
		return false, fmt.Errorf("reading git's index: %w", err)
	}
	prefix := filepath.ToSlash(inside) + "/"
	if inside == "." {
		prefix = ""
	}
	for _, e := range index.Entries {
		if !strings.HasPrefix(e.Name, prefix) || e.Mode == filemode.Submodule {
			continue
		}
		if e.SkipWorktree {
			delete(committed, e.Name) // a sparse checkout leaves it out
			continue
		}
		if committed[e.Name] != e.Hash {
			return true, nil
		}
		delete(committed, e.Name)
		path := filepath.Join(root, filepath.FromSlash(e.Name))
		info, err := os.Lstat(path)
		if err != nil {
			return true, nil
		}
		if info.ModTime().Equal(e.ModifiedAt) && info.Size() == int64(e.Size) {
			continue
		}
		if hash, err := hashed(path, info); err != nil || hash != e.Hash {
			return true, err
		}
	}
	return len(committed) > 0, nil // what is left was deleted
}

// blobsBelow are the files of a commit in a directory of it, by their paths from the root.
func blobsBelow(repo *git.Repository, commit plumbing.Hash, dir string) (map[string]plumbing.Hash, error) {
	c, err := repo.CommitObject(commit)
	if err != nil {
		return nil, err
	}
	tree, err := c.Tree()
	if err != nil {
		return nil, err
	}
	prefix := ""
	if dir != "." {
		prefix = dir + "/"
		if tree, err = tree.Tree(dir); errors.Is(err, object.ErrDirectoryNotFound) {
			return map[string]plumbing.Hash{}, nil
		}
		if err != nil {
			return nil, err
		}
	}
	walker := object.NewTreeWalker(tree, true, nil)
	defer walker.Close()
	blobs := map[string]plumbing.Hash{}
	for {
		name, entry, err := walker.Next()
		if errors.Is(err, io.EOF) {
			return blobs, nil
		}
		if err != nil {
			return nil, err
		}
		if entry.Mode != filemode.Dir && entry.Mode != filemode.Submodule {
			blobs[prefix+name] = entry.Hash
		}
	}
}

// hashed is the hash that git has for a file as it is: of a link, that of where it leads.
func hashed(path string, info os.FileInfo) (plumbing.Hash, error) {
	if info.Mode()&os.ModeSymlink != 0 {
		target, err := os.Readlink(path)
		return plumbing.ComputeHash(plumbing.BlobObject, []byte(target)), err
	}
	content, err := os.ReadFile(path)
	return plumbing.ComputeHash(plumbing.BlobObject, content), err
}
