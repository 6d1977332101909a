package template

import (
	"fmt"
	"math"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"text/template"

	"github.com/Masterminds/sprig/v3"
)

const (
	// callCost is what a call of a guarded function counts as, beside the size of its result: about a small map.
	callCost = 128
	// maxCompared bounds the length of lists that a function compares item by item with each other.
	maxCompared = 1 << 13
	// maxNumber bounds numbers that count, so that counting to them can't overflow.
	maxNumber = 1 << 40
)

// Functions returns sprig's functions and those that text/template itself prints with. Guard puts them under bounds.
func Functions() template.FuncMap {
	f := sprig.TxtFuncMap()
	f["print"], f["println"], f["printf"] = fmt.Sprint, fmt.Sprintln, fmt.Sprintf
	f["html"], f["js"], f["urlquery"] = template.HTMLEscaper, template.JSEscaper, template.URLQueryEscaper
	return f
}

// Guard puts those functions of f under the bounds that can make much of little, by their names. What they take and give
// stays the same, but that each may fail.
func (b *Bounds) Guard(f template.FuncMap) {
	for name, fn := range f {
		if check, ok := guards[name]; ok {
			f[name] = b.guarded(name, fn, check)
		}
	}
}

// guard returns about how many bytes a call makes, counted from its arguments; a variadic one's are all in a.
type guard func(a []reflect.Value) float64

// guards are the functions whose result can be much larger than what stands in the template, and those whose work is. They
// are those of sprig 3.3 and Helm 3.22.
var guards = map[string]guard{
	"repeat":    func(a []reflect.Value) float64 { return number(a[0]) * size(a[1]) },
	"indent":    func(a []reflect.Value) float64 { return number(a[0]) * lines(a[1]) },
	"nindent":   func(a []reflect.Value) float64 { return number(a[0]) * lines(a[1]) },
	"until":     func(a []reflect.Value) float64 { return counted(0, number(a[0]), 1) },
	"untilStep": func(a []reflect.Value) float64 { return counted(number(a[0]), number(a[1]), number(a[2])) },
	"seq":       sequence,

	"randAlphaNum": many, "randAlpha": many, "randAscii": many, "randNumeric": many, "randBytes": many,

	"join":                       joined,
	"replace":                    func(a []reflect.Value) float64 { return occurrences(a[2], a[0]) * size(a[1]) },
	"wrapWith":                   func(a []reflect.Value) float64 { return size(a[2]) * size(a[1]) },
	"regexReplaceAll":            func(a []reflect.Value) float64 { return matches(a[0], a[1], a[2]) },
	"mustRegexReplaceAll":        func(a []reflect.Value) float64 { return matches(a[0], a[1], a[2]) },
	"regexReplaceAllLiteral":     func(a []reflect.Value) float64 { return matches(a[0], a[1], a[2]) },
	"mustRegexReplaceAllLiteral": func(a []reflect.Value) float64 { return matches(a[0], a[1], a[2]) },
	"split":                      func(a []reflect.Value) float64 { return perItem * occurrences(a[1], a[0]) },
	"splitList":                  func(a []reflect.Value) float64 { return perItem * occurrences(a[1], a[0]) },
	"regexSplit":                 func(a []reflect.Value) float64 { return perItem * found(a[0], a[1]) },
	"mustRegexSplit":             func(a []reflect.Value) float64 { return perItem * found(a[0], a[1]) },
	"regexFindAll":               func(a []reflect.Value) float64 { return perItem * found(a[0], a[1]) },
	"mustRegexFindAll":           func(a []reflect.Value) float64 { return perItem * found(a[0], a[1]) },
	"printf":                     formatted,
	"fromYaml":                   parsed,
	"fromYamlArray":              parsed,
	"fromJson":                   parsed,
	"mustFromJson":               parsed,
	"fromJsonArray":              parsed,
	"fromToml":                   parsed,
	"uniq":                       compared,
	"mustUniq":                   compared,
	"without":                    compared,
	"mustWithout":                compared,

	// Made of their arguments, and counted by what they make.
	"concat": nothing, "append": nothing, "mustAppend": nothing, "push": nothing, "mustPush": nothing,
	"prepend": nothing, "mustPrepend": nothing, "list": nothing, "tuple": nothing, "dict": nothing,
	"set": nothing, "b64enc": nothing, "b32enc": nothing,
	"genPrivateKey": nothing, "genCA": nothing, "genCAWithKey": nothing, "genSelfSignedCert": nothing,
	"genSelfSignedCertWithKey": nothing, "genSignedCert": nothing, "genSignedCertWithKey": nothing,
	"derivePassword": nothing, "bcrypt": nothing, "htpasswd": nothing,

	// What they are given becomes text, or is copied.
	"print": weight, "println": weight, "html": weight, "js": weight, "urlquery": weight, "cat": weight,
	"quote": weight, "squote": weight, "toString": weight, "toStrings": weight, "sortAlpha": weight,
	"toYaml": weight, "toYamlPretty": weight, "toJson": weight, "mustToJson": weight, "toPrettyJson": weight,
	"mustToPrettyJson": weight, "toRawJson": weight, "mustToRawJson": weight, "toToml": weight,
	"deepCopy": weight, "mustDeepCopy": weight, "merge": weight, "mustMerge": weight, "mergeOverwrite": weight,
	"mustMergeOverwrite": weight,
}

