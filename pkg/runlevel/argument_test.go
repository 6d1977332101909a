package runlevel

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestArgumentsAreCollectedAsHelmfileDoes(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]Argument{
		"--wait --timeout 60s": {{Name: "--wait"}, {Name: "--timeout", Value: "60s"}},
		"--set a=b,c=d":        {{Name: "--set", Value: "a=b,c=d"}},
		"--set=a=b":            {{Name: "--set", Value: "a=b"}},
		`--set "a=b"`:          {{Name: "--set", Value: "a=b"}},
		"-f v.yaml":            {{Name: "-f", Value: "v.yaml"}},
		"stray":                {{Name: "stray"}},
		"":                     nil,
	} {
		require.Equal(t, want, ParseArguments(text), text)
	}
}

func TestPasswordOfAnArgumentWasShown(t *testing.T) {
	t.Parallel()
	require.Equal(t, "--password", shownArgument(ParseArguments("--password=s3cret")[0]))
	require.Equal(t, "--kube-token", shownArgument(ParseArguments("--kube-token s3cret")[0]))
	require.Equal(t, "--kube-context=a", shownArgument(ParseArguments("--kube-context=a")[0]))
}
