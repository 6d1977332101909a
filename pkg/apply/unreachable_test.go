package apply

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redkubes/otomi/pkg/manifest"
)

// unreachable is a cluster that never answers.
type unreachable struct{ Cluster }

func (unreachable) Revisions(context.Context, string, string) ([]manifest.Record, error) {
	return nil, errors.New("connection refused")
}

func TestClosingARecordIsNotGivenUpEarly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := &run{cluster: unreachable{}, o: Options{Run: "r", Now: time.Now}}
		began := time.Now()
		err := r.fail(t.Context(), manifest.Stored{Status: manifest.PendingUpgrade}, errors.New("interrupted"))
		require.EqualError(t, err,
			"interrupted; its record can't be closed now and stays open until the next apply, which closes it: connection refused")
		require.Equal(t, goodbye, time.Since(began))
	})
}
