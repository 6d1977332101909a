package report_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/report"
)

func place(file string, line, column, end int) diag.Range {
	return diag.Range{File: file, Start: diag.Pos{Line: line, Column: column}, End: diag.Pos{Line: line, Column: end}}
}

// findings are of two clusters of three and of the repository; they have every character that a format escapes.
func findings() report.Findings {
	return report.Findings{
		Verb: "validate", Version: "1.2.3", Clusters: []string{"aws/a", "aws/b", "azure/c"},
		Diagnostics: diag.Diagnostics{
			{
				Severity: diag.Error, Code: diag.ValuesUnknownKey, Path: "a.b", Detail: "100% wrong:\r\nreally, <so>.",
				Range: place("env/a, b:100%.yaml", 3, 5, 9), Clusters: []string{"aws/a", "aws/b"},
				Notes: []diag.Note{
					{Message: "the schema lists the keys here", Range: place("builtin:schema/values.schema.yaml", 7, 1, 2)},
					{Message: "no place"},
				},
			},
			{Severity: diag.Warning, Code: diag.ValuesDeprecated, Detail: "old.", Range: diag.Range{File: "env/b.yaml"}, Clusters: []string{"azure/c"}},
			{Severity: diag.Warning, Code: diag.RepoVersion, Detail: "no place."},
		},
	}
}

func shown(t *testing.T, f report.Findings, format string) (out, err string) {
	t.Helper()
	var product, talk bytes.Buffer
	r := report.New(report.Options{Out: &product, Err: &talk})
	require.NoError(t, r.Findings(f, format))
	return product.String(), talk.String()
}

func TestFindingsForGitHubEscapeWhatItsCommandsMean(t *testing.T) {
	t.Parallel()
	out, talk := shown(t, findings(), report.GitHub)
	require.Empty(t, talk)
	require.Equal(t, `::warning title=unsupported version (repository/version)::no place.
::error file=env/a%2C b%3A100%25.yaml,line=3,col=5,endLine=3,endColumn=8,title=unknown key (values/unknown-key)::a.b: 100%25 wrong:%0D%0Areally, <so>.%0Athe schema lists the keys here: builtin:schema/values.schema.yaml:7:1%0Ano place%0Ain aws/a and aws/b
::warning file=env/b.yaml,title=deprecated value (values/deprecated)::old.%0Ain azure/c
`, out)
}

// TestFindingsAsSARIF checks the document against what SARIF 2.1.0 requires of the parts in it (sarif-schema-2.1.0.json,
// which is not on every machine): required properties, enumerations, minima, indices and the form of addresses.
func TestFindingsAsSARIF(t *testing.T) {
	t.Parallel()
	out, talk := shown(t, findings(), report.SARIF)
	require.Empty(t, talk)
	var doc map[string]any
	require.NoError(t, json.Unmarshal([]byte(out), &doc))
	require.Equal(t, "2.1.0", doc["version"])
	require.ElementsMatch(t, []string{"$schema", "version", "runs"}, keys(doc))
	run := doc["runs"].([]any)[0].(map[string]any)
	driver := run["tool"].(map[string]any)["driver"].(map[string]any)
	require.Equal(t, "otomi", driver["name"])
	require.Contains(t, []any{"utf16CodeUnits", "unicodeCodePoints"}, run["columnKind"])
	rules := driver["rules"].([]any)
	require.Len(t, rules, len(diag.Codes()))
	ids := map[string]bool{}
	for _, r := range rules {
		rule := r.(map[string]any)
		id := rule["id"].(string)
		require.False(t, ids[id], "rules are unique: %s", id)
		ids[id] = true
		require.NotEmpty(t, rule["shortDescription"].(map[string]any)["text"])
	}
	results := run["results"].([]any)
	require.Len(t, results, 3)
	for _, r := range results {
		result := r.(map[string]any)
		require.Contains(t, []any{"none", "note", "warning", "error"}, result["level"])
		require.NotEmpty(t, result["message"].(map[string]any)["text"])
		index := int(result["ruleIndex"].(float64))
		require.Equal(t, rules[index].(map[string]any)["id"], result["ruleId"])
		for _, list := range []string{"locations", "relatedLocations"} {
			locations, _ := result[list].([]any)
			for _, l := range locations {
				physical := l.(map[string]any)["physicalLocation"].(map[string]any)
				require.NotEmpty(t, physical["artifactLocation"].(map[string]any)["uri"])
				require.NotContains(t, physical["artifactLocation"].(map[string]any)["uri"], " ")
				if region, ok := physical["region"].(map[string]any); ok {
					for _, key := range keys(region) {
						require.Contains(t, []string{"startLine", "startColumn", "endLine", "endColumn"}, key)
						require.GreaterOrEqual(t, region[key], 1.0)
					}
				}
			}
		}
	}
	require.NotContains(t, results[0], "locations")
	second := results[1].(map[string]any)
	physical := second["locations"].([]any)[0].(map[string]any)["physicalLocation"].(map[string]any)
	require.Equal(t, map[string]any{"uri": "env/a,%20b:100%25.yaml"}, physical["artifactLocation"])
	require.Equal(t, map[string]any{"startLine": 3.0, "startColumn": 5.0, "endLine": 3.0, "endColumn": 9.0}, physical["region"])
	require.Len(t, second["relatedLocations"], 1)
	require.Equal(t, map[string]any{"path": "a.b", "clusters": []any{"aws/a", "aws/b"}}, second["properties"])

	out, _ = shown(t, report.Findings{}, report.SARIF)
	require.Contains(t, out, `"results": []`, "a run without findings has results all the same")
}

