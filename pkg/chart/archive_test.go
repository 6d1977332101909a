package chart_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/redkubes/otomi/pkg/chart"
	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/source"
	"github.com/redkubes/otomi/testdata/bound"
	"github.com/stretchr/testify/require"
	helmchart "helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
)

// entry is a file of an archive, or with a type something else.
type entry struct {
	name, text, link string
	kind             byte
	size             int64
	pax              map[string]string
}

// tarball writes an archive without its compression.
func tarball(t testing.TB, entries ...entry) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		h := &tar.Header{Name: e.name, Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(e.text)), Linkname: e.link, PAXRecords: e.pax}
		if e.kind != 0 {
			h.Typeflag = e.kind
		}
		if e.kind == tar.TypeXGlobalHeader {
			h = &tar.Header{Typeflag: e.kind, PAXRecords: e.pax}
		}
		require.NoError(t, w.WriteHeader(h))
		_, err := w.Write([]byte(e.text))
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	return b.Bytes()
}

func zipped(t testing.TB, data []byte) []byte {
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestSpeed)
	require.NoError(t, err)
	_, err = z.Write(data)
	require.NoError(t, err)
	require.NoError(t, z.Close())
	return b.Bytes()
}

func tgz(t testing.TB, entries ...entry) []byte { return zipped(t, tarball(t, entries...)) }

func meta(name, version string) string {
	return fmt.Sprintf("apiVersion: v2\nname: %s\nversion: %s\n", name, version)
}

func TestUnpackRefuses(t *testing.T) {
	t.Parallel()
	yaml := entry{name: "web/Chart.yaml", text: meta("web", "1.0.0")}
	file := func(name string) []byte { return tgz(t, yaml, entry{name: name, text: "x"}) }
	whole := tgz(t, yaml)
	tests := []struct {
		what    string
		archive []byte
		code    diag.Code
		detail  string
	}{
		{"nothing", nil, diag.ChartInvalid, "truncated"},
		{"text", []byte("hello"), diag.ChartInvalid, "not a gzip archive"},
		{"no tar", zipped(t, bytes.Repeat([]byte("hello"), 200)), diag.ChartInvalid, "none of a tar archive"},
		{"no files", tgz(t), diag.ChartInvalid, "no files"},
		{"truncated", whole[:len(whole)/2], diag.ChartInvalid, "truncated"},
		{"truncated in its checksum", whole[:len(whole)-2], diag.ChartInvalid, "truncated"},
		{"changed checksum", append(slices.Clone(whole[:len(whole)-8]), 1, 2, 3, 4, 5, 6, 7, 8), diag.ChartInvalid, "changed"},
		{"garbage behind it", append(slices.Clone(whole), "garbage that is no member"...), diag.ChartInvalid, "behind its end"},
		{"another archive behind it", append(slices.Clone(whole), file("web/evil")...), diag.ChartUnsafe, "behind its end"},
		{"bytes behind the end of the tar", zipped(t, append(tarball(t, yaml), "hidden"...)), diag.ChartUnsafe, "behind its end"},
		{"symbolic link", tgz(t, yaml, entry{name: "web/x", kind: tar.TypeSymlink, link: "/etc/passwd"}), diag.ChartUnsafe, "a symbolic link"},
		{"hard link", tgz(t, yaml, entry{name: "web/x", kind: tar.TypeLink, link: "web/Chart.yaml"}), diag.ChartUnsafe, "a hard link"},
		{"device", tgz(t, yaml, entry{name: "web/x", kind: tar.TypeBlock}), diag.ChartUnsafe, "a device"},
		{"terminal", tgz(t, yaml, entry{name: "web/x", kind: tar.TypeChar}), diag.ChartUnsafe, "a device"},
		{"pipe", tgz(t, yaml, entry{name: "web/x", kind: tar.TypeFifo}), diag.ChartUnsafe, "a named pipe"},
		{"parent", file("web/../../x"), diag.ChartUnsafe, "leads out"},
		{"parent within", file("web/a/../x"), diag.ChartUnsafe, "leads out"},
		{"parent at the top", file("../x"), diag.ChartUnsafe, "leads out"},
		{"absolute", file("/etc/passwd"), diag.ChartUnsafe, "absolute"},
		{"absolute within", file("web//etc/passwd"), diag.ChartUnsafe, "absolute"},
		{"drive", file("c:/x"), diag.ChartUnsafe, "absolute"},
		{"drive within", file("web/c:/x"), diag.ChartUnsafe, "absolute"},
		{"backslash", file(`web\x`), diag.ChartUnsafe, "backslash"},
		{"NUL", tgz(t, yaml, entry{name: "web/x", text: "x", pax: map[string]string{"path": "web/x"}}, entry{name: "web/y\x01z", text: "x"}), diag.ChartUnsafe, "control"},
		{"escape sequence", file("web/\x1b[31m"), diag.ChartUnsafe, "control"},
		{"no directory", file("values.yaml"), diag.ChartUnsafe, "not within the directory"},
		{"dots", file("web/..data"), diag.ChartUnsafe, "not within the directory"},
		{"long name", file("web/" + strings.Repeat("x/", 600) + "x"), diag.ChartBudget, "bytes long"},
		{"twice", tgz(t, yaml, yaml), diag.ChartUnsafe, "Chart.yaml twice"},
		{"twice by its clean name", tgz(t, yaml, entry{name: "web/./Chart.yaml"}), diag.ChartUnsafe, "Chart.yaml twice"},
		{"twice from two directories", tgz(t, yaml, entry{name: "other/Chart.yaml"}), diag.ChartUnsafe, "Chart.yaml twice"},
		{"link in a packed subchart", tgz(t, yaml, entry{name: "web/charts/sub-1.tgz", text: string(tgz(t, entry{name: "sub/x", kind: tar.TypeSymlink, link: "y"}))}),
			diag.ChartUnsafe, "a symbolic link"},
	}
	for _, tt := range tests {
		t.Run(tt.what, func(t *testing.T) {
			t.Parallel()
			files, ds := chart.Unpack(tt.archive)
			require.Nil(t, files)
			require.Len(t, ds, 1)
			require.Equal(t, tt.code, ds[0].Code, ds[0].Detail)
			require.Contains(t, ds[0].Detail, tt.detail)
			require.Regexp(t, `\.$`, ds[0].Detail)
		})
	}
}