// perItem is about what an item of a list of texts takes, in a map with its key.
const perItem = 64

// guarded is fn, which fails where its result would be or is over the bounds.
func (b *Bounds) guarded(name string, fn any, check guard) any {
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
		all := args
		if t.IsVariadic() {
			all = args[: len(args)-1 : len(args)-1]
			rest := args[len(args)-1]
			for i := range rest.Len() {
				all = append(all, rest.Index(i))
			}
		}
		estimate := check(all)
		if estimate > float64(b.limit) {
			return refused(overBudget{name + " was asked for too much. Give it a smaller number, or less to work on."})
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
		made := shallow(out[0])
		if made > b.limit {
			return refused(overBudget{name + " made too much. Look for a loop that makes its text or list larger and larger."})
		}
		if err := b.make(callCost + max(made, int(estimate))); err != nil {
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
	if weight([]reflect.Value{v}) > float64(b.limit) {
		return v, overBudget{"a value is too large to be printed, or holds itself. Print a part of it."}
	}
	return v, nil
}

func nothing([]reflect.Value) float64 { return 0 }

// parsed is for a text that becomes a tree.
func parsed(a []reflect.Value) float64 { return 8 * size(a[0]) }

func many(a []reflect.Value) float64 {
	if number(a[0]) > maxItems {
		return math.Inf(1)
	}
	return 0
}

// number is what sprig makes a count of: an integer.
func number(v reflect.Value) float64 {
	for v.Kind() == reflect.Interface {
		v = v.Elem()
	}
	if !v.IsValid() || !v.CanInt() {
		return 0
	}
	return float64(v.Int())
}

func text(v reflect.Value) string {
	for v.Kind() == reflect.Interface {
		v = v.Elem()
	}
	if v.Kind() != reflect.String {
		return ""
	}
	return v.String()
}

func size(v reflect.Value) float64 { return float64(len(text(v))) }

func lines(v reflect.Value) float64 { return float64(strings.Count(text(v), "\n") + 1) }

func occurrences(in, of reflect.Value) float64 { return float64(strings.Count(text(in), text(of)) + 1) }

// counted is for a list of the numbers from start to stop.
func counted(start, stop, by float64) float64 {
	if math.Max(math.Abs(by), math.Max(math.Abs(start), math.Abs(stop))) > maxNumber || by != 0 && (stop-start)/by > maxItems {
		return math.Inf(1)
	}
	return 0
}

// sequence is for sprig's seq: END, START END, or START STEP END.
func sequence(a []reflect.Value) float64 {
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
func joined(a []reflect.Value) float64 {
	list := a[1]
	for list.Kind() == reflect.Interface {
		list = list.Elem()
	}
	n := 1.0
	if list.Kind() == reflect.Slice || list.Kind() == reflect.Array {
		n = float64(list.Len())
	}
	return n*size(a[0]) + weight(a[1:])
}

func found(pattern, in reflect.Value) float64 {
	re, err := regexp.Compile(text(pattern))
	if err != nil {
		return 0
	}
	return float64(len(re.FindAllStringIndex(text(in), -1)))
}

// matches is for a replacement, in which each $ may stand for a whole match.
func matches(pattern, in, by reflect.Value) float64 {
	return found(pattern, in)*size(by) + size(in)*float64(strings.Count(text(by), "$"))
}

var digits = regexp.MustCompile(`[0-9]+`)

// formatted is for printf: a verb may print any argument, and pads it to its width and precision, each at most a million
// (fmt).
func formatted(a []reflect.Value) float64 {
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
	for _, width := range digits.FindAllString(format, -1) {
		if n, err := strconv.ParseFloat(width, 64); err == nil && n <= widest {
			total += n
		}
	}
	return total
}

// compared is for lists whose items are compared with each other.
func compared(a []reflect.Value) float64 {
	list := a[0]
	for list.Kind() == reflect.Interface {
		list = list.Elem()
	}
	if (list.Kind() == reflect.Slice || list.Kind() == reflect.Array) && list.Len() > maxCompared {
		return math.Inf(1)
	}
	return 0
}

// weight is about the length of the values as text: a value that stands at several places counts at each, and one that holds
// itself is infinite.
func weight(a []reflect.Value) float64 {
	total := 0
	for _, v := range a {
		if !weigh(v, &total, 0) {
			return math.Inf(1)
		}
	}
	return float64(total)
}

const (
	// heaviest is where weighing ends.
	heaviest = 128 << 20
	// deepest is the depth that nothing but a value which holds itself has: the readers of YAML and JSON end before.
	deepest = 10_000
)

func weigh(v reflect.Value, total *int, depth int) bool {
	if depth > deepest || *total > heaviest {
		return false
	}
	*total += 4
	switch v.Kind() {
	case reflect.Interface, reflect.Pointer:
		return v.IsNil() || weigh(v.Elem(), total, depth+1)
	case reflect.String:
		*total += v.Len()
	case reflect.Slice, reflect.Array:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			*total += 4 * v.Len()
			return true
		}
		for i := range v.Len() {
			if !weigh(v.Index(i), total, depth+1) {
				return false
			}
		}
	case reflect.Map:
		for items := v.MapRange(); items.Next(); {
			if !weigh(items.Key(), total, depth+1) || !weigh(items.Value(), total, depth+1) {
				return false
			}
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if !weigh(v.Field(i), total, depth+1) {
				return false
			}
		}
	default:
		*total += 8
	}
	return true
}
