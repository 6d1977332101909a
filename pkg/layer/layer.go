// Package layer finds, reads and orders the layers of a cluster.
//
// It knows what is in a values repository: otomi.yaml, the registry of clusters and the hierarchy, which says which file
// beats which. It does not merge the layers and knows no schema; a file that is encrypted is reported, not decrypted.
package layer

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"strings"
	"sync"

	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/source"
	"github.com/redkubes/otomi/pkg/value"
	"github.com/redkubes/otomi/pkg/yaml"
)

// The names of the layers that are no files of the hierarchy.
const (
	Defaults = "defaults"
	Registry = "registry"
	// Set and SetString are the flags that set single values; their values have no place.
	Set       = "--state-values-set"
	SetString = "--state-values-set-string"
	// Derived is what the stack computes from the other layers.
	Derived = "derived"
)

// The files of a values repository whose names are fixed.
const (
	settingsFile = "otomi.yaml"
	registryFile = "env/clusters.yaml"
)

// Layer is one file of values, parsed. Trees are shared between the clusters of a repository: nobody changes them.
type Layer struct {
	// Name is the file's path in the repository (of --state-values-file as the user wrote it), or one of the names above.
	Name string
	// Secret says that the file is one of its level's secrets.* files.
	Secret bool
	// Flag says that the layer is single values of the command line, which merge by rules of their own.
	Flag bool
	// Scope says which clusters have the layer.
	Scope Scope
	Root  *value.Node
}

// Scope says which clusters have a layer. The zero Scope is one cluster alone, as far as is known.
type Scope string

const (
	// Everywhere is every cluster.
	Everywhere Scope = "everywhere"
	// InCloud is every cluster of one cloud.
	InCloud Scope = "cloud"
)

// Options say where the stack's default values are. The zero value means that there are none; neither need the file exist.
type Options struct {
	Stack        source.Tree
	DefaultsPath string
}

// Repository is a values repository that was opened. It parses each file once, when a cluster first wants it; it may be
// used by several goroutines.
type Repository struct {
	tree     source.Tree
	settings settings
	registry *registry

	mu     sync.Mutex
	files  map[string]*file
	texts  diag.Sources
	parsed int
	// found are the files that a pattern matches, of the patterns that several clusters have.
	found map[string][]string
}

// file is one layer file, read when it is first wanted.
type file struct {
	once  sync.Once
	root  *value.Node
	diags diag.Diagnostics
	err   error
}

// OpenRepository reads otomi.yaml and the registry of clusters. The repository it returns is nil only with an error; with
// diagnostics it holds what could be understood.
func OpenRepository(repo source.Tree) (*Repository, diag.Diagnostics, error) {
	r := &Repository{tree: repo, files: map[string]*file{}, texts: diag.Sources{}, found: map[string][]string{}}
	written, diags, err := r.read(repo, settingsFile, settingsFile)
	if err != nil {
		return nil, nil, err
	}
	var more diag.Diagnostics
	r.settings, more = readSettings(written)
	diags = append(diags, more...)

	clusters, more, err := r.read(repo, registryFile, Registry)
	if err != nil {
		return nil, nil, err
	}
	diags = append(diags, more...)
	if clusters != nil {
		r.registry, more = readRegistry(clusters)
		diags = append(diags, more...)
	} else if more.HasErrors() {
		r.registry = &registry{} // it is there, and broken: not the same as none
	}
	if written != nil || clusters != nil || diags.HasErrors() {
		return r, diags, nil
	}
	if info, err := fs.Stat(repo.FS, "env"); err != nil || !info.IsDir() {
		diags = append(diags, diag.Diagnostic{
			Severity: diag.Error, Code: diag.RepoMissing,
			Detail: directory(repo) + " has neither otomi.yaml nor a directory env. " +
				"Name a values repository with --repo, or make one with otomi bootstrap.",
		})
	}
	return r, diags, nil
}

func directory(t source.Tree) string {
	if t.Prefix == "" {
		return "the directory"
	}
	return strings.TrimSuffix(t.Prefix, "/")
}

// Sources returns the texts of all files read so far, by the names that ranges use.
func (r *Repository) Sources() diag.Sources {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.texts)
}

