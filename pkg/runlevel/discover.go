package runlevel

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/source"
	"github.com/redkubes/otomi/pkg/template"
)

// maxFile bounds one state file, in bytes.
const maxFile = 16 << 20

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
		files = append(files, File{Name: e.Name(), Display: display, Path: name, Text: text})
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

// The names by which helmfile finds state files where none is named (pkg/app, findDesiredStateFiles).
const (
	defaultFile = "helmfile.yaml"
	defaultDir  = "helmfile.d"
)

// Discover reads the state files that name stands for, in byte order: the file itself, those of a directory, or where name
// is empty helmfile.yaml, helmfile.yaml.gotmpl or those of helmfile.d. Of a directory only its own *.yaml and *.yml, and these
// with .gotmpl, are read. prefix is put before names when they are shown.
func Discover(files template.Files, name, prefix string) ([]File, diag.Diagnostics) {
	if name == "" {
		var ds diag.Diagnostics
		if name, ds = find(files); ds.HasErrors() {
			return nil, ds
		}
	}
	name = path.Clean(name)
	info, err := files.Stat(name)
	if err != nil {
		return nil, diag.Diagnostics{unreadableState(name, prefix, err)}
	}
	names := []string{name}
	if info.IsDir() {
		entries, err := files.ReadDir(name)
		if err != nil {
			return nil, diag.Diagnostics{unreadableState(name, prefix, err)}
		}
		names = nil
		for _, e := range entries {
			if !e.IsDir() && !strings.HasPrefix(e.Name(), ".") && stateFile(e.Name()) {
				names = append(names, path.Join(name, e.Name()))
			}
		}
		slices.Sort(names)
		if len(names) == 0 {
			return nil, diag.Diagnostics{{
				Severity: diag.Error, Code: diag.RunlevelNone, Range: diag.Range{File: display(prefix, name)},
				Detail: fmt.Sprintf("the directory %s has no state file. Put files there whose names end in .yaml or .yaml.gotmpl.", display(prefix, name)),
			}}
		}
	}
	var out []File
	var ds diag.Diagnostics
	for _, name := range names {
		text, err := files.ReadFile(name)
		if err != nil {
			ds = append(ds, unreadableState(name, prefix, err))
			continue
		}
		out = append(out, File{Name: path.Base(name), Display: display(prefix, name), Path: name, Text: text})
	}
	return out, ds
}

// find returns the file or directory that helmfile takes where none is named.
func find(files template.Files) (string, diag.Diagnostics) {
	var there []string
	for _, name := range []string{defaultFile, defaultFile + ".gotmpl", defaultDir} {
		if info, err := files.Stat(name); err == nil && info.IsDir() == (name == defaultDir) {
			there = append(there, name)
		}
	}
	d := diag.Diagnostic{Severity: diag.Error, Code: diag.RunlevelNone}
	switch len(there) {
	case 1:
		return there[0], nil
	case 0:
		d.Detail = fmt.Sprintf("there is no state file: neither %s nor %s.gotmpl nor a directory %s. Name one with --file.", defaultFile, defaultFile, defaultDir)
	default:
		d.Detail = fmt.Sprintf("there are %s, and only one of them can be meant. Remove the others, or name one with --file.", strings.Join(there, " and "))
	}
	return "", diag.Diagnostics{d}
}

// unreadableState is the diagnostic of a state file that can't be read.
func unreadableState(name, prefix string, err error) diag.Diagnostic {
	d := diag.Diagnostic{Severity: diag.Error, Code: diag.RunlevelNone, Range: diag.Range{File: display(prefix, name)}}
	if detail, ok := template.Forbidden(err); ok {
		d.Code, d.Detail = diag.TemplateForbidden, detail
		return d
	}
	d.Detail = fmt.Sprintf("the state file %s can't be read: %v. Correct the path.", display(prefix, name), reason(err))
	return d
}

// reason is what is wrong with a file, without its name.
func reason(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

func isMissing(err error) bool { return errors.Is(err, fs.ErrNotExist) }

// read returns the text of a file, or that it is larger than maxFile.
func read(fsys fs.FS, name string) (text []byte, tooLarge bool, err error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, false, fmt.Errorf("opening it: %w", err)
	}
	defer f.Close()
	text, err = io.ReadAll(io.LimitReader(f, maxFile+1))
	return text, len(text) > maxFile, err
}
