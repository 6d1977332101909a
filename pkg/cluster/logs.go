package cluster

import (
	"context"
	"errors"
	"fmt"
	"strings"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/redkubes/otomi/pkg/manifest"
)

// The bounds of what is read of logs: pods of a Job, and bytes of a container.
const (
	loggedPods  = 5
	loggedBytes = 64 << 10
)

// Logs reads the last lines that each container of a placed Pod wrote, or of the newest Pods of a Job, each with POD/CONTAINER
// before it. It is empty for objects of other kinds, and where nothing was written. What could be read is returned beside an
// error.
func (c *Client) Logs(ctx context.Context, o manifest.Object, lines int) (string, error) {
	var options metav1.ListOptions
	switch {
	case o.Kind == "Job" && o.Group == "batch":
		options.LabelSelector = "job-name=" + o.Name
	case o.Kind == "Pod" && o.Group == "":
		options.FieldSelector = "metadata.name=" + o.Name
	default:
		return "", nil
	}
	list, err := c.core.Pods(o.Namespace).List(ctx, options)
	if err != nil {
		return "", fmt.Errorf("reading the logs of %s: %w", o.ID, listError(err))
	}
	pods := list.Items
	if len(pods) > loggedPods {
		pods = pods[len(pods)-loggedPods:]
	}
	var out strings.Builder
	var errs []error
	for _, pod := range pods {
		for _, container := range append(pod.Spec.InitContainers, pod.Spec.Containers...) {
			text, err := c.log(ctx, pod, container.Name, lines)
			if err != nil {
				errs = append(errs, fmt.Errorf("reading the logs of container %s of pod %s/%s: %w", container.Name, pod.Namespace, pod.Name, listError(err)))
				continue
			}
			for line := range strings.Lines(text) {
				fmt.Fprintf(&out, "%s/%s: %s\n", pod.Name, container.Name, strings.TrimRight(line, "\r\n"))
			}
		}
	}
	return out.String(), errors.Join(errs...)
}

func (c *Client) log(ctx context.Context, pod v1.Pod, container string, lines int) (string, error) {
	// Logs are worth no patience: a node that does not answer keeps what failed from being told.
	ctx = context.WithValue(ctx, impatient{}, true)
	tail, most := int64(lines), int64(loggedBytes)
	body, err := c.core.Pods(pod.Namespace).GetLogs(pod.Name, &v1.PodLogOptions{
		Container: container, TailLines: &tail, LimitBytes: &most,
	}).DoRaw(ctx)
	return strings.ToValidUTF8(string(body), "�"), err
}
