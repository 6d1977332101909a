package controlplane

import (
	"context"
	"embed"
	"fmt"
	"io/fs"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	nodefast "sigs.k8s.io/kwok/kustomize/stage/node/fast"
	podfast "sigs.k8s.io/kwok/kustomize/stage/pod/fast"
	"sigs.k8s.io/kwok/pkg/apis/internalversion"
	"sigs.k8s.io/kwok/pkg/config"
	"sigs.k8s.io/kwok/pkg/kwok/controllers"
	kwokclient "sigs.k8s.io/kwok/pkg/utils/client"
)

// Nodes is how many fake machines there are: enough for a DaemonSet, a zone each and anti-affinity to mean something.
const Nodes = 3

const (
	nodeIP       = "192.0.2.1" // TEST-NET-1, RFC 5737: nobody's
	podRange     = "10.1.0.0/16"
	storageClass = "playground"
)

// ours are the stages that are not kwok's own. A stage says what becomes of an object that looks like this:
// https://kwok.sigs.k8s.io/docs/user/stages-configuration/
//
//go:embed stages/*.yaml
var ours embed.FS

// startNodes makes the nodes and the storage class and starts what stands in for kubelets, volumes and the cloud's load
// balancers. It returns when they work; they end with ctx.
func startNodes(ctx context.Context, kubeconfig string) error {
	stages, err := readStages()
	if err != nil {
		return err
	}
	clients, err := kwokclient.NewClientset("", kubeconfig)
	if err != nil {
		return fmt.Errorf("making clients: %w", err)
	}
	restConfig, err := clients.ToRESTConfig()
	if err != nil {
		return fmt.Errorf("making clients: %w", err)
	}
	typed, err := kubernetes.NewForConfig(restConfig)
	if err != nil {
		return fmt.Errorf("making clients: %w", err)
	}
	restClient, err := rest.RESTClientFor(restConfig)
	if err != nil {
		return fmt.Errorf("making clients: %w", err)
	}
	dynamic, err := clients.ToDynamicClient()
	if err != nil {
		return fmt.Errorf("making clients: %w", err)
	}
	mapper, err := clients.ToRESTMapper()
	if err != nil {
		return fmt.Errorf("making clients: %w", err)
	}
	if err := createNodes(ctx, typed); err != nil {
		return err
	}
	if err := createStorageClass(ctx, typed); err != nil {
		return err
	}
	controller, err := controllers.NewController(controllers.Config{
		TypedClient:               typed,
		RESTClient:                restClient,
		DynamicClient:             dynamic,
		RESTMapper:                mapper,
		ManageAllNodes:            true,
		NodeIP:                    nodeIP,
		CIDR:                      podRange,
		LocalStages:               stages,
		PodPlayStageParallelism:   4,
		NodePlayStageParallelism:  1,
		PodsOnNodeSyncParallelism: 1,
		ID:                        "playground",
	})
	if err != nil {
		return fmt.Errorf("making the controller: %w", err)
	}
	if err := controller.Start(ctx); err != nil {
		return fmt.Errorf("starting the controller: %w", err)
	}
	return nil
}

// readStages are our stages and those of kwok's that need no change, by what they are for.
func readStages() (map[internalversion.StageResourceRef][]*internalversion.Stage, error) {
	texts := []string{nodefast.DefaultNodeInit, podfast.DefaultPodDelete}
	names, err := fs.Glob(ours, "stages/*.yaml")
	if err != nil {
		return nil, fmt.Errorf("listing the stages: %w", err)
	}
	for _, name := range names {
		text, err := ours.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("reading a stage: %w", err)
		}
		texts = append(texts, string(text))
	}
	stages := map[internalversion.StageResourceRef][]*internalversion.Stage{}
	for _, text := range texts {
		stage, err := config.UnmarshalWithType[*internalversion.Stage](text)
		if err != nil {
			return nil, fmt.Errorf("reading a stage: %w", err)
		}
		stages[stage.Spec.ResourceRef] = append(stages[stage.Spec.ResourceRef], stage)
	}
	return stages, nil
}

func createNodes(ctx context.Context, client kubernetes.Interface) error {
	for i := range Nodes {
		name := fmt.Sprintf("node-%d", i+1)
		node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{
			Name: name,
			Labels: map[string]string{
				corev1.LabelHostname:       name,
				corev1.LabelOSStable:       "linux",
				corev1.LabelArchStable:     "amd64",
				corev1.LabelTopologyRegion: "playground",
				corev1.LabelTopologyZone:   "playground-" + string(rune('a'+i)),
			},
		}}
		_, err := client.CoreV1().Nodes().Create(ctx, node, metav1.CreateOptions{})
		if err != nil && !apierrors.IsAlreadyExists(err) {
			return fmt.Errorf("making a node: %w", err)
		}
	}
	return nil
}

// createStorageClass makes the default class. The stages bind the claims of any class, and the scheduler wants them
// bound before the pod.
func createStorageClass(ctx context.Context, client kubernetes.Interface) error {
	mode, policy := storagev1.VolumeBindingImmediate, corev1.PersistentVolumeReclaimDelete
	class := &storagev1.StorageClass{
		ObjectMeta: metav1.ObjectMeta{
			Name:        storageClass,
			Annotations: map[string]string{"storageclass.kubernetes.io/is-default-class": "true"},
		},
		Provisioner:       "playground.otomi.io/volume",
		VolumeBindingMode: &mode,
		ReclaimPolicy:     &policy,
	}
	_, err := client.StorageV1().StorageClasses().Create(ctx, class, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("making the storage class: %w", err)
	}
	return nil
}
