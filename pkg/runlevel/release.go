package runlevel

import (
	"context"
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/template"
	"github.com/redkubes/otomi/pkg/value"
)

const (
	// defaultTimeout is Helm's.
	defaultTimeout = 300 * time.Second
	// defaultHistory is helmfile's.
	defaultHistory = 10
)

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
	*run
	ctx   context.Context
	file  File
	state *State
	spec  *value.Node
	// defaults is helmDefaults.
	defaults *value.Node
	values   map[string]any
	// data is what templates of releases see, without .Release.
	data  map[string]any
	repos map[string]*Repository
	pins  map[string][]string
	// args are the arguments of helmDefaults and of the command line that are about releases.
	args []Argument
	// inherits counts what was inherited.
	inherits int
	// blind is loaded.blind.
	blind bool
	diags diag.Diagnostics
}

// item is one release as its file defines it, before needs are resolved.
type item struct {
	release Release
	enabled bool
	// active says that the release is one of the run: enabled and selected, or needed by one that is.
	active bool
	needs  []need
	// raw are the values entries, which are read once it is known that they are needed.
	raw *draft
	// document is the release as build writes it.
	document *value.Node
}

type need struct {
	text string
	at   diag.Range
}

func (r *reader) report(code diag.Code, at diag.Range, format string, args ...any) {
	r.diags = append(r.diags, problem(code, at, format, args...))
}

// state turns a loaded file into releases.
func (r *run) state(ctx context.Context, f File, file loaded, state *State) (*evaluated, diag.Diagnostics) {
	rd := &reader{run: r, ctx: ctx, file: f, state: state, spec: file.spec, values: file.values, blind: file.blind}
	state.Values = file.values
	state.Environment = Environment{
		Name: file.env.name, KubeContext: file.env.kubeContext, Values: file.env.values, Defaults: file.env.defaults, Assigned: file.env.assigned,
	}
	state.KubeVersion = r.word(file.spec.Get("kubeVersion"))
	state.APIVersions = r.words(file.spec.Get("apiVersions"))
	out := &evaluated{state: state, level: level{name: f.level(), file: f.Display}, whole: !file.partial}
	if file.spec == nil {
		state.Document = value.NewMap(value.Origin{})
		return out, nil
	}
	if rd.defaults = file.spec.Get("helmDefaults"); rd.defaults != nil && rd.defaults.Kind != value.Map {
		rd.defaults = nil
	}
	rd.repos = rd.repositories(file.spec.Get("repositories"))
	state.Hooks = rd.hooks(file.spec.Get("hooks"))
	rd.readArguments()
	rd.overrides()
	rd.readPins()
	common := map[string]string{}
	if n := file.spec.Get("commonLabels"); n != nil && n.Kind == value.Map {
		for _, field := range n.Fields {
			common[field.Key] = r.word(field.Value)
		}
	}
	if n := file.spec.Get("releases"); n != nil {
		for i, n := range n.Items {
			if n.Kind != value.Map {
				continue // reported
			}
			it, ok := rd.release(n, fmt.Sprintf("releases[%d]", i), common)
			if !ok {
				out.whole = false
				continue
			}
			it.document = rd.document(it)
			out.level.items = append(out.level.items, it)
		}
	}
	state.Document = rd.built()
	return out, rd.diags
}

// overrides reports keys of the file that say the same as a flag that was given.
func (r *reader) overrides() {
	for _, o := range []struct{ key, flag, given string }{
		{"namespace", "--namespace", r.in.Namespace}, {"kubeContext", "--kube-context", r.in.KubeContext}, {"chart", "--chart", r.in.Chart},
	} {
		if f, ok := r.spec.Field(o.key); ok && r.word(f.Value) != "" && o.given != "" {
			r.report(diag.RunlevelInvalid, f.KeyRange, "the file sets %s for all its releases, and so does %s. Leave out one of them.", o.key, o.flag)
		}
	}
}

// override is the value that all releases of the file get: by flag, or by a key at the top of the file.
func (r *reader) override(key, flag string) string {
	if flag != "" {
		return flag
	}
	return r.word(r.spec.Get(key))
}

