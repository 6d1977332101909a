package cluster

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/redkubes/otomi/pkg/manifest"
)

// TestCredentialsThatEndInTheMiddleOfARunAreRenewed has a plugin whose tokens are good for two requests each.
func TestCredentialsThatEndInTheMiddleOfARunAreRenewed(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	used := map[string]int{}
	created := 0
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		token := r.Header.Get("Authorization")
		used[token]++
		w.Header().Set("Content-Type", "application/json")
		if token == "" || used[token] > 2 {
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = w.Write([]byte(`{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Unauthorized","code":401}`))
			return
		}
		switch {
		case r.URL.Path == "/version":
			_, _ = w.Write([]byte(`{"gitVersion":"v1.34.2"}`))
		case r.Method == http.MethodPost:
			body, err := io.ReadAll(r.Body)
			if err != nil || len(body) == 0 {
				w.WriteHeader(http.StatusBadRequest)
				return
			}
			created++
			w.Header().Set("Content-Type", r.Header.Get("Content-Type"))
			w.WriteHeader(http.StatusCreated)
			_, _ = w.Write(body)
		case strings.HasSuffix(r.URL.Path, "/secrets"):
			_, _ = w.Write([]byte(`{"kind":"PartialObjectMetadataList","apiVersion":"meta.k8s.io/v1","items":[]}`))
		default:
			w.WriteHeader(http.StatusNotFound)
			_, _ = w.Write([]byte(`{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"NotFound","code":404}`))
		}
	}))
	defer server.Close()
	dir := t.TempDir()
	plugin := filepath.Join(dir, "plugin")
	require.NoError(t, os.WriteFile(plugin, []byte("#!/bin/sh\necho x >> "+filepath.Join(dir, "n")+"\n"+
		`echo "{\"apiVersion\":\"client.authentication.k8s.io/v1\",\"kind\":\"ExecCredential\",\"status\":{\"token\":\"t$(wc -l < `+filepath.Join(dir, "n")+` | tr -d ' ')\"}}"`+"\n"), 0o700))
	config := filepath.Join(dir, "config")
	require.NoError(t, os.WriteFile(config, fmt.Appendf(nil, `{apiVersion: v1, kind: Config, current-context: a,
clusters: [{name: c, cluster: {server: %q, insecure-skip-tls-verify: true}}],
users: [{name: u, user: {exec: {apiVersion: client.authentication.k8s.io/v1, command: %q, interactiveMode: Never}}}],
contexts: [{name: a, context: {cluster: c, user: u}}]}`, server.URL, plugin), 0o600))
	c, err := Connect(t.Context(), Options{Kubeconfig: []string{config}})
	require.NoError(t, err)
	for range 7 {
		_, err := c.Records(t.Context())
		require.NoError(t, err)
	}
	for n := range 4 {
		err := c.CreateRecord(t.Context(), manifest.Stored{Release: manifest.Release{Name: "a", Namespace: "n", Revision: n + 1}})
		require.NoError(t, err)
	}
	require.Equal(t, 4, created)
	require.Greater(t, len(used), 4)
}

// TestWhoMayNotListAllSecretsIsAskedForTheNamespacesOfTheRun has a user who may list Secrets in two namespaces.
func TestWhoMayNotListAllSecretsIsAskedForTheNamespacesOfTheRun(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		namespace, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/api/v1/namespaces/"), "/")
		switch {
		case r.URL.Path == "/version":
			_, _ = w.Write([]byte(`{"gitVersion":"v1.34.2"}`))
		case namespace == "one" || namespace == "two":
			_, _ = fmt.Fprintf(w, `{"kind":"PartialObjectMetadataList","apiVersion":"meta.k8s.io/v1","items":[{"metadata":
				{"name":"sh.helm.release.v1.r.v1","namespace":%q,"labels":{"owner":"helm","name":"r","version":"1","status":"deployed"}}}]}`, namespace)
		default:
			w.WriteHeader(http.StatusForbidden)
			_, _ = w.Write([]byte(`{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Forbidden","code":403,"message":"no"}`))
		}
	}))
	defer server.Close()
	c, err := Connect(t.Context(), Options{Kubeconfig: []string{kubeconfig(t, server.URL, "a")}})
	require.NoError(t, err)
	_, err = c.Records(t.Context())
	require.ErrorContains(t, err, "listing the release records of all namespaces")
	require.ErrorContains(t, err, "let a role of the user allow the verb list")

	c.Within([]string{"two", "one", "two"})
	records, err := c.Records(t.Context())
	require.NoError(t, err)
	require.Len(t, records, 2)
	require.Equal(t, "one", records[0].Namespace)
	require.Equal(t, "two", records[1].Namespace)
	require.Len(t, c.Warnings(), 1)
	require.Contains(t, c.Warnings()[0], "looked for in one, two alone")

	c.Within([]string{"three"})
	_, err = c.Records(t.Context())
	require.ErrorContains(t, err, "listing the release records of namespace three")
}

