package diff

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/redkubes/otomi/pkg/manifest"
)

// ConflictPolicy says what becomes of a field that is wanted one way and was written another way by somebody else.
type ConflictPolicy string

const (
	// Take writes what is wanted: the field is ours then.
	Take ConflictPolicy = "take"
	// Keep leaves the field to whom it belongs, and out of what is sent.
	Keep ConflictPolicy = "keep"
	// Fail refuses the object.
	Fail ConflictPolicy = "fail"
)

// ConflictsAnnotation on an object of a chart is the policy for its own fields.
const ConflictsAnnotation = "otomi.io/conflicts"

// Conflict is a field manager whose fields of an object are wanted otherwise. Helm, and kubectl's client-side apply before our
// first one, are none: what they wrote is the release's own. Neither is what a controller writes into a status.
type Conflict struct {
	Manager string         `json:"manager"`
	Policy  ConflictPolicy `json:"policy"`
	// Fields are the paths, as those of Change.Ignored: spec.template.spec.containers[name=app].image.
	Fields []string `json:"fields"`
}

// String says it in a sentence: "takes spec.replicas from autoscaler".
func (c Conflict) String() string {
	switch c.Policy {
	case Keep:
		return fmt.Sprintf("keeps %s of %s", strings.Join(c.Fields, ", "), c.Manager)
	case Fail:
		return fmt.Sprintf("%s belongs to %s", strings.Join(c.Fields, ", "), c.Manager)
	}
	return fmt.Sprintf("takes %s from %s", strings.Join(c.Fields, ", "), c.Manager)
}

// The managers whose fields are the release's own (cluster.TakeFields): helm's always, the others before our first apply.
var (
	helmsManagers  = []string{"helm", "helm3"}
	firstsManagers = []string{"before-first-apply", "kubectl-client-side-apply"}
)

// settle finds the fields that a dry run took from others, and does what the policy says. It returns what becomes of the live
// object then. A field that is kept is one that is ignored from there on.
func (c *comparison) settle(
	ctx context.Context, o manifest.Object, owner manifest.Owner, before, after map[string]any, change *Change,
) (map[string]any, error) {
	conflicts, places := taken(before, after)
	if len(conflicts) == 0 {
		return after, nil
	}
	policy := c.o.Conflicts
	if policy == "" {
		policy = Take
	}
	metadata, _ := o.Data["metadata"].(map[string]any)
	annotations, _ := metadata["annotations"].(map[string]any)
	if own, ok := annotations[ConflictsAnnotation].(string); ok {
		policy = ConflictPolicy(own)
	}
	var said []string
	for i := range conflicts {
		conflicts[i].Policy = policy
		said = append(said, conflicts[i].String())
	}
	change.Conflicts = conflicts
	text := strings.Join(said, ", ")
	switch policy {
	case Take:
	case Keep:
		change.Ignored = append(change.Ignored, pathsOf(places)...)
		if change.Live != "" {
			change.Live = LiveDigest(before, Without(o.Data, change.Ignored))
		}
		o.Data = Unforced(o.Data, before, change.Ignored)
		kept, err := c.live.DryRun(ctx, o, owner)
		var refusal *manifest.Refusal
		if errors.As(err, &refusal) {
			change.Invalid = joined(change.Invalid, fmt.Sprintf("%s, and without what is kept: %s. Take the fields, with --conflicts=take", text, refusal.Message))
			return after, nil
		}
		if err != nil {
			return nil, err
		}
		after = kept
	case Fail:
		change.Invalid = joined(change.Invalid, text+". Take the fields out of the chart, or choose: --conflicts=take or --conflicts=keep")
		return after, nil
	default:
		change.Invalid = joined(change.Invalid, fmt.Sprintf("its annotation %s is %q: write take, keep or fail", ConflictsAnnotation, policy))
		return after, nil
	}
	change.Reason = joined(change.Reason, text)
	return after, nil
}

