package cache_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redkubes/otomi/pkg/cache"
)

// TestMain lets the tests run this binary as another process that uses a cache.
func TestMain(m *testing.M) {
	if dir := os.Getenv("CACHE_TEST_DIR"); dir != "" {
		os.Exit(otherProcess(dir, os.Getenv("CACHE_TEST_NAME")))
	}
	os.Exit(m.Run())
}

func open(t *testing.T, dir string, most int64) *cache.Cache {
	t.Helper()
	c, err := cache.Open(dir, cache.Options{MaxBytes: most})
	require.NoError(t, err)
	return c
}

// entries are the files of entries below a directory.
func entries(t *testing.T, dir string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, "?", "*"))
	require.NoError(t, err)
	return found
}

func TestWhatWasPutIsGot(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "a", "b")
	c := open(t, dir, 0)
	_, ok := c.Get("key")
	require.False(t, ok)
	require.NoFileExists(t, dir, "a cache that was only asked makes no directory")
	for _, data := range []string{"", "x", strings.Repeat("long", 100_000)} {
		require.NoError(t, c.Put("key", []byte(data)))
		got, ok := open(t, dir, 0).Get("key")
		require.True(t, ok)
		require.Equal(t, data, string(got))
	}
	_, ok = c.Get("other")
	require.False(t, ok)
	require.Len(t, entries(t, dir), 1)
}

func TestANilCacheKeepsNothing(t *testing.T) {
	t.Parallel()
	var c *cache.Cache
	require.NoError(t, c.Put("key", []byte("x")))
	_, ok := c.Get("key")
	require.False(t, ok)
	stats, err := c.Clear()
	require.NoError(t, err)
	require.Zero(t, stats)
}

func TestWhatIsKeptIsForTheUserAlone(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "c")
	require.NoError(t, open(t, dir, 1<<20).Put("key", []byte("secret")))
	err := filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		require.NoError(t, err)
		info, err := e.Info()
		require.NoError(t, err)
		require.Zerof(t, info.Mode().Perm()&0o077, "%s has %v", name, info.Mode())
		return nil
	})
	require.NoError(t, err)
}

func TestADamagedEntryIsNoneAndGoes(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]func([]byte) []byte{
		"truncated":            func(b []byte) []byte { return b[:len(b)-1] },
		"truncated to nothing": func([]byte) []byte { return nil },
		"in the header":        func(b []byte) []byte { return b[:20] },
		"longer":               func(b []byte) []byte { return append(b, '!') },
		"a bit of the data":    func(b []byte) []byte { b[len(b)-3] ^= 1; return b },
		"a bit of the sum":     func(b []byte) []byte { b[20] ^= 1; return b },
		"another form":         func(b []byte) []byte { return bytes.Replace(b, []byte("cache 1"), []byte("cache 0"), 1) },
		"foreign":              func([]byte) []byte { return []byte("apiVersion: v1\nkind: Secret\n") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			require.NoError(t, os.Chmod(dir, 0o700))
			c := open(t, dir, 0)
			require.NoError(t, c.Put("key", []byte("the data")))
			file := entries(t, dir)[0]
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(file, damage(text), 0o600))
			_, ok := c.Get("key")
			require.False(t, ok)
			require.NoFileExists(t, file)
			require.NoError(t, c.Put("key", []byte("the data")))
			got, ok := c.Get("key")
			require.True(t, ok)
			require.Equal(t, "the data", string(got))
		})
	}
}

func TestAnEntryUnderTheNameOfAnotherIsNone(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "c")
	c := open(t, dir, 0)
	require.NoError(t, c.Put("one", []byte("1")))
	one := entries(t, dir)[0]
	text, err := os.ReadFile(one)
	require.NoError(t, err)
	require.NoError(t, os.Remove(one))
	require.NoError(t, c.Put("two", []byte("2")))
	require.NoError(t, os.WriteFile(entries(t, dir)[0], text, 0o600))
	_, ok := c.Get("two")
	require.False(t, ok)
}

