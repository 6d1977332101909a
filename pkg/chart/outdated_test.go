package chart_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/redkubes/otomi/pkg/chart"
)

func TestNewest(t *testing.T) {
	t.Parallel()
	versions := []string{"1.2.0", "v1.10.0", "2.0.0", "latest", "2.1.0-rc.1", "1.9.3"}
	for _, tt := range []struct{ constraint, current, within, newest string }{
		{"^1.2", "1.2.0", "v1.10.0", "2.0.0"},
		{"", "1.2.0", "2.0.0", "2.0.0"},
		{"1.9.3", "1.9.3", "1.9.3", "2.0.0"},
		{">0.0.0-0", "2.0.0-beta.1", "2.1.0-rc.1", "2.1.0-rc.1"},
		{"~3", "", "", "2.0.0"},
		{"no constraint", "1.2.0", "", "2.0.0"},
	} {
		within, newest := chart.Newest(versions, tt.constraint, tt.current)
		require.Equal(t, tt.within, within, tt.constraint)
		require.Equal(t, tt.newest, newest, tt.constraint)
	}
	require.True(t, chart.Newer("v1.10.0", "1.9.0"))
	require.True(t, chart.Newer("1.0.0", ""))
	require.False(t, chart.Newer("1.0.0", "v1.0.0"))
	require.False(t, chart.Newer("latest", "1.0.0"))
}
