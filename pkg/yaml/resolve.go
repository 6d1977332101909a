package yaml

import (
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// words are the plain scalars with a meaning of their own, from the resolver of go.yaml.in/yaml/v2, which sigs.k8s.io/yaml
// reads with.
var words = map[string]any{
	"y": true, "Y": true, "yes": true, "Yes": true, "YES": true, "on": true, "On": true, "ON": true,
	"true": true, "True": true, "TRUE": true,
	"n": false, "N": false, "no": false, "No": false, "NO": false, "off": false, "Off": false, "OFF": false,
	"false": false, "False": false, "FALSE": false,
	"": nil, "~": nil, "null": nil, "Null": nil, "NULL": nil,
	".nan": math.NaN(), ".NaN": math.NaN(), ".NAN": math.NaN(),
	".inf": math.Inf(1), ".Inf": math.Inf(1), ".INF": math.Inf(1),
	"+.inf": math.Inf(1), "+.Inf": math.Inf(1), "+.INF": math.Inf(1),
	"-.inf": math.Inf(-1), "-.Inf": math.Inf(-1), "-.INF": math.Inf(-1),
}

var decimal = regexp.MustCompile(`^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$`)

// resolve returns what a plain scalar means in YAML 1.1 as go.yaml.in/yaml/v2 has it: nil, bool, int64, uint64 (over the
// range of int64), float64 or string. A date is a string; where dates is false, one is not looked for.
func resolve(s string, dates bool) any {
	if s == "" {
		return nil
	}
	c := s[0]
	switch {
	case c >= '0' && c <= '9', c == '+', c == '-':
		if v, ok := words[s]; ok {
			return v
		}
		if dates && isDate(s) {
			return s
		}
		return number(s)
	case c == '.':
		if v, ok := words[s]; ok {
			return v
		}
		if f, err := strconv.ParseFloat(s, 64); err == nil {
			return f
		}
	case strings.IndexByte("yYnNtTfFoO~", c) >= 0:
		if v, ok := words[s]; ok {
			return v
		}
	}
	return s
}

func number(s string) any {
	plain := strings.ReplaceAll(s, "_", "")
	if i, err := strconv.ParseInt(plain, 0, 64); err == nil {
		return i
	}
	if u, err := strconv.ParseUint(plain, 0, 64); err == nil {
		return u
	}
	if decimal.MatchString(plain) {
		if f, err := strconv.ParseFloat(plain, 64); err == nil {
			return f
		}
	}
	// A sign may stand behind the prefix: the library cuts that off before it reads the digits.
	if digits, ok := strings.CutPrefix(plain, "0b"); ok {
		if i, err := strconv.ParseInt(digits, 2, 64); err == nil {
			return i
		}
	}
	return s
}

// isDate reports whether s is a timestamp for go.yaml.in/yaml/v2. It starts with four digits and a dash, so it would not
// be a number either; only the formats tell.
func isDate(s string) bool {
	if len(s) < 5 || s[4] != '-' {
		return false
	}
	for _, format := range []string{
		"2006-1-2T15:4:5.999999999Z07:00", "2006-1-2t15:4:5.999999999Z07:00", "2006-1-2 15:4:5.999999999", "2006-1-2",
	} {
		if _, err := time.Parse(format, s); err == nil {
			return true
		}
	}
	return false
}

var zeroFirst = regexp.MustCompile(`^[-+]?0[0-9_]+`)

// leadingZero reports whether a number is written with a zero that is more than a zero: 0644, 007.5, not 0.5 and not 0x1f.
func leadingZero(s string) bool { return zeroFirst.MatchString(s) }

func octalDigits(s string) string { return strings.TrimLeft(s, "+-0_") }
