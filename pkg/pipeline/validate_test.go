package pipeline_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/pipeline"
)

// found validates the only cluster and returns the findings as their codes and paths.
func found(t *testing.T, platform *pipeline.Platform) ([]string, diag.Diagnostics) {
	t.Helper()
	clusters, diags := platform.Clusters("", true)
	require.Empty(t, diags)
	_, diags, err := platform.Validate(t.Context(), clusters[0])
	require.NoError(t, err)
	var texts []string
	for _, d := range diags {
		texts = append(texts, string(d.Code)+" "+d.Path)
	}
	return texts, diags
}

const manyRules = `
type: object
required: [must]
properties:
  any: { type: object, required: [inner], properties: { inner: { type: integer } } }
  pw: { type: string, minLength: 8 }
  pin: { type: integer, maximum: 9 }
  few: { type: array, minItems: 2 }
  big: { type: integer }
  a: { type: object, properties: { b: { type: integer } } }
`

func TestAConflictOfTypesHidesOnlyWhatIsBelowIt(t *testing.T) {
	t.Parallel()
	texts, _ := found(t, openWith(t, write(t, map[string]string{
		"stack/schema/values.schema.yaml": manyRules,
		"stack/schema/defaults.yaml":      "any: {x: 1}\n",
		"env/a.yaml":                      "any: 5\npw: abc\npin: 12\nfew: [1]\nbig: 10000000\n",
	}), pipeline.ValueFlags{}))
	require.ElementsMatch(t, []string{
		"values/type-conflict any", "values/missing must", "values/range pw", "values/range pin", "values/range few", "values/float-notation big",
	}, texts)
}

func TestAnUnreadableFileHidesOnlyWhatItMayHold(t *testing.T) {
	t.Parallel()
	texts, _ := found(t, openWith(t, write(t, map[string]string{
		"stack/schema/values.schema.yaml": manyRules,
		"env/a.yaml":                      "any: {}\npw: abc\npin: 12\nfew: [1]\n",
		"env/b.yaml":                      "must: [\n",
	}), pipeline.ValueFlags{}))
	require.ElementsMatch(t, []string{"yaml/syntax ", "values/range pw", "values/range pin"}, texts)
}

func TestWhatIsNotDerivedForAConflictIsNotMissing(t *testing.T) {
	t.Parallel()
	texts, _ := found(t, openWith(t, write(t, map[string]string{
		"stack/schema/values.schema.yaml":  manyRules,
		"stack/schema/derived.yaml.gotmpl": "must: 1\n",
		"stack/schema/defaults.yaml":       "any: {inner: 1}\n",
		"env/a.yaml":                       "any: 5\n",
	}), pipeline.ValueFlags{}))
	require.Equal(t, []string{"values/type-conflict any"}, texts)
}

func TestAFindingAboutAFlagNamesTheFlagBesideAnotherError(t *testing.T) {
	t.Parallel()
	_, diags := found(t, openWith(t, write(t, map[string]string{
		"stack/schema/values.schema.yaml": manyRules,
		"stack/schema/defaults.yaml":      "any: {inner: 1}\n",
		"env/a.yaml":                      "any: 5\nmust: 1\n",
	}), pipeline.ValueFlags{Set: []string{"a.b=xx"}}))
	require.Len(t, diags, 2)
	require.Equal(t, "a.b", diags[1].Path)
	require.Equal(t, "it is set by --state-values-set", diags[1].Notes[0].Message)
}

func TestAStackWithoutRunlevelsCanBeValidated(t *testing.T) {
	t.Parallel()
	dir := write(t, map[string]string{"stack/schema/values.schema.yaml": "type: object\n", "env/a.yaml": "a: 1\n"})
	require.NoError(t, os.RemoveAll(filepath.Join(dir, "stack", "runlevels")))
	platform := openWith(t, dir, pipeline.ValueFlags{})
	texts, _ := found(t, platform)
	require.Empty(t, texts)
	_, diags := platform.Evaluate(t.Context(), compile(t, platform, ""), nil)
	require.Len(t, diags, 1)
	require.Equal(t, diag.RunlevelNone, diags[0].Code)
	require.Equal(t, byte('.'), diags[0].Detail[len(diags[0].Detail)-1])
}

func TestLintReportsAValueThatIsTheSchemasDefault(t *testing.T) {
	t.Parallel()
	platform := openWith(t, write(t, map[string]string{
		"stack/schema/values.schema.yaml": `
type: object
properties:
  same: { type: integer, default: 1 }
  other: { type: integer, default: 1 }
  overridden: { type: integer, default: 1 }
  filled: { type: object, default: {}, properties: { a: { default: 2 } } }
  alone: { type: object, properties: { a: { default: 2 } } }
  differs: { type: object, default: { a: 3 }, properties: { a: { default: 2 } } }
`,
		"stack/schema/defaults.yaml": "overridden: 5\n",
		"env/a.yaml":                 "same: 1\nother: 2\noverridden: 1\nfilled: {a: 2}\nalone: {a: 2}\ndiffers: {a: 2}\n",
	}), pipeline.ValueFlags{})
	clusters, _ := platform.Clusters("", true)
	report, err := platform.Lint(t.Context(), clusters, pipeline.ValidateOptions{})
	require.NoError(t, err)
	var texts []string
	for _, d := range report.Diagnostics {
		texts = append(texts, string(d.Code)+" "+d.Path)
		require.Equal(t, "the default", d.Notes[0].Message)
	}
	require.ElementsMatch(t, []string{"lint/redundant-value same", "lint/redundant-value filled.a"}, texts)
}
