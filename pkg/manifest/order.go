package manifest

import (
	"cmp"
	"slices"
)

// installOrder is the order in which Helm 3 installs kinds (pkg/releaseutil/kind_sorter.go, InstallOrder). Uninstalling
// takes the reverse. A kind that is not listed comes last.
var installOrder = []string{
	"PriorityClass", "Namespace", "NetworkPolicy", "ResourceQuota", "LimitRange", "PodSecurityPolicy",
	"PodDisruptionBudget", "ServiceAccount", "Secret", "SecretList", "ConfigMap", "StorageClass", "PersistentVolume",
	"PersistentVolumeClaim", "CustomResourceDefinition", "ClusterRole", "ClusterRoleList", "ClusterRoleBinding",
	"ClusterRoleBindingList", "Role", "RoleList", "RoleBinding", "RoleBindingList", "Service", "DaemonSet", "Pod",
	"ReplicationController", "ReplicaSet", "Deployment", "HorizontalPodAutoscaler", "StatefulSet", "Job", "CronJob",
	"IngressClass", "Ingress", "APIService",
}

// Rank is the place of a kind in Helm's install order; kinds of one rank may be applied side by side.
func Rank(kind string) int {
	if i := slices.Index(installOrder, kind); i >= 0 {
		return i
	}
	return len(installOrder)
}

// Sorted returns the objects in Helm's install order: by rank, kinds without one by name, and otherwise as they came.
func Sorted(objects []Object) []Object {
	out := slices.Clone(objects)
	slices.SortStableFunc(out, func(a, b Object) int {
		ra, rb := Rank(a.Kind), Rank(b.Kind)
		if ra == rb && ra == len(installOrder) {
			return cmp.Compare(a.Kind, b.Kind)
		}
		return cmp.Compare(ra, rb)
	})
	return out
}
