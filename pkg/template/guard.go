package template

import (
	"fmt"
	"math"
	"reflect"
	"regexp"
	"strings"
	"text/template"

	"github.com/Masterminds/sprig/v3"
)

const (
	// callCost is what a call of a guarded function counts as, beside the size of its result: about a small map.
	callCost = 128
	// maxCompared bounds the length of lists that a function compares item by item with each other.
	maxCompared = 1 << 12
	// maxSearch bounds the steps of a search, each for one character of the text and one of the pattern; they take seconds.
	maxSearch = 1 << 27
	// maxNumber bounds numbers that count, so that counting to them can't overflow.
	maxNumber = 1 << 40
)

// Functions returns sprig's functions and those that text/template itself prints with; keys and values come in order, where
// sprig's take Go's random order of maps, and integers count as Helm's own build has them (countsTexts). Guard puts them under bounds.
func Functions() template.FuncMap {
	f := sprig.TxtFuncMap()
	f["keys"], f["values"] = keys, values
	countsTexts(f)
	f["print"], f["println"], f["printf"] = fmt.Sprint, fmt.Sprintln, fmt.Sprintf
	f["html"], f["js"], f["urlquery"] = template.HTMLEscaper, template.JSEscaper, template.URLQueryEscaper
	return f
}

// silent are the functions that take any value and neither print it, in no error either, nor walk it. Any other one that
// takes any value is guarded, so that one which an upgrade of sprig brings is so too.
var silent = map[string]bool{
	"ago": true, "date": true, "dateInZone": true, "date_in_zone": true, "htmlDate": true, "htmlDateInZone": true, "dateModify": true,
	"duration": true, "durationRound": true, "default": true, "empty": true, "coalesce": true, "all": true, "any": true, "ternary": true,
	"dig": true, "first": true, "mustFirst": true, "rest": true, "mustRest": true, "last": true, "mustLast": true, "initial": true,
	"mustInitial": true, "get": true, "hasKey": true, "kindIs": true, "kindOf": true, "typeIs": true, "typeIsLike": true, "typeOf": true,
	"omit": true, "pick": true, "unset": true, "lookup": true, "required": true, "include": true, "tpl": true,
}

// takesAny reports whether a function takes values of any type, or lists or maps of them.
func takesAny(fn any) bool {
	t := reflect.TypeOf(fn)
	for i := range t.NumIn() {
		in := t.In(i)
		for in.Kind() == reflect.Slice || in.Kind() == reflect.Map {
			in = in.Elem()
		}
		if in.Kind() == reflect.Interface {
			return true
		}
	}
	return false
}

// Guard puts those functions of f under the bounds that can make much of little, by their names. What they take and give
// stays the same, but that each may fail.
func (b *Bounds) Guard(f template.FuncMap) {
	for name, fn := range f {
		if check, ok := guards[name]; ok {
			f[name] = b.guarded(name, fn, check)
		} else if takesAny(fn) && !silent[name] {
			f[name] = b.shown(name, fn)
		}
	}
	f["eq"] = func(a reflect.Value, others ...reflect.Value) (bool, error) { return b.equal("eq", a, others) }
	f["ne"] = func(a, other reflect.Value) (bool, error) {
		equal, err := b.equal("ne", a, []reflect.Value{other})
		return !equal, err
	}
}

// maxShown bounds, in bytes, what is given to functions that take a value for something small: spf13/cast prints one that is
// none, in several times the bytes that it weighs.
const maxShown = 8 << 20

// showable is for functions that may print what they are given, in an error that nobody sees.
func showable(a []any) float64 {
	for _, v := range a {
		switch v.(type) {
		case nil, string, bool, int, int64, float64:
			continue
		}
		if weight([]any{v}) > maxShown {
			return math.Inf(1)
		}
	}
	return 0
}

// shown is fn, which refuses a value that is too large to be printed. A call that is not refused counts as nothing where it
// gives a number. The forms of the functions of arithmetic are spelled out for their speed.
func (b *Bounds) shown(name string, fn any) any {
	switch fn := fn.(type) {
	case func(any) int:
		return one(b, name, fn)
	case func(any) int64:
		return one(b, name, fn)
	case func(any) float64:
		return one(b, name, fn)
	case func(any, any) int64:
		return func(x, y any) (int64, error) {
			if _, err := b.before(name, showable, x, y); err != nil {
				return 0, err
			}
			return fn(x, y), nil
		}
	case func(any, any) bool:
		return func(x, y any) (bool, error) {
			if _, err := b.before(name, showable, x, y); err != nil {
				return false, err
			}
			return fn(x, y), nil
		}
	case func(...any) int64:
		return variadic(b, name, fn)
	case func(...any) float64:
		return variadic(b, name, fn)
	case func(any, ...any) int64:
		return oneAndAll(b, name, fn)
	case func(any, ...any) float64:
		return oneAndAll(b, name, fn)
	}
	return b.reflected(name, fn, showable)
}

