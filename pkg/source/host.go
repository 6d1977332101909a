package source

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/redkubes/otomi/pkg/template"
)

// maxRead bounds a file that is read through a Host, in bytes.
const maxRead = 16 << 20

// Host are the files of this machine as state files name them: by paths seen from a directory, with slashes. It is a
// template.Files.
type Host struct {
	// dir is where names are seen from, and around the directory that is worked on.
	dir, around string
	root        *os.Root
	// named are files that may be read wherever they are.
	named map[string]bool
}

// OpenHost returns the files that are seen from the absolute directory dir. Where all is false only those in the directory root
// can be read, and no link leads out of it. The caller closes it.
func OpenHost(dir, root string, all bool) (*Host, error) {
	h := &Host{dir: dir, around: root}
	if all {
		return h, nil
	}
	var err error
	if h.root, err = os.OpenRoot(root); err != nil {
		return nil, fmt.Errorf("opening directory %s: %w", root, err)
	}
	return h, nil
}

// Worked is the directory that is worked on for a state file: dir where the file is in it, else the repository around the file,
// else the directory of the file. Files outside of it are not read without a permission.
func Worked(dir, file string) string {
	if file == "" || file == "-" {
		return dir
	}
	at := file
	if !filepath.IsAbs(at) {
		at = filepath.Join(dir, file)
	}
	if rel, err := filepath.Rel(dir, at); err == nil && filepath.IsLocal(rel) {
		return dir
	}
	place := filepath.Dir(at)
	for around := place; ; around = filepath.Dir(around) {
		if _, err := os.Stat(filepath.Join(around, ".git")); err == nil {
			return around
		}
		if around == filepath.Dir(around) {
			return place
		}
	}
}

// Name lets a file be read wherever it is: the user named it. It is called before the files are read.
func (h *Host) Name(name string) {
	if h.named == nil {
		h.named = map[string]bool{}
	}
	h.named[h.Abs(name)] = true
}

// Close releases the directory.
func (h *Host) Close() error {
	if h.root == nil {
		return nil
	}
	return h.root.Close()
}

// Abs returns where a file is.
func (h *Host) Abs(name string) string {
	if path.IsAbs(name) {
		return filepath.FromSlash(path.Clean(name))
	}
	return filepath.Join(h.dir, filepath.FromSlash(name))
}

// Root is the directory that is worked on.
func (h *Host) Root() string { return h.around }

// Seat returns a directory to open and the path in it, with slashes, of what name means: Root, or where that is outside of
// it the root of the file system. Where it may not be read it is a refusal. Links are followed where all may be read.
func (h *Host) Seat(name string) (root, inside string, err error) {
	at := h.Abs(name)
	if h.root != nil {
		inside, err := h.inside(name, at)
		return h.around, filepath.ToSlash(inside), err
	}
	around := h.around
	if real, err := filepath.EvalSymlinks(at); err == nil {
		at = real
		if real, err := filepath.EvalSymlinks(around); err == nil {
			around = real
		}
	}
	if rel, err := filepath.Rel(around, at); err == nil && filepath.IsLocal(rel) {
		return h.around, filepath.ToSlash(rel), nil
	}
	top := filepath.VolumeName(at) + string(filepath.Separator)
	rel, err := filepath.Rel(top, at)
	return top, filepath.ToSlash(rel), err
}

// ReadFile reads a file of at most 16 MiB.
func (h *Host) ReadFile(name string) ([]byte, error) {
	f, err := h.open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxRead+1))
	if err == nil && len(text) > maxRead {
		err = fmt.Errorf("it has more than %d MiB", maxRead>>20)
	}
	if err != nil {
		return nil, &fs.PathError{Op: "read", Path: name, Err: bare(err)}
	}
	return text, nil
}

// ReadDir returns the entries of a directory by name.
func (h *Host) ReadDir(name string) ([]fs.DirEntry, error) {
	f, err := h.open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	entries, err := f.ReadDir(-1)
	if err != nil {
		return nil, &fs.PathError{Op: "read", Path: name, Err: bare(err)}
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return entries, nil
}

// Stat describes a file, following links.
func (h *Host) Stat(name string) (fs.FileInfo, error) {
	at := h.Abs(name)
	if h.root == nil || h.named[at] {
		info, err := os.Stat(at)
		return info, renamed(err, name)
	}
	inside, err := h.inside(name, at)
	if err != nil {
		return nil, err
	}
	info, err := h.root.Stat(inside)
	return info, h.refused(err, name)
}

func (h *Host) open(name string) (*os.File, error) {
	at := h.Abs(name)
	if h.root == nil || h.named[at] {
		f, err := os.Open(at)
		return f, renamed(err, name)
	}
	inside, err := h.inside(name, at)
	if err != nil {
		return nil, err
	}
	f, err := h.root.Open(inside)
	return f, h.refused(err, name)
}

// inside returns the path of a file as seen from the root, or the refusal of one that is not in it.
func (h *Host) inside(name, at string) (string, error) {
	rel, err := filepath.Rel(h.root.Name(), at)
	if err != nil || !filepath.IsLocal(rel) {
		return "", outside(name)
	}
	return rel, nil
}

// refused gives an error its name, and makes a refusal of that of a link that leads out.
func (h *Host) refused(err error, name string) error {
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrPermission) && strings.Contains(err.Error(), "escapes from parent") {
		// os.Root has no error of its own for this (os/root.go, errPathEscapes is unexported).
		return outside(name)
	}
	return renamed(err, name)
}

func outside(name string) error {
	return template.Forbid(fmt.Sprintf("%s is outside of the directory that is worked on, which a file may only read where you allow it. "+
		"Allow it: --allow files", name))
}

func bare(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// Inside returns the files of a file system as state files name them. Paths that lead out of it are refused.
func Inside(fsys fs.FS) template.Files { return inside{fsys} }

type inside struct{ fs.FS }

func (f inside) ReadFile(name string) ([]byte, error) {
	if !fs.ValidPath(name) {
		return nil, noWay(name)
	}
	file, err := f.Open(name)
	if err != nil {
		return nil, renamed(err, name)
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxRead+1))
	if err == nil && len(text) > maxRead {
		err = fmt.Errorf("it has more than %d MiB", maxRead>>20)
	}
	if err != nil {
		return nil, &fs.PathError{Op: "read", Path: name, Err: bare(err)}
	}
	return text, nil
}

func (f inside) ReadDir(name string) ([]fs.DirEntry, error) {
	if !fs.ValidPath(name) {
		return nil, noWay(name)
	}
	return fs.ReadDir(f.FS, name)
}

func (f inside) Stat(name string) (fs.FileInfo, error) {
	if !fs.ValidPath(name) {
		return nil, noWay(name)
	}
	return fs.Stat(f.FS, name)
}

func noWay(name string) error {
	return template.Forbid(fmt.Sprintf("%s is outside of the stack, and a file of a stack reads no other. Put what it needs into the stack.", name))
}
