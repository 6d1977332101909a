package report_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/redkubes/otomi/pkg/report"
	"github.com/redkubes/otomi/pkg/value"
)

func TestASecretWhereAValueIsCutShowsNoPartOfIt(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	r := report.New(report.Options{Out: &out})
	r.Hide([]string{"correct-horse"})
	url := value.NewScalar(value.Origin{Layer: "derived"}, strings.Repeat("x", 55)+"correct-horse")
	require.NoError(t, r.Explain(report.Explanation{Path: value.Path{}.Key("a"), Value: url, Beaten: []*value.Node{url}}, "text"))
	require.NotContains(t, out.String(), "corr")
	out.Reset()
	require.NoError(t, r.Differences("a", "b", []report.Difference{{A: url, B: url}}, "text"))
	require.NotContains(t, out.String(), "corr")
}

func TestValuesCanCommandNoTerminal(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	r := report.New(report.Options{Out: &out})
	evil := value.NewScalar(value.Origin{Layer: "l"}, "a\x1b[31mb\u009b31m\nc")
	require.NoError(t, r.Explain(report.Explanation{Path: value.Path{}.Key("a"), Value: evil}, "text"))
	require.Equal(t, "a = \"a\\u001b[31mb?31m\\nc\"\n  set by l\n", out.String())
}

func TestOriginsAreCommentsAndSecretsInTextsAreHidden(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	r := report.New(report.Options{Out: &out})
	r.Hide([]string{"two\twords"})
	root := value.NewMap(value.Origin{}, value.Field{Key: "url", Value: value.NewScalar(value.Origin{Layer: "--flag"}, "x two\twords y")})
	require.NoError(t, r.Values([]report.Values{{Root: root}}, report.ValuesOptions{Origins: true}))
	require.Equal(t, "url: x (secret) y # --flag\n", out.String())
}
