package render

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/redkubes/otomi/pkg/manifest"
)

// digestVersion changes when what a digest covers does, so that a record of an older otomi differs instead of lying.
const digestVersion = 1

// digestLength keeps the digest within the 63 characters of a label's value: 160 bits in hex.
const digestLength = 40

// Digest identifies what is wanted of a release, as 40 hex digits: its manifest, hooks, CRDs, chart metadata and values.
// Two renderings with one digest make the same record, its notes and revision apart.
func Digest(r manifest.Release) string {
	type hook struct {
		Source string
		Text   string
		Events []manifest.Event
		Weight int
		Delete []manifest.DeletePolicy
	}
	wanted := struct {
		Version  int
		Text     string
		Hooks    []hook
		CRDs     []string
		Metadata string
		Values   map[string]any
	}{Version: digestVersion, Text: r.Text, Metadata: string(r.Chart.Metadata), Values: r.Values}
	for _, h := range r.Hooks {
		wanted.Hooks = append(wanted.Hooks, hook{h.Source, h.Text, h.Events, h.Weight, h.DeletePolicies})
	}
	for _, o := range r.CRDs {
		wanted.CRDs = append(wanted.CRDs, o.Text)
	}
	text, err := json.Marshal(wanted)
	if err != nil {
		panic(fmt.Sprintf("render: values of YAML that are not JSON: %v", err))
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])[:digestLength]
}
