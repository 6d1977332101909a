package pipeline

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/redkubes/otomi/pkg/diff"
	"github.com/redkubes/otomi/pkg/manifest"
	"github.com/redkubes/otomi/pkg/runlevel"
)

// NamedRelease is a release that a user named.
type NamedRelease struct {
	Namespace, Name string
	// release is that of the runlevels; asHelm says that they are of a plain state file.
	release runlevel.Release
	asHelm  bool
}

// Key is NAMESPACE/NAME.
func (n NamedRelease) Key() string { return manifest.Key(n.Namespace, n.Name) }

// ParseRelease reads NAMESPACE/NAME or NAME, which leaves the namespace empty.
func ParseRelease(text string) (NamedRelease, error) {
	namespace, name, ok := strings.Cut(text, "/")
	if !ok {
		namespace, name = "", text
	}
	if name == "" || ok && namespace == "" || strings.Contains(name, "/") {
		return NamedRelease{}, fmt.Errorf("%q names no release; write NAME or NAMESPACE/NAME", text)
	}
	return NamedRelease{Namespace: namespace, Name: name, release: runlevel.Release{Namespace: namespace, Name: name, Wait: true}}, nil
}

// Find finds a release that a user named among those of the stage. One that is not there, and has a namespace, may be in the
// cluster nonetheless.
func (s Stage) Find(n NamedRelease) (NamedRelease, error) {
	return find(n, s.Levels, false)
}

// FindRelease is Stage.Find for the sites of state files, and returns the site, too.
func FindRelease(sites []Site, n NamedRelease) (Site, NamedRelease, error) {
	var in Site
	var levels []runlevel.Level
	for _, site := range sites {
		for _, l := range site.Levels {
			for _, r := range l.Releases {
				if in.Client == nil && n.matches(r) {
					in = site
				}
			}
		}
		levels = append(levels, site.Levels...)
	}
	found, err := find(n, levels, true)
	if err == nil && in.Client == nil {
		if len(sites) != 1 {
			return Site{}, NamedRelease{}, fmt.Errorf("the state files have no release %s, and several clusters; name one with --kube-context", n.Key())
		}
		in = sites[0]
	}
	return in, found, err
}

func (n NamedRelease) matches(r runlevel.Release) bool {
	return r.Name == n.Name && (n.Namespace == "" || r.Namespace == n.Namespace)
}

func find(n NamedRelease, levels []runlevel.Level, asHelm bool) (NamedRelease, error) {
	var found []NamedRelease
	var keys []string
	for _, l := range levels {
		for _, r := range l.Releases {
			if n.matches(r) {
				found = append(found, NamedRelease{Namespace: r.Namespace, Name: r.Name, release: r, asHelm: asHelm})
				keys = append(keys, r.Key())
			}
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		return NamedRelease{}, fmt.Errorf("several releases are called %s; name one of %s", n.Name, strings.Join(keys, ", "))
	case n.Namespace == "":
		return NamedRelease{}, fmt.Errorf("no release is called %s in the runlevels; `otomi list` shows them, and one that only the cluster has is named NAMESPACE/NAME", n.Name)
	}
	n.asHelm = asHelm
	return n, nil
}

// RollbackOptions change how a release is rolled back. The zero value is the careful one.
type RollbackOptions struct {
	// Cluster is the name of the cluster in the registry; empty where it has none.
	Cluster string
	// Revision is the one to go back to; 0 is the newest before the last that was deployed.
	Revision int
	// Timeout bounds the wait; 0 is the release's own.
	Timeout  time.Duration
	Force    bool
	Unlocked bool
	// Secrets are the secret texts among the values of today, where they are known.
	Secrets []string
}

// Rollback plans how a release goes back to an earlier revision. Nothing is written. The strings are secrets, known by what of
// the values is secret (those that o has), or where nobody knows the values by what they are called.
func Rollback(ctx context.Context, client *Client, n NamedRelease, o RollbackOptions) (Plan, []string, error) {
	r := n.release
	if o.Timeout > 0 {
		r.Timeout = o.Timeout
	}
	plan, err := diff.Rollback(ctx, diff.Input{Cluster: o.Cluster, Context: client.Context()}, r, o.Revision, client, diff.Options{
		Force: o.Force, Unlocked: o.Unlocked, AsHelm: n.asHelm, Now: time.Now(),
	})
	secrets := formerSecrets(plan, []runlevel.Release{r}, o.Secrets)
	if len(r.Values) == 0 {
		for _, level := range plan.Levels {
			for _, of := range level.Releases {
				named(of.Wanted.Values, "", &secrets)
			}
		}
	}
	return plan, secrets, err
}

// Revision is one record of a release.
type Revision struct {
	Revision                        int
	Updated                         time.Time
	Status, Chart, AppVersion, Text string
	// Commit is that of the values that it was made of; empty where nobody recorded one.
	Commit string
	// By says who made it: otomi or helm.
	By string
}

// History reads the records of a release, the oldest first.
func History(ctx context.Context, client *Client, n NamedRelease) ([]Revision, error) {
	records, err := client.Revisions(ctx, n.Namespace, n.Name)
	if err != nil {
		return nil, err
	}
	out := make([]Revision, len(records))
	err = each(ctx, len(records), func(ctx context.Context, i int) error {
		stored, err := client.Stored(ctx, n.Namespace, n.Name, records[i].Revision)
		if err != nil {
			return err
		}
		var metadata struct{ AppVersion string }
		_ = json.Unmarshal(stored.Chart.Metadata, &metadata) // a record without is shown without
		out[i] = Revision{
			Revision: records[i].Revision, Updated: stored.LastDeployed, Status: string(stored.Status), Text: stored.Description,
			Chart: stored.Chart.Name + "-" + stored.Chart.Version, AppVersion: metadata.AppVersion, By: "helm",
		}
		if diff.Ours(records[i]) {
			out[i].By, out[i].Commit = "otomi", records[i].Labels[diff.CommitLabel]
		}
		return nil
	})
	return out, err
}