// release reads one release; it returns ok false where it has no identity, so that nothing can be said of it.
func (r *reader) release(n *value.Node, what string, common map[string]string) (item, bool) {
	if name := n.Get("name").Text(); name != "" && !strings.Contains(name, "{{") {
		what = "release " + name
	}
	var inherits []string
	if d := r.spec.Get("defaultInherit"); !isNull(d) {
		names := r.words(d)
		if d.Kind != value.List {
			names = []string{r.word(d)}
		}
		for _, name := range names {
			if name = strings.TrimSpace(name); name != "" {
				inherits = append(inherits, name)
			}
		}
	}
	whole, ds := r.inheriting(n, r.spec.Get("templates"), inherits, what, nil)
	r.diags = append(r.diags, ds...)
	kubeContext := r.word(whole.Get("kubeContext"))
	if kubeContext == "" {
		kubeContext = r.word(r.defaults.Get("kubeContext"))
	}
	d, ds := r.draft(whole, what, common, kubeContext)
	r.diags = append(r.diags, ds...)
	if ds.HasErrors() {
		return item{}, false
	}
	if d.name == "" {
		r.missing(n, what, releaseKeys, "name", "my-release")
		return item{}, false
	}
	at := func(key string) diag.Range {
		if v := whole.Get(key); v != nil {
			return v.Origin.Range
		}
		return start(n)
	}
	if len(d.name) > maxReleaseName || !releaseName.MatchString(d.name) {
		r.report(diag.RunlevelInvalid, at("name"), "%q is no name of a release: Helm takes up to %d lower-case "+
			"letters, digits, - and ., a letter or digit at both ends. Choose another name.", d.name, maxReleaseName)
		return item{}, false
	}
	what = "release " + d.name
	d.what = what
	if namespace := r.override("namespace", r.in.Namespace); namespace != "" {
		d.namespace = namespace
	}
	if d.namespace != "" && (len(d.namespace) > maxNamespaceName || !namespaceName.MatchString(d.namespace)) {
		r.report(diag.RunlevelInvalid, at("namespace"), "%s: %q is no name of a namespace: Kubernetes takes up to %d "+
			"lower-case letters, digits and -, a letter or digit at both ends. Choose another namespace.", what, d.namespace, maxNamespaceName)
		return item{}, false
	}
	if d.chart == "" {
		r.missing(n, what, releaseKeys, "chart", "../charts/NAME")
	}
	if chart := r.override("chart", r.in.Chart); chart != "" {
		d.chart = chart
	}
	if override := r.override("kubeContext", r.in.KubeContext); override != "" {
		d.kubeContext = override
	}
	rel := r.fields(whole, d)
	rel.Range, rel.ChartRange = start(n), at("chart")
	if whole.Get("chart") == nil && whole.Get("directory") != nil {
		rel.ChartRange = at("directory")
	}
	it := item{release: rel, enabled: true, needs: d.needs, raw: d}
	condition, conditionAt := r.word(whole.Get("condition")), at("condition")
	if c := whole.Get("condition"); c != nil && (c.Kind == value.List || c.Kind == value.Map) {
		condition = "" // reported
	}
	if t, ok := d.booleans["conditionTemplate"]; ok {
		condition, conditionAt = fmt.Sprint(r.templated(t, at("conditionTemplate"), what+": conditionTemplate")), at("conditionTemplate")
	}
	it.enabled = r.condition(condition, conditionAt, what)
	it.release.Enabled = it.enabled
	r.pin(&it.release)
	return it, true
}

// templateData is what templates of releases see, without .Release: one copy for all of the file.
func (r *reader) templateData() map[string]any {
	if r.data == nil {
		env := r.state.Environment
		if env.KubeContext == "" && r.in.Stack {
			env.KubeContext = r.in.KubeContext
		}
		r.data, _ = template.Data(map[string]any{
			"Values": r.values, "StateValues": r.values,
			"Environment": env.Data(),
			"Namespace":   r.override("namespace", r.in.Namespace), "KubeContext": r.override("kubeContext", r.in.KubeContext),
			"Chart": r.override("chart", r.in.Chart),
		}).(map[string]any)
	}
	return r.data
}

