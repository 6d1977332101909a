package hcl

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"github.com/stretchr/testify/require"

	"github.com/redkubes/otomi/pkg/diag"
)

// What helmfile makes of each file was recorded by testdata/record.py. What it refuses is refused here too, with a place; what it
// says is in the file for comparison, what we say in the part diagnostics.
func TestAsHelmfile(t *testing.T) {
	t.Parallel()
	names, err := filepath.Glob("testdata/values/*.txtar")
	require.NoError(t, err)
	require.Greater(t, len(names), 15)
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			t.Parallel()
			a, err := txtar.ParseFile(name)
			require.NoError(t, err)
			var files []File
			parts := map[string]string{}
			for _, f := range a.Files {
				if strings.HasSuffix(f.Name, ".hcl") {
					files = append(files, File{Name: f.Name, Text: f.Data})
				} else {
					parts[f.Name] = string(f.Data)
				}
			}
			got, ds := Values(files)
			if want, ok := parts["want.json"]; ok {
				require.Empty(t, ds)
				text, err := json.Marshal(got)
				require.NoError(t, err)
				require.JSONEq(t, want, string(text))
				return
			}
			if said := parts["refused"]; strings.HasPrefix(said, "panic") {
				require.Empty(t, ds, "a file without values, by which helmfile panics")
				require.Empty(t, got)
				return
			}
			require.True(t, ds.HasErrors())
			shown := show(ds)
			if os.Getenv("OTOMI_UPDATE") != "" {
				a.Files = append(a.Files[:len(files)+1], txtar.File{Name: "diagnostics", Data: []byte(shown)})
				require.NoError(t, os.WriteFile(name, txtar.Format(a), 0o644))
			}
			require.Equal(t, parts["diagnostics"], shown)
		})
	}
}

func show(ds diag.Diagnostics) string {
	var b strings.Builder
	for _, d := range ds {
		fmt.Fprintf(&b, "%s %s:%d:%d-%d %s\n", d.Code, d.Range.File, d.Range.Start.Line, d.Range.Start.Column, d.Range.End.Column, d.Detail)
	}
	return b.String()
}
