package chart

import "github.com/redkubes/otomi/pkg/diag"

// Ref names a chart as a release does.
type Ref struct {
	// Chart is the reference as it is written: ../charts/NAME and other directories and .tgz files, REPOSITORY/NAME,
	// oci://HOST/PATH, https://HOST/PATH.tgz, git+https://HOST/REPOSITORY//PATH@REVISION.
	Chart string
	// Version is the version or the range of versions that is asked for, as Helm reads it; empty means the newest that is
	// no pre-release.
	Version string
	// Devel lets pre-releases answer an empty version, as Helm's --devel does.
	Devel bool
	// Base is the directory that a relative path is seen from, as a path of the stack: that of the state file.
	Base string
	// Repository is the one that REPOSITORY/NAME names; nil for every other form.
	Repository *Repository
	// Range is the place of the reference.
	Range diag.Range
}

// Repository is where charts come from, by an entry of `repositories` of a state file (helmfile 1.7, pkg/state,
// RepositorySpec).
type Repository struct {
	Name string
	// URL is the address of an HTTP repository, or of a path of a registry without its scheme where OCI says so.
	URL string
	OCI bool
	// Username and Password are sent to the host of URL alone, unless PassCredentials.
	Username, Password string
	PassCredentials    bool
	// CAFile, CertFile and KeyFile are paths of PEM files.
	CAFile, CertFile, KeyFile string
	SkipTLSVerify             bool
	// PlainHTTP lets a registry be asked without TLS.
	PlainHTTP bool
	// Verify asks for provenance: a chart without a valid .prov file by a key of Keyring is refused.
	Verify  bool
	Keyring string
	// Range is the place of the entry.
	Range diag.Range
}
