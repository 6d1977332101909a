package pipeline

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/redkubes/otomi/pkg/chart"
	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/diff"
	"github.com/redkubes/otomi/pkg/runlevel"
	"github.com/redkubes/otomi/pkg/source"
)

// shelf is where the charts of a platform come from.
type shelf struct {
	store *chart.Store
	lock  *chart.Lock
	// diags are what is wrong with the lock.
	diags diag.Diagnostics
	err   error
}

// charts returns the store of the charts, made at the first call. With errors among the diagnostics there is none.
func (p *Platform) charts() (*chart.Store, diag.Diagnostics, error) {
	p.shelved.Do(func() {
		s := &p.shelf
		s.lock, s.diags, s.err = chart.ReadLock(p.tree)
		if s.lock != nil && s.lock.File != "" {
			p.addSources(diag.Sources{s.lock.File: s.lock.Text})
		}
		if s.err != nil || s.diags.HasErrors() {
			return
		}
		s.store = chart.NewStore(p.storeOptions(s.lock))
	})
	return p.shelf.store, p.shelf.diags, p.shelf.err
}

// storeOptions are those of a store with a lock, or none.
func (p *Platform) storeOptions(lock *chart.Lock) chart.Options {
	o := chart.Options{Stack: p.stack, Paths: p.seenFrom != nil, Files: p.tree, Lock: lock}
	if p.caches.charts != nil {
		o.Cache = p.caches.charts
	}
	if remote := p.network(); remote != nil {
		o.Network = remote
	}
	return o
}

// network is what reaches the hosts that are allowed; nil where none is.
func (p *Platform) network() *chart.Remote { return p.allow.remote(p.remote) }

// looseStore is a store that no lock binds. Paths are seen in another tree than the stack where one is given.
func (p *Platform) looseStore(tree *source.Tree) *chart.Store {
	o := p.storeOptions(nil)
	o.Files = source.Tree{}
	if tree != nil {
		o.Stack = *tree
	}
	store := chart.NewStore(o)
	p.mu.Lock()
	p.loose = append(p.loose, store)
	p.mu.Unlock()
	return store
}

// chartSources are the texts that the diagnostics of charts point at.
func (p *Platform) chartSources() diag.Sources {
	out := diag.Sources{}
	p.mu.Lock()
	stores := slices.Clone(p.loose)
	p.mu.Unlock()
	if p.shelf.store != nil {
		stores = append(stores, p.shelf.store)
	}
	for _, s := range stores {
		for name, text := range s.Sources() {
			out[name] = text
		}
	}
	return out
}

// known are the repositories of state files as package chart knows them, for the dependencies of charts; of several with one
// name the first.
func (p *Platform) known(states []*runlevel.State) []chart.Repository {
	var out []chart.Repository
	for _, state := range states {
		for _, repo := range state.Repositories {
			if slices.ContainsFunc(out, func(known chart.Repository) bool { return known.Name == repo.Name }) {
				continue
			}
			known := chart.Repository(*repo)
			p.place(&known, state.Dir)
			out = append(out, known)
		}
	}
	return out
}

// references are those of the charts of all releases, the disabled ones among them.
func (p *Platform) references(stages []Stage) []chart.Ref {
	var refs []chart.Ref
	for _, stage := range stages {
		for _, r := range stage.everyRelease() {
			refs = append(refs, p.reference(stage, r))
			for _, d := range r.Dependencies {
				refs = append(refs, p.reference(stage, dependency(r, d)))
			}
		}
	}
	return refs
}

// LockOptions say which entries of the lock file are made anew. The zero value keeps all that still fit.
type LockOptions = chart.LockOptions

// ChartLock is a lock file that was made and is not written yet.
type ChartLock struct {
	// Changes are what differs from the one that is there.
	Changes []LockChange
	// Stale says that the file is not as it would be written.
	Stale bool

	lock *chart.Lock
}

// Charts is how many charts it names.
func (l ChartLock) Charts() int { return len(l.lock.Entries) }

// LockChange is what differs between two lock files for one reference.
type LockChange struct {
	Chart, Repository, Constraint string
	Action                        diff.Action
	// Before and After are nil where there is no such entry.
	Before, After *LockedChart
}

// LockedChart is an entry of a lock file.
type LockedChart struct {
	Version, URL, SHA256, Manifest, Commit string
}

