package render

import (
	"fmt"
	"slices"

	"github.com/redkubes/otomi/pkg/manifest"
	"helm.sh/helm/v3/pkg/chartutil"
)

// Capabilities are what a chart sees as .Capabilities.
type Capabilities struct {
	// KubeVersion is the version of Kubernetes: "v1.36.3" or "1.34". Empty means Newest.
	KubeVersion string
	// APIVersions is the whole of what .Capabilities.APIVersions has: "apps/v1", and where a cluster was asked also
	// "apps/v1/Deployment". Where none was asked, a caller begins with BuiltIn.
	APIVersions []string
}

// helmVersion and kubeVersion are the versions that the helm CLI of the linked module would show a chart. Its build sets
// them by linker flags, so that a program that embeds it has to say them. A test compares both with go.mod.
const (
	helmVersion = "v3.22.0"
	kubeVersion = "v1.37.0"
)

// Newest is the newest version of Kubernetes that the binary knows: that of its client libraries, as for the helm CLI.
func Newest() string { return kubeVersion }

// BuiltIn returns the API versions that helm template assumes where no cluster is asked: every version of the client
// libraries' built-in groups.
func BuiltIn() []string { return slices.Clone(chartutil.DefaultVersionSet) }

// APIVersions returns what the CustomResourceDefinitions among objects add to the API versions of a cluster, sorted:
// GROUP/VERSION and GROUP/VERSION/KIND of each version that is served. These are the two forms in which Helm's own
// discovery names them.
func APIVersions(objects []manifest.Object) []string {
	var out []string
	for _, o := range objects {
		if o.Kind != "CustomResourceDefinition" || o.Group != "apiextensions.k8s.io" {
			continue
		}
		spec, _ := o.Data["spec"].(map[string]any)
		group, _ := spec["group"].(string)
		names, _ := spec["names"].(map[string]any)
		kind, _ := names["kind"].(string)
		versions, _ := spec["versions"].([]any)
		for _, v := range versions {
			version, _ := v.(map[string]any)
			name, _ := version["name"].(string)
			served, _ := version["served"].(bool)
			if !served || group == "" || name == "" {
				continue
			}
			out = append(out, group+"/"+name)
			if kind != "" {
				out = append(out, group+"/"+name+"/"+kind)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// helm makes Helm's capabilities of c.
func (c Capabilities) helm() (*chartutil.Capabilities, error) {
	if c.KubeVersion == "" {
		c.KubeVersion = kubeVersion
	}
	version, err := chartutil.ParseKubeVersion(c.KubeVersion)
	if err != nil {
		return nil, fmt.Errorf("reading the Kubernetes version %q: %w", c.KubeVersion, err)
	}
	caps := chartutil.DefaultCapabilities.Copy()
	caps.KubeVersion = *version
	caps.APIVersions = slices.Clone(c.APIVersions)
	caps.HelmVersion.Version = helmVersion
	return caps, nil
}
