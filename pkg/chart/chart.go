// Package chart resolves a chart reference to the files of a chart and their digest.
//
// A chart comes from the stack, read the way Helm reads a directory, or from elsewhere: as charts.lock pins it, out of
// vendor/charts, the cache or the network, in this order and verified before it is unpacked. The package is a door. It does
// not render and knows no values; package render makes a Helm chart of the files.
package chart

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
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
	// Files are the chart's files in the order in which Helm reads a directory or the archive. Subcharts are directories of
	// charts/, also those that were packed there or that Chart.yaml only names.
	Files []File
	// Origin is where the chart came from.
	Origin Origin
	// Display is the chart's directory as it is shown to the user; of a packed chart it ends in .tgz. Shown names its files.
	Display string
	// Range is the place of Chart.yaml.
	Range diag.Range

	// shown are the names of the files that are not shown under Display.
	shown map[string]string
}

// File is one file of a chart. Name is relative to the chart's directory, with slashes.
type File struct {
	Name string
	Data []byte
	// Shown is the name by which the file is shown where it is not in the chart's directory: that of a dependency.
	Shown string
}

// Origin is where a chart came from.
type Origin struct {
	// Source is "stack", or the address: a repository's, oci://HOST/PATH, https://HOST/PATH.tgz, git+https://…. It has no
	// credentials.
	Source string
	// Version is that of Chart.yaml.
	Version string
	// SHA256 is the digest of the archive as hex; of a chart of git and of a directory that of its files.
	SHA256 string
	// Commit is the commit of a chart of git.
	Commit string
}

// StackSource is the Source of the charts of the stack.
const StackSource = "stack"

// String is the origin as a message has it: "1.2.3 from https://charts.example.com (sha256 0123456789ab)".
func (o Origin) String() string {
	return fmt.Sprintf("%s from %s (sha256 %s)", o.Version, o.Source, short(o.SHA256))
}

// short is as much of a digest as people compare.
func short(digest string) string { return digest[:min(len(digest), 12)] }

// Shown is the name by which the file called name is shown to the user.
func (c *Chart) Shown(name string) string {
	if shown, ok := c.shown[name]; ok {
		return shown
	}
	return c.Display + "/" + name
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