// Layers returns the layers of a cluster, weakest first: the stack's defaults, the registry, the hierarchy. A file that
// could not be understood is missing among them and has a diagnostic.
func (r *Repository) Layers(c Cluster, o Options) ([]Layer, diag.Diagnostics, error) {
	var layers []Layer
	var diags diag.Diagnostics
	if o.DefaultsPath != "" {
		root, more, err := r.read(o.Stack, o.DefaultsPath, Defaults)
		if err != nil {
			return nil, nil, err
		}
		diags = append(diags, more...)
		if root != nil {
			layers = append(layers, Layer{Name: Defaults, Scope: Everywhere, Root: root})
		}
	}
	if r.registry != nil && c.ID != "" {
		if entry, ok := r.registry.entries[c.ID]; ok {
			layers = append(layers, Layer{Name: Registry, Root: entry})
		}
	}
	paths, err := r.hierarchy(c)
	if err != nil {
		return nil, nil, err
	}
	for _, f := range paths {
		p := f.path
		root, more, err := r.read(r.tree, p, p)
		if err != nil {
			return nil, nil, err
		}
		diags = append(diags, more...)
		if len(more) == 0 && root == nil {
			diags = append(diags, unreadable(r.tree.Display(p), "it is a link to nothing. Replace it by the file."))
		}
		if root != nil {
			layers = append(layers, Layer{Name: p, Secret: IsSecret(p), Scope: f.scope, Root: root})
		}
	}
	return layers, diags, nil
}

// IsSecret reports whether a file is one of its level's secrets.* files.
func IsSecret(p string) bool { return strings.HasPrefix(path.Base(p), "secrets.") }

// read parses a file once. It returns nil without a diagnostic where there is no such file.
func (r *Repository) read(tree source.Tree, p, layer string) (*value.Node, diag.Diagnostics, error) {
	name := tree.Display(p)
	r.mu.Lock()
	f, ok := r.files[name]
	if !ok {
		f = &file{}
		r.files[name] = f
	}
	r.mu.Unlock()
	f.once.Do(func() { f.root, f.diags, f.err = r.parse(tree, p, layer) })
	return f.root, f.diags, f.err
}

func (r *Repository) parse(tree source.Tree, p, layer string) (*value.Node, diag.Diagnostics, error) {
	name := tree.Display(p)
	info, err := fs.Stat(tree.FS, p)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil, nil
	case err != nil:
		return nil, diag.Diagnostics{unreadable(name,
			reason(err)+". A file must be in the repository itself: replace a link by the file.")}, nil
	case !info.Mode().IsRegular():
		return nil, diag.Diagnostics{unreadable(name,
			"it is no regular file. Move it away, or name it in exclude of otomi.yaml.")}, nil
	case info.Size() > yaml.MaxBytes:
		// It is not read only to be refused.
		return nil, diag.Diagnostics{{
			Severity: diag.Error, Code: diag.YAMLTooLarge, Range: diag.Range{File: name},
			Detail: fmt.Sprintf("the file has %d bytes and at most %d are read. Split it.", info.Size(), yaml.MaxBytes),
		}}, nil
	}
	text, err := fs.ReadFile(tree.FS, p)
	if errors.Is(err, fs.ErrPermission) {
		return nil, diag.Diagnostics{unreadable(name, reason(err)+". Give yourself the right to read it.")}, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("reading %s: %w", name, err)
	}
	r.mu.Lock()
	r.texts[name] = text
	r.parsed++
	r.mu.Unlock()
	root, diags := understand(text, name, layer, "or name it in exclude of otomi.yaml")
	return root, diags, nil
}

// understand reads the text of a layer. instead is what else to do about a file that is encrypted.
func understand(text []byte, name, layer, instead string) (*value.Node, diag.Diagnostics) {
	root, diags := yaml.Read(text, yaml.ReadOptions{File: name, Layer: layer, Map: true, Secret: IsSecret(name)})
	if field, ok := root.Field("sops"); ok {
		return nil, append(diags, diag.Diagnostic{
			Severity: diag.Error, Code: diag.SecretEncrypted, Range: field.KeyRange, Secret: true,
			Detail: "the file is encrypted with SOPS, and this version of otomi cannot decrypt. Decrypt it for now " +
				"(sops decrypt --in-place " + name + ") without committing it, " + instead + ".",
		})
	}
	return root, diags
}

// reason is an error without the path that the diagnostic shows anyway.
func reason(err error) string {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err.Error()
	}
	return err.Error()
}

func unreadable(name, detail string) diag.Diagnostic {
	return diag.Diagnostic{Severity: diag.Error, Code: diag.RepoUnreadable, Range: diag.Range{File: name}, Detail: detail}
}
