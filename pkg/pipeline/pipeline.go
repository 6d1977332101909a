// Package pipeline joins the stages: it alone knows what comes after what.
//
// Each method of Platform carries the user's input one or more stages further. The package decides nothing that a stage
// could decide, prints nothing and reads no environment.
package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/redkubes/otomi/pkg/chart"
	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/layer"
	"github.com/redkubes/otomi/pkg/merge"
	"github.com/redkubes/otomi/pkg/openapi"
	"github.com/redkubes/otomi/pkg/parallel"
	"github.com/redkubes/otomi/pkg/render"
	"github.com/redkubes/otomi/pkg/runlevel"
	"github.com/redkubes/otomi/pkg/schema"
	"github.com/redkubes/otomi/pkg/source"
	"github.com/redkubes/otomi/pkg/value"
)

// The files of a stack, by the design's layout.
const (
	schemaFile   = "schema/values.schema.yaml"
	schemaJSON   = "schema/values.schema.json"
	defaultsFile = "schema/defaults.yaml"
	runlevelDir  = "runlevels"
)

// Options say what to open.
type Options struct {
	// Dir is the directory to start from: the values repository is the nearest one at or above it.
	Dir string
	// Repo names the values repository itself, seen from Dir; then nothing is searched.
	Repo string
	// Builtin is the stack that the binary carries.
	Builtin source.Tree
	// Schema names a schema that takes the place of the stack's, seen from Dir. It may refer to files beside and below it.
	Schema string
	// Version is that of this otomi, for what otomi.yaml requires.
	Version string
	// Flags are the values of the command line: those of every cluster that the platform compiles.
	Flags ValueFlags
	// Allow is what the user allowed the run.
	Allow Permissions
	// Remote says how charts are fetched from the hosts that Allow has.
	Remote RemoteOptions
	// Cache says where the run keeps what it can make again.
	Cache CacheOptions
	// Kubernetes are the schemas that manifests are checked against, as package kubernetes lays them out; nil for who checks none.
	Kubernetes fs.FS

	// at is the commit that the files are of, and revision how the user calls it; nil for those of the directory.
	at       *source.Revision
	revision string
}

// open opens a directory, at the revision where there is one.
func (o Options) open(dir string) (source.Tree, io.Closer, error) {
	prefix := shownPrefix(o.Dir, dir)
	if o.at == nil {
		return source.Open(dir, prefix)
	}
	tree, err := o.at.Tree(dir, o.revision+":"+prefix)
	return tree, io.NopCloser(nil), err
}

// Platform is a values repository with its stack: what every verb starts from.
type Platform struct {
	repository *layer.Repository
	stack      source.Tree
	schema     *schema.Schema
	folder     *merge.Folder
	files      []runlevel.File
	// noFiles tells that there are none, for verbs that need one.
	noFiles  diag.Diagnostics
	renderer *render.Renderer
	caches   caches
	// build is that of CacheOptions.
	build string
	// cacheErr is why a cache could not be opened.
	cacheErr error
	closers  []io.Closer

	// dir is the directory that shown names are seen from.
	dir string
	// root is the directory of the values repository, tree its files; beside is where the files that runlevels name are.
	root, beside string
	tree         source.Tree
	// seenFrom makes the directory of a state file absolute where it is of no stack; nil for a stack.
	seenFrom func(dir string) string
	// allow is what the user allowed, remote how charts are fetched.
	allow  Permissions
	remote RemoteOptions
	// fetch gets the remote files that state files name.
	fetch *fetcher
	// shelf is where charts come from, made at the first use.
	shelved sync.Once
	shelf   shelf
	// flags are the layers of the command line, weakest first.
	flags []layer.Layer
	// derived is the stack's template of computed values, or nil.
	derived *derivation
	// kubernetes reads the schemas of Options once they are asked for.
	kubernetes func() (*openapi.Library, error)

	// What follows is read and written under mu: clusters may be compiled side by side.
	mu      sync.Mutex
	sources diag.Sources
	// loose are the stores that no lock binds.
	loose []*chart.Store
}

