package pipeline

import (
	"context"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/layer"
	"github.com/redkubes/otomi/pkg/merge"
	"github.com/redkubes/otomi/pkg/parallel"
	"github.com/redkubes/otomi/pkg/value"
	"github.com/redkubes/otomi/pkg/yaml"
)

// Validate compiles the values of a cluster and checks them against the stack's schema. Where compiling them finds errors,
// it goes on with what there is, and leaves out what may only follow from them.
func (p *Platform) Validate(ctx context.Context, c layer.Cluster) (Values, diag.Diagnostics, error) {
	values, diags, err := p.Compile(ctx, c)
	switch {
	case err != nil:
		return values, diags, err
	case values.merged == nil:
		return values, diags, nil
	}
	root := values.Root
	if root == nil {
		root = p.schema.Fill(values.merged)
	}
	findings := append(p.schema.Validate(root), p.notations(root)...)
	if diags.HasErrors() {
		// Nothing is derived of a tree with errors, and that may be what is missing.
		findings = unrelated(findings, diags, root, values.Root == nil && p.derived != nil)
	}
	return values, append(diags, p.fromFlags(findings, root)...), nil
}

// notations warns of integers that a chart prints differently, but of no secret one: the warning shows the number.
func (p *Platform) notations(root *value.Node) diag.Diagnostics {
	if found := yaml.FloatNotation(root); len(found) == 0 {
		return nil
	}
	return yaml.FloatNotation(p.schema.Mask(root))
}

// unrelated returns those findings about a tree that stand whatever becomes of the errors that are known. What stands at
// or below a conflict of types changes with it, and so may whether what is above it fits the schema's alternatives. Any
// other error, and partial, means that the tree lacks something: a key that seems missing may be there, and a map or a list
// may then be as the schema wants it. A scalar gets no other value by that alone.
func unrelated(findings, known diag.Diagnostics, root *value.Node, partial bool) diag.Diagnostics {
	var conflicts []string
	for _, k := range known {
		switch {
		case k.Code == diag.ValuesTypeConflict:
			conflicts = append(conflicts, k.Path)
		case k.Severity == diag.Error:
			partial = true
		}
	}
	fits := []diag.Code{diag.ValuesNoBranch, diag.ValuesInvalid}
	lacks := append([]diag.Code{diag.ValuesMissing, diag.ValuesRange}, fits...)
	return slices.DeleteFunc(findings, func(d diag.Diagnostic) bool {
		if slices.ContainsFunc(conflicts, func(at string) bool {
			return within(d.Path, at) || within(at, d.Path) && slices.Contains(fits, d.Code)
		}) {
			return true
		}
		if !partial || !slices.Contains(lacks, d.Code) {
			return false
		}
		path, err := value.ParsePath(d.Path)
		n := root.At(path)
		return err != nil || n == nil || n.Kind == value.Map || n.Kind == value.List
	})
}

// within reports whether a path is that of a value at or below another one's.
func within(path, other string) bool {
	rest, below := strings.CutPrefix(path, other)
	return below && (other == "" || rest == "" || rest[0] == '.' || rest[0] == '[')
}

// Progress says how far a run over many clusters is.
type Progress struct {
	Done, Total int
}

// ValidateOptions change how clusters are validated.
type ValidateOptions struct {
	// Emit is called after each cluster, in one goroutine at a time; nil is nobody.
	Emit func(Progress)
	// Manifests, if there are any, say what charts see: then the releases of each cluster whose values are valid are rendered,
	// and what they render is checked too.
	Manifests *Capabilities
	// Sequential validates one cluster after the other.
	Sequential bool
	// NoCharts has Lint look at values alone: where another schema than the stack's is asked, they need not be what the stack's
	// runlevels take.
	NoCharts bool
}

// Report is what a run over clusters found.
type Report struct {
	// Diagnostics are the findings, each once, with the clusters it concerns.
	Diagnostics diag.Diagnostics
	// Secrets are the secret strings of the clusters that have findings, for the redactor.
	Secrets []string
}

// ValidateAll validates clusters side by side. What it returns does not depend on timing. A cluster's tree, and the layers
// that are its own, are dropped as soon as it is checked, so memory grows with what clusters share and with what was found.
func (p *Platform) ValidateAll(ctx context.Context, clusters []layer.Cluster, o ValidateOptions) (Report, error) {
	return p.validateAll(ctx, clusters, o, nil)
}

// validateAll is ValidateAll with a visitor that sees the values of each cluster in their order.
func (p *Platform) validateAll(
	ctx context.Context, clusters []layer.Cluster, o ValidateOptions, visit func(Values),
) (Report, error) {
	type result struct {
		values Values
		diags  diag.Diagnostics
	}
	var (
		mu      sync.Mutex
		found   diag.Collection
		secrets = map[string]bool{}
		report  Report
		waiting = map[int]result{}
		next    int
		done    int
	)
	group, ctx := parallel.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	if o.Sequential {
		group.SetLimit(1)
	}
	for i, c := range clusters {
		if ctx.Err() != nil {
			break
		}
		group.Go(func() error {
			values, diags, err := p.Validate(ctx, c)
			if err != nil {
				return err
			}
			if o.Manifests != nil && !diags.HasErrors() && values.Root != nil {
				more, err := p.CheckManifests(ctx, values, *o.Manifests)
				if err != nil {
					return err
				}
				diags = append(diags, more...)
			}
			var texts []string
			if len(diags) > 0 {
				texts = values.Secrets()
			}
			p.repository.Forget(values.Layers)
			mu.Lock()
			defer mu.Unlock()
			for _, text := range texts {
				if !secrets[text] {
					secrets[text] = true
					report.Secrets = append(report.Secrets, text)
				}
			}
			// They are put together in the order of the clusters: the first one's notes stand.
			waiting[i] = result{values: values, diags: diags}
			for r, ok := waiting[next]; ok; r, ok = waiting[next] {
				delete(waiting, next)
				found.Add(clusters[next].ID, r.diags)
				if visit != nil {
					visit(r.values)
				}
				next++
			}
			done++
			if o.Emit != nil {
				o.Emit(Progress{Done: done, Total: len(clusters)})
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return Report{}, err
	}
	if err := context.Cause(ctx); err != nil && next < len(clusters) {
		return Report{}, err
	}
	report.Diagnostics = found.Diagnostics()
	slices.Sort(report.Secrets)
	return report, nil
}

// Reload reads text in place of a file of the values repository, by its path in it, as an editor has it before it is saved,
// and returns what is wrong with it. The next compilation parses nothing else again. No cluster may be compiled meanwhile.
func (p *Platform) Reload(path string, text []byte) diag.Diagnostics {
	p.folder = merge.NewFolder(merge.Options{Lists: p.schema.Lists})
	return p.repository.Replace(path, text)
}

// Stats count the work of a platform.
type Stats struct {
	// Parsed is how many times a file of values was parsed.
	Parsed int
	// Shared is how many parts of trees were folded for several clusters.
	Shared int
}

// Stats returns the work done so far.
func (p *Platform) Stats() Stats {
	return Stats{Parsed: p.repository.Parsed(), Shared: p.folder.Parts()}
}
