// Package manifest is a rendered Kubernetes object: its identity, its text and its place in the order of things.
//
// It parses the documents of a manifest and orders them. It does not render (package render does) and talks to no server.
package manifest

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// ID identifies an object. The version of its API is no part of it: apps/v1 and apps/v1beta1 name one Deployment.
type ID struct {
	Group     string `json:"group,omitempty"`
	Kind      string `json:"kind"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
}

// String is "kind.group namespace/name", for messages: "Deployment.apps team-alpha/web", "Namespace team-alpha".
func (id ID) String() string {
	kind := id.Kind
	if id.Group != "" {
		kind += "." + id.Group
	}
	if id.Namespace == "" {
		return kind + " " + id.Name
	}
	return kind + " " + id.Namespace + "/" + id.Name
}

// Object is one rendered object.
type Object struct {
	ID
	// Version is the version of its API ("v1").
	Version string
	// Source is the template that made it, as Helm names it: CHART/templates/FILE.
	Source string
	// Text is the document as it was rendered, without the "# Source:" line.
	Text string
	// Data is the document read as JSON; nobody changes it.
	Data map[string]any
	// Cascade is how what an object that is deleted owns goes, in Helm's words: foreground, orphan, and background where it is
	// empty.
	Cascade string
	// Seen is the state of the live object that a write may replace: its resource version, or Absent where there must be none.
	// UID is that object's. The writes of a cluster are refused (RefusedConflict) where it is otherwise; empty, they are not
	// guarded.
	Seen string
	UID  string
	// Shared says that it belongs to no release: what charts have in crds/ does not, whatever its kind, as with Helm.
	Shared bool
}

// Shared are objects as those of a crds/ folder.
func Shared(objects []Object) []Object {
	out := slices.Clone(objects)
	for i := range out {
		out[i].Shared = true
	}
	return out
}

// Version is a state of a live object.
type Version struct {
	// Seen is its resource version.
	Seen string
	UID  string
}

// Absent is the Seen of an object that must not be there.
const Absent = "absent"

// APIVersion is the object's apiVersion: "apps/v1", "v1".
func (o Object) APIVersion() string {
	return schema.GroupVersion{Group: o.Group, Version: o.Version}.String()
}

// New makes an object of the data of a document. The error says which of apiVersion, kind and metadata.name is missing.
func New(data map[string]any, text, source string) (Object, error) {
	apiVersion, _ := data["apiVersion"].(string)
	kind, _ := data["kind"].(string)
	metadata, _ := data["metadata"].(map[string]any)
	name, _ := metadata["name"].(string)
	namespace, _ := metadata["namespace"].(string)
	var missing []string
	if apiVersion == "" {
		missing = append(missing, "apiVersion")
	}
	if kind == "" {
		missing = append(missing, "kind")
	}
	if name == "" {
		missing = append(missing, "metadata.name")
	}
	if len(missing) > 0 {
		return Object{}, fmt.Errorf("the object has no %s", strings.Join(missing, ", no "))
	}
	gv, err := schema.ParseGroupVersion(apiVersion)
	if err != nil {
		return Object{}, fmt.Errorf("reading apiVersion %q: %w", apiVersion, err)
	}
	return Object{
		ID:      ID{Group: gv.Group, Kind: kind, Namespace: namespace, Name: name},
		Version: gv.Version,
		Source:  source,
		Text:    text,
		Data:    data,
	}, nil
}

// Hook is an object that Helm runs at certain events instead of keeping it in the release.
type Hook struct {
	Object
	// Events are the events of the hook, in Helm's words: pre-install, post-upgrade, test, …
	Events []Event
	// Weight orders the hooks of one event, the lowest first.
	Weight int
	// DeletePolicies say when the object goes away: before-hook-creation, hook-succeeded, hook-failed.
	DeletePolicies []DeletePolicy
}

// Event is a moment at which hooks run.
type Event string

// The events, as in Helm's annotation helm.sh/hook.
const (
	PreInstall   Event = "pre-install"
	PostInstall  Event = "post-install"
	PreUpgrade   Event = "pre-upgrade"
	PostUpgrade  Event = "post-upgrade"
	PreDelete    Event = "pre-delete"
	PostDelete   Event = "post-delete"
	PreRollback  Event = "pre-rollback"
	PostRollback Event = "post-rollback"
	Test         Event = "test"
)

// DeletePolicy says when a hook's object is deleted.
type DeletePolicy string

// The policies, as in Helm's annotation helm.sh/hook-delete-policy.
const (
	BeforeHookCreation DeletePolicy = "before-hook-creation"
	HookSucceeded      DeletePolicy = "hook-succeeded"
	HookFailed         DeletePolicy = "hook-failed"
)

// Runs reports whether the hook runs at event.
func (h Hook) Runs(event Event) bool {
	for _, e := range h.Events {
		if e == event {
			return true
		}
	}
	return false
}