// Open finds and reads the values repository, its stack and the stack's schema. The diagnostics tell of mistakes in any
// of them; with errors among them the platform is nil.
func Open(ctx context.Context, o Options) (_ *Platform, diags diag.Diagnostics, err error) {
	p := &Platform{sources: diag.Sources{}, dir: o.Dir, build: o.Cache.Build, allow: o.Allow, remote: o.Remote}
	p.kubernetes = sync.OnceValues(func() (*openapi.Library, error) { return openapi.NewLibrary(o.Kubernetes) })
	p.caches, p.cacheErr = openCaches(o.Cache.Dir)
	if o.Cache.Anew {
		p.caches.render = nil
	}
	p.renderer = p.caches.renderer(o.Cache.Build)
	p.fetch = newFetcher(o.Allow, o.Remote, p.caches)
	defer func() {
		if err != nil || diags.HasErrors() {
			err = errors.Join(err, p.Close())
		}
	}()

	root, diags, err := locate(o)
	if err != nil || diags.HasErrors() {
		return nil, diags, err
	}
	tree, closer, err := o.open(root)
	if err != nil {
		return nil, nil, err
	}
	p.closers = append(p.closers, closer)
	p.root, p.beside, p.tree = root, root, tree
	repository, diags, err := layer.OpenRepository(tree)
	if err != nil || diags.HasErrors() {
		if repository != nil {
			p.addSources(repository.Sources())
		}
		return p, diags, err
	}
	p.repository = repository
	if diags = append(diags, repository.Supports(o.Version)...); diags.HasErrors() {
		return p, diags, nil
	}

	stack, closer, more, err := openStack(o, root, repository)
	if err != nil || more.HasErrors() {
		return p, append(diags, more...), err
	}
	p.stack = stack
	if name, _ := repository.Stack(); name != builtinStack {
		p.beside = filepath.Join(stackDir(root, name), runlevelDir)
	}
	p.closers = append(p.closers, closer)
	more, err = p.readStack(o.Schema)
	diags = append(diags, more...)
	if err != nil {
		return p, diags, err
	}
	more, err = p.readFlags(o.Flags)
	return p, append(diags, more...), err
}

// openStack opens the stack that a values repository in the directory root names. The caller closes it.
func openStack(o Options, root string, repository *layer.Repository) (source.Tree, io.Closer, diag.Diagnostics, error) {
	name, at := repository.Stack()
	if name == builtinStack {
		return o.Builtin, io.NopCloser(nil), nil, nil
	}
	if strings.Contains(name, "://") {
		return source.Tree{}, nil, diag.Diagnostics{{
			Severity: diag.Error, Code: diag.RepoWrongType, Path: "stack", Range: at,
			Detail: "a stack from git is for a later version of otomi. Name a directory, or `builtin`.",
		}}, nil
	}
	dir := stackDir(root, name)
	stack, closer, err := o.open(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return source.Tree{}, nil, diag.Diagnostics{{
			Severity: diag.Error, Code: diag.StackMissing, Path: "stack", Range: at,
			Detail: fmt.Sprintf("there is no directory %q. Name the directory of a stack, seen from otomi.yaml, or `builtin`.", name),
		}}, nil
	}
	return stack, closer, nil, err
}

// builtinStack is the name of the stack that the binary carries.
const builtinStack = "builtin"

// stackDir is the directory of a stack that the values repository in root names.
func stackDir(root, name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(root, name)
}

// readStack compiles the schema, the stack's unless another is named, and lists the runlevels and charts.
func (p *Platform) readStack(other string) (diag.Diagnostics, error) {
	tree, name := p.stack, schemaOf(p.stack)
	if other != "" {
		dir := filepath.Dir(p.path(other))
		opened, closer, err := source.Open(dir, shownPrefix(p.dir, dir))
		if err != nil {
			return nil, fmt.Errorf("opening the schema %s: %w", other, err)
		}
		p.closers = append(p.closers, closer)
		tree, name = opened, filepath.Base(other)
	}
	compiled, diags, err := schema.Compile(tree, name)
	if err != nil {
		return diags, err
	}
	p.schema = compiled
	p.folder = merge.NewFolder(merge.Options{Lists: compiled.Lists})
	files, more, err := runlevel.Files(p.stack, runlevelDir)
	p.files = files
	none := func(d diag.Diagnostic) bool { return d.Code == diag.RunlevelNone }
	if i := slices.IndexFunc(more, none); i >= 0 {
		p.noFiles, more = more[i:i+1], slices.DeleteFunc(slices.Clone(more), none)
	}
	diags = append(diags, more...)
	if err != nil {
		return diags, err
	}
	return diags, p.readDerivation()
}

// Close releases the directories that are held open. A nil platform, which Open returns for a directory that is no
// values repository, holds none.
func (p *Platform) Close() error {
	if p == nil {
		return nil
	}
	var errs []error
	for _, c := range p.closers {
		errs = append(errs, c.Close())
	}
	p.closers = nil
	return errors.Join(errs...)
}

// Sources returns the texts of all files read so far, so that diagnostics can be shown with their lines.
func (p *Platform) Sources() diag.Sources {
	if p == nil {
		return nil
	}
	p.mu.Lock()
	all := maps.Clone(p.sources)
	p.mu.Unlock()
	if p.repository != nil {
		maps.Copy(all, p.repository.Sources())
	}
	if p.schema != nil {
		maps.Copy(all, p.schema.Sources())
	}
	maps.Copy(all, p.renderer.Sources())
	maps.Copy(all, p.chartSources())
	for _, f := range p.files {
		all[f.Display] = f.Text
	}
	return all
}

