package chart

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"path"
	"strings"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
	pgperrors "github.com/ProtonMail/go-crypto/openpgp/errors"
	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/source"
	"github.com/redkubes/otomi/pkg/yaml"
	helmchart "helm.sh/helm/v3/pkg/chart"
)

// maxKeyring is how large a keyring may be, in bytes.
const maxKeyring = 16 << 20

// verifyProvenance checks a .prov file as helm verify does (pkg/provenance, Signatory.Verify): its signature is by a key of
// the keyring, and it has the sha256 of the archive under the archive's name. The faults are ChartProvenance; the error is
// a keyring that can't be read.
func verifyProvenance(archive []byte, name string, provenance []byte, keyring string) error {
	return verifySignature(sumOf(archive), name, provenance, keyring)
}

// verifySignature is verifyProvenance by the sha256 of the archive as hex.
func verifySignature(digest, name string, provenance []byte, keyring string) error {
	if keyring == "" {
		return faultf(diag.ChartProvenance, "the provenance of %s is asked for, and no keyring is named. Name the file of public keys: keyring: FILE", name)
	}
	text, err := source.ReadFile(keyring, maxKeyring)
	if err != nil {
		return fmt.Errorf("reading the keyring: %w", err)
	}
	if len(text) > maxKeyring {
		return faultf(diag.ChartTooLarge, "the keyring %s has more than %s. Name one with the keys of the charts alone", keyring, size(maxKeyring))
	}
	ring, err := openpgp.ReadKeyRing(bytes.NewReader(text))
	if err != nil {
		// gpg keeps keys in another form (keybox) by default, and armored ones are not read by Helm either.
		return faultf(diag.ChartProvenance, "the keyring %s can't be read as OpenPGP keys (%v). Write one with: gpg --export > FILE", keyring, err)
	}
	block, _ := clearsign.Decode(provenance)
	if block == nil {
		return faultf(diag.ChartProvenance, "the provenance of %s has no signature. Sign the chart again with helm package --sign", name)
	}
	_, err = openpgp.CheckDetachedSignature(ring, bytes.NewReader(block.Bytes), block.ArmoredSignature.Body, nil)
	if errors.Is(err, pgperrors.ErrUnknownIssuer) {
		return faultf(diag.ChartProvenance, "the provenance of %s is signed by a key that the keyring %s does not have. "+
			"Import the signer's public key if you trust it", name, keyring)
	}
	if err != nil {
		return faultf(diag.ChartProvenance, "the signature of the provenance of %s does not hold: %v. Find out who changed it; nothing of the chart was used", name, err)
	}
	parts := bytes.Split(block.Plaintext, []byte("\n...\n"))
	if len(parts) < 2 {
		return faultf(diag.ChartProvenance, "the provenance of %s has no list of files. Sign the chart again with helm package --sign", name)
	}
	var metadata helmchart.Metadata
	var sums struct {
		Files  map[string]string `json:"files"`
		Images map[string]string `json:"images,omitempty"`
	}
	if err := errors.Join(yaml.DecodeInto(parts[0], &metadata), yaml.DecodeInto(parts[1], &sums)); err != nil {
		return faultf(diag.ChartProvenance, "the provenance of %s is not as Helm writes it: %s. Sign the chart again with helm package --sign", name, brief(err))
	}
	got := "sha256:" + digest
	switch want, ok := sums.Files[name]; {
	case !ok:
		return faultf(diag.ChartProvenance, "the provenance has no sha256 for a file named %s. Sign the chart under the name that it is fetched by", name)
	case want != got:
		return faultf(diag.ChartProvenance, "%s is not the archive that was signed: its digest is %s, and %s was signed. Find out who changed it; nothing of it was used",
			name, got, want)
	}
	return nil
}

// wantsProvenance reports whether a reference asks for provenance.
func wantsProvenance(r Ref) bool {
	wanted, _ := r.provenance()
	return wanted
}

func noProvenanceInGit(display string) fault {
	return faultf(diag.ChartProvenance, "the provenance of %s is asked for, and a chart in git has none. Pin a commit instead, and take verify away", display)
}

