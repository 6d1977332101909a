package source_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/redkubes/otomi/pkg/source"
	"github.com/redkubes/otomi/pkg/template"
)

func TestHost(t *testing.T) {
	t.Parallel()
	top := t.TempDir()
	root := filepath.Join(top, "repo")
	dir := filepath.Join(root, "d")
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "sub"), 0o755))
	for name, text := range map[string]string{"repo/d/b": "B", "repo/d/a": "A", "repo/up": "U", "out": "O"} {
		require.NoError(t, os.WriteFile(filepath.Join(top, name), []byte(text), 0o644))
	}
	require.NoError(t, os.Symlink(filepath.Join(top, "out"), filepath.Join(dir, "link")))
	require.NoError(t, os.WriteFile(filepath.Join(top, "repo/large"), make([]byte, 16<<20+1), 0o644))
	for _, all := range []bool{false, true} {
		h, err := source.OpenHost(dir, root, all)
		require.NoError(t, err)
		defer h.Close()
		for _, name := range []string{"../up", filepath.ToSlash(root) + "/up"} {
			text, err := h.ReadFile(name)
			require.NoError(t, err)
			require.Equal(t, "U", string(text))
		}
		entries, err := h.ReadDir(".")
		require.NoError(t, err)
		require.Len(t, entries, 4)
		require.Equal(t, "a", entries[0].Name())
		info, err := h.Stat("sub")
		require.NoError(t, err)
		require.True(t, info.IsDir())
		_, err = h.Stat("nope")
		require.ErrorIs(t, err, fs.ErrNotExist)
		_, err = h.ReadFile("../large")
		require.ErrorContains(t, err, "more than 16 MiB")
		for _, name := range []string{"../../out", filepath.ToSlash(top) + "/out", "link"} {
			text, err := h.ReadFile(name)
			if all {
				require.NoError(t, err)
				require.Equal(t, "O", string(text))
				continue
			}
			detail, ok := template.Forbidden(err)
			require.True(t, ok, "%s: %v", name, err)
			require.Contains(t, detail, "--allow files")
			_, err = h.Stat(name)
			_, ok = template.Forbidden(err)
			require.True(t, ok, name)
		}
	}
}

func TestInside(t *testing.T) {
	t.Parallel()
	files := source.Inside(fstest.MapFS{"a/b": {Data: []byte("x")}})
	text, err := files.ReadFile("a/b")
	require.NoError(t, err)
	require.Equal(t, "x", string(text))
	for _, name := range []string{"../x", "/etc/passwd"} {
		_, err = files.ReadFile(name)
		_, ok := template.Forbidden(err)
		require.True(t, ok)
	}
	_, err = files.Stat("nope")
	require.ErrorIs(t, err, fs.ErrNotExist)
}

// What a name means is found in the directory that is worked on, also behind a link; elsewhere only where all may be read.
func TestSeat(t *testing.T) {
	t.Parallel()
	top, err := filepath.EvalSymlinks(t.TempDir())
	require.NoError(t, err)
	root := filepath.Join(top, "repo")
	dir := filepath.Join(root, "d")
	for _, name := range []string{dir, filepath.Join(root, "charts", "web"), filepath.Join(top, "out")} {
		require.NoError(t, os.MkdirAll(name, 0o755))
	}
	require.NoError(t, os.Symlink(filepath.Join(root, "charts"), filepath.Join(dir, "inside")))
	require.NoError(t, os.Symlink(filepath.Join(top, "out"), filepath.Join(dir, "outside")))
	only, err := source.OpenHost(dir, root, false)
	require.NoError(t, err)
	defer only.Close()
	all, err := source.OpenHost(dir, root, true)
	require.NoError(t, err)
	system := filepath.VolumeName(top) + string(filepath.Separator)
	out, err := filepath.Rel(system, filepath.Join(top, "out"))
	require.NoError(t, err)

	for name, want := range map[string]string{"../charts/web": "charts/web", "new": "d/new", filepath.ToSlash(root): "."} {
		for _, h := range []*source.Host{only, all} {
			at, inside, err := h.Seat(name)
			require.NoError(t, err)
			require.Equal(t, root+" "+want, at+" "+inside, name)
		}
	}
	_, inside, err := all.Seat("inside/web")
	require.NoError(t, err)
	require.Equal(t, "charts/web", inside)
	for _, name := range []string{"outside", "../../out"} {
		at, inside, err := all.Seat(name)
		require.NoError(t, err)
		require.Equal(t, system+" "+filepath.ToSlash(out), at+" "+inside, name)
	}
	_, _, err = only.Seat("../../out")
	detail, refused := template.Forbidden(err)
	require.True(t, refused)
	require.Contains(t, detail, "--allow files")
}
