package source

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
)

func write(t *testing.T, path, text string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
}

func TestOpenFollowsNoLinkThatLeadsOut(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "secret"), "s")
	write(t, filepath.Join(dir, "repo", "a.yaml"), "a: 1")
	write(t, filepath.Join(dir, "repo", "sub", "b.yaml"), "b: 1")
	for name, target := range map[string]string{
		"out": "../secret", "absolute": filepath.Join(dir, "secret"), "outdir": "..", "in": "a.yaml", "indir": "sub", "loop": "loop",
	} {
		require.NoError(t, os.Symlink(target, filepath.Join(dir, "repo", name)))
	}
	tree, closer, err := Open(filepath.Join(dir, "repo"), "repo/")
	require.NoError(t, err)
	defer func() { require.NoError(t, closer.Close()) }()

	for _, name := range []string{"a.yaml", "in", "sub/b.yaml", "indir/b.yaml"} {
		_, err := fs.ReadFile(tree.FS, name)
		require.NoError(t, err, name)
	}
	for _, name := range []string{"out", "absolute", "outdir/secret", "loop", "../secret"} {
		_, err := fs.ReadFile(tree.FS, name)
		require.Error(t, err, name)
	}
	require.Equal(t, "repo/a.yaml", tree.Display("a.yaml"))
}

func TestOpenOfNothingIsAnError(t *testing.T) {
	t.Parallel()
	_, _, err := Open(filepath.Join(t.TempDir(), "nothing"), "")
	require.ErrorIs(t, err, fs.ErrNotExist)
}

func TestFind(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "settings", "otomi.yaml"), "")
	write(t, filepath.Join(dir, "settings", "deep", "er", "x"), "")
	write(t, filepath.Join(dir, "env-only", "env", "clouds", "x.yaml"), "")
	write(t, filepath.Join(dir, "file", "env"), "a file is no directory of values")
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "dir", "otomi.yaml"), 0o755))
	tests := map[string]string{
		"settings": "settings", "settings/deep/er": "settings", "env-only/env/clouds": "env-only", "file": "", "dir": "",
	}
	for start, want := range tests {
		root, found, err := Find(filepath.Join(dir, start))
		require.NoError(t, err)
		if want == "" {
			// A directory above the test's own may be one by accident; ours are not.
			require.NotContains(t, root, filepath.Join(dir, start))
			continue
		}
		require.True(t, found, start)
		require.Equal(t, filepath.Join(dir, want), root, start)
	}
}

func TestOverlayIsAFileSystem(t *testing.T) {
	t.Parallel()
	tree := Overlay("builtin:", map[string]fs.FS{
		"charts":    fstest.MapFS{"a/Chart.yaml": {Data: []byte("name: a")}, "b/templates/_x.tpl": {Data: []byte("x")}},
		"runlevels": fstest.MapFS{"00-a.yaml.gotmpl": {Data: []byte("releases: []")}},
		"schema":    fstest.MapFS{"values.schema.yaml": {Data: []byte("{}")}},
	})
	require.NoError(t, fstest.TestFS(tree.FS, "charts/a/Chart.yaml", "charts/b/templates/_x.tpl", "runlevels/00-a.yaml.gotmpl", "schema/values.schema.yaml"))

	names, err := fs.Glob(tree.FS, "*/*.yaml*")
	require.NoError(t, err)
	require.Equal(t, []string{"runlevels/00-a.yaml.gotmpl", "schema/values.schema.yaml"}, names)

	var walked []string
	require.NoError(t, fs.WalkDir(tree.FS, ".", func(p string, _ fs.DirEntry, err error) error {
		walked = append(walked, p)
		return err
	}))
	require.Len(t, walked, 11)

	for _, name := range []string{"nothing", "nothing/x", "charts/nothing"} {
		_, err := fs.ReadFile(tree.FS, name)
		require.ErrorIs(t, err, fs.ErrNotExist)
		var p *fs.PathError
		require.ErrorAs(t, err, &p)
		require.Equal(t, name, p.Path)
	}
	require.Equal(t, "builtin:charts/a", tree.Display("charts/a"))
}
