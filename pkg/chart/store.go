package chart

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/source"
	helmchart "helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
)

// dir is the directory of a stack's charts.
const dir = "charts"

// Store loads the charts of a stack, each once. It is safe for concurrent use.
type Store struct {
	stack  source.Tree
	mu     sync.Mutex
	charts map[string]*entry
}

// entry is a chart that is loaded, or being loaded by the first who asked for it.
type entry struct {
	once  sync.Once
	chart *Chart
	// problem is what is wrong with the chart itself, where it is read as a chart; absent says that there is none.
	problem diag.Diagnostics
	absent  bool
	err     error
}

// NewStore returns the store of the stack's charts. It reads nothing.
func NewStore(stack source.Tree) *Store { return &Store{stack: stack, charts: map[string]*entry{}} }

// Load returns the chart that ref names: ../charts/NAME as seen from a runlevel, ./charts/NAME, charts/NAME or NAME alone;
// at is the place of the reference. A chart that is not there, is no chart, or comes from elsewhere is a diagnostic; the
// error is a file that can't be read. The chart is nil unless both are empty of errors.
func (s *Store) Load(ctx context.Context, ref string, at diag.Range) (*Chart, diag.Diagnostics, error) {
	if err := ctx.Err(); err != nil {
		return nil, nil, fmt.Errorf("loading the chart %s: %w", ref, err)
	}
	name, ok := local(ref)
	if !ok {
		return nil, diag.Diagnostics{{
			Severity: diag.Error,
			Code:     diag.ChartUnsupported,
			Detail: fmt.Sprintf("the chart %q is not one of the stack's own, and otomi does not fetch charts yet. "+
				"Put it into %s and write: chart: ../charts/NAME", ref, s.stack.Display(dir)),
			Range: at,
		}}, nil
	}
	s.mu.Lock()
	e, ok := s.charts[name]
	if !ok {
		e = &entry{}
		s.charts[name] = e
	}
	s.mu.Unlock()
	e.once.Do(func() { s.load(name, e) })
	switch {
	case e.err != nil:
		return nil, nil, fmt.Errorf("loading the chart %s: %w", s.stack.Display(path.Join(dir, name)), e.err)
	case e.absent:
		return nil, diag.Diagnostics{s.missing(name, ref, at)}, nil
	}
	return e.chart, e.problem, nil
}

// local returns the name of the stack's chart that ref names.
func local(ref string) (name string, ok bool) {
	rest := strings.TrimPrefix(strings.TrimPrefix(ref, "../"), "./")
	if after, found := strings.CutPrefix(rest, dir+"/"); found {
		rest = after
	} else if rest != ref {
		return "", false
	}
	rest = strings.TrimSuffix(rest, "/")
	if rest == "" || rest == "." || rest == ".." || strings.ContainsAny(rest, `/\:`) {
		return "", false
	}
	return rest, true
}

// load reads the chart called name into e.
func (s *Store) load(name string, e *entry) {
	root := path.Join(dir, name)
	sub, err := fs.Sub(s.stack.FS, root)
	if err != nil {
		e.err = err
		return
	}
	switch info, err := fs.Stat(sub, "."); {
	case errors.Is(err, fs.ErrNotExist) || err == nil && !info.IsDir():
		e.absent = true
		return
	case err != nil:
		e.err = err
		return
	}
	display := s.stack.Display(root)
	files, err := readFiles(sub)
	var refused refusal
	if errors.As(err, &refused) {
		e.problem = diag.Diagnostics{invalid(diag.Range{File: path.Join(display, refused.file)}, refused.detail)}
		return
	}
	if err != nil {
		e.err = err
		return
	}
	c := &Chart{Files: files, Digest: digest(files), Display: display, Range: diag.Range{File: display + "/Chart.yaml"}}
	buffered := make([]*loader.BufferedFile, len(files))
	for i, f := range files {
		buffered[i] = &loader.BufferedFile{Name: f.Name, Data: f.Data}
	}
	loaded, err := loader.LoadFiles(buffered)
	if err != nil {
		e.problem = diag.Diagnostics{invalid(c.Range, fmt.Sprintf("Helm can't load the chart %s: %v. Correct it; helm lint tells more.", name, err))}
		return
	}
	if problem := uninstallable(loaded); problem != "" {
		e.problem = diag.Diagnostics{invalid(c.Range, problem)}
		return
	}
	c.Name, c.Version, c.AppVersion = loaded.Metadata.Name, loaded.Metadata.Version, loaded.Metadata.AppVersion
	c.KubeVersion = loaded.Metadata.KubeVersion
	if c.Metadata, err = json.Marshal(loaded.Metadata); err != nil {
		e.err = fmt.Errorf("writing the metadata as JSON: %w", err)
		return
	}
	e.chart = c
}

// uninstallable says what keeps a chart that can be loaded from being installed: what helm install looks at before it
// begins (cmd/helm, checkIfInstallable; pkg/action, CheckDependencies).
func uninstallable(c *helmchart.Chart) string {
	if kind := c.Metadata.Type; kind != "" && kind != "application" {
		return fmt.Sprintf("the chart %s is of type %s, which can only be part of other charts. Install one of these, or make its type application.",
			c.Name(), kind)
	}
	var missing []string
	for _, d := range c.Metadata.Dependencies {
		if !slices.ContainsFunc(c.Dependencies(), func(sub *helmchart.Chart) bool { return sub.Name() == d.Name }) {
			missing = append(missing, d.Name)
		}
	}
	if len(missing) > 0 {
		return fmt.Sprintf("the chart %s depends on %s, which its charts/ does not have. Put them there with: helm dependency build",
			c.Name(), strings.Join(missing, ", "))
	}
	return ""
}

func invalid(at diag.Range, detail string) diag.Diagnostic {
	return diag.Diagnostic{Severity: diag.Error, Code: diag.ChartInvalid, Detail: detail, Range: at}
}

// missing is the diagnostic of a chart that is not there; it names what is.
func (s *Store) missing(name, ref string, at diag.Range) diag.Diagnostic {
	var names []string
	entries, _ := fs.ReadDir(s.stack.FS, dir) // where the directory can't be read there is nothing to suggest
	for _, e := range entries {
		if e.IsDir() && !strings.HasPrefix(e.Name(), ".") {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	hint := "Put one there."
	const most = 12
	if near := diag.Nearest(name, names); near != "" {
		hint = fmt.Sprintf("Did you mean %q?", strings.TrimSuffix(ref, name)+near)
	} else if len(names) > 0 && len(names) <= most {
		hint = "Its charts are " + strings.Join(names, ", ") + "."
	}
	return diag.Diagnostic{
		Severity: diag.Error,
		Code:     diag.ChartMissing,
		Detail:   fmt.Sprintf("the stack has no chart %q: there is no directory %s. %s", name, s.stack.Display(path.Join(dir, name)), hint),
		Range:    at,
	}
}
