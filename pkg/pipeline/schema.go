package pipeline

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"path/filepath"
	"slices"

	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/layer"
	"github.com/redkubes/otomi/pkg/schema"
	"github.com/redkubes/otomi/pkg/source"
)

// schemaOf returns the path of a stack's schema.
func schemaOf(stack source.Tree) string {
	if _, err := fs.Stat(stack.FS, schemaFile); errors.Is(err, fs.ErrNotExist) {
		return schemaJSON
	}
	return schemaFile
}

// CheckSchema reports the mistakes of a schema, with the texts of its files: of file, seen from Options.Dir, where one is
// named; else of the stack of the values repository around Options.Dir; else, outside of any, of the built-in stack.
func CheckSchema(_ context.Context, o Options, file string) (diag.Diagnostics, diag.Sources, error) {
	found, err := findSchema(o, file)
	if err != nil || found.diags.HasErrors() {
		return found.diags, found.sources, err
	}
	defer found.closer.Close()
	compiled, diags, err := schema.Check(found.tree, found.path)
	if err != nil {
		return nil, nil, err
	}
	return diags, compiled.Sources(), nil
}

// SchemaDocs returns the reference of the values in markdown, from the schema that CheckSchema would check. With errors among
// the diagnostics there is none.
func SchemaDocs(_ context.Context, o Options, file string) ([]byte, diag.Diagnostics, diag.Sources, error) {
	found, err := findSchema(o, file)
	if err != nil || found.diags.HasErrors() {
		return nil, found.diags, found.sources, err
	}
	defer found.closer.Close()
	compiled, diags, err := schema.Compile(found.tree, found.path)
	switch {
	case err != nil:
		return nil, nil, nil, err
	case diags.HasErrors():
		return nil, diags, compiled.Sources(), nil
	}
	return compiled.Docs(), diags, compiled.Sources(), nil
}

// foundSchema is a schema that was found and not read. With errors among the diagnostics, which are about the values
// repository, nothing else is there but the sources.
type foundSchema struct {
	tree    source.Tree
	path    string
	closer  io.Closer
	diags   diag.Diagnostics
	sources diag.Sources
}

func findSchema(o Options, file string) (foundSchema, error) {
	if file != "" {
		if !filepath.IsAbs(file) {
			file = filepath.Join(o.Dir, file)
		}
		dir := filepath.Dir(file)
		tree, closer, err := source.Open(dir, shownPrefix(o.Dir, dir))
		return foundSchema{tree: tree, path: filepath.Base(file), closer: closer}, err
	}
	root, diags, err := locate(o)
	none := slices.ContainsFunc(diags, func(d diag.Diagnostic) bool { return d.Code == diag.RepoMissing })
	switch {
	case err != nil:
		return foundSchema{}, err
	case none && o.Repo == "":
		return foundSchema{tree: o.Builtin, path: schemaOf(o.Builtin), closer: io.NopCloser(nil)}, nil
	case diags.HasErrors():
		return foundSchema{diags: diags}, nil
	}
	tree, closer, err := source.Open(root, shownPrefix(o.Dir, root))
	if err != nil {
		return foundSchema{}, err
	}
	defer closer.Close()
	repository, diags, err := layer.OpenRepository(tree)
	if err != nil {
		return foundSchema{}, err
	}
	found := foundSchema{diags: diags, sources: repository.Sources()}
	if diags.HasErrors() {
		return found, nil
	}
	found.tree, found.closer, found.diags, err = openStack(o, root, repository)
	if err == nil && !found.diags.HasErrors() {
		found.path = schemaOf(found.tree)
	}
	return found, err
}
