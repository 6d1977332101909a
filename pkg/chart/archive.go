package chart

import (
	"archive/tar"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/redkubes/otomi/pkg/diag"
)

// The bounds of a chart. Those of bytes are Helm's (pkg/chart/loader, MaxDecompressedFileSize and
// MaxDecompressedChartSize), but for the whole chart: Helm counts anew for each archive within an archive.
const (
	maxFile  = 5 << 20
	maxChart = 100 << 20
	// maxFiles bounds files and directories together.
	maxFiles = 10_000
	// maxStream bounds what an archive unpacks to with its headers and padding.
	maxStream = maxChart + 32<<20
	// maxNesting bounds archives within archives, and charts that depend on charts.
	maxNesting = 16
	// maxDepth bounds the directories of a path, maxName its bytes.
	maxDepth = 64
	maxName  = 1024
)

var (
	utf8BOM = []byte{0xEF, 0xBB, 0xBF}
	// drive is the form of a path that Windows takes for absolute (Helm, pkg/chart/loader, drivePathPattern).
	drive = regexp.MustCompile(`^[a-zA-Z]:`)
)

// refusal is a chart that is over a bound or has what no chart may have.
type refusal struct {
	code diag.Code
	// file is the path within the chart; "" is the chart itself.
	file   string
	detail string
}

func (r refusal) Error() string { return r.file + ": " + r.detail }

func illegal(file, format string, args ...any) refusal {
	return refusal{diag.ChartUnsafe, file, fmt.Sprintf(format, args...)}
}

func over(file, format string, args ...any) refusal {
	return refusal{diag.ChartBudget, file, fmt.Sprintf(format, args...)}
}

// isRefusal reports whether an error is about the chart itself.
func isRefusal(err error) (refusal, bool) {
	var r refusal
	ok := errors.As(err, &r)
	return r, ok
}

// within puts the directory or archive that a refusal is about before its file.
func within(err error, dir string) error {
	r, ok := isRefusal(err)
	if !ok {
		return err
	}
	r.file = path.Join(dir, r.file)
	return r
}

// budget is what a chart may still have, over all directories and archives that it is made of.
type budget struct{ bytes, files, stream int }

func newBudget() *budget { return &budget{bytes: maxChart, files: maxFiles, stream: maxStream} }

// entry takes a file or directory.
func (b *budget) entry() error {
	if b.files--; b.files < 0 {
		return over("", "the chart has more than %d files, packed subcharts unpacked. "+
			"Name in .helmignore what is no part of it, and pack it again.", maxFiles)
	}
	return nil
}

// take takes the bytes of a file.
func (b *budget) take(n int) error {
	if b.bytes -= n; b.bytes < 0 {
		return over("", "the chart has more than %d MiB, packed subcharts unpacked. "+
			"Name in .helmignore what is no part of it, and pack it again.", maxChart>>20)
	}
	return nil
}

// all takes files that were read under a budget of their own.
func (b *budget) all(files []File) error {
	for _, f := range files {
		if err := errors.Join(b.entry(), b.take(len(f.Data))); err != nil {
			return err
		}
	}
	return nil
}

// meter bounds all that is read of a stream: headers and padding count, too.
type meter struct {
	r    io.Reader
	left *budget
}

var errStream = over("", "the archive unpacks to more than %d MiB, its headers counted. Don't use it; ask who made it.", maxStream>>20)

func (m meter) Read(p []byte) (int, error) {
	if m.left.stream <= 0 {
		return 0, errStream
	}
	n, err := m.r.Read(p[:min(len(p), m.left.stream)])
	m.left.stream -= n
	return n, err
}

// Unpack returns the files of a packed chart as Helm's loader.LoadArchive sees them: without the name of the top directory
// and without byte order marks. Packed subcharts are unpacked, too, and stand as directories in charts/. An archive that is
// over a bound, damaged, or has a link, a device or a name that leads elsewhere is one diagnostic without a place.
func Unpack(archive []byte) ([]File, diag.Diagnostics) {
	files, err := unpack(archive, newBudget(), 0)
	if r, ok := isRefusal(err); ok {
		return nil, diag.Diagnostics{{Severity: diag.Error, Code: r.code, Detail: r.detail}}
	}
	return files, nil
}

// unpack reads an archive, and those in it, under a budget. Every error is a refusal.
func unpack(archive []byte, left *budget, nesting int) ([]File, error) {
	files, err := list(archive, left, nesting)
	if err != nil {
		return nil, err
	}
	return expand(trimmed(files), left, nesting)
}