func one[T any](b *Bounds, name string, fn func(any) T) any {
	return func(v any) (out T, err error) {
		if _, err := b.before(name, showable, v); err != nil {
			return out, err
		}
		return fn(v), nil
	}
}

func variadic[T any](b *Bounds, name string, fn func(...any) T) any {
	return func(v ...any) (out T, err error) {
		if _, err := b.before(name, showable, v...); err != nil {
			return out, err
		}
		return fn(v...), nil
	}
}

func oneAndAll[T any](b *Bounds, name string, fn func(any, ...any) T) any {
	return func(v any, more ...any) (out T, err error) {
		if _, err := b.before(name, showable, v); err != nil {
			return out, err
		}
		if _, err := b.before(name, showable, more...); err != nil {
			return out, err
		}
		return fn(v, more...), nil
	}
}

// guard returns about how many bytes a call makes, counted from its arguments; a variadic one's are all in a.
type guard func(a []any) float64

// guards are the functions whose result can be much larger than what stands in the template, and those whose work is. They
// are those of sprig 3.3 and Helm 3.22.
var guards = map[string]guard{
	"repeat":    func(a []any) float64 { return number(a[0]) * size(a[1]) },
	"indent":    func(a []any) float64 { return number(a[0]) * lines(a[1]) },
	"nindent":   func(a []any) float64 { return number(a[0]) * lines(a[1]) },
	"until":     func(a []any) float64 { return counted(0, number(a[0]), 1) },
	"untilStep": func(a []any) float64 { return counted(number(a[0]), number(a[1]), number(a[2])) },
	"seq":       sequence,

	"randAlphaNum": many, "randAlpha": many, "randAscii": many, "randNumeric": many, "randBytes": many,

	"join":                       joined,
	"replace":                    func(a []any) float64 { return occurrences(a[2], a[0]) * size(a[1]) },
	"wrapWith":                   func(a []any) float64 { return size(a[2]) * size(a[1]) },
	"regexReplaceAll":            func(a []any) float64 { return matches(a[0], a[1], a[2]) },
	"mustRegexReplaceAll":        func(a []any) float64 { return matches(a[0], a[1], a[2]) },
	"regexReplaceAllLiteral":     func(a []any) float64 { return matches(a[0], a[1], a[2]) },
	"mustRegexReplaceAllLiteral": func(a []any) float64 { return matches(a[0], a[1], a[2]) },
	"split":                      func(a []any) float64 { return perItem * occurrences(a[1], a[0]) },
	"splitList":                  func(a []any) float64 { return perItem * occurrences(a[1], a[0]) },
	"regexSplit":                 func(a []any) float64 { return perItem * found(a[0], a[1]) },
	"mustRegexSplit":             func(a []any) float64 { return perItem * found(a[0], a[1]) },
	"regexFindAll":               func(a []any) float64 { return perItem * found(a[0], a[1]) },
	"mustRegexFindAll":           func(a []any) float64 { return perItem * found(a[0], a[1]) },
	"printf":                     formatted,
	"regexMatch":                 nothing,
	"mustRegexMatch":             nothing,
	"regexFind":                  nothing,
	"mustRegexFind":              nothing,
	"regexQuoteMeta":             func(a []any) float64 { return 2 * size(a[0]) },
	"splitn":                     func(a []any) float64 { return perItem * math.Min(number(a[1]), occurrences(a[2], a[0])) },
	"trimAll":                    trimmed,
	"trimall":                    trimmed,
	"fromYaml":                   parsedYAML,
	"fromYamlArray":              parsedYAML,
	"fromJson":                   parsedJSON,
	"mustFromJson":               parsedJSON,
	"fromJsonArray":              parsedJSON,
	"fromToml":                   parsedTOML,
	"uniq":                       compared,
	"mustUniq":                   compared,
	"without":                    compared,
	"mustWithout":                compared,
	"semverCompare":              ranges,

	// Made of their arguments, and counted by what they make.
	"append": kept, "mustAppend": kept, "push": kept, "mustPush": kept, "prepend": kept, "mustPrepend": kept, "list": kept,
	"tuple": kept, "dict": keyed, "set": kept, "setValueAtPath": kept,
	"concat": nothing, "keys": nothing, "values": nothing, "reverse": nothing, "mustReverse": nothing, "compact": nothing,
	"mustCompact": nothing, "chunk": nothing, "mustChunk": nothing, "pluck": nothing, "urlJoin": nothing, "b64enc": nothing, "b32enc": nothing,
	"upper": nothing, "lower": nothing, "title": nothing, "untitle": nothing, "nospace": nothing, "swapcase": nothing,
	"camelcase": nothing, "snakecase": nothing, "kebabcase": nothing, "b64dec": nothing, "b32dec": nothing, "initials": nothing,
	"wrap": nothing, "shuffle": nothing, "encryptAES": nothing, "decryptAES": nothing,
	"genPrivateKey": nothing, "genCA": nothing, "genCAWithKey": nothing, "genSelfSignedCert": showable,
	"genSelfSignedCertWithKey": showable, "genSignedCert": showable, "genSignedCertWithKey": showable,
	"derivePassword": nothing, "bcrypt": nothing, "htpasswd": nothing,
	"readFile": nothing, "exec": nothing, "envExec": nothing, "fetchSecretValue": nothing,

	// What they are given becomes text, or is copied.
	"print": weight, "println": weight, "html": escaped, "js": escaped, "urlquery": escaped, "cat": weight,
	"quote": escaped, "squote": weight, "toString": weight, "toStrings": weight, "sortAlpha": weight,
	"toYaml": indented, "toYamlPretty": indented, "toJson": escaped, "mustToJson": escaped, "toPrettyJson": indented,
	"mustToPrettyJson": indented, "toRawJson": escaped, "mustToRawJson": escaped, "toToml": indented,
	"deepCopy": weight, "mustDeepCopy": weight, "merge": weight, "mustMerge": weight, "mergeOverwrite": weight,
	"mustMergeOverwrite": weight, "expandSecretRefs": weight,
}

