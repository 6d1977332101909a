package pipeline

import (
	"cmp"

	"github.com/redkubes/otomi/pkg/diff"
	"github.com/redkubes/otomi/pkg/source"
)

// origin is what a platform's values come from.
type origin struct {
	// inventory is what the releases of a cluster are recorded in; where it is empty, unnamed says why.
	inventory, unnamed string
	// commit is the one that is checked out; empty where there is none.
	commit string
}

// origin finds out where the values of a cluster come from.
func (p *Platform) origin(cluster string) (origin, error) {
	head, err := source.ReadHead(p.root)
	if err != nil {
		return origin{}, err
	}
	o := origin{commit: head.Commit, inventory: diff.Inventory(cmp.Or(p.repository.ID(), head.Origin), cluster)}
	if o.inventory == "" {
		o.unnamed = "the values repository has neither an id in otomi.yaml nor a git remote origin by which to tell whose they are"
	}
	return o, nil
}
