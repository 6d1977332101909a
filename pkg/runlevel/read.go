package runlevel

import (
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/value"
	"github.com/redkubes/otomi/pkg/yaml"
)

// defaultTimeout is Helm's.
const defaultTimeout = 300 * time.Second

// The names that Helm (pkg/chartutil, ValidateReleaseName) and Kubernetes (RFC 1123 labels) take.
var (
	releaseName   = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`)
	namespaceName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`)
)

const (
	maxReleaseName   = 53
	maxNamespaceName = 63
)

// reader turns the tree of one state file into releases, and collects what is wrong with it.
type reader struct {
	file string
	// content is the text of the file, as it is rendered.
	content []byte
	level   string
	values  map[string]any
	o       Options
	// entries are the repositories of the file in their order, repos the same by their names.
	entries []*Repository
	repos   map[string]*Repository
	diags   diag.Diagnostics
}

// item is one release as its file defines it, before needs are resolved over all files.
type item struct {
	release Release
	enabled bool
	needs   []need
}

type need struct {
	text string
	at   diag.Range
}

// defaults are what helmDefaults and commonLabels give to every release of the file.
type defaults struct {
	wait, createNamespace bool
	timeout               time.Duration
	labels                map[string]string
}

func (r *reader) report(code diag.Code, at diag.Range, format string, args ...any) {
	r.diags = append(r.diags, diag.Diagnostic{Severity: diag.Error, Code: code, Detail: fmt.Sprintf(format, args...), Range: at})
}

// state reads the root of a file.
func (r *reader) state(root *value.Node) []item {
	if isNull(root) {
		return nil
	}
	if !r.isMap(root, "a state file") {
		return nil
	}
	r.keys(root, stateKeys, "a state file")
	d := defaults{wait: true, createNamespace: true, timeout: defaultTimeout}
	if n := root.Get("helmDefaults"); !isNull(n) && r.isMap(n, "helmDefaults") {
		r.keys(n, defaultsKeys, "helmDefaults")
		d.wait = r.boolean(n.Get("wait"), "helmDefaults.wait", d.wait)
		d.createNamespace = r.boolean(n.Get("createNamespace"), "helmDefaults.createNamespace", d.createNamespace)
		d.timeout = r.seconds(n.Get("timeout"), "helmDefaults.timeout", d.timeout)
	}
	d.labels = r.labels(root.Get("commonLabels"), "commonLabels")
	r.repos = r.repositories(root.Get("repositories"))
	var items []item
	for i, n := range r.list(root.Get("releases"), "releases") {
		what := fmt.Sprintf("releases[%d]", i)
		if !r.isMap(n, what) {
			continue
		}
		if it, ok := r.release(n, what, d); ok {
			it.release.defined = &definition{file: r.file, text: r.content, index: i}
			items = append(items, it)
		}
	}
	return items
}