// trimmed returns files without byte order marks, as Helm's loaders drop them.
func trimmed(files []File) []File {
	out := slices.Clone(files)
	for i := range out {
		out[i].Data = bytes.TrimPrefix(out[i].Data, utf8BOM)
	}
	return out
}

// list returns the files of an archive as they are in it. Every error is a refusal.
func list(archive []byte, left *budget, nesting int) ([]File, error) {
	if nesting > maxNesting {
		return nil, over("", "charts are packed in charts more than %d deep. Don't use it; ask who made it.", maxNesting)
	}
	if len(archive) > 1 && !bytes.HasPrefix(archive, []byte{0x1F, 0x8B}) {
		return nil, damaged(gzip.ErrHeader)
	}
	zipped, err := gzip.NewReader(bytes.NewReader(archive))
	if err != nil {
		return nil, damaged(err)
	}
	stream := meter{zipped, left}
	entries := tar.NewReader(stream)
	var files []File
	seen := map[string]bool{}
	for {
		header, err := entries.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, damaged(err)
		}
		if err := left.entry(); err != nil {
			return nil, err
		}
		// Neither is a file: git archive writes the one, tar the other.
		if header.Typeflag == tar.TypeXGlobalHeader || header.Typeflag == tar.TypeDir {
			continue
		}
		name, err := entryName(header)
		if err != nil {
			return nil, err
		}
		if seen[name] {
			return nil, illegal(name, "the archive has %s twice, and readers would disagree on which one counts. Pack the chart again with helm package.", name)
		}
		seen[name] = true
		if header.Size > maxFile {
			return nil, tooLarge(name)
		}
		if err := left.take(int(header.Size)); err != nil {
			return nil, err
		}
		data := make([]byte, header.Size)
		if _, err := io.ReadFull(entries, data); err != nil {
			return nil, damaged(err)
		}
		files = append(files, File{Name: name, Data: data})
	}
	if err := end(stream); err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, refusal{diag.ChartInvalid, "", "the archive has no files. Pack the chart again with helm package."}
	}
	return files, nil
}

// end reads what is behind the end of the archive, so that the checksum of the stream is looked at: only zeros may be there.
func end(stream io.Reader) error {
	block := make([]byte, 32<<10)
	for {
		n, err := stream.Read(block)
		if len(bytes.Trim(block[:n], "\x00")) > 0 {
			return illegal("", "the archive goes on behind its end, and readers would disagree on what is in it. Pack the chart again with helm package.")
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return damaged(err)
		}
	}
}

// damaged says why an archive can't be read.
func damaged(err error) error {
	var r refusal
	var corrupt flate.CorruptInputError
	what := err.Error()
	switch {
	case errors.As(err, &r):
		return r
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		what = "it is truncated"
	case errors.Is(err, gzip.ErrHeader):
		what = "it is not a gzip archive, or something else is behind its end"
	case errors.Is(err, gzip.ErrChecksum), errors.As(err, &corrupt):
		what = "its bytes were changed"
	case errors.Is(err, tar.ErrHeader):
		what = "it has a header that is none of a tar archive"
	}
	return refusal{diag.ChartInvalid, "", "the archive can't be unpacked: " + what + ". Get it again, or pack the chart again with helm package."}
}

func tooLarge(name string) error {
	return over(name, "%s has more than %d MiB, which is Helm's limit for a file of a chart. "+
		"Make it smaller, or name it in .helmignore.", name, maxFile>>20)
}

