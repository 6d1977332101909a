package diag_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/redkubes/otomi/pkg/diag"
)

func TestACollectionNamesTheClustersOfEachProblemOnce(t *testing.T) {
	t.Parallel()
	at := func(line int) diag.Range {
		return diag.Range{File: "a.yaml", Start: diag.Pos{Line: line, Column: 1}}
	}
	shared := diag.Diagnostic{Severity: diag.Error, Code: diag.ValuesUnknownKey, Range: at(9), Detail: "x"}
	own := diag.Diagnostic{Severity: diag.Error, Code: diag.ValuesWrongType, Range: at(2), Detail: "y"}
	other := own
	other.Notes = []diag.Note{{Message: "overrides this", Range: at(1)}}
	var c diag.Collection
	require.Empty(t, c.Diagnostics())
	c.Add("", diag.Diagnostics{{Severity: diag.Warning, Code: diag.RepoVersion, Detail: "z"}})
	c.Add("aws/a", diag.Diagnostics{shared, own, shared})
	c.Add("aws/b", diag.Diagnostics{shared})
	c.Add("aws/c", diag.Diagnostics{other, shared})
	ds := c.Diagnostics()
	require.Len(t, ds, 3)
	require.Empty(t, ds[0].Clusters)
	require.Equal(t, []string{"aws/a", "aws/c"}, ds[1].Clusters)
	require.Equal(t, []string{"aws/a", "aws/b", "aws/c"}, ds[2].Clusters)
	require.Empty(t, shared.Clusters)
}