// LockCharts makes the lock file of all charts of the stages, which are those of every cluster. Nothing is written. A lock
// file that can't be read is made anew; the diagnostics say so as warnings.
func (p *Platform) LockCharts(ctx context.Context, stages []Stage, o LockOptions) (ChartLock, diag.Diagnostics, error) {
	store, diags, err := p.charts()
	if err != nil {
		return ChartLock{}, nil, err
	}
	old := p.shelf.lock
	if store == nil {
		diags = slices.Clone(diags)
		for i := range diags {
			diags[i].Severity = diag.Warning
		}
		store, old = chart.NewStore(p.storeOptions(nil)), nil
	}
	made, more, err := store.Lock(ctx, p.references(stages), o)
	p.addSources(store.Sources())
	diags = append(diags, more...)
	if err != nil || diags.HasErrors() {
		return ChartLock{}, diags, err
	}
	out := ChartLock{lock: made}
	var text []byte
	if p.shelf.lock != nil {
		text = p.shelf.lock.Text
	}
	out.Stale = !bytes.Equal(text, made.Marshal()) && (len(made.Entries) > 0 || p.shelf.lock != nil)
	for _, c := range old.Diff(made) {
		change := LockChange{
			Chart: c.Chart, Repository: c.Repository, Constraint: c.Constraint, Action: diff.Update, Before: locked(c.Old), After: locked(c.New),
		}
		switch {
		case c.Old == nil:
			change.Action = diff.Create
		case c.New == nil:
			change.Action = diff.Delete
		}
		out.Changes = append(out.Changes, change)
	}
	return out, diags, nil
}

// NothingToLock reports whether there is no lock file and nothing that one would name. Where something can't be found out,
// there is something.
func (p *Platform) NothingToLock(ctx context.Context, stages []Stage) (bool, error) {
	store, diags, err := p.charts()
	if err != nil || diags.HasErrors() || p.shelf.lock != nil {
		return false, err
	}
	for _, stage := range stages {
		if slices.ContainsFunc(stage.everyRelease(), isRemote) {
			return false, nil
		}
	}
	made, diags, err := store.Lock(ctx, p.references(stages), LockOptions{})
	return err == nil && !diags.HasErrors() && len(made.Entries) == 0, err
}

func locked(e *chart.Entry) *LockedChart {
	if e == nil {
		return nil
	}
	return &LockedChart{Version: e.Version, URL: e.URL, SHA256: e.SHA256, Manifest: e.Manifest, Commit: e.Commit}
}

// WriteLock writes a lock file into the values repository.
func (p *Platform) WriteLock(l ChartLock) error {
	_, err := chart.WriteLock(p.root, l.lock)
	return err
}

// HasVendored reports whether the values repository keeps charts, which then follow the lock file.
func (p *Platform) HasVendored() (bool, error) {
	return chart.HasVendored(p.tree)
}

// Vendored are the files of vendor/charts after it was written.
type Vendored = chart.Vendored

// VendorCharts writes what the lock file names into vendor/charts of the values repository.
func (p *Platform) VendorCharts(ctx context.Context, stages []Stage) (Vendored, diag.Diagnostics, error) {
	store, diags, err := p.charts()
	if err != nil || diags.HasErrors() {
		return Vendored{}, diags, err
	}
	return store.Vendor(ctx, p.root, p.references(stages))
}

// ArchiveCharts writes the lock file and all that it names as one archive.
func (p *Platform) ArchiveCharts(ctx context.Context, stages []Stage, to io.Writer) (diag.Diagnostics, error) {
	store, diags, err := p.charts()
	if err != nil || diags.HasErrors() {
		return diags, err
	}
	return store.VendorArchive(ctx, to, p.references(stages))
}

// UnpackCharts makes vendor/charts of the values repository out of an archive of ArchiveCharts.
func (p *Platform) UnpackCharts(ctx context.Context, from io.Reader) (Vendored, diag.Diagnostics, error) {
	return chart.UnpackVendor(ctx, from, p.root)
}

// ChartUse is a chart and the releases that use it.
type ChartUse struct {
	// Chart is the reference as it is written, Constraint the version that is asked for.
	Chart, Constraint string
	// Version and Digest are empty where the chart comes from elsewhere and is not locked.
	Version, Digest string
	// Source is the directory as it is shown, or the address.
	Source string
	Uses   []diff.Where
}