// provenanceName is the name by which an entry's archive is signed: as Remote fetches it.
func provenanceName(e Entry) string {
	u, err := url.Parse(e.URL)
	if err != nil {
		return ""
	}
	if strings.EqualFold(u.Scheme, "oci") {
		return chartName(u.Path) + "-" + e.Version + ".tgz"
	}
	return path.Base(u.Path)
}

// proven verifies the provenance of the bytes of an entry, wherever they came from: once for each digest, name and keyring.
// It takes the .prov file of this run, of vendor/charts or of the cache, else of the network, and returns the one that holds.
func (s *Store) proven(ctx context.Context, r Ref, e Entry) ([]byte, diag.Diagnostics, error) {
	name := provenanceName(e)
	_, keyring := r.provenance()
	if e.Commit != "" {
		return nil, diag.Diagnostics{{Severity: diag.Error, Code: diag.ChartProvenance, Range: r.Range, Detail: noProvenanceInGit(scrub(r.Chart)).detail}}, nil
	}
	return s.proofs.get(ctx, strings.Join([]string{e.SHA256, name, keyring, s.slot(r, e.Key)}, "\x00"), r.Range, func() ([]byte, diag.Diagnostics, error) {
		var problem error
		for _, text := range s.provenances(e) {
			if problem = verifySignature(e.SHA256, name, text, keyring); problem == nil {
				return text, nil, nil
			}
		}
		if s.o.Network != nil {
			return s.fetchProvenance(ctx, r, e)
		}
		var f fault
		switch {
		case errors.As(problem, &f):
		case problem != nil:
			return nil, nil, problem
		default:
			f = faultf(diag.ChartProvenance, "the provenance of %s is asked for, and neither vendor/charts nor the cache has it. "+
				"Fetch it with otomi charts vendor, or allow its host with --allow", e.Key)
		}
		return nil, diag.Diagnostics{{Severity: diag.Error, Code: f.code, Detail: f.detail, Range: r.Range}}, nil
	})
}

// provenances are the .prov files that are here for an entry.
func (s *Store) provenances(e Entry) [][]byte {
	var out [][]byte
	s.mu.Lock()
	if text, ok := s.signed[e.SHA256]; ok {
		out = append(out, text)
	}
	s.mu.Unlock()
	if s.o.Files.FS != nil {
		// One that can't be read is as none: what is wrong with the next is said.
		if text, err := readFile(s.o.Files.FS, path.Join(VendorDir, e.provenance()), maxProvenance); err == nil {
			out = append(out, text)
		}
	}
	if s.o.Cache != nil {
		if text, ok := s.o.Cache.Get(provenanceKey(e.SHA256)); ok {
			out = append(out, text)
		}
	}
	return out
}

// fetchProvenance gets the .prov file from where the chart is from. The archive comes with it, since both are one question
// to the network.
func (s *Store) fetchProvenance(ctx context.Context, r Ref, e Entry) ([]byte, diag.Diagnostics, error) {
	to, diags, err := s.address(ctx, r, e)
	if err != nil || diags.HasErrors() {
		return nil, diags, err
	}
	got, diags, err := s.o.Network.Fetch(ctx, r, to)
	if err != nil || diags.HasErrors() {
		return nil, diags, err
	}
	_, keyring := r.provenance()
	err = verifySignature(e.SHA256, provenanceName(e), got.Provenance, keyring)
	var f fault
	if errors.As(err, &f) {
		return nil, append(diags, diag.Diagnostic{Severity: diag.Error, Code: f.code, Detail: f.detail, Range: r.Range}), nil
	}
	if err != nil {
		return nil, diags, err
	}
	s.keepProvenance(e.SHA256, got.Provenance)
	return got.Provenance, diags, nil
}

// provenanceKey is where the cache keeps the .prov file of the archive of a digest.
func provenanceKey(digest string) string { return "prov " + digest }

// keepProvenance remembers a .prov file, which is verified by whoever asks for it.
func (s *Store) keepProvenance(digest string, text []byte) {
	if len(text) == 0 {
		return
	}
	s.mu.Lock()
	s.signed[digest] = text
	s.mu.Unlock()
	if s.o.Cache != nil {
		_ = s.o.Cache.Put(provenanceKey(digest), text) // as with archives: it costs another download
	}
}
