package pipeline

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"

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
	// Event is one thing that happened in a run.
	Event = apply.Event
)

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
}

// ErrNoContext says that nothing names the context of a cluster, and that the current one may not be taken.
var ErrNoContext = errors.New("nothing names the cluster's context, and under CI the current one is never taken; name it with --kube-context, or as kubeContext in env/clusters.yaml or, for state files, in helmDefaults")

// Connect reaches a cluster: by the context that was asked for, else the registry's, else in-cluster, else the current
// one of the kubeconfig.
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
	return cluster.Connect(ctx, options)
}

// DiffOptions change how a stage is compared with its cluster. The zero value is the careful one.
type DiffOptions struct {
	Capabilities Capabilities
	// TakeOwnership allows objects that are there and belong to no release.
	TakeOwnership bool
	// Force allows objects to be replaced that can't be changed in place.
	Force bool
	// Every makes releases differ that do not, so that all of them are applied.
	Every bool
}

// Diff compares a stage with its cluster: every release is rendered with the capabilities of the cluster, and those that
// differ are rehearsed on it. Nothing is written. The strings it returns are secrets that the releases were given before:
// the values do not hold them any more, and objects of the cluster may.
func (p *Platform) Diff(ctx context.Context, stage Stage, client *Client, o DiffOptions) (Plan, []string, diag.Diagnostics, error) {
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
	plan, more, err := diff.Compare(ctx, diff.Input{
		Cluster: stage.Values.Cluster.ID,
		Context: client.Context(),
		Levels:  stage.Levels,
		Render: func(ctx context.Context, r runlevel.Release, revision int, upgrade bool) (diff.Rendered, diag.Diagnostics, error) {
			release, diags, err := set.render(ctx, r, revision, upgrade)
			return diff.Rendered{Release: release, Digest: render.Digest(release)}, diags, err
		},
	}, client, diff.Options{TakeOwnership: o.TakeOwnership, Force: o.Force, Every: o.Every})
	diags = append(diags, more...)
	if err == nil && !diags.HasErrors() {
		diags = append(diags, render.Duplicates(set.rendered())...)
	}
	return plan, formerSecrets(plan, stage.Values.Secrets()), diags, err
}

// formerSecrets finds what releases were given before and is secret.
func formerSecrets(plan Plan, secrets []string) []string {
	var found []string
	for _, level := range plan.Levels {
		for _, r := range level.Releases {
			found = append(found, secretsBefore(r.Wanted.Values, r.Former, r.FormerObjects, secrets)...)
		}
	}
	return found
}

// leastFormer is the shortest text, in bytes, that is taken for a former secret because a Secret had it: a shorter one is a port, a
// switch or a name as often, and would be hidden everywhere.
const leastFormer = 6

// secretsBefore finds the secrets among the values that a release was given before: what was in the places where it is given secrets
// now, and where nothing secret is given now, the texts that were in a Secret of the record. now are the values it is given, secrets
// the secret texts among the compiled values; without any nothing is known to be secret, as with helmfile.
func secretsBefore(now, before map[string]any, objects []manifest.Object, secrets []string) []string {
	if len(secrets) == 0 || len(before) == 0 {
		return nil
	}
	given := map[string]bool{} // what is given in clear now is no secret
	kept := secretTexts(objects)
	secret := func(text string) bool {
		return slices.ContainsFunc(secrets, func(s string) bool { return strings.Contains(text, s) })
	}
	var found []string
	var walk func(now, before any, see func(now, before any))
	walk = func(now, before any, see func(now, before any)) {
		switch b := before.(type) {
		case map[string]any:
			n, _ := now.(map[string]any)
			for key, v := range b {
				walk(n[key], v, see)
			}
		case []any:
			n, _ := now.([]any)
			for i, v := range b {
				var other any
				if i < len(n) {
					other = n[i]
				}
				walk(other, v, see)
			}
		default:
			see(now, before)
		}
	}
	walk(nil, now, func(_, v any) {
		if text, ok := v.(string); ok && !secret(text) {
			given[text] = true
		}
	})
	walk(now, before, func(now, before any) {
		old, ok := before.(string)
		if !ok || old == "" || old == now {
			return
		}
		is, _ := now.(string)
		if secret(is) || len(old) >= leastFormer && kept[old] && !given[old] {
			found = append(found, old)
		}
	})
	slices.Sort(found)
	return slices.Compact(found)
}

// secretTexts are the texts in the Secrets among objects.
func secretTexts(objects []manifest.Object) map[string]bool {
	out := map[string]bool{}
	for _, o := range objects {
		manifest.ReplaceSecrets(o.Data, func(secret map[string]any) map[string]any {
			plain, _ := secret["stringData"].(map[string]any)
			for _, v := range plain {
				out[fmt.Sprint(v)] = true
			}
			data, _ := secret["data"].(map[string]any)
			for _, v := range data {
				if text, err := base64.StdEncoding.DecodeString(fmt.Sprint(v)); err == nil {
					out[string(text)] = true
				}
			}
			return secret
		})
	}
	return out
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

// Teardown plans the uninstallation of every release of a stage that is there, in reverse order.
func (p *Platform) Teardown(ctx context.Context, stage Stage, client *Client, deleteNamespaces bool) (Plan, error) {
	return diff.Teardown(ctx, diff.Input{
		Cluster: stage.Values.Cluster.ID, Context: client.Context(), Levels: stage.Levels,
	}, client, diff.Options{DeleteNamespaces: deleteNamespaces})
}

// Apply carries out a plan.
func Apply(ctx context.Context, plan Plan, client *Client, o ApplyOptions) (apply.Result, error) {
	return apply.Run(ctx, plan, client, o)
}

// ReleaseStatus is what a cluster knows of one release of a stage.
type ReleaseStatus struct {
	Release runlevel.Release
	// Status is the state of the newest record, in Helm's words, or "" where there is none.
	Status   string
	Revision int
}

// Status reads what the cluster's records say of the releases of a stage, in the order they are applied.
func (p *Platform) Status(ctx context.Context, stage Stage, client *Client) ([]ReleaseStatus, error) {
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
	return out, nil
}