// Each bound of an archive at the limit and past it.
func TestUnpackBounds(t *testing.T) {
	const mebibyte = 1 << 20
	yaml := entry{name: "web/Chart.yaml", text: meta("web", "1.0.0")}
	many := func(n int) []byte {
		entries := []entry{yaml}
		for i := range n - 1 {
			entries = append(entries, entry{name: fmt.Sprintf("web/f/%d", i)})
		}
		return tgz(t, entries...)
	}
	// Members of gzip of their own, so that five mebibytes are packed once.
	five := zipped(t, bytes.Repeat([]byte("x"), 5*mebibyte))
	large := func(sizes ...int) []byte {
		first := tarball(t, yaml)
		out := zipped(t, first[:len(first)-1024])
		for i, size := range sizes {
			var header bytes.Buffer
			require.NoError(t, tar.NewWriter(&header).WriteHeader(&tar.Header{Name: fmt.Sprintf("web/f/%d", i), Typeflag: tar.TypeReg, Size: int64(size)}))
			out = append(out, zipped(t, header.Bytes())...)
			if size == 5*mebibyte {
				out = append(out, five...)
				continue
			}
			out = append(out, zipped(t, append(bytes.Repeat([]byte("x"), size), make([]byte, (512-size%512)%512)...))...)
		}
		return append(out, zipped(t, make([]byte, 1024))...)
	}
	full := slices.Repeat([]int{5 * mebibyte}, 20)
	full[0] -= len(yaml.text)
	nested := func(n int) []byte {
		archive := tgz(t, entry{name: "c/Chart.yaml", text: meta("c", "1.0.0")})
		for range n {
			archive = tgz(t, entry{name: "c/Chart.yaml", text: meta("c", "1.0.0")}, entry{name: "c/charts/c-1.0.0.tgz", text: string(archive)})
		}
		return archive
	}
	deep := func(n int) []byte { return tgz(t, yaml, entry{name: "web/" + strings.Repeat("d/", n-1) + "x"}) }
	tests := []struct {
		what     string
		at, past []byte
	}{
		{"files", many(10_000), many(10_001)},
		{"bytes of a file", large(5 * mebibyte), large(5*mebibyte + 1)},
		{"bytes", large(full...), large(append(slices.Clone(full), 1)...)},
		{"nesting", nested(16), nested(17)},
		{"depth", deep(64), deep(65)},
		{"name", tgz(t, yaml, entry{name: "web/" + strings.Repeat("x", 1020)}), tgz(t, yaml, entry{name: "web/" + strings.Repeat("x", 1021)})},
	}
	for _, tt := range tests {
		t.Run(tt.what, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			files, ds := chart.Unpack(tt.at)
			runtime.ReadMemStats(&after)
			require.Empty(t, ds)
			require.NotEmpty(t, files)
			// All that was ever allocated, not what was in use at a time.
			require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(120*mebibyte), "100 MiB of files and little more")
			_, ds = chart.Unpack(tt.past)
			require.Len(t, ds, 1)
			require.Equal(t, diag.ChartBudget, ds[0].Code, ds[0].Detail)
		})
	}
}

