package apply

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/redkubes/otomi/pkg/diff"
)

// Return takes back what a run did before it failed: each release that it upgraded goes back to the revision that was deployed
// before, and each that it installed goes away, the last one first. What it uninstalled stays uninstalled, since its records are
// gone. The result is corrected, and what was done is returned as a sentence. A release that can't be returned does not keep the
// others from it; the error names each.
func Return(ctx context.Context, plan diff.Plan, result *Result, c Cluster, o Options) (string, error) {
	r, end := begun(c, o)
	defer end()
	releases := map[string]diff.Release{}
	for _, level := range plan.Levels {
		for _, release := range level.Releases {
			releases[release.Key()] = release
		}
	}
	var done, failures []string
	for i := range slices.Backward(result.Releases) {
		of := &result.Releases[i]
		release, found := releases[diff.Release{Namespace: of.Namespace, Name: of.Name}.Key()]
		if !found {
			continue
		}
		s := &step{release: release, result: of, began: r.o.Now()}
		key := release.Key()
		switch {
		case of.Outcome == Uninstalled:
			failures = append(failures, key+" was uninstalled and stays so")
		case of.Outcome != Applied:
		case of.Former == 0 && release.Action != diff.Install:
			failures = append(failures, key+" has no revision to go back to and stays as it is")
		case of.Former == 0:
			if err := r.takeAway(ctx, s); err != nil {
				failures = append(failures, fmt.Sprintf("%s could not be uninstalled: %v", key, err))
				continue
			}
			of.Outcome = Returned
			done = append(done, key+" was uninstalled")
			r.tell(s, Event{Kind: ReleaseReturned, Message: "was uninstalled"})
		default:
			if err := r.goBackTo(ctx, s, of.Former); err != nil {
				failures = append(failures, fmt.Sprintf("%s could not go back to revision %d: %v", key, of.Former, err))
				continue
			}
			of.Outcome = Returned
			text := fmt.Sprintf("went back to revision %d", of.Former)
			done = append(done, key+" "+text)
			r.tell(s, Event{Kind: ReleaseReturned, Message: text})
		}
	}
	if len(failures) > 0 {
		return strings.Join(done, ", "), fmt.Errorf("%s", strings.Join(failures, "; "))
	}
	return strings.Join(done, ", "), nil
}
