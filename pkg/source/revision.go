package source

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// The bounds of a revision: how many entries it has below the directories that are read, how large a file may be, and how many
// links are followed one after the other.
const (
	maxEntries = 200_000
	maxBlob    = 16 << 20
	maxLinks   = 40
)

// Revision is a commit of a git repository, read from its object database: nothing is checked out, and no git binary is needed.
// It is safe for concurrent use.
type Revision struct {
	// Commit is its hash.
	Commit string

	// top is the directory of the working tree.
	top string
	// mu guards what git is asked: go-git's repository is not safe for concurrent reads.
	mu   sync.Mutex
	repo *git.Repository
	root *object.Tree
}

// ErrNoRevision says that a repository does not have a revision.
var ErrNoRevision = errors.New("there is no such revision")

// OpenRevision opens a revision (a branch, a tag, a commit or its beginning, HEAD~1) of the git repository around dir. The error
// is ErrNoRevision where it is not there; what it says ends in what to do.
func OpenRevision(dir, revision string) (*Revision, error) {
	repo, err := git.PlainOpenWithOptions(dir, &git.PlainOpenOptions{DetectDotGit: true, EnableDotGitCommonDir: true})
	if errors.Is(err, git.ErrRepositoryNotExists) {
		return nil, fmt.Errorf("%s is in no git repository, and a revision is one of git; compare with --against live or release", dir)
	}
	if err != nil {
		return nil, fmt.Errorf("opening the git repository: %w", err)
	}
	worktree, err := repo.Worktree()
	if err != nil {
		return nil, fmt.Errorf("opening the git repository: %w", err)
	}
	hash, err := repo.ResolveRevision(plumbing.Revision(revision))
	if err != nil {
		return nil, missing(repo, revision)
	}
	commit, err := repo.CommitObject(*hash)
	if err != nil {
		return nil, missing(repo, revision)
	}
	root, err := commit.Tree()
	if err != nil {
		return nil, fmt.Errorf("reading the files of revision %s: %w", revision, err)
	}
	return &Revision{Commit: hash.String(), top: worktree.Filesystem.Root(), repo: repo, root: root}, nil
}

// missing says that a revision is not there, and how to get it.
func missing(repo *git.Repository, revision string) error {
	hint := "`git log --oneline --all` shows those that are there"
	if shallow, err := repo.Storer.Shallow(); err == nil && len(shallow) > 0 {
		hint = fmt.Sprintf("the clone is shallow and does not reach back so far: git fetch --depth=1 origin %s, and name FETCH_HEAD; or git fetch --unshallow", revision)
	}
	return fmt.Errorf("%w: %s; %s", ErrNoRevision, revision, hint)
}

// Tree is a directory of the working tree as it was at the revision; its files are shown with prefix before their paths. Links that
// lead out of it are not followed. The error is fs.ErrNotExist where the revision does not have the directory, and another one
// where dir is not of the repository.
func (r *Revision) Tree(dir, prefix string) (Tree, error) {
	rel, err := r.rel(dir)
	if err != nil {
		return Tree{}, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	tree := r.root
	if rel != "." {
		if tree, err = r.root.Tree(rel); errors.Is(err, object.ErrDirectoryNotFound) || errors.Is(err, object.ErrEntryNotFound) {
			return Tree{}, fmt.Errorf("opening %s at revision %s: %w", rel, r.Commit, fs.ErrNotExist)
		}
		if err != nil {
			return Tree{}, fmt.Errorf("opening %s at revision %s: %w", rel, r.Commit, err)
		}
	}
	files := &blobs{revision: r, nodes: map[string]*node{}}
	if err := files.index(tree, "."); err != nil {
		return Tree{}, fmt.Errorf("reading %s at revision %s: %w", rel, r.Commit, err)
	}
	return Tree{FS: files, Prefix: prefix}, nil
}

// rel is a directory of the working tree as seen from its top.
func (r *Revision) rel(dir string) (string, error) {
	top, err := filepath.EvalSymlinks(r.top)
	if err != nil {
		return "", fmt.Errorf("opening the git repository: %w", err)
	}
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		dir = real // a directory that was there once may not be there now
	}
	rel, err := filepath.Rel(top, dir)
	if err != nil || !filepath.IsLocal(rel) {
		return "", fmt.Errorf("%s is outside of the git repository %s, which has no older version of it", dir, r.top)
	}
	return filepath.ToSlash(rel), nil
}

