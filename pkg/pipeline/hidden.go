package pipeline

import (
	"slices"

	"github.com/redkubes/otomi/pkg/cluster"
	"github.com/redkubes/otomi/pkg/diff"
)

// HeldSecrets are what the Secrets of the releases that a plan changes hold: charts put it into other objects, too, and what
// refuses an object may quote it.
func HeldSecrets(plan Plan) []string {
	var out []string
	for _, level := range plan.Levels {
		for _, r := range level.Releases {
			if r.Action != diff.Same {
				out = append(out, r.Wanted.SecretTexts()...)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Credentials are what is secret in the kubeconfig that files make together.
func Credentials(files []string) []string { return cluster.Credentials(files) }
