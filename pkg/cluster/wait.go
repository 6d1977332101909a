package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/redkubes/otomi/pkg/manifest"
)

// readyAtOnce are the kinds that have nothing to become: when they are there, they are ready.
var readyAtOnce = map[schema.GroupKind]bool{
	{Kind: "ConfigMap"}:                                              true,
	{Kind: "Secret"}:                                                 true,
	{Kind: "ServiceAccount"}:                                         true,
	{Kind: "LimitRange"}:                                             true,
	{Kind: "ResourceQuota"}:                                          true,
	{Group: "rbac.authorization.k8s.io", Kind: "Role"}:               true,
	{Group: "rbac.authorization.k8s.io", Kind: "RoleBinding"}:        true,
	{Group: "rbac.authorization.k8s.io", Kind: "ClusterRole"}:        true,
	{Group: "rbac.authorization.k8s.io", Kind: "ClusterRoleBinding"}: true,
	{Group: "networking.k8s.io", Kind: "NetworkPolicy"}:              true,
	{Group: "networking.k8s.io", Kind: "IngressClass"}:               true,
	{Group: "scheduling.k8s.io", Kind: "PriorityClass"}:              true,
	{Group: "storage.k8s.io", Kind: "StorageClass"}:                  true,
}

// readyService reports a Service that waits for no address.
func readyService(o manifest.Object) bool {
	spec, ok := o.Data["spec"].(map[string]any)
	return ok && o.Kind == "Service" && o.Group == "" && spec["type"] != "LoadBalancer"
}

// The pauses between looks at the cluster, growing from the first to the last.
const (
	firstPause = 100 * time.Millisecond
	lastPause  = 2 * time.Second
)

// lookAgain is how long a wait lasts before what keeps it is looked into, and after that each time.
const lookAgain = 10 * time.Second

// verdict is what is known of one awaited object.
type verdict struct {
	ready  bool
	failed bool
	// message says what is missing.
	message string
}

// WaitReady waits until the placed objects are ready (kstatus, and by rules of our own Jobs, which must be complete, and
// Services of type LoadBalancer, which must have an address) or ctx ends. It tells progress what it waits for whenever
// that changes. An object that failed for good ends the wait at once. The error names what is not ready, and why.
func (c *Client) WaitReady(ctx context.Context, objects []manifest.Object, progress func(string)) error {
	var waited []manifest.Object
	for _, o := range objects {
		if !readyAtOnce[schema.GroupKind{Group: o.Group, Kind: o.Kind}] && !readyService(o) {
			waited = append(waited, o)
		}
	}
	return c.wait(ctx, waited, readiness, progress)
}

// WaitDone waits until Jobs are complete and Pods have succeeded; objects of other kinds are done when they are there.
func (c *Client) WaitDone(ctx context.Context, objects []manifest.Object, progress func(string)) error {
	return c.wait(ctx, objects, completion, progress)
}

// WaitGone waits until none of the placed objects is there, or ctx ends.
func (c *Client) WaitGone(ctx context.Context, objects []manifest.Object) error {
	left := slices.Clone(objects)
	for interval := firstPause; ; interval = longer(interval) {
		live, err := c.read(ctx, left)
		if refusal(err) {
			return err
		}
		if err == nil {
			left = slices.DeleteFunc(left, func(o manifest.Object) bool {
				// One that somebody made anew is another one.
				return live[o.ID] == nil || o.UID != "" && string(live[o.ID].GetUID()) != o.UID
			})
			if len(left) == 0 {
				return nil
			}
		}
		if err := pause(ctx, interval); err != nil {
			lines := make([]string, 0, len(left))
			for _, o := range left {
				line := o.ID.String() + " is still there"
				if u := live[o.ID]; u != nil && len(u.GetFinalizers()) > 0 {
					line += ", held by " + strings.Join(u.GetFinalizers(), ", ")
				}
				lines = append(lines, line)
			}
			return &waitError{lines: lines, cause: err}
		}
	}
}

// waitError says what a wait that ended early still missed.
type waitError struct {
	lines []string
	cause error
}

