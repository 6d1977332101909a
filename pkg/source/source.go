// Package source opens a values repository or a stack as a file system.
//
// It is a door: the only room that reads directories. What it hands out is an fs.FS that no link leads out of, together
// with the name its files are shown by. It does not know what is in the files.
package source

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Tree is a directory to read: its files, and what is put before their paths when they are shown to the user.
type Tree struct {
	FS fs.FS
	// Prefix is the path of the directory as the user knows it, with its trailing slash; "" for the working directory,
	// "builtin:" for the stack in the binary.
	Prefix string
}

// Display returns the name by which the file at path is shown, and under which its text stands in diag.Sources.
func (t Tree) Display(path string) string { return t.Prefix + path }

// Open opens the directory dir; its files are shown with prefix before their paths. Links that lead out of dir are not
// followed: opening such a file fails. The caller closes the closer when it has read all it wants.
func Open(dir, prefix string) (Tree, io.Closer, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return Tree{}, nil, fmt.Errorf("opening directory %s: %w", dir, err)
	}
	return Tree{FS: root.FS(), Prefix: prefix}, root, nil
}

// ReadFile reads a file that the user named, wherever it is and whatever link leads to it, up to max bytes and one more:
// a longer text is for the caller to refuse. A directory is an error.
func ReadFile(path string, max int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading a file: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, max+1))
	if err != nil {
		return nil, fmt.Errorf("reading a file: %w", err)
	}
	return text, nil
}

// Find walks up from dir to the nearest directory that is a values repository: one with a file otomi.yaml or a directory
// env. It returns found false where there is none up to the root of the file system.
func Find(dir string) (root string, found bool, err error) {
	dir, err = filepath.Abs(dir)
	if err != nil {
		return "", false, fmt.Errorf("finding the values repository: %w", err)
	}
	for {
		file, err := stat(filepath.Join(dir, "otomi.yaml"))
		if err != nil {
			return "", false, err
		}
		env, err := stat(filepath.Join(dir, "env"))
		if err != nil {
			return "", false, err
		}
		if file != nil && !file.IsDir() || env != nil && env.IsDir() {
			return dir, true, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", false, nil
		}
		dir = parent
	}
}

// stat returns nil without an error where nothing is there, or where we may not look: a parent directory that belongs to
// someone else is no repository of ours.
func stat(path string) (fs.FileInfo, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("finding the values repository: %w", err)
	}
	return info, nil
}
