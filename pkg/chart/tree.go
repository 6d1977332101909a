package chart

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/storage/memory"
)

// maxLinks is how many links lead from one name to a file.
const maxLinks = 16

// gitTree are the files of a directory in git. Links within it are followed; those that lead out of it, and other
// repositories in it, and files whose content is in Git LFS, can't be read.
type gitTree struct {
	// mu guards the tree, which git's library indexes when it is first looked into.
	mu      sync.Mutex
	objects *memory.Storage
	root    *object.Tree
}

var (
	errLeadsOut = errors.New("a link that leads out of the repository")
	errLFS      = errors.New("its content is in Git LFS, which is not fetched; commit the file itself")
)

// pointer begins what git has of a file whose content is in Git LFS, and the file is no larger than maxPointer bytes
// (git-lfs, docs/spec.md).
const (
	pointer    = "version https://git-lfs.github.com/spec/v1\n"
	maxPointer = 1 << 10
)

// Open implements fs.FS.
func (g *gitTree) Open(name string) (fs.File, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrInvalid}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	f, err := g.open(name, maxLinks)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	return f, nil
}

func (g *gitTree) open(name string, links int) (fs.File, error) {
	if name == "." {
		return g.dir(g.root, ".")
	}
	tree, at := g.root, ""
	steps := strings.Split(name, "/")
	for i, step := range steps {
		e, err := tree.FindEntry(step)
		if err != nil {
			return nil, fs.ErrNotExist
		}
		last := i == len(steps)-1
		switch e.Mode {
		case filemode.Dir:
			if tree, err = object.GetTree(g.objects, e.Hash); err != nil {
				return nil, fmt.Errorf("reading it from git: %w", err)
			}
			if last {
				return g.dir(tree, step)
			}
		case filemode.Symlink:
			to, err := g.blob(e, maxName)
			if err != nil {
				return nil, err
			}
			target := path.Join(at, string(to), path.Join(steps[i+1:]...))
			if links == 0 || !fs.ValidPath(target) || path.IsAbs(string(to)) {
				return nil, errLeadsOut
			}
			return g.open(target, links-1)
		case filemode.Regular, filemode.Executable, filemode.Deprecated:
			if !last {
				return nil, fs.ErrNotExist
			}
			data, err := g.blob(e, maxDownload)
			if err != nil {
				return nil, err
			}
			if len(data) <= maxPointer && bytes.HasPrefix(data, []byte(pointer)) {
				return nil, errLFS
			}
			return &openFile{info{step, int64(len(data)), 0o444}, bytes.NewReader(data)}, nil
		default:
			return nil, errors.New("another repository, which is not fetched")
		}
		at = path.Join(at, step)
	}
	return nil, fs.ErrNotExist
}

// blob reads a file of at most most bytes.
func (g *gitTree) blob(e *object.TreeEntry, most int64) ([]byte, error) {
	blob, err := object.GetBlob(g.objects, e.Hash)
	if err != nil {
		return nil, fmt.Errorf("reading it from git: %w", err)
	}
	if blob.Size > most {
		return nil, fmt.Errorf("it has more than %d bytes", most)
	}
	r, err := blob.Reader()
	if err != nil {
		return nil, fmt.Errorf("reading it from git: %w", err)
	}
	defer r.Close()
	return io.ReadAll(r)
}

func (g *gitTree) dir(tree *object.Tree, name string) (fs.File, error) {
	d := &openDir{info: info{name, 0, fs.ModeDir | 0o555}}
	for _, e := range tree.Entries {
		if e.Name == "." || !fs.ValidPath(e.Name) || strings.Contains(e.Name, "/") {
			continue // no file can be of that name
		}
		entry := info{name: e.Name, mode: 0o444}
		switch e.Mode {
		case filemode.Dir:
			entry.mode = fs.ModeDir | 0o555
		case filemode.Symlink:
			entry.mode = fs.ModeSymlink | 0o444
		case filemode.Submodule:
			continue
		}
		if entry.mode.IsRegular() {
			entry.size, _ = g.objects.EncodedObjectSize(e.Hash) // one that was not sent can't be opened either
		}
		d.entries = append(d.entries, fs.FileInfoToDirEntry(entry))
	}
	slices.SortFunc(d.entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return d, nil
}

// oneFile is a directory with one file.
type oneFile struct {
	name string
	data []byte
}

// Open implements fs.FS.
func (o oneFile) Open(name string) (fs.File, error) {
	file := info{o.name, int64(len(o.data)), 0o444}
	switch {
	case !fs.ValidPath(name):
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrInvalid}
	case name == ".":
		return &openDir{info{".", 0, fs.ModeDir | 0o555}, []fs.DirEntry{fs.FileInfoToDirEntry(file)}}, nil
	case name == o.name:
		return &openFile{file, bytes.NewReader(o.data)}, nil
	}
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}

// openFile is a file that was read.
type openFile struct {
	info info
	*bytes.Reader
}

func (f *openFile) Stat() (fs.FileInfo, error) { return f.info, nil }
func (*openFile) Close() error                 { return nil }

// openDir is a directory whose entries were read.
type openDir struct {
	info    info
	entries []fs.DirEntry
}

func (d *openDir) Stat() (fs.FileInfo, error) { return d.info, nil }
func (*openDir) Close() error                 { return nil }
func (d *openDir) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: d.info.name, Err: errors.New("is a directory")}
}

// ReadDir implements fs.ReadDirFile.
func (d *openDir) ReadDir(n int) ([]fs.DirEntry, error) {
	out := d.entries
	if n > 0 {
		if len(out) == 0 {
			return nil, io.EOF
		}
		out = out[:min(n, len(out))]
	}
	d.entries = d.entries[len(out):]
	return out, nil
}

// info describes a file that is in no file system.
type info struct {
	name string
	size int64
	mode fs.FileMode
}

func (i info) Name() string      { return i.name }
func (i info) Size() int64       { return i.size }
func (i info) Mode() fs.FileMode { return i.mode }
func (info) ModTime() time.Time  { return time.Time{} }
func (i info) IsDir() bool       { return i.mode.IsDir() }
func (info) Sys() any            { return nil }
