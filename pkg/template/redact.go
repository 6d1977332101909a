package template

import "regexp"

// The messages of text/template and of template functions that print a value: what a loop was given, and whatever a
// function quotes of its arguments.
var (
	iterated = regexp.MustCompile(`(?s)^(range can't iterate over|can't use) .*$`)
	quoted   = regexp.MustCompile("(?s)\"(?:[^\"\\\\]|\\\\.)*\"|`[^`]*`")
	calling  = regexp.MustCompile(`(?s)^(error calling [A-Za-z0-9_.]+: )(.*)$`)
	// What include, tpl and template say of a name that no template has (text/template, ExecuteTemplate and walkTemplate).
	nameless = regexp.MustCompile(`^(?:error calling (?:include|tpl): )?(?:template: )?(?:no )?template ("(?:[^"\\]|\\.)*") (?:associated with template .*|not defined)$`)
	// What eq says of lists and maps (text/template/funcs.go): it prints them.
	comparing = regexp.MustCompile(`(?s)^(error calling (?:eq|ne): )non-comparable types? .*$`)
	authored  = regexp.MustCompile(`^error calling (fail|required): `)
)

// Redact takes the values out of a message of text/template, since they may be secret: a diagnostic shows the place, and
// who may see the value knows where it is. What fail and required say is the author's own text and stays, and so does the
// name of a template that is not there.
func Redact(message string) string {
	if m := iterated.FindStringSubmatch(message); m != nil {
		if m[1] == "can't use" {
			return "the value is not of a type that can be used here"
		}
		return m[1] + " the value, which is neither a list nor a map"
	}
	if m := nameless.FindStringSubmatch(message); m != nil {
		return "there is no template " + m[1]
	}
	if m := comparing.FindStringSubmatch(message); m != nil {
		return m[1] + "lists and maps can't be compared: use deepEqual"
	}
	if authored.MatchString(message) {
		return calling.ReplaceAllString(message, "$2")
	}
	if m := calling.FindStringSubmatch(message); m != nil {
		return m[1] + quoted.ReplaceAllString(m[2], "(value)")
	}
	return message
}