// perItem is about what an item of a list of texts takes, in a map with its key.
const perItem = 64

// guarded is fn, which fails where its result would be or is over the bounds. The forms of the functions that charts call
// most are spelled out: reflection takes ten times as long.
func (b *Bounds) guarded(name string, fn any, check guard) any {
	switch fn := fn.(type) {
	case func(string) string:
		return func(s string) (string, error) {
			estimate, err := b.before(name, check, s)
			if err != nil {
				return "", err
			}
			return b.text(name, fn(s), estimate)
		}
	case func(any) string:
		return func(v any) (string, error) {
			estimate, err := b.before(name, check, v)
			if err != nil {
				return "", err
			}
			return b.text(name, fn(v), estimate)
		}
	case func(...any) string:
		return func(v ...any) (string, error) {
			estimate, err := b.before(name, check, v...)
			if err != nil {
				return "", err
			}
			return b.text(name, fn(v...), estimate)
		}
	case func(string, ...any) string:
		return func(s string, v ...any) (string, error) {
			estimate, err := b.before(name, check, append([]any{s}, v...)...)
			if err != nil {
				return "", err
			}
			return b.text(name, fn(s, v...), estimate)
		}
	case func(string, any) string:
		return func(s string, v any) (string, error) {
			estimate, err := b.before(name, check, s, v)
			if err != nil {
				return "", err
			}
			return b.text(name, fn(s, v), estimate)
		}
	case func(int, string) string:
		return func(n int, s string) (string, error) {
			estimate, err := b.before(name, check, n, s)
			if err != nil {
				return "", err
			}
			return b.text(name, fn(n, s), estimate)
		}
	case func(string, string, string) string:
		return func(x, y, z string) (string, error) {
			estimate, err := b.before(name, check, x, y, z)
			if err != nil {
				return "", err
			}
			return b.text(name, fn(x, y, z), estimate)
		}
	case func(string) map[string]any:
		return func(s string) (map[string]any, error) {
			estimate, err := b.before(name, check, s)
			if err != nil {
				return nil, err
			}
			return fn(s), b.after(name, 0, estimate)
		}
	case func(...any) map[string]any:
		return func(v ...any) (map[string]any, error) {
			estimate, err := b.before(name, check, v...)
			if err != nil {
				return nil, err
			}
			return fn(v...), b.after(name, 0, estimate)
		}
	case func(...any) []any:
		return func(v ...any) ([]any, error) {
			estimate, err := b.before(name, check, v...)
			if err != nil {
				return nil, err
			}
			out := fn(v...)
			return out, b.after(name, itemSize*len(out), estimate)
		}
	case func(map[string]any, string, any) map[string]any:
		return func(m map[string]any, s string, v any) (map[string]any, error) {
			estimate, err := b.before(name, check, m, s, v)
			if err != nil {
				return nil, err
			}
			return fn(m, s, v), b.after(name, 0, estimate)
		}
	case func(map[string]any, ...map[string]any) any:
		return func(m map[string]any, more ...map[string]any) (any, error) {
			args := make([]any, 0, 8)
			args = append(args, m)
			for _, m := range more {
				args = append(args, m)
			}
			estimate, err := b.before(name, check, args...)
			if err != nil {
				return nil, err
			}
			out := fn(m, more...)
			return out, b.after(name, shallow(reflect.ValueOf(out)), estimate)
		}
	}
	return b.reflected(name, fn, check)
}

