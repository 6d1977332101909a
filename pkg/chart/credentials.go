package chart

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/source"
	"oras.land/oras-go/v2/registry"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"
)

// maxCredentials is how large a credential file may be, in bytes.
const maxCredentials = 1 << 20

// keys finds the credentials for one reference, and remembers how that went. The registry's library asks it only after a
// registry wanted credentials.
type keys struct {
	// own are the credentials of the reference itself, for host alone.
	own   auth.Credential
	host  string
	files []string

	mu                 sync.Mutex
	used               bool
	helper, helperFile string
}

// credential returns what to send to a host, or nothing.
func (k *keys) credential(_ context.Context, host string) (auth.Credential, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.host != "" && k.host == host {
		k.used = true
		return k.own, nil
	}
	for _, file := range k.files {
		found, helper, err := readCredential(file, host)
		if err != nil {
			return auth.EmptyCredential, err
		}
		if found != auth.EmptyCredential {
			k.used = true
			return found, nil
		}
		if helper != "" && k.helper == "" {
			k.helper, k.helperFile = helper, file
		}
	}
	return auth.EmptyCredential, nil
}

// dockerFile is what of a credential file otomi knows (docker/cli, cli/config/configfile).
type dockerFile struct {
	Auths map[string]struct {
		Auth          string `json:"auth"`
		Username      string `json:"username"`
		Password      string `json:"password"`
		IdentityToken string `json:"identitytoken"`
		RegistryToken string `json:"registrytoken"`
	} `json:"auths"`
	CredsStore  string            `json:"credsStore"`
	CredHelpers map[string]string `json:"credHelpers"`
}

// readCredential looks a host up in a credential file. helper is the program that the file names for it: one of its own,
// or the file's where the host has an empty entry, which is what docker login leaves.
func readCredential(file, host string) (_ auth.Credential, helper string, err error) {
	text, err := source.ReadFile(file, maxCredentials)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(strings.TrimSpace(string(text))) == 0 {
		return auth.EmptyCredential, "", nil
	}
	if err != nil {
		return auth.EmptyCredential, "", err
	}
	var d dockerFile
	if len(text) > maxCredentials || json.Unmarshal(text, &d) != nil {
		return auth.EmptyCredential, "", unusable(file)
	}
	for _, key := range keysOf(d.Auths, host) {
		a := d.Auths[key]
		c := auth.Credential{Username: a.Username, Password: a.Password, RefreshToken: a.IdentityToken, AccessToken: a.RegistryToken}
		if a.Auth != "" {
			plain, err := base64.StdEncoding.DecodeString(a.Auth)
			user, password, ok := strings.Cut(string(plain), ":")
			if err != nil || !ok {
				return auth.EmptyCredential, "", unusable(file)
			}
			c.Username, c.Password = user, strings.TrimRight(password, "\x00")
		}
		if c != auth.EmptyCredential {
			return c, "", nil
		}
		helper = d.CredsStore
	}
	if own := keysOf(d.CredHelpers, host); len(own) > 0 {
		helper = d.CredHelpers[own[0]]
	}
	return auth.EmptyCredential, helper, nil
}

// keysOf returns the keys that mean a host, the one that is written the same first.
func keysOf[V any](m map[string]V, host string) []string {
	var keys []string
	for key := range m {
		if serverHost(key) == serverHost(host) {
			keys = append(keys, key)
		}
	}
	slices.SortFunc(keys, func(a, b string) int {
		return cmp.Or(cmp.Compare(rank(a, host), rank(b, host)), strings.Compare(a, b))
	})
	return keys
}

func rank(key, host string) int {
	if key == host {
		return 0
	}
	return 1
}

// unusable is the fault of a file that can't be read as credentials. Its text is never shown.
func unusable(file string) fault {
	return faultf(diag.ChartCredentials, "%s is not a file of credentials as Docker and Helm write it. Correct it, or remove it and log in again", file)
}

// serverHost is the host that a key of a credential file means: with a scheme and a path in old ones, and the address of
// the old index for the Docker Hub (docker/cli, cli/config/credentials, ConvertToHostname).
func serverHost(key string) string {
	if _, rest, ok := strings.Cut(key, "://"); ok {
		key = rest
	}
	host, _, _ := strings.Cut(key, "/")
	host = strings.ToLower(host)
	switch host {
	case "docker.io", "index.docker.io", "registry-1.docker.io":
		return "index.docker.io"
	}
	return host
}

// LoginOptions say who logs in where.
type LoginOptions struct {
	// Host is the registry, HOST or HOST:PORT. A scheme before it and a path behind it are cut off, as helm does.
	Host               string
	Username, Password string
	// File is the credential file to write, with its directory.
	File string
	// PlainHTTP, SkipTLSVerify, CAFile, CertFile and KeyFile are as in Repository.
	PlainHTTP, SkipTLSVerify  bool
	CAFile, CertFile, KeyFile string
	UserAgent                 string
	Proxy                     func(*http.Request) (*url.URL, error)
}