func (e *waitError) Error() string {
	reason := "interrupted"
	var unheld *manifest.Unheld
	switch {
	case errors.As(e.cause, &unheld):
		reason = unheld.Error()
	case errors.Is(e.cause, context.DeadlineExceeded):
		reason = "timed out"
	}
	return reason + ": " + strings.Join(e.lines, "; ")
}

func (e *waitError) Unwrap() error { return e.cause }

// wait looks at the objects until judge finds all of them ready.
func (c *Client) wait(
	ctx context.Context, objects []manifest.Object, judge func(*unstructured.Unstructured) verdict, progress func(string),
) error {
	left := slices.Clone(objects)
	verdicts := map[manifest.ID]verdict{}
	said, why, looked := "", "", time.Now()
	for interval := firstPause; len(left) > 0; interval = longer(interval) {
		live, err := c.read(ctx, left)
		if refusal(err) {
			return err
		}
		if err == nil {
			var open []manifest.Object
			for _, o := range left {
				v := verdict{message: "it is not there"}
				if u := live[o.ID]; u != nil {
					v = judge(u)
				}
				if v.failed {
					return fmt.Errorf("%s failed: %s", o.ID, c.explain(ctx, o, live[o.ID], v.message))
				}
				if !v.ready {
					verdicts[o.ID] = v
					open = append(open, o)
				}
			}
			left = open
			if len(left) == 0 {
				return nil
			}
			if now := summary(left, verdicts); now != said && progress != nil {
				progress(now)
				said = now
			}
			if progress != nil && time.Since(looked) > lookAgain {
				// It lasts: what keeps the first of them is worth two requests.
				looked = time.Now()
				first := left[0]
				text := c.explain(ctx, first, live[first.ID], verdicts[first.ID].message)
				if text != verdicts[first.ID].message && text != why {
					why = text
					progress(first.ID.String() + ": " + text)
				}
			}
		}
		if err := pause(ctx, interval); err != nil {
			lines := make([]string, 0, len(left))
			// The context is over; a moment more is worth the reason.
			look, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			for i, o := range left {
				line := o.ID.String() + " is not ready: " + verdicts[o.ID].message
				if i < explained && errors.Is(err, context.DeadlineExceeded) {
					line = o.ID.String() + " is not ready: " + c.explain(look, o, live[o.ID], verdicts[o.ID].message)
				}
				lines = append(lines, line)
			}
			cancel()
			return &waitError{lines: lines, cause: err}
		}
	}
	return nil
}

// refusal reports whether the API server declined to answer. Any other failure to read may pass while the wait lasts.
func refusal(err error) bool {
	var r *manifest.Refusal
	return errors.As(err, &r)
}

// longer is the next pause.
func longer(d time.Duration) time.Duration { return min(d*3/2, lastPause) }

// summary says what is waited for, in one line.
func summary(left []manifest.Object, verdicts map[manifest.ID]verdict) string {
	const shown = 3
	var lines []string
	for _, o := range left[:min(shown, len(left))] {
		line := o.ID.String()
		if m := verdicts[o.ID].message; m != "" {
			line += ": " + m
		}
		lines = append(lines, line)
	}
	text := strings.Join(lines, "; ")
	if len(left) > shown {
		text += fmt.Sprintf(" (and %d more)", len(left)-shown)
	}
	return text
}