// itemSize is the size of an item of a []any, in bytes.
const itemSize = 16

// before refuses a call that would make too much.
func (b *Bounds) before(name string, check guard, args ...any) (float64, error) {
	if strings.Contains(name, "egex") && name != "regexQuoteMeta" {
		if err := b.search(name, text(args[0]), text(args[1])); err != nil {
			return 0, err
		}
	}
	b.look(name, args)
	estimate := check(args)
	if estimate > float64(b.limit) {
		return 0, overBudget{name + " was asked for too much. Give it a smaller number, or less to work on."}
	}
	return estimate, nil
}

// search refuses a search that would take minutes. Go's takes a time that is linear in the text, and in the pattern with its
// repetitions written out; one for all matches may do so for each of them, and is tried here first, since it can't be stopped.
func (b *Bounds) search(name, pattern, in string) error {
	tooMuch := overBudget{name + " was asked for too much. Give it a shorter text, or a simpler pattern."}
	length := len(pattern)
	repeated := 1
	for i, c := range pattern {
		if c != '{' {
			continue
		}
		n := 0
		for _, d := range pattern[i+1:] {
			if d == ',' || d == '}' {
				repeated = min(repeated*max(n, 1), 1000) // Go refuses more
				if n = 0; d == '}' {
					break
				}
				continue
			}
			if d < '0' || d > '9' || n > 1000 {
				break
			}
			n = 10*n + int(d-'0')
		}
	}
	if float64(length)*float64(repeated)*float64(len(in)) > maxSearch {
		return tooMuch
	}
	if len(in)*len(in) <= maxSearch || strings.HasSuffix(name, "Match") || strings.HasSuffix(name, "Find") {
		return nil
	}
	re, err := regexp.Compile(pattern)
	if err != nil {
		return nil // the function says so
	}
	for rest := in; rest != ""; {
		if err := b.step(); err != nil {
			return err
		}
		at := re.FindStringIndex(rest)
		if at == nil {
			return nil
		}
		rest = rest[max(at[1], 1):]
	}
	return nil
}

// after counts what a call made, and refuses it where it is too much.
func (b *Bounds) after(name string, made int, estimate float64) error {
	if made > b.limit {
		return overBudget{name + " made too much. Look for a loop that makes its text or list larger and larger."}
	}
	return b.make(callCost + max(made, int(estimate)))
}

func (b *Bounds) text(name, s string, estimate float64) (string, error) {
	if err := b.after(name, len(s), estimate); err != nil {
		return "", err
	}
	return s, nil
}

// printing are the functions that print what they are given as fmt does. Where a pointer is in a list, a map or a struct, fmt
// prints the address that it is.
var printing = map[string]bool{
	"print": true, "println": true, "printf": true, "html": true, "js": true, "urlquery": true, "cat": true, "quote": true, "squote": true,
	"toString": true, "toStrings": true, "sortAlpha": true, "join": true, "dict": true,
}

// pointerVerb prints the address of any value.
var pointerVerb = regexp.MustCompile(`%[^a-zA-Z%]*p`)

