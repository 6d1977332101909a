package runlevel

import (
	"context"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/source"
	"github.com/redkubes/otomi/pkg/template"
	"github.com/redkubes/otomi/pkg/yaml"
)

// maxFile bounds one state file, in bytes.
const maxFile = 16 << 20

// File is one state file.
type File struct {
	// Name is its base name: "50-teams.yaml.gotmpl".
	Name string
	// Display is its name as it is shown, and the name of its text in Evaluation.Sources.
	Display string
	Text    []byte
}

// level is the name of the file without its extensions.
func (f File) level() string {
	name := strings.TrimSuffix(f.Name, ".gotmpl")
	return strings.TrimSuffix(name, path.Ext(name))
}

// templated says whether the file is a template: helmfile carries out those named *.gotmpl, and no other.
func (f File) templated() bool { return strings.HasSuffix(f.Name, ".gotmpl") }

// Options of Evaluate. The zero value is that of a stack.
type Options struct {
	// Environment is .Environment.Name; empty means "default", as in helmfile.
	Environment string
	// KubeContext is .Environment.KubeContext.
	KubeContext string
	// Namespace is .Namespace: helmfile's -n, empty where it was not given.
	Namespace string
	// IsDir reports whether a chart whose reference begins with this name, before the first slash, is a path. Where it is
	// nil every chart of no repository is one.
	IsDir func(name string) bool
	// Allow is what the templates may have of the world.
	Allow template.Permissions
}

// patterns are those by which helmfile finds the state files of a directory (pkg/app/desired_state_file_loader.go).
var patterns = []string{"*.y*ml", "*.y*ml.gotmpl"}

// Files reads the state files of a directory of the stack in byte order of their names: *.yaml, *.yml and these with
// .gotmpl. Folders below it are not searched, and files whose names begin with a dot are an editor's. A directory that is
// not there or has no such file is a diagnostic, and so are two files that give a level the same name; the error is a file
// that can't be read.
func Files(stack source.Tree, dir string) ([]File, diag.Diagnostics, error) {
	entries, err := fs.ReadDir(stack.FS, dir)
	if err != nil && !isMissing(err) {
		return nil, nil, fmt.Errorf("reading the runlevels in %s: %w", stack.Display(dir), err)
	}
	var files []File
	var ds diag.Diagnostics
	for _, e := range entries {
		if e.IsDir() || strings.HasPrefix(e.Name(), ".") || !stateFile(e.Name()) {
			continue
		}
		name := path.Join(dir, e.Name())
		display := stack.Display(name)
		text, tooLarge, err := read(stack.FS, name)
		if err != nil {
			return nil, ds, fmt.Errorf("reading the runlevel %s: %w", display, err)
		}
		if tooLarge {
			ds = append(ds, diag.Diagnostic{
				Severity: diag.Error,
				Code:     diag.YAMLTooLarge,
				Detail:   fmt.Sprintf("the file has more than %d MiB. Split the runlevel into several files.", maxFile>>20),
				Range:    diag.Range{File: display},
			})
			continue
		}
		files = append(files, File{Name: e.Name(), Display: display, Text: text})
	}
	ds = append(ds, sameNames(files)...)
	if len(files) == 0 && len(ds) == 0 {
		ds = append(ds, diag.Diagnostic{
			Severity: diag.Error,
			Code:     diag.RunlevelNone,
			Detail: fmt.Sprintf("%s has no runlevels. Put state files there whose names end in .yaml or .yaml.gotmpl, "+
				"like 50-teams.yaml.gotmpl, or name the right stack.", stack.Display(dir)),
			Range: diag.Range{File: stack.Display(dir)},
		})
	}
	return files, ds, nil
}

// sameNames reports files that differ in their extensions alone: commands and records name a runlevel without them.
func sameNames(files []File) diag.Diagnostics {
	var ds diag.Diagnostics
	first := map[string]File{}
	for _, f := range files {
		other, ok := first[f.level()]
		if !ok {
			first[f.level()] = f
			continue
		}
		ds = append(ds, diag.Diagnostic{
			Severity: diag.Error,
			Code:     diag.RunlevelSameName,
			Detail: fmt.Sprintf("%s and %s are both the runlevel %s. Remove one, or give it a name of its own.",
				other.Name, f.Name, f.level()),
			Range: diag.Range{File: f.Display},
			Notes: []diag.Note{{Message: "the other one", Range: diag.Range{File: other.Display}}},
		})
	}
	return ds
}

func stateFile(name string) bool {
	for _, p := range patterns {
		if ok, _ := path.Match(p, name); ok {
			return true
		}
	}
	return false
}

// Evaluate turns state files into levels, one per file in the order of files. The values are those of the cluster; they
// are not changed. Only files named *.gotmpl are templates: they see .Values (also as .StateValues), .Environment with
// Name, KubeContext and Values, and .Namespace, as helmfile's do.
//
// Releases of a stack are awaited unless they or helmDefaults say wait: false, for 300 seconds unless they say timeout.
// The levels are whole only where no diagnostic is an error.
func Evaluate(ctx context.Context, files []File, values map[string]any, o Options) (Evaluation, diag.Diagnostics) {
	if o.Environment == "" {
		o.Environment = "default"
	}
	data := map[string]any{
		"Values":      values,
		"StateValues": values,
		"Environment": map[string]any{"Name": o.Environment, "KubeContext": o.KubeContext, "Values": values},
		"Namespace":   o.Namespace,
	}
	ev := Evaluation{Sources: diag.Sources{}}
	var ds diag.Diagnostics
	var levels []level
	whole := true
	for _, f := range files {
		l, more, ok := evaluate(ctx, f, data, values, o, &ev)
		ds = append(ds, more...)
		whole = whole && ok
		levels = append(levels, l)
	}
	ds = append(ds, duplicates(levels)...)
	ds = append(ds, resolve(levels, whole)...)
	for _, l := range levels {
		ev.Levels = append(ev.Levels, l.ordered())
	}
	return ev, ds
}

// evaluate reads one file. It returns ok false where the file could not be read as a whole, so that what it defines is
// not known.
func evaluate(ctx context.Context, f File, data, values map[string]any, o Options, ev *Evaluation) (level, diag.Diagnostics, bool) {
	l := level{name: f.level(), file: f.Display}
	ev.Sources[f.Display] = f.Text
	text, shown := f.Text, f.Display
	if f.templated() {
		rendered, ds := template.Execute(ctx, text, data, template.Options{File: f.Display, Allow: o.Allow})
		if ds.HasErrors() {
			return l, ds, false
		}
		text, shown = []byte(rendered), f.Display+" (rendered)"
		ev.Sources[shown] = text
	}
	root, ds := yaml.ReadState(text, yaml.ReadOptions{File: shown})
	if ds.HasErrors() {
		return l, ds, false
	}
	r := reader{file: shown, content: text, level: l.name, values: values, o: o, diags: ds}
	l.items = r.state(root)
	for _, repo := range r.entries {
		if !slices.ContainsFunc(ev.Repositories, func(known Repository) bool { return known.Name == repo.Name }) {
			ev.Repositories = append(ev.Repositories, *repo)
		}
	}
	return l, r.diags, !r.diags.HasErrors()
}