// taken compares the managed fields of a live object with those of a dry run of ours that was forced, and returns what others
// lose by it, sorted by manager.
func taken(before, after map[string]any) ([]Conflict, []place) {
	then := fieldSets(after)
	first := !slices.ContainsFunc(fieldSets(before), func(e entry) bool { return e.manager == ourManager && e.operation == "Apply" })
	fields := map[string][][]string{}
	for _, e := range fieldSets(before) {
		switch {
		case e.manager == ourManager, e.subresource == "status", slices.Contains(helmsManagers, e.manager),
			first && slices.Contains(firstsManagers, e.manager):
			continue
		}
		left := map[string]bool{}
		for _, now := range then {
			if now.manager == e.manager && now.operation == e.operation && now.version == e.version && now.subresource == e.subresource {
				for _, path := range leaves(now.fields, nil) {
					left[strings.Join(path, "\x00")] = true
				}
			}
		}
		for _, path := range leaves(e.fields, nil) {
			if !left[strings.Join(path, "\x00")] && !ownership(path) {
				fields[e.manager] = append(fields[e.manager], path)
			}
		}
	}
	var out []Conflict
	var places []place
	for _, manager := range slices.Sorted(maps.Keys(fields)) {
		c := Conflict{Manager: manager}
		for _, path := range fields[manager] {
			p := placeOf(path)
			places, c.Fields = append(places, p), append(c.Fields, p.String())
		}
		out = append(out, c)
	}
	return out, places
}

// entry is one entry of managedFields.
type entry struct {
	manager, operation, version, subresource string
	fields                                   map[string]any
}

func fieldSets(object map[string]any) []entry {
	metadata, _ := object["metadata"].(map[string]any)
	list, _ := metadata["managedFields"].([]any)
	out := make([]entry, 0, len(list))
	for _, item := range list {
		m, _ := item.(map[string]any)
		var e entry
		e.manager, _ = m["manager"].(string)
		e.operation, _ = m["operation"].(string)
		e.version, _ = m["apiVersion"].(string)
		e.subresource, _ = m["subresource"].(string)
		e.fields, _ = m["fieldsV1"].(map[string]any)
		out = append(out, e)
	}
	return out
}

// leaves are the paths of a set of fields, in order.
func leaves(fields map[string]any, above []string) [][]string {
	var out [][]string
	for _, step := range slices.Sorted(maps.Keys(fields)) {
		if step == "." {
			continue
		}
		path := append(slices.Clone(above), step)
		below, _ := fields[step].(map[string]any)
		if deeper := leaves(below, path); len(deeper) > 0 {
			out = append(out, deeper...)
			continue
		}
		out = append(out, path)
	}
	return out
}

// ownership reports whether a field is one that says whose the object is, which has a refusal of its own.
func ownership(path []string) bool {
	return len(path) == 3 && path[0] == "f:metadata" && (path[1] == "f:labels" && path[2] == "f:"+manifest.ManagedByLabel ||
		path[1] == "f:annotations" && (path[2] == "f:"+manifest.ReleaseNameAnnotation || path[2] == "f:"+manifest.ReleaseNamespaceAnnotation))
}

// placeOf is the place that a path of managed fields leads to (structured-merge-diff's path elements). Of the keys of an item the
// name is enough; and a protocol that may be a default of the server is none that the manifest has to have.
func placeOf(path []string) place {
	var p place
	for _, part := range path {
		kind, text, _ := strings.Cut(part, ":")
		switch kind {
		case "f":
			p = p.key(text)
		case "k":
			var keys map[string]any
			_ = json.Unmarshal([]byte(text), &keys) // the server wrote it
			var s step
			for _, key := range slices.Sorted(maps.Keys(keys)) {
				if keys["name"] != nil && key != "name" || key == "protocol" && keys[key] == "TCP" && len(keys) > 1 {
					continue
				}
				s.match = append(s.match, itemField{key, scalar(keys[key])})
			}
			p = p.at(s)
		case "v":
			var v any
			_ = json.Unmarshal([]byte(text), &v)
			p = p.at(step{is: true, text: scalar(v)})
		default:
			p = p.at(step{every: true})
		}
	}
	return p
}
