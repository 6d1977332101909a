package diag_test

import (
	"testing"

	"github.com/redkubes/otomi/pkg/diag"
	"github.com/stretchr/testify/require"
)

func TestNearest(t *testing.T) {
	t.Parallel()
	tests := []struct {
		word       string
		candidates []string
		want       string
	}{
		{"bogus", []string{"bonus", "replicas"}, "bonus"},
		{"namesapce", []string{"name", "namespace"}, "namespace"},
		{"Replicas", []string{"replicas"}, "replicas"},
		{"valuse", []string{"value", "values"}, "values"},
		{"x", []string{"y"}, ""},
		{"ab", []string{"cd"}, ""},
		{"chart", []string{"labels", "needs"}, ""},
		{"teams", nil, ""},
		{"cat", []string{"cut", "car"}, "car"},
	}
	for _, tt := range tests {
		t.Run(tt.word, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tt.want, diag.Nearest(tt.word, tt.candidates))
		})
	}
}
