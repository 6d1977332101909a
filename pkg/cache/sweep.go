package cache

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// tallyName is a file whose length is the size of the cache in units: appending to it is one write that processes do not
// disturb each other in, and reading it is a look at its length. It is near the truth only, and put right by each sweep.
const tallyName = "tally"

const unit = 4 << 10

// keepPart is how much of the bound a sweep leaves, in percent, so that not every Put behind it sweeps again.
const keepPart = 75

// abandoned is the age of a file that is being written at which its writer is dead.
const abandoned = time.Hour

// account adds what was written to the tally, and sweeps where the cache is over its bound.
func (c *Cache) account(n int64) error {
	if c.max <= 0 {
		return nil
	}
	f, err := os.OpenFile(filepath.Join(c.dir, tallyName), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("counting the cache: %w", err)
	}
	defer f.Close()
	if _, err := f.Write(bytes.Repeat([]byte{'.'}, int(units(n)))); err != nil {
		return fmt.Errorf("counting the cache: %w", err)
	}
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("counting the cache: %w", err)
	}
	if info.Size()*unit <= c.max || !c.sweeping.TryLock() {
		return nil
	}
	defer c.sweeping.Unlock()
	return c.sweep(c.max * keepPart / 100)
}

// units is the space of a file on disk.
func units(n int64) int64 { return (n + unit - 1) / unit }

// file is an entry as a walk sees it.
type file struct {
	path string
	size int64
	used time.Time
}

// sweep removes the entries that were not used for longest until at most limit bytes of disk are left, and puts the tally
// right. Two processes that sweep at the same time remove the same ones.
func (c *Cache) sweep(limit int64) error {
	files, err := c.files()
	if err != nil {
		return fmt.Errorf("sweeping the cache: %w", err)
	}
	slices.SortFunc(files, func(a, b file) int { return a.used.Compare(b.used) })
	var left int64
	for _, f := range files {
		left += units(f.size) * unit
	}
	var errs []error
	for _, f := range files {
		if left <= limit {
			break
		}
		if err := os.Remove(f.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, fmt.Errorf("sweeping the cache: %w", err))
			continue
		}
		left -= units(f.size) * unit
	}
	if err := os.Truncate(filepath.Join(c.dir, tallyName), left/unit); err != nil && !errors.Is(err, fs.ErrNotExist) {
		errs = append(errs, fmt.Errorf("sweeping the cache: %w", err))
	}
	return errors.Join(errs...)
}

// files returns the entries, and removes what dead writers left.
func (c *Cache) files() ([]file, error) {
	var out []file
	shards, err := os.ReadDir(c.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	for _, shard := range shards {
		if !shard.IsDir() || !isHex(shard.Name(), shardDigits) {
			continue
		}
		entries, err := os.ReadDir(filepath.Join(c.dir, shard.Name()))
		if errors.Is(err, fs.ErrNotExist) {
			continue // another process removed it
		}
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			left := strings.HasPrefix(e.Name(), temporary)
			if !left && !isHex(e.Name(), 2*sha256.Size-shardDigits) {
				continue
			}
			info, err := e.Info()
			if err != nil || !info.Mode().IsRegular() {
				continue // another process removed it
			}
			path := filepath.Join(c.dir, shard.Name(), e.Name())
			switch {
			case !left:
				out = append(out, file{path: path, size: info.Size(), used: info.ModTime()})
			case time.Since(info.ModTime()) > abandoned:
				os.Remove(path) // the next sweep tries again
			}
		}
	}
	return out, nil
}

func isHex(s string, n int) bool {
	return len(s) == n && strings.Trim(s, "0123456789abcdef") == ""
}

// Stats say what a cache holds.
type Stats struct {
	Entries int
	// Bytes is the length of all entries.
	Bytes int64
	// MaxBytes is the bound, or 0.
	MaxBytes int64
}

// Stats looks at every entry. A directory that is not there holds none.
func (c *Cache) Stats() (Stats, error) {
	if c == nil {
		return Stats{}, nil
	}
	files, err := c.files()
	if err != nil {
		return Stats{}, fmt.Errorf("looking at the cache %s: %w", c.dir, err)
	}
	s := Stats{Entries: len(files), MaxBytes: c.max}
	for _, f := range files {
		s.Bytes += f.size
	}
	return s, nil
}

// Clear removes every entry, and returns what there was. Directories that are empty then go too; foreign files stay.
func (c *Cache) Clear() (Stats, error) {
	if c == nil {
		return Stats{}, nil
	}
	before, err := c.Stats()
	if err != nil || before.Entries == 0 {
		return before, err
	}
	c.sweeping.Lock()
	defer c.sweeping.Unlock()
	if err := c.sweep(0); err != nil {
		return before, err
	}
	shards, err := os.ReadDir(c.dir)
	if err != nil {
		return before, fmt.Errorf("clearing the cache: %w", err)
	}
	for _, shard := range shards {
		if shard.IsDir() && isHex(shard.Name(), shardDigits) {
			os.Remove(filepath.Join(c.dir, shard.Name())) // one with foreign files stays
		}
	}
	return before, nil
}