// release reads one release; it returns ok false where it has no identity, so that nothing can be said of it.
func (r *reader) release(n *value.Node, what string, d defaults) (item, bool) {
	r.keys(n, releaseKeys, "a release")
	name, ok := r.text(n.Get("name"), what+".name")
	if !ok {
		r.missing(n, what, releaseKeys, "name", "my-release")
		return item{}, false
	}
	if strings.Contains(name, "{{") {
		return item{}, false // reported as a template
	}
	if len(name) > maxReleaseName || !releaseName.MatchString(name) {
		r.report(diag.RunlevelInvalid, n.Get("name").Origin.Range, "%q is no name of a release: Helm takes up to %d lower-case "+
			"letters, digits, - and ., a letter or digit at both ends. Choose another name.", name, maxReleaseName)
		return item{}, false
	}
	what = "release " + name
	namespace, _ := r.text(n.Get("namespace"), what+": namespace")
	if namespace == "" {
		namespace = "default"
	}
	if len(namespace) > maxNamespaceName || !namespaceName.MatchString(namespace) {
		r.report(diag.RunlevelInvalid, n.Get("namespace").Origin.Range, "%s: %q is no name of a namespace: Kubernetes takes up to %d "+
			"lower-case letters, digits and -, a letter or digit at both ends. Choose another namespace.", what, namespace, maxNamespaceName)
		return item{}, false
	}
	chart, ok := r.text(n.Get("chart"), what+": chart")
	if !ok {
		r.missing(n, what, releaseKeys, "chart", "../charts/NAME")
	}
	version, _ := r.text(n.Get("version"), what+": version")
	rel := Release{
		Name:            name,
		Namespace:       namespace,
		Chart:           chart,
		Version:         version,
		Values:          r.merged(n.Get("values"), what),
		Installed:       r.boolean(n.Get("installed"), what+": installed", true),
		Wait:            r.boolean(n.Get("wait"), what+": wait", d.wait),
		Timeout:         r.seconds(n.Get("timeout"), what+": timeout", d.timeout),
		CreateNamespace: r.boolean(n.Get("createNamespace"), what+": createNamespace", d.createNamespace),
		Devel:           r.boolean(n.Get("devel"), what+": devel", false),
		Verify:          r.boolean(n.Get("verify"), what+": verify", false),
		PlainHTTP:       r.boolean(n.Get("plainHttp"), what+": plainHttp", false),
		SkipTLSVerify:   r.boolean(n.Get("insecureSkipTLSVerify"), what+": insecureSkipTLSVerify", false),
		KubeContext:     r.o.KubeContext,
		Level:           r.level,
		Range:           start(n),
	}
	rel.Keyring, _ = r.text(n.Get("keyring"), what+": keyring")
	if c := n.Get("chart"); c != nil {
		rel.ChartRange = c.Origin.Range
	}
	// helmfile's order (pkg/state, GetReleasesWithLabels): the implicit labels hide the release's own, commonLabels both.
	rel.Labels = r.labels(n.Get("labels"), what+": labels")
	maps.Copy(rel.Labels, map[string]string{"name": name, "namespace": namespace, "chart": path.Base(chart)})
	maps.Copy(rel.Labels, d.labels)
	enabled := r.condition(n.Get("condition"), what)
	rel.Repository = r.source(chart, rel.ChartRange, what, enabled)
	r.way(n, rel, what)
	it := item{release: rel, enabled: enabled}
	for i, entry := range r.list(n.Get("needs"), what+": needs") {
		if text, ok := r.text(entry, fmt.Sprintf("%s: needs[%d]", what, i)); ok {
			it.needs = append(it.needs, need{text, entry.Origin.Range})
		}
	}
	return it, true
}

// missing reports a key that a map must have, unless it is there in a form or under a name that was reported.
func (r *reader) missing(n *value.Node, what string, keys keySet, key, example string) {
	reported := func(f value.Field) bool {
		misspelt := !slices.Contains(keys.known, f.Key) && diag.Nearest(f.Key, keys.read) == key
		return misspelt || f.Key == key && !isNull(f.Value) && f.Value.Kind != value.String
	}
	if !slices.ContainsFunc(n.Fields, reported) {
		r.report(diag.RunlevelMissing, start(n), "%s has no %s. Add one: %s: %s", what, key, key, example)
	}
}

// keys reports the keys of a map that are not read.
func (r *reader) keys(n *value.Node, set keySet, of string) {
	for _, f := range n.Fields {
		switch {
		case slices.Contains(set.read, f.Key):
		case slices.Contains(set.known, f.Key):
			r.report(diag.RunlevelUnsupported, f.KeyRange, "%s may have the key %q in helmfile, but otomi does not carry it out yet. "+
				"Leave it out; what %s may have here is %s.", of, f.Key, of, strings.Join(set.read, ", "))
		default:
			hint := "It may have " + strings.Join(set.read, ", ") + "."
			if near := diag.Nearest(f.Key, slices.Concat(set.read, set.known)); near != "" {
				hint = fmt.Sprintf("Did you mean %q?", near)
			}
			r.report(diag.RunlevelUnknownKey, f.KeyRange, "%s has no key %q. %s", of, f.Key, hint)
		}
	}
}

// merged folds the values entries of a release as Helm folds several --values files.
func (r *reader) merged(n *value.Node, what string) map[string]any {
	out := map[string]any{}
	for i, entry := range r.list(n, what+": values") {
		switch {
		case entry.Kind == value.Map:
			plain, _ := yaml.ToChart(entry.Plain()).(map[string]any)
			out = merge(out, plain)
		case isNull(entry):
		case entry.Kind == value.String:
			r.report(diag.RunlevelUnsupported, entry.Origin.Range, "%s: values[%d] names the file %q, and otomi does not read values files "+
				"of releases yet. Write the values as a map, or put them into the values repository.", what, i, entry.Text())
		default:
			r.wrongType(entry, fmt.Sprintf("%s: values[%d]", what, i), "a map of values")
		}
	}
	return out
}

// merge puts b over a as Helm does with values files (pkg/cli/values, mergeMaps): maps deeply, everything else whole; a
// null stays and deletes the chart's default later.
func merge(a, b map[string]any) map[string]any {
	out := maps.Clone(a)
	for k, v := range b {
		weaker, ok := out[k].(map[string]any)
		stronger, isMap := v.(map[string]any)
		if ok && isMap {
			out[k] = merge(weaker, stronger)
			continue
		}
		out[k] = v
	}
	return out
}

