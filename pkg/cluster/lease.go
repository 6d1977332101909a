package cluster

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"sync"
	"time"

	coordination "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	coordinationv1 "k8s.io/client-go/kubernetes/typed/coordination/v1"

	"github.com/redkubes/otomi/pkg/manifest"
)

// SystemNamespace is where a cluster keeps what otomi knows of it, unless a run names another one.
const SystemNamespace = "otomi-system"

// leaseName is the name of the Lease, and of the ConfigMap with the cluster's identity beside it.
const leaseName = "otomi"

// The defaults of LeaseOptions.
const (
	defaultLease = 30 * time.Second
	defaultWait  = 2 * time.Minute
)

// LeaseOptions say how the lease of a cluster is taken.
type LeaseOptions struct {
	// Namespace is where the Lease is; empty means SystemNamespace.
	Namespace string
	// Holder names the run to others. No two runs have the same name.
	Holder string
	// Duration is how long the lease holds without a renewal; 0 means 30 s, the least is 1 s. All margins are parts of it.
	Duration time.Duration
	// Wait is how long another holder is waited for; 0 means 2 minutes, less than 0 not at all.
	Wait time.Duration
	// Waiting is told of each holder that is waited for; nil where nobody wants to know.
	Waiting func(Holder)
}

// Holder is who has the lease of a cluster.
type Holder struct {
	Name string
	// Since and Renewed are by the clock of the holder; Duration is how long its lease holds without a renewal.
	Since, Renewed time.Time
	Duration       time.Duration
}

// LockedError says that another run has the lease.
type LockedError struct {
	Holder Holder
	Waited time.Duration
}

func (e *LockedError) Error() string {
	return fmt.Sprintf("%s has had the cluster's lease since %s, and did not give it back within %s. Wait until that run is over, give it more time with --lock-timeout, or free the lease of a run that hangs with `otomi unlock`",
		e.Holder.Name, e.Holder.Since.UTC().Format(time.RFC3339), e.Waited)
}

// Lease is the right to change a cluster, which one run has at a time. While it is held, every write of its client is bounded by
// what is left of it; once it is lost, none is sent any more.
type Lease struct {
	client   coordinationv1.LeaseInterface
	holder   string
	duration time.Duration
	// uid is that of the Lease that was taken.
	uid  string
	lost chan struct{}
	// quit ends the renewals, and ended tells that they have.
	quit, ended chan struct{}

	// requesting is held while the Lease is written; it guards live, the Lease as we wrote it last.
	requesting sync.Mutex
	live       *coordination.Lease

	// mu guards what follows.
	mu sync.Mutex
	// renewed is when the request was begun that the lease counts from.
	renewed time.Time
	// reason says why the lease is no longer held.
	reason error
}

// TakeLease takes the lease of the cluster, and makes it and its namespace where they are missing. A lease that somebody else
// holds is waited for: it is taken as soon as it is given back, or once it did not change for its whole duration, as seen from
// here: clocks of others are not trusted (as in k8s.io/client-go/tools/leaderelection). The error is a *LockedError where that
// took too long. From then on the writes of this client are fenced; the caller releases the lease.
func (c *Client) TakeLease(ctx context.Context, o LeaseOptions) (*Lease, error) {
	if o.Namespace == "" {
		o.Namespace = SystemNamespace
	}
	o.Duration = max(orDefault(o.Duration, defaultLease), time.Second)
	l := &Lease{
		client: c.leases.Leases(o.Namespace), holder: o.Holder, duration: o.Duration,
		lost: make(chan struct{}), quit: make(chan struct{}), ended: make(chan struct{}),
	}
	if err := l.take(unfenced(ctx), c, o); err != nil {
		var locked *LockedError
		if errors.As(err, &locked) {
			return nil, err
		}
		// A request that was broken off may have arrived.
		late, cancel := context.WithTimeout(context.WithoutCancel(unfenced(ctx)), l.duration/6)
		defer cancel()
		_ = l.giveBack(late)
		return nil, err
	}
	l.uid = string(l.live.UID)
	c.fence.close(l)
	go l.keep()
	return l, nil
}

// Under fences the writes of this client, too, by a lease that another client of the same cluster took.
func (c *Client) Under(l *Lease) { c.fence.close(l) }