// entryName is the path within the chart of a file of an archive: without the top directory, whatever its name.
func entryName(h *tar.Header) (string, error) {
	name := h.Name
	if len(name) > maxName {
		return "", over("", "the archive has a file whose name is %d bytes long; %d are the most. Don't use it; ask who made it.", len(name), maxName)
	}
	if h.Typeflag != tar.TypeReg || !h.FileInfo().Mode().IsRegular() {
		return "", illegal("", "%q in the archive is %s, and a chart is made of files. Replace it by a copy and pack the chart again.", name, entryKind(h))
	}
	bad := func(why string) error {
		return illegal("", "the archive has a file called %q: %s. Don't use it; ask who made it.", name, why)
	}
	switch {
	case strings.HasPrefix(name, "/"), drive.MatchString(name):
		return "", bad("that is an absolute path")
	case strings.Contains(name, `\`):
		return "", bad("paths in charts have slashes, no backslashes")
	case strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return "", bad("it has a control character")
	}
	segments := strings.Split(name, "/")
	if slices.Contains(segments, "..") {
		return "", bad("it leads out of the chart")
	}
	if len(segments) > maxDepth+1 {
		return "", over("", "the archive has a file that is more than %d directories deep. Don't use it; ask who made it.", maxDepth)
	}
	within := strings.Join(segments[1:], "/")
	cleaned := path.Clean(within)
	switch {
	case strings.HasPrefix(within, "/"), drive.MatchString(cleaned):
		return "", bad("that is an absolute path")
	case cleaned == ".", strings.HasPrefix(cleaned, ".."), segments[0] == "Chart.yaml":
		// As Helm, which wants everything in one directory.
		return "", bad("it is not within the directory of the chart")
	}
	return cleaned, nil
}

func entryKind(h *tar.Header) string {
	switch h.Typeflag {
	case tar.TypeSymlink:
		return "a symbolic link"
	case tar.TypeLink:
		return "a hard link"
	case tar.TypeChar, tar.TypeBlock:
		return "a device"
	case tar.TypeFifo:
		return "a named pipe"
	}
	return "no regular file"
}

// expand replaces each packed subchart by its files, in a directory of charts/ with the subchart's name, so that a template
// of it is found under the path that Helm gives it. It takes for a packed subchart what Helm's loader.LoadFiles does.
func expand(files []File, left *budget, nesting int) ([]File, error) {
	if !slices.ContainsFunc(files, func(f File) bool { return strings.HasSuffix(f.Name, ".tgz") }) {
		return files, nil
	}
	taken := directories(files)
	out := make([]File, 0, len(files))
	for _, f := range files {
		parent, ok := packed(f.Name)
		if !ok {
			out = append(out, f)
			continue
		}
		inner, err := unpack(f.Data, left, nesting+1)
		if err != nil {
			return nil, within(err, f.Name)
		}
		out = append(out, under(free(parent, nameOf(inner), taken), inner)...)
	}
	return out, nil
}

// packed reports whether Helm unpacks a file, and the directory of the chart that it is a subchart of, with its slash.
func packed(name string) (parent string, ok bool) {
	rest := name
	for {
		below, ok := strings.CutPrefix(rest, "charts/")
		if !ok {
			return "", false
		}
		segment, deeper, isDir := strings.Cut(below, "/")
		if strings.HasPrefix(segment, "_") || strings.HasPrefix(segment, ".") {
			return "", false
		}
		if path.Ext(segment) == ".tgz" {
			return strings.TrimSuffix(name, rest), !isDir
		}
		if !isDir {
			return "", false
		}
		rest = deeper
	}
}

// directories are those that files are in, with their slash.
func directories(files []File) map[string]bool {
	dirs := map[string]bool{}
	for _, f := range files {
		for i, c := range f.Name {
			if c == '/' {
				dirs[f.Name[:i+1]] = true
			}
		}
	}
	return dirs
}

// free returns a directory of parent's charts/ for a chart called name that no other has, with its slash, and takes it.
func free(parent, name string, taken map[string]bool) string {
	if name == "" || strings.ContainsAny(name[:1], "_.") || strings.ContainsAny(name, `/\`) || path.Ext(name) == ".tgz" {
		name = "packed" // not the name of a chart that Helm would read; it says so itself
	}
	dir := parent + "charts/" + name + "/"
	for i := 2; taken[dir]; i++ {
		dir = fmt.Sprintf("%scharts/%s-%d/", parent, name, i)
	}
	taken[dir] = true
	return dir
}

// under returns files with a directory before their names.
func under(dir string, files []File) []File {
	out := make([]File, len(files))
	for i, f := range files {
		out[i] = File{Name: dir + f.Name, Data: f.Data, Shown: f.Shown}
	}
	return out
}

// epoch is the time of every file in the archives that otomi writes.
var epoch = time.Unix(0, 0).UTC()

// pack returns the archive of a chart: the same bytes for the same files and directory.
func pack(dir string, files []File) ([]byte, error) {
	var b bytes.Buffer
	zipped := gzip.NewWriter(&b)
	w := tar.NewWriter(zipped)
	for _, f := range files {
		if err := writeEntry(w, path.Join(dir, f.Name), f.Data); err != nil {
			return nil, fmt.Errorf("packing %s: %w", f.Name, err)
		}
	}
	if err := errors.Join(w.Close(), zipped.Close()); err != nil {
		return nil, fmt.Errorf("packing a chart: %w", err)
	}
	return b.Bytes(), nil
}

func writeEntry(w *tar.Writer, name string, data []byte) error {
	err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: int64(len(data)), Mode: 0o644, ModTime: epoch})
	if err != nil {
		return err
	}
	_, err = w.Write(data)
	return err
}
