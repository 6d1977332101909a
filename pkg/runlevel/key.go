package runlevel

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/value"
)

// shape is what the value of a key must be.
type shape string

const (
	text     shape = "a string"
	boolean  shape = "true or false"
	whole    shape = "a whole number"
	number   shape = "a number"
	texts    shape = "a list of strings"
	list     shape = "a list"
	mapping  shape = "a map"
	textMap  shape = "a map of strings"
	anything shape = "anything"
)

// key is one key that a map of a state file may have.
type key struct {
	name  string
	shape shape
	// refused is what to do instead, for a key of helmfile's that is not carried out.
	refused string
	// idle is why a key has no effect here, where leaving it out changes nothing that a user could see.
	idle string
}

// keySet are the keys that a map may have.
type keySet []key

func keys(s shape, names string) keySet {
	var out keySet
	for name := range strings.FieldsSeq(names) {
		out = append(out, key{name: name, shape: s})
	}
	return out
}

const (
	noBinary  = "otomi carries out Helm's and kustomize's libraries and starts no program of theirs"
	ownWaiter = "Leave it out: otomi waits for what it applies by kstatus, which follows every kind and tells what fails. Use wait and timeout."
	helm4     = "It is of Helm 4: use atomic for a release that is to be rolled back when it fails; conflicts are shown in the plan."
)

// The keys of a state file and of what stands in it (helmfile 1.7, pkg/state: ReleaseSetSpec, EnvironmentSpec, ReleaseSpec,
// HelmSpec, SubHelmfileSpec, RepositorySpec; pkg/event: Hook).
var (
	stateKeys = slices.Concat(
		keys(list, "releases values helmfiles repositories hooks"),
		keys(mapping, "helmDefaults environments templates missingFileHandlerConfig"),
		keys(textMap, "commonLabels"),
		keys(texts, "bases apiVersions"),
		keys(text, "missingFileHandler kubeVersion lockFilePath namespace kubeContext chart"),
		keys(anything, "defaultInherit"),
		keySet{
			{name: "helmBinary", shape: text, idle: noBinary}, {name: "kustomizeBinary", shape: text, idle: noBinary},
			{name: "llm", shape: mapping, idle: "it is for `helmfile doctor`, which otomi does not have"},
		},
	)
	environmentKeys = slices.Concat(
		keys(list, "values"),
		keys(texts, "secrets"),
		keys(text, "kubeContext missingFileHandler mergeStrategy"),
		keys(mapping, "missingFileHandlerConfig"),
	)
	releaseKeys = slices.Concat(
		keys(text, `name namespace chart version kubeContext description directory valuesPathPrefix missingFileHandler condition
			installedTemplate conditionTemplate waitTemplate verifyTemplate keyring postRenderer cascade kubeVersion forceNamespace`),
		keys(textMap, "labels"),
		keys(list, "values secrets set setString valuesTemplate setTemplate env hooks dependencies jsonPatches strategicMergePatches transformers"),
		keys(texts, "needs postRendererArgs apiVersions suppressOutputLineRegex"),
		keys(texts, "ignore"), // ours: helmfile has none
		keys(boolean, `installed wait waitForJobs atomic cleanupOnFail force createNamespace reuseValues devel verify skipDeps
			skipRefresh disableValidation disableValidationOnInstall disableOpenAPIValidation skipSchemaValidation enableDNS
			takeOwnership insecureSkipTLSVerify plainHttp deleteWait syncReleaseLabels suppressDiff
			disableAutoDetectedKubeVersionForDiff`),
		keys(whole, "timeout historyMax deleteTimeout"),
		keys(mapping, "missingFileHandlerConfig"),
		keys(anything, "inherit"),
		refusedKeys("Name a directory or an archive as the chart, or fetch it first.", "forceGoGetter"),
		refusedKeys("Use --take-ownership, or takeOwnership: true.", "adopt"),
		refusedKeys("Leave it out: Helm 3 has no such flag any more; a change of the pod template restarts pods.", "recreatePods"),
		refusedKeys("Use force: true, which replaces what can't be changed in place.", "updateStrategy"),
		refusedKeys("Leave it out, and test charts with `helm unittest`.", "unitTests"),
		refusedKeys(ownWaiter, `trackMode trackTimeout trackLogs trackFailedLogs trackKinds skipKinds trackResources kubedogQPS
			kubedogBurst trackFailOnError helmStuckGrace`),
		refusedKeys(helm4, "rollbackOnFailure forceConflicts serverSide"),
		keySet{
			{name: "waitRetries", shape: whole, idle: "helmfile reads it and does nothing with it"},
			{name: "chartPath", shape: text, idle: "build writes it, and the chart is what counts"},
		},
	)
	defaultsKeys = slices.Concat(
		keys(text, "kubeContext keyring postRenderer cascade"),
		keys(texts, "args diffArgs syncArgs templateArgs postRendererArgs suppressOutputLineRegex"),
		keys(texts, "ignore"), // ours: helmfile has none
		keys(boolean, `wait waitForJobs atomic cleanupOnFail force createNamespace skipDeps skipRefresh reuseValues verify devel
			enableDNS skipCRDs disableValidation disableOpenAPIValidation insecureSkipTLSVerify plainHttp deleteWait
			syncReleaseLabels takeOwnership skipSchemaValidation disableAutoDetectedKubeVersionForDiff`),
		keys(whole, "timeout historyMax deleteTimeout"),
		keySet{
			{name: "recreatePods", shape: boolean, refused: "Leave it out: Helm 3 has no such flag any more; a change of the pod template restarts pods."},
			{name: "waitRetries", shape: whole, idle: "helmfile reads it and does nothing with it"},
		},
		refusedKeys(ownWaiter, "trackMode helmStuckGrace"),
		refusedKeys(helm4, "serverSide rollbackOnFailure forceConflicts"),
	)
	subKeys        = slices.Concat(keys(text, "path"), keys(list, "values"), keys(texts, "selectors inherits"), keys(boolean, "selectorsInherited"))
	repositoryKeys = slices.Concat(
		keys(text, "name url username password caFile certFile keyFile keyring"),
		keys(boolean, "oci passCredentials skipTLSVerify plainHttp verify"),
		refusedKeys("Log in with `otomi registry login`.", "registryConfig"),
		refusedKeys("Log in with `otomi registry login` and leave it out.", "managed"),
	)
	hookKeys       = slices.Concat(keys(text, "name command"), keys(texts, "events args"), keys(boolean, "showlogs"), keys(textMap, "kubectlApply"))
	setKeys        = slices.Concat(keys(text, "name value file"), keys(list, "values"))
	inheritKeys    = slices.Concat(keys(text, "template"), keys(texts, "except"))
	dependencyKeys = keys(text, "chart version alias")
)

