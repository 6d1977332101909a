package source

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/go-git/go-git/v5/config"
	"github.com/stretchr/testify/require"
)

func TestOriginOf(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"https://git.example.com/Org/Values.git":           "git.example.com/org/values",
		"https://ci:token@git.example.com:443/org/values/": "git.example.com/org/values",
		"git@git.example.com:org/values.git":               "git.example.com/org/values",
		"ssh://git@git.example.com:22/org/values.git":      "git.example.com/org/values",
		"ssh://git@git.example.com:7999/org/values.git":    "git.example.com:7999/org/values",
		"file:///srv/values.git":                           "",
		"/srv/values.git":                                  "",
		"../values":                                        "",
		`C:\values`:                                        "",
		"":                                                 "",
	} {
		require.Equal(t, want, OriginOf(address), address)
	}
}

func TestReadHead(t *testing.T) {
	t.Parallel()
	head, err := ReadHead(t.TempDir())
	require.NoError(t, err)
	require.Zero(t, head)

	dir, repo := repository(t)
	head, err = ReadHead(dir)
	require.NoError(t, err)
	require.Zero(t, head, "nothing is committed and there is no origin")

	hash := commit(t, repo, "env/settings.yaml", "a: 1\n", "ann", 1)
	_, err = repo.CreateRemote(&config.RemoteConfig{Name: "origin", URLs: []string{"git@git.example.com:org/values.git"}})
	require.NoError(t, err)
	head, err = ReadHead(dir)
	require.NoError(t, err)
	require.Equal(t, Head{Commit: hash.String(), Origin: "git.example.com/org/values"}, head)

	inside := filepath.Join(dir, "Team")
	require.NoError(t, os.MkdirAll(inside, 0o755))
	head, err = ReadHead(inside)
	require.NoError(t, err)
	require.Equal(t, "git.example.com/org/values//team", head.Origin, "two values repositories in one git repository are two")
}