// templated reads what a template of a boolean gave.
func (r *reader) templated(text string, at diag.Range, what string) bool {
	switch strings.TrimSpace(text) {
	case "true", "True", "TRUE", "y", "Y", "yes", "on":
		return true
	case "false", "False", "FALSE", "n", "N", "no", "off":
		return false
	}
	r.report(diag.RunlevelWrongType, at, "%s gives %q. Make it give true or false.", what, strings.TrimSpace(text))
	return false
}

// fields are the keys of a release that are read as they are, each from the release, else from helmDefaults, else as helmfile
// has it.
func (r *reader) fields(n *value.Node, d *draft) Release {
	flag := func(key string, otherwise bool) bool {
		for _, from := range []*value.Node{n, r.defaults} {
			if v := from.Get(key); !isNull(v) {
				if b, ok := truth(v); ok {
					return b
				}
			}
		}
		return otherwise
	}
	own := func(key string, otherwise bool) bool {
		if v := n.Get(key); !isNull(v) {
			if b, ok := truth(v); ok {
				return b
			}
		}
		return otherwise
	}
	word := func(key string) string {
		if v := r.word(n.Get(key)); v != "" {
			return v
		}
		return r.word(r.defaults.Get(key))
	}
	words := func(key string) []string {
		if v := n.Get(key); v != nil && len(v.Items) > 0 {
			return r.words(v)
		}
		return r.words(r.defaults.Get(key))
	}
	rel := Release{
		keyed: &keyed{n, r.defaults, r.sources},
		Name:  d.name, Namespace: d.namespace, WrittenNamespace: d.namespace, Description: word("description"),
		Chart: d.chart, Base: r.state.Dir, Version: d.version,
		Devel: flag("devel", false), Verify: flag("verify", false), Keyring: word("keyring"),
		PlainHTTP: flag("plainHttp", false), SkipTLSVerify: flag("insecureSkipTLSVerify", false),
		SkipDeps: flag("skipDeps", false), SkipRefresh: flag("skipRefresh", false),
		Installed: own("installed", true), Selected: true,
		Wait: flag("wait", r.in.Stack), WaitForJobs: flag("waitForJobs", false),
		Timeout: r.seconds(n, "timeout", d.what), CreateNamespace: flag("createNamespace", true),
		Atomic: flag("atomic", false), CleanupOnFail: flag("cleanupOnFail", false), Force: flag("force", false),
		ReuseValues: flag("reuseValues", false), TakeOwnership: flag("takeOwnership", false),
		HistoryMax: r.whole(n, "historyMax", defaultHistory), SkipCRDs: flag("skipCRDs", false),
		EnableDNS: flag("enableDNS", false), SkipSchemaValidation: flag("skipSchemaValidation", false),
		DisableValidation: flag("disableValidation", false), DisableValidationOnInstall: flag("disableValidationOnInstall", false),
		SyncReleaseLabels: flag("syncReleaseLabels", false),
		Cascade:           word("cascade"), DeleteWait: flag("deleteWait", false), DeleteTimeout: r.seconds(n, "deleteTimeout", d.what),
		PostRenderer: word("postRenderer"), PostRendererArgs: d.args,
		SuppressDiff: own("suppressDiff", false), SuppressOutputLineRegex: words("suppressOutputLineRegex"), Ignore: words("ignore"),
		Hooks: r.hooks(n.Get("hooks")), APIVersions: words("apiVersions"), KubeVersion: word("kubeVersion"),
		ForceNamespace: word("forceNamespace"), KubeContext: d.kubeContext, Level: r.file.level(),
		Values: map[string]any{},
	}
	if len(d.args) == 0 {
		rel.PostRendererArgs = words("postRendererArgs")
	}
	// What the command line says beats helmDefaults, and not the release (helmfile's appendPostRenderFlags, appendCascadeFlags).
	if r.in.PostRenderer != "" && r.word(n.Get("postRenderer")) == "" {
		rel.PostRenderer = r.in.PostRenderer
	}
	if len(r.in.PostRendererArgs) > 0 && n.Get("postRendererArgs") == nil {
		rel.PostRendererArgs = r.in.PostRendererArgs
	}
	if r.in.Cascade != "" && r.word(n.Get("cascade")) == "" {
		rel.Cascade = r.in.Cascade
	}
	rel.SkipSchemaValidation = rel.SkipSchemaValidation || r.in.SkipSchemaValidation
	if t, ok := d.booleans["installedTemplate"]; ok {
		rel.Installed = r.templated(t, n.Get("installedTemplate").Origin.Range, d.what+": installedTemplate")
	}
	if t, ok := d.booleans["waitTemplate"]; ok {
		rel.Wait = r.templated(t, n.Get("waitTemplate").Origin.Range, d.what+": waitTemplate")
	}
	if t, ok := d.booleans["verifyTemplate"]; ok {
		rel.Verify = r.templated(t, n.Get("verifyTemplate").Origin.Range, d.what+": verifyTemplate")
	}
	if len(rel.APIVersions) == 0 {
		rel.APIVersions = r.state.APIVersions
	}
	if rel.KubeVersion == "" {
		rel.KubeVersion = r.state.KubeVersion
	}
	if rel.Namespace == "" {
		rel.Namespace = "default"
	}
	if rel.KubeContext == "" {
		rel.KubeContext = r.state.Environment.KubeContext
	}
	if rel.Cascade != "" && !slices.Contains(cascades, rel.Cascade) {
		var at diag.Range // none, of the command line
		for _, from := range []*value.Node{r.defaults, n} {
			if v := from.Get("cascade"); r.word(v) == rel.Cascade {
				at = v.Origin.Range
			}
		}
		r.report(diag.RunlevelInvalid, at, "%s: cascade is %q. Write background, foreground or orphan.", d.what, rel.Cascade)
	}
	for _, a := range r.args {
		r.argument(&rel, a)
	}
	rel.id = identity(d.kubeContext, d.namespace, d.name)
	// helmfile's order: commonLabels hide the release's own (ExecuteTemplates), the implicit ones both (GetReleasesWithLabels).
	rel.Labels = maps.Clone(d.labels)
	label := d.namespace
	if r.in.Stack {
		label = rel.Namespace
	}
	maps.Copy(rel.Labels, map[string]string{"name": d.name, "namespace": label, "chart": path.Base(d.chart)})
	for i, entry := range items(n.Get("dependencies")) {
		dep := Dependency{Chart: r.word(entry.Get("chart")), Version: r.word(entry.Get("version")), Alias: r.word(entry.Get("alias")), Range: start(entry)}
		if dep.Chart == "" {
			r.report(diag.RunlevelMissing, start(entry), "%s: dependencies[%d] has no chart. Add one.", d.what, i)
		}
		dep.Repository, _ = r.repository(dep.Chart)
		rel.Dependencies = append(rel.Dependencies, dep)
	}
	if source, ok := r.repository(d.chart); ok {
		rel.Repository = source
	}
	return rel
}

