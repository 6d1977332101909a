package cluster

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/util/csaupgrade"

	"github.com/redkubes/otomi/pkg/manifest"
	"github.com/redkubes/otomi/pkg/parallel"
)

// atOnce bounds the requests that one call makes side by side.
const atOnce = 8

// helmManagers are the managers under which helm owns the fields that it wrote: the base name of its program.
var helmManagers = sets.New("helm", "helm3")

// clientSideManagers are those that may own what was in the object before the first server-side apply.
var clientSideManagers = helmManagers.Union(sets.New("before-first-apply", "kubectl-client-side-apply"))

var namespaces = schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}

// Place gives each object the namespace it lands in: namespace where it names none, and none where its kind has none.
// Known says which kinds the cluster serves; an object of another kind stays as it is.
func (c *Client) Place(ctx context.Context, namespace string, objects []manifest.Object) ([]manifest.Object, []bool, error) {
	placed := make([]manifest.Object, len(objects))
	known := make([]bool, len(objects))
	for i, o := range objects {
		m, found, err := c.mapping(schema.GroupKind{Group: o.Group, Kind: o.Kind}, o.Version)
		if err != nil {
			return nil, nil, err
		}
		if err := ctx.Err(); err != nil {
			return nil, nil, err
		}
		if found && m.Scope.Name() != meta.RESTScopeNameNamespace {
			o.Namespace = ""
		} else if found && o.Namespace == "" {
			o.Namespace = namespace
		}
		placed[i], known[i] = o, found
	}
	return placed, known, nil
}

// Get reads a placed object. An object whose kind or namespace the cluster does not have is not found.
func (c *Client) Get(ctx context.Context, o manifest.Object) (map[string]any, bool, error) {
	resource, found, err := c.resource(o)
	if err != nil || !found {
		return nil, false, err
	}
	live, err := resource.Get(ctx, o.Name, metav1.GetOptions{})
	if isNotFound(err) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, refused("reading", o.ID, err)
	}
	return live.Object, true, nil
}

// DryRun applies a placed object without writing it, and returns what it would become. The error is a *manifest.Refusal
// where the API server would not take it. Where it would take the object only if it were made anew, the reason is
// RefusedImmutable and what it would then be is returned beside the error.
func (c *Client) DryRun(ctx context.Context, o manifest.Object, owner manifest.Owner) (map[string]any, error) {
	resource, err := c.mustResource(o)
	if err != nil {
		return nil, err
	}
	wanted, err := prepared(o, owner)
	if err != nil {
		return nil, err
	}
	out, err := patch(ctx, resource, o, wanted, true)
	if err == nil {
		return out.Object, nil
	}
	answer := refused("comparing", o.ID, err)
	var refusal *manifest.Refusal
	if apierrors.IsInvalid(err) && errors.As(answer, &refusal) {
		if anew := c.anew(ctx, resource, o, wanted); anew != nil {
			refusal.Reason = manifest.RefusedImmutable
			return anew, refusal
		}
	}
	return nil, answer
}

// anew is what an object that is there and was refused would be if it were made anew, found out under a name of its own; nil
// where it would be refused then, too. If not, the object is fine and the change is wrong; the API server's answer to an
// apply alone does not say which.
func (c *Client) anew(ctx context.Context, resource dynamic.ResourceInterface, o manifest.Object, wanted map[string]any) map[string]any {
	if _, err := resource.Get(ctx, o.Name, metav1.GetOptions{}); err != nil {
		return nil
	}
	body := maps.Clone(wanted)
	md := maps.Clone(body["metadata"].(map[string]any))
	name := o.Name
	if len(name) > 40 {
		name = name[:40]
	}
	name += "-otomi-dry-run"
	md["name"] = name
	body["metadata"] = md
	out, err := resource.Create(ctx, &unstructured.Unstructured{Object: body}, metav1.CreateOptions{
		FieldManager: FieldManager, DryRun: []string{metav1.DryRunAll},
	})
	if err != nil {
		return nil
	}
	return renamed(out.Object, name, o.Name).(map[string]any)
}

