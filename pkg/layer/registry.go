package layer

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/value"
)

// Cluster is one entry of the registry. The zero Cluster is the unnamed one of a repository without a registry.
type Cluster struct {
	// ID is CLOUD/NAME.
	ID, Cloud, Name string
	// Domain, KubeContext and K8sVersion are what the entry says, or "". Domain is NAME.DOMAIN-OF-THE-CLOUD where the entry
	// gives none and the cloud does.
	Domain, KubeContext, K8sVersion string
	// Range is the place of the entry's key.
	Range diag.Range
}

// registry is what env/clusters.yaml says.
type registry struct {
	clusters []Cluster
	// entries are the registry's layer for each cluster.
	entries map[string]*value.Node
	place   diag.Range
}

// Clusters returns the clusters of the registry in its order; none where there is no registry.
func (r *Repository) Clusters() []Cluster {
	if r.registry == nil {
		return nil
	}
	return slices.Clone(r.registry.clusters)
}

// Cluster returns the cluster that id names (CLOUD/NAME). The empty id is the only cluster of the repository.
func (r *Repository) Cluster(id string) (Cluster, diag.Diagnostics) {
	switch {
	case r.registry == nil && id == "":
		return Cluster{}, nil
	case r.registry == nil:
		return Cluster{}, diag.Diagnostics{problem(diag.ClusterNoRegistry, diag.Range{},
			"the repository has no %s, so it has one cluster without a name. Leave out --cluster, or write the registry.", registryFile)}
	}
	known := r.registry.clusters
	ids := make([]string, len(known))
	for i, c := range known {
		ids[i] = c.ID
	}
	list := strings.Join(ids, ", ")
	switch i := slices.Index(ids, id); {
	case i >= 0:
		return known[i], nil
	case len(known) == 0:
		return Cluster{}, diag.Diagnostics{problem(diag.ClusterUnknown, r.registry.place,
			"the registry lists no cluster. Add one to %s under clouds.CLOUD.clusters.", registryFile)}
	case id == "" && len(known) == 1:
		return known[0], nil
	case id == "":
		return Cluster{}, diag.Diagnostics{problem(diag.ClusterNotNamed, diag.Range{},
			"the repository has %d clusters: %s. Name one with --cluster, or take them all with --all.", len(known), list)}
	}
	detail := fmt.Sprintf("the registry has no cluster %q.", id)
	if near := nearestID(id, ids); near != "" {
		detail += fmt.Sprintf(" Did you mean %q?", near)
	}
	return Cluster{}, diag.Diagnostics{problem(diag.ClusterUnknown, diag.Range{File: r.registry.place.File},
		"%s Known are %s.", detail, list)}
}

// nearestID also knows who leaves out the cloud.
func nearestID(id string, ids []string) string {
	for _, known := range ids {
		if strings.HasSuffix(known, "/"+id) {
			return known
		}
	}
	return diag.Nearest(id, ids)
}

// readRegistry understands env/clusters.yaml.
func readRegistry(root *value.Node) (*registry, diag.Diagnostics) {
	g := &registry{entries: map[string]*value.Node{}, place: root.Origin.Range}
	var diags diag.Diagnostics
	for _, f := range root.Fields {
		if f.Key != "clouds" {
			diags = append(diags, unknownKey(f, registryFile, []string{"clouds"}))
			continue
		}
		for _, cloud := range mapOf(f, &diags) {
			g.cloud(f, cloud, &diags)
		}
	}
	return g, diags
}

// cloud reads the clusters of one cloud; clouds is the field it stands in.
func (g *registry) cloud(clouds, cloud value.Field, diags *diag.Diagnostics) {
	if !checkName("cloud", cloud, diags) {
		return
	}
	var domain value.Field
	var clusters []value.Field
	for _, f := range mapOf(cloud, diags) {
		switch f.Key {
		case "domain":
			if stringOf(f, diags) != "" {
				domain = f
			}
		case "clusters":
			clusters = mapOf(f, diags)
		default:
			// A cloud may say more for templates to read, but not what is nearly a key of ours.
			if diag.Nearest(f.Key, []string{"domain", "clusters"}) != "" {
				*diags = append(*diags, unknownKey(f, "a cloud", []string{"domain", "clusters"}))
			}
		}
	}
	for _, f := range clusters {
		if checkName("cluster", f, diags) {
			g.cluster(clouds, cloud.Key, domain, f, diags)
		}
	}
}