// look tells of a call that prints the address of something.
func (b *Bounds) look(name string, args []any) {
	if b.Addressed == nil || !printing[name] {
		return
	}
	for i, v := range args {
		switch v := v.(type) {
		case nil, bool, int, int64, float64:
			continue
		case string:
			if i == 0 && name == "printf" && strings.Contains(v, "p") && pointerVerb.MatchString(v) {
				b.addressed(name)
				return
			}
			continue
		}
		if s := (scale{most: heaviest}); s.plain(v, 0) && s.address {
			b.addressed(name)
			return
		}
	}
}

func (b *Bounds) addressed(name string) {
	if b.Addressed != nil {
		b.Addressed(name)
	}
}

// reflected is guarded for a function of any form.
func (b *Bounds) reflected(name string, fn any, check guard) any {
	v := reflect.ValueOf(fn)
	t := v.Type()
	in := make([]reflect.Type, t.NumIn())
	for i := range in {
		in[i] = t.In(i)
	}
	failure := reflect.TypeFor[error]()
	refused := func(err error) []reflect.Value {
		return []reflect.Value{reflect.Zero(t.Out(0)), reflect.ValueOf(&err).Elem()}
	}
	none := reflect.Zero(failure)
	return reflect.MakeFunc(reflect.FuncOf(in, []reflect.Type{t.Out(0), failure}, t.IsVariadic()), func(args []reflect.Value) []reflect.Value {
		all := make([]any, 0, len(args))
		for i, arg := range args {
			if i < len(args)-1 || !t.IsVariadic() {
				all = append(all, arg.Interface())
				continue
			}
			for k := range arg.Len() {
				all = append(all, arg.Index(k).Interface())
			}
		}
		estimate, err := b.before(name, check, all...)
		if err != nil {
			return refused(err)
		}
		var out []reflect.Value
		if t.IsVariadic() {
			out = v.CallSlice(args)
		} else {
			out = v.Call(args)
		}
		if len(out) == 1 {
			out = append(out, none)
		}
		if err := b.after(name, shallow(out[0]), estimate); err != nil {
			return refused(err)
		}
		return out
	}).Interface()
}

// shallow is the size of a text, or of a list without its items. A map is given back by functions that only change it.
func shallow(v reflect.Value) int {
	for v.Kind() == reflect.Interface {
		v = v.Elem()
	}
	switch v.Kind() {
	case reflect.String:
		return v.Len()
	case reflect.Slice:
		return v.Len() * int(v.Type().Elem().Size())
	}
	return 0
}

// printable passes on what an action prints.
func (b *Bounds) printable(v reflect.Value) (reflect.Value, error) {
	s := scale{most: heaviest}
	if !s.weigh(v, 0) || s.total > b.limit {
		return v, overBudget{"a value is too large to be printed, or holds itself. Print a part of it."}
	}
	if s.address {
		b.addressed("print")
	}
	return v, nil
}

func nothing([]any) float64 { return 0 }

// kept is for what keeps its arguments: texts that functions without a guard made are counted here.
func kept(a []any) float64 {
	total := 0.0
	for _, v := range a {
		total += size(v)
	}
	return total
}

// trimmed is for a text that is compared with a set of characters, one with the other.
func trimmed(a []any) float64 {
	if size(a[0])*size(a[1]) > 8*maxSearch {
		return math.Inf(1)
	}
	return 0
}

// keyed is for dict, which prints what is given to it as a key.
func keyed(a []any) float64 {
	total := kept(a)
	for i := 0; i < len(a); i += 2 {
		if _, ok := a[i].(string); !ok {
			total += weight(a[i : i+1])
		}
	}
	return total
}

// ranges is for a condition on versions, each part of which becomes a regular expression's match.
func ranges(a []any) float64 { return 128 * size(a[0]) }

// parsedYAML and parsedJSON are for a text that becomes a tree: what its nodes take, each of which begins at one of a few
// characters, and their texts.
func parsedYAML(a []any) float64 { return 8*size(a[0]) + 96*float64(nodes(text(a[0]))) }
func parsedJSON(a []any) float64 { return 8*size(a[0]) + 64*float64(nodes(text(a[0]))) }

func nodes(text string) int {
	n := 1
	for i := range len(text) {
		switch text[i] {
		case ',', ':', '[', '{', '\n', '-', '?', '&':
			n++
		}
	}
	return n
}

