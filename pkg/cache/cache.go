// Package cache keeps bytes by key on disk. It knows no meaning of them.
//
// It is a door. Processes may share a directory: what is written becomes visible whole or not at all, and what is read is
// verified. A cache may lose anything at any time; whoever uses it can make it again.
//
// An entry is a file DIR/X/REST, named by the sha256 of its key, for the user alone since what is kept may be secret. Files
// of other names are not the cache's own: they are neither read nor removed.
package cache

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
)

// magic begins every entry; its number changes with the form of an entry.
const magic = "otomi cache 1\n"

// headerSize is the magic and the sum.
const headerSize = len(magic) + sha256.Size

// shardDigits is how many digits of an entry's name are that of its directory: making a directory costs as much as making a
// file, and a run makes few of them.
const shardDigits = 1

// touchAfter is how old the mark of an entry's last use may become before a use renews it.
const touchAfter = 10 * time.Minute

// Options of a cache.
type Options struct {
	// MaxBytes bounds what is kept: when it is exceeded, the entries that were not used for longest are removed. Processes
	// that write at the same time may go over it by what they write until one of them sweeps. 0 means no bound.
	MaxBytes int64
}

// Cache is a directory of entries. It is safe for concurrent use, also by several processes. A nil cache keeps nothing.
type Cache struct {
	dir string
	max int64

	// making makes the directory, once, before the first entry is written.
	making sync.Once
	made   error
	// trusted says that the directory was looked at after it was made, before anything was read from it.
	trusted atomic.Bool
	// sweeping keeps the goroutines of a process from sweeping side by side.
	sweeping sync.Mutex
}

// ErrUnsafe says that others can write into the directory: what is read from it could be theirs.
var ErrUnsafe = errors.New("others can write into it")

// Open returns the cache in a directory, which need not be there yet: the first Put makes it. The error is a directory that
// can't be looked at, is none, or that others can write into (ErrUnsafe).
func Open(dir string, o Options) (*Cache, error) {
	c := &Cache{dir: dir, max: o.MaxBytes}
	if err := c.check(); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("opening the cache %s: %w", dir, err)
	}
	return c, nil
}

// check looks whether the directory is one that nobody else can write into.
func (c *Cache) check() error {
	info, err := os.Stat(c.dir)
	switch {
	case err != nil:
		return err
	case !info.IsDir():
		return errors.New("it is no directory")
	case !own(info):
		return ErrUnsafe
	}
	return nil
}

// own reports whether a file or directory is that of the user alone to write.
func own(info fs.FileInfo) bool { return info.Mode().Perm()&0o022 == 0 && owned(info) }

// path is the file of a key's entry.
func (c *Cache) path(key string) string {
	sum := sha256.Sum256([]byte(key))
	name := hex.EncodeToString(sum[:])
	return filepath.Join(c.dir, name[:shardDigits], name[shardDigits:])
}

// sum is what an entry says of itself: data under another key does not have it.
func sum(key string, data []byte) [sha256.Size]byte {
	h := sha256.New()
	h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(key))))
	io.WriteString(h, key)
	h.Write(data)
	return [sha256.Size]byte(h.Sum(nil))
}

// Get returns what was kept under a key. An entry that is not as it was written is none, and is removed. One that
// others can write, or whose directory is not the user's alone, is none either: the sum of an entry tells what was damaged,
// not who wrote it.
func (c *Cache) Get(key string) ([]byte, bool) {
	if c == nil {
		return nil, false
	}
	name := c.path(key)
	// Looked at before it is opened: the opening of a named pipe waits for ever.
	info, err := os.Lstat(name)
	if err != nil || !info.Mode().IsRegular() || !own(info) || c.max > 0 && info.Size() > c.max/4+int64(headerSize) {
		return nil, false
	}
	// At Open there may have been no directory yet, and somebody else may have made it since.
	if !c.trusted.Load() {
		if c.check() != nil {
			return nil, false
		}
		c.trusted.Store(true)
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, false
	}
	defer f.Close()
	text := make([]byte, info.Size())
	_, err = io.ReadFull(f, text)
	if err != nil || !verified(key, text) {
		// Another process may have put a good one here meanwhile: then that one is lost, as anything here may be.
		os.Remove(name)
		return nil, false
	}
	if now := time.Now(); now.Sub(info.ModTime()) > touchAfter {
		os.Chtimes(name, now, now) // not renewed: it is removed a little early
	}
	return text[headerSize:], true
}

func verified(key string, text []byte) bool {
	if len(text) < headerSize || string(text[:len(magic)]) != magic {
		return false
	}
	want := sum(key, text[headerSize:])
	return bytes.Equal(text[len(magic):headerSize], want[:])
}

// Put keeps data under a key. Who reads at the same time sees what was there before or all of it. Data over a quarter of the
// bound is not kept, since it would drive out too much. After an error the entry is whole or not there; the error is a directory
// that can't be made or written, a full disk, or ErrUnsafe.
func (c *Cache) Put(key string, data []byte) error {
	if c == nil || c.max > 0 && int64(len(data)) > c.max/4 {
		return nil
	}
	c.making.Do(func() {
		if c.made = os.MkdirAll(c.dir, 0o700); c.made == nil {
			c.made = c.check()
		}
	})
	if c.made != nil {
		return fmt.Errorf("writing into the cache %s: %w", c.dir, c.made)
	}
	if err := c.write(c.path(key), sum(key, data), data); err != nil {
		return fmt.Errorf("writing into the cache: %w", err)
	}
	return c.account(int64(headerSize + len(data)))
}

// temporary begins the names of files that are being written.
const temporary = ".new-"

// write writes an entry beside its place and moves it there. It is not forced to the disk: what a crash leaves is found out
// when it is read.
func (c *Cache) write(name string, sum [sha256.Size]byte, data []byte) (err error) {
	shard := filepath.Dir(name)
	f, err := os.CreateTemp(shard, temporary) // for the user alone
	if errors.Is(err, fs.ErrNotExist) {
		if err := os.MkdirAll(shard, 0o700); err != nil {
			return err
		}
		f, err = os.CreateTemp(shard, temporary)
	}
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	text := make([]byte, 0, headerSize+len(data))
	text = append(append(append(text, magic...), sum[:]...), data...)
	if _, err := f.Write(text); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}
