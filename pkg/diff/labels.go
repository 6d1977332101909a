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
	// DigestLabel holds a digest of what is wanted, without the revision: a later revision of the same content has it too.
	DigestLabel = "otomi.io/digest"
	// HolderLabel says who made the record, USER-HOST.
	HolderLabel = "otomi.io/holder"
	// CommitLabel is the commit of the values that the release was made of, with "-dirty" behind it where their files were changed since.
	CommitLabel = "otomi.io/commit"
	// InventoryLabel holds an Inventory; LevelLabel and GroupLabel are the release's place in the runlevels of it.
	InventoryLabel = "otomi.io/inventory"
	LevelLabel     = "otomi.io/level"
	GroupLabel     = "otomi.io/group"
	// HooksLabel says how far the hooks are that a run had begun: EVENT-N, the first N hooks of the event succeeded.
	HooksLabel = "otomi.io/hooks"
	// InterruptedLabel says on a failed record that its run did not fail but ended before its time, so that the next one goes
	// on with it.
	InterruptedLabel = "otomi.io/interrupted"
	// RollbackLabel is the revision that the record is a rollback to.
	RollbackLabel = "otomi.io/rollback"
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

// Content is the value of DigestLabel.
func Content(digest string) string { return sum(digest) }

// LabelValue is a text as a label may hold it: other characters than letters, digits, '-', '_' and '.' are '-', and what is
// longer than 63 is cut off.
func LabelValue(text string) string {
	text = strings.Map(func(c rune) rune {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_', c == '.':
			return c
		}
		return '-'
	}, text)
	return strings.Trim(text[:min(len(text), 63)], "-_.")
}

// Inventory is the value of InventoryLabel: the id of a values repository and the name of one of its clusters, CLOUD/NAME or
// nothing, as far as a label shows them, and a digest of both. It is empty where there is no id.
func Inventory(id, cluster string) string {
	if id == "" {
		return ""
	}
	const digits = 16
	text := LabelValue(id + "/" + cluster)
	return LabelValue(text[:min(len(text), 63-1-digits)]) + "-" + sum(id, cluster)[:digits]
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
