package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAllow(t *testing.T) {
	t.Parallel()
	w := world{
		env:     func(name string) string { return map[string]string{"A": "1", "B": "2"}[name] },
		environ: func() []string { return []string{"A=1", "B=2", "C=x=y"} },
	}
	var f allowFlag
	require.NoError(t, f.Set("env=A+X,net=example.com+*.corp:443"))
	require.NoError(t, f.Set("decrypt"))
	p := f.permissions(w)
	require.Equal(t, map[string]string{"A": "1", "X": ""}, p.Env)
	require.Equal(t, []string{"example.com", "*.corp:443"}, p.Net)
	require.True(t, p.Decrypt)
	require.False(t, p.AnyEnv || p.AnyHost || p.Exec || p.Hooks || p.Files)

	var all allowFlag
	require.NoError(t, all.Set("all"))
	p = all.permissions(w)
	require.Equal(t, map[string]string{"A": "1", "B": "2", "C": "x=y"}, p.Env)
	require.True(t, p.AnyEnv && p.AnyHost && p.Exec && p.Hooks && p.Files && p.Decrypt)

	var empty allowFlag
	require.Zero(t, empty.permissions(w))
	for text, want := range map[string]string{
		"nett":                `did you mean "net"?`,
		"env=A,B":             `"B" is nothing that can be allowed`,
		"":                    "nothing that can be allowed",
		"exec=ls":             "exec takes no names",
		"net=":                "empty name",
		"env=A+":              "empty name",
		"net=https://x.com/y": "is no host",
	} {
		require.ErrorContains(t, new(allowFlag).Set(text), want, text)
	}
}

func TestTheEnvironmentReplacesWhatTheSettingsFileAllows(t *testing.T) {
	t.Parallel()
	var f allowFlag
	require.NoError(t, f.Replace([]string{"net=a", "exec"}))
	require.Equal(t, []string{"net=a", "exec"}, f.GetSlice())
	require.NoError(t, f.Set("env=B"))
	require.Equal(t, "env=B", f.String())
	require.NoError(t, f.Append("hooks"))
	require.Equal(t, "env=B,hooks", f.String())
}

func TestCredentialFilesAreThoseOfOtherPrograms(t *testing.T) {
	t.Parallel()
	files := func(env map[string]string) []string {
		return world{env: func(name string) string { return env[name] }}.registryFiles()
	}
	require.Equal(t, []string{
		"/h/.config/otomi/registry.json", "/h/.config/helm/registry/config.json", "/h/Library/Preferences/helm/registry/config.json",
		"/h/.docker/config.json",
	}, files(map[string]string{"HOME": "/h"}))
	require.Equal(t, []string{"/x/otomi/registry.json", "/helm.json", "/d/config.json"},
		files(map[string]string{"HOME": "/h", "XDG_CONFIG_HOME": "/x", "HELM_REGISTRY_CONFIG": "/helm.json", "DOCKER_CONFIG": "/d"}))
	require.Empty(t, files(nil))
}
