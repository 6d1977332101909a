package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	coordination "k8s.io/api/coordination/v1"
	"k8s.io/client-go/kubernetes/scheme"

	"github.com/redkubes/otomi/pkg/manifest"
)

// keeper is an API server that knows one Lease, one namespace and ConfigMaps, and guards them by resource versions as a real
// one does.
type keeper struct {
	mu      sync.Mutex
	lease   *coordination.Lease
	version int
	spaces  map[string]bool
	// writes counts the requests that change ConfigMaps, and reached it.
	writes int
	// broken makes requests for the Lease fail; late lets writes of ConfigMaps wait until it is closed.
	broken bool
	late   chan struct{}
	// stale is the answer to the next read of the Lease.
	stale *coordination.Lease
	// swallow drops the answer to the next write of the Lease.
	swallow bool
}

func (k *keeper) serve(t *testing.T) *httptest.Server {
	k.spaces = map[string]bool{}
	server := httptest.NewServer(http.HandlerFunc(k.answer))
	t.Cleanup(server.Close)
	return server
}

func (k *keeper) answer(w http.ResponseWriter, r *http.Request) {
	k.mu.Lock()
	defer k.mu.Unlock()
	say := func(code int, body any) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		_ = json.NewEncoder(w).Encode(body)
	}
	refuse := func(code int, reason string) {
		say(code, map[string]any{"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason, "message": reason})
	}
	switch path := r.URL.Path; {
	case path == "/version":
		say(200, map[string]any{"gitVersion": "v1.34.0"})
	case strings.Contains(path, "/leases"):
		if k.broken {
			refuse(400, "BadRequest")
			return
		}
		var sent coordination.Lease
		if r.Method != http.MethodGet {
			body, _ := io.ReadAll(r.Body)
			_, _, _ = scheme.Codecs.UniversalDeserializer().Decode(body, nil, &sent)
		}
		if k.stale != nil && r.Method == http.MethodGet {
			say(200, k.stale)
			k.stale = nil
			return
		}
		switch {
		case r.Method == http.MethodPost && !k.spaces[SystemNamespace]:
			refuse(404, "NotFound")
			return
		case r.Method == http.MethodPost && k.lease != nil:
			refuse(409, "AlreadyExists")
			return
		case r.Method != http.MethodPost && k.lease == nil:
			refuse(404, "NotFound")
			return
		case r.Method == http.MethodPut && sent.ResourceVersion != k.lease.ResourceVersion:
			refuse(409, "Conflict")
			return
		case r.Method != http.MethodGet:
			k.version++
			sent.ResourceVersion, sent.UID = fmt.Sprint(k.version), "of-the-lease"
			k.lease = &sent
			if k.swallow {
				k.swallow = false
				panic(http.ErrAbortHandler)
			}
		}
		say(200, k.lease)
	case strings.HasPrefix(path, "/api/v1/namespaces") && strings.Contains(path, "/configmaps"):
		k.writes++
		late := k.late
		k.mu.Unlock()
		if late != nil {
			select {
			case <-late:
			case <-r.Context().Done():
			}
		}
		k.mu.Lock()
		say(200, map[string]any{"kind": "ConfigMap", "apiVersion": "v1", "metadata": map[string]any{"name": "x"}})
	case r.Method == http.MethodPost:
		k.spaces[SystemNamespace] = true
		say(201, map[string]any{"kind": "Namespace", "apiVersion": "v1", "metadata": map[string]any{"name": SystemNamespace}})
	default:
		refuse(404, "NotFound")
	}
}

func (k *keeper) held() Holder {
	k.mu.Lock()
	defer k.mu.Unlock()
	return holderOf(k.lease)
}

func (k *keeper) set(change func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	change()
}

func connected(t *testing.T, server *httptest.Server) *Client {
	t.Helper()
	c, err := Connect(t.Context(), Options{Kubeconfig: []string{kubeconfig(t, server.URL, "a")}})
	require.NoError(t, err)
	return c
}

// put writes a ConfigMap.
func put(ctx context.Context, c *Client) error {
	return c.core.RESTClient().Put().AbsPath("/api/v1/namespaces/d/configmaps/x").Body([]byte("{}")).Do(ctx).Error()
}

func TestLeaseIsMadeWithItsNamespaceAndGivenBack(t *testing.T) {
	t.Parallel()
	k := &keeper{}
	c := connected(t, k.serve(t))
	l, err := c.TakeLease(t.Context(), LeaseOptions{Holder: "me@here/run1"})
	require.NoError(t, err)
	require.Equal(t, "me@here/run1", k.held().Name)
	require.Equal(t, 30*time.Second, k.held().Duration)
	require.NoError(t, put(t.Context(), c))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.NoError(t, l.Release(ctx), "also after the run was cancelled")
	require.Empty(t, k.held().Name)
	var unheld *manifest.Unheld
	require.ErrorAs(t, put(t.Context(), c), &unheld)
	require.Equal(t, 1, k.writes)
}

func TestReleasedLeaseIsTakenAtOnce(t *testing.T) {
	t.Parallel()
	k := &keeper{}
	server := k.serve(t)
	first, err := connected(t, server).TakeLease(t.Context(), LeaseOptions{Holder: "first"})
	require.NoError(t, err)
	require.NoError(t, first.Release(t.Context()))
	second, err := connected(t, server).TakeLease(t.Context(), LeaseOptions{Holder: "second", Wait: -1})
	require.NoError(t, err)
	require.NoError(t, second.Release(t.Context()))
}

func TestHolderIsNamedToWhomWaitsInVain(t *testing.T) {
	t.Parallel()
	k := &keeper{}
	server := k.serve(t)
	first, err := connected(t, server).TakeLease(t.Context(), LeaseOptions{Holder: "first", Duration: time.Second})
	require.NoError(t, err)
	defer func() { require.NoError(t, first.Release(t.Context())) }()
	var told []string
	_, err = connected(t, server).TakeLease(t.Context(), LeaseOptions{
		Holder: "second", Wait: 1500 * time.Millisecond, Waiting: func(h Holder) { told = append(told, h.Name) },
	})
	var locked *LockedError
	require.ErrorAs(t, err, &locked)
	require.Equal(t, "first", locked.Holder.Name)
	require.ErrorContains(t, err, "first has had the cluster's lease since "+k.held().Since.UTC().Format(time.RFC3339))
	require.Equal(t, []string{"first"}, told, "once, and in vain: the holder renews")
}

func TestStaleLeaseIsTakenOverByItsOwnDuration(t *testing.T) {
	t.Parallel()
	k := &keeper{}
	server := k.serve(t)
	dead := connected(t, server)
	l, err := dead.TakeLease(t.Context(), LeaseOptions{Holder: "dead", Duration: time.Second})
	require.NoError(t, err)
	close(l.quit) // as kill -9 does
	<-l.ended
	// Its clock is an hour ahead.
	k.set(func() { k.lease.Spec.RenewTime.Time = time.Now().Add(time.Hour) })
	began := time.Now()
	second, err := connected(t, server).TakeLease(t.Context(), LeaseOptions{Holder: "second", Wait: 10 * time.Second})
	require.NoError(t, err)
	require.GreaterOrEqual(t, time.Since(began), time.Second)
	require.Equal(t, "second", k.held().Name)

	var unheld *manifest.Unheld
	time.Sleep(time.Until(began.Add(time.Second))) // until the dead run's lease is over by its own clock
	require.ErrorAs(t, put(t.Context(), dead), &unheld)
	require.ErrorContains(t, unheld, "second took the lease of the cluster over")
	require.Zero(t, k.writes, "it was not sent")
	<-l.Lost()
	require.NoError(t, second.Release(t.Context()))
}

func TestLeaseThatAnotherRunHadAndFreedWasTakenForOneThatWasGivenBack(t *testing.T) {
	t.Parallel()
	k := &keeper{}
	server := k.serve(t)
	c := connected(t, server)
	l, err := c.TakeLease(t.Context(), LeaseOptions{Holder: "me", Duration: time.Hour})
	require.NoError(t, err)
	stale := l.live.DeepCopy()
	k.set(func() {
		k.lease.Spec.HolderIdentity = nil
		k.version++
		k.lease.ResourceVersion = fmt.Sprint(k.version)
	})
	second, err := connected(t, server).TakeLease(t.Context(), LeaseOptions{Holder: "second"})
	require.NoError(t, err)
	require.NoError(t, second.Release(t.Context()))
	// The first reads what was true before it stood still.
	k.set(func() { k.stale = stale })
	var unheld *manifest.Unheld
	require.ErrorAs(t, l.Release(t.Context()), &unheld)
}

func TestLostAnswerToTheWriteThatFreedALeaseIsNoLoss(t *testing.T) {
	t.Parallel()
	k := &keeper{}
	c := connected(t, k.serve(t))
	l, err := c.TakeLease(t.Context(), LeaseOptions{Holder: "me", Duration: time.Hour})
	require.NoError(t, err)
	k.set(func() { k.swallow = true })
	require.NoError(t, l.Release(t.Context()))
	require.Empty(t, k.held().Name)
}

func TestLeaseThatWasLostBeforeItWasGivenBackIsTold(t *testing.T) {
	t.Parallel()
	k := &keeper{}
	c := connected(t, k.serve(t))
	l, err := c.TakeLease(t.Context(), LeaseOptions{Holder: "me", Duration: time.Hour})
	require.NoError(t, err)
	other := "other"
	k.set(func() { k.lease.Spec.HolderIdentity = &other })
	var unheld *manifest.Unheld
	require.ErrorAs(t, l.Release(t.Context()), &unheld)
	require.Equal(t, "other", k.held().Name)
}

func TestRunThatStoodStillGoesOnWhereNobodyTookItsLease(t *testing.T) {
	t.Parallel()
	k := &keeper{}
	c := connected(t, k.serve(t))
	l, err := c.TakeLease(t.Context(), LeaseOptions{Holder: "me", Duration: time.Hour})
	require.NoError(t, err)
	l.mu.Lock()
	l.renewed = time.Now().Add(-2 * time.Hour)
	l.mu.Unlock()
	require.NoError(t, put(t.Context(), c))
	require.Greater(t, l.left(), 59*time.Minute)
	require.NoError(t, l.Release(t.Context()))
}

func TestWallClockCountsWhereTheMonotonicOneStoodStill(t *testing.T) {
	t.Parallel()
	l := &Lease{duration: time.Hour}
	// A time without a monotonic reading is what a machine that slept makes of the difference.
	l.renewed = time.Now().Add(-50 * time.Minute).Round(0)
	require.InDelta(t, 10*time.Minute, l.left(), float64(time.Minute))
	require.InDelta(t, 0, l.allowance(), float64(time.Minute))
	l.renewed = time.Now()
	require.Equal(t, 40*time.Minute, l.allowance())
}

func TestWriteIsNotSentWhereTheLeaseCanNotBeRenewed(t *testing.T) {
	t.Parallel()
	k := &keeper{}
	c := connected(t, k.serve(t))
	l, err := c.TakeLease(t.Context(), LeaseOptions{Holder: "me", Duration: time.Hour})
	require.NoError(t, err)
	k.set(func() { k.broken = true })
	l.mu.Lock()
	l.renewed = time.Now().Add(-2 * time.Hour)
	l.mu.Unlock()
	var unheld *manifest.Unheld
	require.ErrorAs(t, put(t.Context(), c), &unheld)
	require.Zero(t, k.writes)
	k.set(func() { k.broken = false })
	require.NoError(t, put(t.Context(), c), "nobody had it in between")
	require.NoError(t, l.Release(t.Context()))
}

func TestWriteEndsBeforeTheLeaseDoes(t *testing.T) {
	t.Parallel()
	k := &keeper{late: make(chan struct{})}
	c := connected(t, k.serve(t))
	defer close(k.late)
	l, err := c.TakeLease(t.Context(), LeaseOptions{Holder: "me", Duration: 3 * time.Second})
	require.NoError(t, err)
	began := time.Now()
	require.ErrorIs(t, put(t.Context(), c), errLate)
	require.Less(t, time.Since(began), 3*time.Second)
	require.NoError(t, l.Release(t.Context()))
}

func TestLostAnswerOfARenewalIsNoLoss(t *testing.T) {
	t.Parallel()
	k := &keeper{}
	c := connected(t, k.serve(t))
	l, err := c.TakeLease(t.Context(), LeaseOptions{Holder: "me", Duration: time.Hour})
	require.NoError(t, err)
	k.set(func() { k.swallow = true })
	require.NoError(t, l.renew(t.Context(), time.Hour))
	require.NoError(t, l.Err())
	require.NoError(t, l.Release(t.Context()))
}

func TestFreedOrDeletedLeaseIsLost(t *testing.T) {
	t.Parallel()
	for want, change := range map[string]func(k *keeper){
		"somebody freed the lease of the cluster": func(k *keeper) {
			k.version++
			k.lease.Spec.HolderIdentity, k.lease.ResourceVersion = nil, fmt.Sprint(k.version)
		},
		"somebody deleted the lease of the cluster": func(k *keeper) { k.lease = nil },
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			k := &keeper{}
			c := connected(t, k.serve(t))
			l, err := c.TakeLease(t.Context(), LeaseOptions{Holder: "me", Duration: time.Second})
			require.NoError(t, err)
			k.set(func() { change(k) })
			<-l.Lost()
			require.ErrorContains(t, l.Err(), want)
			var unheld *manifest.Unheld
			require.True(t, errors.As(put(t.Context(), c), &unheld))
			require.ErrorAs(t, l.Release(t.Context()), &unheld)
		})
	}
}