// renamed is a JSON value in which one string is another: a name that the server copies into labels and selectors.
func renamed(v any, from, to string) any {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			v[k] = renamed(e, from, to)
		}
	case []any:
		for i, e := range v {
			v[i] = renamed(e, from, to)
		}
	case string:
		if v == from {
			return to
		}
	}
	return v
}

// Apply makes a placed object what is wanted, by a server-side apply that takes the fields it needs, and returns the print
// of the result. The error is a *manifest.Refusal with the reason RefusedConflict where the live object is not the one that
// o.Seen and o.UID name.
func (c *Client) Apply(ctx context.Context, o manifest.Object, owner manifest.Owner) (string, error) {
	resource, err := c.mustResource(o)
	if err != nil {
		return "", err
	}
	wanted, err := prepared(o, owner)
	if err != nil {
		return "", err
	}
	guard(wanted["metadata"].(map[string]any), o)
	for i := 1; ; i++ {
		out, err := patch(ctx, resource, o, wanted, false)
		if err == nil {
			return fieldPrint(out.GetUID(), out.GetManagedFields())
		}
		if !settling(err) || i == attempts || pause(ctx, backoff(i)) != nil {
			return "", refused("applying", o.ID, err)
		}
	}
}

// neverSeen is a resource version that no object has: etcd's first revision is taken before any object is written. A
// server-side apply that carries it makes an object that is not there, and is refused where one is.
const neverSeen = "1"

// guard puts what o says of the live object into the metadata that is sent.
func guard(metadata map[string]any, o manifest.Object) {
	switch {
	case o.Seen == manifest.Absent:
		metadata["resourceVersion"] = neverSeen
	case o.Seen != "":
		metadata["resourceVersion"] = o.Seen
	}
	if o.UID != "" {
		// Without it an object that was deleted meanwhile would be made anew.
		metadata["uid"] = o.UID
	}
}

// settling reports whether a refusal may come from what was installed a moment ago: a webhook that does not answer yet, a
// kind that not every API server serves yet.
func settling(err error) bool {
	var answer apierrors.APIStatus
	if apierrors.IsNotFound(err) && errors.As(err, &answer) {
		details := answer.Status().Details
		return details == nil || details.Kind != "namespaces"
	}
	return apierrors.IsInternalError(err)
}

// TakeFields makes the fields of a placed object ours that helm wrote, and where we own none in it yet also those of kubectl's
// client-side apply: else what the manifest no longer has would stay. It changes nothing but who owns them, by one patch that
// the resource version guards, and returns the resource version that the object has then: the one to write over. The error
// is a *manifest.Refusal with the reason RefusedConflict where the live object is not the one that o.Seen and o.UID name.
func (c *Client) TakeFields(ctx context.Context, o manifest.Object) (string, error) {
	resource, err := c.mustMetadata(o)
	if err != nil {
		return "", err
	}
	for try := 1; ; try++ {
		live, err := resource.Get(ctx, o.Name, metav1.GetOptions{})
		if isNotFound(err) && o.Seen == "" {
			return "", nil
		}
		if err != nil && !isNotFound(err) {
			return "", refused("reading", o.ID, err)
		}
		if err != nil || o.Seen != "" && live.ResourceVersion != o.Seen || o.UID != "" && string(live.UID) != o.UID {
			return "", &manifest.Refusal{ID: o.ID, Reason: manifest.RefusedConflict, Message: "the object has been modified"}
		}
		body, err := csaupgrade.UpgradeManagedFieldsPatch(live, foreign(live.ManagedFields), FieldManager)
		if err != nil {
			return "", fmt.Errorf("taking over the fields of %s: %w", o.ID, err)
		}
		if body == nil {
			return o.Seen, nil
		}
		after, err := resource.Patch(ctx, o.Name, types.JSONPatchType, body, metav1.PatchOptions{FieldManager: FieldManager})
		if err == nil {
			if o.Seen == "" {
				return "", nil
			}
			return after.ResourceVersion, nil
		}
		if !apierrors.IsConflict(err) || try == 3 {
			return "", refused("taking over the fields of", o.ID, err)
		}
	}
}

