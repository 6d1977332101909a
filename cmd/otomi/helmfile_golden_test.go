package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/redkubes/otomi/pkg/yaml"
)

// TestHelmfileGoldens runs the verbs over the platform of testdata/helmfile as its record.sh runs helmfile, and compares what
// they print with what helmfile 1.7.2 printed: the JSON of list as parsed data, the manifests as parsed documents in their
// order.
func TestHelmfileGoldens(t *testing.T) {
	t.Parallel()
	cases := map[string][]string{
		"list-default.json":     {"-e", "default", "list"},
		"list-staging.json":     {"-e", "staging", "list"},
		"list-prod.json":        {"-e", "prod", "list"},
		"list-selected.json":    {"-e", "staging", "-l", "team=core", "-l", "tier!=job,team=sre", "list"},
		"template-default.yaml": {"-e", "default", "template"},
		"template-staging.yaml": {"-e", "staging", "template"},
		"template-prod.yaml":    {"-e", "prod", "template"},
		"template-selected.yaml": {
			"-e", "staging", "-l", "team=core", "-l", "tier!=job,team=sre", "template",
		},
		"template-set.yaml": {
			"-e", "prod", "--state-values-set", "monitoring.enabled=false,replicas.web=7", "template", "--set", "extra.a=cli",
		},
		"template-needs.yaml": {"-e", "staging", "-l", "name=access-alpha", "template", "--include-needs"},
	}
	goldens, err := os.ReadDir(filepath.Join("..", "..", "testdata", "helmfile", "golden"))
	require.NoError(t, err)
	for _, golden := range goldens {
		require.Contains(t, cases, golden.Name(), "a golden that is recorded is compared")
	}
	for name, args := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, err := filepath.Abs(filepath.Join("..", "..", "testdata", "helmfile"))
			require.NoError(t, err)
			golden, err := os.ReadFile(filepath.Join(dir, "golden", name))
			require.NoError(t, err)
			args := append([]string{"-f", "platform/helmfile.d", "--allow", "env=OTOMI_TEST_CHANNEL"}, args...)
			if slices.Contains(args, "list") {
				args = append(args, "--output", "json")
			} else {
				args = append(args, "--sequential-helmfiles")
			}
			var stdout, stderr bytes.Buffer
			code := run(world{args: args, env: func(string) string { return "" }, dir: dir, stdout: &stdout, stderr: &stderr})
			require.Zero(t, code, stderr.String())
			if strings.HasSuffix(name, ".json") {
				require.Equal(t, listed(t, golden), listed(t, stdout.Bytes()))
				return
			}
			want, got := manifests(t, golden), manifests(t, stdout.Bytes())
			for i := range min(len(want), len(got)) {
				require.Equal(t, want[i], got[i], "document %d", i)
			}
			require.Len(t, got, len(want))
		})
	}
}

func listed(t *testing.T, text []byte) []any {
	t.Helper()
	var out []any
	require.NoError(t, json.Unmarshal(text, &out), string(text))
	return out
}

// manifests are the documents of a text, without those that hold comments alone.
func manifests(t *testing.T, text []byte) []any {
	t.Helper()
	var out []any
	for part := range strings.SplitSeq("\n"+string(text), "\n---\n") {
		v, err := yaml.Decode([]byte(part))
		require.NoError(t, err, part)
		if v != nil {
			out = append(out, v)
		}
	}
	return out
}
