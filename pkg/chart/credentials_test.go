package chart

import (
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"oras.land/oras-go/v2/registry/remote/credentials"
)

func mustParse(t *testing.T, raw string) *url.URL {
	t.Helper()
	u, err := url.Parse(raw)
	require.NoError(t, err)
	return u
}

func TestLoginTriesTheCredentialsAndKeepsThem(t *testing.T) {
	t.Parallel()
	s := newOCI(t)
	archive := tgz(t, "web", "1.0.0")
	s.push(t, archive, "web", "1.0.0")
	other := tokenServer(t, true)
	for name, way := range map[string]func(http.Handler) http.Handler{
		"basic": basic("me", "right", func(*http.Request) {}), "bearer": bearer(other.URL + "/token"),
	} {
		s.put(way)
		file := filepath.Join(t.TempDir(), "sub", "config.json")
		o := LoginOptions{Host: "https://" + strings.ToUpper(s.host) + "/charts", Username: "me", Password: "wrong-one", File: file, SkipTLSVerify: true}
		err := Login(t.Context(), o)
		require.ErrorContains(t, err, "does not accept the user name and the password", name)
		require.NotContains(t, err.Error(), "wrong-one")
		require.NoFileExists(t, file)
		o.Password = "right"
		require.NoError(t, Login(t.Context(), o), name)
		info, err := os.Stat(file)
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
		store, err := credentials.NewFileStore(file)
		require.NoError(t, err)
		c, err := store.Get(t.Context(), s.host)
		require.NoError(t, err)
		require.Equal(t, "right", c.Password, "helm and docker read it too")
		_, out, diags, err := get(t, s.remote(t, func(o *RemoteOptions) { o.Credentials, o.CAFile, o.SkipTLSVerify = []string{file}, "", true }), s.ref(":1.0.0"))
		require.NoError(t, err)
		require.Empty(t, diags)
		require.Equal(t, archive, out.Archive)
		had, err := Logout(file, s.host)
		require.NoError(t, err)
		require.True(t, had)
		had, err = Logout(file, s.host)
		require.NoError(t, err)
		require.False(t, had)
	}
}

func TestLoginKeepsAllElseOfTheFile(t *testing.T) {
	t.Parallel()
	s := newOCI(t)
	s.put(basic("me", "right", func(*http.Request) {}))
	real := keysFile(t, `{"auths":{"https://`+s.host+`/":{"auth":"b2xkOm9sZA=="},"other":{"auth":"x","email":"e"}},"credHelpers":{"h":"p"},"new":{"a":1}}`)
	link := filepath.Join(t.TempDir(), "config.json")
	require.NoError(t, os.Symlink(real, link))
	require.NoError(t, Login(t.Context(), LoginOptions{Host: s.host, Username: "me", Password: "right", File: link, CAFile: s.ca}))
	info, err := os.Lstat(link)
	require.NoError(t, err)
	require.NotZero(t, info.Mode()&os.ModeSymlink)
	text, err := os.ReadFile(real)
	require.NoError(t, err)
	var got map[string]any
	require.NoError(t, json.Unmarshal(text, &got))
	require.Equal(t, map[string]any{
		"auths":       map[string]any{s.host: map[string]any{"auth": authOf("me", "right")}, "other": map[string]any{"auth": "x", "email": "e"}},
		"credHelpers": map[string]any{"h": "p"},
		"new":         map[string]any{"a": 1.0},
	}, got)
	broken := keysFile(t, "hunter2")
	err = Login(t.Context(), LoginOptions{Host: s.host, Username: "me", Password: "right", File: broken, CAFile: s.ca})
	require.ErrorContains(t, err, broken)
	require.NotContains(t, err.Error(), "hunter2")
}

func TestLoginSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		o    LoginOptions
		word string
	}{
		{LoginOptions{Host: "", Username: "a", Password: "b"}, "no host"},
		{LoginOptions{Host: "https://a:b@h", Username: "a", Password: "b"}, "no host"},
		{LoginOptions{Host: "h"}, "user name and a password"},
		{LoginOptions{Host: "h", Username: "a:b", Password: "c"}, "colon"},
		{LoginOptions{Host: "h", Username: "a", Password: "c", CAFile: "nowhere.pem"}, "certificates of the CA"},
		{LoginOptions{Host: "127.0.0.1:1", Username: "a", Password: "secret"}, "connection refused"},
	} {
		c.o.File = filepath.Join(t.TempDir(), "config.json")
		err := Login(t.Context(), c.o)
		require.ErrorContains(t, err, c.word)
		require.NotContains(t, err.Error(), "secret")
	}
}

func TestTheDockerHubHasOneKey(t *testing.T) {
	t.Parallel()
	file := keysFile(t, `{"auths":{"https://index.docker.io/v1/":{"auth":"`+authOf("me", "right")+`"}}}`)
	for _, host := range []string{"docker.io", "registry-1.docker.io", "index.docker.io"} {
		c, _, err := readCredential(file, host)
		require.NoError(t, err)
		require.Equal(t, "right", c.Password, host)
	}
	c, _, err := readCredential(file, "ghcr.example.com")
	require.NoError(t, err)
	require.Empty(t, c)
}
