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

// PairedSecrets are the texts that stand, in what the releases of a plan are given and in what they were given before, in the
// places where the other one has a text that hide changes: going back brings secrets that no values hold any more.
func PairedSecrets(plan Plan, hide func(string) string) []string {
	var out []string
	var walk func(a, b any)
	walk = func(a, b any) {
		switch a := a.(type) {
		case map[string]any:
			b, _ := b.(map[string]any)
			for key, v := range a {
				walk(v, b[key])
			}
		case []any:
			b, _ := b.([]any)
			for i, v := range a {
				if i < len(b) {
					walk(v, b[i])
				}
			}
		case string:
			if b, ok := b.(string); ok && a != b && (hide(a) != a || hide(b) != b) {
				out = append(out, a, b)
			}
		}
	}
	for _, level := range plan.Levels {
		for _, r := range level.Releases {
			for _, former := range r.Former {
				walk(r.Wanted.Values, former)
			}
		}
	}
	return out
}
