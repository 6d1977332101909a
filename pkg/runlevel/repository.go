package runlevel

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/value"
)

// Repository is an entry of `repositories`: where charts come from (helmfile 1.7, pkg/state, RepositorySpec).
type Repository struct {
	Name string
	// URL is the address of an HTTP repository, or where OCI says so of a path of a registry, without its scheme.
	URL string
	OCI bool
	// Username and Password are the credentials for the host of URL; PassCredentials sends them to other hosts too.
	Username, Password string
	PassCredentials    bool
	// CAFile, CertFile and KeyFile are paths of PEM files.
	CAFile, CertFile, KeyFile string
	SkipTLSVerify             bool
	PlainHTTP                 bool
	// Verify asks for the provenance of every chart, by a key of Keyring.
	Verify  bool
	Keyring string
	Range   diag.Range
}

// repositoryName is what may stand before the slash of REPOSITORY/NAME.
var repositoryName = regexp.MustCompile(`^[A-Za-z0-9]([-._A-Za-z0-9]*[A-Za-z0-9])?$`)

// repositories reads the entries by their names. One of a name that was there before is a mistake: of the two, nobody can
// tell which a chart is from.
func (r *reader) repositories(n *value.Node) map[string]*Repository {
	out := map[string]*Repository{}
	for i, entry := range r.list(n, "repositories") {
		what := fmt.Sprintf("repositories[%d]", i)
		if !r.isMap(entry, what) {
			continue
		}
		repo, ok := r.repository(entry, what)
		if !ok {
			continue
		}
		if first, twice := out[repo.Name]; twice {
			r.diags = append(r.diags, diag.Diagnostic{
				Severity: diag.Error, Code: diag.RunlevelInvalid, Range: repo.Range,
				Detail: fmt.Sprintf("there are two repositories %s. Remove one, or give it a name of its own.", repo.Name),
				Notes:  []diag.Note{{Message: "the other one", Range: first.Range}},
			})
			continue
		}
		out[repo.Name] = &repo
		r.entries = append(r.entries, &repo)
	}
	return out
}

// repository reads one entry. Nothing it says repeats a value that may hold a credential.
func (r *reader) repository(n *value.Node, what string) (Repository, bool) {
	r.keys(n, repositoryKeys, "a repository")
	name, ok := r.text(n.Get("name"), what+".name")
	if !ok {
		r.missing(n, what, repositoryKeys, "name", "bitnami")
		return Repository{}, false
	}
	if !repositoryName.MatchString(name) {
		r.report(diag.RunlevelInvalid, n.Get("name").Origin.Range, "%q is no name of a repository, since charts are named REPOSITORY/NAME. "+
			"Take letters, digits, -, _ and ., a letter or digit at both ends.", name)
		return Repository{}, false
	}
	what = "repository " + name
	repo := Repository{
		Name:            name,
		OCI:             r.boolean(n.Get("oci"), what+": oci", false),
		PassCredentials: r.boolean(n.Get("passCredentials"), what+": passCredentials", false),
		SkipTLSVerify:   r.boolean(n.Get("skipTLSVerify"), what+": skipTLSVerify", false),
		PlainHTTP:       r.boolean(n.Get("plainHttp"), what+": plainHttp", false),
		Verify:          r.boolean(n.Get("verify"), what+": verify", false),
		Range:           start(n),
	}
	for _, field := range []struct {
		key string
		to  *string
	}{
		{"url", &repo.URL}, {"caFile", &repo.CAFile}, {"certFile", &repo.CertFile}, {"keyFile", &repo.KeyFile},
		{"keyring", &repo.Keyring},
	} {
		*field.to, _ = r.text(n.Get(field.key), what+": "+field.key)
	}
	repo.Username = r.credential(n.Get("username"), what+": username")
	repo.Password = r.credential(n.Get("password"), what+": password")
	if repo.URL == "" {
		r.missing(n, what, repositoryKeys, "url", "https://HOST/PATH")
		return repo, true
	}
	scheme, rest, found := strings.Cut(repo.URL, "://")
	switch {
	case strings.Contains(rest, "@") || !found && strings.Contains(repo.URL, "@"):
		r.report(diag.RunlevelInvalid, n.Get("url").Origin.Range, "%s: the url holds credentials, and an address is shown in messages and "+
			"lock files. Write them as username and password, from an encrypted value.", what)
	case repo.OCI && scheme == "oci":
		repo.URL = rest
	case repo.OCI && found:
		r.report(diag.RunlevelInvalid, n.Get("url").Origin.Range, "%s: a registry's url has no scheme. Write HOST/PATH; where it is "+
			"to be asked without TLS, add plainHttp: true.", what)
	case !repo.OCI && scheme == "oci":
		r.report(diag.RunlevelInvalid, n.Get("url").Origin.Range, "%s: the url is of a registry. Add oci: true, or name the chart "+
			"oci://HOST/PATH in the release.", what)
	case !repo.OCI && scheme != "https" && scheme != "http":
		r.report(diag.RunlevelInvalid, n.Get("url").Origin.Range, "%s: the url is no address of a repository of charts. "+
			"Write https://HOST/PATH, or for a registry HOST/PATH with oci: true.", what)
	}
	if (repo.CertFile == "") != (repo.KeyFile == "") {
		r.report(diag.RunlevelInvalid, repo.Range, "%s has one of certFile and keyFile. A certificate is of no use without its key: write both.", what)
	}
	return repo, true
}

