package chart

import (
	"fmt"
	"net/url"

	"github.com/redkubes/otomi/pkg/diag"
)

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
	// Verify asks for provenance by a key of Keyring, a path, beside what Repository says.
	Verify  bool
	Keyring string
	// Known are the repositories that the dependencies of the chart may mean: by @NAME, alias:NAME or the same address, with
	// their credentials. They are those of who names the chart: each cluster has its own.
	Known []Repository
	// Range is the place of the reference.
	Range diag.Range

	// commit is the one of the chart that this is a neighbour of, in git; "" where the revision says it.
	commit string
}

// provenance reports whether the chart's provenance is asked for, and the path of the keyring.
func (r Ref) provenance() (wanted bool, keyring string) {
	wanted, keyring = r.Verify, r.Keyring
	if r.Repository != nil {
		wanted, keyring = wanted || r.Repository.Verify, orElse(keyring, r.Repository.Keyring)
	}
	return wanted, keyring
}

// way is how a reference is asked for beside its key: by whom, and whom it trusts on the way. What came on one way was not
// had on another.
func (r Ref) way() string {
	var repo Repository
	if r.Repository != nil {
		repo = *r.Repository
	}
	user := ""
	if u, err := url.Parse(orElse(repo.URL, r.Chart)); err == nil && u.User != nil {
		user = u.User.String()
	}
	return sumOf(fmt.Appendf(nil, "%q %q %q %t %q %q %q %t %t", user, repo.Username, repo.Password, repo.PassCredentials,
		repo.CAFile, repo.CertFile, repo.KeyFile, repo.SkipTLSVerify, repo.PlainHTTP))
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
