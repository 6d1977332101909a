package transform

import (
	"context"
	"io/fs"
	"path"

	"github.com/redkubes/otomi/pkg/chart"
	"github.com/redkubes/otomi/pkg/diag"
)

// DirectoryOptions say what chart is made of a directory.
type DirectoryOptions struct {
	BuildOptions
	// Version is that of the release; empty means 1.0.0.
	Version string
	// CarryOut carries out the templates among manifests, files *.gotmpl, with the data of the release; nil leaves them out.
	CarryOut func(name string, text []byte) (string, diag.Diagnostics)
}

// Made is the chart of a directory that is none.
type Made struct {
	Chart *chart.Chart
	// Namespace is for Request.Namespace: what the objects of the chart get that name none.
	Namespace string
	// Sources are the texts that diagnostics refer to.
	Sources diag.Sources
}

// HasChart reports whether a directory is a chart, so that nothing is to be made of it.
func HasChart(files fs.FS, dir string) bool {
	info, err := fs.Stat(files, path.Join(dir, "Chart.yaml"))
	return err == nil && info.Mode().IsRegular()
}

// Chart makes a chart of a directory of files that is none, as helmfile 1.7 does (chartify 0.28, Chartify): of a kustomization
// what Build makes of it, in one template kustomized.yaml; of any other the manifests in it and below it, which are no templates
// unless they are called so. The chart is named like the directory. Namespace is that of the release as it is written: manifests
// get it where they name none, whatever their kind, and a kustomization as kustomize gives it.
func Chart(ctx context.Context, files fs.FS, dir string, o DirectoryOptions) (Made, diag.Diagnostics, error) {
	dir = path.Clean(dir)
	options := chart.ManifestsOptions{Name: path.Base(dir), Version: o.Version, Display: o.shown(dir), Range: o.Range}
	if IsKustomization(files, dir) {
		documents, ds, sources, err := Build(ctx, files, dir, o.BuildOptions)
		if err != nil || ds.HasErrors() {
			return Made{Sources: sources}, ds, err
		}
		c, more := chart.Manifests([]chart.File{{Name: "kustomized.yaml", Data: documents}}, options)
		return Made{Chart: c, Sources: sources}, append(ds, more...), nil
	}
	manifests, ds, err := chart.ReadManifests(files, dir, o.CarryOut)
	if err != nil {
		return Made{}, ds, err
	}
	for i := range ds {
		if ds[i].Range.Start == (diag.Pos{}) { // of the directory, not of a template in it
			ds[i].Range.File = o.shown(ds[i].Range.File)
		}
	}
	if ds.HasErrors() {
		return Made{}, ds, nil
	}
	c, more := chart.Manifests(manifests, options)
	return Made{Chart: c, Namespace: o.Namespace}, append(ds, more...), nil
}