// take waits for the lease and takes it.
func (l *Lease) take(ctx context.Context, c *Client, o LeaseOptions) error {
	var (
		began   = time.Now()
		wait    = orDefault(o.Wait, defaultWait)
		seen    string
		seenAt  time.Time
		told    string
		created bool
		faults  int
	)
	// passing reports whether what went wrong may go right the next time, and waits until then.
	passing := func(err error) bool {
		faults++
		return faults < attempts && fault(err) && pause(ctx, backoff(faults)) == nil
	}
	for {
		live, err := l.client.Get(ctx, leaseName, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			err = l.create(ctx)
			switch {
			case err == nil:
				return nil
			case apierrors.IsAlreadyExists(err):
				continue
			case apierrors.IsNotFound(err) && !created:
				err = c.CreateNamespace(ctx, o.Namespace)
				created = err == nil
				if err == nil || passing(err) {
					continue
				}
				return leaseError("making the namespace of the lease", o.Namespace, err)
			case passing(err):
				continue
			}
			return leaseError("creating the lease", o.Namespace, err)
		}
		if err != nil && passing(err) {
			continue
		}
		if err != nil {
			return leaseError("reading the lease", o.Namespace, err)
		}
		holder := holderOf(live)
		if live.ResourceVersion != seen {
			seen, seenAt = live.ResourceVersion, time.Now()
		}
		if holder.Name == "" || holder.Name == l.holder || time.Since(seenAt) >= holder.Duration {
			err := l.write(ctx, live)
			if err == nil || !apierrors.IsConflict(err) && !passing(err) {
				return leaseError("taking the lease", o.Namespace, err)
			}
			continue
		}
		if time.Since(began) >= wait {
			return &LockedError{Holder: holder, Waited: max(wait, 0)}
		}
		if o.Waiting != nil && told != holder.Name {
			told = holder.Name
			o.Waiting(holder)
		}
		if err := pause(ctx, min(l.duration/6, time.Second)); err != nil {
			return fmt.Errorf("waiting for the lease that %s has: %w", holder.Name, err)
		}
	}
}

// fault reports whether an error is no answer to the question: the network failed, or the server did. A request that it answers
// may have been carried out.
func fault(err error) bool {
	var answer apierrors.APIStatus
	if errors.As(err, &answer) {
		code := answer.Status().Code
		return code >= http.StatusInternalServerError || code == http.StatusTooManyRequests
	}
	var refusal *manifest.Refusal
	return !errors.As(err, &refusal)
}

// leaseError is an error about the lease, with a way out for who may not have one.
func leaseError(doing, namespace string, err error) error {
	if err == nil {
		return nil
	}
	var refusal *manifest.Refusal
	if apierrors.IsForbidden(err) || errors.As(err, &refusal) && refusal.Reason == manifest.RefusedForbidden {
		err = fmt.Errorf("%w. Name a namespace in which you may have one with --lock-namespace, or go without: --lock=false", clean(err))
	}
	return fmt.Errorf("%s in namespace %s: %w", doing, namespace, clean(err))
}

// holderOf reads who holds a lease.
func holderOf(live *coordination.Lease) Holder {
	h := Holder{Duration: defaultLease}
	if s := live.Spec.HolderIdentity; s != nil {
		h.Name = *s
	}
	if s := live.Spec.LeaseDurationSeconds; s != nil {
		h.Duration = time.Duration(*s) * time.Second
	}
	if t := live.Spec.AcquireTime; t != nil {
		h.Since = t.Time
	}
	if t := live.Spec.RenewTime; t != nil {
		h.Renewed = t.Time
	}
	return h
}

// create makes the Lease, held.
func (l *Lease) create(ctx context.Context) error {
	now := time.Now()
	live, err := l.client.Create(ctx, &coordination.Lease{
		ObjectMeta: metav1.ObjectMeta{Name: leaseName},
		Spec:       l.spec(now, coordination.LeaseSpec{}),
	}, metav1.CreateOptions{FieldManager: FieldManager})
	if err == nil {
		l.held(live, now)
	}
	return err
}

// write makes a Lease ours, or renews it, unless it was written since it was read.
func (l *Lease) write(ctx context.Context, live *coordination.Lease) error {
	now := time.Now()
	wanted := live.DeepCopy()
	wanted.Spec = l.spec(now, live.Spec)
	live, err := l.client.Update(ctx, wanted, metav1.UpdateOptions{FieldManager: FieldManager})
	if err == nil {
		l.held(live, now)
	}
	return err
}

