package pipeline

import (
	"errors"
	"path/filepath"

	"github.com/redkubes/otomi/pkg/cache"
	"github.com/redkubes/otomi/pkg/render"
)

// CacheOptions say where a run keeps what it can make again.
type CacheOptions struct {
	// Dir is the directory of the caches; empty means that there are none.
	Dir string
	// Build identifies this build of otomi: what another one rendered is not used.
	Build string
	// Anew renders every release, whatever is kept. What was downloaded is used all the same: it is not what a run makes.
	Anew bool
}

// The caches, each in a directory of its own below the one of CacheOptions, with their bounds in bytes. A rendered release is
// some 20 KiB; what was downloaded is dear to get again.
const (
	renderCache = "render"
	chartCache  = "charts"

	renderCacheBytes = 512 << 20
	chartCacheBytes  = 2 << 30
)

// ErrCacheUnsafe says that others can write into a cache.
var ErrCacheUnsafe = cache.ErrUnsafe

// caches are those of one run; one that is nil keeps nothing.
type caches struct {
	render, charts *cache.Cache
}

// openCaches opens the caches. Those that can't be opened are nil: a run goes without them.
func openCaches(dir string) (caches, error) {
	if dir == "" {
		return caches{}, nil
	}
	var c caches
	var errs [2]error
	c.render, errs[0] = cache.Open(filepath.Join(dir, renderCache), cache.Options{MaxBytes: renderCacheBytes})
	c.charts, errs[1] = cache.Open(filepath.Join(dir, chartCache), cache.Options{MaxBytes: chartCacheBytes})
	return c, errors.Join(errs[:]...)
}

// renderer returns a renderer that uses the cache of renderings, if there is one.
func (c caches) renderer(build string) *render.Renderer {
	if c.render == nil {
		return render.New()
	}
	return render.NewCached(c.render, build)
}

// CacheFailure is why a cache was not used, or not written any more. The run is the same without it.
func (p *Platform) CacheFailure() error {
	if p == nil {
		return nil
	}
	return errors.Join(p.cacheErr, p.renderer.CacheFailure())
}

// CacheInfo is what one cache holds.
type CacheInfo struct {
	Name    string
	Entries int
	// Bytes is the length of all entries, MaxBytes the bound.
	Bytes, MaxBytes int64
}

// LookIntoCaches returns what the caches of a directory hold, in the order of their names. A directory that is not there
// holds nothing.
func LookIntoCaches(dir string) ([]CacheInfo, error) { return eachCache(dir, (*cache.Cache).Stats) }

// ClearCaches removes what the caches of a directory hold, and nothing else there, and returns what it was.
func ClearCaches(dir string) ([]CacheInfo, error) { return eachCache(dir, (*cache.Cache).Clear) }

func eachCache(dir string, do func(*cache.Cache) (cache.Stats, error)) ([]CacheInfo, error) {
	opened, err := openCaches(dir)
	if err != nil {
		return nil, err
	}
	var out []CacheInfo
	for _, c := range []struct {
		name  string
		cache *cache.Cache
	}{{chartCache, opened.charts}, {renderCache, opened.render}} {
		stats, err := do(c.cache)
		if err != nil {
			return out, err
		}
		out = append(out, CacheInfo{Name: c.name, Entries: stats.Entries, Bytes: stats.Bytes, MaxBytes: stats.MaxBytes})
	}
	return out, nil
}
