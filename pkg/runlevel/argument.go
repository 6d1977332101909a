package runlevel

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redkubes/otomi/pkg/diag"
)

// Argument is one argument for a command line of helm's or helm-diff's: --NAME, or --NAME=VALUE.
type Argument struct {
	Name, Value string
	// Range is the place where it is written; zero for the command line.
	Range diag.Range
	// from is the key or flag that has it.
	from string
}

// ParseArguments reads arguments as helmfile collects them (pkg/argparser, CollectArgs): --NAME=VALUE, or --NAME VALUE where
// the next word begins with no dash.
func ParseArguments(text string) []Argument {
	var out []Argument
	for _, word := range strings.Fields(text) {
		out = collect(out, word, Argument{})
	}
	return out
}

// collect adds a word to arguments: one of its own, or the value of the last. like has what all have.
func collect(to []Argument, word string, like Argument) []Argument {
	name, val, _ := strings.Cut(word, "=")
	if last := len(to) - 1; !strings.HasPrefix(name, "-") && last >= 0 && to[last].Value == "" && to[last].from == like.from {
		to[last].Value = unquoted(word)
		return to
	}
	like.Name = word
	if strings.HasPrefix(name, "-") {
		like.Name, like.Value = name, unquoted(val)
	}
	return append(to, like)
}

func unquoted(s string) string {
	if len(s) >= 2 && (s[0] == '\'' || s[0] == '"') && s[len(s)-1] == s[0] {
		return s[1 : len(s)-1]
	}
	return s
}

// argumentKeys are the keys of helmDefaults that have arguments, and argumentFlags the flags that say the same.
var argumentKeys = []string{"args", "diffArgs", "syncArgs", "templateArgs"}

var argumentFlags = map[string]string{"args": "--args", "diffArgs": "--diff-args", "syncArgs": "--sync-args", "templateArgs": "--template-args"}

// viewArguments say what is shown or printed: they are flags of the verb's own.
var viewArguments = []string{
	"--context", "--suppress", "--suppress-secrets", "--show-secrets", "--no-hooks", "--skip-tests",
	"--include-crds", "--show-only",
}

// idleArguments say what is so anyway.
var idleArguments = []string{
	"--debug", "--reset-values", "--no-color", "--color", "--install", "-i", "--dependency-update", "--hide-notes", "--disable-openapi-validation",
	"--three-way-merge", "--normalize-manifests", "--no-update", "--render-subchart-notes", "--allow-unreleased", "--include-tests", "--validate",
	"--strip-trailing-cr", "--strict", "--quiet", "--with-subcharts", "--disable-validation", "--repository-cache", "--repository-config", "--qps", "--burst-limit",
}

// switches are the arguments that are true or false, by the key of a release that says the same.
var switches = map[string]func(*Release) *bool{
	"--wait": func(r *Release) *bool { return &r.Wait }, "--wait-for-jobs": func(r *Release) *bool { return &r.WaitForJobs },
	"--atomic": func(r *Release) *bool { return &r.Atomic }, "--cleanup-on-fail": func(r *Release) *bool { return &r.CleanupOnFail },
	"--force": func(r *Release) *bool { return &r.Force }, "--create-namespace": func(r *Release) *bool { return &r.CreateNamespace },
	"--skip-crds": func(r *Release) *bool { return &r.SkipCRDs }, "--devel": func(r *Release) *bool { return &r.Devel },
	"--verify": func(r *Release) *bool { return &r.Verify }, "--take-ownership": func(r *Release) *bool { return &r.TakeOwnership },
	"--reuse-values": func(r *Release) *bool { return &r.ReuseValues }, "--reset-then-reuse-values": func(r *Release) *bool { return &r.ReuseValues },
	"--skip-schema-validation":   func(r *Release) *bool { return &r.SkipSchemaValidation },
	"--insecure-skip-tls-verify": func(r *Release) *bool { return &r.SkipTLSVerify }, "--plain-http": func(r *Release) *bool { return &r.PlainHTTP },
}

// IdleArgument reports whether an argument says what is so anyway.
func IdleArgument(a Argument) bool { return slices.Contains(idleArguments, a.Name) }