// foreign are the managers whose fields we take. Once we own fields, what someone adds with kubectl is theirs.
func foreign(entries []metav1.ManagedFieldsEntry) sets.Set[string] {
	for _, e := range entries {
		if e.Manager == FieldManager && e.Operation == metav1.ManagedFieldsOperationApply && e.Subresource == "" {
			return helmManagers
		}
	}
	return clientSideManagers
}

// patch sends a server-side apply.
func patch(
	ctx context.Context, resource dynamic.ResourceInterface, o manifest.Object, wanted map[string]any, dryRun bool,
) (*unstructured.Unstructured, error) {
	body, err := json.Marshal(wanted)
	if err != nil {
		return nil, fmt.Errorf("encoding %s: %w", o.ID, err)
	}
	force := true
	options := metav1.PatchOptions{FieldManager: FieldManager, Force: &force}
	if dryRun {
		options.DryRun = []string{metav1.DryRunAll}
	}
	return resource.Patch(ctx, o.Name, types.ApplyPatchType, body, options)
}

// Create makes a placed object, without ownership metadata. It fails where the object is there already. The caller knows that it
// was not: so one that is there after a try whose answer was lost is the one that was to be made.
func (c *Client) Create(ctx context.Context, o manifest.Object) error {
	resource, err := c.mustResource(o)
	if err != nil {
		return err
	}
	wanted, err := prepared(o, manifest.Owner{})
	if err != nil {
		return err
	}
	for i := 1; ; i++ {
		_, err = resource.Create(ctx, &unstructured.Unstructured{Object: wanted}, metav1.CreateOptions{FieldManager: FieldManager})
		if err == nil || i > 1 && apierrors.IsAlreadyExists(err) {
			return nil
		}
		if !unsure(err) || i == attempts || pause(ctx, backoff(i)) != nil {
			return refused("creating", o.ID, err)
		}
	}
}

// unsure reports whether what ended in an error may have arrived, or arrive when it is tried again.
func unsure(err error) bool {
	var answer apierrors.APIStatus
	if !errors.As(err, &answer) {
		return !lasting(err)
	}
	code := answer.Status().Code
	return code == http.StatusTooManyRequests || code >= http.StatusInternalServerError
}

// Delete begins to delete a placed object, and what it owns as its Cascade says, and says whether it did. With an owner, an
// object that does not belong to it or asks to be kept (helm.sh/resource-policy) stays. One that is not there is fine. One
// that has another UID than o names is a conflict (RefusedConflict).
func (c *Client) Delete(ctx context.Context, o manifest.Object, owner manifest.Owner) (bool, error) {
	resource, found, err := c.metadataOf(o)
	if err != nil || !found {
		return false, err
	}
	propagation := metav1.DeletePropagationBackground
	switch o.Cascade {
	case "foreground":
		propagation = metav1.DeletePropagationForeground
	case "orphan":
		propagation = metav1.DeletePropagationOrphan
	}
	options := metav1.DeleteOptions{PropagationPolicy: &propagation}
	if o.UID != "" {
		options.Preconditions = &metav1.Preconditions{UID: (*types.UID)(&o.UID)}
	}
	if !owner.IsZero() {
		live, err := resource.Get(ctx, o.Name, metav1.GetOptions{})
		if isNotFound(err) {
			return false, nil
		}
		if err != nil {
			return false, refused("reading", o.ID, err)
		}
		if ownerOf(live) != owner || live.Annotations[manifest.ResourcePolicyAnnotation] == "keep" {
			return false, nil
		}
		if o.UID == "" {
			options.Preconditions = &metav1.Preconditions{UID: &live.UID}
		}
	}
	err = resource.Delete(ctx, o.Name, options)
	if isNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, refused("deleting", o.ID, err)
	}
	return true, nil
}

// ownerOf reads the ownership metadata of an object.
func ownerOf(o *metav1.PartialObjectMetadata) manifest.Owner {
	if o.Labels[manifest.ManagedByLabel] != manifest.ManagedByHelm {
		return manifest.Owner{}
	}
	return manifest.Owner{
		Namespace: o.Annotations[manifest.ReleaseNamespaceAnnotation],
		Name:      o.Annotations[manifest.ReleaseNameAnnotation],
	}
}