func TestOneOfManyHasTheLease(t *testing.T) {
	t.Parallel()
	k := &keeper{}
	server := k.serve(t)
	var inside, most, total int
	var mu sync.Mutex
	var group sync.WaitGroup
	for i := range 8 {
		c := connected(t, server)
		group.Go(func() {
			l, err := c.TakeLease(context.Background(), LeaseOptions{Holder: fmt.Sprint("run ", i), Duration: 5 * time.Second, Wait: time.Minute})
			if !errors.Is(err, nil) {
				return
			}
			mu.Lock()
			inside, total = inside+1, total+1
			most = max(most, inside)
			mu.Unlock()
			_ = put(context.Background(), c)
			mu.Lock()
			inside--
			mu.Unlock()
			_ = l.Release(context.Background())
		})
	}
	group.Wait()
	require.Equal(t, 1, most)
	require.Equal(t, 8, total)
}

func TestOneClusterByTwoAddressesHasOneLease(t *testing.T) {
	t.Parallel()
	k := &keeper{}
	server := k.serve(t)
	other := httptest.NewServer(http.HandlerFunc(k.answer))
	t.Cleanup(other.Close)
	a, b := connected(t, server), connected(t, other)
	first, err := a.TakeLease(t.Context(), LeaseOptions{Holder: "me@here/run1", Duration: time.Second})
	require.NoError(t, err)
	second, err := b.TakeLease(t.Context(), LeaseOptions{Holder: "me@here/run1", Duration: time.Second})
	require.NoError(t, err, "it does not wait for itself")
	require.True(t, first.Same(second))
	second.Forget()
	b.Under(first)
	require.NoError(t, put(t.Context(), b))
	require.NoError(t, first.Release(t.Context()))
	require.Empty(t, k.held().Name)
	require.Error(t, put(t.Context(), b), "it is fenced by the one lease")
}

