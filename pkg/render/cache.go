package render

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/manifest"
	"github.com/redkubes/otomi/pkg/runlevel"
	"github.com/redkubes/otomi/pkg/value"
)

// Cache keeps bytes by key, and may lose them. It is safe for concurrent use; what Get returns is what Put was given.
type Cache interface {
	Get(key string) ([]byte, bool)
	Put(key string, data []byte) error
}

// cacheVersion changes with the form of what is kept, and with anything in this package that makes another rendering of the
// same input: two builds of one version share what they keep.
const cacheVersion = 2

// NewCached returns a renderer that looks into a cache before it renders, and keeps there what it rendered: releases without
// errors whose chart is a function of its input. What it returns is the same as without. The version is that of the program;
// what another one kept is not used. A nil cache is none.
func NewCached(c Cache, version string) *Renderer {
	r := New()
	r.cache, r.version = c, version
	return r
}

// CacheFailure is the first error of writing into the cache, after which the renderer wrote no more.
func (r *Renderer) CacheFailure() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.cacheErr
}

// seen is all of a release that a rendering and its diagnostics may depend on; what is added here is added to key or places.
func seen(r runlevel.Release) runlevel.Release {
	return runlevel.Release{
		Name: r.Name, Namespace: r.Namespace, Values: r.Values, SkipSchemaValidation: r.SkipSchemaValidation, Range: r.Range, ChartRange: r.ChartRange,
	}
}

// key is the name in the cache of what a request renders: over everything that the rendering depends on. It is empty where
// the values hold what no file of values does. The places of the release are no part of it, since they are seen in
// diagnostics alone: see places.
func (r *Renderer) key(req Request, caps Capabilities) string {
	e := encoder{plain: true}
	e.uint(cacheVersion)
	e.string(r.version)
	e.string(helmVersion)
	e.string(req.Chart.Digest)
	// The digest does not know the order of the files, and that of the CRDs follows from it.
	e.uint(uint64(len(req.Chart.Files)))
	for _, f := range req.Chart.Files {
		e.string(f.Name)
	}
	e.string(req.Release.Name)
	e.string(req.Release.Namespace)
	e.uint(uint64(max(req.Revision, 1)))
	e.bool(req.Upgrade)
	e.bool(req.Release.SkipSchemaValidation)
	if caps.KubeVersion == "" {
		caps.KubeVersion = kubeVersion
	}
	e.string(caps.KubeVersion)
	e.uint(uint64(len(caps.APIVersions)))
	for _, v := range caps.APIVersions {
		e.string(v)
	}
	if err := e.tree(req.Release.Values); err != nil {
		return ""
	}
	sum := sha256.Sum256(e.out)
	return hex.EncodeToString(sum[:])
}

// places is what only the diagnostics of a rendering depend on. Origin is not among them: see Render.
func (r *Request) places() string {
	var names []string
	for _, f := range r.Chart.Files {
		names = append(names, r.Chart.Shown(f.Name))
	}
	return fmt.Sprintf("%q %q %+v %+v %+v", r.Chart.Display, names, r.Chart.Range, r.Release.Range, r.Release.ChartRange)
}

// noting returns the function with a note of whether it was called.
func noting(origin func(value.Path) (diag.Range, bool), called *atomic.Bool) func(value.Path) (diag.Range, bool) {
	if origin == nil {
		return nil
	}
	return func(p value.Path) (diag.Range, bool) {
		called.Store(true)
		return origin(p)
	}
}

// recall returns what the cache has under a key.
func (r *Renderer) recall(key string, req Request) (manifest.Release, diag.Diagnostics, bool) {
	data, ok := r.cache.Get(key)
	if !ok {
		return manifest.Release{}, nil, false
	}
	kept, err := decodeKept(data, &r.shared)
	if err != nil || len(kept.diags) > 0 && kept.places != req.places() {
		return manifest.Release{}, nil, false
	}
	out := kept.release
	out.Name, out.Namespace = req.Release.Name, req.Release.Namespace
	out.Revision, out.Upgrade = max(req.Revision, 1), req.Upgrade
	if out.Values = req.Release.Values; out.Values == nil {
		out.Values = map[string]any{}
	}
	out.Chart.Name, out.Chart.Version, out.Chart.Digest = req.Chart.Name, req.Chart.Version, req.Chart.Digest
	for name, text := range kept.sources {
		r.source(name, text)
	}
	return out, kept.diags, true
}

// keep puts a rendering into the cache, if it may be used again. Nothing is wrong where it can't: the next run renders.
func (r *Renderer) keep(key string, req Request, out manifest.Release, diags diag.Diagnostics) {
	if diags.HasErrors() || r.CacheFailure() != nil || !repeatable(out) {
		return
	}
	k := kept{release: out, diags: diags}
	if len(diags) > 0 {
		k.places, k.sources = req.places(), diag.Sources{}
		for _, d := range diags {
			r.copySource(k.sources, d.Range.File)
			for _, n := range d.Notes {
				r.copySource(k.sources, n.Range.File)
			}
		}
	}
	data, err := k.encode()
	if err != nil {
		return // a chart's values of a type that no reading makes: there is nothing to keep it as
	}
	if err := r.cache.Put(key, data); err != nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.cacheErr == nil {
			r.cacheErr = err
		}
	}
}

func (r *Renderer) copySource(to diag.Sources, name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if text, ok := r.sources[name]; ok {
		to[name] = slices.Clone(text)
	}
}

// repeatable reports whether the same input renders the same release again. What Helm leaves unordered is sorted here.
func repeatable(out manifest.Release) bool {
	return !slices.ContainsFunc(out.Impure, func(c manifest.ImpureCall) bool { return !c.Unordered })
}
