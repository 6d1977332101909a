package controlplane

import (
	"fmt"
	_ "unsafe" // go:linkname

	"k8s.io/component-base/version"
)

// kubernetesVersion is that of k8s.io/kubernetes in go.mod; a test in e2e compares the two.
const (
	kubernetesVersion = "v1.36.3"
	kubernetesMajor   = "1"
	kubernetesMinor   = "36"
)

// Kubernetes's release scripts set these with the linker (hack/lib/version.sh). As a library it would call itself
// v0.0.0-master+$Format:%H$, which no client can parse. -ldflags -X would do the same, but only for who builds with it.
var (
	//go:linkname gitVersion k8s.io/component-base/version.gitVersion
	gitVersion string
	//go:linkname gitMajor k8s.io/component-base/version.gitMajor
	gitMajor string
	//go:linkname gitMinor k8s.io/component-base/version.gitMinor
	gitMinor string
)

// setVersion must come before any component is made.
func setVersion() error {
	gitVersion, gitMajor, gitMinor = kubernetesVersion, kubernetesMajor, kubernetesMinor
	if err := version.SetDynamicVersion(kubernetesVersion); err != nil {
		return fmt.Errorf("setting the version: %w", err)
	}
	return nil
}
