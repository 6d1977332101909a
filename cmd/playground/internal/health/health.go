// Package health asks a control plane from outside, as any client would, whether it can be worked with.
package health

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

// interval is between two looks while waiting. A look is four small requests on loopback.
const interval = 50 * time.Millisecond

// Report is what a look found. What could not be asked is empty.
type Report struct {
	Server  string `json:"server"`
	Version string `json:"version"`
	Nodes   []Node `json:"nodes"`
}

// Node is one of the fake machines.
type Node struct {
	Name  string `json:"name"`
	Ready bool   `json:"ready"`
}

// Client is a client for the control plane that the kubeconfig points to, with no limit on its requests.
func Client(kubeconfig, userAgent string) (*kubernetes.Clientset, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("reading the kubeconfig: %w", err)
	}
	config.UserAgent = userAgent
	config.QPS = -1
	config.Timeout = 10 * time.Second
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("making a client: %w", err)
	}
	return client, nil
}

// Check looks once. The error says what is not ready yet; the report holds what was found all the same.
//
// Ready means: /readyz says so; the default namespace has its service account, without which no pod is admitted;
// every node that is wanted is there and Ready, so that pods are scheduled and started.
func Check(ctx context.Context, client *kubernetes.Clientset, nodes int) (Report, error) {
	report := Report{Server: "https://" + client.RESTClient().Get().URL().Host}
	if _, err := client.RESTClient().Get().AbsPath("/readyz").DoRaw(ctx); err != nil {
		return report, fmt.Errorf("the API server is not ready: %w", err)
	}
	version, err := client.Discovery().ServerVersion()
	if err != nil {
		return report, fmt.Errorf("asking for the version: %w", err)
	}
	report.Version = version.GitVersion
	list, err := client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return report, fmt.Errorf("listing the nodes: %w", err)
	}
	ready := 0
	for _, node := range list.Items {
		n := Node{Name: node.Name, Ready: isReady(node)}
		if n.Ready {
			ready++
		}
		report.Nodes = append(report.Nodes, n)
	}
	if ready < nodes {
		return report, fmt.Errorf("%d of %d nodes are ready", ready, nodes)
	}
	if _, err := client.CoreV1().ServiceAccounts(metav1.NamespaceDefault).Get(ctx, "default", metav1.GetOptions{}); err != nil {
		return report, fmt.Errorf("the default namespace is not ready: %w", err)
	}
	return report, nil
}

// Wait looks until all is ready or ctx ends. The error then is what was missing last.
func Wait(ctx context.Context, client *kubernetes.Clientset, nodes int) (Report, error) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		report, err := Check(ctx, client, nodes)
		if err == nil {
			return report, nil
		}
		select {
		case <-ctx.Done():
			return report, err
		case <-ticker.C:
		}
	}
}

func isReady(node corev1.Node) bool {
	for _, condition := range node.Status.Conditions {
		if condition.Type == corev1.NodeReady {
			return condition.Status == corev1.ConditionTrue
		}
	}
	return false
}