func refusedKeys(instead, names string) keySet {
	var out keySet
	for name := range strings.FieldsSeq(names) {
		out = append(out, key{name: name, shape: anything, refused: instead})
	}
	return out
}

func (s keySet) find(name string) (key, bool) {
	i := slices.IndexFunc(s, func(k key) bool { return k.name == name })
	if i < 0 {
		return key{}, false
	}
	return s[i], true
}

func (s keySet) names() []string {
	out := make([]string, len(s))
	for i, k := range s {
		out[i] = k.name
	}
	return out
}

// checker reports what is wrong with the keys of one text and with the types of their values.
type checker struct {
	// text is the text that was read, and starts where its lines begin, once that was asked for.
	text   []byte
	starts []int
	diags  diag.Diagnostics
}

// written is what stands at a place on one line of the text.
func (c *checker) written(at diag.Range) string {
	if at.End == (diag.Pos{}) || at.Start.Line != at.End.Line {
		return ""
	}
	if c.starts == nil {
		c.starts = []int{0}
		for i, b := range c.text {
			if b == '\n' {
				c.starts = append(c.starts, i+1)
			}
		}
	}
	if at.Start.Line > len(c.starts) {
		return ""
	}
	line := c.text[c.starts[at.Start.Line-1]:]
	if i := bytes.IndexByte(line, '\n'); i >= 0 {
		line = line[:i]
	}
	start, end := offset(line, at.Start.Column), offset(line, at.End.Column)
	if start > end {
		return ""
	}
	return string(line[start:end])
}

// offset is where a column, which counts characters from 1, begins.
func offset(line []byte, column int) int {
	at := 0
	for ; column > 1 && at < len(line); column-- {
		_, size := utf8.DecodeRune(line[at:])
		at += size
	}
	return at
}