// Small archives that ask for much memory or never end.
func TestUnpackBombsCostLittleMemory(t *testing.T) {
	yaml := entry{name: "web/Chart.yaml", text: meta("web", "1.0.0")}
	// One member of gzip again and again is as good as a long one, and quickly made.
	member := func(n int, plain []byte) []byte { return bytes.Repeat(zipped(t, plain), n) }
	record := strings.Repeat("x", 900<<10)
	global := tarball(t, entry{kind: tar.TypeXGlobalHeader, pax: map[string]string{"OTOMI.x": record}})
	local := tarball(t, entry{name: "web/x", pax: map[string]string{"OTOMI.x": record}})
	whole := zipped(t, tarball(t, yaml))
	lying := tarball(t, entry{name: "web/x", text: strings.Repeat("x", 1<<10)})
	copy(lying[124:136], "00023420000\x00") // 5,120,000 bytes
	setChecksum(lying[:512])
	huge := slices.Clone(lying)
	copy(huge[124:136], "77777777777\x00") // 8 GiB
	setChecksum(huge[:512])
	for what, archive := range map[string][]byte{
		"zeros behind the end":   append(slices.Clone(whole), member(1<<10, make([]byte, 1<<20))...),
		"global headers":         append(member(1<<10, global[:len(global)-1024]), whole...),
		"headers without a file": append(member(1<<10, local[:len(local)-1024-512]), whole...),
		"size that is not there": zipped(t, lying),
		"size of gibibytes":      zipped(t, huge),
		"empty members":          append(member(100_000, nil), whole...),
	} {
		t.Run(what, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			files, ds := chart.Unpack(archive)
			runtime.ReadMemStats(&after)
			if what == "empty members" {
				require.Empty(t, ds)
				require.Len(t, files, 1)
			} else {
				require.Len(t, ds, 1)
				require.NotEqual(t, "", ds[0].Detail)
			}
			used := int64(after.HeapSys) - int64(before.HeapSys)
			require.Less(t, used, int64(64<<20), "more memory from the system than a few headers take: %s of archive", fmt.Sprint(len(archive)))
		})
	}
}

// setChecksum corrects the checksum of a tar header.
func setChecksum(h []byte) {
	copy(h[148:156], "        ")
	sum := 0
	for _, b := range h {
		sum += int(b)
	}
	copy(h[148:156], fmt.Sprintf("%06o\x00 ", sum))
}

func TestUnpackReadsSeveralMembers(t *testing.T) {
	t.Parallel()
	plain := tarball(t, entry{name: "web/Chart.yaml", text: meta("web", "1.0.0")}, entry{name: "web/x", text: "x"})
	files, ds := chart.Unpack(append(zipped(t, plain[:700]), zipped(t, plain[700:])...))
	require.Empty(t, ds)
	require.Len(t, files, 2)
}