// CreateNamespace makes a namespace where it is not there, as Helm does. One that is being deleted is waited for.
func (c *Client) CreateNamespace(ctx context.Context, name string) error {
	id := manifest.ID{Kind: "Namespace", Name: name}
	for i := 1; ; i++ {
		live, err := c.metadata.Resource(namespaces).Get(ctx, name, metav1.GetOptions{})
		switch {
		case err == nil && live.DeletionTimestamp == nil:
			return nil
		case err == nil:
			if err := pause(ctx, 500*time.Millisecond); err != nil {
				return fmt.Errorf("waiting until the former namespace %s is gone: %w", name, err)
			}
			continue
		case !isNotFound(err):
			return refused("reading", id, err)
		}
		namespace := &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "v1",
			"kind":       "Namespace",
			"metadata":   map[string]any{"name": name, "labels": map[string]any{"name": name}},
		}}
		_, err = c.dynamic.Resource(namespaces).Create(ctx, namespace, metav1.CreateOptions{FieldManager: "otomi-namespace"})
		if err != nil && unsure(err) && i < attempts && pause(ctx, backoff(i)) == nil {
			continue
		}
		if err != nil && !apierrors.IsAlreadyExists(err) {
			return refused("creating", id, err)
		}
		return nil
	}
}

// Prints returns, for each of the placed objects that is there and in which otomi owns fields, a digest of its UID and of
// those fields. A foreign write to one of them takes it from us, so drift shows as another print. One request for each kind,
// for metadata alone, among the objects that a Helm release owns; of CRDs and of kinds of which some
// are shared among all, since what is in a crds/ folder has no owner. Who may not list a kind in all namespaces is asked for those that the objects are in.
func (c *Client) Prints(ctx context.Context, objects []manifest.Object) (map[manifest.ID]string, error) {
	prints := make(map[manifest.ID]string, len(objects))
	err := c.eachOwned(ctx, objects, func(id manifest.ID, item *metav1.PartialObjectMetadata) {
		if item.DeletionTimestamp != nil {
			return
		}
		if p, err := fieldPrint(item.UID, item.ManagedFields); err == nil && p != "" {
			prints[id] = p
		}
	})
	if err != nil {
		return nil, err
	}
	return prints, nil
}

// Versions returns the resource version and UID of those of the placed objects that are there, as Prints finds them.
func (c *Client) Versions(ctx context.Context, objects []manifest.Object) (map[manifest.ID]manifest.Version, error) {
	versions := make(map[manifest.ID]manifest.Version, len(objects))
	err := c.eachOwned(ctx, objects, func(id manifest.ID, item *metav1.PartialObjectMetadata) {
		versions[id] = manifest.Version{Seen: item.ResourceVersion, UID: string(item.UID)}
	})
	if err != nil {
		return nil, err
	}
	return versions, nil
}

// eachOwned calls found, from one goroutine at a time, for each of the placed objects that a Helm release owns, and for CRDs
// and shared ones whoever owns them: one request for each kind.
func (c *Client) eachOwned(
	ctx context.Context, objects []manifest.Object, found func(manifest.ID, *metav1.PartialObjectMetadata),
) error {
	type kind struct {
		mapping *meta.RESTMapping
		wanted  map[types.NamespacedName]manifest.ID
		// whole says that some are shared, and have no label by which to list them.
		whole bool
	}
	kinds := map[schema.GroupVersionResource]*kind{}
	for _, o := range objects {
		m, known, err := c.mapping(schema.GroupKind{Group: o.Group, Kind: o.Kind}, o.Version)
		if err != nil {
			return err
		}
		if !known {
			continue
		}
		k := kinds[m.Resource]
		if k == nil {
			k = &kind{mapping: m, wanted: map[types.NamespacedName]manifest.ID{}}
			kinds[m.Resource] = k
		}
		k.wanted[types.NamespacedName{Namespace: o.Namespace, Name: o.Name}] = o.ID
		k.whole = k.whole || o.Shared || o.Kind == "CustomResourceDefinition"
	}
	var mu sync.Mutex
	group, ctx := parallel.WithContext(ctx)
	group.SetLimit(atOnce)
	for _, k := range kinds {
		group.Go(func() error {
			items, err := c.listOwned(ctx, k.mapping, slices.Collect(maps.Keys(k.wanted)), k.whole)
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			for i := range items {
				if id, ok := k.wanted[types.NamespacedName{Namespace: items[i].Namespace, Name: items[i].Name}]; ok {
					found(id, &items[i])
				}
			}
			return nil
		})
	}
	return group.Wait()
}

