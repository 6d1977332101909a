package render

import (
	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/value"
	"github.com/redkubes/otomi/pkg/yaml"
	"helm.sh/helm/v3/pkg/chartutil"
)

// setHere returns notes that say where the value at a path of the release's values comes from: the place in its state file,
// and that in a layer where it is known beyond doubt. For a value that the release does not set they are the chart's default
// and the place where the state file would set it. There are none for a release of no state file.
func (j *job) setHere(path value.Path) []diag.Note {
	at, set := j.place(path)
	if at.IsZero() {
		return nil
	}
	if !set {
		var notes []diag.Note
		if text, ok := j.req.Chart.File(chartutil.ValuesfileName); ok {
			root, _ := yaml.ReadState(text, yaml.ReadOptions{File: j.req.Chart.Display + "/" + chartutil.ValuesfileName})
			if n := root.At(path); n != nil && n.Kind != value.Null {
				notes = append(notes, diag.Note{Message: "the chart's default", Range: n.Origin.Range})
			}
		}
		if at != j.req.Release.Range {
			notes = append(notes, diag.Note{Message: "the release's values, which do not set it", Range: at})
		}
		return notes
	}
	notes := []diag.Note{{Message: "the release sets it", Range: at}}
	if j.req.Origin != nil {
		if origin, ok := j.req.Origin(path); ok {
			notes = append(notes, diag.Note{Message: "set here", Range: origin})
		}
	}
	return notes
}

// valueAt returns what stands at a path of a tree of plain values, and how many steps lead somewhere: all of them, or those
// before the first key that is not there.
func valueAt(tree any, path value.Path) (v any, known int) {
	v = tree
	for i, step := range path {
		if table, ok := v.(chartutil.Values); ok {
			v = map[string]any(table)
		}
		switch at := v.(type) {
		case map[string]any:
			next, ok := at[step.Key]
			if !ok || step.InList {
				return nil, i
			}
			v = next
		case []any:
			if !step.InList || step.Index < 0 || step.Index >= len(at) {
				return nil, i
			}
			v = at[step.Index]
		default:
			return nil, i
		}
	}
	return v, len(path)
}
