package runlevel

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/template"
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
	if n == nil {
		return out
	}
	for i, entry := range n.Items {
		if entry.Kind != value.Map {
			continue // reported
		}
		repo, ok := r.readRepository(entry, fmt.Sprintf("repositories[%d]", i))
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
		r.state.Repositories = append(r.state.Repositories, &repo)
	}
	return out
}

// readRepository reads one entry. Nothing it says repeats a value that may hold a credential.
func (r *reader) readRepository(n *value.Node, what string) (Repository, bool) {
	name := r.word(n.Get("name"))
	if name == "" {
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
		OCI:             set(n, "oci"),
		PassCredentials: set(n, "passCredentials"),
		SkipTLSVerify:   set(n, "skipTLSVerify"),
		PlainHTTP:       set(n, "plainHttp"),
		Verify:          set(n, "verify"),
		Range:           start(n),
	}
	for _, field := range []struct {
		key string
		to  *string
	}{
		{"url", &repo.URL}, {"caFile", &repo.CAFile}, {"certFile", &repo.CertFile}, {"keyFile", &repo.KeyFile},
		{"keyring", &repo.Keyring},
	} {
		*field.to = r.word(n.Get(field.key))
	}
	repo.Username = r.credential(n.Get("username"), what+": username", name)
	repo.Password = r.credential(n.Get("password"), what+": password", name)
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

// set reports whether a key is there and true.
func set(n *value.Node, key string) bool {
	if n.Get(key) == nil {
		return false
	}
	b, _ := truth(n.Get(key))
	return b
}

// credential reads a credential, else helmfile's variable for it (pkg/state, gatherUsernamePassword): NAME_USERNAME, where it
// may be read. No message shows anything of it.
func (r *reader) credential(n *value.Node, what, name string) string {
	text := r.word(n)
	if strings.Contains(text, "{{") {
		r.report(diag.RunlevelUnsupported, n.Origin.Range, "%s holds a template, and this file is none. Name the file *.gotmpl, so that it "+
			"is a template as a whole.", what)
		return ""
	}
	if text != "" {
		return text
	}
	_, suffix, _ := strings.Cut(what, ": ")
	variable := strings.ToUpper(strings.ReplaceAll(name, "-", "_") + "_" + suffix)
	text, _, err := r.in.Allow.Lookup("a repository", variable)
	if err != nil {
		return "" // asked for by nobody
	}
	return text
}

// repository finds the repository that a chart is from: the text before the first slash names it (helmfile 1.7, pkg/state,
// GetRepositoryAndNameFromChartName). A chart of none is a path.
func (r *reader) repository(chart string) (*Repository, bool) {
	first, _, ok := strings.Cut(chart, "/")
	if !ok || strings.Contains(chart, "://") {
		return nil, false
	}
	repo, ok := r.repos[first]
	return repo, ok
}

// origin reports a chart REPOSITORY/NAME of no repository which is no path, and what a release says of the way to its chart
// where there is none: only a repository and a registry are asked in a way that a release can change.
func (r *run) origin(state *State, it item) diag.Diagnostics {
	rel := it.release
	if rel.Repository != nil || strings.HasPrefix(rel.Chart, "oci://") {
		return nil
	}
	var ds diag.Diagnostics
	first, rest, _ := strings.Cut(rel.Chart, "/")
	if rest != "" && first != "" && first != "." && first != ".." && !strings.Contains(rel.Chart, "://") && !r.isDir(state.Dir, first) {
		var names []string
		for _, repo := range state.Repositories {
			names = append(names, repo.Name)
		}
		slices.Sort(names)
		hint := fmt.Sprintf("Add it: repositories: [{name: %s, url: https://HOST/PATH}]", first)
		if near := diag.Nearest(first, names); near != "" {
			hint = fmt.Sprintf("Did you mean %q?", near+strings.TrimPrefix(rel.Chart, first))
		} else if len(names) > 0 {
			hint = "There are: " + strings.Join(names, ", ") + ". " + hint
		}
		ds = append(ds, problem(diag.RunlevelRepoUnknown, rel.ChartRange, "release %s: the chart %q is of the repository %s, and this file has no such repository. %s",
			rel.Name, rel.Chart, first, hint))
	}
	for _, key := range []string{"verify", "keyring", "plainHttp", "insecureSkipTLSVerify"} {
		v := it.raw.node.Get(key)
		if off, isBool := scalar(v).(bool); isNull(v) || isBool && !off || !r.in.Stack && key != "verify" {
			continue // what is no stack says it for nothing, as in Helm, but for what Helm refuses
		}
		ds = append(ds, problem(diag.RunlevelUnsupported, v.Origin.Range, "release %s: %s is for a chart of a repository, and %q is none. "+
			"Add its repository to repositories and write REPOSITORY/NAME, or leave %s out.", rel.Name, key, rel.Chart, key))
	}
	return ds
}

// isDir reports whether a chart whose reference begins with this name, before the first slash, is a path: as seen from the
// state file, in a stack from its root too. Where no file can be read every one is.
func (r *run) isDir(dir, name string) bool {
	if r.in.FS == nil {
		return true
	}
	names := []string{template.Join(dir, name)}
	if r.in.Stack {
		names = append(names, path.Clean(name))
	}
	return slices.ContainsFunc(names, func(name string) bool {
		info, err := r.in.FS.Stat(name)
		return err == nil && info.IsDir()
	})
}