// same compares charts, subcharts by name and version since Helm has them in a random order. Raw is left out: a packed
// subchart is one file there for Helm, and its files for us.
func same(t testing.TB, want, got *helmchart.Chart) {
	t.Helper()
	require.Equal(t, want.Metadata, got.Metadata)
	require.Equal(t, want.Lock, got.Lock)
	require.Equal(t, want.Values, got.Values)
	require.Equal(t, want.Schema, got.Schema)
	require.Equal(t, want.Templates, got.Templates)
	require.Equal(t, want.Files, got.Files)
	require.Len(t, got.Dependencies(), len(want.Dependencies()))
	order := func(c *helmchart.Chart) []*helmchart.Chart {
		return slices.SortedStableFunc(slices.Values(c.Dependencies()), func(a, b *helmchart.Chart) int {
			return strings.Compare(identity(a), identity(b))
		})
	}
	w, g := order(want), order(got)
	for i := range w {
		same(t, w[i], g[i])
	}
}

func identity(c *helmchart.Chart) string {
	return fmt.Sprint(c.Metadata, len(c.Raw) > 0, c.Values, c.Templates, c.Files)
}

func load(files []chart.File) (*helmchart.Chart, error) {
	var buffered []*loader.BufferedFile
	for _, f := range files {
		buffered = append(buffered, &loader.BufferedFile{Name: f.Name, Data: f.Data})
	}
	return loader.LoadFiles(buffered)
}

// What helm package makes is read as Helm reads it.
func TestUnpackReadsWhatHelmReads(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	sub := tgz(t, entry{name: "other-name/Chart.yaml", text: "\xEF\xBB\xBF" + meta("sub", "1.0.0")},
		entry{name: "other-name/charts/deep-1.0.0.tgz", text: string(tgz(t, entry{name: "deep/Chart.yaml", text: meta("deep", "1.0.0")},
			entry{name: "deep/templates/x.yaml", text: "a: b"}))},
		entry{name: "other-name/.helmignore", text: "templates/\n"},
		entry{name: "other-name/templates/y.yaml", text: "\xEF\xBB\xBFa: b"})
	for name, text := range map[string]string{
		"Chart.yaml":                   chartYAML,
		"values.yaml":                  "\xEF\xBB\xBFa: 1\n",
		"values.schema.json":           "{}",
		".helmignore":                  "ignored*\n",
		"ignored.txt":                  "x",
		"README.md":                    "x",
		"crds/b.yaml":                  "x: y",
		"crds/a/b.yaml":                "x: y",
		"crds/a-b.yaml":                "x: y",
		"templates/_helpers.tpl":       "\xEF\xBB\xBFx",
		"templates/NOTES.txt":          "x",
		"charts/sub-1.0.0.tgz":         string(sub),
		"charts/plain/Chart.yaml":      meta("plain", "2.0.0"),
		"charts/plain/charts/x-1.tgz":  string(tgz(t, entry{name: "x/Chart.yaml", text: meta("x", "1.0.0")})),
		"charts/_off/Chart.yaml":       "broken: [",
		"charts/sub-1.0.0.tgz.prov":    "x",
		"files/charts/notachart-1.tgz": "x",
	} {
		name := filepath.Join(dir, "charts/web", name)
		require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o755))
		require.NoError(t, os.WriteFile(name, []byte(text), 0o644))
	}
	whole, err := loader.LoadDir(filepath.Join(dir, "charts/web"))
	require.NoError(t, err)
	name, err := chartutil.Save(whole, dir)
	require.NoError(t, err)
	packed, err := os.ReadFile(name)
	require.NoError(t, err)
	want, err := loader.LoadArchive(bytes.NewReader(packed))
	require.NoError(t, err)

	files, ds := chart.Unpack(packed)
	require.Empty(t, ds)
	got, err := load(files)
	require.NoError(t, err)
	same(t, want, got)
	require.Contains(t, names(files), "charts/sub/templates/y.yaml", "a template of a packed subchart is found by the name that Helm gives it")
	require.Contains(t, names(files), "charts/sub/charts/deep/templates/x.yaml")

	// The directory, and the archive as a file of the stack.
	require.NoError(t, os.Rename(name, filepath.Join(dir, "charts/renamed.tgz")))
	s := chart.NewStore(chart.Options{Stack: source.Tree{FS: os.DirFS(dir), Prefix: "stack/"}})
	c, ds, err := s.Load(t.Context(), chart.Ref{Chart: "web"})
	require.NoError(t, err)
	require.Empty(t, ds)
	got, err = load(c.Files)
	require.NoError(t, err)
	same(t, whole, got)

	for _, ref := range []string{"charts/renamed.tgz", "../charts/renamed.tgz"} {
		c, ds, err = s.Load(t.Context(), chart.Ref{Chart: ref, Base: "runlevels", Version: "9.9.9"})
		require.NoError(t, err)
		require.Empty(t, ds)
		got, err = load(c.Files)
		require.NoError(t, err)
		same(t, want, got)
		require.Equal(t, "stack/charts/renamed.tgz/templates/NOTES.txt", c.Shown("templates/NOTES.txt"))
		require.Equal(t, chart.Origin{Source: chart.StackSource, Version: "1.2.3", SHA256: sum(packed)}, c.Origin)
	}
}

