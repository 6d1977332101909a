package transform

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// The bounds of one kustomization with all that it refers to. A file counts each time it is read, so that bases which
// name one base several times, and this one others, come to an end.
const (
	maxFile  = 5 << 20
	maxBytes = 64 << 20
	maxReads = 4_000
)

// Where the files of a tree, and what we write ourselves, are for kustomize.
const (
	treeRoot    = "/tree"
	overlayRoot = "/overlay"
)

// tree is the file system that kustomize sees: an fs.FS that it can only read, below treeRoot, and files in memory. What it reads
// passes through check.
type tree struct {
	filesys.FileSystem
	ctx   context.Context
	files fs.FS
	// check returns what kustomize reads of a file, or the error that makes it stop.
	check func(name string, text []byte) ([]byte, error)
	// failed is the first error of check or of a bound: what kustomize makes of it is of no use.
	failed error
	bytes  int
	reads  int
}

func newTree(ctx context.Context, files fs.FS) *tree {
	return &tree{FileSystem: filesys.MakeFsInMemory(), ctx: ctx, files: files}
}

// inside returns the name in files of a path of kustomize's, and whether it is one.
func inside(name string) (string, bool) {
	name = path.Clean(name)
	if name == treeRoot {
		return ".", true
	}
	return strings.CutPrefix(name, treeRoot+"/")
}

func (t *tree) stat(name string) fs.FileInfo {
	info, err := fs.Stat(t.files, name)
	if err != nil {
		return nil
	}
	return info
}

func (t *tree) IsDir(name string) bool {
	if in, ok := inside(name); ok {
		info := t.stat(in)
		return info != nil && info.IsDir()
	}
	return t.FileSystem.IsDir(name)
}

func (t *tree) Exists(name string) bool {
	if in, ok := inside(name); ok {
		return t.stat(in) != nil
	}
	return t.FileSystem.Exists(name)
}

func (t *tree) CleanedAbs(name string) (filesys.ConfirmedDir, string, error) {
	in, ok := inside(name)
	if !ok {
		return t.FileSystem.CleanedAbs(name)
	}
	switch info := t.stat(in); {
	case info == nil:
		return "", "", fmt.Errorf("there is no %s", in)
	case info.IsDir():
		return filesys.ConfirmedDir(path.Clean(name)), "", nil
	}
	name = path.Clean(name)
	return filesys.ConfirmedDir(path.Dir(name)), path.Base(name), nil
}

func (t *tree) ReadDir(name string) ([]string, error) {
	in, ok := inside(name)
	if !ok {
		return t.FileSystem.ReadDir(name)
	}
	entries, err := fs.ReadDir(t.files, in)
	if err != nil {
		return nil, fmt.Errorf("reading the directory %s: %w", in, err)
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names, nil
}

func (t *tree) Glob(pattern string) ([]string, error) {
	in, ok := inside(pattern)
	if !ok {
		return t.FileSystem.Glob(pattern)
	}
	names, err := fs.Glob(t.files, in)
	if err != nil {
		return nil, fmt.Errorf("looking for %s: %w", in, err)
	}
	for i, name := range names {
		names[i] = path.Join(treeRoot, name)
	}
	return names, nil
}

func (t *tree) ReadFile(name string) ([]byte, error) {
	in, ok := inside(name)
	if !ok {
		return t.FileSystem.ReadFile(name)
	}
	if t.failed != nil {
		return nil, t.failed
	}
	text, err := t.read(in)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			t.failed = err
		}
		return nil, err
	}
	if t.check == nil {
		return text, nil
	}
	if text, err = t.check(in, text); err != nil {
		t.failed = err
	}
	return text, err
}

// read reads a file within the bounds.
func (t *tree) read(name string) ([]byte, error) {
	if err := t.ctx.Err(); err != nil {
		return nil, err
	}
	info, err := fs.Stat(t.files, name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no file: %w", name, fs.ErrNotExist)
	}
	f, err := t.files.Open(name)
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", name, err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	t.reads++
	t.bytes += len(text)
	switch {
	case len(text) > maxFile:
		return nil, refusal{name, fmt.Sprintf("the file has more than %d MiB. Make it smaller", maxFile>>20)}
	case t.reads > maxReads || t.bytes > maxBytes:
		return nil, refusal{name, fmt.Sprintf("the kustomization and all that it refers to are more than %d files or %d MiB, each counted as "+
			"often as it is referred to. Refer to fewer bases", maxReads, maxBytes>>20)}
	}
	return text, nil
}

// The rest is for writers, of which kustomize's own is none.

var errReadOnly = errors.New("the tree is read-only")

func (t *tree) Open(name string) (filesys.File, error) {
	if _, ok := inside(name); ok {
		return nil, errReadOnly
	}
	return t.FileSystem.Open(name)
}

// kustomizationNames are the names of a kustomization's file, by kustomize's preference (api/konfig).
var kustomizationNames = []string{"kustomization.yaml", "kustomization.yml", "Kustomization"}

// isKustomization reports whether a path is that of a kustomization's file.
func isKustomization(name string) bool { return slices.Contains(kustomizationNames, path.Base(name)) }

// refusal is a file of the user's that is not what it may be. detail says why and what to do, without the last period.
type refusal struct{ file, detail string }

func (r refusal) Error() string { return r.file + ": " + r.detail }
