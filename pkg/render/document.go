package render

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/manifest"
	"helm.sh/helm/v3/pkg/release"
)

// document is one document of what a template rendered.
type document struct {
	source, text string
	// data is nil for a document that holds only comments.
	data map[string]any
	kind string
	// hook is the annotation that makes a hook of an object; isHook says that it is there.
	hook        string
	isHook      bool
	annotations map[string]any
}

// documents reads what the templates rendered, and puts it into Helm's order: it does what releaseutil.SortManifests does,
// except that each document is read once and all that are wrong are reported. (Reading each again for its objects was a
// fifth of the time of a release.) Over says which bound the reading would break, or is empty.
func (j *job) documents(ctx context.Context) (out []document, over string) {
	if tooMany(maps.Values(j.files)) {
		return nil, overNodes
	}
	for _, name := range slices.Sorted(maps.Keys(j.files)) {
		text := j.files[name]
		if strings.HasPrefix(path.Base(name), "_") || strings.TrimSpace(text) == "" {
			continue
		}
		for _, t := range split(text) {
			if ctx.Err() != nil {
				return nil, overTime
			}
			if len(j.diags) >= maxProblems {
				return out, ""
			}
			data, ok := j.read(name, t)
			if !ok {
				continue
			}
			if problem := head(data); problem != "" {
				j.notObject(name, t, problem)
				continue
			}
			d := document{source: name, text: t, data: data, kind: scalarText(field(data, "kind"))}
			metadata, _ := field(data, "metadata").(map[string]any)
			d.annotations, _ = field(metadata, "annotations").(map[string]any)
			if hook, ok := d.annotations[release.HookAnnotation]; ok {
				d.hook, d.isHook = scalarText(hook), true
			}
			out = append(out, d)
		}
	}
	slices.SortStableFunc(out, func(a, b document) int {
		ra, rb := manifest.Rank(a.kind), manifest.Rank(b.kind)
		if ra == rb {
			return cmp.Compare(a.kind, b.kind) // only kinds that are not in the order share a rank
		}
		return cmp.Compare(ra, rb)
	})
	return out, ""
}

// maxNodes bounds the values in the documents of one release, as nodes counts them. Read they take some 350 bytes each. The
// largest charts that are in use have a hundred thousand lines, and a record that Helm can store some times more.
const maxNodes = 1 << 20

// maxProblems bounds what is reported of one release: each names its place in the text, which is looked for.
const maxProblems = 100

// What is said of a bound.
var (
	overNodes = fmt.Sprintf("more than %d values in its documents", maxNodes)
	overTime  = fmt.Sprintf("more than %s of time", maxTime)
)

// tooMany reports whether texts hold more than maxNodes values.
func tooMany(texts iter.Seq[string]) bool {
	left := maxNodes
	for text := range texts {
		if left -= nodes(text, left); left <= 0 {
			return true
		}
	}
	return false
}

// nodes counts the values that a text may hold, and stops at limit. It is quick and never less than there are but for
// aliases, which the reading bounds itself: each begins a line, or follows a sign that lists one more.
func nodes(text string, limit int) int {
	n := 1
	for i := 0; i < len(text) && n < limit; i++ {
		switch text[i] {
		case '\n', ',', '[', '{':
			n++
		case '-', '?':
			if i+1 < len(text) && (text[i+1] == ' ' || text[i+1] == '\t') {
				n++
			}
		}
	}
	return n
}

// field is what Helm reads as a field of a document, with encoding/json: the key that is the field's name in any case, and of
// several the last in the order of bytes that is not null. A cluster knows the one in lower case alone.
func field(m map[string]any, name string) any {
	var out any
	last := ""
	for key, v := range m {
		if v != nil && key >= last && strings.EqualFold(key, name) {
			out, last = v, key
		}
	}
	return out
}

// split returns the documents of a text as Helm splits it (releaseutil.SplitManifests), which does it with a regular expression:
// (?:^|\s*\n)---\s*
func split(text string) []string {
	const space = "\t\n\f\r "
	text = strings.TrimSpace(text)
	var out []string
	for first := true; ; first = false {
		document, rest, found := text, "", false
		if first && strings.HasPrefix(text, "---") {
			document, rest, found = "", text[len("---"):], true
		} else if i := strings.Index(text, "\n---"); i >= 0 {
			document, rest, found = strings.TrimRight(text[:i], space), text[i+len("\n---"):], true
		}
		if document != "" {
			out = append(out, strings.TrimSpace(document))
		}
		if !found {
			return out
		}
		text = strings.TrimLeft(rest, space)
	}
}

// hookEvents are the words of the annotation that Helm knows (releaseutil, events).
var hookEvents = map[string]manifest.Event{
	"pre-install": manifest.PreInstall, "post-install": manifest.PostInstall,
	"pre-upgrade": manifest.PreUpgrade, "post-upgrade": manifest.PostUpgrade,
	"pre-delete": manifest.PreDelete, "post-delete": manifest.PostDelete,
	"pre-rollback": manifest.PreRollback, "post-rollback": manifest.PostRollback,
	"test": manifest.Test, "test-success": manifest.Test,
}

// hook makes a hook of a document. One with an event that Helm does not know is dropped, as Helm drops it, with a warning.
func (j *job) hook(d document) (manifest.Hook, bool) {
	h := manifest.Hook{}
	for word := range strings.SplitSeq(d.hook, ",") {
		word = strings.ToLower(strings.TrimSpace(word))
		event, ok := hookEvents[word]
		if !ok {
			at := j.rendered(d.source, d.text)
			at.Start.Line += line(d.text, release.HookAnnotation)
			w := j.report(diag.RenderUnknownHook, at, "the object is a hook of %q, which Helm does not know, and is left "+
				"out, as Helm leaves it out. Correct the annotation %s, or drop the object.", word, release.HookAnnotation)
			w.Severity = diag.Warning
			w.Notes = j.from(d.source, at)
			w.Secret = secretKind.MatchString(d.text)
			return manifest.Hook{}, false
		}
		h.Events = append(h.Events, event)
	}
	o, err := manifest.New(d.data, d.text, d.source)
	if err != nil {
		j.notObject(d.source, d.text, err.Error())
		return manifest.Hook{}, false
	}
	if items, ok := d.data["items"].([]any); ok {
		j.items(d.source, d.text, d.data, items)
	}
	h.Object = o
	h.Weight, _ = strconv.Atoi(scalarText(d.annotations[release.HookWeightAnnotation])) // Helm: anything else is 0
	if policies, ok := d.annotations[release.HookDeleteAnnotation]; ok {
		for word := range strings.SplitSeq(scalarText(policies), ",") {
			h.DeletePolicies = append(h.DeletePolicies, manifest.DeletePolicy(strings.ToLower(strings.TrimSpace(word))))
		}
	}
	return h, true
}

// scalarText is what Helm's reading makes of a scalar where it wants a string (sigs.k8s.io/yaml, convertToJSONableObject).
func scalarText(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case bool:
		return strconv.FormatBool(v)
	case float64:
		if v == float64(int64(v)) {
			return strconv.FormatInt(int64(v), 10)
		}
		return strconv.FormatFloat(v, 'g', -1, 32)
	default:
		return ""
	}
}
