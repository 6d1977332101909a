package report

import (
	"encoding/xml"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/redkubes/otomi/pkg/diag"
)

// Findings are what a check of one or more clusters found.
type Findings struct {
	// Verb is the verb that checked: validate, lint.
	Verb        string
	Diagnostics diag.Diagnostics
	Sources     diag.Sources
	// Clusters are all clusters that were checked, in order; empty for the only one of a repository without a registry.
	Clusters []string
	// Strict says that warnings fail too.
	Strict bool
	// Version is that of this otomi.
	Version string
}

// The formats of findings.
const (
	Human  = "human"
	JSON   = "json"
	GitHub = "github"
	SARIF  = "sarif"
	JUnit  = "junit"
)

// FindingFormats are the formats that Findings knows, the default first.
func FindingFormats() []string { return []string{Human, JSON, GitHub, SARIF, JUnit} }

// Findings shows what a check found: to people on the talk's side, in every other format on the product's side. Only the
// human form is cut short.
func (r *Reporter) Findings(f Findings, format string) error {
	switch format {
	case JSON:
		return r.DiagnosticsJSON(f.Diagnostics)
	case GitHub:
		return r.Product(gitHub(f))
	case SARIF:
		return r.JSON(sarif(f))
	case JUnit:
		body, err := xml.MarshalIndent(junit(f), "", "  ")
		if err != nil {
			return fmt.Errorf("encoding the result: %w", err)
		}
		return r.Product(xml.Header + string(body) + "\n")
	}
	r.diagnostics(f.Diagnostics, f.Sources, len(f.Clusters))
	return nil
}

// paragraph is a diagnostic in words without its place: the sentence, the notes, the clusters.
func paragraph(d diag.Diagnostic, clusters int) string {
	lines := []string{sentence(d)}
	for _, n := range d.Notes {
		if n.Range.IsZero() {
			lines = append(lines, n.Message)
			continue
		}
		lines = append(lines, n.Message+": "+n.Range.String())
	}
	if len(d.Clusters) > 0 && len(d.Clusters) < clusters {
		lines = append(lines, "in "+someOf(d.Clusters))
	}
	return strings.Join(lines, "\n")
}

// gitHub writes findings as workflow commands of GitHub Actions, which shows them beside the lines of a pull request.
// Escapes: https://github.com/actions/toolkit, packages/core/src/command.ts.
func gitHub(f Findings) string {
	message := strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	property := strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
	var b strings.Builder
	for _, d := range f.Diagnostics.Sorted() {
		var properties []string
		add := func(name, text string) { properties = append(properties, name+"="+property.Replace(text)) }
		if d.Range.File != "" {
			add("file", d.Range.File)
		}
		if at := d.Range; at.Start.Line > 0 {
			add("line", fmt.Sprint(at.Start.Line))
			add("col", fmt.Sprint(at.Start.Column))
			if at.End.Line > 0 {
				add("endLine", fmt.Sprint(at.End.Line))
				// GitHub's column is the last one, ours the one behind it.
				add("endColumn", fmt.Sprint(max(1, at.End.Column-1)))
			}
		}
		add("title", d.Code.Summary()+" ("+string(d.Code)+")")
		fmt.Fprintf(&b, "::%s %s::%s\n", d.Severity, strings.Join(properties, ","), message.Replace(paragraph(d, len(f.Clusters))))
	}
	return b.String()
}

// The parts of SARIF 2.1.0 that findings need (OASIS, sarif-v2.1.0-os).
type (
	sarifLog struct {
		Schema  string     `json:"$schema"`
		Version string     `json:"version"`
		Runs    []sarifRun `json:"runs"`
	}
	sarifRun struct {
		Tool       sarifTool     `json:"tool"`
		ColumnKind string        `json:"columnKind"`
		Results    []sarifResult `json:"results"`
	}
	sarifTool struct {
		Driver sarifDriver `json:"driver"`
	}
	sarifDriver struct {
		Name    string      `json:"name"`
		Version string      `json:"version,omitempty"`
		Rules   []sarifRule `json:"rules"`
	}
	sarifRule struct {
		ID               string    `json:"id"`
		ShortDescription sarifText `json:"shortDescription"`
	}
	sarifText struct {
		Text string `json:"text"`
	}
	sarifResult struct {
		RuleID           string          `json:"ruleId"`
		RuleIndex        int             `json:"ruleIndex"`
		Level            diag.Severity   `json:"level"`
		Message          sarifText       `json:"message"`
		Locations        []sarifLocation `json:"locations,omitempty"`
		RelatedLocations []sarifLocation `json:"relatedLocations,omitempty"`
		Properties       *sarifBag       `json:"properties,omitempty"`
	}
	sarifLocation struct {
		PhysicalLocation sarifPhysical `json:"physicalLocation"`
		Message          *sarifText    `json:"message,omitempty"`
	}
	sarifPhysical struct {
		ArtifactLocation sarifArtifact `json:"artifactLocation"`
		Region           *sarifRegion  `json:"region,omitempty"`
	}
	sarifArtifact struct {
		URI string `json:"uri"`
	}
	sarifRegion struct {
		StartLine   int `json:"startLine"`
		StartColumn int `json:"startColumn,omitempty"`
		EndLine     int `json:"endLine,omitempty"`
		EndColumn   int `json:"endColumn,omitempty"`
	}
	sarifBag struct {
		Path     string   `json:"path,omitempty"`
		Clusters []string `json:"clusters,omitempty"`
	}
)

