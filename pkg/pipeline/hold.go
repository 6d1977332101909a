package pipeline

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/redkubes/otomi/pkg/apply"
	"github.com/redkubes/otomi/pkg/cluster"
	"github.com/redkubes/otomi/pkg/diff"
	"github.com/redkubes/otomi/pkg/manifest"
)

// HoldOptions say how clusters are kept from others while they are changed. The zero value locks them.
type HoldOptions struct {
	// Off takes no lease. Then nothing keeps a second run from working on the same cluster at the same time.
	Off bool
	// Namespace is where the lease and the identity of a cluster are; empty means otomi-system.
	Namespace string
	// Holder is who runs this, USER@HOST; the name of the run is put behind it.
	Holder string
	// Duration is how long a lease holds without a renewal, and Wait how long another holder is waited for; 0 means 30 s and
	// 2 minutes.
	Duration time.Duration
	Wait     time.Duration
	// Adopt takes a cluster that was recorded as another one.
	Adopt bool
	// Waiting is told whom is waited for.
	Waiting func(message string)
}

// Holding is the right to change some clusters.
type Holding struct {
	// Run names the run: in the leases, and in the records that it makes.
	Run    string
	leases []*cluster.Lease
	stop   context.CancelCauseFunc
}

// Hold takes the leases of the clusters of sites, in an order that all runs have, so that no two wait for each other, and
// records whose clusters they are. The context that it returns ends when a lease is lost. The caller releases them.
func Hold(ctx context.Context, sites []Site, o HoldOptions) (context.Context, *Holding, error) {
	held, stop := context.WithCancelCause(ctx)
	l := &Holding{Run: strings.ToLower(rand.Text()), stop: stop}
	sorted := slices.Clone(sites)
	slices.SortStableFunc(sorted, func(a, b Site) int { return strings.Compare(a.Client.Server(), b.Client.Server()) })
	var err error
	for i, site := range sorted {
		switch {
		case o.Off:
		case i > 0 && site.Client.Server() == sorted[i-1].Client.Server():
			// Two contexts of one cluster.
			site.Client.Under(l.leases[len(l.leases)-1])
		default:
			err = l.take(ctx, site.Client, o)
		}
		if err == nil {
			err = identify(ctx, site, o)
		}
		if err != nil {
			return nil, nil, errors.Join(err, l.Release(ctx))
		}
	}
	for _, lease := range l.leases {
		go func() {
			<-lease.Lost() // which is closed by Release at the latest
			stop(lease.Err())
		}()
	}
	return held, l, nil
}

// take takes one lease.
func (l *Holding) take(ctx context.Context, client *Client, o HoldOptions) error {
	lease, err := client.TakeLease(ctx, cluster.LeaseOptions{
		Namespace: o.Namespace, Holder: o.Holder + "/" + l.Run, Duration: o.Duration, Wait: o.Wait,
		Waiting: func(h cluster.Holder) {
			if o.Waiting != nil {
				o.Waiting("waiting for " + held(h))
			}
		},
	})
	if err != nil {
		return err
	}
	for _, held := range l.leases {
		if held.Same(lease) {
			// One cluster by two addresses, whose lease was taken once more from this very run.
			lease.Forget()
			client.Under(held)
			return nil
		}
	}
	l.leases = append(l.leases, lease)
	return nil
}

// held says who has a lease.
func held(h cluster.Holder) string {
	return fmt.Sprintf("%s, which has had the cluster's lease since %s", h.Name, h.Since.UTC().Format(time.RFC3339))
}

// Lost reports whether an error says that a lease was lost.
func Lost(err error) bool {
	var unheld *manifest.Unheld
	return errors.As(err, &unheld)
}

// Release gives the leases back. The error satisfies Lost where one of them was lost before.
func (l *Holding) Release(ctx context.Context) error {
	var errs []error
	for _, lease := range slices.Backward(l.leases) {
		errs = append(errs, lease.Release(ctx))
	}
	l.stop(nil)
	return errors.Join(errs...)
}

