package chart

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/stretchr/testify/require"
	"helm.sh/helm/v3/pkg/provenance"
	helmregistry "helm.sh/helm/v3/pkg/registry"

	"github.com/redkubes/otomi/pkg/diag"
)

// signer makes a key, and writes the keyring that has it.
func signer(t *testing.T) (*openpgp.Entity, string) {
	t.Helper()
	key, err := openpgp.NewEntity("Test", "", "test@example.com", nil)
	require.NoError(t, err)
	var public bytes.Buffer
	require.NoError(t, key.Serialize(&public))
	ring := filepath.Join(t.TempDir(), "keyring.gpg")
	require.NoError(t, os.WriteFile(ring, public.Bytes(), 0o600))
	return key, ring
}

// sign writes a .prov file with Helm's own code.
func sign(t *testing.T, key *openpgp.Entity, archive []byte, name string) []byte {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(file, archive, 0o600))
	text, err := (&provenance.Signatory{Entity: key}).ClearSign(file)
	require.NoError(t, err)
	return []byte(text)
}

func TestProvenanceIsVerifiedAsHelmDoes(t *testing.T) {
	t.Parallel()
	key, ring := signer(t)
	_, stranger := signer(t)
	const name = "web-1.2.3.tgz"
	archive := tgz(t, "web", "1.2.3")
	good := sign(t, key, archive, name)
	other := sign(t, key, tgz(t, "web", "9.9.9"), name)
	changed := bytes.Clone(archive)
	changed[len(changed)-1] ^= 1
	empty := filepath.Join(t.TempDir(), "empty.gpg")
	require.NoError(t, os.WriteFile(empty, []byte("no keys"), 0o600))
	for _, c := range []struct {
		what       string
		archive    []byte
		provenance []byte
		name, ring string
		word       string
	}{
		{what: "good", archive: archive, provenance: good, name: name, ring: ring},
		{what: "more text around it", archive: archive, provenance: []byte("x\n" + string(good) + "y\n"), name: name, ring: ring},
		{what: "another archive", archive: changed, provenance: good, name: name, ring: ring, word: "not the archive that was signed"},
		{what: "the signature of another version", archive: archive, provenance: other, name: name, ring: ring, word: "not the archive that was signed"},
		{what: "another name", archive: archive, provenance: good, name: "web-1.2.4.tgz", ring: ring, word: "no sha256 for a file named"},
		{what: "a key that nobody knows", archive: archive, provenance: good, name: name, ring: stranger, word: "does not have"},
		{what: "a changed text", archive: archive, provenance: bytes.Replace(good, []byte("name: web"), []byte("name: wab"), 1), name: name, ring: ring, word: "does not hold"},
		{what: "a changed digest", archive: changed, provenance: []byte(strings.Replace(string(good), sum(archive), sum(changed), 1)), name: name, ring: ring, word: "does not hold"},
		{what: "no signature", archive: archive, provenance: []byte("files: {}\n"), name: name, ring: ring, word: "has no signature"},
		{what: "nothing", archive: archive, name: name, ring: ring, word: "has no signature"},
		{what: "a ring that is none", archive: archive, provenance: good, name: name, ring: empty, word: "can't be read as OpenPGP keys"},
	} {
		dir := t.TempDir()
		file := filepath.Join(dir, c.name)
		require.NoError(t, os.WriteFile(file, c.archive, 0o600))
		require.NoError(t, os.WriteFile(file+".prov", c.provenance, 0o600))
		helm, helmErr := provenance.NewFromKeyring(c.ring, "")
		if helmErr == nil {
			_, helmErr = helm.Verify(file, file+".prov")
		}
		err := verifyProvenance(c.archive, c.name, c.provenance, c.ring)
		if c.word == "" {
			require.NoError(t, err, c.what)
			require.NoError(t, helmErr, c.what)
			continue
		}
		require.Error(t, helmErr, "%s: Helm takes it", c.what)
		require.ErrorContains(t, err, c.word, c.what)
		require.Equal(t, diag.ChartProvenance, err.(fault).code)
	}
	require.ErrorContains(t, verifyProvenance(archive, name, good, "/nowhere/ring.gpg"), "reading the keyring")
	require.ErrorContains(t, verifyProvenance(archive, name, good, ""), "no keyring is named")
}

