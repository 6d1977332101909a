package report

import (
	"fmt"

	"github.com/redkubes/otomi/pkg/value"
	"github.com/redkubes/otomi/pkg/yaml"
)

// Values are the compiled values of one cluster, masked or not as the user asked.
type Values struct {
	Cluster string
	// Root is the tree, or the part of it that was asked for.
	Root *value.Node
}

// ValuesOptions change how values are printed. The zero value is YAML.
type ValuesOptions struct {
	// Format is "yaml" or "json".
	Format string
	// Origins puts a comment behind each leaf of YAML that says where it is from.
	Origins bool
}

// Values prints the values: of one cluster as they are, of several as YAML documents with a comment that names the
// cluster, or as one JSON document.
func (r *Reporter) Values(trees []Values, o ValuesOptions) error {
	if o.Format == "json" {
		type cluster struct {
			Cluster string `json:"cluster"`
			Values  any    `json:"values"`
		}
		doc := struct {
			FormatVersion int       `json:"formatVersion"`
			Clusters      []cluster `json:"clusters"`
		}{FormatVersion: FormatVersion, Clusters: []cluster{}}
		for _, t := range trees {
			doc.Clusters = append(doc.Clusters, cluster{Cluster: t.Cluster, Values: t.Root.Plain()})
		}
		return r.JSON(doc)
	}
	for _, t := range trees {
		body, err := r.valuesYAML(t.Root, o)
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

// valuesYAML writes one tree. Secrets that stand in other values are replaced before anything is escaped.
func (r *Reporter) valuesYAML(root *value.Node, o ValuesOptions) ([]byte, error) {
	if o.Origins {
		return yaml.Write(r.redacted(root), func(n *value.Node) string { return placeOf(n.Origin) }), nil
	}
	plain, _ := r.out.tree(root.Plain())
	return yaml.Marshal(plain)
}

// redacted returns a tree without the secrets that may not be shown.
func (r *Reporter) redacted(n *value.Node) *value.Node {
	out := *n
	if s, ok := n.Scalar.(string); ok {
		out.Scalar = r.out.text(s)
	}
	out.Fields = make([]value.Field, len(n.Fields))
	for i, f := range n.Fields {
		out.Fields[i] = value.Field{Key: r.out.text(f.Key), KeyRange: f.KeyRange, Value: r.redacted(f.Value)}
	}
	out.Items = make([]*value.Node, len(n.Items))
	for i, item := range n.Items {
		out.Items[i] = r.redacted(item)
	}
	return &out
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