// read reads the objects that are there, one request for each kind and namespace.
func (c *Client) read(ctx context.Context, objects []manifest.Object) (map[manifest.ID]*unstructured.Unstructured, error) {
	type place struct {
		group, version, kind, namespace string
	}
	places := map[place][]manifest.Object{}
	for _, o := range objects {
		p := place{group: o.Group, version: o.Version, kind: o.Kind, namespace: o.Namespace}
		places[p] = append(places[p], o)
	}
	live := make(map[manifest.ID]*unstructured.Unstructured, len(objects))
	for _, p := range slices.SortedFunc(maps.Keys(places), func(a, b place) int {
		return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(a.namespace, b.namespace), cmp.Compare(a.group, b.group),
			cmp.Compare(a.version, b.version))
	}) {
		some := places[p]
		resource, found, err := c.resource(some[0])
		if err != nil {
			return nil, err
		}
		if !found {
			continue
		}
		if len(some) == 1 {
			u, err := resource.Get(ctx, some[0].Name, metav1.GetOptions{})
			if err == nil {
				live[some[0].ID] = u
			} else if !isNotFound(err) {
				return nil, refused("reading", some[0].ID, err)
			}
			continue
		}
		list, err := resource.List(ctx, metav1.ListOptions{ResourceVersion: ""})
		if err != nil {
			return nil, refused("listing objects like", some[0].ID, err)
		}
		byName := make(map[string]*unstructured.Unstructured, len(list.Items))
		for i := range list.Items {
			byName[list.Items[i].GetName()] = &list.Items[i]
		}
		for _, o := range some {
			if u := byName[o.Name]; u != nil {
				live[o.ID] = u
			}
		}
	}
	return live, nil
}

// readiness judges by kstatus, which calls a started Job and a LoadBalancer without an address current, and a Pod that no
// node has room for yet failed.
func readiness(u *unstructured.Unstructured) verdict {
	gk := u.GroupVersionKind().GroupKind()
	result, err := status.Compute(u)
	if err != nil {
		return verdict{message: err.Error()}
	}
	switch {
	case result.Status == status.FailedStatus && !(gk == schema.GroupKind{Kind: "Pod"} && unschedulable(result)):
		return verdict{failed: true, message: result.Message}
	case gk == schema.GroupKind{Group: "batch", Kind: "Job"} || gk == schema.GroupKind{Kind: "Pod"} && phase(u) == "Failed":
		return completion(u)
	case result.Status != status.CurrentStatus:
		return verdict{message: result.Message}
	case gk == schema.GroupKind{Kind: "Service"} && loadBalancer(u) && !addressed(u):
		return verdict{message: "the load balancer has no address"}
	}
	return verdict{ready: true}
}

// unschedulable reports whether kstatus failed a Pod only since no node has room for it: one may come.
func unschedulable(r *status.Result) bool {
	return slices.ContainsFunc(r.Conditions, func(c status.Condition) bool { return c.Reason == "PodUnschedulable" })
}

// completion judges whether a Job is complete or a Pod has succeeded.
func completion(u *unstructured.Unstructured) verdict {
	switch u.GroupVersionKind().GroupKind() {
	case schema.GroupKind{Group: "batch", Kind: "Job"}:
		return jobCompletion(u)
	case schema.GroupKind{Kind: "Pod"}:
		switch phase(u) {
		case "Succeeded":
			return verdict{ready: true}
		case "Failed":
			reason, _, _ := unstructured.NestedString(u.Object, "status", "message")
			return verdict{failed: true, message: strings.TrimSpace("the Pod failed " + reason)}
		}
		return verdict{message: "the Pod is " + strings.ToLower(cmp.Or(phase(u), "pending"))}
	}
	return verdict{ready: true}
}

// jobCompletion judges a Job by its conditions.
func jobCompletion(u *unstructured.Unstructured) verdict {
	conditions, _, _ := unstructured.NestedSlice(u.Object, "status", "conditions")
	for _, entry := range conditions {
		condition, _ := entry.(map[string]any)
		if condition["status"] != "True" {
			continue
		}
		switch condition["type"] {
		case "Complete":
			return verdict{ready: true}
		case "Failed":
			return verdict{failed: true, message: fmt.Sprintf("%v: %v", condition["reason"], condition["message"])}
		}
	}
	if suspended, _, _ := unstructured.NestedBool(u.Object, "spec", "suspend"); suspended {
		// Whoever suspends a Job wants it there and not run.
		return verdict{ready: true}
	}
	active, _, _ := unstructured.NestedInt64(u.Object, "status", "active")
	failed, _, _ := unstructured.NestedInt64(u.Object, "status", "failed")
	return verdict{message: fmt.Sprintf("the Job is not complete (%d active, %d failed)", active, failed)}
}

func phase(u *unstructured.Unstructured) string {
	p, _, _ := unstructured.NestedString(u.Object, "status", "phase")
	return p
}

