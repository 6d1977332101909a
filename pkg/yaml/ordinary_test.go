package yaml_test

import (
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/redkubes/otomi/pkg/yaml"
)

// TestTheValuesOfOrdinaryChartsAreRead keeps the differential fuzz test honest, which could pass by refusing: the values
// of our charts, and of the charts that Helm tests itself with, are accepted and read as Helm reads them.
func TestTheValuesOfOrdinaryChartsAreRead(t *testing.T) {
	t.Parallel()
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "helm.sh/helm/v3").Output()
	require.NoError(t, err)
	files := 0
	for _, root := range []string{filepath.Join("..", "..", "charts"), filepath.Join(strings.TrimSpace(string(dir)), "cmd"), filepath.Join(strings.TrimSpace(string(dir)), "pkg")} {
		require.NoError(t, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || d.Name() != "values.yaml" || strings.Contains(path, "_with_bom") {
				return err // a byte order mark is refused, with a diagnostic of its own
			}
			text, err := os.ReadFile(path)
			require.NoError(t, err)
			want, err := yaml.Decode(text)
			if err != nil {
				return nil // made to be broken
			}
			if _, isMap := want.(map[string]any); !isMap && want != nil {
				return nil
			}
			files++
			node, diags := yaml.Read(text, yaml.ReadOptions{File: "values.yaml", Map: true})
			require.False(t, diags.HasErrors(), "%s: %v", path, diags)
			if want == nil {
				want = map[string]any{}
			}
			wantJSON, err := json.Marshal(want)
			require.NoError(t, err)
			gotJSON, err := json.Marshal(yaml.ToChart(node.Plain()))
			require.NoError(t, err)
			require.JSONEq(t, string(wantJSON), string(gotJSON), path)
			return nil
		}))
	}
	require.Greater(t, files, 30)
}