// Charts lists the charts of the stages in the order of their first use. Those from elsewhere are as the lock file has them:
// nothing is fetched.
func (p *Platform) Charts(ctx context.Context, stages []Stage) ([]ChartUse, diag.Diagnostics, error) {
	store, diags, err := p.charts()
	if err != nil || diags.HasErrors() {
		return nil, diags, err
	}
	var out []ChartUse
	known := map[string]int{}
	for _, stage := range stages {
		change := changes{platform: p, in: p.input(nil), values: stage.Values, namespaces: map[string]string{}}
		for _, r := range stage.everyRelease() {
			ref := p.reference(stage, r)
			id := "local " + ref.Chart
			if isRemote(r) {
				key := chart.KeyOf(ref)
				id = "remote " + key.String()
			}
			use := diff.Where{Cluster: stage.Values.Cluster.ID, Release: r.Key()}
			if i, ok := known[id]; ok {
				out[i].Uses = append(out[i].Uses, use)
				continue
			}
			c, more, err := p.chartUse(ctx, store, change, r, ref)
			diags = append(diags, more...)
			if err != nil {
				return out, diags, err
			}
			c.Uses = []diff.Where{use}
			known[id] = len(out)
			out = append(out, c)
		}
	}
	return out, diags, nil
}

// repositoryName is REPOSITORY/NAME where that is how the chart is named. An address may hold a password.
func repositoryName(r runlevel.Release) string {
	if r.Repository == nil {
		return ""
	}
	return r.Chart
}

func (p *Platform) chartUse(ctx context.Context, store *chart.Store, change changes, r runlevel.Release, ref chart.Ref) (ChartUse, diag.Diagnostics, error) {
	if !isRemote(r) {
		// A directory that is no chart is listed as the one that is made of it.
		c, diags, err := change.one(ctx, r, func(ctx context.Context, _ runlevel.Release) (*chart.Chart, diag.Diagnostics, error) {
			return store.Load(ctx, ref)
		})
		if err != nil || c == nil {
			return ChartUse{Chart: r.Chart}, diags, err
		}
		return ChartUse{Chart: r.Chart, Version: c.Version, Digest: c.Digest, Source: c.Display}, diags, nil
	}
	key := chart.KeyOf(ref)
	use := ChartUse{Chart: cmp.Or(repositoryName(r), key.Chart), Constraint: key.Constraint, Source: cmp.Or(key.Repository, key.Chart)}
	if e, ok := p.shelf.lock.Find(key); ok {
		use.Version, use.Digest = e.Version, e.SHA256
	}
	return use, nil, nil
}

// Outdated is a chart from elsewhere and the versions that there are of it.
type Outdated struct {
	Chart, Repository, Constraint string
	// Locked is the version in use, Wanted the newest that the constraint allows, Newest the newest of all.
	Locked, Wanted, Newest string
}

// OutdatedCharts asks where the charts of the stages and their dependencies come from for their versions, and returns those
// that are not the newest.
func (p *Platform) OutdatedCharts(ctx context.Context, stages []Stage) ([]Outdated, diag.Diagnostics, error) {
	_, diags, err := p.charts()
	if err != nil || diags.HasErrors() {
		return nil, diags, err
	}
	remote := p.network()
	if remote == nil {
		return nil, diags, errors.New("no host may be reached")
	}
	var refs []chart.Ref
	known := map[chart.Key]bool{}
	var repositories []chart.Repository // those of every cluster: of several that mean the same the first
	for _, stage := range stages {
		repositories = append(repositories, stage.known...)
	}
	for _, ref := range append(p.references(stages), p.shelf.lock.Refs(repositories)...) {
		if (ref.Repository != nil || chart.IsRemote(ref.Chart)) && !known[chart.KeyOf(ref)] {
			known[chart.KeyOf(ref)] = true
			refs = append(refs, ref)
		}
	}
	found := make([]Outdated, len(refs))
	findings := make([]diag.Diagnostics, len(refs))
	err = each(ctx, len(refs), func(ctx context.Context, i int) error {
		versions, more, err := remote.Versions(ctx, refs[i])
		if findings[i] = more; err != nil || more.HasErrors() || len(versions) == 0 {
			return err
		}
		key := chart.KeyOf(refs[i])
		e, _ := p.shelf.lock.Find(key)
		o := Outdated{Chart: key.Chart, Repository: key.Repository, Constraint: key.Constraint, Locked: e.Version}
		o.Wanted, o.Newest = chart.Newest(versions, key.Constraint, e.Version)
		if chart.Newer(o.Wanted, o.Locked) || chart.Newer(o.Newest, o.Locked) {
			found[i] = o
		}
		return nil
	})
	out := slices.DeleteFunc(found, func(o Outdated) bool { return o.Chart == "" })
	slices.SortFunc(out, func(a, b Outdated) int {
		return cmp.Or(strings.Compare(a.Chart, b.Chart), strings.Compare(a.Repository, b.Repository), strings.Compare(a.Constraint, b.Constraint))
	})
	if err != nil {
		err = fmt.Errorf("asking for the versions of charts: %w", err)
	}
	return out, append(diags, slices.Concat(findings...)...), err
}

