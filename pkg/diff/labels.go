package diff

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/redkubes/otomi/pkg/manifest"
)

// The labels that otomi puts on a release record, beside Helm's. Helm copies them onto the revisions that it makes itself.
const (
	// WantedLabel holds Wanted.
	WantedLabel = "otomi.io/wanted"
	// OwnedLabel holds Owned.
	OwnedLabel = "otomi.io/owned"
	// RunLabel names the run that made the record.
	RunLabel = "otomi.io/run"
	// RevisionLabel holds the revision, so that a record which Helm made with our labels is told from ours.
	RevisionLabel = "otomi.io/revision"
	// ModeLabel says how the revision was rendered: ModeInstall or ModeUpgrade.
	ModeLabel = "otomi.io/mode"
)

// The values of ModeLabel.
const (
	ModeInstall = "install"
	ModeUpgrade = "upgrade"
)

// Ours reports whether otomi made the record.
func Ours(r manifest.Record) bool {
	return r.Labels[RevisionLabel] == strconv.Itoa(r.Revision)
}

// Wanted is the value of WantedLabel. The revision is part of it, so that a label which Helm copied onto a revision of its
// own says nothing about that revision.
func Wanted(digest string, revision int) string {
	return sum(digest, strconv.Itoa(revision))
}

// Owned is the value of OwnedLabel: one digest of the prints of the objects of a release. It is empty, which equals no
// label, where one of the objects has no print.
func Owned(ids []manifest.ID, prints map[manifest.ID]string) string {
	lines := make([]string, 0, len(ids))
	for _, id := range ids {
		p, ok := prints[id]
		if !ok {
			return ""
		}
		lines = append(lines, fmt.Sprintf("%s %s", id, p))
	}
	slices.Sort(lines)
	return sum(lines...)
}

// sum is as much of a sha256 as a label may hold.
func sum(parts ...string) string {
	h := sha256.Sum256([]byte(strings.Join(parts, "\n")))
	return hex.EncodeToString(h[:20])
}