// helmSecretType is the type of the Secrets that are release records.
const helmSecretType = "helm.sh/release.v1"

// listOwned lists the metadata of the objects of a kind, those that a Helm release owns or, with whole, all: in the whole cluster with one request, or,
// where that is forbidden, in the namespaces of the wanted objects.
func (c *Client) listOwned(
	ctx context.Context, m *meta.RESTMapping, wanted []types.NamespacedName, whole bool,
) ([]metav1.PartialObjectMetadata, error) {
	options := metav1.ListOptions{LabelSelector: manifest.ManagedByLabel + "=" + manifest.ManagedByHelm}
	if whole {
		options.LabelSelector = ""
		if m.Resource == secrets {
			options.FieldSelector = "type!=" + helmSecretType
		}
	}
	list, err := c.metadata.Resource(m.Resource).List(ctx, options)
	if err == nil {
		return list.Items, nil
	}
	if !apierrors.IsForbidden(err) || m.Scope.Name() != meta.RESTScopeNameNamespace {
		return nil, fmt.Errorf("listing the %s of the cluster: %w", m.Resource.Resource, listError(err))
	}
	var spaces []string
	for _, name := range wanted {
		spaces = append(spaces, name.Namespace)
	}
	slices.Sort(spaces)
	var items []metav1.PartialObjectMetadata
	for _, namespace := range slices.Compact(spaces) {
		list, err := c.metadata.Resource(m.Resource).Namespace(namespace).List(ctx, options)
		if err != nil {
			return nil, fmt.Errorf("listing the %s of namespace %s: %w", m.Resource.Resource, namespace, listError(err))
		}
		items = append(items, list.Items...)
	}
	return items, nil
}

// fieldPrint is a digest of an object's UID and of the fields that we own by apply. It is empty where we own none. The
// fields are brought into one form first: the server writes their keys in another order on a later read.
func fieldPrint(uid types.UID, entries []metav1.ManagedFieldsEntry) (string, error) {
	for _, e := range entries {
		if e.Manager != FieldManager || e.Operation != metav1.ManagedFieldsOperationApply || e.Subresource != "" || e.FieldsV1 == nil {
			continue
		}
		raw, err := json.Marshal(e.FieldsV1)
		if err != nil {
			return "", fmt.Errorf("reading managed fields: %w", err)
		}
		var fields map[string]any
		if err := json.Unmarshal(raw, &fields); err != nil {
			return "", fmt.Errorf("reading managed fields: %w", err)
		}
		canonical, err := json.Marshal(fields)
		if err != nil {
			return "", fmt.Errorf("reading managed fields: %w", err)
		}
		h := sha256.New()
		h.Write([]byte(uid))
		h.Write([]byte{0})
		h.Write(canonical)
		return hex.EncodeToString(h.Sum(nil)[:20]), nil
	}
	return "", nil
}

