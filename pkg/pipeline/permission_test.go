package pipeline_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/redkubes/otomi/pkg/pipeline"
)

func TestHostsAreAllowedByName(t *testing.T) {
	t.Parallel()
	p := pipeline.Permissions{Net: []string{"charts.example.com", "registry.example.com:443", "*.corp.example", "[::1]:5000", "fd00::1", "127.0.0.1"}}
	for host, want := range map[string]bool{
		"charts.example.com":        true,
		"CHARTS.example.com:8443":   true,
		"x.charts.example.com":      false,
		"charts.example.com.evil":   false,
		"registry.example.com":      true,
		"registry.example.com:5000": false,
		"registry.example.com:443":  true,
		"a.corp.example":            true,
		"a.b.corp.example:80":       true,
		"corp.example":              false,
		"evilcorp.example":          false,
		"[::1]:5000":                true,
		"[::1]:5001":                false,
		"[fd00::1]:443":             true,
		"127.0.0.1:34567":           true,
		"":                          false,
	} {
		require.Equal(t, want, p.Host(host), host)
	}
	require.True(t, pipeline.Permissions{AnyHost: true}.Host("example.com"))
	require.False(t, pipeline.Permissions{}.Host("example.com"))
}