// cluster reads one entry and makes its layer.
func (g *registry) cluster(clouds value.Field, cloud string, domain, entry value.Field, diags *diag.Diagnostics) {
	c := Cluster{ID: cloud + "/" + entry.Key, Cloud: cloud, Name: entry.Key, Range: entry.KeyRange}
	var own []value.Field
	for _, f := range mapOf(entry, diags) {
		switch f.Key {
		case "domain":
			c.Domain = stringOf(f, diags)
		case "kubeContext":
			c.KubeContext = stringOf(f, diags)
		case "k8sVersion":
			c.K8sVersion = versionOf(f, diags)
		case "id", "provider", "name":
			*diags = append(*diags, problem(diag.RepoWrongType, f.KeyRange,
				"%s follows from the place of the entry. Remove it; to rename a cluster, rename its key.", f.Key))
			continue
		default:
			if near := diag.Nearest(f.Key, []string{"domain", "kubeContext", "k8sVersion"}); near != "" && strings.EqualFold(near, f.Key) {
				*diags = append(*diags, unknownKey(f, "a cluster", []string{"domain", "kubeContext", "k8sVersion"}))
			}
		}
		own = append(own, f)
	}
	if c.Domain == "" && domain.Value.Text() != "" {
		c.Domain = c.Name + "." + domain.Value.Text()
	}
	computed := func(key, text string) value.Field {
		return value.Field{Key: key, KeyRange: entry.KeyRange,
			Value: value.NewScalar(value.Origin{Layer: Registry, Range: entry.KeyRange}, text)}
	}
	fields := []value.Field{computed("id", c.ID), computed("provider", cloud), computed("name", c.Name)}
	own = slices.DeleteFunc(own, func(f value.Field) bool { return f.Key == "domain" && c.Domain != f.Value.Text() })
	if c.Domain != "" && !slices.ContainsFunc(own, func(f value.Field) bool { return f.Key == "domain" }) {
		fields = append(fields, computed("domain", c.Domain))
	}
	origin := value.Origin{Layer: Registry, Range: entry.KeyRange}
	g.clusters = append(g.clusters, c)
	g.entries[c.ID] = value.NewMap(origin, clouds,
		value.Field{Key: "cluster", KeyRange: entry.KeyRange, Value: value.NewMap(origin, append(fields, own...)...)})
}

// kubeVersion is the form of a version that Helm can show to charts: Kubernetes' own parser wants two numbers or more,
// without leading zeros, and passes over what a vendor puts behind them.
var kubeVersion = regexp.MustCompile(`^v?(0|[1-9][0-9]{0,8})(\.(0|[1-9][0-9]{0,8}))+([-+].*)?$`)

// versionOf returns the Kubernetes version of a field.
func versionOf(f value.Field, diags *diag.Diagnostics) string {
	version := stringOf(f, diags)
	if version == "" || kubeVersion.MatchString(version) {
		return version
	}
	d := problem(diag.ValuesFormat, f.Value.Origin.Range, "%q is no version of Kubernetes. Write it like \"1.34\" or \"1.34.2\".", version)
	d.Path = "cluster.k8sVersion"
	*diags = append(*diags, d)
	return ""
}

// mapOf returns the entries of a field that is a map or nothing.
func mapOf(f value.Field, diags *diag.Diagnostics) []value.Field {
	if f.Value.Kind != value.Map && f.Value.Kind != value.Null {
		*diags = append(*diags, problem(diag.RepoWrongType, f.Value.Origin.Range,
			"%s is a map, and here stands %s. Write it as \"key: value\" lines.", f.Key, f.Value.Kind.WithArticle()))
	}
	return f.Value.Fields
}

var nameForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)

// checkName refuses names that would mean something else in a pattern or a path.
func checkName(what string, f value.Field, diags *diag.Diagnostics) bool {
	if nameForm.MatchString(f.Key) && !strings.Contains(f.Key, "..") {
		return true
	}
	*diags = append(*diags, problem(diag.ClusterInvalidName, f.KeyRange,
		"%q is no name of a %s: it becomes part of paths and domains. Use letters, digits, -, _ and dots between them.", f.Key, what))
	return false
}