func TestIdentityThatAnotherRunRecordedMeanwhileStays(t *testing.T) {
	t.Parallel()
	live := map[string]any{"kind": "ConfigMap", "apiVersion": "v1", "metadata": map[string]any{"name": "otomi", "resourceVersion": "7"},
		"data": map[string]any{"cluster": "aws/theirs", "inventory": "x"}}
	written := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch {
		case r.URL.Path == "/version":
			_, _ = io.WriteString(w, `{"gitVersion": "v1.34.0"}`)
		default:
			if r.Method != http.MethodGet {
				written++
			}
			_ = json.NewEncoder(w).Encode(live)
		}
	}))
	t.Cleanup(server.Close)
	c := connected(t, server)
	is, err := c.Identify(t.Context(), "", Identity{Cluster: "aws/ours"}, false)
	require.NoError(t, err)
	require.Equal(t, Identity{Cluster: "aws/theirs", Inventory: "x"}, is)
	require.Zero(t, written)
	is, err = c.Identify(t.Context(), "", Identity{Cluster: "aws/ours"}, true)
	require.NoError(t, err)
	require.Equal(t, "aws/ours", is.Cluster)
	require.Equal(t, 1, written)
}

func TestVersionIsAskedForAgain(t *testing.T) {
	t.Parallel()
	asked := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		switch asked++; asked {
		case 1:
			w.WriteHeader(http.StatusServiceUnavailable)
		case 2:
			panic(http.ErrAbortHandler)
		default:
			_, _ = io.WriteString(w, `{"gitVersion": "v1.34.0"}`)
		}
	}))
	t.Cleanup(server.Close)
	require.Equal(t, "v1.34.0", connected(t, server).version)
	require.Equal(t, 3, asked)
}