// condition says whether a release is enabled: by "true" or "false", or by a path into the values that ends in .enabled.
// As in helmfile (pkg/state, ConditionEnabled), the map that should have enabled must be there, and enabled counts only as
// the boolean true.
func (r *reader) condition(n *value.Node, what string) bool {
	text, ok := r.text(n, what+": condition")
	if !ok || text == "" {
		return true
	}
	switch text {
	case "true":
		return true
	case "false":
		return false
	}
	names := strings.Split(text, ".")
	last := len(names) - 1
	if last == 0 || names[last] != "enabled" {
		r.report(diag.RunlevelInvalid, n.Origin.Range, "%s: the condition %q is neither true nor false nor a path into the values that ends "+
			"in .enabled. Write for example: condition: apps.%s.enabled", what, text, names[last])
		return true
	}
	at := r.values
	for i, name := range names[:last] {
		next, ok := at[name].(map[string]any)
		if !ok {
			hint := fmt.Sprintf("Set %s.enabled to true or false", strings.Join(names[:last], "."))
			if near := diag.Nearest(name, slices.Collect(maps.Keys(at))); near != "" {
				hint = fmt.Sprintf("Did you mean %q?", near)
			}
			r.report(diag.RunlevelInvalid, n.Origin.Range, "%s: the condition %q asks for %s, and the values have no such map. %s",
				what, text, strings.Join(names[:i+1], "."), hint)
			return true
		}
		at = next
	}
	enabled, _ := at["enabled"].(bool)
	return enabled
}

func (r *reader) labels(n *value.Node, what string) map[string]string {
	out := map[string]string{}
	if isNull(n) || !r.isMap(n, what) {
		return out
	}
	for _, f := range n.Fields {
		if text, ok := r.text(f.Value, what+"."+f.Key); ok {
			out[f.Key] = text
		}
	}
	return out
}

// text reads a string. Numbers and booleans count as the text they are written with, as in helmfile, except where that
// is lost (1.10 is read as the number 1.1).
func (r *reader) text(n *value.Node, what string) (string, bool) {
	if isNull(n) {
		return "", false
	}
	switch s := n.Scalar.(type) {
	case string:
		if strings.Contains(s, "{{") {
			r.report(diag.RunlevelUnsupported, n.Origin.Range, "%s holds a template, %q, and otomi does not carry out templates in the keys of a "+
				"release yet. Name the file *.gotmpl, so that it is a template as a whole.", what, s)
		}
		return s, s != ""
	case int64:
		return strconv.FormatInt(s, 10), true
	case bool:
		return strconv.FormatBool(s), true
	}
	if n.Kind == value.Number {
		r.wrongType(n, what, "a string: write it in quotes")
	} else {
		r.wrongType(n, what, "a string")
	}
	return "", false
}

func (r *reader) boolean(n *value.Node, what string, otherwise bool) bool {
	if isNull(n) {
		return otherwise
	}
	b, ok := n.Scalar.(bool)
	if !ok {
		r.wrongType(n, what, "true or false")
		return otherwise
	}
	return b
}

func (r *reader) seconds(n *value.Node, what string, otherwise time.Duration) time.Duration {
	if isNull(n) {
		return otherwise
	}
	s, ok := n.Scalar.(int64)
	if !ok {
		r.wrongType(n, what, "a whole number of seconds")
		return otherwise
	}
	if s <= 0 || s > int64(24*time.Hour/time.Second) {
		r.report(diag.RunlevelInvalid, n.Origin.Range, "%s is %d seconds. Take a number from 1 to 86400, which is a day.", what, s)
		return otherwise
	}
	return time.Duration(s) * time.Second
}

func (r *reader) list(n *value.Node, what string) []*value.Node {
	if isNull(n) {
		return nil
	}
	if n.Kind != value.List {
		r.wrongType(n, what, "a list")
		return nil
	}
	return n.Items
}

func (r *reader) isMap(n *value.Node, what string) bool {
	if n.Kind == value.Map {
		return true
	}
	r.wrongType(n, what, "a map")
	return false
}

func (r *reader) wrongType(n *value.Node, what, want string) {
	r.report(diag.RunlevelWrongType, n.Origin.Range, "%s is %s. Make it %s.", what, n.Kind.WithArticle(), want)
}

func isNull(n *value.Node) bool { return n == nil || n.Kind == value.Null }

// start is the place where a node begins; a release that spans many lines is shown by its first.
func start(n *value.Node) diag.Range {
	at := n.Origin.Range
	at.End = diag.Pos{}
	return at
}
