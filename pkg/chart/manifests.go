package chart

import (
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/redkubes/otomi/pkg/diag"
)

// defaultVersion is the version of a chart that is made of a directory which is none, where its release names no other
// (chartify 0.28, Chartify).
const defaultVersion = "1.0.0"

// ManifestsOptions say what chart is made of manifests.
type ManifestsOptions struct {
	// Name is the chart's: the base name of the directory. Version is that of the release; empty means 1.0.0.
	Name, Version string
	// Display is how the directory is shown, and Range the place that names it.
	Display string
	Range   diag.Range
}

// Manifests returns the chart that helmfile makes of a directory which is no chart (chartify 0.28): a template for each of files,
// that gives its text as it stands. The files' names are seen from the directory.
func Manifests(files []File, o ManifestsOptions) (*Chart, diag.Diagnostics) {
	if o.Version == "" {
		o.Version = defaultVersion
	}
	made := []File{{Name: "Chart.yaml", Data: fmt.Appendf(nil, "name: %q\nversion: %q\napiVersion: v2\n", o.Name, o.Version)}}
	sorted := slices.SortedFunc(slices.Values(files), func(a, b File) int { return strings.Compare(a.Name, b.Name) })
	for _, f := range sorted {
		kept := path.Join("files/templates", f.Name)
		made = append(made,
			File{Name: kept, Data: f.Data},
			// Helm would carry out templates in what are texts of others, such as alerts.
			File{Name: path.Join("templates", f.Name), Data: fmt.Appendf(nil, "{{ .Files.Get %q }}", kept)},
		)
	}
	return assembled(&Chart{Display: o.Display, Range: o.Range}, made)
}

// ReadManifests returns the files of a directory of manifests that helmfile makes a chart of: those whose names end in yaml or yml,
// in it and below it, and what carryOut makes of those that end in .gotmpl, under their names without that. carryOut may be
// nil where templates are left out.
func ReadManifests(files fs.FS, dir string, carryOut func(name string, text []byte) (string, diag.Diagnostics)) ([]File, diag.Diagnostics, error) {
	var out []File
	var ds diag.Diagnostics
	left := maxChart
	err := fs.WalkDir(files, dir, func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		inside := strings.TrimPrefix(strings.TrimPrefix(name, dir), "/")
		templated := path.Ext(name) == ".gotmpl" && carryOut != nil
		if templated {
			inside = strings.TrimSuffix(inside, ".gotmpl")
		}
		if !strings.HasSuffix(inside, "yaml") && !strings.HasSuffix(inside, "yml") {
			return nil
		}
		text, err := readManifest(files, name)
		if err != nil {
			return err
		}
		if left -= len(text); left < 0 || len(out) >= maxFiles {
			ds = append(ds, invalid(diag.Range{File: name}, fmt.Sprintf("the directory has more than %d manifests or %d MiB of them. Split it.", maxFiles, maxChart>>20)))
			return fs.SkipAll
		}
		if len(text) > maxFile {
			ds = append(ds, invalid(diag.Range{File: name}, fmt.Sprintf("%s has more than %d MiB, which is Helm's limit for a file of a chart. Split it.", name, maxFile>>20)))
			return nil
		}
		if templated {
			done, more := carryOut(name, text)
			if ds = append(ds, more...); more.HasErrors() {
				return nil
			}
			text = []byte(done)
			// What is made of a template takes the place of a file of the same name, as chartify writes over it.
			out = slices.DeleteFunc(out, func(f File) bool { return f.Name == inside })
		}
		out = append(out, File{Name: inside, Data: text})
		return nil
	})
	if err != nil {
		return nil, ds, fmt.Errorf("reading the manifests in %s: %w", dir, err)
	}
	if len(out) == 0 && !ds.HasErrors() {
		ds = append(ds, invalid(diag.Range{File: dir}, fmt.Sprintf("%s is no chart (it has no Chart.yaml), no kustomization, and has no manifests. Correct the path.", dir)))
	}
	return out, ds, nil
}

func readManifest(files fs.FS, name string) ([]byte, error) {
	f, err := files.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxFile+1))
}