// asText makes a scalar the text that is written, which is what yaml.v3 gives for a string: 1.10 and not 1.1.
func (c *checker) asText(n *value.Node) {
	if isNull(n) || n.Kind == value.List || n.Kind == value.Map {
		return
	}
	s, isText := n.Scalar.(string)
	if isText && (len(s) < 20 || s[4] != '-' || s[10] != 'T') {
		return // no date, which was made the text that is written back
	}
	raw := c.written(n.Origin.Range)
	switch {
	case raw == "", raw[0] == '*', raw[0] == '&', raw[0] == '!', isText && raw[0] != s[0]:
		return
	}
	n.Kind, n.Scalar = value.String, raw
}

func (c *checker) report(code diag.Code, at diag.Range, format string, args ...any) {
	c.diags = append(c.diags, problem(code, at, format, args...))
}

func problem(code diag.Code, at diag.Range, format string, args ...any) diag.Diagnostic {
	return diag.Diagnostic{Severity: diag.Error, Code: code, Detail: fmt.Sprintf(format, args...), Range: at}
}

// keys reports the keys of a map that are not read, and values of the wrong type. of is what has the keys, what its name.
func (c *checker) keys(n *value.Node, set keySet, of, what string) {
	for _, f := range n.Fields {
		k, ok := set.find(f.Key)
		switch {
		case !ok:
			hint := "It may have " + strings.Join(set.names(), ", ") + "."
			if near := diag.Nearest(f.Key, set.names()); near != "" {
				hint = fmt.Sprintf("Did you mean %q?", near)
			}
			c.report(diag.RunlevelUnknownKey, f.KeyRange, "%s has no key %q. %s", of, f.Key, hint)
		case isNull(f.Value):
		case k.refused != "" && (zero(f.Value) || f.Key == "trackMode" && f.Value.Text() == "helm"):
			// It says what is so anyway.
		case k.refused != "":
			c.report(diag.RunlevelUnsupported, f.KeyRange, "%s may have the key %q in helmfile, and otomi does not carry it out. %s", of, f.Key, k.refused)
		case k.idle != "" && !zero(f.Value):
			d := problem(diag.RunlevelUnsupported, f.KeyRange, "the key %q has no effect: %s. Leave it out.", f.Key, k.idle)
			d.Severity = diag.Warning
			c.diags = append(c.diags, d)
		default:
			c.shape(f.Value, k.shape, what+f.Key)
		}
	}
}

// shape reports a value of the wrong type, by what yaml.v3 takes for each type.
func (c *checker) shape(n *value.Node, s shape, what string) {
	if isNull(n) {
		return
	}
	fits := true
	switch s {
	case text:
		fits = n.Kind != value.Map && n.Kind != value.List
		c.asText(n)
	case boolean:
		_, fits = truth(n)
	case whole:
		fits = n.Kind == value.Integer
	case number:
		fits = n.Kind == value.Integer || n.Kind == value.Number
	case list:
		fits = n.Kind == value.List
	case mapping:
		fits = n.Kind == value.Map
	case texts:
		if fits = n.Kind == value.List; fits {
			for i, item := range n.Items {
				c.shape(item, text, fmt.Sprintf("%s[%d]", what, i))
			}
		}
	case textMap:
		if fits = n.Kind == value.Map; fits {
			for _, f := range n.Fields {
				c.shape(f.Value, text, what+"."+f.Key)
			}
		}
	}
	if fits {
		return
	}
	want := s
	switch s {
	case texts:
		want = list
	case textMap:
		want = mapping
	}
	c.report(diag.RunlevelWrongType, n.Origin.Range, "%s is %s. Make it %s.", what, n.Kind.WithArticle(), want)
}

// truth is what yaml.v3 reads into a bool: also the words of YAML 1.1, quoted or not.
func truth(n *value.Node) (b, ok bool) {
	switch s := n.Scalar.(type) {
	case bool:
		return s, true
	case string:
		switch s {
		case "y", "Y", "yes", "on":
			return true, true
		case "n", "N", "no", "off":
			return false, true
		}
	}
	return false, false
}

func isNull(n *value.Node) bool { return n == nil || n.Kind == value.Null }

