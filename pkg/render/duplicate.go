package render

import (
	"fmt"
	"strings"

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

func newScopes() scopes {
	s := scopes{}
	for group, kinds := range clusterKinds {
		for _, kind := range kinds {
			s[[2]string{group, kind}] = true
		}
	}
	return s
}

// add notes which kinds the definitions among objects put in no namespace.
func (s scopes) add(objects []manifest.Object) {
	for _, o := range objects {
		if o.Kind != "CustomResourceDefinition" {
			continue
		}
		spec, _ := o.Data["spec"].(map[string]any)
		if spec["scope"] != "Cluster" {
			continue
		}
		group, _ := spec["group"].(string)
		names, _ := spec["names"].(map[string]any)
		kind, _ := names["kind"].(string)
		s[[2]string{strings.Clone(group), strings.Clone(kind)}] = true
	}
}

// id is the object's identity in the cluster, when its release is in namespace.
func (s scopes) id(id manifest.ID, namespace string) manifest.ID {
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
	scopes := newScopes()
	scopes.add(out.CRDs)
	scopes.add(out.Objects)
	first := map[manifest.ID]manifest.Object{}
	for _, o := range out.Objects {
		id := scopes.id(o.ID, out.Namespace)
		other, ok := first[id]
		if !ok {
			first[id] = o
			continue
		}
		if len(j.diags) >= maxProblems {
			return
		}
		at := j.rendered(o.Source, o.Text)
		if o.Source == other.Source && o.Text == other.Text {
			at = j.renderedAgain(o.Source, o.Text, 1)
		}
		d := j.report(diag.RenderDuplicate, at, "%s is rendered twice, by %s and by %s. Give one another name, or drop it.",
			id, other.Source, o.Source)
		d.Secret = o.Kind == "Secret"
		d.Notes = append(d.Notes, diag.Note{Message: "rendered here first", Range: j.rendered(other.Source, other.Text)})
		d.Notes = append(d.Notes, j.from(o.Source, at)...)
	}
}

// Duplicates reports objects that several releases of a run want: see Wanted.
func Duplicates(releases []manifest.Release) diag.Diagnostics {
	var w Wanted
	for _, r := range releases {
		w.Add(r)
	}
	return w.Duplicates()
}

// Wanted is what the releases of a run want to own. It keeps the identities of their objects, and nothing else of them. The
// zero value is empty.
type Wanted struct {
	owners []owner
	scopes scopes
	// texts has each of the strings once: kinds and namespaces are few.
	texts map[string]string
}

// owner is a release, or what it wants.
type owner struct {
	release, namespace string
	id                 manifest.ID
	source             string
}

// Add adds the objects of a release.
func (w *Wanted) Add(r manifest.Release) {
	if w.texts == nil {
		w.texts, w.scopes = map[string]string{}, newScopes()
	}
	w.scopes.add(r.CRDs)
	w.scopes.add(r.Objects)
	key, namespace := w.text(r.Key()), w.text(r.Namespace)
	for _, o := range r.Objects {
		id := manifest.ID{Group: w.text(o.Group), Kind: w.text(o.Kind), Namespace: w.text(o.Namespace), Name: w.text(o.Name)}
		w.owners = append(w.owners, owner{release: key, namespace: namespace, id: id, source: w.text(o.Source)})
	}
}

// text is a copy of s that keeps nothing else in memory: s may be a part of a whole manifest.
func (w *Wanted) text(s string) string {
	if known, ok := w.texts[s]; ok {
		return known
	}
	s = strings.Clone(s)
	w.texts[s] = s
	return s
}

// Duplicates reports objects that several of the releases want: each apply would take them from the other. Objects of
// crds/ folders may stand in several charts, as in Helm, which installs the first.
func (w *Wanted) Duplicates() diag.Diagnostics {
	first := map[manifest.ID]owner{}
	var ds diag.Diagnostics
	for _, o := range w.owners {
		id := w.scopes.id(o.id, o.namespace)
		other, ok := first[id]
		if !ok {
			first[id] = o
			continue
		}
		if other.release == o.release {
			continue // reported when the release was rendered
		}
		ds = append(ds, diag.Diagnostic{
			Severity: diag.Error,
			Code:     diag.RenderDuplicate,
			Detail: fmt.Sprintf("%s is rendered by two releases, %s (%s) and %s (%s), and an object belongs to one. "+
				"Give one another name, or leave it out of one release.", id, other.release, other.source, o.release, o.source),
			Range: diag.Range{File: o.source},
		})
	}
	return ds
}
