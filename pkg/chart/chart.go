// Package chart resolves a chart reference to the files of a chart and their digest.
//
// It reads charts from the stack, the way Helm reads a directory: .helmignore is honoured, and subcharts in charts/ are
// part of the files. It is a door, though one that only reads the tree it was given. It does not render and knows no
// values; package render makes a Helm chart of the files.
package chart

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"slices"
	"strings"

	"github.com/redkubes/otomi/pkg/diag"
)

// Chart is one chart: its files and what Chart.yaml says of it. Nobody changes it; it is shared by every release of it.
type Chart struct {
	Name       string
	Version    string
	AppVersion string
	// KubeVersion is the constraint on the version of Kubernetes in Chart.yaml, or "".
	KubeVersion string
	// Digest is the sha256 of the files as hex: over path, length and content of each, in byte order of the paths.
	Digest string
	// Metadata is Chart.yaml as JSON, as Helm writes it into a record.
	Metadata []byte
	// Files are the chart's files, subcharts included, in the order in which Helm reads a directory.
	Files []File
	// Display is the chart's directory as it is shown to the user: a file of it is shown as DISPLAY/FILE.
	Display string
	// Range is the place of Chart.yaml.
	Range diag.Range
}

// File is one file of a chart. Name is relative to the chart's directory, with slashes.
type File struct {
	Name string
	Data []byte
}

// File returns the data of the file called name, and whether the chart has one.
func (c *Chart) File(name string) ([]byte, bool) {
	for _, f := range c.Files {
		if f.Name == name {
			return f.Data, true
		}
	}
	return nil, false
}

// digest is the identity of a set of files. The lengths keep a name from running into the content beside it.
func digest(files []File) string {
	h := sha256.New()
	part := func(b []byte) {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(b))))
		h.Write(b)
	}
	sorted := slices.SortedFunc(slices.Values(files), func(a, b File) int { return strings.Compare(a.Name, b.Name) })
	for _, f := range sorted {
		part([]byte(f.Name))
		part(f.Data)
	}
	return hex.EncodeToString(h.Sum(nil))
}