// arguments are those that count for the verb of the run: args always; templateArgs where manifests are printed, and diffArgs
// and syncArgs where releases are compared or applied. Those of flags come before, or of the keys other than args instead of,
// those of helmDefaults, as in helmfile.
func (r *reader) arguments() []Argument {
	var out []Argument
	for _, key := range argumentKeys {
		var found []Argument
		for word := range strings.FieldsSeq(r.in.Args[key]) {
			found = collect(found, word, Argument{from: argumentFlags[key]})
		}
		if n := r.defaults.Get(key); n != nil && (key == "args" || len(found) == 0) {
			for _, item := range n.Items {
				for word := range strings.FieldsSeq(r.word(item)) {
					found = collect(found, word, Argument{from: "helmDefaults." + key, Range: item.Origin.Range})
				}
			}
		}
		if key == "args" || (key == "templateArgs") == r.in.Prints {
			out = append(out, found...)
			continue
		}
		for _, a := range found {
			r.argument(&Release{}, a) // only to see what is wrong with it
		}
	}
	return out
}

// readArguments sorts the arguments of the file: those about releases are kept for them, and those about what is shown for the
// verb.
func (r *reader) readArguments() {
	for _, a := range r.arguments() {
		if slices.Contains(viewArguments, a.Name) {
			r.state.View = append(r.state.View, a)
			continue
		}
		if r.argument(&Release{}, a) {
			r.args = append(r.args, a)
		}
	}
}

// argument carries out an argument on a release. It returns false, and reports, where there is nothing that does the same.
func (r *reader) argument(rel *Release, a Argument) bool {
	wrong := func(what string) bool {
		r.report(diag.RunlevelInvalid, a.Range, "%s: %s is %q. Give it %s.", a.from, a.Name, a.Value, what)
		return false
	}
	if field, ok := switches[a.Name]; ok {
		b := true
		if a.Value != "" {
			var err error
			if b, err = strconv.ParseBool(a.Value); err != nil {
				return wrong("true or false")
			}
		}
		*field(rel) = b
		return true
	}
	switch a.Name {
	case "--timeout":
		d, err := time.ParseDuration(a.Value)
		if err != nil {
			if d, err = time.ParseDuration(a.Value + "s"); err != nil {
				return wrong("a time like 5m0s")
			}
		}
		rel.Timeout = d
	case "--history-max":
		n, err := strconv.Atoi(a.Value)
		if err != nil || n < 0 {
			return wrong("a number from 0")
		}
		rel.HistoryMax = n
	case "--cascade":
		if !slices.Contains(cascades, a.Value) {
			return wrong("background, foreground or orphan")
		}
		rel.Cascade = a.Value
	case "--keyring":
		rel.Keyring = a.Value
	case "--kube-version":
		rel.KubeVersion = a.Value
	case "--api-versions", "-a":
		rel.APIVersions = append(slices.Clip(rel.APIVersions), strings.Split(a.Value, ",")...)
	case "--post-renderer":
		rel.PostRenderer = a.Value
	case "--post-renderer-args":
		rel.PostRendererArgs = append(slices.Clip(rel.PostRendererArgs), a.Value)
	case "--suppress-output-line-regex":
		rel.SuppressOutputLineRegex = append(slices.Clip(rel.SuppressOutputLineRegex), a.Value)
	case "--set", "--set-string", "--values", "-f":
		rel.arguments = append(slices.Clip(rel.arguments), a)
	default:
		if IdleArgument(a) || slices.Contains(viewArguments, a.Name) {
			return true
		}
		r.report(diag.RunlevelUnsupported, a.Range, "%s: %q is an argument for Helm's command line that otomi, which runs no helm, has nothing for. "+
			"Use the key of helmDefaults or of the release that says what is meant, or drop it.", a.from, shownArgument(a))
		return false
	}
	return true
}

// shownArgument is an argument as it is written, but for what may be a secret: --password, --token.
func shownArgument(a Argument) string {
	if a.Value == "" || secretArgument.MatchString(a.Name) {
		return a.Name
	}
	return a.Name + "=" + a.Value
}

var secretArgument = regexp.MustCompile(`(?i)pass|token|secret|key|user|header`)

// cascades are the ways that what belongs to a deleted object goes.
var cascades = []string{"background", "foreground", "orphan"}