// items are the maps of a list.
func items(n *value.Node) []*value.Node {
	if n == nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(n.Items), func(n *value.Node) bool { return n.Kind != value.Map })
}

// identity is [[CONTEXT/]NAMESPACE/]NAME (helmfile's ReleaseToID).
func identity(kubeContext, namespace, name string) string {
	switch {
	case kubeContext != "":
		return kubeContext + "/" + namespace + "/" + name
	case namespace != "":
		return namespace + "/" + name
	}
	return name
}

func (r *reader) hooks(n *value.Node) []Hook {
	var out []Hook
	for i, entry := range items(n) {
		h := Hook{
			Name: r.word(entry.Get("name")), Events: r.words(entry.Get("events")), Command: r.word(entry.Get("command")),
			Args: r.words(entry.Get("args")), Range: start(entry),
		}
		if b := entry.Get("showlogs"); b != nil {
			h.ShowLogs, _ = truth(b)
		}
		if m := entry.Get("kubectlApply"); m != nil && m.Kind == value.Map {
			h.KubectlApply = map[string]string{}
			for _, f := range m.Fields {
				h.KubectlApply[f.Key] = r.word(f.Value)
			}
		}
		for j, event := range h.Events {
			if !slices.Contains(hookEvents, event) {
				hint := "There are " + strings.Join(hookEvents, ", ") + "."
				if near := diag.Nearest(event, hookEvents); near != "" {
					hint = fmt.Sprintf("Did you mean %q?", near)
				}
				r.report(diag.RunlevelInvalid, entry.Get("events").Items[j].Origin.Range, "hooks[%d]: there is no event %q. %s", i, event, hint)
			}
		}
		out = append(out, h)
	}
	return out
}