// credential reads a text of which no message shows anything.
func (r *reader) credential(n *value.Node, what string) string {
	if n != nil && strings.Contains(n.Text(), "{{") {
		r.report(diag.RunlevelUnsupported, n.Origin.Range, "%s holds a template, and this file is none. Name the file *.gotmpl, so that it "+
			"is a template as a whole.", what)
		return ""
	}
	text, _ := r.text(n, what)
	return text
}

// source finds the repository that the release's chart is from. A chart REPOSITORY/NAME of none is reported, unless it is a
// path (helmfile 1.7, pkg/state, GetRepositoryAndNameFromChartName, which takes the text before the first slash) or the
// release is not enabled.
func (r *reader) source(chart string, at diag.Range, what string, enabled bool) *Repository {
	first, rest, _ := strings.Cut(chart, "/")
	if rest == "" || strings.Contains(chart, "://") || strings.Contains(chart, "{{") {
		return nil
	}
	if repo := r.repos[first]; repo != nil {
		return repo
	}
	if !enabled || first == "" || first == "." || first == ".." || r.o.IsDir == nil || r.o.IsDir(first) {
		return nil
	}
	hint := fmt.Sprintf("Add it: repositories: [{name: %s, url: https://HOST/PATH}]", first)
	if near := diag.Nearest(first, slices.Collect(maps.Keys(r.repos))); near != "" {
		hint = fmt.Sprintf("Did you mean %q?", near+strings.TrimPrefix(chart, first))
	} else if len(r.repos) > 0 {
		hint = "There are: " + strings.Join(slices.Sorted(maps.Keys(r.repos)), ", ") + ". " + hint
	}
	r.report(diag.RunlevelRepoUnknown, at, "%s: the chart %q is of the repository %s, and this file has no such repository. %s",
		what, chart, first, hint)
	return nil
}

// way reports what a release says of the way to its chart where there is none: only a repository and a registry are asked
// for a chart in a way that a release can change.
func (r *reader) way(n *value.Node, rel Release, what string) {
	if rel.Repository != nil || strings.HasPrefix(rel.Chart, "oci://") {
		return
	}
	for _, key := range []string{"verify", "keyring", "plainHttp", "insecureSkipTLSVerify"} {
		v := n.Get(key)
		if isNull(v) || v.Scalar == false {
			continue
		}
		r.report(diag.RunlevelUnsupported, v.Origin.Range, "%s: %s is for a chart of a repository, and %q is none. "+
			"Add its repository to repositories and write REPOSITORY/NAME, or leave %s out.", what, key, rel.Chart, key)
	}
}
