package chart

import (
	"context"
	"fmt"
	"strings"

	"github.com/redkubes/otomi/pkg/diag"
	helmchart "helm.sh/helm/v3/pkg/chart"
)

// asks are the dependencies that were looked up among the repositories that a reference knows, while its chart was read.
type asks struct{ list []helmchart.Dependency }

func (a *asks) add(d *helmchart.Dependency) {
	if a != nil {
		a.list = append(a.list, helmchart.Dependency{Name: d.Name, Repository: d.Repository})
	}
}

// identity is what the dependencies mean by some repositories. Who knows others of the same identity has the same chart.
func (a *asks) identity(known []Repository) string {
	var b strings.Builder
	for _, d := range a.list {
		r, problem := dependencyRef(&d, "", diag.Range{}, known)
		fmt.Fprintf(&b, "%q %q %q %q %q\n", d.Repository, named(d.Repository, known), KeyOf(r).id(), r.way(), problem)
		if r.Repository != nil {
			fmt.Fprintf(&b, "%t %q\n", r.Repository.Verify, r.Repository.Keyring)
		}
	}
	return b.String()
}

// draft is a chart as the first who asked for it has it, and what it depends on of him.
type draft struct {
	chart *Chart
	asks  *asks
	// identity is that of asks by the repositories of the first.
	identity string
}

// once loads a chart once for all whose repositories mean the same for it.
func (s *Store) once(ctx context.Context, key string, r Ref, load func(*asks) (*Chart, diag.Diagnostics, error)) (*Chart, diag.Diagnostics, error) {
	first, diags, err := s.drafts.get(ctx, key, r.Range, func() (draft, diag.Diagnostics, error) {
		d := draft{asks: &asks{}}
		var diags diag.Diagnostics
		var err error
		d.chart, diags, err = load(d.asks)
		d.identity = d.asks.identity(r.Known)
		return d, diags, err
	})
	if first.asks == nil { // the context ended
		return nil, diags, err
	}
	identity := first.asks.identity(r.Known)
	if identity == first.identity {
		return first.chart, diags, err
	}
	return s.charts.get(ctx, key+"\x00"+identity, r.Range, func() (*Chart, diag.Diagnostics, error) { return load(&asks{}) })
}

// named is the address of the repository that @NAME or alias:NAME means; what is neither, or nobody knows, stays as it is.
func named(repository string, known []Repository) string {
	for _, k := range known {
		if repository == "@"+k.Name || repository == "alias:"+k.Name {
			return k.URL
		}
	}
	return repository
}
