package controlplane

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"

	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/storage/wal"
)

// etcd's sockets. A socket's path may have 107 bytes (sun_path in unix(7)) and a state folder any number, so they are
// given relative to the working directory, which [Run] makes the state folder.
const (
	EtcdSocket     = "etcd.sock"
	etcdPeerSocket = "etcd-peer.sock"
	// EtcdRelay is where the API server looks for etcd with [Options.Relay].
	EtcdRelay = "etcd-relay.sock"
)

// startEtcd starts a store of one member in the working directory and waits until it serves.
func startEtcd(ctx context.Context, verbose bool) (*embed.Etcd, error) {
	// One member's log of 8 MiB segments, two of which are allocated ahead, in place of 64: 17 MB of state for 123.
	wal.SegmentSizeBytes = 8 << 20

	config := embed.NewConfig()
	config.Name = "playground"
	config.Dir = "etcd"
	config.ListenClientUrls = []url.URL{{Scheme: "unix", Host: EtcdSocket}}
	config.ListenPeerUrls = []url.URL{{Scheme: "unix", Host: etcdPeerSocket}}
	// Advertised addresses may not be unix ones. Nobody dials these: there is no second member.
	config.AdvertiseClientUrls = []url.URL{{Scheme: "http", Host: "localhost:2379"}}
	config.AdvertisePeerUrls = []url.URL{{Scheme: "http", Host: "localhost:2380"}}
	config.InitialCluster = config.InitialClusterFromName(config.Name)
	config.EnableGRPCGateway = false
	// A killed process loses nothing by this, only a machine that loses power.
	config.UnsafeNoFsync = true
	// A single member elects itself after one timeout: keep it short.
	config.TickMs = 20
	config.ElectionMs = 200
	config.LogLevel = "fatal"
	if verbose {
		config.LogLevel = "error"
	}

	server, err := embed.StartEtcd(config)
	if err != nil {
		return nil, fmt.Errorf("starting etcd: %w", err)
	}
	select {
	case <-server.Server.ReadyNotify():
		return server, nil
	case err := <-server.Err():
		server.Close()
		return nil, fmt.Errorf("starting etcd: %w", err)
	case <-ctx.Done():
		server.Close()
		return nil, fmt.Errorf("starting etcd: %w", context.Cause(ctx))
	}
}

// removeSockets clears what etcd leaves behind when it is killed.
func removeSockets() error {
	for _, socket := range []string{EtcdSocket, etcdPeerSocket} {
		if err := os.Remove(socket); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("removing a socket: %w", err)
		}
	}
	return nil
}
