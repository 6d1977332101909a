package fakeapi

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// kind is a kind of objects that is served.
type kind struct {
	resource   string // PLURAL.GROUP, or PLURAL
	group      string
	plural     string
	singular   string
	name       string
	versions   []string // the preferred one first
	namespaced bool
}

// key is where an object of the kind is stored.
func (k *kind) key(o object) key {
	return key{resource: k.resource, namespace: namespaceOf(o), name: nameOf(o)}
}

// apiVersion is what objects of a version of the kind say of themselves.
func (k *kind) apiVersion(version string) string {
	if k.group == "" {
		return version
	}
	return k.group + "/" + version
}

// builtin are the kinds that are always served.
func builtin() map[string]*kind {
	kinds := map[string]*kind{}
	for _, line := range []string{
		"/v1 Namespace namespaces -", "/v1 ConfigMap configmaps ns", "/v1 Secret secrets ns", "/v1 Service services ns",
		"/v1 ServiceAccount serviceaccounts ns", "/v1 Pod pods ns", "/v1 Event events ns", "/v1 ResourceQuota resourcequotas ns",
		"/v1 LimitRange limitranges ns", "/v1 PersistentVolumeClaim persistentvolumeclaims ns",
		"/v1 PersistentVolume persistentvolumes -", "/v1 Node nodes -", "/v1 Endpoints endpoints ns",
		"apps/v1 Deployment deployments ns", "apps/v1 StatefulSet statefulsets ns", "apps/v1 DaemonSet daemonsets ns",
		"apps/v1 ReplicaSet replicasets ns", "batch/v1 Job jobs ns", "batch/v1 CronJob cronjobs ns",
		"networking.k8s.io/v1 Ingress ingresses ns", "networking.k8s.io/v1 NetworkPolicy networkpolicies ns",
		"rbac.authorization.k8s.io/v1 Role roles ns", "rbac.authorization.k8s.io/v1 RoleBinding rolebindings ns",
		"rbac.authorization.k8s.io/v1 ClusterRole clusterroles -", "rbac.authorization.k8s.io/v1 ClusterRoleBinding clusterrolebindings -",
		"policy/v1 PodDisruptionBudget poddisruptionbudgets ns", "coordination.k8s.io/v1 Lease leases ns",
		"apiextensions.k8s.io/v1 CustomResourceDefinition customresourcedefinitions -",
		"storage.k8s.io/v1 StorageClass storageclasses -", "scheduling.k8s.io/v1 PriorityClass priorityclasses -",
	} {
		var gv, name, plural, scope string
		if _, err := fmt.Sscan(line, &gv, &name, &plural, &scope); err != nil {
			panic(err) // the lines are above
		}
		group, version, _ := strings.Cut(gv, "/")
		k := &kind{group: group, plural: plural, singular: strings.ToLower(name), name: name, versions: []string{version}, namespaced: scope == "ns"}
		k.resource = resourceName(plural, group)
		kinds[k.resource] = k
	}
	return kinds
}

func resourceName(plural, group string) string {
	if group == "" {
		return plural
	}
	return plural + "." + group
}

// define begins to serve what a CustomResourceDefinition defines.
func (s *Server) define(crd object) {
	spec, _ := crd["spec"].(map[string]any)
	names, _ := spec["names"].(map[string]any)
	text := func(m map[string]any, field string) string {
		t, _ := m[field].(string)
		return t
	}
	k := &kind{
		group: text(spec, "group"), plural: text(names, "plural"), singular: text(names, "singular"), name: text(names, "kind"),
		namespaced: spec["scope"] == "Namespaced",
	}
	k.resource = resourceName(k.plural, k.group)
	versions, _ := spec["versions"].([]any)
	for _, v := range versions {
		version, _ := v.(map[string]any)
		if version["served"] == true {
			k.versions = append(k.versions, text(version, "name"))
		}
	}
	s.kinds[k.resource] = k
}

// undefine stops to serve it, and its objects are gone.
func (s *Server) undefine(crd object) {
	resource := nameOf(crd)
	delete(s.kinds, resource)
	maps.DeleteFunc(s.objects, func(at key, _ object) bool { return at.resource == resource })
}

func meta(o object) map[string]any {
	md, ok := o["metadata"].(map[string]any)
	if !ok {
		md = map[string]any{}
		o["metadata"] = md
	}
	return md
}

func nameOf(o object) string {
	n, _ := meta(o)["name"].(string)
	return n
}

func namespaceOf(o object) string {
	n, _ := meta(o)["namespace"].(string)
	return n
}

// clone is a deep copy of a JSON value.
func clone[T any](v T) T { return cloned(v).(T) }

func cloned(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, e := range v {
			out[k] = cloned(e)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = cloned(e)
		}
		return out
	}
	return v
}

func equal(a, b any) bool { return reflect.DeepEqual(a, b) }

// nested is a field of an object, or nil.
func nested(o map[string]any, path ...string) any {
	var at any = o
	for _, step := range path {
		m, ok := at.(map[string]any)
		if !ok {
			return nil
		}
		at = m[step]
	}
	return at
}

