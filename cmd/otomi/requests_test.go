package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/redkubes/otomi/faults/fakeapi"
	"github.com/redkubes/otomi/faults/proxy"
	"github.com/redkubes/otomi/faults/stack"
)

// TestUnchangedClusterCostsOneListAKind counts the requests of a comparison and of an apply that have nothing to do: they do not
// grow with the releases.
func TestUnchangedClusterCostsOneListAKind(t *testing.T) {
	c := &cage{dir: t.TempDir(), api: fakeapi.New()}
	p := proxy.New(c.api)
	t.Cleanup(p.Close)
	kubeconfig, err := p.Kubeconfig("cage", nil)
	require.NoError(t, err)
	c.kubeconfig = filepath.Join(t.TempDir(), "kubeconfig")
	require.NoError(t, os.WriteFile(c.kubeconfig, kubeconfig, 0o600))
	require.NoError(t, stack.Stack{Releases: 25, Version: 1, Prefix: "fleet", Canary: "canary"}.Write(c.dir))
	code, text := c.call(t, "apply", "--yes")
	require.Zero(t, code, text)
	for _, args := range [][]string{{"diff"}, {"apply", "--yes"}} {
		t.Run(args[0], func(t *testing.T) {
			p.Begin(nil, nil)
			code, text := c.call(t, args...)
			all, _ := p.End()
			require.Zero(t, code, text)
			require.Contains(t, text, "no changes")
			seen, lines := map[string]int{}, ""
			for _, r := range all {
				line := r.Method + " " + r.Path
				seen[line]++
				lines += line + "\n"
				require.Equal(t, http.MethodGet, r.Method, "an unchanged release costs no write:\n%s", lines)
			}
			for line, n := range seen {
				if line == "GET /api/v1/secrets" {
					n-- // once for the records, once for the Secrets of releases
				}
				require.Equal(t, 1, n, "%s is asked more than once:\n%s", line, lines)
			}
			// The version, discovery (2), the identity, the records, and a list for each kind that the stack has.
			require.LessOrEqual(t, len(all), 5+kindsOfStack, "requests:\n%s", lines)
			t.Log(fmt.Sprint(len(all), " requests\n", lines))
		})
	}
}

// kindsOfStack is how many kinds of objects the stack of the fault suite has.
const kindsOfStack = 8
