package openapi

// gone are the versions of built-in kinds that were removed before the oldest bundled minor, which shows the later ones
// itself: GROUP/VERSION/KIND (KIND * for all of them), and the minor version that no longer has it. The source is
// Kubernetes' deprecated API migration guide.
var gone = map[string]int{
	"extensions/v1beta1/DaemonSet":         16,
	"extensions/v1beta1/Deployment":        16,
	"extensions/v1beta1/ReplicaSet":        16,
	"extensions/v1beta1/NetworkPolicy":     16,
	"extensions/v1beta1/PodSecurityPolicy": 16,
	"extensions/v1beta1/Ingress":           22,
	"apps/v1beta1/*":                       16,
	"apps/v1beta2/*":                       16,

	"admissionregistration.k8s.io/v1beta1/MutatingWebhookConfiguration":   22,
	"admissionregistration.k8s.io/v1beta1/ValidatingWebhookConfiguration": 22,
	"apiextensions.k8s.io/v1beta1/CustomResourceDefinition":               22,
	"apiregistration.k8s.io/v1beta1/APIService":                           22,
	"authentication.k8s.io/v1beta1/TokenReview":                           22,
	"authorization.k8s.io/v1beta1/*":                                      22,
	"certificates.k8s.io/v1beta1/CertificateSigningRequest":               22,
	"coordination.k8s.io/v1beta1/Lease":                                   22,
	"networking.k8s.io/v1beta1/Ingress":                                   22,
	"networking.k8s.io/v1beta1/IngressClass":                              22,
	"rbac.authorization.k8s.io/v1beta1/*":                                 22,
	"scheduling.k8s.io/v1beta1/PriorityClass":                             22,
	"storage.k8s.io/v1beta1/CSIDriver":                                    22,
	"storage.k8s.io/v1beta1/CSINode":                                      22,
	"storage.k8s.io/v1beta1/StorageClass":                                 22,
	"storage.k8s.io/v1beta1/VolumeAttachment":                             22,

	"batch/v1beta1/CronJob":                       25,
	"discovery.k8s.io/v1beta1/EndpointSlice":      25,
	"events.k8s.io/v1beta1/Event":                 25,
	"autoscaling/v2beta1/HorizontalPodAutoscaler": 25,
	"node.k8s.io/v1beta1/RuntimeClass":            25,
	"policy/v1beta1/PodDisruptionBudget":          25,
	"policy/v1beta1/PodSecurityPolicy":            25,
	"autoscaling/v2beta2/HorizontalPodAutoscaler": 26,
	"storage.k8s.io/v1beta1/CSIStorageCapacity":   27,

	"flowcontrol.apiserver.k8s.io/v1beta1/*": 26,
	"flowcontrol.apiserver.k8s.io/v1beta2/*": 29,
	"flowcontrol.apiserver.k8s.io/v1beta3/*": 32,
}

// moved are the groups that the kinds of extensions went to.
var moved = map[string]string{
	"DaemonSet": "apps", "Deployment": "apps", "ReplicaSet": "apps", "NetworkPolicy": "networking.k8s.io", "Ingress": "networking.k8s.io",
}

// removedIn returns the minor version that has no longer a version of a kind, by the bundled documents or the table; ok is
// false where it was never there, or still is in the newest.
func (l *Library) removedIn(group, version, name string) (minor int, ok bool, err error) {
	for i := len(l.minors) - 1; i >= 0; i-- {
		b, err := l.book(l.minors[i])
		if err != nil {
			return 0, false, err
		}
		if _, has := b.kinds[kind(group, version, name)]; has {
			return l.minors[i] + 1, i < len(l.minors)-1, nil
		}
	}
	if minor, ok = gone[kind(group, version, name)]; !ok {
		minor, ok = gone[kind(group, version, "*")]
	}
	return minor, ok, nil
}

// addedIn returns the oldest bundled minor version that has a version of a kind.
func (l *Library) addedIn(group, version, name string) (minor int, ok bool, err error) {
	for _, m := range l.minors {
		b, err := l.book(m)
		if err != nil {
			return 0, false, err
		}
		if _, has := b.kinds[kind(group, version, name)]; has {
			return m, true, nil
		}
	}
	return 0, false, nil
}