// defaulted fills in the few defaults that callers may see.
func defaulted(k *kind, o object) {
	switch k.resource {
	case "secrets":
		if o["type"] == nil {
			o["type"] = "Opaque"
		}
		plain, _ := o["stringData"].(map[string]any)
		if len(plain) > 0 {
			data, _ := o["data"].(map[string]any)
			data = maps.Clone(data)
			if data == nil {
				data = map[string]any{}
			}
			for name, v := range plain {
				text, _ := v.(string)
				data[name] = base64Of(text)
			}
			o["data"] = data
		}
		delete(o, "stringData")
	case "namespaces":
		labels, _ := meta(o)["labels"].(map[string]any)
		labels = maps.Clone(labels)
		if labels == nil {
			labels = map[string]any{}
		}
		labels["kubernetes.io/metadata.name"] = nameOf(o)
		meta(o)["labels"] = labels
		if o["spec"] == nil {
			o["spec"] = map[string]any{"finalizers": []any{"kubernetes"}}
		}
	case "services":
		spec, _ := o["spec"].(map[string]any)
		if spec == nil {
			return
		}
		fill(spec, "type", "ClusterIP")
		fill(spec, "clusterIP", "10.0.0.7")
		ports, _ := spec["ports"].([]any)
		for _, p := range ports {
			if port, ok := p.(map[string]any); ok {
				fill(port, "protocol", "TCP")
				fill(port, "targetPort", port["port"])
			}
		}
	case "deployments.apps", "statefulsets.apps":
		spec, _ := o["spec"].(map[string]any)
		if spec == nil {
			return
		}
		fill(spec, "replicas", int64(1))
		fill(spec, "revisionHistoryLimit", int64(10))
	}
}

func fill(m map[string]any, field string, v any) {
	if m[field] == nil {
		m[field] = v
	}
}

// controlled gives an object the status that its controller would bring it to.
func controlled(k *kind, o object) {
	if meta(o)["deletionTimestamp"] != nil {
		return
	}
	condition := func(name string) map[string]any {
		return map[string]any{"type": name, "status": "True", "reason": "Fake", "message": "", "lastTransitionTime": meta(o)["creationTimestamp"]}
	}
	generation := meta(o)["generation"]
	replicas := nested(o, "spec", "replicas")
	switch k.resource {
	case "namespaces":
		o["status"] = map[string]any{"phase": "Active"}
	case "deployments.apps":
		o["status"] = map[string]any{
			"observedGeneration": generation, "replicas": replicas, "updatedReplicas": replicas, "readyReplicas": replicas,
			"availableReplicas": replicas, "conditions": []any{condition("Available"), condition("Progressing")},
		}
	case "statefulsets.apps":
		o["status"] = map[string]any{
			"observedGeneration": generation, "replicas": replicas, "updatedReplicas": replicas, "readyReplicas": replicas,
			"currentReplicas": replicas, "availableReplicas": replicas, "currentRevision": "1", "updateRevision": "1",
		}
	case "daemonsets.apps":
		o["status"] = map[string]any{
			"observedGeneration": generation, "desiredNumberScheduled": int64(1), "currentNumberScheduled": int64(1),
			"updatedNumberScheduled": int64(1), "numberAvailable": int64(1), "numberReady": int64(1),
		}
	case "jobs.batch":
		o["status"] = map[string]any{
			"succeeded": int64(1), "conditions": []any{condition("SuccessCriteriaMet"), condition("Complete")},
			"startTime": meta(o)["creationTimestamp"], "completionTime": meta(o)["creationTimestamp"],
		}
	case "pods":
		o["status"] = map[string]any{"phase": "Running", "conditions": []any{condition("Ready")}}
	case "persistentvolumeclaims":
		o["status"] = map[string]any{"phase": "Bound"}
	case "services":
		if nested(o, "spec", "type") == "LoadBalancer" {
			o["status"] = map[string]any{"loadBalancer": map[string]any{"ingress": []any{map[string]any{"ip": "192.0.2.7"}}}}
		}
	case "poddisruptionbudgets.policy":
		o["status"] = map[string]any{"observedGeneration": generation, "currentHealthy": int64(1), "desiredHealthy": int64(0),
			"disruptionsAllowed": int64(1), "expectedPods": int64(1)}
	case "customresourcedefinitions.apiextensions.k8s.io":
		versions, _ := nested(o, "spec", "versions").([]any)
		var stored []any
		for _, v := range versions {
			if version, ok := v.(map[string]any); ok && version["storage"] == true {
				stored = append(stored, version["name"])
			}
		}
		o["status"] = map[string]any{
			"conditions":    []any{condition("NamesAccepted"), condition("Established")},
			"acceptedNames": nested(o, "spec", "names"), "storedVersions": stored,
		}
	}
}

// sameBut reports whether two objects are the same but for when their managed fields were written, and their resource version.
func sameBut(a, b object) bool {
	strip := func(o object) object {
		o = clone(o)
		delete(meta(o), "resourceVersion")
		entries, _ := meta(o)["managedFields"].([]any)
		for _, e := range entries {
			if entry, ok := e.(map[string]any); ok {
				delete(entry, "time")
			}
		}
		return o
	}
	x, err := json.Marshal(strip(a))
	if err != nil {
		return false
	}
	y, err := json.Marshal(strip(b))
	return err == nil && slices.Equal(x, y)
}