// TestBrokenGroupLeavesOtherKindsAlone has an aggregated API whose server is down, as the control plane tells it: stale.
func TestBrokenGroupLeavesOtherKindsAlone(t *testing.T) {
	t.Parallel()
	const aggregated = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
	var mu sync.Mutex
	asked := map[string]int{}
	list := func(groups string) string {
		return `{"kind":"APIGroupDiscoveryList","apiVersion":"apidiscovery.k8s.io/v2","metadata":{},"items":[` + groups + `]}`
	}
	resources := func(plural, kind string) string {
		return fmt.Sprintf(`[{"resource":%q,"responseKind":{"group":"","version":"","kind":%q},"scope":"Namespaced","singularResource":"x","verbs":["get","list"]}]`, plural, kind)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		asked[r.URL.Path]++
		mu.Unlock()
		switch r.URL.Path {
		case "/version":
			_, _ = w.Write([]byte(`{"gitVersion":"v1.34.2"}`))
		case "/api":
			w.Header().Set("Content-Type", aggregated)
			_, _ = w.Write([]byte(list(`{"metadata":{},"versions":[{"version":"v1","freshness":"Current","resources":` + resources("configmaps", "ConfigMap") + `}]}`)))
		case "/apis":
			w.Header().Set("Content-Type", aggregated)
			_, _ = w.Write([]byte(list(`{"metadata":{"name":"apps"},"versions":[{"version":"v1","freshness":"Current","resources":` + resources("deployments", "Deployment") + `}]},
				{"metadata":{"name":"metrics.example.com"},"versions":[{"version":"v1","freshness":"Stale","resources":[]}]}`)))
		default:
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	defer server.Close()
	c, err := Connect(t.Context(), Options{Kubeconfig: []string{kubeconfig(t, server.URL, "a")}})
	require.NoError(t, err)
	objects := []manifest.Object{
		{ID: manifest.ID{Kind: "ConfigMap", Name: "a"}, Version: "v1"},
		{ID: manifest.ID{Group: "apps", Kind: "Deployment", Name: "a"}, Version: "v1"},
	}
	placed, known, err := c.Place(t.Context(), "n", objects)
	require.NoError(t, err)
	require.Equal(t, []bool{true, true}, known)
	require.Equal(t, "n", placed[1].Namespace)
	versions, err := c.APIVersions(t.Context())
	require.NoError(t, err)
	require.Contains(t, versions, "apps/v1/Deployment")
	require.Equal(t, 1, asked["/apis"], "a run asks once")

	_, known, err = c.Place(t.Context(), "n", []manifest.Object{{ID: manifest.ID{Group: "metrics.example.com", Kind: "Meter", Name: "a"}, Version: "v1"}})
	require.NoError(t, err)
	require.Equal(t, []bool{false}, known)
	_, known, err = c.Place(t.Context(), "n", objects)
	require.NoError(t, err)
	require.Equal(t, []bool{true, true}, known)
}

func TestCredentialsOfAKubeconfig(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	token := filepath.Join(dir, "token")
	require.NoError(t, os.WriteFile(token, []byte("from-a-file\n"), 0o600))
	config := filepath.Join(dir, "config")
	require.NoError(t, os.WriteFile(config, fmt.Appendf(nil, `{apiVersion: v1, kind: Config, clusters: [{name: c, cluster: {proxy-url: "http://u:pass-of-proxy@p"}}],
users: [{name: a, user: {token: the-token}}, {name: b, user: {username: u, password: the-password, client-key-data: dGhlLWtleQ==}},
{name: c, user: {tokenFile: %q}}, {name: d, user: {exec: {command: x, apiVersion: v1, env: [{name: AWS_REGION, value: eu-west-1}, {name: API_TOKEN, value: of-plugin}]}}}]}`, token), 0o600))
	require.ElementsMatch(t, []string{"the-token", "the-password", "the-key", "from-a-file", "of-plugin", "pass-of-proxy"}, Credentials([]string{config}))
	require.Empty(t, Credentials([]string{filepath.Join(dir, "none")}))
}
