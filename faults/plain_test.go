package faults_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/redkubes/otomi/faults/fakeapi"
)

// Without faults: version 1, nothing, version 2, nothing, version 1 again.
func TestWithoutFaults(t *testing.T) {
	needsOtomi(t)
	ctx := background(t)
	p := newPlatform(t, 25, nil)
	s, err := fakeSite(fakeapi.New())
	require.NoError(t, err)
	defer s.close()
	for _, version := range []int{1, 1, 2, 2, 1} {
		r, requests, _, err := s.apply(p, version, nil)
		require.NoError(t, err)
		v, err := s.judge(ctx, p, version, r, nil)
		require.NoError(t, err)
		require.NoError(t, v.broken())
		require.Zero(t, r.code, "%s", r)
		held, err := s.oracle.Held(ctx)
		require.NoError(t, err)
		require.Empty(t, held)
		t.Logf("version %d: %d requests", version, len(requests))
	}
}