// hookEvents are the events of helmfile (docs/hooks.md).
var hookEvents = []string{"prepare", "preapply", "presync", "preuninstall", "postuninstall", "postsync", "cleanup"}

// missing reports a key that a release must have, unless it is there in a form or under a name that was reported.
func (r *reader) missing(n *value.Node, what string, keys keySet, key, example string) {
	reported := func(f value.Field) bool {
		_, known := keys.find(f.Key)
		misspelt := !known && diag.Nearest(f.Key, keys.names()) == key
		return misspelt || f.Key == key && !isNull(f.Value) && f.Value.Kind != value.String
	}
	if slices.ContainsFunc(n.Fields, reported) {
		return
	}
	r.report(diag.RunlevelMissing, start(n), "%s has no %s. Add one: %s: %s", what, key, key, example)
}

// condition says whether a release is enabled: by "true" or "false", or by a path into the values that ends in .enabled.
// As in helmfile (pkg/state, ConditionEnabled), the map that should have enabled must be there, and enabled counts only as
// the boolean true.
func (r *reader) condition(text string, at diag.Range, what string) bool {
	switch strings.ToLower(text) {
	case "", "true":
		return true
	case "false":
		return false
	}
	names := strings.Split(text, ".")
	last := len(names) - 1
	if names[last] != "enabled" {
		r.report(diag.RunlevelInvalid, at, "%s: the condition %q is neither true nor false nor a path into the values that ends "+
			"in .enabled. Write for example: condition: apps.%s.enabled", what, text, names[last])
		return true
	}
	from := r.values
	for i, name := range names[:last] {
		next, ok := from[name].(map[string]any)
		if !ok && r.blind {
			return true
		}
		if !ok {
			hint := fmt.Sprintf("Set %s.enabled to true or false.", strings.Join(names[:last], "."))
			if near := diag.Nearest(name, slices.Collect(maps.Keys(from))); near != "" {
				hint = fmt.Sprintf("Did you mean %q?", near)
			}
			r.report(diag.RunlevelInvalid, at, "%s: the condition %q asks for %s, and the values have no such map. %s",
				what, text, strings.Join(names[:i+1], "."), hint)
			return true
		}
		from = next
	}
	enabled, _ := from["enabled"].(bool)
	return enabled
}

// seconds reads a time that a release, else helmDefaults, gives in seconds; 0 is Helm's default.
func (r *reader) seconds(n *value.Node, key, what string) time.Duration {
	for _, from := range []*value.Node{n, r.defaults} {
		v := from.Get(key)
		if isNull(v) {
			continue
		}
		s, ok := v.Scalar.(int64)
		if !ok {
			return defaultTimeout // reported
		}
		if s < 0 || s > int64(24*time.Hour/time.Second) {
			r.report(diag.RunlevelInvalid, v.Origin.Range, "%s: %s is %d seconds. Take a number from 1 to 86400, which is a day.", what, key, s)
			return defaultTimeout
		}
		if s > 0 {
			return time.Duration(s) * time.Second
		}
	}
	return defaultTimeout
}

func (r *reader) whole(n *value.Node, key string, otherwise int) int {
	for _, from := range []*value.Node{n, r.defaults} {
		if v, ok := scalar(from.Get(key)).(int64); ok {
			return int(v)
		}
	}
	return otherwise
}

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

func scalar(n *value.Node) any {
	if n == nil {
		return nil
	}
	return n.Scalar
}