func loadBalancer(u *unstructured.Unstructured) bool {
	kind, _, _ := unstructured.NestedString(u.Object, "spec", "type")
	external, _, _ := unstructured.NestedStringSlice(u.Object, "spec", "externalIPs")
	return kind == "LoadBalancer" && len(external) == 0
}

func addressed(u *unstructured.Unstructured) bool {
	ingress, _, _ := unstructured.NestedSlice(u.Object, "status", "loadBalancer", "ingress")
	return len(ingress) > 0
}

// explain adds to a message why the pods of a workload don't run. It is asked only once a wait has failed, and stays
// silent where it finds nothing.
func (c *Client) explain(ctx context.Context, o manifest.Object, u *unstructured.Unstructured, message string) string {
	if u == nil {
		return message
	}
	pods := []unstructured.Unstructured{*u}
	if o.Kind != "Pod" {
		selector, found, _ := unstructured.NestedMap(u.Object, "spec", "selector")
		if !found {
			return c.warned(ctx, o, message)
		}
		var pairs []string
		matchLabels, ok := selector["matchLabels"].(map[string]any)
		if !ok {
			return c.warned(ctx, o, message)
		}
		for _, key := range slices.Sorted(maps.Keys(matchLabels)) {
			pairs = append(pairs, fmt.Sprintf("%s=%v", key, matchLabels[key]))
		}
		if len(pairs) == 0 {
			return message
		}
		list, err := c.dynamic.Resource(schema.GroupVersionResource{Version: "v1", Resource: "pods"}).Namespace(o.Namespace).
			List(ctx, metav1.ListOptions{LabelSelector: strings.Join(pairs, ","), Limit: 20})
		if err != nil {
			return message
		}
		pods = list.Items
	}
	for i := range pods {
		reason := podReason(&pods[i])
		if reason == "" {
			continue
		}
		message = fmt.Sprintf("%s; pod %s: %s", message, pods[i].GetName(), reason)
		if warning := c.lastWarning(ctx, pods[i].GetNamespace(), "Pod", pods[i].GetName()); warning != "" {
			return message + "; last warning: " + warning
		}
		break
	}
	return c.warned(ctx, o, message)
}

// warned adds the last warning about an object itself to a message.
func (c *Client) warned(ctx context.Context, o manifest.Object, message string) string {
	if warning := c.lastWarning(ctx, o.Namespace, o.Kind, o.Name); warning != "" {
		return message + "; last warning: " + warning
	}
	return message
}

// podReason says why a pod does not run: what a container waits for, how one ended, or why no node takes it.
func podReason(pod *unstructured.Unstructured) string {
	for _, field := range []string{"initContainerStatuses", "containerStatuses"} {
		statuses, _, _ := unstructured.NestedSlice(pod.Object, "status", field)
		for _, entry := range statuses {
			container, _ := entry.(map[string]any)
			for _, state := range []string{"waiting", "terminated"} {
				s, found, _ := unstructured.NestedMap(container, "state", state)
				reason, _ := s["reason"].(string)
				if !found || reason == "" || reason == "Completed" {
					continue
				}
				if state == "terminated" {
					return fmt.Sprintf("container %v: %s", container["name"], terminated(s))
				}
				text := fmt.Sprintf("container %v: %s", container["name"], reason)
				if m, _ := s["message"].(string); m != "" {
					text += ": " + unquoted(m)
				}
				if last, found, _ := unstructured.NestedMap(container, "lastState", "terminated"); found {
					text += "; it ended before with " + terminated(last)
				}
				return text
			}
		}
	}
	conditions, _, _ := unstructured.NestedSlice(pod.Object, "status", "conditions")
	for _, entry := range conditions {
		condition, _ := entry.(map[string]any)
		if condition["type"] == "PodScheduled" && condition["status"] == "False" {
			return fmt.Sprintf("%v: %v", condition["reason"], condition["message"])
		}
	}
	if m, _, _ := unstructured.NestedString(pod.Object, "status", "message"); m != "" {
		return m
	}
	return ""
}
