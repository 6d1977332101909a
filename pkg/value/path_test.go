package value_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/redkubes/otomi/pkg/value"
)

func TestParsePath(t *testing.T) {
	t.Parallel()
	root := value.Path{}
	for text, want := range map[string]value.Path{
		"":                    nil,
		"a":                   root.Key("a"),
		"a.b":                 root.Key("a").Key("b"),
		"a[0]":                root.Key("a").Index(0),
		"a[0][12].b":          root.Key("a").Index(0).Index(12).Key("b"),
		"[3].a":               root.Index(3).Key("a"),
		`a\.b.c`:              root.Key("a.b").Key("c"),
		`a\[0\]`:              root.Key("a[0]"),
		`a\\b`:                root.Key(`a\b`),
		"a]b":                 root.Key("a]b"),
		"ünï.ç":               root.Key("ünï").Key("ç"),
		"a=b,c":               root.Key("a=b,c"),
		`annotations.x\.io/y`: root.Key("annotations").Key("x.io/y"),
	} {
		got, err := value.ParsePath(text)
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
	}
}

func TestParsePathSaysWhatToWrite(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"a.":       "after a dot comes a key",
		".a":       "a key is empty",
		"a..b":     "a key is empty",
		"a.[0]":    "after a dot comes a key",
		"a[0":      "not closed",
		"a[]":      "is no index",
		"a[x]":     "is no index",
		"a[-1]":    "is no index",
		"a[99999]": "is no index",
		"a[0]b":    "after [0] comes a dot",
		`a\`:       "ends in a backslash",
		"a[1 ]":    "is no index",
		"a[+1]":    "is no index",
		"a[0].":    "after a dot comes a key",
	} {
		_, err := value.ParsePath(text)
		require.ErrorContains(t, err, want, text)
	}
}

func FuzzPathRoundTrip(f *testing.F) {
	for _, seed := range []string{"a.b[0]", `a\.b`, "[0][1]", `\\\[`, "a=b,c]", "a[65536].ü"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		path, err := value.ParsePath(text)
		if err == nil {
			again, err := value.ParsePath(path.String())
			require.NoError(t, err, "%q became %q", text, path.String())
			require.Equal(t, path, again)
		}
		// The text taken apart some other way is a path too, with any bytes in its keys.
		var made value.Path
		for i, key := range strings.SplitAfter(text, "a") {
			if key == "" {
				continue
			}
			if made = made.Key(key); len(key)%3 == 0 {
				made = made.Index(i)
			}
		}
		again, err := value.ParsePath(made.String())
		require.NoError(t, err, made.String())
		require.Equal(t, made, again)
	})
}
