package pipeline

import (
	"testing"

	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/manifest"
	"github.com/stretchr/testify/require"
)

// The column was another one each time, since it was that of any of the calls, or within a longer word.
func TestTheColumnOfAnImpureCallChanged(t *testing.T) {
	t.Parallel()
	i := impurity{
		text:  []byte("a: {{ .Values.now }}{{ knows $now }}{{ uuidv4 }}{{ now }}{{ tpl . }}\n"),
		calls: map[manifest.ImpureCall]bool{{Function: "now", Line: 1}: true, {Function: "uuidv4", Line: 1}: true, {Function: "randAlpha", Line: 1}: true},
	}
	for range 20 {
		r := i.call(templateLine{file: "x", line: 1})
		require.Equal(t, diag.Range{File: "x", Start: diag.Pos{Line: 1, Column: 40}, End: diag.Pos{Line: 1, Column: 46}}, r)
	}
}