// identify records whose cluster a site is. A plain state file has no registry, and so no identity.
func identify(ctx context.Context, site Site, o HoldOptions) error {
	if site.Cluster == "" {
		return nil
	}
	is, err := site.Client.Identify(ctx, o.Namespace, cluster.Identity{Cluster: site.Cluster, Inventory: site.Inventory}, o.Adopt)
	if err == nil && is.Cluster != site.Cluster {
		// Another run was the first to, since this one connected.
		return &WrongClusterError{Is: is.Cluster, Wanted: site.Cluster, Context: site.Client.Context()}
	}
	var refusal *manifest.Refusal
	if o.Off && errors.As(err, &refusal) {
		// Who goes without a lease often has no right to anything there, nor is there a namespace.
		return nil
	}
	return err
}

// WrongClusterError says that a cluster was recorded as another one.
type WrongClusterError struct {
	// Is is what it was recorded as, Wanted what it was taken for.
	Is, Wanted string
	Context    string
}

func (e *WrongClusterError) Error() string {
	return fmt.Sprintf("the cluster of context %q is %s, and not %s: correct kubeContext in env/clusters.yaml or --kube-context; if it was renamed, or is to be %s from now on, add --adopt-cluster",
		e.Context, e.Is, e.Wanted, e.Wanted)
}

// recognise refuses a cluster that was recorded as another one than c. Who may not read the record passes: writing needs the lease
// beside it.
func recognise(ctx context.Context, client *Client, c Cluster, o Connection) error {
	if c.ID == "" || o.Adopt {
		return nil
	}
	is, err := client.Identity(ctx, o.SystemNamespace)
	var refusal *manifest.Refusal
	switch {
	case errors.As(err, &refusal) && refusal.Reason == manifest.RefusedForbidden:
		return nil
	case err != nil:
		return err
	case is.Cluster != "" && is.Cluster != c.ID:
		return &WrongClusterError{Is: is.Cluster, Wanted: c.ID, Context: client.Context()}
	}
	return nil
}

// MovedError says what moved between the comparison and the lock.
type MovedError struct{ Moves []diff.Move }

func (e *MovedError) Error() string {
	lines := make([]string, len(e.Moves))
	for i, m := range e.Moves {
		lines[i] = m.String()
	}
	return "the cluster is not as it was when the plan was made, and nothing was written:\n  " + strings.Join(lines, "\n  ") +
		"\nRun it again, which shows what is different now"
}

// unmoved fails with a *MovedError where what a plan touches is not as it was when it was made.
func unmoved(ctx context.Context, plan Plan, client *Client) error {
	moves, err := diff.Moved(ctx, plan, client)
	if err != nil {
		return fmt.Errorf("comparing once more before the first write: %w", err)
	}
	if len(moves) > 0 {
		return &MovedError{Moves: moves}
	}
	return nil
}

// verify compares the cluster of a run that succeeded once more with what it was made.
func verify(ctx context.Context, result apply.Result, client *Client) error {
	var unlike *apply.UnlikeError
	err := apply.Verify(ctx, result, client)
	if err == nil || errors.As(err, &unlike) {
		return err
	}
	return fmt.Errorf("everything was applied, but comparing it once more failed: %w", err)
}

// LockWaiting is the kind of the event that tells whom a run waits for.
const LockWaiting = apply.LockWaiting

// Holder is who has the lease of a cluster.
type Holder = cluster.Holder

// LeaseHolder says who has the lease of a cluster; false where nobody has.
func LeaseHolder(ctx context.Context, client *Client, namespace string) (Holder, bool, error) {
	return client.LeaseHolder(ctx, namespace)
}

// FreeLease takes the lease of a cluster from a holder. It reports false where that one does not have it any more.
func FreeLease(ctx context.Context, client *Client, namespace string, h Holder) (bool, error) {
	return client.FreeLease(ctx, namespace, h.Name)
}

// Unfinished are the revisions of a release that a run began and did not finish.
func Unfinished(ctx context.Context, client *Client, namespace, name string) ([]manifest.Record, error) {
	records, err := client.Revisions(ctx, namespace, name)
	return slices.DeleteFunc(records, func(r manifest.Record) bool { return !r.Status.Pending() }), err
}

// CloseRelease marks the unfinished revisions of a release failed, whoever made them, and returns them.
func CloseRelease(ctx context.Context, client *Client, namespace, name string, o ApplyOptions) ([]manifest.Record, error) {
	return apply.Close(ctx, namespace, name, client, o)
}
