package render

import (
	"fmt"
	"slices"

	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/manifest"
)

// clusterKinds are the kinds of Kubernetes itself that are in no namespace, by group.
var clusterKinds = map[string][]string{
	"": {"Namespace", "Node", "PersistentVolume"},
	"admissionregistration.k8s.io": {
		"MutatingAdmissionPolicy", "MutatingAdmissionPolicyBinding", "MutatingWebhookConfiguration",
		"ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding", "ValidatingWebhookConfiguration",
	},
	"apiextensions.k8s.io":         {"CustomResourceDefinition"},
	"apiregistration.k8s.io":       {"APIService"},
	"certificates.k8s.io":          {"CertificateSigningRequest", "ClusterTrustBundle"},
	"flowcontrol.apiserver.k8s.io": {"FlowSchema", "PriorityLevelConfiguration"},
	"networking.k8s.io":            {"IngressClass", "IPAddress", "ServiceCIDR"},
	"node.k8s.io":                  {"RuntimeClass"},
	"rbac.authorization.k8s.io":    {"ClusterRole", "ClusterRoleBinding"},
	"resource.k8s.io":              {"DeviceClass", "ResourceSlice"},
	"scheduling.k8s.io":            {"PriorityClass"},
	"storage.k8s.io":               {"CSIDriver", "CSINode", "StorageClass", "VolumeAttachment", "VolumeAttributesClass"},
}

// scopes tells which kinds are in no namespace: those of Kubernetes, and those that CRDs of the run define so.
type scopes map[[2]string]bool

func newScopes(releases []manifest.Release) scopes {
	s := scopes{}
	for group, kinds := range clusterKinds {
		for _, kind := range kinds {
			s[[2]string{group, kind}] = true
		}
	}
	for _, r := range releases {
		for _, o := range slices.Concat(r.CRDs, r.Objects) {
			spec, _ := o.Data["spec"].(map[string]any)
			if o.Kind != "CustomResourceDefinition" || spec["scope"] != "Cluster" {
				continue
			}
			group, _ := spec["group"].(string)
			names, _ := spec["names"].(map[string]any)
			kind, _ := names["kind"].(string)
			s[[2]string{group, kind}] = true
		}
	}
	return s
}

// id is the object's identity in the cluster, when its release is in namespace.
func (s scopes) id(o manifest.Object, namespace string) manifest.ID {
	id := o.ID
	switch {
	case s[[2]string{id.Group, id.Kind}]:
		id.Namespace = ""
	case id.Namespace == "":
		id.Namespace = namespace
	}
	return id
}

// twice reports objects that the release renders more than once: the later would silently win.
func (j *job) twice(out manifest.Release) {
	scopes := newScopes([]manifest.Release{out})
	first := map[manifest.ID]manifest.Object{}
	for _, o := range out.Objects {
		id := scopes.id(o, out.Namespace)
		other, ok := first[id]
		if !ok {
			first[id] = o
			continue
		}
		at := j.rendered(o.Source, o.Text)
		d := j.report(diag.RenderDuplicate, at, "%s is rendered twice, by %s and by %s. Give one another name, or drop it.",
			id, other.Source, o.Source)
		d.Secret = o.Kind == "Secret"
		d.Notes = append(d.Notes, diag.Note{Message: "rendered here first", Range: j.rendered(other.Source, other.Text)})
	}
}

// Duplicates reports objects that several releases of a run want: each apply would take them from the other. Objects of
// crds/ folders may stand in several charts, as in Helm, which installs the first.
func Duplicates(releases []manifest.Release) diag.Diagnostics {
	type owner struct {
		release int
		source  string
	}
	scopes := newScopes(releases)
	first := map[manifest.ID]owner{}
	var ds diag.Diagnostics
	for i, r := range releases {
		for _, o := range r.Objects {
			id := scopes.id(o, r.Namespace)
			other, ok := first[id]
			if !ok {
				first[id] = owner{i, o.Source}
				continue
			}
			if other.release == i {
				continue // reported when the release was rendered
			}
			ds = append(ds, diag.Diagnostic{
				Severity: diag.Error,
				Code:     diag.RenderDuplicate,
				Detail: fmt.Sprintf("%s is rendered by two releases, %s (%s) and %s (%s), and an object belongs to one. "+
					"Give one another name, or leave it out of one release.", id, releases[other.release].Key(), other.source, r.Key(), o.Source),
				Range: diag.Range{File: o.Source},
			})
		}
	}
	return ds
}