func TestADirectoryThatOthersWriteIntoIsRefused(t *testing.T) {
	t.Parallel()
	for _, mode := range []fs.FileMode{0o777, 0o770, 0o702} {
		dir := t.TempDir()
		require.NoError(t, os.Chmod(dir, mode))
		_, err := cache.Open(dir, cache.Options{})
		require.ErrorIs(t, err, cache.ErrUnsafe)
	}
	// Nor one that appears between Open and the first Put.
	dir := filepath.Join(t.TempDir(), "later")
	c := open(t, dir, 0)
	require.NoError(t, os.Mkdir(dir, 0o700))
	require.NoError(t, os.Chmod(dir, 0o777))
	require.ErrorIs(t, c.Put("key", []byte("x")), cache.ErrUnsafe)
	require.Empty(t, entries(t, dir))
}

func TestADirectoryOfAnotherUserIsRefused(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root can give a directory away: run as root, as CI does, to try it")
	}
	dir := t.TempDir()
	require.NoError(t, os.Chmod(dir, 0o700))
	require.NoError(t, os.Chown(dir, 12345, 12345))
	_, err := cache.Open(dir, cache.Options{})
	require.ErrorIs(t, err, cache.ErrUnsafe)
}

func TestADirectoryThatCantBeIsAnErrorAndNoPanic(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	_, err := cache.Open(file, cache.Options{})
	require.ErrorContains(t, err, "it is no directory")
	c, err := cache.Open(filepath.Join(file, "below"), cache.Options{})
	if err == nil {
		err = c.Put("key", []byte("x"))
	}
	require.Error(t, err)
}

func TestAShardThatCantBeWrittenFailsThatPutAlone(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "c")
	c := open(t, dir, 0)
	require.NoError(t, c.Put("key", []byte("x")))
	shard := filepath.Dir(entries(t, dir)[0])
	require.NoError(t, os.RemoveAll(shard))
	require.NoError(t, os.WriteFile(shard, []byte("foreign"), 0o600))
	require.Error(t, c.Put("key", []byte("x")))
	_, ok := c.Get("key")
	require.False(t, ok)
	require.FileExists(t, shard)
}

func TestWhatWasNotUsedForLongestGoesFirst(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "c")
	const most = 1 << 20
	c := open(t, dir, most)
	data := make([]byte, 60<<10) // 16 of them are under the bound
	put := func(i int) { require.NoError(t, c.Put(fmt.Sprint(i), data)) }
	for i := range 16 {
		put(i)
	}
	require.Len(t, entries(t, dir), 16)
	// All are a day old, the lower the older; then the two oldest are used.
	at := time.Now().Add(-24 * time.Hour)
	for _, file := range entries(t, dir) {
		require.NoError(t, os.Chtimes(file, at, at))
	}
	for _, key := range []string{"0", "1"} {
		_, ok := c.Get(key)
		require.True(t, ok)
	}
	for i := 16; i < 18; i++ {
		put(i)
	}
	stats, err := c.Stats()
	require.NoError(t, err)
	require.LessOrEqual(t, stats.Bytes, int64(most))
	require.Less(t, stats.Entries, 18, "something went")
	require.Greater(t, stats.Entries, 8, "no more than it takes")
	for _, key := range []string{"0", "1", "16", "17"} {
		_, ok := c.Get(key)
		require.Truef(t, ok, "%s was used last", key)
	}
}

func TestACacheStaysUnderItsBound(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "c")
	const most = 256 << 10
	c := open(t, dir, most)
	require.NoError(t, c.Put("huge", make([]byte, most)), "too large to be kept is no error")
	require.Empty(t, entries(t, dir))
	for i := range 400 {
		require.NoError(t, c.Put(fmt.Sprint(i), bytes.Repeat([]byte{byte(i)}, 1+i*37%9000)))
		if i%40 != 0 {
			continue
		}
		stats, err := c.Stats()
		require.NoError(t, err)
		require.LessOrEqual(t, stats.Bytes, int64(most))
	}
	_, ok := c.Get("399")
	require.True(t, ok)
}