// reference is how package chart is told of the chart of a release. Files of its repository are seen from the runlevels, as
// helm run by helmfile sees them, and of a stack that is no directory from the values repository.
func (p *Platform) reference(stage Stage, r runlevel.Release) chart.Ref {
	ref := reference(r)
	ref.Known = stage.known
	absolute(&ref.Keyring, p.from(r.Base))
	if ref.Repository != nil {
		p.place(ref.Repository, r.Base)
	}
	return ref
}

// place makes a repository that a file in dir names one that does not depend on it: paths of files are absolute.
func (p *Platform) place(repo *chart.Repository, dir string) {
	from := p.from(dir)
	if p.seenFrom != nil {
		// Who allows every host takes a state file as helmfile does, which asks without TLS where the address says so.
		repo.PlainHTTP = repo.PlainHTTP || p.allow.AnyHost && strings.HasPrefix(repo.URL, "http://")
	}
	for _, name := range []*string{&repo.CAFile, &repo.CertFile, &repo.KeyFile, &repo.Keyring} {
		absolute(name, from)
	}
}

// from is the directory that paths in a file in dir are seen from.
func (p *Platform) from(dir string) string {
	if p.seenFrom != nil {
		return p.seenFrom(dir)
	}
	return p.beside
}

func absolute(name *string, from string) {
	if *name != "" && !filepath.IsAbs(*name) {
		*name = filepath.Join(from, filepath.FromSlash(*name))
	}
}

// reference is the reference with paths as they are written.
func reference(r runlevel.Release) chart.Ref {
	ref := chart.Ref{Chart: r.Chart, Version: r.Version, Devel: r.Devel, Base: r.Base, Range: r.ChartRange}
	if r.Repository != nil {
		from := chart.Repository(*r.Repository)
		ref.Repository = &from
	}
	if strings.HasPrefix(r.Chart, "oci://") || r.Repository != nil && r.Repository.OCI {
		ref.Chart, ref.Version = ofRegistry(r.Chart, r.Version)
	}
	if !(r.Verify || r.Keyring != "" || r.PlainHTTP || r.SkipTLSVerify) {
		return ref
	}
	if address, ok := strings.CutPrefix(ref.Chart, "oci://"); ok {
		// What the release says of the way to a registry is what a repository would say; the chart is the same.
		dir, name := path.Split(address)
		ref.Chart = "release/" + name
		ref.Repository = &chart.Repository{Name: "release", URL: strings.TrimSuffix(dir, "/"), OCI: true, Range: r.ChartRange}
	}
	ref.Verify, ref.Keyring = r.Verify, r.Keyring
	if ref.Repository != nil {
		ref.Repository.PlainHTTP = ref.Repository.PlainHTTP || r.PlainHTTP
		ref.Repository.SkipTLSVerify = ref.Repository.SkipTLSVerify || r.SkipTLSVerify
	}
	return ref
}

// ofRegistry is the chart of a registry and the version that a release asks for by both (helmfile 1.7, pkg/state,
// getOCIQualifiedChartName): a version may have a digest behind it, VERSION@sha256:DIGEST, which the one of the chart beats; and it
// beats the tag of the chart.
func ofRegistry(name, version string) (string, string) {
	name, digest, pinned := strings.Cut(name, "@")
	if v, of, ok := strings.Cut(version, "@"); ok {
		version = v
		if !pinned {
			digest, pinned = of, true
		}
	}
	if i := strings.LastIndexByte(name, ':'); i > strings.LastIndexByte(name, '/') && version != "" {
		name = name[:i]
	}
	if pinned {
		name += "@" + digest
	}
	return name, version
}

// isRemote reports whether the chart of a release comes from outside of the stack.
func isRemote(r runlevel.Release) bool { return r.Repository != nil || chart.IsRemote(r.Chart) }

// Forget returns a stage without its tree of values, which nobody needs who only looks at its releases: those of many
// clusters would not fit into memory.
func (p *Platform) Forget(stage Stage) Stage {
	p.repository.Forget(stage.Values.Layers)
	stage.Values = Values{Cluster: stage.Values.Cluster}
	return stage
}

// Secrets returns the passwords of the repositories that the stage's charts are from, and those in addresses of charts, for
// the redactor.
func (s Stage) Secrets() []string {
	var out []string
	for _, r := range s.known { // those that only dependencies are from among them
		if r.Password != "" {
			out = append(out, r.Password)
		}
	}
	for _, r := range s.everyRelease() {
		if r.Repository != nil && r.Repository.Password != "" {
			out = append(out, r.Repository.Password)
		}
		if u, err := url.Parse(r.Chart); err == nil && u.User != nil {
			if password, ok := u.User.Password(); ok {
				out = append(out, password)
			}
		}
	}
	return out
}