func keys(m map[string]any) []string {
	var out []string
	for k := range m {
		out = append(out, k)
	}
	return out
}

func TestFindingsAsJUnitHaveACaseForEachCluster(t *testing.T) {
	t.Parallel()
	type document struct {
		Failures int `xml:"failures,attr"`
		Tests    int `xml:"tests,attr"`
		Cases    []struct {
			Name     string `xml:"name,attr"`
			Failures []struct {
				Message string `xml:"message,attr"`
				Type    string `xml:"type,attr"`
				Text    string `xml:",chardata"`
			} `xml:"failure"`
			Out string `xml:"system-out"`
		} `xml:"testsuite>testcase"`
	}
	f := findings()
	out, _ := shown(t, f, report.JUnit)
	var doc document
	require.NoError(t, xml.Unmarshal([]byte(out), &doc))
	require.Equal(t, 2, doc.Failures)
	require.Equal(t, 4, doc.Tests)
	names := []string{}
	for _, c := range doc.Cases {
		names = append(names, fmt.Sprint(c.Name, len(c.Failures)))
	}
	require.Equal(t, []string{"aws/a1", "aws/b1", "azure/c0", "repository0"}, names)
	require.Equal(t, "values/unknown-key", doc.Cases[0].Failures[0].Type)
	require.Contains(t, doc.Cases[0].Failures[0].Text, "really, <so>.")
	require.Contains(t, doc.Cases[2].Out, "env/b.yaml: warning: deprecated value: old.")

	f.Strict = true
	out, _ = shown(t, f, report.JUnit)
	doc = document{}
	require.NoError(t, xml.Unmarshal([]byte(out), &doc))
	require.Equal(t, 4, doc.Failures)
}

func TestFindingsForPeopleNameSomeClustersAndAreCutShort(t *testing.T) {
	t.Parallel()
	out, talk := shown(t, findings(), report.Human)
	require.Empty(t, out)
	require.Contains(t, talk, "\n  in aws/a and aws/b\n")
	f := findings()
	f.Diagnostics = f.Diagnostics[:1]
	f.Clusters = f.Clusters[:2]
	_, talk = shown(t, f, report.Human)
	require.NotContains(t, talk, "  in ", "a finding of all clusters names none")

	var many report.Findings
	for i := range 2500 {
		many.Clusters = append(many.Clusters, fmt.Sprintf("aws/c%d", i))
	}
	for i := range 5213 {
		d := diag.Diagnostic{Severity: diag.Warning, Code: diag.ValuesDeprecated, Detail: "old.", Range: place("a.yaml", i+1, 1, 2)}
		if i == 5000 {
			d.Severity, d.Code, d.Clusters = diag.Error, diag.ValuesUnknownKey, many.Clusters[:2214]
		}
		many.Diagnostics = append(many.Diagnostics, d)
	}
	_, talk = shown(t, many, report.Human)
	require.Contains(t, talk, "\nand 4,213 more\n")
	require.True(t, strings.HasSuffix(talk, "\n1 error, 5212 warnings\n"), talk[len(talk)-80:])
	require.Contains(t, talk, "in aws/c0, aws/c1 and 2,212 more", "the error is not what is left out")
	out, _ = shown(t, many, report.JSON)
	require.Equal(t, 5213, strings.Count(out, `"code":`), "only the human form is cut")
	require.Contains(t, out, `"aws/c2213"`)
}

func TestFindingsReachNoWriterWithSecrets(t *testing.T) {
	t.Parallel()
	for _, format := range report.FindingFormats() {
		f := findings()
		f.Diagnostics[0].Detail = "it is hunter2-horse."
		var product, talk bytes.Buffer
		r := report.New(report.Options{Out: &product, Err: &talk})
		r.Hide([]string{"hunter2-horse"})
		require.NoError(t, r.Findings(f, format))
		require.NotContains(t, product.String()+talk.String(), "hunter2", format)
	}
}

func TestProgressIsOneLineThatGoesAway(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	r := report.New(report.Options{Err: &out, Progress: true})
	for i := range 1000 {
		r.Progress("validated", i+1, 1000, "clusters")
	}
	require.Contains(t, out.String(), "validated 310 of 1,000 clusters")
	require.NotContains(t, out.String(), "\n")
	require.True(t, strings.HasSuffix(out.String(), "\r\x1b[K"))
	require.LessOrEqual(t, strings.Count(out.String(), "\r"), 101)

	out.Reset()
	quiet := report.New(report.Options{Err: &out})
	quiet.Progress("validated", 1, 2, "clusters")
	require.Empty(t, out.String())
	require.True(t, slices.Contains(report.FindingFormats(), report.SARIF))
}
