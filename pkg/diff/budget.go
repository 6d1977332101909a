package diff

import (
	"slices"
	"strings"
)

// DefaultDeletions is how many objects a run deletes without being asked.
const DefaultDeletions = 10

// Precious are the kinds whose objects take more along than themselves: what is in a namespace, the objects of a custom kind,
// the data of a volume.
var precious = []string{"Namespace", "CustomResourceDefinition", "PersistentVolumeClaim", "PersistentVolume"}

// Budget says what a run may delete without being asked. The zero value allows nothing.
type Budget struct {
	// Objects is how many objects may go, replaced ones included; negative means any number.
	Objects int
	// Kinds are those of namespaces, CRDs, claims and volumes that may go; "*" is all of them. The case of a letter does not
	// count, and neither does a last s.
	Kinds []string
}

// Loss is what of a plan a budget does not cover.
type Loss struct {
	// Deletions are all the objects that go; Allowed is the budget for them, and Over says that there are more.
	Deletions []Change
	Allowed   int
	Over      bool
	// Precious are those of them whose kinds the budget does not have.
	Precious []Change
}

// Any reports whether the budget does not cover something.
func (l Loss) Any() bool { return l.Over || len(l.Precious) > 0 }

// Lost compares what plans delete with a budget. A Job that is replaced counts as nothing lost: it is made to be run again.
func (b Budget) Lost(plans ...Plan) Loss {
	loss := Loss{Allowed: b.Objects}
	for _, p := range plans {
		for _, level := range p.Levels {
			for _, r := range level.Releases {
				for _, o := range r.Objects {
					if o.Invalid != "" || o.Action != Delete && (o.Action != Replace || o.Kind == "Job" && o.Group == "batch") {
						continue
					}
					loss.Deletions = append(loss.Deletions, o)
					if slices.Contains(precious, o.Kind) && !b.allows(o.Kind) {
						loss.Precious = append(loss.Precious, o)
					}
				}
			}
		}
	}
	loss.Over = b.Objects >= 0 && len(loss.Deletions) > b.Objects
	return loss
}

func (b Budget) allows(kind string) bool {
	return slices.ContainsFunc(b.Kinds, func(allowed string) bool {
		return allowed == "*" || preciousKind(allowed) == kind
	})
}

// shortKinds are the names that kubectl has for the precious kinds.
var shortKinds = map[string]string{
	"ns": "Namespace", "crd": "CustomResourceDefinition", "pvc": "PersistentVolumeClaim", "pv": "PersistentVolume",
}

// preciousKind is the kind that a word of the command line means, by its name, its plural or kubectl's short name; "" where it
// is none that needs to be allowed.
func preciousKind(word string) string {
	for _, name := range []string{word, strings.TrimSuffix(strings.ToLower(word), "s")} {
		if kind, ok := shortKinds[strings.ToLower(name)]; ok {
			return kind
		}
		for _, kind := range precious {
			if strings.EqualFold(kind, name) {
				return kind
			}
		}
	}
	return ""
}

// Check returns the first word of Kinds that is no kind which has to be allowed.
func (b Budget) Check() (unknown string, ok bool) {
	for _, word := range b.Kinds {
		if word != "*" && preciousKind(word) == "" {
			return word, false
		}
	}
	return "", true
}