// Login tries the credentials at the registry, and writes them into the file, which keeps all else that it has: mode 0600,
// replaced in one step. The error says so where the registry does not accept them.
func Login(ctx context.Context, o LoginOptions) error {
	host, err := registryHost(o.Host)
	if err != nil {
		return err
	}
	if o.Username == "" || o.Password == "" {
		return fmt.Errorf("logging in to %s: a user name and a password are needed", host)
	}
	if strings.Contains(o.Username, ":") {
		return fmt.Errorf("logging in to %s: a user name can't have a colon", host)
	}
	// The user named the host, and it may name another one for its tokens.
	r := NewRemote(RemoteOptions{Allow: func(string) bool { return true }, UserAgent: o.UserAgent, Proxy: o.Proxy})
	client, err := r.client(place{repository: Repository{
		PlainHTTP: o.PlainHTTP, SkipTLSVerify: o.SkipTLSVerify, CAFile: o.CAFile, CertFile: o.CertFile, KeyFile: o.KeyFile,
	}})
	if err != nil {
		return fmt.Errorf("logging in to %s: %w", host, err)
	}
	reg := &remote.Registry{RepositoryOptions: remote.RepositoryOptions{Reference: registry.Reference{Registry: host}, PlainHTTP: o.PlainHTTP}}
	k := &keys{own: auth.Credential{Username: o.Username, Password: o.Password}, host: reg.Reference.Host()}
	ctx, cancel := context.WithTimeoutCause(ctx, headerTimeout, fmt.Errorf("it took longer than %v", headerTimeout))
	defer cancel()
	// With OAuth2 first, as helm does (pkg/registry, Client.ping): some registries have no other way.
	for _, oauth := range []bool{true, false} {
		authorized := r.authorized(client, k)
		authorized.ForceAttemptOAuth2 = oauth
		reg.Client = authorized
		if err = reg.Ping(ctx); err == nil {
			break
		}
	}
	if err != nil {
		at, parsed := url.Parse("https://" + host)
		if parsed != nil {
			return fmt.Errorf("logging in to %s: %w", host, clean(err))
		}
		explained := k.explain(place{url: at}, "a login", err)
		var f fault
		if errors.As(explained, &f) && f.code == diag.ChartUnauthorized {
			return fmt.Errorf("logging in to %s: it does not accept the user name and the password", host)
		}
		return fmt.Errorf("logging in to %s: %w", host, clean(explained))
	}
	key := host
	if serverHost(host) == "index.docker.io" {
		key = "https://index.docker.io/v1/" // where Docker and Helm look for it
	}
	entry, err := json.Marshal(map[string]string{"auth": base64.StdEncoding.EncodeToString([]byte(o.Username + ":" + o.Password))})
	if err != nil {
		return fmt.Errorf("writing the credentials: %w", err)
	}
	return editCredentials(o.File, func(auths map[string]json.RawMessage) bool {
		forget(auths, host)
		auths[key] = entry
		return true
	})
}

// Logout removes the credentials of a registry from the file, and reports whether it had any.
func Logout(file, host string) (had bool, err error) {
	host, err = registryHost(host)
	if err != nil {
		return false, err
	}
	err = editCredentials(file, func(auths map[string]json.RawMessage) bool {
		had = forget(auths, host)
		return had
	})
	return had, err
}

func forget(auths map[string]json.RawMessage, host string) (had bool) {
	for key := range auths {
		if serverHost(key) == serverHost(host) {
			delete(auths, key)
			had = true
		}
	}
	return had
}

// registryHost returns the host of a registry out of what the user typed.
func registryHost(text string) (string, error) {
	if _, rest, ok := strings.Cut(text, "://"); ok {
		text = rest
	}
	host, _, _ := strings.Cut(text, "/")
	if host == "" || strings.Contains(host, "@") || (registry.Reference{Registry: host}).ValidateRegistry() != nil {
		return "", errors.New("the registry is no host: write HOST or HOST:PORT")
	}
	return strings.ToLower(host), nil
}

// editCredentials changes the entries of a credential file and keeps all else in it. edit says whether it changed them.
func editCredentials(file string, edit func(auths map[string]json.RawMessage) bool) error {
	if target, err := filepath.EvalSymlinks(file); err == nil {
		file = target // a link to the file stays one
	}
	text, err := source.ReadFile(file, maxCredentials)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("reading the credential file: %w", err)
	}
	content, auths := map[string]json.RawMessage{}, map[string]json.RawMessage{}
	if len(strings.TrimSpace(string(text))) > 0 {
		if len(text) > maxCredentials || json.Unmarshal(text, &content) != nil {
			return unusable(file)
		}
		if raw, ok := content["auths"]; ok && json.Unmarshal(raw, &auths) != nil {
			return unusable(file)
		}
		if auths == nil {
			auths = map[string]json.RawMessage{}
		}
	}
	if !edit(auths) {
		return nil
	}
	if content["auths"], err = json.Marshal(auths); err != nil {
		return fmt.Errorf("writing the credential file: %w", err)
	}
	out, err := json.MarshalIndent(content, "", "\t")
	if err != nil {
		return fmt.Errorf("writing the credential file: %w", err)
	}
	return replaceFile(file, append(out, '\n'))
}

// replaceFile writes a file that only its owner may read, in one step.
func replaceFile(file string, data []byte) (err error) {
	dir := filepath.Dir(file)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("making the directory of the credential file: %w", err)
	}
	f, err := os.CreateTemp(dir, ".otomi-*") // of mode 0600
	if err != nil {
		return fmt.Errorf("writing the credential file: %w", err)
	}
	defer func() {
		if err != nil {
			_ = f.Close()
			_ = os.Remove(f.Name())
		}
	}()
	if _, err := f.Write(data); err != nil {
		return fmt.Errorf("writing the credential file: %w", err)
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("writing the credential file: %w", err)
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("writing the credential file: %w", err)
	}
	if err := os.Rename(f.Name(), file); err != nil {
		return fmt.Errorf("replacing the credential file: %w", err)
	}
	return nil
}