func sarif(f Findings) sarifLog {
	run := sarifRun{ColumnKind: "unicodeCodePoints", Results: []sarifResult{}}
	run.Tool.Driver = sarifDriver{Name: "otomi", Version: f.Version}
	codes := diag.Codes()
	for _, c := range codes {
		run.Tool.Driver.Rules = append(run.Tool.Driver.Rules, sarifRule{ID: string(c), ShortDescription: sarifText{Text: c.Summary()}})
	}
	for _, d := range f.Diagnostics.Sorted() {
		result := sarifResult{
			RuleID: string(d.Code), RuleIndex: slices.Index(codes, d.Code), Level: d.Severity, Message: sarifText{Text: sentence(d)},
		}
		if d.Range.File != "" {
			result.Locations = []sarifLocation{sarifPlace(d.Range, "")}
		}
		for _, n := range d.Notes {
			if n.Range.File != "" {
				result.RelatedLocations = append(result.RelatedLocations, sarifPlace(n.Range, n.Message))
			}
		}
		if d.Path != "" || len(d.Clusters) > 0 {
			result.Properties = &sarifBag{Path: d.Path, Clusters: d.Clusters}
		}
		run.Results = append(run.Results, result)
	}
	return sarifLog{
		Schema:  "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
		Version: "2.1.0", Runs: []sarifRun{run},
	}
}

// sarifPlace is a place with what is to say about it. Both SARIF and our ranges end behind the last character.
func sarifPlace(at diag.Range, message string) sarifLocation {
	uri := (&url.URL{Path: at.File}).EscapedPath()
	if scheme, rest, ok := strings.Cut(at.File, ":"); ok && !strings.Contains(scheme, "/") {
		uri = scheme + ":" + (&url.URL{Path: rest}).EscapedPath() // a file that the binary carries
	}
	location := sarifLocation{PhysicalLocation: sarifPhysical{ArtifactLocation: sarifArtifact{URI: uri}}}
	if at.Start.Line > 0 {
		location.PhysicalLocation.Region = &sarifRegion{
			StartLine: at.Start.Line, StartColumn: at.Start.Column, EndLine: at.End.Line, EndColumn: at.End.Column,
		}
	}
	if message != "" {
		location.Message = &sarifText{Text: message}
	}
	return location
}

// The JUnit form that CI systems read (the Jenkins schema, junit-10.xsd).
type (
	junitSuites struct {
		XMLName  xml.Name   `xml:"testsuites"`
		Tests    int        `xml:"tests,attr"`
		Failures int        `xml:"failures,attr"`
		Suite    junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name     string      `xml:"name,attr"`
		Tests    int         `xml:"tests,attr"`
		Failures int         `xml:"failures,attr"`
		Cases    []junitCase `xml:"testcase"`
	}
	junitCase struct {
		Name      string         `xml:"name,attr"`
		ClassName string         `xml:"classname,attr"`
		Failures  []junitFailure `xml:"failure"`
		Out       string         `xml:"system-out,omitempty"`
	}
	junitFailure struct {
		Message string `xml:"message,attr"`
		Type    string `xml:"type,attr"`
		Text    string `xml:",chardata"`
	}
)

// junit has a test case for each cluster, and one for the repository where something is wrong that is no cluster's.
// Warnings are output, unless they fail the run.
func junit(f Findings) junitSuites {
	suite := junitSuite{Name: "otomi " + f.Verb}
	index := map[string]int{}
	for _, c := range f.Clusters {
		index[c] = len(suite.Cases)
		suite.Cases = append(suite.Cases, junitCase{Name: c, ClassName: suite.Name})
	}
	for _, d := range f.Diagnostics.Sorted() {
		owners := d.Clusters
		if len(owners) == 0 {
			owners = []string{""}
		}
		for _, c := range owners {
			i, ok := index[c]
			if !ok {
				i = len(suite.Cases)
				index[c] = i
				suite.Cases = append(suite.Cases, junitCase{Name: "repository", ClassName: suite.Name})
			}
			at := ""
			if d.Range.File != "" {
				at = d.Range.String() + ": "
			}
			if d.Severity != diag.Error && !f.Strict {
				suite.Cases[i].Out += fmt.Sprintf("%s%s: %s: %s\n", at, d.Severity, d.Code.Summary(), paragraph(d, 0))
				continue
			}
			suite.Cases[i].Failures = append(suite.Cases[i].Failures, junitFailure{
				Message: at + d.Code.Summary(), Type: string(d.Code), Text: paragraph(d, 0),
			})
		}
	}
	if len(suite.Cases) == 0 {
		suite.Cases = []junitCase{{Name: "repository", ClassName: suite.Name}}
	}
	for _, c := range suite.Cases {
		if len(c.Failures) > 0 {
			suite.Failures++
		}
	}
	suite.Tests = len(suite.Cases)
	return junitSuites{Tests: suite.Tests, Failures: suite.Failures, Suite: suite}
}
