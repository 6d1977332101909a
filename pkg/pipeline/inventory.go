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
	// commit is the one that is checked out, with dirtyMark where its files are not as it has them; empty where there is none.
	commit string
}

// dirtyMark stands behind a commit where files were changed since and are not committed.
const dirtyMark = "-dirty"

// origin finds out where the values of a cluster come from.
func (p *Platform) origin(cluster string) (origin, error) {
	head, err := source.ReadHead(p.root)
	if err != nil {
		return origin{}, err
	}
	// Where it can't be told, it is not said.
	if dirty, err := source.Dirty(p.root); err == nil && dirty {
		head.Commit += dirtyMark
	}
	o := origin{commit: head.Commit, inventory: diff.Inventory(cmp.Or(p.repository.ID(), head.Origin), cluster)}
	if o.inventory == "" {
		o.unnamed = "the values repository has neither an id in otomi.yaml nor a git remote origin by which to tell whose they are"
	}
	return o, nil
}