// maxPath is the longest path of a revision, and the longest target of a link, in bytes: that of Linux. Directories in directories of a
// hostile commit would otherwise take the square of their number in memory.
const maxPath = 4096

// blobs is a directory of a commit as a file system.
type blobs struct {
	revision *Revision
	nodes    map[string]*node
}

// node is a file or a directory of a commit.
type node struct {
	name     string
	mode     fs.FileMode
	hash     plumbing.Hash
	children []fs.DirEntry
}

// index reads the names of all that is in a tree. The caller has the lock.
func (b *blobs) index(tree *object.Tree, at string) error {
	dir := &node{name: path.Base(at), mode: fs.ModeDir | 0o555}
	b.nodes[at] = dir
	for _, e := range tree.Entries {
		full := path.Join(at, e.Name)
		switch {
		case e.Name == "" || e.Name == "." || e.Name == ".." || strings.ContainsAny(e.Name, "/\\\x00"):
			return fmt.Errorf("the entry %q is no name of a file", e.Name)
		case len(full) > maxPath:
			return fmt.Errorf("a path in it has more than %d bytes", maxPath)
		case b.nodes[full] != nil:
			return fmt.Errorf("the entry %s is there twice", full)
		case len(b.nodes) >= maxEntries:
			return fmt.Errorf("it has more than %d entries", maxEntries)
		}
		n := &node{name: e.Name, hash: e.Hash}
		switch e.Mode {
		case filemode.Dir:
			sub, err := b.revision.repo.TreeObject(e.Hash)
			if err != nil {
				return fmt.Errorf("%s: %w", full, err)
			}
			if err := b.index(sub, full); err != nil {
				return err
			}
			n = b.nodes[full]
		case filemode.Symlink:
			n.mode = fs.ModeSymlink | 0o444
		case filemode.Submodule:
			continue // its files are another repository's
		default:
			n.mode = 0o444
		}
		b.nodes[full] = n
		dir.children = append(dir.children, entry{b, full, n})
	}
	slices.SortFunc(dir.children, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return nil
}

// find follows a name to its node, links on the way.
func (b *blobs) find(op, name string) (string, *node, error) {
	if !fs.ValidPath(name) {
		return "", nil, &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	at, rest := ".", strings.Split(name, "/")
	for links := 0; len(rest) > 0; {
		next := path.Join(at, rest[0])
		rest = rest[1:]
		if next == ".." || strings.HasPrefix(next, "../") {
			return "", nil, &fs.PathError{Op: op, Path: name, Err: errors.New("a link leads out of the directory")}
		}
		n, ok := b.nodes[next]
		if !ok {
			return "", nil, &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist}
		}
		if n.mode&fs.ModeSymlink == 0 {
			at = next
			continue
		}
		if links++; links > maxLinks {
			return "", nil, &fs.PathError{Op: op, Path: name, Err: errors.New("too many links")}
		}
		target, err := b.read(n)
		if err != nil {
			return "", nil, &fs.PathError{Op: op, Path: name, Err: err}
		}
		if len(target) > maxPath {
			return "", nil, &fs.PathError{Op: op, Path: name, Err: errors.New("a link is too long")}
		}
		if path.IsAbs(string(target)) {
			return "", nil, &fs.PathError{Op: op, Path: name, Err: errors.New("a link leads out of the directory")}
		}
		rest = append(strings.Split(string(target), "/"), rest...)
	}
	return at, b.nodes[at], nil
}

// read returns the content of a file, or where a link leads.
func (b *blobs) read(n *node) ([]byte, error) {
	b.revision.mu.Lock()
	defer b.revision.mu.Unlock()
	blob, err := b.revision.repo.BlobObject(n.hash)
	if err != nil {
		return nil, err
	}
	if blob.Size > maxBlob {
		return nil, fmt.Errorf("it has more than %d MiB", maxBlob>>20)
	}
	r, err := blob.Reader()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

// Open implements fs.FS.
func (b *blobs) Open(name string) (fs.File, error) {
	_, n, err := b.find("open", name)
	if err != nil {
		return nil, err
	}
	if n.mode.IsDir() {
		return &openTree{overlayRoot: overlayRoot{entries: n.children}, node: n}, nil
	}
	text, err := b.read(n)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	return &openBlob{Reader: bytes.NewReader(text), node: n, size: int64(len(text))}, nil
}

// ReadFile implements fs.ReadFileFS.
func (b *blobs) ReadFile(name string) ([]byte, error) {
	_, n, err := b.find("open", name)
	if err != nil {
		return nil, err
	}
	if n.mode.IsDir() {
		return nil, &fs.PathError{Op: "read", Path: name, Err: errors.New("is a directory")}
	}
	text, err := b.read(n)
	if err != nil {
		return nil, &fs.PathError{Op: "read", Path: name, Err: err}
	}
	return text, nil
}

// ReadDir implements fs.ReadDirFS.
func (b *blobs) ReadDir(name string) ([]fs.DirEntry, error) {
	_, n, err := b.find("readdir", name)
	if err != nil {
		return nil, err
	}
	if !n.mode.IsDir() {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: errors.New("is no directory")}
	}
	return slices.Clone(n.children), nil
}

// Stat implements fs.StatFS.
func (b *blobs) Stat(name string) (fs.FileInfo, error) {
	_, n, err := b.find("stat", name)
	if err != nil {
		return nil, err
	}
	if n.mode.IsDir() {
		return blobInfo{node: n}, nil
	}
	return b.sized("stat", name, n)
}

// sized describes a file.
func (b *blobs) sized(op, name string, n *node) (fs.FileInfo, error) {
	b.revision.mu.Lock()
	defer b.revision.mu.Unlock()
	size, err := b.revision.repo.Storer.EncodedObjectSize(n.hash)
	if err != nil {
		return nil, &fs.PathError{Op: op, Path: name, Err: err}
	}
	return blobInfo{node: n, size: size}, nil
}

// openTree is an opened directory of a commit.
type openTree struct {
	overlayRoot
	node *node
}

func (d *openTree) Stat() (fs.FileInfo, error) { return blobInfo{node: d.node}, nil }

// openBlob is an opened file of a commit.
type openBlob struct {
	*bytes.Reader
	node *node
	size int64
}

func (f *openBlob) Stat() (fs.FileInfo, error) { return blobInfo{node: f.node, size: f.size}, nil }
func (*openBlob) Close() error                 { return nil }

// blobInfo describes a file of a commit.
type blobInfo struct {
	node *node
	size int64
}

func (i blobInfo) Name() string       { return i.node.name }
func (i blobInfo) Size() int64        { return i.size }
func (i blobInfo) Mode() fs.FileMode  { return i.node.mode }
func (i blobInfo) ModTime() time.Time { return time.Time{} }
func (i blobInfo) IsDir() bool        { return i.node.mode.IsDir() }
func (blobInfo) Sys() any             { return nil }

// entry is a file in a listed directory.
type entry struct {
	files *blobs
	path  string
	node  *node
}

func (e entry) Name() string      { return e.node.name }
func (e entry) IsDir() bool       { return e.node.mode.IsDir() }
func (e entry) Type() fs.FileMode { return e.node.mode.Type() }

// Info describes the entry itself, also where it is a link.
func (e entry) Info() (fs.FileInfo, error) {
	if e.node.mode.IsDir() {
		return blobInfo{node: e.node}, nil
	}
	return e.files.sized("stat", e.path, e.node)
}
