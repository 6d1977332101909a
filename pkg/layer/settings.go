package layer

import (
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"strings"

	"github.com/Masterminds/semver/v3"
	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/value"
)

// settings is what otomi.yaml says.
type settings struct {
	stack, requires, id       string
	stackRange, requiresRange diag.Range
	hierarchy, exclude        []string
}

// builtin is the stack that the binary carries.
const builtin = "builtin"

// defaultHierarchy is the hierarchy of a repository that names none.
var defaultHierarchy = []string{
	"env/*.yaml",
	"env/apps/*.yaml",
	"env/teams/*.yaml",
	"env/clouds/{cloud}/*.yaml",
	"env/clouds/{cloud}/{cluster}/*.yaml",
}

var settingsKeys = []string{"version", "requires", "stack", "hierarchy", "exclude", "id"}

// ID returns the id that otomi.yaml gives the repository, by which clusters know what was deployed from it; "" where it gives
// none.
func (r *Repository) ID() string { return r.settings.id }

// Stack returns what otomi.yaml names as the stack, "builtin" where it names none, and the place where it does.
func (r *Repository) Stack() (string, diag.Range) { return r.settings.stack, r.settings.stackRange }

// Requires returns the versions of otomi that otomi.yaml accepts, as it is written there, and the place. It is "" where
// nothing is required.
func (r *Repository) Requires() (string, diag.Range) {
	return r.settings.requires, r.settings.requiresRange
}

// Supports reports a repository that requires another otomi than version. A version that is no semantic one, as that of a
// build from source, supports everything; a pre-release counts as the release it leads to.
func (r *Repository) Supports(version string) diag.Diagnostics {
	required, at := r.Requires()
	if required == "" {
		return nil
	}
	wanted, err := semver.NewConstraint(required)
	if err != nil {
		return diag.Diagnostics{problem(diag.RepoVersion, at, "%q is no range of versions. Write it like \">=0.3\".", required)}
	}
	own, err := semver.NewVersion(version)
	if err != nil {
		return nil
	}
	if released, err := own.SetPrerelease(""); err == nil && wanted.Check(&released) {
		return nil
	}
	return diag.Diagnostics{problem(diag.RepoVersion, at,
		"the repository requires otomi %s, and this is %s. Install a version in that range.", required, version)}
}

// readSettings understands otomi.yaml; root is nil where there is none.
func readSettings(root *value.Node) (settings, diag.Diagnostics) {
	s := settings{stack: builtin, hierarchy: defaultHierarchy}
	var diags diag.Diagnostics
	if root == nil {
		return s, nil
	}
	for _, f := range root.Fields {
		switch f.Key {
		case "version":
			if f.Value.Scalar != int64(1) {
				diags = append(diags, problem(diag.RepoVersion, f.Value.Origin.Range,
					"this otomi reads version 1 of otomi.yaml. Write version: 1, or use the otomi that the repository was made for."))
			}
		case "requires":
			s.requires, s.requiresRange = stringOf(f, &diags), f.Value.Origin.Range
		case "stack":
			s.stack, s.stackRange = stringOf(f, &diags), f.Value.Origin.Range
			if s.stack == "" {
				s.stack = builtin
			}
		case "hierarchy":
			s.hierarchy = patternsOf(f, &diags)
		case "id":
			s.id = stringOf(f, &diags)
		case "exclude":
			s.exclude = patternsOf(f, &diags)
		default:
			diags = append(diags, unknownKey(f, "otomi.yaml", settingsKeys))
		}
	}
	return s, diags
}

func problem(code diag.Code, at diag.Range, format string, args ...any) diag.Diagnostic {
	return diag.Diagnostic{Severity: diag.Error, Code: code, Range: at, Detail: fmt.Sprintf(format, args...)}
}

func unknownKey(f value.Field, where string, known []string) diag.Diagnostic {
	if near := diag.Nearest(f.Key, known); near != "" {
		return problem(diag.RepoUnknownKey, f.KeyRange, "%s has no key %q. Did you mean %q?", where, f.Key, near)
	}
	return problem(diag.RepoUnknownKey, f.KeyRange, "%s has no key %q. Remove it; it knows %s.", where, f.Key, strings.Join(known, ", "))
}

// stringOf returns the string of a field; null is "".
func stringOf(f value.Field, diags *diag.Diagnostics) string {
	switch f.Value.Kind {
	case value.String, value.Null:
		return f.Value.Text()
	case value.Map, value.List:
		*diags = append(*diags, problem(diag.RepoWrongType, f.Value.Origin.Range,
			"%s is a string, and here stands %s. Write a string.", f.Key, f.Value.Kind.WithArticle()))
	default:
		*diags = append(*diags, problem(diag.RepoWrongType, f.Value.Origin.Range,
			"%s is a string, and unquoted this is %s. Write it in quotes.", f.Key, f.Value.Kind.WithArticle()))
	}
	return ""
}

var placeholder = regexp.MustCompile(`\{[^{}]*\}`)

// patternsOf returns the file patterns that a list names; those that are no patterns have a diagnostic.
func patternsOf(f value.Field, diags *diag.Diagnostics) []string {
	if f.Value.Kind == value.Null {
		return nil
	}
	if f.Value.Kind != value.List {
		*diags = append(*diags, problem(diag.RepoWrongType, f.Value.Origin.Range,
			"%s is a list of file patterns, and here stands %s. Write each pattern on a line that starts with \"- \".", f.Key, f.Value.Kind.WithArticle()))
		return nil
	}
	var patterns []string
	for _, item := range f.Value.Items {
		if item.Kind != value.String {
			*diags = append(*diags, problem(diag.RepoWrongType, item.Origin.Range,
				"a file pattern is a string, and here stands %s. Write it in quotes.", item.Kind.WithArticle()))
			continue
		}
		if why := badPattern(item.Text()); why != "" {
			*diags = append(*diags, problem(diag.RepoBadPattern, item.Origin.Range, "%s", why))
			continue
		}
		patterns = append(patterns, item.Text())
	}
	return patterns
}

// badPattern says what is wrong with a pattern, and what to write.
func badPattern(p string) string {
	for _, name := range placeholder.FindAllString(p, -1) {
		if name != "{cloud}" && name != "{cluster}" {
			return fmt.Sprintf("%s is no placeholder. Write {cloud} or {cluster}.", name)
		}
	}
	if !fs.ValidPath(p) || p == "." {
		return "a pattern is a path inside the repository, without .., an empty segment or a / at its ends. Write it like env/*.yaml."
	}
	for segment := range strings.SplitSeq(p, "/") {
		if strings.Contains(segment, "**") {
			return "** is no pattern here: * stays within one directory. Write one pattern for each depth."
		}
		if _, err := path.Match(segment, ""); err != nil {
			return "the brackets of the pattern are not closed. Write it like env/[a-m]*.yaml."
		}
	}
	return ""
}
