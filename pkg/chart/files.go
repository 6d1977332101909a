package chart

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"

	"helm.sh/helm/v3/pkg/ignore"
)

// The bounds of a chart. Those of bytes are Helm's (pkg/chart/loader, MaxDecompressedFileSize and
// MaxDecompressedChartSize).
const (
	maxFile  = 5 << 20
	maxChart = 100 << 20
	maxFiles = 10_000
)

var utf8BOM = []byte{0xEF, 0xBB, 0xBF}

// refusal is a chart that is over a bound or has what no chart may have.
type refusal struct{ file, detail string }

func (r refusal) Error() string { return r.file + ": " + r.detail }

// readFiles returns the files of a chart as Helm's loader.LoadDir reads them: without what .helmignore names, without
// byte order marks, in the order of its walk: folder by folder, by name. The order of CRDs follows from it.
func readFiles(fsys fs.FS) ([]File, error) {
	rules, err := ignored(fsys)
	if err != nil {
		return nil, err
	}
	var files []File
	left := budget{bytes: maxChart, files: maxFiles}
	err = fs.WalkDir(fsys, ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name == "." {
			return nil
		}
		info, err := fs.Stat(fsys, name)
		if err != nil {
			return fmt.Errorf("looking at %s: %w", name, err)
		}
		if rules.Ignore(name, info) {
			if e.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if e.IsDir() {
			return nil
		}
		if !info.Mode().IsRegular() {
			return refusal{name, fmt.Sprintf("%s is not a regular file, and a chart is made of files. "+
				"Replace it by a copy of what it stands for, or name it in .helmignore", name)}
		}
		data, err := readFile(fsys, name)
		if err != nil {
			return err
		}
		files = append(files, File{Name: name, Data: bytes.TrimPrefix(data, utf8BOM)})
		left.bytes, left.files = left.bytes-len(data), left.files-1
		if packed(name) {
			left.unpack(data)
		}
		if left.bytes < 0 || left.files < 0 {
			return refusal{"", fmt.Sprintf("the chart has more than %d files or %d MiB, packed subcharts unpacked. "+
				"Name in .helmignore what is no part of it.", maxFiles, maxChart>>20)}
		}
		return nil
	})
	return files, err
}

// ignored returns the rules of .helmignore, and Helm's own.
func ignored(fsys fs.FS) (*ignore.Rules, error) {
	text, err := readFile(fsys, ignore.HelmIgnore)
	rules := ignore.Empty()
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, err
	default:
		rules, err = ignore.Parse(bytes.NewReader(text))
		if err != nil {
			return nil, refusal{ignore.HelmIgnore, fmt.Sprintf("%v. Helm's rules know neither ** nor a comment behind a pattern; correct the line", err)}
		}
	}
	rules.AddDefaults()
	return rules, nil
}

func readFile(fsys fs.FS, name string) ([]byte, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", name, err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	if len(data) > maxFile {
		return nil, refusal{name, fmt.Sprintf("%s has more than %d MiB, which is Helm's limit for a file of a chart. "+
			"Make it smaller, or name it in .helmignore", name, maxFile>>20)}
	}
	return data, nil
}

// budget is what a chart may still have.
type budget struct{ bytes, files int }

// packed reports whether the file is a packed subchart, which Helm's loader unpacks.
func packed(name string) bool {
	return strings.HasSuffix(name, ".tgz") && path.Base(path.Dir(name)) == "charts"
}

// unpack takes what an archive unpacks to from the budget, and what archives in it unpack to: Helm's loader counts anew
// for each of them, so that a small file could become any size. An archive that is damaged is left to Helm to report.
func (b *budget) unpack(archive []byte) {
	zipped, err := gzip.NewReader(bytes.NewReader(archive))
	if err != nil {
		return
	}
	// The headers of the archive count too, hence the limit on all that is read.
	files := tar.NewReader(io.LimitReader(zipped, maxChart+1))
	for b.bytes >= 0 && b.files >= 0 {
		header, err := files.Next()
		if err != nil {
			return
		}
		b.bytes, b.files = b.bytes-int(min(header.Size, maxChart+1)), b.files-1
		if b.bytes < 0 || !packed(header.Name) {
			continue
		}
		inner, err := io.ReadAll(files)
		if err != nil {
			return
		}
		b.unpack(inner)
	}
}
