package report

import (
	"fmt"
	"strings"

	"github.com/aymanbagabas/go-udiff"

	"github.com/redkubes/otomi/pkg/diff"
	"github.com/redkubes/otomi/pkg/yaml"
)

// LockedChart is an entry of charts.lock.
type LockedChart struct {
	Version string `json:"version"`
	URL     string `json:"url"`
	// SHA256 is that of the archive, Manifest the digest of an OCI manifest, Commit a commit of git.
	SHA256   string `json:"sha256"`
	Manifest string `json:"manifest,omitempty"`
	Commit   string `json:"commit,omitempty"`
}

// LockChange is what differs between two locks for one reference.
type LockChange struct {
	Chart      string       `json:"chart"`
	Repository string       `json:"repository,omitempty"`
	Constraint string       `json:"constraint,omitempty"`
	Action     string       `json:"action"`
	Before     *LockedChart `json:"before,omitempty"`
	After      *LockedChart `json:"after,omitempty"`
}

// LockChanges prints what another lock changes.
func (r *Reporter) LockChanges(changes []LockChange, format string) error {
	if format == "json" {
		if changes == nil {
			changes = []LockChange{}
		}
		return r.JSON(struct {
			FormatVersion int          `json:"formatVersion"`
			Changes       []LockChange `json:"changes"`
		}{FormatVersion, changes})
	}
	var b strings.Builder
	for _, c := range changes {
		mark := objectMark(diff.Action(c.Action))
		line := fmt.Sprintf("%s %s", mark.sign, wanted(c.Chart, c.Constraint, c.Repository))
		switch {
		case c.Before == nil:
			line += ": " + c.After.Version
		case c.After == nil:
			line += ": " + c.Before.Version
		case c.Before.Version != c.After.Version:
			line += ": " + c.Before.Version + " → " + c.After.Version
		default:
			line += ": " + c.After.Version + ", " + moved(*c.Before, *c.After)
		}
		b.WriteString(r.paintOut(mark.colour, line) + "\n")
	}
	return r.Product(b.String())
}

// wanted is a reference as a person reads it.
func wanted(chart, constraint, repository string) string {
	text := chart
	if constraint != "" {
		text += " " + constraint
	}
	if repository != "" {
		text += " from " + repository
	}
	return text
}

// moved says what differs where the version does not.
func moved(before, after LockedChart) string {
	switch {
	case before.SHA256 != after.SHA256:
		return fmt.Sprintf("other content: sha256 %s → %s", shortDigest(before.SHA256), shortDigest(after.SHA256))
	case before.Manifest != after.Manifest:
		return "another manifest with the same content"
	case before.Commit != after.Commit:
		return "another commit with the same content"
	}
	return "from " + after.URL
}

func shortDigest(digest string) string { return digest[:min(12, len(digest))] }

// Use is a release that a chart is for.
type Use struct {
	Cluster string `json:"cluster,omitempty"`
	// Release is NAMESPACE/NAME.
	Release string `json:"release"`
}

// Chart is a chart that releases use.
type Chart struct {
	// Name is the reference as it is written, Constraint the version that is asked for.
	Name       string `json:"chart"`
	Constraint string `json:"constraint,omitempty"`
	// Version is empty where the chart is not locked.
	Version string `json:"version"`
	// Source is where it is from: a directory as it is shown, or an address.
	Source string `json:"source"`
	// Digest is the sha256 of the archive, or of the files of a chart that has none.
	Digest string `json:"digest"`
	Uses   []Use  `json:"usedBy"`
}

// Charts lists the charts that releases use.
func (r *Reporter) Charts(charts []Chart, format string) error {
	if format == "json" {
		if charts == nil {
			charts = []Chart{}
		}
		return r.JSON(struct {
			FormatVersion int     `json:"formatVersion"`
			Charts        []Chart `json:"charts"`
		}{FormatVersion, charts})
	}
	table := [][]string{{"CHART", "VERSION", "DIGEST", "SOURCE", "USED BY"}}
	for _, c := range charts {
		version, digest := c.Version, shortDigest(c.Digest)
		if version == "" {
			version, digest = "(not locked)", "-"
		}
		table = append(table, []string{wanted(c.Name, c.Constraint, ""), version, digest, c.Source, usedBy(c.Uses)})
	}
	return r.Product(columns(table))
}