// parsedTOML is for a text whose reader (BurntSushi/toml) calls itself for each bracket, and keeps for each key the names of
// all tables that it is in.
func parsedTOML(a []any) float64 {
	const perBracket, perTable, perName = 4 << 10, 400, 16
	in := text(a[0])
	total := 8 * size(a[0])
	deepest := 0
	for line := range strings.Lines(in) {
		dots := strings.Count(line, ".")
		deepest = max(deepest, dots)
		total += perTable*float64(dots) + perName*float64(dots)*float64(dots)
	}
	braces := strings.Count(in, "{")
	total += perBracket * float64(strings.Count(in, "[")+braces)
	return total + perName*float64(strings.Count(in, "="))*float64(deepest+braces+1)
}

func many(a []any) float64 {
	if number(a[0]) > maxItems {
		return math.Inf(1)
	}
	return 0
}

// number is what sprig makes a count of: an integer.
func number(v any) float64 {
	switch v := v.(type) {
	case int:
		return float64(v)
	case nil:
		return 0
	}
	rv := reflect.ValueOf(v)
	if !rv.CanInt() {
		return 0
	}
	return float64(rv.Int())
}

func text(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	if rv := reflect.ValueOf(v); rv.Kind() == reflect.String {
		return rv.String()
	}
	return ""
}

func size(v any) float64 { return float64(len(text(v))) }

func lines(v any) float64 { return float64(strings.Count(text(v), "\n") + 1) }

func occurrences(in, of any) float64 { return float64(strings.Count(text(in), text(of)) + 1) }

// counted is for a list of the numbers from start to stop.
func counted(start, stop, by float64) float64 {
	if math.Max(math.Abs(by), math.Max(math.Abs(start), math.Abs(stop))) > maxNumber || by != 0 && (stop-start)/by > maxItems {
		return math.Inf(1)
	}
	return 0
}

// sequence is for sprig's seq: END, START END, or START STEP END.
func sequence(a []any) float64 {
	switch len(a) {
	case 1:
		return counted(1, math.Abs(number(a[0])), 1)
	case 2:
		start, end := number(a[0]), number(a[1])
		return counted(start, end, math.Copysign(1, end-start))
	case 3:
		return counted(number(a[0]), number(a[2]), number(a[1]))
	}
	return 0
}

// joined is for a list of anything, and what stands between its items.
func joined(a []any) float64 {
	return float64(max(length(a[1]), 1))*size(a[0]) + weight(a[1:])
}

// length is that of a list; anything else has -1.
func length(v any) int {
	switch v := v.(type) {
	case []any:
		return len(v)
	case []string:
		return len(v)
	case nil:
		return -1
	}
	if rv := reflect.ValueOf(v); rv.Kind() == reflect.Slice || rv.Kind() == reflect.Array {
		return rv.Len()
	}
	return -1
}

func found(pattern, in any) float64 {
	re, err := regexp.Compile(text(pattern))
	if err != nil {
		return 0
	}
	return float64(len(re.FindAllStringIndex(text(in), -1)))
}

// matches is for a replacement, in which each $ may stand for a whole match.
func matches(pattern, in, by any) float64 {
	return found(pattern, in)*size(by) + size(in)*float64(strings.Count(text(by), "$"))
}

// formatted is for printf: a verb may print any argument, and pads it to its width and precision, each at most a million
// (fmt).
func formatted(a []any) float64 {
	const widest = 1e6
	format := text(a[0])
	args := weight(a[1:])
	total := size(a[0]) + args
	if strings.Contains(format, "[") {
		total += args * float64(strings.Count(format, "["))
	}
	total += widest * float64(strings.Count(format, "*"))
	if !strings.Contains(format, "%") {
		return total
	}
	for i, n := 0, 0.0; i <= len(format); i++ {
		if i < len(format) && '0' <= format[i] && format[i] <= '9' {
			n = 10*n + float64(format[i]-'0')
			continue
		}
		if n <= widest {
			total += n
		}
		n = 0
	}
	return total
}

// compared is for lists whose items are compared with each other, or with the arguments behind.
func compared(a []any) float64 {
	const most = 1 << 30
	n := length(a[0])
	against := a[:1]
	if len(a) > 1 {
		against = a[1:]
	}
	if n > maxCompared && len(a) == 1 || weight(a) > heaviest || float64(max(n, 0))*weight(against) > most {
		return math.Inf(1)
	}
	return 0
}

// weight is about the length of the values as text: a value that stands at several places counts at each, and one that holds
// itself is infinite.
func weight(a []any) float64 { return (&scale{most: heaviest}).all(a) }

