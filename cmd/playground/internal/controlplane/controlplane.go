// Package controlplane runs a Kubernetes control plane in this process: etcd, kube-apiserver, kube-controller-manager
// and kube-scheduler as they are, and in place of machines kwok, which plays the part of the kubelets. Nothing runs in
// the pods; everything else is real.
//
// The components keep their feature gates, metrics and loggers in variables of their packages, so a process can have
// one control plane, once.
package controlplane

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"k8s.io/client-go/kubernetes"
	kwoklog "sigs.k8s.io/kwok/pkg/log"

	"github.com/redkubes/otomi/cmd/playground/internal/health"
	"github.com/redkubes/otomi/cmd/playground/internal/state"
)

// grace is how long parts that run side by side may take to end. The API server is the slow one: two seconds with a
// client that watches, a minute with one that does not let go.
const grace = 5 * time.Second

// Options are how [Run] runs.
type Options struct {
	Port    int       // of the API server on loopback; 0: the one of the last time, or a free one
	Audit   bool      // record requests in [state.Dir.Audit]
	Verbose bool      // let the components log to Log
	Relay   bool      // the API server dials etcd at [EtcdRelay], which the caller relays to [EtcdSocket]
	Log     io.Writer // nil: nowhere
	Ready   func()    // called once when the control plane can be worked with; may be nil
}

// Run runs a control plane with its state in dir, which the caller holds, until ctx ends, and then ends it in order.
// It changes the working directory to dir. The error says which part ended by itself, and is nil when ctx did it.
func Run(ctx context.Context, dir state.Dir, o Options) error {
	if o.Log == nil {
		o.Log = io.Discard
	}
	logger := quiet(o.Log, o.Verbose)
	if err := setVersion(); err != nil {
		return err
	}
	// For the sockets' sake: see EtcdSocket.
	if err := os.Chdir(string(dir)); err != nil {
		return fmt.Errorf("entering the state folder: %w", err)
	}
	listener, err := listen(o.Port, dir.Port())
	if err != nil {
		return err
	}
	keys, err := prepare(dir, listener.Addr())
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	if err := removeSockets(); err != nil {
		return errors.Join(err, listener.Close())
	}
	etcd, err := startEtcd(ctx, o.Verbose)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	defer etcd.Close()

	// Clients end before the server they talk to, and that one before its store.
	server := newGroup(context.WithoutCancel(ctx))
	defer server.stop()
	server.start("kube-apiserver", func(ctx context.Context) error {
		socket := EtcdSocket
		if o.Relay {
			socket = EtcdRelay
		}
		return runAPIServer(ctx, listener, keys, dir, socket, o.Audit)
	})
	client, err := health.Client(dir.ComponentKubeconfig(userNodes), "playground")
	if err != nil {
		return err
	}
	if err := waitForAnswer(ctx, server, client); err != nil {
		return err
	}

	clients := newGroup(context.WithoutCancel(ctx))
	defer clients.stop()
	clients.start("kube-controller-manager", func(ctx context.Context) error {
		return runControllerManager(ctx, dir.ComponentKubeconfig(userControllerManager), keys)
	})
	clients.start("kube-scheduler", func(ctx context.Context) error {
		return runScheduler(ctx, dir.ComponentKubeconfig(userScheduler))
	})
	clients.start("kwok", func(ctx context.Context) error {
		if err := startNodes(kwoklog.NewContext(ctx, logger), dir.ComponentKubeconfig(userNodes)); err != nil {
			return err
		}
		if _, err := health.Wait(ctx, client, Nodes); err != nil {
			return err
		}
		if o.Ready != nil {
			o.Ready()
		}
		<-ctx.Done()
		return nil
	})

	select {
	case <-ctx.Done():
		return nil
	case err := <-server.failed:
		return err
	case err := <-clients.failed:
		return err
	case err := <-etcd.Err():
		return fmt.Errorf("etcd: %w", err)
	}
}

// prepare writes the files that the components read.
func prepare(dir state.Dir, addr net.Addr) (pki, error) {
	keys, err := openPKI(dir)
	if err != nil {
		return "", err
	}
	if err := state.WriteFile(dir.AuditPolicy(), auditPolicy); err != nil {
		return "", err
	}
	kubeconfigs := map[string]string{
		userAdmin:             dir.Kubeconfig(),
		userControllerManager: dir.ComponentKubeconfig(userControllerManager),
		userScheduler:         dir.ComponentKubeconfig(userScheduler),
		userNodes:             dir.ComponentKubeconfig(userNodes),
	}
	for user, path := range kubeconfigs {
		credentials, err := keys.credentials(user)
		if err != nil {
			return "", err
		}
		if err := state.WriteKubeconfig(path, "https://"+addr.String(), credentials); err != nil {
			return "", err
		}
	}
	return keys, nil
}

// waitForAnswer waits until the API server answers at all: from then on its clients can be started, and the rest of its
// start overlaps with theirs.
func waitForAnswer(ctx context.Context, server *group, client *kubernetes.Clientset) error {
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		status := 0
		client.RESTClient().Get().AbsPath("/livez/ping").Do(ctx).StatusCode(&status)
		if status == http.StatusOK {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil // the caller sees it too, and it is no failure
		case err := <-server.failed:
			return err
		case <-ticker.C:
		}
	}
}

// group is parts that run side by side and end together.
type group struct {
	ctx    context.Context
	cancel context.CancelFunc
	wait   sync.WaitGroup
	failed chan error // the first part that ended before it was asked to
}

func newGroup(ctx context.Context) *group {
	ctx, cancel := context.WithCancel(ctx)
	return &group{ctx: ctx, cancel: cancel, failed: make(chan error, 1)}
}

func (g *group) start(name string, run func(context.Context) error) {
	g.wait.Go(func() {
		err := run(g.ctx)
		if g.ctx.Err() != nil {
			return
		}
		if err == nil {
			err = errors.New("ended by itself")
		}
		select {
		case g.failed <- fmt.Errorf("%s: %w", name, err):
		default: // a consequence of the first
		}
	})
}

// stop ends the parts and waits for them, but not longer than grace: the process is about to end.
func (g *group) stop() {
	g.cancel()
	done := make(chan struct{})
	go func() {
		g.wait.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(grace):
	}
}
