package manifest

import "time"

// Release is one rendered release: everything that Helm would record of it, and the objects that its text describes.
type Release struct {
	Name      string
	Namespace string
	// Revision is the number that the release was rendered with (.Release.Revision), from 1.
	Revision int
	// Upgrade says that it was rendered as an upgrade (.Release.IsUpgrade), not as an install.
	Upgrade bool
	Chart   Chart
	// Values are the values given to the chart, without the chart's own defaults: Helm's "config".
	Values map[string]any
	// Text is the manifest as Helm records it: documents that begin with "---\n# Source: FILE\n", in install order,
	// without hooks and without CRDs of crds/.
	Text string
	// Objects are the documents of Text, in its order.
	Objects []Object
	// Hooks are the objects with a helm.sh/hook annotation, in Helm's order.
	Hooks []Hook
	// CRDs are the objects of the chart's crds/ folder, subcharts included.
	CRDs []Object
	// Notes is the rendered NOTES.txt.
	Notes string
	// Impure are the calls in the chart's templates whose result is no function of chart, values, release and capabilities, by
	// template, line and function, each place once.
	Impure []ImpureCall
}

// ImpureCall is a place in a chart where a template calls a function that takes chance, the clock, the time zone of the
// machine, the cluster or the network.
type ImpureCall struct {
	// Function is the name of the function.
	Function string
	// Template is the template that calls it, as Helm names it: CHART/templates/FILE. A call in a text given to tpl is one of
	// the template that called tpl.
	Template string
	// Line is the line of the call, from 1; 0 where it is not known.
	Line int
	// Unordered says that the function lists a map in an order that differs from run to run with Helm, and not with otomi,
	// which sorts it: the release is a function of its inputs nonetheless.
	Unordered bool
}

// Key is NAMESPACE/NAME, which identifies a release in a cluster.
func (r Release) Key() string { return Key(r.Namespace, r.Name) }

// Key identifies a release in a cluster.
func Key(namespace, name string) string { return namespace + "/" + name }

// Chart is what a record keeps of a release's chart.
type Chart struct {
	Name    string
	Version string
	// Digest is the sha256 of the chart's files, as hex.
	Digest string
	// Metadata is Chart.yaml as JSON.
	Metadata []byte
	// Values are the chart's default values.
	Values map[string]any
}

// Status is the state of a release record, in Helm's words.
type Status string

// The states that Helm writes (helm.sh/helm/v3/pkg/release).
const (
	Unknown         Status = "unknown"
	Deployed        Status = "deployed"
	Uninstalled     Status = "uninstalled"
	Superseded      Status = "superseded"
	Failed          Status = "failed"
	Uninstalling    Status = "uninstalling"
	PendingInstall  Status = "pending-install"
	PendingUpgrade  Status = "pending-upgrade"
	PendingRollback Status = "pending-rollback"
)

// Pending reports whether an operation on the release had begun and not ended when the record was read.
func (s Status) Pending() bool {
	switch s {
	case PendingInstall, PendingUpgrade, PendingRollback, Uninstalling:
		return true
	}
	return false
}

// Record is one revision of a release as Helm's storage knows it, read from the record's labels alone.
type Record struct {
	Name      string
	Namespace string
	Revision  int
	Status    Status
	// Labels are the labels of the record, Helm's own left out.
	Labels map[string]string
	// Modified is when the record was last written, to the second, by its writer's clock; zero where it does not say.
	Modified time.Time
	// Seen names the state of the record when it was read, as Stored.Seen.
	Seen string
}
