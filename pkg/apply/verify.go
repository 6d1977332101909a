package apply

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/redkubes/otomi/pkg/diff"
	"github.com/redkubes/otomi/pkg/manifest"
)

// Verifier is a cluster as Verify sees it.
type Verifier interface {
	// Records lists every revision of every release of the cluster.
	Records(ctx context.Context) ([]manifest.Record, error)
	// Prints returns the prints of those of the placed objects that are there.
	Prints(ctx context.Context, objects []manifest.Object) (map[manifest.ID]string, error)
	// Place gives each object the namespace it lands in.
	Place(ctx context.Context, namespace string, objects []manifest.Object) (placed []manifest.Object, known []bool, err error)
	// Get reads a placed object.
	Get(ctx context.Context, object manifest.Object) (data map[string]any, found bool, err error)
}

// UnlikeError says what is not as a run left it.
type UnlikeError struct {
	// Lines are a sentence each, without its end.
	Lines []string
}

func (e *UnlikeError) Error() string {
	return "everything was applied, but when it was compared once more, something else had changed it:\n  " +
		strings.Join(e.Lines, "\n  ") + "\nApply again; if it does not end, two parties want different things"
}

// Verify compares a cluster once more with what a run made of it, without rendering anything: the records of the releases are
// deployed, and the fields of their objects are as they were written. The error is an *UnlikeError where they are not. What it
// asks is one list of records, and one for each kind.
func Verify(ctx context.Context, result Result, c Verifier) error {
	if len(result.Releases) == 0 {
		return nil
	}
	records, err := c.Records(ctx)
	if err != nil {
		return err
	}
	deployed := map[string][]int{}
	there := map[string]bool{}
	for _, record := range records {
		key := manifest.Key(record.Namespace, record.Name)
		there[key] = there[key] || record.Status != manifest.Uninstalled
		if record.Status == manifest.Deployed {
			deployed[key] = append(deployed[key], record.Revision)
		}
	}
	var lines []string
	var objects []manifest.Object
	// Of an object that several releases have, like a shared CustomResourceDefinition, the last print counts.
	prints := map[manifest.ID][]string{}
	for _, r := range result.Releases {
		key := manifest.Key(r.Namespace, r.Name)
		switch r.Outcome {
		case Uninstalled:
			if there[key] {
				lines = append(lines, fmt.Sprintf("release %s has records again", key))
			}
		case Applied:
			if !slices.Equal(deployed[key], []int{r.Revision}) {
				lines = append(lines, fmt.Sprintf("release %s: deployed is %s, and not revision %d", key, revisions(deployed[key]), r.Revision))
			}
			for _, o := range r.Objects {
				if len(prints[o.ID]) == 0 {
					objects = append(objects, o)
				}
				prints[o.ID] = append(prints[o.ID], r.Prints[o.ID])
			}
		}
	}
	slices.SortFunc(objects, func(a, b manifest.Object) int { return strings.Compare(a.ID.String(), b.ID.String()) })
	still, err := untouched(ctx, result, records, prints, c)
	if err != nil {
		return err
	}
	for _, u := range still {
		objects = append(objects, u.objects...)
	}
	now, err := c.Prints(ctx, objects)
	if err != nil {
		return err
	}
	for _, u := range still {
		if diff.Owned(ids(u.objects), now) != u.owned {
			lines = append(lines, fmt.Sprintf("release %s, in which nothing was to be done, was changed meanwhile", u.key))
		}
		objects = objects[:len(objects)-len(u.objects)]
	}
	for _, o := range objects {
		p, found := now[o.ID]
		if found && slices.Contains(prints[o.ID], p) {
			continue
		}
		live, found, err := c.Get(ctx, o)
		switch {
		case err != nil:
			return err
		case !found:
			lines = append(lines, fmt.Sprintf("%s is gone", o.ID))
			continue
		}
		line := fmt.Sprintf("%s was changed", o.ID)
		if by := diff.ChangedBy(live); by != "" {
			line += " by " + by
		}
		lines = append(lines, line)
	}
	if len(lines) > 0 {
		return &UnlikeError{Lines: lines}
	}
	return nil
}

// left is a release that the run had nothing to do for, with the digest of the fields that its record says are owned.
type left struct {
	key     string
	objects []manifest.Object
	owned   string
}

// untouched are the releases of which it can be told whether they are still as they were: they have a record with a digest, and
// share no object with a release that the run worked on.
func untouched(
	ctx context.Context, result Result, records []manifest.Record, touched map[manifest.ID][]string, c Verifier,
) ([]left, error) {
	owned := map[string]string{}
	for _, record := range records {
		if record.Status == manifest.Deployed {
			owned[manifest.Key(record.Namespace, record.Name)] = record.Labels[diff.OwnedLabel]
		}
	}
	var all []left
	for _, r := range result.Untouched {
		u := left{key: manifest.Key(r.Namespace, r.Name)}
		u.owned = owned[u.key]
		if u.owned == "" || r.Stale || len(r.Wanted.Objects) == 0 {
			continue
		}
		var err error
		if u.objects, _, err = c.Place(ctx, r.Namespace, slices.Concat(r.Wanted.Objects, manifest.Shared(r.Wanted.CRDs))); err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(u.objects, func(o manifest.Object) bool { return touched[o.ID] != nil }) {
			all = append(all, u)
		}
	}
	return all, nil
}

// ids are the identities of objects.
func ids(objects []manifest.Object) []manifest.ID {
	all := make([]manifest.ID, len(objects))
	for i, o := range objects {
		all[i] = o.ID
	}
	return all
}

// revisions names revisions in a sentence.
func revisions(numbers []int) string {
	if len(numbers) == 0 {
		return "none"
	}
	return "revision " + strings.Trim(fmt.Sprint(numbers), "[]")
}