// usedBy names the releases and counts their clusters.
func usedBy(uses []Use) string {
	var releases, clusters []string
	seen := map[string]bool{}
	for _, u := range uses {
		if !seen["r "+u.Release] {
			releases, seen["r "+u.Release] = append(releases, u.Release), true
		}
		if u.Cluster != "" && !seen["c "+u.Cluster] {
			clusters, seen["c "+u.Cluster] = append(clusters, u.Cluster), true
		}
	}
	const most = 3
	text := strings.Join(releases[:min(most, len(releases))], ", ")
	if len(releases) > most {
		text += fmt.Sprintf(" and %d more", len(releases)-most)
	}
	switch {
	case len(clusters) == 1:
		text += " in " + clusters[0]
	case len(clusters) > 1:
		text += " in " + Plural(len(clusters), "cluster")
	}
	return text
}

// Outdated is a chart, and the versions that there are of it.
type Outdated struct {
	Chart      string `json:"chart"`
	Repository string `json:"repository,omitempty"`
	Constraint string `json:"constraint,omitempty"`
	// Locked is the version in use, Wanted the newest that the constraint allows, Newest the newest of all.
	Locked string `json:"locked"`
	Wanted string `json:"wanted"`
	Newest string `json:"newest"`
}

// OutdatedCharts lists the charts of which there are newer versions.
func (r *Reporter) OutdatedCharts(charts []Outdated, format string) error {
	if format == "json" {
		if charts == nil {
			charts = []Outdated{}
		}
		return r.JSON(struct {
			FormatVersion int        `json:"formatVersion"`
			Charts        []Outdated `json:"charts"`
		}{FormatVersion, charts})
	}
	if len(charts) == 0 {
		return nil
	}
	table := [][]string{{"CHART", "LOCKED", "WITHIN", "NEWEST", "FROM"}}
	for _, c := range charts {
		table = append(table, []string{wanted(c.Chart, c.Constraint, ""), dash(c.Locked), dash(c.Wanted), dash(c.Newest), dash(c.Repository)})
	}
	return r.Product(columns(table))
}

func dash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

