package render

import (
	"cmp"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	texttemplate "text/template"
	"time"

	"github.com/redkubes/otomi/pkg/manifest"
)

// clock is what the templates take for the time.
func (r *Renderer) clock() func() time.Time {
	if r.Clock == nil {
		return time.Now
	}
	return r.Clock
}

// A function is impure when its result is no function of its arguments: when it takes chance, the clock, the time zone of the
// machine, the cluster or the network. impure lists them (sprig 3.3, functions.go and what it names; Helm 3.22). Those that are
// so for some arguments alone are in clocked. What they give back may be computed: decryptAES, derivePassword, buildCustomCert,
// unixEpoch and dateModify are pure.
var impure = []string{
	"randAlphaNum", "randAlpha", "randAscii", "randNumeric", "randBytes", "randInt", "shuffle", "uuidv4",
	"genPrivateKey", "genCA", "genCAWithKey", "genSelfSignedCert", "genSelfSignedCertWithKey", "genSignedCert", "genSignedCertWithKey",
	"bcrypt", "htpasswd", "encryptAES", "lookup", "getHostByName",
	"toDate", "mustToDate", // in the time zone of the machine
}

// clocked are functions of time that note for themselves whether a call is impure.
var clocked = []string{
	"now", "ago", "date", "htmlDate", "dateInZone", "date_in_zone", "htmlDateInZone", "durationRound",
	"fromToml", // of a time without a zone
}

// unordered are functions whose result comes in Go's random order of maps from Helm's engine. Ours sorts it.
var unordered = []string{"keys", "values"}

// marked are the functions that a program must be able to find the place of: those above, and tpl, whose texts have none.
func marked() map[string]bool {
	m := map[string]bool{"tpl": true}
	for _, name := range slices.Concat(impure, clocked) {
		m[name] = true
	}
	for _, name := range unordered {
		m[name] = false
	}
	return m
}

// site is an action: the template it stands in, and the marked functions in it (template.TreeOptions, Marked).
type site struct {
	template, calls string
	// tpl says that a text given to tpl is carried out, and within are the marked functions in its own action.
	tpl    bool
	within string
}

// mark is told of each action that calls a marked function.
func (e *engine) mark(name, calls string) string {
	if name == textName {
		e.site.within = calls
		return ""
	}
	e.site = site{template: name, calls: calls}
	return ""
}

// note notes the call of a function. It returns nothing and can't fail, so that what it watches goes on as it would.
func (e *engine) note(function string, unordered bool) {
	if e.impure == nil {
		return
	}
	calls, named := e.site.calls, function
	if e.site.tpl {
		if unordered && siteLine(e.site.within, function) == 0 {
			return
		}
		named = "tpl"
	}
	line := siteLine(calls, named)
	if unordered && line == 0 {
		return
	}
	e.impure[manifest.ImpureCall{Function: function, Template: e.site.template, Line: line, Unordered: unordered}] = true
}

// siteLine is the line of a function in the list that a mark has; 0 where it is not there.
func siteLine(calls, function string) int {
	for call := range strings.FieldsSeq(calls) {
		if name, at, _ := strings.Cut(call, ":"); name == function {
			line, _ := strconv.Atoi(at)
			return line
		}
	}
	return 0
}

// noted returns what was noted, in order.
func (e *engine) noted() []manifest.ImpureCall {
	if len(e.impure) == 0 {
		return nil
	}
	return slices.SortedFunc(maps.Keys(e.impure), func(a, b manifest.ImpureCall) int {
		return cmp.Or(cmp.Compare(a.Template, b.Template), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Function, b.Function))
	})
}

// noting has f note the calls of its impure functions.
func (e *engine) noting(f texttemplate.FuncMap) {
	for _, name := range impure {
		f[name] = e.notes(name, f[name], false)
	}
	for _, name := range unordered {
		f[name] = e.notes(name, f[name], true)
	}
	now := func(name string) time.Time {
		e.note(name, false)
		return e.clock()
	}
	f["now"] = func() time.Time { return now("now") }
	f["ago"] = func(v any) string {
		t := now("ago")
		since := t
		switch v := v.(type) {
		case time.Time:
			since = v
		case int64:
			since = time.Unix(v, 0)
		case int:
			since = time.Unix(int64(v), 0)
		}
		return t.Sub(since).Round(time.Second).String()
	}
	inZone, _ := f["dateInZone"].(func(string, any, string) string)
	// shown is sprig's dateInZone, which takes anything that is no time for now.
	shown := func(name, format string, v any, zone string) string {
		switch v.(type) {
		case time.Time, *time.Time, int64, int, int32:
			// The other names are the same on all machines, since the program has the zones with it; these are files of one.
			if zone == "Local" || zone == "localtime" || zone == "posixrules" {
				e.note(name, false)
			}
		default:
			v = now(name)
		}
		return inZone(format, v, zone)
	}
	const day = "2006-01-02"
	f["date"] = func(format string, v any) string { return shown("date", format, v, "Local") }
	f["htmlDate"] = func(v any) string { return shown("htmlDate", day, v, "Local") }
	f["dateInZone"] = func(format string, v any, zone string) string { return shown("dateInZone", format, v, zone) }
	f["date_in_zone"] = func(format string, v any, zone string) string { return shown("date_in_zone", format, v, zone) }
	f["htmlDateInZone"] = func(v any, zone string) string { return shown("htmlDateInZone", day, v, zone) }
	fromToml, _ := f["fromToml"].(func(string) map[string]any)
	f["fromToml"] = func(text string) map[string]any {
		m := fromToml(text)
		if hasTime(m) {
			e.note("fromToml", false)
		}
		return m
	}
	round, _ := f["durationRound"].(func(any) string)
	f["durationRound"] = func(v any) string {
		if t, ok := v.(time.Time); ok {
			v = int64(now("durationRound").Sub(t))
		}
		return round(v)
	}
}

// hasTime reports whether TOML holds a time: one without a zone is read in that of the machine.
func hasTime(v any) bool {
	switch v := v.(type) {
	case time.Time:
		return true
	case map[string]any:
		for _, item := range v {
			if hasTime(item) {
				return true
			}
		}
	case []map[string]any:
		return slices.ContainsFunc(v, func(item map[string]any) bool { return hasTime(item) })
	case []any:
		return slices.ContainsFunc(v, hasTime)
	}
	return false
}

// notes is fn, whose calls are noted.
func (e *engine) notes(name string, fn any, unordered bool) any {
	v := reflect.ValueOf(fn)
	return reflect.MakeFunc(v.Type(), func(args []reflect.Value) []reflect.Value {
		e.note(name, unordered)
		if v.Type().IsVariadic() {
			return v.CallSlice(args)
		}
		return v.Call(args)
	}).Interface()
}