// escaped is weight where characters may be written as several.
func escaped(a []any) float64 { return (&scale{most: heaviest, escapes: true}).all(a) }

// indented is escaped where each line begins with what indents it.
func indented(a []any) float64 { return (&scale{most: heaviest, escapes: true, indents: true}).all(a) }

const (
	// heaviest is where weighing ends.
	heaviest = 128 << 20
	// deepest is the depth that nothing but a value which holds itself has: the readers of YAML and JSON end before.
	deepest = 10_000
	// perEscape is the most that a byte becomes beside itself: < is \u003c in JSON.
	perEscape = 5
)

// scale weighs values.
type scale struct {
	total, most int
	// escapes counts what escaping adds, and indents what indentation does.
	escapes, indents bool
	// address says that the address of something is printed where the value is.
	address bool
}

func (s *scale) all(a []any) float64 {
	for _, v := range a {
		if !s.plain(v, 0) {
			return math.Inf(1)
		}
	}
	return float64(s.total)
}

func (s *scale) text(v string, depth int) {
	s.total += len(v)
	if !s.escapes {
		return
	}
	escapes, lines := 0, 0
	for i := range len(v) {
		switch c := v[i]; {
		case c == '\n':
			lines++
			escapes++
		case c < ' ' || c >= 0x7f || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' || c == '\'' || c == '=':
			escapes++
		}
	}
	s.total += perEscape * escapes
	if s.indents {
		s.total += 2 * depth * lines
	}
}

// item counts what stands before an item at a depth.
func (s *scale) item(depth int) {
	if s.indents {
		s.total += 2 * depth
	}
}

// plain is weigh for what the readers of YAML and JSON give.
func (s *scale) plain(v any, depth int) bool {
	if depth > deepest || s.total > s.most {
		return false
	}
	switch v := v.(type) {
	case nil:
		s.total += 8
	case string:
		s.total += 8
		s.text(v, depth)
	case bool, float64, int64, int:
		s.total += 16
	case map[string]any:
		s.total += 8
		for k, item := range v {
			s.total += 4
			s.item(depth)
			s.text(k, depth)
			if !s.plain(item, depth+1) {
				return false
			}
		}
	case []any:
		s.total += 8
		for _, item := range v {
			s.item(depth)
			if !s.plain(item, depth+1) {
				return false
			}
		}
	default:
		return s.weigh(reflect.ValueOf(v), depth)
	}
	return true
}

var plainMap, plainList = reflect.TypeFor[map[string]any](), reflect.TypeFor[[]any]()

func (s *scale) weigh(v reflect.Value, depth int) bool {
	if depth > deepest || s.total > s.most {
		return false
	}
	s.total += 4
	switch v.Kind() {
	case reflect.Map, reflect.Slice:
		if (v.Type() == plainMap || v.Type() == plainList) && v.CanInterface() {
			return s.plain(v.Interface(), depth)
		}
	case reflect.Struct, reflect.Pointer:
		if v.CanInterface() && says(v.Interface()) {
			// fmt prints what it says of itself, and nothing that it holds.
			address := s.address
			defer func() { s.address = address }()
		}
	}
	switch v.Kind() {
	case reflect.Interface:
		return v.IsNil() || s.weigh(v.Elem(), depth)
	case reflect.Pointer:
		if !v.IsNil() && depth > 0 {
			s.address = true
		}
		return v.IsNil() || s.weigh(v.Elem(), depth+1)
	case reflect.String:
		s.text(v.String(), depth)
	case reflect.Slice, reflect.Array:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			s.total += 4 * v.Len()
			return true
		}
		for i := range v.Len() {
			s.item(depth)
			if !s.weigh(v.Index(i), depth+1) {
				return false
			}
		}
	case reflect.Map:
		for items := v.MapRange(); items.Next(); {
			s.item(depth)
			if !s.weigh(items.Key(), depth+1) || !s.weigh(items.Value(), depth+1) {
				return false
			}
		}
	case reflect.Struct:
		for i := range v.NumField() {
			s.item(depth)
			if !s.weigh(v.Field(i), depth+1) {
				return false
			}
		}
	default:
		s.total += 8
	}
	return true
}

// says reports whether fmt prints a value as the text that it gives of itself.
func says(v any) bool {
	switch v.(type) {
	case fmt.Formatter, fmt.Stringer, error:
		return true
	}
	return false
}
