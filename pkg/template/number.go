package template

import (
	"reflect"
	"strconv"
	"text/template"
)

// counting are sprig's functions that take texts for integers.
var counting = []string{"int", "int64", "add", "add1", "sub", "mul", "div", "mod", "max", "biggest", "min"}

// counted as Helm 3.22 and helmfile 1.7 do: both are built with spf13/cast 1.7.0, for which "1.5" is no integer and becomes 0.
// Later ones, which this module needs for viper, take 1. countsTexts puts the older reading back.
func countsTexts(f template.FuncMap) {
	for _, name := range counting {
		switch fn := f[name].(type) {
		case func(any) int:
			f[name] = func(v any) int { return fn(integer(v)) }
		case func(any) int64:
			f[name] = func(v any) int64 { return fn(integer(v)) }
		case func(any, any) int64:
			f[name] = func(x, y any) int64 { return fn(integer(x), integer(y)) }
		case func(...any) int64:
			f[name] = func(v ...any) int64 { return fn(integers(v)...) }
		case func(any, ...any) int64:
			f[name] = func(v any, more ...any) int64 { return fn(integer(v), integers(more)...) }
		default:
			panic("template: " + name + " has another form: " + reflect.TypeOf(fn).String())
		}
	}
}

func integers(l []any) []any {
	for i, v := range l {
		if _, ok := v.(string); !ok {
			continue
		}
		out := make([]any, len(l))
		copy(out, l)
		for k := i; k < len(l); k++ {
			out[k] = integer(l[k])
		}
		return out
	}
	return l
}

// integer is the number that cast 1.7.0 makes of a text (caste.go, ToInt64E), and any other value itself.
func integer(v any) any {
	text, ok := v.(string)
	if !ok {
		return v
	}
	n, err := strconv.ParseInt(withoutZeros(text), 0, 64)
	if err != nil {
		return 0
	}
	return n
}

// withoutZeros is the text without decimals that are all zero (trimZeroDecimal).
func withoutZeros(s string) string {
	zero := false
	for i := len(s); i > 0; i-- {
		switch {
		case s[i-1] == '.' && zero:
			return s[:i-1]
		case s[i-1] == '0':
			zero = true
		case s[i-1] != '.':
			return s
		}
	}
	return s
}
