package apply_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"helm.sh/helm/v3/pkg/release"
	"helm.sh/helm/v3/pkg/storage"
	"helm.sh/helm/v3/pkg/storage/driver"
	corev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/clientcmd"
)

func TestHelmReadsOurRecords(t *testing.T) {
	w := enter(t)
	charts := []chart{{name: "app", values: map[string]any{"size": 1.0},
		docs: []string{configMap("a", "k", "1"), hook("ConfigMap", "h", "pre-install", "2", "hook-succeeded")}}}
	w.apply(charts)
	charts[0].docs[0] = configMap("a", "k", "2")
	w.apply(charts)

	config, err := clientcmd.BuildConfigFromFlags("", playground.kubeconfig)
	require.NoError(t, err)
	core, err := corev1.NewForConfig(config)
	require.NoError(t, err)
	helm := storage.Init(driver.NewSecrets(core.Secrets(w.namespace)))

	listed, err := helm.ListReleases() // helm list
	require.NoError(t, err)
	require.Len(t, listed, 2)
	history, err := helm.History("app") // helm history
	require.NoError(t, err)
	require.Len(t, history, 2)
	deployed, err := helm.Deployed("app") // helm status, helm get
	require.NoError(t, err)
	require.Equal(t, 2, deployed.Version)
	require.Equal(t, release.StatusDeployed, deployed.Info.Status)
	require.Equal(t, "Upgrade complete", deployed.Info.Description)
	require.Equal(t, "Have fun.\n", deployed.Info.Notes)
	require.Equal(t, "app", deployed.Chart.Metadata.Name)
	require.Equal(t, "7", deployed.Chart.Metadata.AppVersion)
	require.Equal(t, map[string]any{"size": 1.0}, deployed.Config)
	require.Equal(t, "---\n# Source: app/templates/0.yaml\n"+"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\ndata:\n  k: \"2\"\n", deployed.Manifest)
	require.Len(t, deployed.Hooks, 1)
	require.Equal(t, 2, deployed.Hooks[0].Weight)
	require.Equal(t, release.HookPhase(""), deployed.Hooks[0].LastRun.Phase, "an upgrade runs no pre-install hook")
	first, err := helm.Get("app", 1)
	require.NoError(t, err)
	require.Equal(t, release.StatusSuperseded, first.Info.Status)
	require.Equal(t, release.HookPhaseSucceeded, first.Hooks[0].LastRun.Phase)
	require.Equal(t, first.Info.FirstDeployed.Unix(), deployed.Info.FirstDeployed.Unix())
}
