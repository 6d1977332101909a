package controlplane

import (
	"context"
	"fmt"
	"strings"

	"k8s.io/kubernetes/cmd/kube-controller-manager/app"
	"k8s.io/kubernetes/cmd/kube-controller-manager/app/options"
	"k8s.io/kubernetes/cmd/kube-controller-manager/names"
)

// controllersOff are those that need a kubelet, a cloud or metrics, or that the stages stand in for (volumes), or whose
// work nobody here would notice.
func controllersOff() []string {
	return []string{
		names.BootstrapSignerController,
		names.CertificateSigningRequestApprovingController,
		names.CertificateSigningRequestCleanerController,
		names.CertificateSigningRequestSigningController,
		names.DeviceTaintEvictionController,
		names.HorizontalPodAutoscalerController,
		names.KubeAPIServerClusterTrustBundlePublisherController,
		names.LegacyServiceAccountTokenCleanerController,
		names.NodeIpamController,
		names.NodeLifecycleController,
		names.PersistentVolumeAttachDetachController,
		names.PersistentVolumeBinderController,
		names.PersistentVolumeExpanderController,
		names.PodCertificateRequestCleanerController,
		names.ResourceClaimController,
		names.ResourcePoolStatusRequestController,
		names.SELinuxWarningController,
		names.StorageVersionGarbageCollectorController,
		names.StorageVersionMigratorController,
		names.TTLController,
		names.TaintEvictionController,
		names.TokenCleanerController,
		names.VolumeAttributesClassProtectionController,
	}
}

// runControllerManager runs until ctx ends.
func runControllerManager(ctx context.Context, kubeconfig string, keys pki) error {
	o, err := options.NewKubeControllerManagerOptions()
	if err != nil {
		return fmt.Errorf("making the options: %w", err)
	}
	known, off, aliases := app.KnownControllers(), app.ControllersDisabledByDefault(), app.ControllerAliases()
	args := []string{
		"--kubeconfig=" + kubeconfig,
		"--leader-elect=false",
		"--secure-port=0",
		"--service-account-private-key-file=" + keys.serviceAccounts(),
		"--root-ca-file=" + keys.ca(),
		"--kube-api-qps=1000",
		"--kube-api-burst=2000",
		"--controllers=*,-" + strings.Join(controllersOff(), ",-"),
	}
	if err := parse(o.Flags(known, off, aliases), args); err != nil {
		return err
	}
	if err := o.ComponentGlobalsRegistry.Set(); err != nil {
		return fmt.Errorf("setting feature gates: %w", err)
	}
	config, err := o.Config(ctx, known, off, aliases)
	if err != nil {
		return fmt.Errorf("making the configuration: %w", err)
	}
	return app.Run(ctx, config.Complete())
}
