package apply_test

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/redkubes/otomi/pkg/apply"
	"github.com/redkubes/otomi/pkg/cluster"
	"github.com/redkubes/otomi/pkg/manifest"
)

var errFault = errors.New("the world failed")

// faulty is a cluster of which one call fails, the one whose turn it is.
type faulty struct {
	*cluster.Client
	mu   sync.Mutex
	left int
	hit  bool
}

func (f *faulty) turn() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.left--
	if f.left == 0 {
		f.hit = true
		return errFault
	}
	return nil
}

func (f *faulty) Revisions(ctx context.Context, namespace, name string) ([]manifest.Record, error) {
	if err := f.turn(); err != nil {
		return nil, err
	}
	return f.Client.Revisions(ctx, namespace, name)
}

func (f *faulty) Stored(ctx context.Context, namespace, name string, revision int) (manifest.Stored, error) {
	if err := f.turn(); err != nil {
		return manifest.Stored{}, err
	}
	return f.Client.Stored(ctx, namespace, name, revision)
}

// CreateRecord fails after the record was made, as when the connection breaks before the answer.
func (f *faulty) CreateRecord(ctx context.Context, s manifest.Stored) error {
	return errors.Join(f.Client.CreateRecord(ctx, s), f.turn())
}

func (f *faulty) UpdateRecord(ctx context.Context, s manifest.Stored) error {
	if err := f.turn(); err != nil {
		return err
	}
	return f.Client.UpdateRecord(ctx, s)
}

func (f *faulty) DeleteRecord(ctx context.Context, namespace, name string, revision int) error {
	if err := f.turn(); err != nil {
		return err
	}
	return f.Client.DeleteRecord(ctx, namespace, name, revision)
}

func (f *faulty) Place(ctx context.Context, namespace string, objects []manifest.Object) ([]manifest.Object, []bool, error) {
	if err := f.turn(); err != nil {
		return nil, nil, err
	}
	return f.Client.Place(ctx, namespace, objects)
}

func (f *faulty) TakeFields(ctx context.Context, o manifest.Object) (string, error) {
	if err := f.turn(); err != nil {
		return "", err
	}
	return f.Client.TakeFields(ctx, o)
}

func (f *faulty) Apply(ctx context.Context, o manifest.Object, owner manifest.Owner) (string, error) {
	if err := f.turn(); err != nil {
		return "", err
	}
	return f.Client.Apply(ctx, o, owner)
}

func (f *faulty) Create(ctx context.Context, o manifest.Object) error {
	if err := f.turn(); err != nil {
		return err
	}
	return f.Client.Create(ctx, o)
}

func (f *faulty) Delete(ctx context.Context, o manifest.Object, owner manifest.Owner) (bool, error) {
	if err := f.turn(); err != nil {
		return false, err
	}
	return f.Client.Delete(ctx, o, owner)
}

func (f *faulty) WaitReady(ctx context.Context, objects []manifest.Object, progress func(string)) error {
	if err := f.turn(); err != nil {
		return err
	}
	return f.Client.WaitReady(ctx, objects, progress)
}

func (f *faulty) WaitDone(ctx context.Context, objects []manifest.Object, progress func(string)) error {
	if err := f.turn(); err != nil {
		return err
	}
	return f.Client.WaitDone(ctx, objects, progress)
}

func (f *faulty) WaitGone(ctx context.Context, objects []manifest.Object) error {
	if err := f.turn(); err != nil {
		return err
	}
	return f.Client.WaitGone(ctx, objects)
}

// faults runs a plan with each of its calls failing once, and shows that no record is left pending and that a plain next
// run gets there.
func (w *world) faults(charts func(n int) []chart) {
	for n := 1; ; n++ {
		want := charts(n)
		f := &faulty{Client: w.client, left: n}
		_, err := apply.Run(w.ctx, w.plan(want), f, apply.Options{Run: "faulty"})
		if !f.hit {
			require.NoError(w.t, err)
			return
		}
		if err != nil { // what closes a record is tried again
			require.ErrorIs(w.t, err, errFault, "call %d", n)
		}
		records, err := w.client.Records(w.ctx)
		require.NoError(w.t, err)
		for _, r := range records {
			if r.Namespace == w.namespace {
				require.False(w.t, r.Status.Pending(), "call %d left revision %d %s", n, r.Revision, r.Status)
			}
		}
		w.apply(want)
	}
}

func TestNoFaultLeavesAPendingRecord(t *testing.T) {
	w := enter(t)
	docs := func(n int) []string {
		return []string{
			configMap("a", "k", strconv.Itoa(n)),
			hook("ConfigMap", "before", "pre-install,pre-upgrade", "0", "hook-succeeded"),
			hook("ConfigMap", "after", "post-install,post-upgrade", "0", ""),
			w.crd("Widget", "Namespaced"),
		}
	}
	w.faults(func(n int) []chart {
		list := docs(n)
		if n%2 == 0 {
			list = append(list, configMap("sometimes", "k", "1"))
		}
		return w.one(list...)
	})
}

func TestNoFaultOfAnUninstallLeavesAPendingRecord(t *testing.T) {
	w := enter(t)
	w.faults(func(n int) []chart {
		there := w.one(configMap("a", "k", "1"), hook("ConfigMap", "before", "pre-delete", "0", "hook-succeeded"))
		w.apply(there)
		there[0].gone = true
		return there
	})
}