// spec is a Lease as we hold it.
func (l *Lease) spec(now time.Time, before coordination.LeaseSpec) coordination.LeaseSpec {
	seconds, at := int32(math.Ceil(l.duration.Seconds())), metav1.NewMicroTime(now)
	changes := int32(0)
	if before.LeaseTransitions != nil {
		changes = *before.LeaseTransitions
	}
	spec := coordination.LeaseSpec{
		HolderIdentity: &l.holder, LeaseDurationSeconds: &seconds, RenewTime: &at, AcquireTime: before.AcquireTime, LeaseTransitions: &changes,
	}
	if before.HolderIdentity == nil || *before.HolderIdentity != l.holder {
		changes++
		spec.AcquireTime = &at
	}
	return spec
}

// held notes that the lease is ours from the time at which the request for it was begun.
func (l *Lease) held(live *coordination.Lease, since time.Time) {
	l.live = live
	l.mu.Lock()
	defer l.mu.Unlock()
	l.renewed = since
}

// keep renews the lease until it is lost or given back.
func (l *Lease) keep() {
	defer close(l.ended)
	ticker := time.NewTicker(l.duration / 6)
	defer ticker.Stop()
	for {
		select {
		case <-l.quit:
			return
		case <-l.lost:
			return
		case <-ticker.C:
		}
		// What fails is tried again at the next tick; writes look for themselves at what is left.
		_ = l.renew(context.Background(), l.duration)
	}
}

// renew renews the lease if no more than least is left of it. Where somebody else has it, it is lost.
func (l *Lease) renew(ctx context.Context, least time.Duration) error {
	l.requesting.Lock()
	defer l.requesting.Unlock()
	if l.left() > least {
		return nil // another write did while this one waited for its turn
	}
	ctx, cancel := context.WithTimeout(unfenced(ctx), l.duration/3)
	defer cancel()
	if l.left() > 0 && l.write(ctx, l.live) == nil {
		return nil
	}
	// Somebody else wrote it or may have done so, or the answer to our own last write was lost.
	live, err := l.client.Get(ctx, leaseName, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return l.lose("somebody deleted the lease of the cluster")
	}
	if err != nil {
		return fmt.Errorf("renewing the lease: %w", clean(err))
	}
	if holder := holderOf(live); holder.Name != l.holder {
		if holder.Name == "" {
			return l.lose("somebody freed the lease of the cluster")
		}
		return l.lose(holder.Name + " took the lease of the cluster over")
	}
	err = l.write(ctx, live)
	if err != nil {
		return fmt.Errorf("renewing the lease: %w", clean(err))
	}
	return nil
}

// lose ends the lease for good.
func (l *Lease) lose(why string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.reason == nil {
		l.reason = &manifest.Unheld{Reason: why}
		close(l.lost)
	}
	return l.reason
}

// Lost is closed when the lease is lost or given back.
func (l *Lease) Lost() <-chan struct{} { return l.lost }

// Err says why the lease is no longer held; nil while it is.
func (l *Lease) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.reason
}

// left is how long the lease still holds. It is counted by both clocks, and the one by which more time has passed is believed:
// the monotonic one stands still while a machine sleeps, and the other one can be set.
func (l *Lease) left() time.Duration {
	l.mu.Lock()
	renewed := l.renewed
	l.mu.Unlock()
	now := time.Now()
	return l.duration - max(now.Sub(renewed), now.Round(0).Sub(renewed.Round(0)))
}

// allowance is how long a write may take that is sent now: of 30 s, no more than 20 s, and no longer than until 5 s before the
// lease ends.
func (l *Lease) allowance() time.Duration { return min(l.duration*2/3, l.left()-l.duration/6) }

// allow returns how long a write may take that is sent now. The error is a *manifest.Unheld where it must not be sent.
func (l *Lease) allow(ctx context.Context) (time.Duration, error) {
	if err := l.Err(); err != nil {
		return 0, err
	}
	if d := l.allowance(); d > 0 {
		return d, nil
	}
	// We stood still, or were cut off. If the lease can be renewed, nobody had it in between: the write to it is guarded.
	if err := l.renew(ctx, l.duration/6); err != nil {
		var unheld *manifest.Unheld
		if errors.As(err, &unheld) {
			return 0, err
		}
		return 0, &manifest.Unheld{Reason: "the lease of the cluster has run out, and " + err.Error()}
	}
	if d := l.allowance(); d > 0 {
		return d, nil
	}
	return 0, &manifest.Unheld{Reason: "the lease of the cluster ran out while it was renewed"}
}