// prepared is what is sent of an object: its data with its place and its owner; a Secret's stringData moved to data,
// without which keys that went away would stay; and no rules of an aggregated ClusterRole, which are the control plane's.
func prepared(o manifest.Object, owner manifest.Owner) (map[string]any, error) {
	data := maps.Clone(o.Data)
	old, _ := data["metadata"].(map[string]any)
	md := maps.Clone(old)
	delete(md, "creationTimestamp")
	delete(md, "namespace")
	if o.Namespace != "" {
		md["namespace"] = o.Namespace
	}
	if !owner.IsZero() {
		md["labels"] = with(md["labels"], map[string]string{manifest.ManagedByLabel: manifest.ManagedByHelm})
		md["annotations"] = with(md["annotations"], map[string]string{
			manifest.ReleaseNameAnnotation:      owner.Name,
			manifest.ReleaseNamespaceAnnotation: owner.Namespace,
		})
	}
	data["metadata"] = md
	if o.Kind == "ClusterRole" && o.Group == "rbac.authorization.k8s.io" && data["aggregationRule"] != nil {
		delete(data, "rules")
	}
	if o.Kind == "Secret" && o.Group == "" {
		if plain, ok := data["stringData"].(map[string]any); ok {
			encoded, _ := data["data"].(map[string]any)
			encoded = maps.Clone(encoded)
			if encoded == nil {
				encoded = map[string]any{}
			}
			for key, v := range plain {
				text, ok := v.(string)
				if !ok {
					return nil, &manifest.Refusal{ID: o.ID, Reason: manifest.RefusedInvalid,
						Message: "stringData." + key + " is not a string: quote it"}
				}
				encoded[key] = base64.StdEncoding.EncodeToString([]byte(text))
			}
			data["data"] = encoded
		}
		delete(data, "stringData")
	}
	return plain(data).(map[string]any), nil
}

// with is a map of strings with more in it.
func with(v any, more map[string]string) map[string]any {
	old, _ := v.(map[string]any)
	out := make(map[string]any, len(old)+len(more))
	maps.Copy(out, old)
	for k, s := range more {
		out[k] = s
	}
	return out
}

// plain copies a JSON value, its whole numbers as int64: client-go's own copying panics on an int.
func plain(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, e := range v {
			out[k] = plain(e)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = plain(e)
		}
		return out
	case int:
		return int64(v)
	case float64:
		if whole := int64(v); float64(whole) == v && v > -1<<53 && v < 1<<53 {
			return whole
		}
	}
	return v
}

// resource is where a placed object is written and read. Found is false where the cluster does not serve its kind.
func (c *Client) resource(o manifest.Object) (dynamic.ResourceInterface, bool, error) {
	m, found, err := c.mapping(schema.GroupKind{Group: o.Group, Kind: o.Kind}, o.Version)
	if err != nil || !found {
		return nil, false, err
	}
	if o.Namespace == "" {
		return c.dynamic.Resource(m.Resource), true, nil
	}
	return c.dynamic.Resource(m.Resource).Namespace(o.Namespace), true, nil
}

// mustResource is resource with an unknown kind as a refusal.
func (c *Client) mustResource(o manifest.Object) (dynamic.ResourceInterface, error) {
	r, found, err := c.resource(o)
	if err == nil && !found {
		err = unknownKind(o)
	}
	return r, err
}

// metadataOf is resource for the metadata alone.
func (c *Client) metadataOf(o manifest.Object) (metadata.ResourceInterface, bool, error) {
	m, found, err := c.mapping(schema.GroupKind{Group: o.Group, Kind: o.Kind}, o.Version)
	if err != nil || !found {
		return nil, false, err
	}
	if o.Namespace == "" {
		return c.metadata.Resource(m.Resource), true, nil
	}
	return c.metadata.Resource(m.Resource).Namespace(o.Namespace), true, nil
}

// mustMetadata is metadataOf with an unknown kind as a refusal.
func (c *Client) mustMetadata(o manifest.Object) (metadata.ResourceInterface, error) {
	r, found, err := c.metadataOf(o)
	if err == nil && !found {
		err = unknownKind(o)
	}
	return r, err
}

// unknownKind refuses an object whose kind the cluster does not serve.
func unknownKind(o manifest.Object) error {
	return &manifest.Refusal{ID: o.ID, Reason: manifest.RefusedUnknownKind, Message: fmt.Sprintf(
		"the cluster does not know the kind %s of %s: install its CustomResourceDefinition in an earlier runlevel, or correct apiVersion and kind",
		o.Kind, o.APIVersion())}
}

// pause waits, or until ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}
