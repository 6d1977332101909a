package render

import (
	"testing"

	"github.com/stretchr/testify/require"
	"helm.sh/helm/v3/pkg/releaseutil"
)

// FuzzSplit compares our splitting with Helm's.
func FuzzSplit(f *testing.F) {
	for _, text := range []string{
		"", "---", "a: 1", "---\na: 1\n---\nb: 1\n", "a\n\n---\n\n---\nb", "----\na", "a ---\nb", "a\n --- \nb", "--- # c\na\n---b\n", "a\r\n---\r\nb", "\u00a0\n---\n\u0085\n---\nx", "---\n---", "a\n---\n---", "---a\n\n  \n---",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		documents := releaseutil.SplitManifests(text)
		got := split(text)
		require.Len(t, got, len(documents), "%q: %q", text, documents)
		for i, d := range got {
			require.Equal(t, documents[manifestKey(i)], d, "%q", text)
		}
	})
}

func manifestKey(i int) string {
	const digits = "0123456789"
	if i < 10 {
		return "manifest-" + digits[i:i+1]
	}
	return manifestKey(i/10) + digits[i%10:i%10+1]
}