// Clusters returns the clusters a command works on: the one named, or with all the whole registry in its order.
func (p *Platform) Clusters(id string, all bool) ([]layer.Cluster, diag.Diagnostics) {
	if clusters := p.repository.Clusters(); all && len(clusters) > 0 {
		return clusters, nil
	}
	c, diags := p.repository.Cluster(id)
	if diags.HasErrors() {
		return nil, diags
	}
	return []layer.Cluster{c}, diags
}

// Values are the compiled values of one cluster.
type Values struct {
	Cluster layer.Cluster
	// Root is the merged tree with the schema's defaults.
	Root *value.Node
	// Layers are all that Root was made of, weakest first, but for the schema's defaults.
	Layers []layer.Layer

	// merged is Root, or the tree that has errors.
	merged *value.Node
	schema *schema.Schema
}

// Masked returns Root with every secret leaf replaced.
func (v Values) Masked() *value.Node {
	if v.Root == nil {
		return nil
	}
	return v.schema.Mask(v.Root)
}

// Secrets returns the secret strings of the tree, for the redactor.
func (v Values) Secrets() []string {
	if v.merged == nil {
		return nil
	}
	return v.schema.SecretTexts(v.merged)
}

// Compile merges the layers of a cluster, those of the command line, and what the stack derives of them, and fills in the
// schema's defaults. It does not validate. Where only the derivation failed the values are there, without it; with other
// errors there is no Root, and Secrets may still hold what no writer may see.
func (p *Platform) Compile(ctx context.Context, c layer.Cluster) (Values, diag.Diagnostics, error) {
	layers, diags, err := p.repository.Layers(c, layer.Options{Stack: p.stack, DefaultsPath: defaultsFile})
	if err != nil {
		return Values{}, diags, err
	}
	layers = append(layers, p.flags...)
	merged, more := p.folder.Fold(layers)
	diags = append(diags, more...)
	if diags.HasErrors() {
		return Values{Cluster: c, Layers: layers, merged: merged, schema: p.schema}, diags, nil
	}
	root := p.schema.Fill(merged)
	if p.derived != nil {
		derived, more := p.derive(ctx, root)
		diags = append(diags, more...)
		if derived.Root != nil {
			layers = append(layers, derived)
			merged, more = p.folder.Fold([]layer.Layer{{Root: merged}, derived})
			diags = append(diags, more...)
			root = p.schema.Fill(merged)
		}
	}
	return Values{Cluster: c, Root: root, Layers: layers, merged: root, schema: p.schema}, diags, nil
}

// EditorSchema returns the schema that an editor checks single files with.
func (p *Platform) EditorSchema() ([]byte, error) { return p.schema.Editor() }

// BuiltinEditorSchema returns the editor's schema of a stack without opening a values repository.
func BuiltinEditorSchema(stack source.Tree) ([]byte, error) {
	compiled, diags, err := schema.Compile(stack, schemaFile)
	if err != nil {
		return nil, err
	}
	if diags.HasErrors() {
		return nil, errors.New("the stack's schema has errors")
	}
	return compiled.Editor()
}

// locate finds the directory of the values repository.
func locate(o Options) (string, diag.Diagnostics, error) {
	start := o.Dir
	if o.Repo != "" {
		start = o.Repo
		if !filepath.IsAbs(start) {
			start = filepath.Join(o.Dir, o.Repo)
		}
	}
	root, found, err := source.Find(start)
	if err != nil {
		return "", nil, err
	}
	if !found || o.Repo != "" && filepath.Clean(root) != filepath.Clean(start) {
		detail := "neither this directory nor one above it has an otomi.yaml or an env folder. Go to your values repository, name it with --repo DIR, or make one: otomi bootstrap DIR."
		if o.Repo != "" {
			detail = "--repo " + o.Repo + ": the directory has neither an otomi.yaml nor an env folder. Name a values repository, or make one: otomi bootstrap " + o.Repo + "."
		}
		return "", diag.Diagnostics{{Severity: diag.Error, Code: diag.RepoMissing, Detail: detail}}, nil
	}
	return root, nil, nil
}

// shownPrefix is what the names of files of dir begin with when they are shown to a user who is in base.
func shownPrefix(base, dir string) string {
	rel, err := filepath.Rel(base, dir)
	if err != nil {
		rel = dir
	}
	if rel == "." {
		return ""
	}
	return filepath.ToSlash(rel) + "/"
}

// each calls work for every index below n, at most as many at once as there are processors, and returns the first error.
func each(ctx context.Context, n int, work func(ctx context.Context, i int) error) error {
	group, ctx := parallel.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i := range n {
		group.Go(func() error { return work(ctx, i) })
	}
	return group.Wait()
}