// Release gives the lease back, also after ctx ended, within a third of its duration; from then on the client of the lease
// writes nothing. The error is a *manifest.Unheld where it was lost before: then others may have changed the cluster since this
// run looked at it.
func (l *Lease) Release(ctx context.Context) error {
	close(l.quit)
	<-l.ended
	if err := l.Err(); err != nil {
		return err
	}
	_ = l.lose("this run gave the lease of the cluster back")
	ctx, cancel := context.WithTimeout(context.WithoutCancel(unfenced(ctx)), max(l.duration/3, 2*time.Second))
	defer cancel()
	err := l.giveBack(ctx)
	var unheld *manifest.Unheld
	switch {
	case errors.As(err, &unheld):
		return err
	case err != nil:
		return fmt.Errorf("giving the lease back, which ends by itself in %s: %w", l.duration, clean(err))
	}
	return nil
}

// Same reports whether both are the lease of one cluster, which was reached by two addresses.
func (l *Lease) Same(other *Lease) bool { return l.uid != "" && l.uid == other.uid }

// Forget ends the renewals of a lease that the run holds as another one, too, and leaves it as it is.
func (l *Lease) Forget() {
	close(l.quit)
	<-l.ended
}

// giveBack frees the Lease if it is ours; else the error is a *manifest.Unheld.
func (l *Lease) giveBack(ctx context.Context) error {
	l.requesting.Lock()
	defer l.requesting.Unlock()
	for sent := false; ; sent = true {
		live, err := l.client.Get(ctx, leaseName, metav1.GetOptions{})
		if err != nil && !apierrors.IsNotFound(err) {
			return err
		}
		if err != nil || holderOf(live).Name != l.holder {
			if sent && err == nil && l.live != nil && transitions(live) == transitions(l.live) {
				return nil // nobody had it since: the answer to the write that freed it was lost
			}
			return &manifest.Unheld{Reason: "somebody else has had the lease of the cluster since"}
		}
		if err := free(ctx, l.client, live); !apierrors.IsConflict(err) {
			return err
		}
	}
}

// transitions counts the holders that a Lease had.
func transitions(live *coordination.Lease) int32 {
	if live.Spec.LeaseTransitions == nil {
		return 0
	}
	return *live.Spec.LeaseTransitions
}

// free takes the holder out of a Lease, unless it was written since it was read.
func free(ctx context.Context, client coordinationv1.LeaseInterface, live *coordination.Lease) error {
	freed := live.DeepCopy()
	freed.Spec.HolderIdentity = nil
	_, err := client.Update(ctx, freed, metav1.UpdateOptions{FieldManager: FieldManager})
	return err
}

// LeaseHolder returns who has the lease of the cluster in a namespace, empty meaning SystemNamespace; false where nobody has it.
func (c *Client) LeaseHolder(ctx context.Context, namespace string) (Holder, bool, error) {
	if namespace == "" {
		namespace = SystemNamespace
	}
	live, err := c.leases.Leases(namespace).Get(ctx, leaseName, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return Holder{}, false, nil
	}
	if err != nil {
		return Holder{}, false, leaseError("reading the lease", namespace, err)
	}
	holder := holderOf(live)
	return holder, holder.Name != "", nil
}

// FreeLease takes the lease from the run that is named. It reports false where another one has it by now, or nobody.
func (c *Client) FreeLease(ctx context.Context, namespace, holder string) (bool, error) {
	if namespace == "" {
		namespace = SystemNamespace
	}
	client := c.leases.Leases(namespace)
	for {
		live, err := client.Get(ctx, leaseName, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return false, nil
		}
		if err != nil {
			return false, leaseError("reading the lease", namespace, err)
		}
		if holderOf(live).Name != holder {
			return false, nil
		}
		err = free(ctx, client, live)
		if !apierrors.IsConflict(err) {
			return err == nil, leaseError("freeing the lease", namespace, err)
		}
	}
}
