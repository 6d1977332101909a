package report

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/redkubes/otomi/pkg/manifest"
)

// Layout says which files a directory of manifests has.
type Layout string

const (
	// ObjectLayout is one file an object: [CLOUD/NAME/]NAMESPACE/RELEASE/KIND-NAME.yaml. Where the object's group is none of
	// Kubernetes' own it follows the kind (KIND.GROUP-NAME), and where its namespace is not the release's it precedes the
	// name (KIND-NAMESPACE.NAME).
	ObjectLayout Layout = "object"
	// HelmfileLayout is helmfile's: one file a template, [CLOUD/NAME/]STATE-HASH-RELEASE/CHART/templates/FILE (helmfile 1.7,
	// pkg/state, GenerateOutputDir). HASH is the first 8 digits of the sha1 of the state file's absolute path.
	HelmfileLayout Layout = "helmfile"
)

// layout finds the file of each document, and keeps the parts of a spool that it is made of. No two objects share a file
// where each has its own.
type layout struct {
	layout Layout
	files  []*outputFile
	byName map[string]*outputFile
	// owners says which release a folder is of.
	owners map[string]string
}

// outputFile is one file: its path below the directory, or below one of its own, and where in the spool its documents are.
type outputFile struct {
	root  string
	name  string
	parts [][2]int64
}

func newLayout(l Layout) *layout {
	return &layout{layout: l, byName: map[string]*outputFile{}, owners: map[string]string{}}
}

// add gives a document its place.
func (l *layout) add(rendered Rendered, id manifest.ID, source string, from, size int64) {
	prefix := ""
	for part := range strings.SplitSeq(rendered.Cluster, "/") {
		if part != "" {
			prefix = path.Join(prefix, segment(part))
		}
	}
	if l.layout == HelmfileLayout {
		if rendered.Folder != "" {
			l.append(rendered.Folder, path.Join(prefix, segments(source)), from, size)
			return
		}
		l.append("", path.Join(prefix, l.helmfileDir(prefix, rendered), segments(source)), from, size)
		return
	}
	folder := path.Join(prefix, segment(rendered.Release.Namespace), segment(rendered.Release.Name))
	name := objectName(id, rendered.Release.Namespace)
	full := path.Join(folder, name+".yaml")
	// A hook may have the identity of an object, and file systems may not tell capitals.
	for i := 2; l.byName[strings.ToLower(full)] != nil; i++ {
		full = path.Join(folder, fmt.Sprintf("%s-%d.yaml", name, i))
	}
	l.append("", full, from, size)
}

// append adds a part to the file with a name below root, which is empty for the directory of all.
func (l *layout) append(root, name string, from, size int64) {
	key := strings.ToLower(path.Join(root, name))
	f := l.byName[key]
	if f == nil {
		f = &outputFile{root: root, name: name}
		l.byName[key] = f
		l.files = append(l.files, f)
	}
	f.parts = append(f.parts, [2]int64{from, size})
}

// helmfileDir is helmfile's folder of a release. Two releases of one name in one state file, which share a folder in
// helmfile so that one overwrites the other, have the namespace behind it from the second on.
func (l *layout) helmfileDir(prefix string, rendered Rendered) string {
	sum := sha1.Sum([]byte(rendered.File))
	base := filepath.Base(rendered.File)
	base = strings.TrimSuffix(base, filepath.Ext(base))
	dir := segment(base + "-" + hex.EncodeToString(sum[:])[:8] + "-" + rendered.Release.Name)
	for {
		owner, taken := l.owners[path.Join(prefix, dir)]
		if !taken || owner == rendered.Release.Key() {
			l.owners[path.Join(prefix, dir)] = rendered.Release.Key()
			return dir
		}
		dir = segment(dir + "-" + rendered.Release.Namespace)
	}
}

