package report

import (
	"fmt"

	"github.com/redkubes/otomi/pkg/value"
	"github.com/redkubes/otomi/pkg/yaml"
)

// Values are the compiled values of one cluster, masked or not as the user asked.
type Values struct {
	Cluster string
	Root    *value.Node
}

// Values prints the values: of one cluster as they are, of several as YAML documents with a comment that names the
// cluster, or as one JSON document.
func (r *Reporter) Values(trees []Values, format string) error {
	if format == "json" {
		type cluster struct {
			Cluster string `json:"cluster"`
			Values  any    `json:"values"`
		}
		doc := struct {
			FormatVersion int       `json:"formatVersion"`
			Clusters      []cluster `json:"clusters"`
		}{FormatVersion: FormatVersion, Clusters: []cluster{}}
		for _, t := range trees {
			doc.Clusters = append(doc.Clusters, cluster{Cluster: t.Cluster, Values: t.Root.PlainMap()})
		}
		return r.JSON(doc)
	}
	for _, t := range trees {
		body, err := yaml.Marshal(t.Root.PlainMap())
		if err != nil {
			return fmt.Errorf("writing the values of %s: %w", t.Cluster, err)
		}
		if len(trees) > 1 {
			body = append([]byte("---\n# cluster: "+t.Cluster+"\n"), body...)
		}
		if err := r.Product(string(body)); err != nil {
			return err
		}
	}
	return nil
}

// Version is what `otomi version` tells.
type Version struct {
	FormatVersion int    `json:"formatVersion"`
	Version       string `json:"version"`
	Go            string `json:"go"`
	Kubernetes    string `json:"kubernetes"`
}

// Version prints the version of otomi.
func (r *Reporter) Version(v Version, format string) error {
	v.FormatVersion = FormatVersion
	if format == "json" {
		return r.JSON(v)
	}
	return r.Product(fmt.Sprintf("otomi %s (%s, charts see Kubernetes %s where no cluster is asked)\n", v.Version, v.Go, v.Kubernetes))
}
