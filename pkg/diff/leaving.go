package diff

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redkubes/otomi/pkg/manifest"
	"github.com/redkubes/otomi/pkg/runlevel"
)

// leaversLevel is the name of the level that is carried out after the last runlevel: the releases that left.
const leaversLevel = "left"

// findLeavers adds a level of the releases that are recorded in the run's inventory and that no runlevel has any more. A
// release whose condition is false is still one of the runlevels'. They go in the reverse of the order in which they came.
func (c *comparison) findLeavers() {
	if !c.in.Whole || c.o.NoPrune {
		return
	}
	known := map[string]bool{}
	for _, level := range c.in.Levels {
		for _, r := range slices.Concat(level.Releases, level.Disabled) {
			known[r.Key()] = true
		}
	}
	var leaving []manifest.Record
	var strangers []string
	for _, key := range slices.Sorted(maps.Keys(c.histories)) {
		last, found := c.histories[key].current().last()
		switch {
		case !found || known[key]:
		case c.in.Inventory == "" && Ours(last) && last.Labels[InventoryLabel] == "":
			strangers = append(strangers, key)
		case c.in.Inventory != "" && last.Labels[InventoryLabel] == c.in.Inventory:
			leaving = append(leaving, last)
		}
	}
	if len(strangers) > 0 && c.in.Unnamed != "" {
		c.notes = append(c.notes, fmt.Sprintf("%s not in the runlevels and may have left them; nothing is uninstalled for that, since %s",
			isOrAre(strangers), c.in.Unnamed))
	}
	if len(leaving) == 0 {
		return
	}
	slices.SortStableFunc(leaving, comparePlaces)
	level := runlevel.Level{Name: leaversLevel}
	group := 0
	for i, record := range leaving {
		if i > 0 && comparePlaces(leaving[i-1], record) != 0 {
			group++
		}
		level.Releases = append(level.Releases, runlevel.Release{Name: record.Name, Namespace: record.Namespace, Group: group})
	}
	c.in.Levels = append(slices.Clone(c.in.Levels), level)
}

// comparePlaces orders records as their releases were applied.
func comparePlaces(a, b manifest.Record) int {
	group := func(r manifest.Record) int {
		n, _ := strconv.Atoi(r.Labels[GroupLabel]) // none is the first
		return n
	}
	return cmp.Or(cmp.Compare(a.Labels[LevelLabel], b.Labels[LevelLabel]), cmp.Compare(group(a), group(b)))
}

// isOrAre names releases with their verb.
func isOrAre(keys []string) string {
	if len(keys) == 1 {
		return "release " + keys[0] + " is"
	}
	const shown = 5
	text := strings.Join(keys[:min(len(keys), shown)], ", ")
	if len(keys) > shown {
		text += fmt.Sprintf(" and %d more", len(keys)-shown)
	}
	return "releases " + text + " are"
}

// abandoned reports whether a revision that helm began can't be helm's any more: no run of it takes so long.
func abandoned(age, timeout time.Duration) bool { return age > max(10*time.Minute, 2*timeout) }

// since says how old something is, where there is a clock.
func since(age time.Duration, now time.Time) string {
	if now.IsZero() {
		return ""
	}
	return " since " + Ago(age)
}

// Ago is an age in the largest unit of which there are two: 90m, 2h, 5d.
func Ago(age time.Duration) string {
	age = max(age, 0)
	switch {
	case age < 2*time.Minute:
		return fmt.Sprintf("%ds", int(age.Seconds()))
	case age < 2*time.Hour:
		return fmt.Sprintf("%dm", int(age.Minutes()))
	case age < 48*time.Hour:
		return fmt.Sprintf("%dh", int(age.Hours()))
	}
	return fmt.Sprintf("%dd", int(age.Hours()/24))
}
