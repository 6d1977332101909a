package render

import (
	"fmt"
	"slices"
	"strings"

	"github.com/redkubes/otomi/pkg/manifest"
)

// What is said of impure functions by their kind, and what to do about them. Those that are not named make keys or take chance.
var (
	asksTime    = append([]string{"durationRound"}, "now", "ago")
	asksZone    = []string{"date", "htmlDate", "dateInZone", "date_in_zone", "htmlDateInZone", "toDate", "mustToDate", "fromToml"}
	asksCluster = []string{"lookup"}
	asksNetwork = []string{"getHostByName"}
	// asksAddress are the functions that print a value, which are impure where they print the place in memory that it has.
	asksAddress = []string{
		"print", "println", "printf", "html", "js", "urlquery", "cat", "quote", "squote", "toString", "toStrings", "sortAlpha", "join", "dict",
	}
)

// Impurity says what is wrong with the calls of impure functions in one line of a template, and what to do; "" for no calls.
func Impurity(calls []manifest.ImpureCall) string {
	always, sorted := called(calls)
	both := []string{}
	for _, detail := range []string{impurity(always), unsorted(sorted)} {
		if detail != "" {
			both = append(both, detail)
		}
	}
	return strings.Join(both, " And ")
}

// called are the names of the functions that are called, and of those that list a map in any order.
func called(calls []manifest.ImpureCall) (names, sorted []string) {
	for _, c := range calls {
		if c.Unordered {
			sorted = append(sorted, c.Function)
		} else {
			names = append(names, c.Function)
		}
	}
	return unique(names), unique(sorted)
}

func unsorted(names []string) string {
	if len(names) == 0 {
		return ""
	}
	return fmt.Sprintf("%s in another order at every render by Helm, which then sees a change where there is none; "+
		"otomi sorts them. Write `| sortAlpha` behind it, so that both render the same.", subject(names, "lists a map", "list a map"))
}

func impurity(names []string) string {
	if len(names) == 0 {
		return ""
	}
	all := func(of []string) bool {
		return !slices.ContainsFunc(names, func(n string) bool { return !slices.Contains(of, n) })
	}
	const so = "so an apply is never empty and the render is never cached"
	switch {
	case all(asksCluster):
		return "the function lookup finds nothing, since charts are rendered without a cluster: what the chart would find there it makes anew at " +
			"every render. The render is never cached. Give the chart the value, or the name of an object that has it."
	case all(asksNetwork):
		return "the function getHostByName finds nothing, since charts are rendered without a network. The render is never cached. Give the " +
			"chart the address as a value."
	case all(asksAddress):
		return fmt.Sprintf("%s, %s. Print a field of it, or give it to toYaml.", subject(names, "prints where in memory a value is",
			"print where in memory a value is"), so)
	case all(asksTime):
		return fmt.Sprintf("%s, %s. Take it out of the template, or give the time as a value.", subject(names, "takes the time of the render",
			"take the time of the render"), so)
	case all(slices.Concat(asksTime, asksZone)):
		return fmt.Sprintf("%s, %s. Give the time as a value, and its zone as UTC.", subject(names, "takes the time or the time zone of the "+
			"machine", "take the time or the time zone of the machine"), so)
	}
	return fmt.Sprintf("%s at every render, %s. Give the chart the value instead of letting it make one: in the release's values, or in a "+
		"Secret that exists.", subject(names, "gives something else", "give something else"), so)
}

func unique(names []string) []string {
	slices.Sort(names)
	return slices.Compact(names)
}

// subject names functions, with the verb for one or for several.
func subject(names []string, one, several string) string {
	if len(names) == 1 {
		return "the function " + names[0] + " " + one
	}
	return "the functions " + strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1] + " " + several
}
