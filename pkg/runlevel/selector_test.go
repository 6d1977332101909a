package runlevel_test

import (
	"testing"

	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/runlevel"
	"github.com/stretchr/testify/require"
)

func TestSelector(t *testing.T) {
	t.Parallel()
	labels := map[string]string{"name": "web", "tier": "front", "namespace": "team-alpha"}
	tests := []struct {
		name  string
		texts []string
		want  bool
	}{
		{"none", nil, true},
		{"equal", []string{"tier=front"}, true},
		{"not equal", []string{"tier=back"}, false},
		{"absent", []string{"zone=eu"}, false},
		{"differs", []string{"tier!=back"}, true},
		{"does not differ", []string{"tier!=front"}, false},
		{"an absent label differs", []string{"zone!=eu"}, true},
		{"and", []string{"tier=front,name=web"}, true},
		{"and, one fails", []string{"tier=front,name!=web"}, false},
		{"or", []string{"name=api", "tier=front"}, true},
		{"or, all fail", []string{"name=api", "tier=back"}, false},
		{"all characters", []string{"a_./+-Z9=a_./+-Z9", "name=web"}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, ds := runlevel.ParseSelectors(tt.texts)
			require.Empty(t, ds)
			require.Equal(t, len(tt.texts) == 0, s.IsZero())
			require.Equal(t, tt.want, s.Matches(labels))
		})
	}
}

func TestMalformedSelector(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "web", "name=", "=web", "name==web", "name=a b", "a=b,", "a=é", "a=b c=d", "!a"} {
		_, ds := runlevel.ParseSelectors([]string{text})
		require.NotEmpty(t, ds, text)
		require.Equal(t, diag.SelectorMalformed, ds[0].Code)
	}
}

func TestSelectKeepsLevels(t *testing.T) {
	t.Parallel()
	release := func(name string) runlevel.Release {
		return runlevel.Release{Name: name, Labels: map[string]string{"name": name}}
	}
	levels := []runlevel.Level{
		{Name: "10", Releases: []runlevel.Release{release("a"), release("b")}},
		{Name: "20", Releases: []runlevel.Release{release("c")}, Disabled: []runlevel.Release{release("b")}},
	}
	s, _ := runlevel.ParseSelectors([]string{"name=b"})
	got := runlevel.Select(levels, s)
	require.Len(t, got, 2)
	require.Equal(t, []runlevel.Release{release("b")}, got[0].Releases)
	require.Empty(t, got[1].Releases)
	require.Len(t, got[1].Disabled, 1)
	require.Len(t, levels[0].Releases, 2)
}

func FuzzParseSelectors(f *testing.F) {
	f.Add("a=b,c!=d")
	f.Fuzz(func(t *testing.T, text string) {
		s, ds := runlevel.ParseSelectors([]string{text})
		if !ds.HasErrors() {
			s.Matches(map[string]string{text: text})
		}
	})
}
