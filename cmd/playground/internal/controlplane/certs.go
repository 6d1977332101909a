package controlplane

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/redkubes/otomi/cmd/playground/internal/state"
)

// lifetime of every certificate. The state is thrown away long before.
const lifetime = 10 * 365 * 24 * time.Hour

// Who talks to the API server. Each is a user of its own, so that the audit log tells them apart; all are
// administrators, since nothing here is worth a finer role.
const (
	userAdmin             = "playground-admin"
	userControllerManager = "playground-controller-manager"
	userScheduler         = "playground-scheduler"
	userNodes             = "playground-nodes"

	administrators = "system:masters" // the group
)

// pki is the folder of keys and certificates, in the layout of kubeadm where it has a name for the file
// (https://kubernetes.io/docs/setup/best-practices/certificates/).
type pki string

func (p pki) ca() string               { return p.join("ca.crt") }
func (p pki) serverCert() string       { return p.join("apiserver.crt") }
func (p pki) serverKey() string        { return p.join("apiserver.key") }
func (p pki) frontProxyCA() string     { return p.join("front-proxy-ca.crt") }
func (p pki) frontProxyCert() string   { return p.join("front-proxy-client.crt") }
func (p pki) frontProxyKey() string    { return p.join("front-proxy-client.key") }
func (p pki) serviceAccounts() string  { return p.join("sa.key") }
func (p pki) userCert(u string) string { return p.join(u + ".crt") }
func (p pki) userKey(u string) string  { return p.join(u + ".key") }
func (p pki) join(name string) string  { return filepath.Join(string(p), name) }

// credentials are those of a user that openPKI has made.
func (p pki) credentials(user string) (state.Credentials, error) {
	ca, caErr := os.ReadFile(p.ca())
	cert, certErr := os.ReadFile(p.userCert(user))
	key, keyErr := os.ReadFile(p.userKey(user))
	if err := errors.Join(caErr, certErr, keyErr); err != nil {
		return state.Credentials{}, fmt.Errorf("reading the credentials of %s: %w", user, err)
	}
	return state.Credentials{CA: ca, Cert: cert, Key: key}, nil
}

// openPKI is the state's keys and certificates. It makes them the first time: all or none, so that a start that was
// killed leaves no half of them.
func openPKI(dir state.Dir) (pki, error) {
	p := pki(dir.PKI())
	_, err := os.Stat(string(p))
	if err == nil {
		return p, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("looking for the certificates: %w", err)
	}
	temp, err := os.MkdirTemp(string(dir), ".pki-*")
	if err != nil {
		return "", fmt.Errorf("making a folder for the certificates: %w", err)
	}
	if err := pki(temp).fill(); err != nil {
		return "", errors.Join(fmt.Errorf("making the certificates: %w", err), os.RemoveAll(temp))
	}
	if err := os.Rename(temp, string(p)); err != nil {
		return "", errors.Join(fmt.Errorf("keeping the certificates: %w", err), os.RemoveAll(temp))
	}
	return p, nil
}

func (p pki) fill() error {
	ca, err := newAuthority("playground-ca", p.ca())
	if err != nil {
		return err
	}
	frontProxyCA, err := newAuthority("playground-front-proxy-ca", p.frontProxyCA())
	if err != nil {
		return err
	}
	if err := ca.issue(server(), p.serverCert(), p.serverKey()); err != nil {
		return err
	}
	if err := frontProxyCA.issue(client(frontProxyName), p.frontProxyCert(), p.frontProxyKey()); err != nil {
		return err
	}
	for _, user := range []string{userAdmin, userControllerManager, userScheduler, userNodes} {
		if err := ca.issue(client(user, administrators), p.userCert(user), p.userKey(user)); err != nil {
			return err
		}
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	return writeKey(p.serviceAccounts(), key)
}

// server is the API server's certificate. Besides the loopback address it names what pods would call it.
func server() *x509.Certificate {
	return &x509.Certificate{
		Subject:     pkix.Name{CommonName: "kube-apiserver"},
		DNSNames:    []string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.ParseIP(serviceIP)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		KeyUsage:    x509.KeyUsageDigitalSignature,
	}
}

// client is a certificate for a user of that name and those groups.
func client(user string, groups ...string) *x509.Certificate {
	return &x509.Certificate{
		Subject:     pkix.Name{CommonName: user, Organization: groups},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		KeyUsage:    x509.KeyUsageDigitalSignature,
	}
}

type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// newAuthority writes its certificate; its key lives as long as the value, since nothing is signed later.
func newAuthority(name, path string) (authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return authority{}, err
	}
	cert := &x509.Certificate{
		Subject:               pkix.Name{CommonName: name},
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	a := authority{cert: cert, key: key}
	return a, a.sign(cert, &key.PublicKey, path)
}

func (a authority) issue(cert *x509.Certificate, certPath, keyPath string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	if err := a.sign(cert, &key.PublicKey, certPath); err != nil {
		return err
	}
	return writeKey(keyPath, key)
}

func (a authority) sign(cert *x509.Certificate, public *ecdsa.PublicKey, path string) error {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return err
	}
	now := time.Now()
	cert.SerialNumber = serial
	cert.NotBefore = now.Add(-time.Hour) // clocks jump
	cert.NotAfter = now.Add(lifetime)
	der, err := x509.CreateCertificate(rand.Reader, cert, a.cert, public, a.key)
	if err != nil {
		return err
	}
	return os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600)
}

func writeKey(path string, key *ecdsa.PrivateKey) error {
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	return os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), 0o600)
}