func TestProvenanceOfARepository(t *testing.T) {
	t.Parallel()
	key, ring := signer(t)
	_, stranger := signer(t)
	s, a, archive := repository(t)
	ask := func(ring string) Ref {
		return refOf(t, s, func(r *Repository) { r.Verify, r.Keyring = true, ring })
	}
	_, _, diags, err := get(t, remoteOf(t, nil), ask(ring))
	refused(t, diag.ChartProvenance, diags, err, "web-1.2.3.tgz.prov", "helm package --sign")
	signed := sign(t, key, archive, "web-1.2.3.tgz")
	a["/charts/web-1.2.3.tgz.prov"] = text(signed)
	_, out, diags, err := get(t, remoteOf(t, nil), ask(ring))
	require.NoError(t, err)
	require.Empty(t, diags)
	require.Equal(t, archive, out.Archive)
	require.Equal(t, signed, out.Provenance)
	_, out, diags, err = get(t, remoteOf(t, nil), ask(stranger))
	refused(t, diag.ChartProvenance, diags, err, "does not have")
	require.Empty(t, out)
	a["/charts/web-1.2.3.tgz.prov"] = zeros
	_, _, diags, err = get(t, remoteOf(t, nil), ask(ring))
	refused(t, diag.ChartTooLarge, diags, err, "1 MiB")
	a["/charts/web-1.2.3.tgz.prov"] = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }
	_, _, diags, err = get(t, remoteOf(t, nil), ask(ring))
	require.Empty(t, diags)
	require.ErrorContains(t, err, "418")
	_, out, diags, err = get(t, remoteOf(t, nil), refOf(t, s, nil))
	require.NoError(t, err)
	require.Empty(t, diags)
	require.Nil(t, out.Provenance, "not asked for")
}

func TestProvenanceOfAnAddressWithAQuery(t *testing.T) {
	t.Parallel()
	key, ring := signer(t)
	archive := tgz(t, "web", "1.2.3")
	var asked []string
	a := answers{"/web-1.2.3.tgz": text(archive), "/web-1.2.3.tgz.prov": text(sign(t, key, archive, "web-1.2.3.tgz"))}
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.String())
		a.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	r := remoteOf(t, func(o *RemoteOptions) { o.SkipTLSVerify, o.Verify, o.Keyring = true, true, ring })
	_, out, diags, err := get(t, r, Ref{Chart: s.URL + "/web-1.2.3.tgz?token=1"})
	require.NoError(t, err)
	require.Empty(t, diags)
	require.NotNil(t, out.Provenance)
	require.Equal(t, []string{"/web-1.2.3.tgz?token=1", "/web-1.2.3.tgz.prov?token=1"}, asked)
}

func TestProvenanceOfARegistry(t *testing.T) {
	t.Parallel()
	key, ring := signer(t)
	s := newOCI(t)
	signed, plain := tgz(t, "web", "1.2.3+b"), tgz(t, "web", "1.2.4")
	s.push(t, signed, "web", "1.2.3+b", helmregistry.PushOptProvData(sign(t, key, signed, "web-1.2.3+b.tgz")))
	s.push(t, plain, "web", "1.2.4")
	ask := s.remote(t, func(o *RemoteOptions) { o.Verify, o.Keyring = true, ring })
	_, out, diags, err := get(t, ask, s.ref(":1.2.3+b"))
	require.NoError(t, err)
	require.Empty(t, diags)
	require.Equal(t, signed, out.Archive)
	require.NotEmpty(t, out.Provenance)
	_, _, diags, err = get(t, ask, s.ref(":1.2.4"))
	refused(t, diag.ChartProvenance, diags, err, "has no provenance")
	_, _, diags, err = get(t, ask, Ref{Chart: "git+https://h.example.com/r//p@v1"})
	require.True(t, err != nil || diags.HasErrors())
}
