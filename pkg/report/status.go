package report

import "fmt"

// Status is what a cluster's records say of one release.
type Status struct {
	Cluster   string `json:"cluster,omitempty"`
	Runlevel  string `json:"runlevel"`
	Name      string `json:"name"`
	Namespace string `json:"namespace"`
	// Installed is what is wanted: false for a release that is to be uninstalled.
	Installed bool `json:"installed"`
	// Status is Helm's word for the newest record, or "" where there is none.
	Status   string `json:"status"`
	Revision int    `json:"revision,omitempty"`
}

// Status prints the releases in the order they are applied.
func (r *Reporter) Status(rows []Status, format string) error {
	if format == "json" {
		if rows == nil {
			rows = []Status{}
		}
		return r.JSON(struct {
			FormatVersion int      `json:"formatVersion"`
			Releases      []Status `json:"releases"`
		}{FormatVersion, rows})
	}
	several := false
	for _, row := range rows {
		several = several || row.Cluster != rows[0].Cluster
	}
	header := []string{"RUNLEVEL", "NAME", "NAMESPACE", "STATUS", "REVISION"}
	if several {
		header = append([]string{"CLUSTER"}, header...)
	}
	table := [][]string{header}
	for _, row := range rows {
		status, revision := row.Status, fmt.Sprint(row.Revision)
		switch {
		case status == "" && row.Installed:
			status, revision = "not installed", "-"
		case status == "":
			status, revision = "not wanted", "-"
		case !row.Installed:
			status += ", to be uninstalled"
		}
		line := []string{row.Runlevel, row.Name, row.Namespace, status, revision}
		if several {
			line = append([]string{row.Cluster}, line...)
		}
		table = append(table, line)
	}
	return r.Product(columns(table))
}
