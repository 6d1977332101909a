package report

import (
	"fmt"
	"strings"
	"time"
)

// Revision is one record of a release.
type Revision struct {
	Revision    int       `json:"revision"`
	Updated     time.Time `json:"updated"`
	Status      string    `json:"status"`
	Chart       string    `json:"chart"`
	AppVersion  string    `json:"appVersion"`
	Description string    `json:"description"`
	// Commit is that of the values, empty where none was recorded; By is otomi or helm.
	Commit string `json:"commit,omitempty"`
	By     string `json:"by"`
}

// History prints the records of a release, the oldest first.
func (r *Reporter) History(release string, rows []Revision, format string) error {
	if format == "json" {
		if rows == nil {
			rows = []Revision{}
		}
		return r.JSON(struct {
			FormatVersion int        `json:"formatVersion"`
			Release       string     `json:"release"`
			Revisions     []Revision `json:"revisions"`
		}{FormatVersion, release, rows})
	}
	table := [][]string{{"REVISION", "UPDATED", "STATUS", "CHART", "APP VERSION", "COMMIT", "BY", "DESCRIPTION"}}
	for _, row := range rows {
		hash, changed, dirty := strings.Cut(row.Commit, "-")
		commit := hash[:min(len(hash), 12)]
		if dirty {
			commit += "-" + changed
		}
		table = append(table, []string{
			fmt.Sprint(row.Revision), row.Updated.UTC().Format(time.RFC3339), row.Status, row.Chart, dash(row.AppVersion), dash(commit), row.By,
			row.Description,
		})
	}
	return r.Product(columns(table))
}
