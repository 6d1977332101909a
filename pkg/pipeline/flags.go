package pipeline

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/layer"
	"github.com/redkubes/otomi/pkg/source"
	"github.com/redkubes/otomi/pkg/template"
	"github.com/redkubes/otomi/pkg/value"
	"github.com/redkubes/otomi/pkg/yaml"
)

// derivedFile is the stack's template of computed values.
const derivedFile = "schema/derived.yaml.gotmpl"

// ValueFlags are values of the command line, in helmfile's words and syntax. They beat every file of the repository.
type ValueFlags struct {
	// Files are files of values, seen from Options.Dir; later ones beat earlier ones.
	Files []string
	// Set and SetString are texts of assignments, which beat Files; SetString beats Set.
	Set, SetString []string
}

// readFlags makes the layers of the command line.
func (p *Platform) readFlags(flags ValueFlags) (diag.Diagnostics, error) {
	var diags diag.Diagnostics
	for _, name := range flags.Files {
		text, err := source.ReadFile(p.path(name), yaml.MaxBytes)
		var reason *fs.PathError
		switch {
		case errors.As(err, &reason):
			diags = append(diags, diag.Diagnostic{
				Severity: diag.Error, Code: diag.RepoUnreadable, Range: diag.Range{File: name},
				Detail: fmt.Sprintf("the file that --state-values-file names can't be read: %s. "+
					"A path is seen from the working directory; correct it.", reason.Err),
			})
			continue
		case err != nil:
			return diags, err
		}
		l, more := layer.File(name, text)
		diags = append(diags, more...)
		p.addSources(diag.Sources{name: text})
		if l.Root != nil {
			p.flags = append(p.flags, l)
		}
	}
	for _, given := range []struct {
		flag  string
		texts []string
	}{{layer.Set, flags.Set}, {layer.SetString, flags.SetString}} {
		if len(given.texts) == 0 {
			continue
		}
		l, more := layer.Assignments(given.flag, given.texts)
		diags = append(diags, more...)
		p.flags = append(p.flags, l)
	}
	return diags, nil
}

// fromFlags adds to findings about values of flags, which have no place, what set them.
func (p *Platform) fromFlags(findings diag.Diagnostics, root *value.Node) diag.Diagnostics {
	if len(p.flags) == 0 {
		return findings
	}
	for i, d := range findings {
		path, err := value.ParsePath(d.Path)
		if err != nil || !d.Range.IsZero() {
			continue
		}
		if n := root.At(path); n != nil && strings.HasPrefix(n.Origin.Layer, layer.Set) {
			findings[i].Notes = slices.Insert(slices.Clone(d.Notes), 0, diag.Note{Message: "it is set by " + n.Origin.Layer})
		}
	}
	return findings
}

// path returns where a file is that is shown, or was typed, by name.
func (p *Platform) path(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(p.dir, filepath.FromSlash(name))
}

// addSources remembers texts by their names.
func (p *Platform) addSources(texts diag.Sources) {
	p.mu.Lock()
	defer p.mu.Unlock()
	maps.Copy(p.sources, texts)
}

// addRendered remembers the text that a file was rendered to. Where clusters render it differently no text is kept: a
// finding of the one must not be shown with a line of the other.
func (p *Platform) addRendered(name string, text []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if known, ok := p.sources[name]; ok && !bytes.Equal(known, text) {
		text = nil
	}
	p.sources[name] = text
}

// derivation is the stack's template of computed values.
type derivation struct {
	// file is its name as it is shown.
	file string
	text []byte
}

// readDerivation reads the template where the stack has one.
func (p *Platform) readDerivation() error {
	text, err := fs.ReadFile(p.stack.FS, derivedFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading %s: %w", p.stack.Display(derivedFile), err)
	}
	p.derived = &derivation{file: p.stack.Display(derivedFile), text: text}
	p.addSources(diag.Sources{p.derived.file: text})
	return nil
}

// derive computes the stack's derived values of a tree. The template sees what runlevels see: .Values (also as
// .StateValues), .Environment and .Namespace. The layer has no Root where that failed.
func (p *Platform) derive(ctx context.Context, root *value.Node) (layer.Layer, diag.Diagnostics) {
	values := root.PlainMap()
	text, diags := template.Execute(ctx, p.derived.text, map[string]any{
		"Values":      values,
		"StateValues": values,
		"Environment": map[string]any{"Name": "default", "KubeContext": "", "Values": values, "Defaults": map[string]any{}, "CLIOverrides": map[string]any{}},
		"Namespace":   "",
	}, template.Options{File: p.derived.file, Allow: p.allow.templates()})
	l := layer.Layer{Name: layer.Derived}
	if diags.HasErrors() {
		return l, diags
	}
	shown := p.derived.file + " (rendered)"
	p.addRendered(shown, []byte(text))
	tree, more := yaml.Read([]byte(text), yaml.ReadOptions{File: shown, Layer: layer.Derived, Map: true})
	if diags = append(diags, more...); !diags.HasErrors() {
		l.Root = tree
	}
	return l, diags
}
