package controlplane

import (
	"context"
	_ "embed"
	"fmt"
	"net"
	"strconv"

	"github.com/spf13/pflag"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	cliflag "k8s.io/component-base/cli/flag"
	"k8s.io/kubernetes/cmd/kube-apiserver/app"
	"k8s.io/kubernetes/cmd/kube-apiserver/app/options"

	"github.com/redkubes/otomi/cmd/playground/internal/state"
)

const (
	loopback       = "127.0.0.1"
	serviceRange   = "10.0.0.0/16"
	serviceIP      = "10.0.0.1" // of the service "kubernetes": the first of the range
	frontProxyName = "front-proxy-client"
)

// auditPolicy records each request once, when it is answered, and a watch a second time, when it begins.
//
//go:embed audit-policy.yaml
var auditPolicy []byte

// listen takes the port on loopback. Port 0 prefers former, so that kubeconfigs stay good over a restart, and takes a
// free one when that is in use by now.
func listen(port, former int) (net.Listener, error) {
	if port == 0 && former != 0 {
		if listener, err := net.Listen("tcp", net.JoinHostPort(loopback, strconv.Itoa(former))); err == nil {
			return listener, nil
		}
	}
	listener, err := net.Listen("tcp", net.JoinHostPort(loopback, strconv.Itoa(port)))
	if err != nil {
		return nil, fmt.Errorf("listening for the API server: %w", err)
	}
	return listener, nil
}

// runAPIServer serves on listener until ctx ends. It takes the listener over.
//
// Not app.NewAPIServerCommand: that installs signal handlers, which a process may do once.
func runAPIServer(ctx context.Context, listener net.Listener, keys pki, dir state.Dir, etcd string, audit bool) error {
	o := options.NewServerRunOptions()
	args := []string{
		"--bind-address=" + loopback,
		"--advertise-address=" + loopback,
		"--endpoint-reconciler-type=none", // a loopback address is no valid endpoint
		"--etcd-servers=unix://" + etcd,
		"--storage-media-type=application/vnd.kubernetes.protobuf",
		"--tls-cert-file=" + keys.serverCert(),
		"--tls-private-key-file=" + keys.serverKey(),
		"--client-ca-file=" + keys.ca(),
		"--requestheader-client-ca-file=" + keys.frontProxyCA(),
		"--requestheader-allowed-names=" + frontProxyName,
		"--requestheader-username-headers=X-Remote-User",
		"--requestheader-group-headers=X-Remote-Group",
		"--requestheader-extra-headers-prefix=X-Remote-Extra-",
		"--proxy-client-cert-file=" + keys.frontProxyCert(),
		"--proxy-client-key-file=" + keys.frontProxyKey(),
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file=" + keys.serviceAccounts(),
		"--service-account-signing-key-file=" + keys.serviceAccounts(),
		"--service-cluster-ip-range=" + serviceRange,
		"--authorization-mode=RBAC",
		"--allow-privileged=true",
		"--profiling=false",
		// It taints new nodes as not ready, and the controller that takes the taint away is off.
		"--disable-admission-plugins=TaintNodesByCondition",
		// End the watches of others instead of waiting a minute for who watches to go.
		"--shutdown-send-retry-after=true",
		"--shutdown-watch-termination-grace-period=1s",
	}
	if audit {
		args = append(args,
			"--audit-policy-file="+dir.AuditPolicy(),
			"--audit-log-path="+dir.Audit(),
			// The line is on disk before the answer is complete, so that who has it can read about it.
			"--audit-log-mode=blocking",
			"--audit-log-maxsize=0", // never rotated
		)
	}
	if err := parse(o.Flags(), args); err != nil {
		return err
	}
	o.SecureServing.Listener = listener
	o.SecureServing.BindPort = listener.Addr().(*net.TCPAddr).Port
	if err := o.GenericServerRunOptions.ComponentGlobalsRegistry.Set(); err != nil {
		return fmt.Errorf("setting feature gates: %w", err)
	}
	completed, err := o.Complete(ctx)
	if err != nil {
		return fmt.Errorf("completing the options: %w", err)
	}
	if errs := completed.Validate(); len(errs) != 0 {
		return fmt.Errorf("checking the options: %w", utilerrors.NewAggregate(errs))
	}
	return app.Run(ctx, completed)
}

// parse reads args into the options that the flag sets belong to.
func parse(named cliflag.NamedFlagSets, args []string) error {
	all := pflag.NewFlagSet("", pflag.ContinueOnError)
	for _, set := range named.FlagSets {
		all.AddFlagSet(set)
	}
	if err := all.Parse(args); err != nil {
		return fmt.Errorf("parsing flags: %w", err)
	}
	return nil
}
