package chart

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

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
	sum := sha256.Sum256(archive)
	got := "sha256:" + hex.EncodeToString(sum[:])
	switch want, ok := sums.Files[name]; {
	case !ok:
		return faultf(diag.ChartProvenance, "the provenance has no sha256 for a file named %s. Sign the chart under the name that it is fetched by", name)
	case want != got:
		return faultf(diag.ChartProvenance, "%s is not the archive that was signed: its digest is %s, and %s was signed. Find out who changed it; nothing of it was used",
			name, got, want)
	}
	return nil
}