// ChartUpdate shows what another version of a chart changes.
func (r *Reporter) ChartUpdate(u diff.ChartUpdate, format string) error {
	if format == "json" {
		for _, changes := range [][]diff.UpdateChange{u.Objects, u.Definitions} {
			for i, c := range changes {
				changes[i].Before, changes[i].After = r.masked(c.Before), r.masked(c.After)
			}
		}
		// Lists are never null.
		u.Values, u.Images = append([]diff.DefaultChange{}, u.Values...), append([]diff.ImageChange{}, u.Images...)
		u.Objects = append([]diff.UpdateChange{}, u.Objects...)
		u.Definitions = append([]diff.UpdateChange{}, u.Definitions...)
		return r.JSON(struct {
			FormatVersion int `json:"formatVersion"`
			diff.ChartUpdate
		}{FormatVersion, u})
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", r.paintOut(bold, fmt.Sprintf("%s %s → %s", u.Chart, u.Old.Version, u.New.Version)))
	if u.Old.AppVersion != u.New.AppVersion {
		fmt.Fprintf(&b, "appVersion %s → %s\n", dash(u.Old.AppVersion), dash(u.New.AppVersion))
	}
	if err := r.defaults(&b, u); err != nil {
		return err
	}
	section := func(title string, n int) {
		if n > 0 {
			fmt.Fprintf(&b, "\n%s\n", r.paintOut(bold, title))
		}
	}
	section("images", len(u.Images))
	for _, c := range u.Images {
		mark := objectMark(c.Action)
		fmt.Fprintf(&b, "  %s\n", r.paintOut(mark.colour, mark.sign+" "+c.Image+inClusters(c.Clusters, u.Clusters)))
	}
	for _, part := range []struct {
		title   string
		changes []diff.UpdateChange
	}{{"custom resource definitions", u.Definitions}, {"objects", u.Objects}} {
		section(part.title, len(part.changes))
		release := ""
		for _, c := range part.changes {
			if c.Release != release {
				release = c.Release
				fmt.Fprintf(&b, "release %s\n", release)
			}
			c.Reason = strings.TrimPrefix(inClusters(c.Clusters, u.Clusters), " ")
			text, err := r.difference(c.Change, u.Old.Version, u.New.Version)
			if err != nil {
				return err
			}
			b.WriteString(text)
		}
	}
	if err := r.Product(b.String()); err != nil {
		return err
	}
	text := fmt.Sprintf("%s of %s rendered with both versions; %s", Plural(u.Releases, "release"), Plural(u.Clusters, "cluster"),
		differs(len(u.Objects)+len(u.Definitions), "object"))
	if u.Relabelled > 0 {
		text += fmt.Sprintf(", %d more only in the labels that name the version", u.Relabelled)
	}
	r.Talk("%s", text)
	return nil
}

// differs counts what differs.
func differs(n int, noun string) string {
	if n == 1 {
		return Plural(n, noun) + " differs"
	}
	return Plural(n, noun) + " differ"
}

// masked is an object without secrets.
func (r *Reporter) masked(data map[string]any) map[string]any {
	if data == nil {
		return nil
	}
	redacted, _ := r.out.tree(data)
	out, _ := redacted.(map[string]any)
	return out
}

// defaults writes the default values that differ.
func (r *Reporter) defaults(b *strings.Builder, u diff.ChartUpdate) error {
	if len(u.Values) > 0 {
		fmt.Fprintf(b, "\n%s\n", r.paintOut(bold, "default values"))
	}
	for _, c := range u.Values {
		before, err := r.inline(c.Before)
		if err != nil {
			return err
		}
		after, err := r.inline(c.After)
		if err != nil {
			return err
		}
		mark := objectMark(c.Action)
		text := c.Path + ": "
		switch c.Action {
		case diff.Create:
			text += after
		case diff.Delete:
			text += before
		default:
			text += before + " → " + after
		}
		if len(c.SetBy) > 0 {
			uses := make([]Use, len(c.SetBy))
			for i, w := range c.SetBy {
				uses[i] = Use(w)
			}
			text += "   # set by " + usedBy(uses)
		}
		fmt.Fprintf(b, "  %s\n", r.paintOut(mark.colour, mark.sign+" "+text))
	}
	switch {
	case u.OtherValues > 0 && len(u.Values) > 0:
		fmt.Fprintf(b, "  and %s that no release sets; --all-values shows them\n", Plural(u.OtherValues, "default"))
	case u.OtherValues > 0:
		fmt.Fprintf(b, "%s that no release sets; --all-values shows them\n", differs(u.OtherValues, "default value"))
	}
	return nil
}

// inline writes a value in one line.
func (r *Reporter) inline(v any) (string, error) {
	redacted, _ := r.out.tree(v)
	switch redacted.(type) {
	case map[string]any, []any:
		body, err := r.document(r.out, redacted)
		return string(body), err
	}
	text, err := yaml.Marshal(redacted)
	if err != nil {
		return "", fmt.Errorf("writing a default value: %w", err)
	}
	body := strings.TrimSuffix(string(text), "\n")
	if strings.Contains(body, "\n") {
		encoded, err := r.document(r.out, redacted)
		return string(encoded), err
	}
	return body, nil
}

// inClusters names the clusters where something is so, unless it is in all of them.
func inClusters(clusters []string, all int) string {
	const most = 3
	switch {
	case len(clusters) == all || len(clusters) == 0:
		return ""
	case len(clusters) <= most:
		return " in " + strings.Join(clusters, ", ")
	}
	return fmt.Sprintf(" in %s and %d more clusters", strings.Join(clusters[:most], ", "), len(clusters)-most)
}

// difference writes a change between two renderings: a line, and the unified diff below it.
func (r *Reporter) difference(c diff.Change, old, now string) (string, error) {
	var b strings.Builder
	mark := objectMark(c.Action)
	line := fmt.Sprintf("%s %s %s%s", mark.sign, c.Action, c.ID, sourceNote(c.Source))
	if c.Reason != "" {
		line += " " + c.Reason
	}
	fmt.Fprintf(&b, "  %s\n", r.paintOut(mark.colour, line))
	before, err := r.yaml(c.Before)
	if err != nil {
		return "", err
	}
	after, err := r.yaml(c.After)
	if err != nil {
		return "", err
	}
	if before != after {
		b.WriteString(r.unified(udiff.Unified(old+" "+c.ID.String(), now+" "+c.ID.String(), before, after)))
	}
	return b.String(), nil
}
