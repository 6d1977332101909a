// Package state is the folder a playground lives in: what its files are called, who holds it, and the
// kubeconfigs that lead into it. It starts and stops nothing.
package state

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// Context is the name of the context, the cluster and the user in every kubeconfig written here.
const Context = "playground"

// ErrHeld says that another process holds the folder.
var ErrHeld = errors.New("another playground holds the state folder")

// Dir is a state folder, by its absolute path.
type Dir string

// At is the state folder at path. It does no I/O beyond asking for the working directory.
func At(path string) (Dir, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("resolving the state folder: %w", err)
	}
	return Dir(abs), nil
}

// Default is where a playground lives that was given no folder: otomi/playground under the user's cache.
func Default() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("finding the user's cache folder: %w", err)
	}
	return filepath.Join(cache, "otomi", "playground"), nil
}

// Kubeconfig is the administrator's.
func (d Dir) Kubeconfig() string { return d.join("kubeconfig") }

// Log is where a playground in the background writes what it has to say.
func (d Dir) Log() string { return d.join("playground.log") }

// Audit is the API server's record of requests.
func (d Dir) Audit() string { return d.join("audit.log") }

// AuditPolicy says what is recorded in Audit.
func (d Dir) AuditPolicy() string { return d.join("audit-policy.yaml") }

// PKI holds keys and certificates.
func (d Dir) PKI() string { return d.join("pki") }

// ComponentKubeconfig is the kubeconfig of one part of the control plane, by its name.
func (d Dir) ComponentKubeconfig(component string) string { return d.join(component + ".kubeconfig") }

func (d Dir) pidFile() string { return d.join("playground.pid") }

func (d Dir) join(name string) string { return filepath.Join(string(d), name) }

// Create makes the folder, readable by its owner only.
func (d Dir) Create() error {
	if err := os.MkdirAll(string(d), 0o700); err != nil {
		return fmt.Errorf("making the state folder: %w", err)
	}
	return nil
}

// Delete removes the folder and what is in it. It refuses a folder that is held, and one that has other things in it
// than a playground, as a mistyped --dir would have.
func (d Dir) Delete() error {
	pid, err := d.Holder()
	if err != nil {
		return err
	}
	if pid != 0 {
		return fmt.Errorf("deleting %s: %w", d, ErrHeld)
	}
	if _, err := os.Stat(string(d)); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if _, err := os.Stat(d.pidFile()); err != nil {
		return fmt.Errorf("%s is no playground's folder, nothing was deleted: %w", d, err)
	}
	if err := os.RemoveAll(string(d)); err != nil {
		return fmt.Errorf("deleting the state folder: %w", err)
	}
	return nil
}

// Hold takes the folder for this process, until it ends or calls release. It is [ErrHeld] when another one has it.
//
// The hold is a record lock on the pid file: the kernel drops it with the process, however that dies, and knows who
// holds it. So a number in a stale pid file, perhaps some other program's by now, is never believed. A record lock is
// also dropped when its process closes any other descriptor of the file: who holds a folder must not call [Dir.Holder].
func (d Dir) Hold() (release func(), err error) {
	file, err := os.OpenFile(d.pidFile(), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the pid file: %w", err)
	}
	lock := syscall.Flock_t{Type: syscall.F_WRLCK, Whence: io.SeekStart}
	err = syscall.FcntlFlock(file.Fd(), syscall.F_SETLK, &lock)
	if errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EACCES) {
		return nil, errors.Join(ErrHeld, file.Close())
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("locking the pid file: %w", err), file.Close())
	}
	if err := file.Truncate(0); err != nil {
		return nil, errors.Join(fmt.Errorf("emptying the pid file: %w", err), file.Close())
	}
	if _, err := file.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0); err != nil {
		return nil, errors.Join(fmt.Errorf("writing the pid file: %w", err), file.Close())
	}
	return func() { _ = file.Close() }, nil
}

// Holder is the process that holds the folder, and 0 when none does.
func (d Dir) Holder() (pid int, err error) {
	file, err := os.OpenFile(d.pidFile(), os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("opening the pid file: %w", err)
	}
	defer func() { _ = file.Close() }()
	lock := syscall.Flock_t{Type: syscall.F_WRLCK, Whence: io.SeekStart}
	if err := syscall.FcntlFlock(file.Fd(), syscall.F_GETLK, &lock); err != nil {
		return 0, fmt.Errorf("asking who holds the state folder: %w", err)
	}
	if lock.Type == syscall.F_UNLCK {
		return 0, nil
	}
	if lock.Pid <= 0 {
		return 0, fmt.Errorf("%s is held by a process of another pid namespace", d)
	}
	return int(lock.Pid), nil
}

// Port is the one that the kubeconfig points to, and 0 when there is none.
func (d Dir) Port() int {
	config, err := clientcmd.LoadFromFile(d.Kubeconfig())
	if err != nil {
		return 0
	}
	cluster, ok := config.Clusters[Context]
	if !ok {
		return 0
	}
	server, err := url.Parse(cluster.Server)
	if err != nil {
		return 0
	}
	port, err := strconv.Atoi(server.Port())
	if err != nil {
		return 0
	}
	return port
}

// Credentials are what a client needs to be let in, all PEM.
type Credentials struct {
	CA, Cert, Key []byte
}

// WriteKubeconfig writes a self-contained kubeconfig to path, at once and for its owner only.
func WriteKubeconfig(path, server string, cred Credentials) error {
	config := clientcmdapi.NewConfig()
	config.Clusters[Context] = &clientcmdapi.Cluster{Server: server, CertificateAuthorityData: cred.CA}
	config.AuthInfos[Context] = &clientcmdapi.AuthInfo{ClientCertificateData: cred.Cert, ClientKeyData: cred.Key}
	config.Contexts[Context] = &clientcmdapi.Context{Cluster: Context, AuthInfo: Context}
	config.CurrentContext = Context
	content, err := clientcmd.Write(*config)
	if err != nil {
		return fmt.Errorf("encoding a kubeconfig: %w", err)
	}
	return WriteFile(path, content)
}

// WriteFile puts content at path, for its owner only: a reader sees the former file or the new one, never half of one.
func WriteFile(path string, content []byte) error {
	temp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	_, err = temp.Write(content)
	if err := errors.Join(err, temp.Close()); err != nil {
		return errors.Join(fmt.Errorf("writing %s: %w", path, err), os.Remove(temp.Name()))
	}
	if err := os.Rename(temp.Name(), path); err != nil {
		return errors.Join(fmt.Errorf("writing %s: %w", path, err), os.Remove(temp.Name()))
	}
	return nil
}
