package manifest

import "time"

// Stored is a whole record: the release that it holds, and what became of it. Record is the same seen from its labels.
type Stored struct {
	Release
	Status Status
	// Description is Helm's "log entry" about the revision: "Install complete", or what failed.
	Description string
	// FirstDeployed is when the release was first deployed, by any revision; LastDeployed when this one was.
	FirstDeployed time.Time
	LastDeployed  time.Time
	// Labels are the labels of the record, Helm's own left out.
	Labels map[string]string
	// Runs say when and how the hooks last ran, by their place in Hooks. It is empty where none ran.
	Runs map[int]HookRun
	// Seen names the state of the record when it was read. A write that has it is refused (RefusedConflict) where the
	// record was written since; one without it writes over whatever is there.
	Seen string
}

// HookRun is the last execution of a hook. Phase has Helm's words: Running, Succeeded, Failed, Unknown.
type HookRun struct {
	Started   time.Time
	Completed time.Time
	Phase     string
}

// Owner is the release that an object belongs to, as Helm's ownership metadata names it. The zero Owner is none.
type Owner struct {
	Namespace string
	Name      string
}

// IsZero reports whether the object belongs to no release.
func (o Owner) IsZero() bool { return o == Owner{} }

// String is NAMESPACE/NAME.
func (o Owner) String() string { return Key(o.Namespace, o.Name) }

// Owner is the release as the owner of its objects.
func (r Release) Owner() Owner { return Owner{Namespace: r.Namespace, Name: r.Name} }

// The ownership metadata that Helm 3 puts on the objects of a release, and looks for before it touches one
// (helm.sh/helm/v3/pkg/action/validate.go), and its annotation that keeps an object when its release lets go of it.
const (
	ManagedByLabel             = "app.kubernetes.io/managed-by"
	ManagedByHelm              = "Helm"
	ReleaseNameAnnotation      = "meta.helm.sh/release-name"
	ReleaseNamespaceAnnotation = "meta.helm.sh/release-namespace"
	ResourcePolicyAnnotation   = "helm.sh/resource-policy"
)

// OwnerOf reads the ownership metadata of an object. It is the zero Owner where the object has none.
func OwnerOf(data map[string]any) Owner {
	metadata, _ := data["metadata"].(map[string]any)
	labels, _ := metadata["labels"].(map[string]any)
	annotations, _ := metadata["annotations"].(map[string]any)
	if labels[ManagedByLabel] != ManagedByHelm {
		return Owner{}
	}
	name, _ := annotations[ReleaseNameAnnotation].(string)
	namespace, _ := annotations[ReleaseNamespaceAnnotation].(string)
	if name == "" {
		return Owner{}
	}
	return Owner{Namespace: namespace, Name: name}
}

// Kept reports whether the object asks to stay when its release lets go of it (helm.sh/resource-policy: keep).
func Kept(data map[string]any) bool {
	metadata, _ := data["metadata"].(map[string]any)
	annotations, _ := metadata["annotations"].(map[string]any)
	return annotations[ResourcePolicyAnnotation] == "keep"
}