func names(files []chart.File) []string {
	var out []string
	for _, f := range files {
		out = append(out, f.Name)
	}
	return out
}

// A directory of charts/ that has the name of a packed subchart hides neither.
func TestPackedSubchartBesideADirectoryOfItsName(t *testing.T) {
	t.Parallel()
	sub := func(version string) string {
		return string(tgz(t, entry{name: "sub/Chart.yaml", text: meta("sub", version)}, entry{name: "sub/templates/x.yaml", text: version}))
	}
	packed := tgz(t, entry{name: "web/Chart.yaml", text: meta("web", "1.0.0")},
		entry{name: "web/charts/sub-1.0.0.tgz", text: sub("1.0.0")}, entry{name: "web/charts/sub-2.0.0.tgz", text: sub("2.0.0")},
		entry{name: "web/charts/sub/Chart.yaml", text: meta("sub", "3.0.0")})
	want, err := loader.LoadArchive(bytes.NewReader(packed))
	require.NoError(t, err)
	files, ds := chart.Unpack(packed)
	require.Empty(t, ds)
	got, err := load(files)
	require.NoError(t, err)
	same(t, want, got)
	require.Len(t, got.Dependencies(), 3)
}

// FuzzArchive unpacks anything without a panic, within the budget, and as Helm does where both take it.
func FuzzArchive(f *testing.F) {
	sub := tgz(f, entry{name: "sub/Chart.yaml", text: meta("sub", "1.0.0")}, entry{name: "sub/templates/x", text: "x"})
	seeds := [][]entry{
		{{name: "web/Chart.yaml", text: chartYAML}, {name: "web/values.yaml", text: "\xEF\xBB\xBFa: 1"}},
		{{name: "web/Chart.yaml", text: chartYAML}, {name: "web/charts/sub-1.tgz", text: string(sub)}, {name: "web/charts/sub/x", text: "x"}},
		{{name: "web/Chart.yaml", text: chartYAML}, {name: "web/l", kind: tar.TypeSymlink, link: "x"}},
		{{name: "./web/Chart.yaml", text: chartYAML}, {name: "web/d/", kind: tar.TypeDir}},
		{{kind: tar.TypeXGlobalHeader, pax: map[string]string{"comment": "x"}}, {name: "web/Chart.yaml", text: chartYAML}},
	}
	for _, seed := range seeds {
		f.Add(tarball(f, seed...))
	}
	f.Fuzz(func(t *testing.T, plain []byte) {
		var stored bytes.Buffer
		z, err := gzip.NewWriterLevel(&stored, gzip.NoCompression)
		require.NoError(t, err)
		_, err = z.Write(plain)
		require.NoError(t, err)
		require.NoError(t, z.Close())
		for _, archive := range [][]byte{plain, stored.Bytes()} {
			var files []chart.File
			var ds diag.Diagnostics
			bound.Run(t, fmt.Sprintf("%x", archive), func() { files, ds = chart.Unpack(archive) })
			if len(ds) > 0 {
				require.Nil(t, files)
				continue
			}
			total := 0
			for _, f := range files {
				total += len(f.Data)
				require.False(t, strings.HasPrefix(f.Name, "/") || strings.Contains("/"+f.Name+"/", "/../"), f.Name)
			}
			require.LessOrEqual(t, total, 100<<20)
			want, err := loader.LoadArchive(bytes.NewReader(archive))
			if err != nil {
				continue
			}
			got, err := load(files)
			require.NoError(t, err)
			same(t, want, got)
		}
	})
}
