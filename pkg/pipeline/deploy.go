package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/redkubes/otomi/pkg/apply"
	"github.com/redkubes/otomi/pkg/cluster"
	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/diff"
	"github.com/redkubes/otomi/pkg/manifest"
	"github.com/redkubes/otomi/pkg/render"
	"github.com/redkubes/otomi/pkg/runlevel"
)

// The types that a deployment is spoken of in, for those who do not know the stages.
type (
	// Client is a cluster that was reached.
	Client = cluster.Client
	// Plan is what applying would do to one cluster.
	Plan = diff.Plan
	// ApplyOptions say how a run goes.
	ApplyOptions = apply.Options
	// ApplyResult is what a run did.
	ApplyResult = apply.Result
	// Event is one thing that happened in a run.
	Event = apply.Event
	// Change is what applying would do to one object.
	Change = diff.Change
	// Budget says what a run may delete without being asked, and Loss what of some plans it does not cover.
	Budget = diff.Budget
	Loss   = diff.Loss
)

// DefaultDeletions is how many objects a run deletes without being asked.
const DefaultDeletions = diff.DefaultDeletions

// Connection says how clusters are reached.
type Connection struct {
	// Kubeconfig are the files to read, the first that has an entry winning, as kubectl merges them.
	Kubeconfig []string
	// Context beats the registry's kubeContext.
	Context string
	// RefuseCurrent forbids falling through to the kubeconfig's current context.
	RefuseCurrent bool
	// InCluster says that the program runs in a cluster, whose service account is used where no context is named.
	InCluster bool
	UserAgent string
	// SystemNamespace is where a cluster keeps its identity; empty means otomi-system. Adopt takes one that was recorded as
	// another one.
	SystemNamespace string
	Adopt           bool
}

// ErrNoContext says that nothing names the context of a cluster, and that the current one may not be taken.
var ErrNoContext = errors.New("nothing names the cluster's context, and under CI the current one is never taken; name it with --kube-context, or as kubeContext in env/clusters.yaml or, for state files, in helmDefaults")

// Connect reaches a cluster: by the context that was asked for, else the registry's, else in-cluster, else the current
// one of the kubeconfig. The error is a *WrongClusterError where what was reached was recorded as another cluster of the registry.
func Connect(ctx context.Context, c Cluster, o Connection) (*Client, error) {
	options := cluster.Options{Kubeconfig: o.Kubeconfig, Context: o.Context, UserAgent: o.UserAgent}
	if options.Context == "" {
		options.Context = c.KubeContext
	}
	if options.Context == "" {
		switch {
		case o.InCluster:
			options.InCluster = true
		case o.RefuseCurrent:
			return nil, ErrNoContext
		}
	}
	client, err := cluster.Connect(ctx, options)
	if err != nil {
		return nil, err
	}
	if err := recognise(ctx, client, c, o); err != nil {
		return nil, err
	}
	return client, nil
}

// DiffOptions change how a stage is compared with its cluster. The zero value is the careful one.
type DiffOptions struct {
	Capabilities Capabilities
	// TakeOwnership allows objects that are there and belong to no release.
	TakeOwnership bool
	// Force allows objects to be replaced that can't be changed in place.
	Force bool
	// Conflicts is take, keep or fail: what becomes of fields that others wrote and that are wanted otherwise; empty means take.
	Conflicts string
	// Releases are what the command line says of all releases of a stage; those of state files have it already.
	Releases ReleaseOptions
	// Parallel is how many releases and objects are looked at side by side; 0 means 8.
	Parallel int
	// CRDDowngrade lets CustomResourceDefinitions lose what objects of their kinds have.
	CRDDowngrade bool
	// NoPrune leaves what releases no longer have, and releases that left.
	NoPrune bool
	// Unlocked says that no lease is taken before the plan is carried out.
	Unlocked bool
	// Every makes releases differ that do not, so that all of them are applied.
	Every bool
	// Ignore are rules of fields that are left as they are in the cluster: KIND[.GROUP]/NAME:PATH.
	Ignore []string
}

