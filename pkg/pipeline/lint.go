package pipeline

import (
	"context"
	"slices"

	"github.com/redkubes/otomi/pkg/layer"
	"github.com/redkubes/otomi/pkg/lint"
	"github.com/redkubes/otomi/pkg/value"
)

// Lint validates clusters, which are to be all of the repository, and finds what is legal but suspicious in them together.
// Where the values of one could not be merged only the findings of the validation are returned: what a broken file says
// may be what another one seems not to need.
func (p *Platform) Lint(ctx context.Context, clusters []layer.Cluster, o ValidateOptions) (Report, error) {
	linter := lint.New(lint.Options{
		Lists: p.schema.Lists,
		Secret: func(path value.Path) bool {
			d, _ := p.schema.Describe(path)
			return d.Secret
		},
		Default: func(path value.Path) *value.Node {
			d, _ := p.schema.Describe(path)
			return d.Default
		},
	})
	complete := true
	var secrets []string
	report, err := p.validateAll(ctx, clusters, o, func(v Values) {
		if v.Root == nil {
			complete = false
			return
		}
		linter.Add(v.Cluster, v.Layers, v.Root)
		secrets = append(secrets, v.Secrets()...)
	})
	if err != nil || !complete {
		return report, err
	}
	if found := linter.Findings(); len(found) > 0 {
		report.Diagnostics = append(report.Diagnostics, found...).Sorted()
		report.Secrets = slices.Compact(slices.Sorted(slices.Values(append(report.Secrets, secrets...))))
	}
	return report, nil
}
