package pipeline

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"path"
	"strings"
	"sync"

	"github.com/redkubes/otomi/pkg/chart"
	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/runlevel"
	"github.com/redkubes/otomi/pkg/source"
	"github.com/redkubes/otomi/pkg/template"
)

// fetcher gets the remote files that state files name, each once a run, and puts them beside the local ones. It is a
// runlevel.Fetcher, and safe for concurrent use.
type fetcher struct {
	remote *chart.Remote
	cache  chart.Cache

	mu     sync.Mutex
	mounts map[string]mount
	// stores are those of the charts of mounts, by their names.
	stores map[string]*chart.Store
	// secrets are passwords and tokens of addresses.
	secrets []string
}

// mount is what was fetched, by a name below runlevel.Fetched.
type mount struct {
	root  string
	tree  source.Tree
	files template.Files
}

// newFetcher returns what fetches for a run, by its permissions: without one every address is refused by name.
func newFetcher(allow Permissions, o RemoteOptions, kept caches) *fetcher {
	o.Allow = allow.Host
	// Who allows every host takes a state file as helmfile does, which asks without TLS where the address says so.
	o.PlainHTTP = o.PlainHTTP || allow.AnyHost
	f := &fetcher{remote: chart.NewRemote(o), mounts: map[string]mount{}, stores: map[string]*chart.Store{}}
	if kept.charts != nil {
		f.cache = kept.charts
	}
	return f
}

// Fetch gets what an address names.
func (f *fetcher) Fetch(ctx context.Context, address string) (string, diag.Diagnostics, error) {
	f.mu.Lock()
	f.secrets = append(f.secrets, chart.SecretsOf(address)...)
	f.mu.Unlock()
	got, ds, err := f.remote.Download(ctx, address, f.cache)
	if err != nil || ds.HasErrors() {
		return "", ds, err
	}
	// The sum keeps relative paths of one tree from being found in another that happens to be there.
	sum := sha256.Sum256([]byte(got.ID))
	root := runlevel.Fetched + hex.EncodeToString(sum[:])[:16] + "/" + got.Shown
	f.mu.Lock()
	f.mounts[root] = mount{root, source.Tree{FS: got.FS, Prefix: got.Shown + "/"}, source.Inside(got.FS)}
	f.mu.Unlock()
	return path.Join(root, got.Name), ds, nil
}

// Secrets returns what of the addresses no writer may show.
func (f *fetcher) Secrets() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.secrets...)
}

// mounted returns what was fetched that a name is in, and the path in it.
func (f *fetcher) mounted(name string) (mount, string, bool) {
	name = path.Clean(name)
	if f == nil || !strings.HasPrefix(name, runlevel.Fetched) {
		return mount{}, "", false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for root, m := range f.mounts {
		if name == root {
			return m, ".", true
		}
		if rest, ok := strings.CutPrefix(name, root+"/"); ok {
			return m, rest, true
		}
	}
	return mount{}, "", false
}

// fetched loads a chart that is a path in what was fetched. Known are the repositories that it may depend on.
func (p *Platform) fetched(ctx context.Context, r runlevel.Release, known []chart.Repository) (*chart.Chart, diag.Diagnostics, error) {
	m, inside, _ := p.fetch.mounted(template.Join(r.Base, r.Chart))
	ref := p.reference(Stage{known: known}, r)
	ref.Base, ref.Chart = "", inside
	return p.fetch.store(p, m).Load(ctx, ref)
}

// store is that of the charts in what was fetched.
func (f *fetcher) store(p *Platform, m mount) *chart.Store {
	f.mu.Lock()
	defer f.mu.Unlock()
	if s, ok := f.stores[m.root]; ok {
		return s
	}
	o := p.storeOptions(p.shelf.lock)
	o.Stack, o.Paths = m.tree, true
	s := chart.NewStore(o)
	f.stores[m.root] = s
	p.mu.Lock()
	p.loose = append(p.loose, s)
	p.mu.Unlock()
	return s
}

// over returns files with what was fetched among them.
func (f *fetcher) over(files template.Files) template.Files { return withFetched{files, f} }

// withFetched are local files, and those that were fetched.
type withFetched struct {
	local   template.Files
	fetched *fetcher
}

func (w withFetched) find(name string) (template.Files, string, error) {
	if m, rest, ok := w.fetched.mounted(name); ok {
		return m.files, rest, nil
	}
	if strings.HasPrefix(path.Clean(name)+"/", runlevel.Fetched) {
		return nil, "", &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return w.local, name, nil
}

// ReadFile implements template.Files.
func (w withFetched) ReadFile(name string) ([]byte, error) {
	files, name, err := w.find(name)
	if err != nil {
		return nil, err
	}
	return files.ReadFile(name)
}

// ReadDir implements template.Files.
func (w withFetched) ReadDir(name string) ([]fs.DirEntry, error) {
	files, name, err := w.find(name)
	if err != nil {
		return nil, err
	}
	return files.ReadDir(name)
}

// Stat implements template.Files.
func (w withFetched) Stat(name string) (fs.FileInfo, error) {
	files, name, err := w.find(name)
	if err != nil {
		return nil, err
	}
	return files.Stat(name)
}