func TestForeignFilesStay(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "c")
	c := open(t, dir, 64<<10)
	require.NoError(t, c.Put("key", []byte("x")))
	shard := filepath.Dir(entries(t, dir)[0])
	foreign := []string{
		filepath.Join(dir, "README"), filepath.Join(dir, "a"), filepath.Join(shard, "notes.txt"),
		filepath.Join(dir, "other", strings.Repeat("a", 63)),
	}
	require.NoError(t, os.Mkdir(filepath.Join(dir, "other"), 0o700))
	for _, name := range foreign {
		if info, err := os.Stat(name); err == nil && info.IsDir() {
			continue
		}
		require.NoError(t, os.WriteFile(name, []byte("mine"), 0o600))
	}
	for i := range 100 {
		_ = c.Put(fmt.Sprint(i), make([]byte, 3000)) // one falls on the foreign file called a
	}
	before, err := c.Clear()
	require.NoError(t, err)
	require.NotZero(t, before.Entries)
	after, err := c.Stats()
	require.NoError(t, err)
	require.Zero(t, after.Entries)
	for _, name := range foreign {
		require.FileExists(t, name)
	}
}

func TestWhatADeadWriterLeftIsSwept(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "c")
	c := open(t, dir, 0)
	require.NoError(t, c.Put("key", []byte("x")))
	shard := filepath.Dir(entries(t, dir)[0])
	dead, alive := filepath.Join(shard, ".new-1"), filepath.Join(shard, ".new-2")
	require.NoError(t, os.WriteFile(dead, []byte("half"), 0o600))
	require.NoError(t, os.WriteFile(alive, []byte("half"), 0o600))
	at := time.Now().Add(-2 * time.Hour)
	require.NoError(t, os.Chtimes(dead, at, at))
	stats, err := c.Stats()
	require.NoError(t, err)
	require.Equal(t, 1, stats.Entries)
	require.NoFileExists(t, dead)
	require.FileExists(t, alive)
}

// otherProcess puts and gets the same keys as its siblings, in a cache that is too small for them all. Nothing that it gets
// may be other than what anybody put.
func otherProcess(dir, name string) int {
	c, err := cache.Open(dir, cache.Options{MaxBytes: 128 << 10})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	for i := range 400 {
		key := fmt.Sprint(i % 40)
		if got, ok := c.Get(key); ok && !bytes.HasPrefix(got, []byte(key+":")) {
			fmt.Printf("%s: got %q\n", key, got[:20])
			return 1
		}
		body := key + ":" + strings.Repeat(name, 500+i*7)
		if err := c.Put(key, []byte(body)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			fmt.Println(err)
			return 1
		}
		if i%100 == 99 {
			if _, err := c.Stats(); err != nil && !errors.Is(err, fs.ErrNotExist) {
				fmt.Println(err)
				return 1
			}
		}
	}
	return 0
}

func TestProcessesShareACache(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "c")
	var running []*exec.Cmd
	var said [4]bytes.Buffer
	for i := range said {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "CACHE_TEST_DIR="+dir, fmt.Sprintf("CACHE_TEST_NAME=%d", i))
		cmd.Stdout, cmd.Stderr = &said[i], &said[i]
		require.NoError(t, cmd.Start())
		running = append(running, cmd)
	}
	for i, cmd := range running {
		require.NoError(t, cmd.Wait(), said[i].String())
	}
	c := open(t, dir, 128<<10)
	stats, err := c.Stats()
	require.NoError(t, err)
	require.LessOrEqual(t, stats.Bytes, int64(2*128<<10))
	left, err := filepath.Glob(filepath.Join(dir, "?", ".new-*"))
	require.NoError(t, err)
	require.Empty(t, left)
}