// objectName is the name of an object's file without its extension, in a release of a namespace.
func objectName(id manifest.ID, namespace string) string {
	kind := strings.ToLower(id.Kind)
	if id.Group != "" && strings.Contains(id.Group, ".") && !strings.HasSuffix(id.Group, ".k8s.io") {
		kind += "." + id.Group
	}
	name := id.Name
	if id.Namespace != "" && id.Namespace != namespace {
		name = id.Namespace + "." + name
	}
	return segment(kind + "-" + name)
}

// longest is how long a name of a file may become: file systems end at 255 bytes, and more may be put behind it.
const longest = 200

// segment makes one segment of a path of any text: of letters, digits, dots, dashes and underscores, and not beginning with a
// dot. A long one is cut, with a part of its sum behind it.
func segment(text string) string {
	name := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '.', r == '-', r == '_':
			return r
		}
		return '_'
	}, text)
	if name == "" || name[0] == '.' {
		name = "_" + strings.TrimPrefix(name, ".")
	}
	if len(name) > longest {
		sum := sha256.Sum256([]byte(text))
		name = name[:longest] + "-" + hex.EncodeToString(sum[:4])
	}
	return name
}

// segments makes a path of any text.
func segments(text string) string {
	parts := strings.Split(text, "/")
	for i := range parts {
		parts[i] = segment(parts[i])
	}
	return path.Join(parts...)
}

// write writes the files below dir, or below directories of their own, each at once or not at all. A file that is already as
// it should be is left alone, and so is everything else there. No link leads out of a directory. Files with secrets in clear
// are for the user alone.
func (l *layout) write(dir string, from *spool, open bool) (err error) {
	folder, mode := fs.FileMode(0o755), fs.FileMode(0o644)
	if open {
		folder, mode = 0o700, 0o600
	}
	roots := map[string]*os.Root{}
	defer func() {
		for _, root := range roots {
			err = errors.Join(err, root.Close())
		}
	}()
	if len(l.files) == 0 {
		return makeRoot(roots, dir, folder)
	}
	made := map[string]bool{}
	for _, f := range l.files {
		to := cmp.Or(f.root, dir)
		if roots[to] == nil {
			if err := makeRoot(roots, to, folder); err != nil {
				return err
			}
		}
		root := roots[to]
		var text []byte
		for _, part := range f.parts {
			body, err := io.ReadAll(from.section(part[0], part[1]))
			if err != nil {
				return fmt.Errorf("reading a temporary file: %w", err)
			}
			text = append(text, body...)
		}
		if parent := path.Dir(f.name); !made[to+"\x00"+parent] {
			if err := root.MkdirAll(parent, folder); err != nil {
				return fmt.Errorf("making the directory of manifests: %w", err)
			}
			made[to+"\x00"+parent] = true
		}
		if err := replace(root, f.name, text, mode); err != nil {
			return fmt.Errorf("writing %s: %w", filepath.Join(to, filepath.FromSlash(f.name)), err)
		}
	}
	return nil
}

// makeRoot makes a directory and opens it.
func makeRoot(roots map[string]*os.Root, dir string, mode fs.FileMode) error {
	if err := os.MkdirAll(dir, mode); err != nil {
		return fmt.Errorf("making the directory of the manifests: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("opening the directory of the manifests: %w", err)
	}
	roots[dir] = root
	return nil
}

// replace puts text into a file by a new one that is moved over it.
func replace(root *os.Root, name string, text []byte, mode fs.FileMode) error {
	// The user's mask may have taken more from the mode, and nothing may have added to it.
	if info, err := root.Lstat(name); err == nil && info.Mode()&^mode == 0 && info.Size() == int64(len(text)) {
		if now, err := root.ReadFile(name); err == nil && bytes.Equal(now, text) {
			return nil
		}
	}
	// Another run may be writing the same file.
	fresh := path.Join(path.Dir(name), "."+path.Base(name)+"."+rand.Text()[:10]+".new")
	f, err := root.OpenFile(fresh, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Close()); err == nil {
		err = root.Rename(fresh, name)
	}
	if err != nil {
		return errors.Join(err, root.Remove(fresh))
	}
	return nil
}

// Layouts are the words of Layout.
func Layouts() []string { return []string{string(ObjectLayout), string(HelmfileLayout)} }