// Diff compares a stage with its cluster: every release is rendered with the capabilities of the cluster, and those that
// differ are rehearsed on it. Nothing is written. The strings it returns are secrets that the releases were given before:
// the values do not hold them any more, and objects of the cluster may.
func (p *Platform) Diff(ctx context.Context, stage Stage, client *Client, o DiffOptions) (Plan, []string, diag.Diagnostics, error) {
	stage.Levels = o.Releases.levels(stage.Levels)
	client.Within(stage.namespaces())
	caps, err := clusterCapabilities(ctx, client, o.Capabilities)
	if err != nil {
		return Plan{}, nil, nil, err
	}
	set, diags, err := p.newRenderSet(ctx, stage)
	if err != nil || diags.HasErrors() {
		return Plan{}, nil, diags, err
	}
	set.version = o.Capabilities.KubeVersion
	more, err := set.settle(ctx, caps)
	diags = append(diags, more...)
	if err != nil || diags.HasErrors() {
		return Plan{}, nil, diags, err
	}
	rules, err := diff.ParseIgnores(o.Ignore)
	if err != nil {
		return Plan{}, nil, diags, err
	}
	from, err := p.origin(stage.Values.Cluster.ID)
	if err != nil {
		return Plan{}, nil, diags, err
	}
	plan, more, err := diff.Compare(ctx, diff.Input{
		Cluster:   stage.Values.Cluster.ID,
		Context:   client.Context(),
		Levels:    stage.Levels,
		Inventory: from.inventory,
		Commit:    from.commit,
		Unnamed:   from.unnamed,
		Whole:     !stage.Partial,
		Render: func(ctx context.Context, r runlevel.Release, revision int, upgrade bool) (diff.Rendered, diag.Diagnostics, error) {
			release, diags, err := set.render(ctx, r, revision, upgrade)
			return diff.Rendered{Release: release, Digest: render.Digest(release)}, diags, err
		},
	}, client, diff.Options{Parallel: o.Parallel, TakeOwnership: o.TakeOwnership, Force: o.Force, Every: o.Every, CRDDowngrade: o.CRDDowngrade, Conflicts: diff.ConflictPolicy(o.Conflicts),
		NoPrune: o.NoPrune, Unlocked: o.Unlocked, Now: time.Now(), Ignore: rules, Shapes: set.shapes()})
	diags = append(diags, more...)
	if err == nil && !diags.HasErrors() {
		diags = append(diags, render.Duplicates(set.rendered())...)
	}
	return plan, formerSecrets(plan, stage.releases(), stage.Values.Secrets()), diags, err
}

// clusterCapabilities are what charts see of a cluster that was asked.
func clusterCapabilities(ctx context.Context, client *Client, o Capabilities) (render.Capabilities, error) {
	versions, err := client.APIVersions(ctx)
	if err != nil {
		return render.Capabilities{}, fmt.Errorf("asking the cluster for its API versions: %w", err)
	}
	caps := render.Capabilities{KubeVersion: o.KubeVersion, APIVersions: slices.Concat(versions, o.APIVersions)}
	if caps.KubeVersion == "" {
		if caps.KubeVersion, err = client.Version(ctx); err != nil {
			return render.Capabilities{}, fmt.Errorf("asking the cluster for its version: %w", err)
		}
	}
	return caps, nil
}

// TeardownOptions change how a stage is uninstalled. The zero value is the careful one.
type TeardownOptions struct {
	// DeleteNamespaces deletes those that releases made.
	DeleteNamespaces bool
	// Releases are what the command line says of all releases.
	Releases ReleaseOptions
	// Parallel is how many releases and objects are looked at side by side; 0 means 8.
	Parallel int
}

// Teardown plans the uninstallation of every release of a stage that is there, in reverse order. The strings are secrets as for Diff.
func (p *Platform) Teardown(ctx context.Context, stage Stage, client *Client, o TeardownOptions) (Plan, []string, error) {
	stage.Levels = o.Releases.levels(stage.Levels)
	client.Within(stage.namespaces())
	plan, err := diff.Teardown(ctx, diff.Input{
		Cluster: stage.Values.Cluster.ID, Context: client.Context(), Levels: stage.Levels,
	}, client, diff.Options{DeleteNamespaces: o.DeleteNamespaces, Parallel: o.Parallel})
	return plan, formerSecrets(plan, stage.releases(), stage.Values.Secrets()), err
}

// Unstarted is the result of a plan of which nothing was carried out.
func Unstarted(plan Plan) ApplyResult { return apply.Unstarted(plan) }

// Apply carries out a plan on a cluster that the caller holds. It compares twice more: what the plan touches before the first
// write, which stops it with a *MovedError where something moved since; and what it made after the last one, which is an
// *apply.UnlikeError where something else changed it. Neither renders anything again.
func Apply(ctx context.Context, plan Plan, client *Client, o ApplyOptions) (apply.Result, error) {
	if err := unmoved(ctx, plan, client); err != nil {
		return apply.Unstarted(plan), err
	}
	result, err := apply.Run(ctx, plan, client, o)
	if err != nil {
		err = returned(ctx, plan, &result, client, o, err)
		return result, err
	}
	return result, verify(ctx, result, client)
}

// ReleaseStatus is what a cluster knows of one release of a stage.
type ReleaseStatus struct {
	Release runlevel.Release
	// Status is the state of the newest record, in Helm's words, or "" where there is none.
	Status   string
	Revision int
	// Health says how far the objects of the deployed revision do what they are there for.
	Health Health
}

// Status reads what the cluster's records say of the releases of a stage, in the order they are applied, and how their objects are.
func (p *Platform) Status(ctx context.Context, stage Stage, client *Client) ([]ReleaseStatus, error) {
	client.Within(stage.namespaces())
	records, err := client.Records(ctx)
	if err != nil {
		return nil, err
	}
	newest := map[string]ReleaseStatus{}
	for _, r := range records {
		key := manifest.Key(r.Namespace, r.Name)
		if known := newest[key]; r.Revision > known.Revision {
			newest[key] = ReleaseStatus{Status: string(r.Status), Revision: r.Revision}
		}
	}
	var out []ReleaseStatus
	for _, release := range stage.releases() {
		status := newest[release.Key()]
		status.Release = release
		out = append(out, status)
	}
	return out, health(ctx, client, out)
}