// document checks one document of a state file.
func (c *checker) document(root *value.Node) {
	c.keys(root, stateKeys, "a state file", "")
	c.each(root.Get("environments"), func(f value.Field) {
		if isNull(f.Value) || !c.isMap(f.Value, "environments."+f.Key) {
			return
		}
		if d, ok := f.Value.Field("defaults"); ok {
			c.report(diag.RunlevelUnknownKey, d.KeyRange, "an environment has no key %q, though helmfile's documentation shows one. "+
				"Write the defaults as `values` at the top of the file.", d.Key)
			f.Value = without(f.Value, "defaults")
		}
		c.keys(f.Value, environmentKeys, "an environment", "environments."+f.Key+".")
	})
	if n := root.Get("helmDefaults"); n != nil && n.Kind == value.Map {
		c.keys(n, defaultsKeys, "helmDefaults", "helmDefaults.")
	}
	c.each(root.Get("templates"), func(f value.Field) {
		if !isNull(f.Value) && c.isMap(f.Value, "templates."+f.Key) {
			c.release(f.Value, "template "+f.Key, "a release")
		}
	})
	c.items(root.Get("releases"), "releases", func(n *value.Node, what string) {
		if name := n.Get("name"); name.Text() != "" && !strings.Contains(name.Text(), "{{") {
			what = "release " + name.Text()
		}
		c.release(n, what, "a release")
	})
	c.items(root.Get("repositories"), "repositories", func(n *value.Node, what string) { c.keys(n, repositoryKeys, "a repository", what+".") })
	c.items(root.Get("hooks"), "hooks", func(n *value.Node, what string) { c.keys(n, hookKeys, "a hook", what+".") })
	if subs := root.Get("helmfiles"); subs != nil {
		for i, n := range subs.Items {
			what := fmt.Sprintf("helmfiles[%d]", i)
			if n.Kind == value.Map {
				c.keys(n, subKeys, "an entry of helmfiles", what+".")
			} else if n.Kind != value.String {
				c.report(diag.RunlevelWrongType, n.Origin.Range, "%s is %s. Make it a path, or a map with one.", what, n.Kind.WithArticle())
			}
		}
	}
}

// release checks a release or a template of one.
func (c *checker) release(n *value.Node, what, of string) {
	c.keys(n, releaseKeys, of, what+": ")
	for _, name := range []string{"set", "setString", "setTemplate", "env"} {
		c.items(n.Get(name), what+": "+name, func(n *value.Node, what string) { c.keys(n, setKeys, "an entry of "+name, what+".") })
	}
	c.items(n.Get("hooks"), what+": hooks", func(n *value.Node, what string) { c.keys(n, hookKeys, "a hook", what+".") })
	c.items(n.Get("dependencies"), what+": dependencies", func(n *value.Node, what string) { c.keys(n, dependencyKeys, "a dependency", what+".") })
	if in := n.Get("inherit"); !isNull(in) {
		if in.Kind == value.Map {
			c.keys(in, inheritKeys, "inherit", what+": inherit.")
		} else {
			c.items(in, what+": inherit", func(n *value.Node, what string) { c.keys(n, inheritKeys, "inherit", what+".") })
		}
	}
	if l := n.Get("secrets"); l != nil {
		for i, entry := range l.Items {
			if entry.Kind == value.Map || entry.Kind == value.List {
				c.report(diag.RunlevelUnsupported, entry.Origin.Range, "%s: secrets[%d] is %s. Put it into an encrypted file and name that.",
					what, i, entry.Kind.WithArticle())
			}
		}
	}
	for _, name := range []string{"values", "valuesTemplate"} {
		if l := n.Get(name); l != nil {
			for i, entry := range l.Items {
				if entry.Kind != value.Map && entry.Kind != value.String && entry.Kind != value.Null {
					c.report(diag.RunlevelWrongType, entry.Origin.Range, "%s: %s[%d] is %s. Make it a map of values.", what, name, i, entry.Kind.WithArticle())
				}
			}
		}
	}
}

func (c *checker) each(n *value.Node, visit func(value.Field)) {
	if n == nil || n.Kind != value.Map {
		return
	}
	for _, f := range n.Fields {
		visit(f)
	}
}

// items visits the maps of a list, and reports what is none.
func (c *checker) items(n *value.Node, what string, visit func(n *value.Node, what string)) {
	if n == nil || n.Kind != value.List {
		return
	}
	for i, item := range n.Items {
		name := fmt.Sprintf("%s[%d]", what, i)
		if c.isMap(item, name) {
			visit(item, name)
		}
	}
}

func (c *checker) isMap(n *value.Node, what string) bool {
	if n.Kind == value.Map {
		return true
	}
	c.report(diag.RunlevelWrongType, n.Origin.Range, "%s is %s. Make it a map.", what, n.Kind.WithArticle())
	return false
}

func without(m *value.Node, key string) *value.Node {
	out := *m
	out.Fields = slices.DeleteFunc(slices.Clone(m.Fields), func(f value.Field) bool { return f.Key == key })
	return &out
}
