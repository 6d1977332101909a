package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"helm.sh/helm/v3/pkg/storage/driver"

	"github.com/redkubes/otomi/pkg/manifest"
	"github.com/redkubes/otomi/pkg/parallel"
)

// explained is how many objects that are not ready are looked into, which costs requests for each.
const explained = 20

// Deployed reads the deployed revisions of all releases of the cluster with one request; who may not do that is asked for those
// of some namespaces. A record that can't be decoded is left out, as Helm leaves it out.
func (c *Client) Deployed(ctx context.Context, namespaces []string) ([]manifest.Stored, error) {
	found, err := c.deployed(ctx, metav1.NamespaceAll)
	if apierrors.IsForbidden(err) {
		err = nil
		for _, namespace := range namespaces {
			some, failure := c.deployed(ctx, namespace)
			found, err = append(found, some...), errors.Join(err, failure)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("reading the deployed releases: %w", listError(err))
	}
	return found, nil
}

func (c *Client) deployed(ctx context.Context, namespace string) ([]manifest.Stored, error) {
	bound := &boundSecrets{SecretInterface: c.core.Secrets(namespace), ctx: ctx}
	found, err := driver.NewSecrets(bound).Query(map[string]string{"owner": "helm", "status": "deployed"})
	if err != nil && !errors.Is(err, driver.ErrReleaseNotFound) {
		return nil, err
	}
	out := make([]manifest.Stored, 0, len(found))
	for _, r := range found {
		if stored, err := fromHelm(r); err == nil {
			out = append(out, stored)
		}
	}
	return out, nil
}

// Readiness judges placed objects as WaitReady does, with one request for each kind. Of the first of those that are not ready it
// finds out why: what their containers wait for or how they ended, and the last warning about them.
func (c *Client) Readiness(ctx context.Context, objects []manifest.Object) (map[manifest.ID]manifest.Readiness, error) {
	kinds := map[schema.GroupVersionKind][]manifest.Object{}
	for _, o := range objects {
		gvk := schema.GroupVersionKind{Group: o.Group, Version: o.Version, Kind: o.Kind}
		kinds[gvk] = append(kinds[gvk], o)
	}
	live := map[manifest.ID]*unstructured.Unstructured{}
	var mu sync.Mutex
	group, reading := parallel.WithContext(ctx)
	group.SetLimit(atOnce)
	for gvk, wanted := range kinds {
		group.Go(func() error {
			found, err := c.owned(reading, gvk, wanted)
			mu.Lock()
			defer mu.Unlock()
			maps.Copy(live, found)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	out := make(map[manifest.ID]manifest.Readiness, len(objects))
	n := 0
	for _, o := range objects {
		u := live[o.ID]
		v := verdict{message: "it is not there"}
		switch {
		case u != nil && readyAtOnce[schema.GroupKind{Group: o.Group, Kind: o.Kind}]:
			v = verdict{ready: true}
		case u != nil:
			v = readiness(u)
		}
		if !v.ready && u != nil && n < explained {
			n++
			v.message = c.explain(ctx, o, u, v.message)
		}
		out[o.ID] = manifest.Readiness{Ready: v.ready, Failed: v.failed, Message: v.message}
	}
	return out, nil
}

// owned reads the objects of one kind that belong to releases, those that are wanted: with one request, or where that is
// forbidden with one for each namespace.
func (c *Client) owned(ctx context.Context, gvk schema.GroupVersionKind, wanted []manifest.Object) (map[manifest.ID]*unstructured.Unstructured, error) {
	m, known, err := c.mapping(gvk.GroupKind(), gvk.Version)
	if err != nil || !known {
		return nil, err
	}
	ids := map[string]manifest.ID{}
	var spaces []string
	for _, o := range wanted {
		ids[o.Namespace+"/"+o.Name] = o.ID
		spaces = append(spaces, o.Namespace)
	}
	found := map[manifest.ID]*unstructured.Unstructured{}
	if readyAtOnce[gvk.GroupKind()] {
		// Being there is all that they have to do, and their content may be large.
		err := c.eachOwned(ctx, wanted, func(id manifest.ID, _ *metav1.PartialObjectMetadata) { found[id] = &unstructured.Unstructured{} })
		return found, err
	}
	options := metav1.ListOptions{LabelSelector: manifest.ManagedByLabel + "=" + manifest.ManagedByHelm}
	if gvk.Kind == "CustomResourceDefinition" {
		options.LabelSelector = ""
	}
	var items []unstructured.Unstructured
	list, err := c.dynamic.Resource(m.Resource).List(ctx, options)
	switch {
	case err == nil:
		items = list.Items
	case apierrors.IsForbidden(err) && m.Scope.Name() == meta.RESTScopeNameNamespace:
		slices.Sort(spaces)
		for _, namespace := range slices.Compact(spaces) {
			list, err := c.dynamic.Resource(m.Resource).Namespace(namespace).List(ctx, options)
			if err != nil {
				return nil, fmt.Errorf("listing the %s of namespace %s: %w", m.Resource.Resource, namespace, listError(err))
			}
			items = append(items, list.Items...)
		}
	default:
		return nil, fmt.Errorf("listing the %s of the cluster: %w", m.Resource.Resource, listError(err))
	}
	for i := range items {
		if id, ok := ids[items[i].GetNamespace()+"/"+items[i].GetName()]; ok {
			found[id] = &items[i]
		}
	}
	return found, nil
}

// lastWarning is the newest event of type Warning about an object: "FailedMount: secret \"web\" not found (12 times)". It is
// empty where there is none, or events may not be read.
func (c *Client) lastWarning(ctx context.Context, namespace, kind, name string) string {
	list, err := c.core.Events(cmp.Or(namespace, metav1.NamespaceDefault)).List(ctx, metav1.ListOptions{
		FieldSelector: "type=Warning,involvedObject.kind=" + kind + ",involvedObject.name=" + name, Limit: 100,
	})
	if err != nil || len(list.Items) == 0 {
		return ""
	}
	last := slices.MaxFunc(list.Items, func(a, b v1.Event) int { return at(a).Compare(at(b)) })
	text := last.Reason + ": " + unquoted(strings.TrimSpace(last.Message))
	if n := max(last.Count, seriesCount(last)); n > 1 {
		text += fmt.Sprintf(" (%d times)", n)
	}
	return text
}

// at is when an event was last seen.
func at(e v1.Event) time.Time {
	when := e.CreationTimestamp.Time
	for _, t := range []time.Time{e.LastTimestamp.Time, e.EventTime.Time} {
		if t.After(when) {
			when = t
		}
	}
	if e.Series != nil && e.Series.LastObservedTime.After(when) {
		when = e.Series.LastObservedTime.Time
	}
	return when
}

func seriesCount(e v1.Event) int32 {
	if e.Series == nil {
		return 0
	}
	return e.Series.Count
}

// terminated says how a container ended: "Error, exit code 1".
func terminated(s map[string]any) string {
	reason, _ := s["reason"].(string)
	text := cmp.Or(reason, "ended")
	switch code := s["exitCode"].(type) {
	case int64:
		text += fmt.Sprintf(", exit code %d", code)
	case float64:
		text += fmt.Sprintf(", exit code %.0f", code)
	}
	if m, _ := s["message"].(string); strings.TrimSpace(m) != "" {
		text += ": " + unquoted(strings.TrimSpace(m))
	}
	return text
}
