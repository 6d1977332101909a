package chart

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/redkubes/otomi/pkg/diag"
	"helm.sh/helm/v3/pkg/ignore"
)

// readDir returns the files of the chart in the directory root as Helm's loader.LoadDir reads them: without what .helmignore
// names, without byte order marks, through links, in the order of its walk: folder by folder, by name. The order of CRDs
// follows from it. A link that leads out of the tree or back to where it is, is refused.
func readDir(fsys fs.FS, root string, left *budget) ([]File, error) {
	rules, err := ignored(fsys, root)
	if err != nil {
		return nil, err
	}
	w := walk{fsys: fsys, root: root, rules: rules, left: left}
	top, err := fs.Stat(fsys, root)
	if err != nil {
		return nil, fmt.Errorf("looking at %s: %w", root, err)
	}
	if err := w.dir("", []fs.FileInfo{top}); err != nil {
		return nil, err
	}
	return expand(w.files, left, 0)
}

// walk is one reading of a directory.
type walk struct {
	fsys  fs.FS
	root  string
	rules *ignore.Rules
	left  *budget
	files []File
}

// dir reads the directory name of the chart. Its own info and those of the directories above it are in above.
func (w *walk) dir(name string, above []fs.FileInfo) error {
	if len(above) > maxDepth {
		return over(name, "%s is more than %d directories deep. Move it up, or name it in .helmignore.", name, maxDepth)
	}
	entries, err := fs.ReadDir(w.fsys, path.Join(w.root, name))
	if err != nil {
		return fmt.Errorf("reading the directory %s: %w", path.Join(w.root, name), err)
	}
	for _, e := range entries {
		if err := w.entry(path.Join(name, e.Name()), e, above); err != nil {
			return err
		}
	}
	return nil
}

func (w *walk) entry(name string, e fs.DirEntry, above []fs.FileInfo) error {
	isLink := e.Type()&fs.ModeSymlink != 0
	info, err := fs.Stat(w.fsys, path.Join(w.root, name))
	if err != nil && isLink {
		if w.rules.Ignore(name, pathInfo{name: e.Name()}) {
			return nil
		}
		return illegal(name, "%s is a link that leads out of the tree of the chart, or to nothing. "+
			"Replace it by a copy of what it stands for, or name it in .helmignore.", name)
	}
	if err != nil {
		return fmt.Errorf("looking at %s: %w", path.Join(w.root, name), err)
	}
	if w.rules.Ignore(name, info) {
		return nil
	}
	if err := w.left.entry(); err != nil {
		return err
	}
	switch {
	case info.IsDir():
		if isLink && slices.ContainsFunc(above, func(a fs.FileInfo) bool { return os.SameFile(a, info) }) {
			return illegal(name, "%s is a link to a directory that it is in, so that the chart would have no end. "+
				"Remove it, or name it in .helmignore.", name)
		}
		return w.dir(name, append(slices.Clip(above), info))
	case !info.Mode().IsRegular():
		return illegal(name, "%s is not a regular file, and a chart is made of files. "+
			"Replace it by a copy of what it stands for, or name it in .helmignore.", name)
	case info.Size() > maxFile:
		return tooLarge(name)
	}
	data, err := readRegular(w.fsys, path.Join(w.root, name), maxFile)
	if errors.Is(err, errLarge) {
		return tooLarge(name)
	}
	if err != nil {
		return err
	}
	if err := w.left.take(len(data)); err != nil {
		return err
	}
	w.files = append(w.files, File{Name: name, Data: bytes.TrimPrefix(data, utf8BOM)})
	return nil
}

// ignored returns the rules of .helmignore, and Helm's own.
func ignored(fsys fs.FS, root string) (*ignore.Rules, error) {
	text, err := readFile(fsys, path.Join(root, ignore.HelmIgnore), maxFile)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return rules(nil)
	case errors.Is(err, errLarge):
		return nil, tooLarge(ignore.HelmIgnore)
	case errors.Is(err, errIrregular):
		return nil, illegal(ignore.HelmIgnore, "%s is not a regular file. Replace it by one.", ignore.HelmIgnore)
	case err != nil:
		return nil, err
	}
	return rules(text)
}

func rules(text []byte) (*ignore.Rules, error) {
	parsed, err := ignore.Parse(bytes.NewReader(text))
	if err != nil {
		return nil, refusal{diag.ChartInvalid, ignore.HelmIgnore,
			fmt.Sprintf("%v. Helm's rules know neither ** nor a comment behind a pattern; correct the line.", err)}
	}
	parsed.AddDefaults()
	return parsed, nil
}

// asDirectory returns those of the files, a directory of a git repository, that Helm would read, in its order. Nothing is
// done to their bytes.
func asDirectory(files []File, left *budget) ([]File, error) {
	var text []byte
	for _, f := range files {
		if f.Name == ignore.HelmIgnore {
			text = f.Data
		}
	}
	rules, err := rules(text)
	if err != nil {
		return nil, err
	}
	var out []File
	for _, f := range files {
		hidden := rules.Ignore(f.Name, pathInfo{name: path.Base(f.Name)})
		for i, c := range f.Name {
			hidden = hidden || c == '/' && rules.Ignore(f.Name[:i], pathInfo{name: path.Base(f.Name[:i]), dir: true})
		}
		if hidden {
			continue
		}
		if len(f.Data) > maxFile {
			return nil, tooLarge(f.Name)
		}
		if err := errors.Join(left.entry(), left.take(len(f.Data))); err != nil {
			return nil, err
		}
		out = append(out, File{Name: f.Name, Data: f.Data})
	}
	slices.SortFunc(out, func(a, b File) int { return walkOrder(a.Name, b.Name) })
	return out, nil
}

// walkOrder compares paths as a walk meets them: directory by directory, by name.
func walkOrder(a, b string) int {
	return slices.CompareFunc(strings.Split(a, "/"), strings.Split(b, "/"), cmp.Compare[string])
}

// pathInfo is all that the rules of .helmignore ask of a file that is not on a disk.
type pathInfo struct {
	name string
	dir  bool
}

func (p pathInfo) Name() string     { return p.name }
func (pathInfo) Size() int64        { return 0 }
func (pathInfo) ModTime() time.Time { return time.Time{} }
func (p pathInfo) IsDir() bool      { return p.dir }
func (pathInfo) Sys() any           { return nil }

func (p pathInfo) Mode() fs.FileMode {
	if p.dir {
		return fs.ModeDir | 0o755
	}
	return 0o644
}

// errLarge says that a file is over the limit that it is read with.
var errLarge = errors.New("file too large")

var errIrregular = errors.New("it is not a regular file")

// readFile reads a file of at most so many bytes; the error is errLarge for a larger one.
func readFile(fsys fs.FS, name string, most int) ([]byte, error) {
	// Looked at before it is opened: the opening of a named pipe waits for ever.
	info, err := fs.Stat(fsys, name)
	if err == nil && !info.Mode().IsRegular() {
		err = errIrregular
	}
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", name, err)
	}
	return readRegular(fsys, name, most)
}

// readRegular reads a file that is known to be a regular one, as readFile does.
func readRegular(fsys fs.FS, name string, most int) ([]byte, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", name, err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, int64(most)+1))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	if len(data) > most {
		return nil, fmt.Errorf("reading %s: %w", name, errLarge)
	}
	return data, nil
}
