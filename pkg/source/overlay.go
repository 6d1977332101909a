package source

import (
	"errors"
	"io"
	"io/fs"
	"slices"
	"strings"
	"time"
)

// Overlay joins file systems into one tree, each under the name of a top-level directory: the folders that the binary
// carries, as one stack.
func Overlay(prefix string, dirs map[string]fs.FS) Tree {
	return Tree{FS: overlay(dirs), Prefix: prefix}
}

// overlay maps the first segment of a path to the file system that holds the rest.
type overlay map[string]fs.FS

// Open implements fs.FS.
func (o overlay) Open(name string) (fs.File, error) {
	if name == "." {
		return &overlayRoot{entries: o.entries()}, nil
	}
	sub, rest, err := o.split("open", name)
	if err != nil {
		return nil, err
	}
	f, err := sub.Open(rest)
	if err != nil {
		return nil, renamed(err, name)
	}
	if dir, ok := f.(fs.ReadDirFile); ok && rest == "." {
		return partRoot{ReadDirFile: dir, name: dirInfo(name)}, nil
	}
	return f, nil
}

// partRoot is the root of a part under its name in the whole.
type partRoot struct {
	fs.ReadDirFile
	name dirInfo
}

func (p partRoot) Stat() (fs.FileInfo, error) { return p.name, nil }

// ReadFile implements fs.ReadFileFS.
func (o overlay) ReadFile(name string) ([]byte, error) {
	if name == "." {
		return nil, &fs.PathError{Op: "read", Path: name, Err: errors.New("is a directory")}
	}
	sub, rest, err := o.split("open", name)
	if err != nil {
		return nil, err
	}
	text, err := fs.ReadFile(sub, rest)
	return text, renamed(err, name)
}

// ReadDir implements fs.ReadDirFS.
func (o overlay) ReadDir(name string) ([]fs.DirEntry, error) {
	if name == "." {
		return o.entries(), nil
	}
	sub, rest, err := o.split("readdir", name)
	if err != nil {
		return nil, err
	}
	entries, err := fs.ReadDir(sub, rest)
	return entries, renamed(err, name)
}

func (o overlay) split(op, name string) (sub fs.FS, rest string, err error) {
	if !fs.ValidPath(name) {
		return nil, "", &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	top, rest, deeper := strings.Cut(name, "/")
	if !deeper {
		rest = "."
	}
	sub, ok := o[top]
	if !ok {
		return nil, "", &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist}
	}
	return sub, rest, nil
}

// renamed gives an error of a part the name that the caller asked for.
func renamed(err error, name string) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return &fs.PathError{Op: p.Op, Path: name, Err: p.Err}
	}
	return err
}

func (o overlay) entries() []fs.DirEntry {
	names := make([]string, 0, len(o))
	for name := range o {
		names = append(names, name)
	}
	slices.Sort(names)
	entries := make([]fs.DirEntry, len(names))
	for i, name := range names {
		entries[i] = fs.FileInfoToDirEntry(dirInfo(name))
	}
	return entries
}

// overlayRoot is the root directory, opened.
type overlayRoot struct {
	entries []fs.DirEntry
	next    int
}

func (r *overlayRoot) Stat() (fs.FileInfo, error) { return dirInfo("."), nil }
func (r *overlayRoot) Close() error               { return nil }
func (r *overlayRoot) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: ".", Err: errors.New("is a directory")}
}

// ReadDir implements fs.ReadDirFile.
func (r *overlayRoot) ReadDir(n int) ([]fs.DirEntry, error) {
	left := r.entries[r.next:]
	if n <= 0 {
		r.next = len(r.entries)
		return left, nil
	}
	if len(left) == 0 {
		return nil, io.EOF
	}
	left = left[:min(n, len(left))]
	r.next += len(left)
	return left, nil
}

// dirInfo describes a top-level directory. A part's own root is called "." by its file system, hence our own.
type dirInfo string

func (d dirInfo) Name() string     { return string(d) }
func (dirInfo) Size() int64        { return 0 }
func (dirInfo) Mode() fs.FileMode  { return fs.ModeDir | 0o555 }
func (dirInfo) ModTime() time.Time { return time.Time{} }
func (dirInfo) IsDir() bool        { return true }
func (dirInfo) Sys() any           { return nil }
