package kubernetes_test

import (
	"io/fs"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/redkubes/otomi/kubernetes"
	"github.com/redkubes/otomi/pkg/render"
)

func TestTheNewestSchemasAreThoseOfTheVersionThatChartsSee(t *testing.T) {
	t.Parallel()
	files, err := fs.Glob(kubernetes.FS, "*.json.gz")
	require.NoError(t, err)
	require.Len(t, files, 5)
	newest := strings.TrimSuffix(files[4], ".json.gz")
	require.True(t, strings.HasPrefix(render.Newest(), newest+"."),
		"the newest schemas are %s and charts see %s: go run ./kubernetes/testdata/record", newest, render.Newest())
}
