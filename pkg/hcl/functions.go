package hcl

import (
	"errors"
	"fmt"
	"iter"
	"maps"
	"math"
	"regexp"
	"strconv"
	"strings"

	"github.com/hashicorp/go-cty-funcs/cidr"
	"github.com/hashicorp/hcl/v2/ext/tryfunc"
	ctyyaml "github.com/zclconf/go-cty-yaml"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"
)

// library is helmfile's table of functions (helmfile 1.7, pkg/hcllang, HCLFunctions).
func library() map[string]function.Function {
	return map[string]function.Function{
		"abs":             stdlib.AbsoluteFunc,
		"can":             tryfunc.CanFunc,
		"ceil":            stdlib.CeilFunc,
		"chomp":           stdlib.ChompFunc,
		"cidrhost":        cidr.HostFunc,
		"cidrnetmask":     cidr.NetmaskFunc,
		"cidrsubnet":      cidr.SubnetFunc,
		"cidrsubnets":     cidr.SubnetsFunc,
		"coalesce":        stdlib.CoalesceFunc,
		"coalescelist":    stdlib.CoalesceListFunc,
		"compact":         stdlib.CompactFunc,
		"concat":          stdlib.ConcatFunc,
		"contains":        stdlib.ContainsFunc,
		"csvdecode":       stdlib.CSVDecodeFunc,
		"distinct":        stdlib.DistinctFunc,
		"element":         stdlib.ElementFunc,
		"chunklist":       stdlib.ChunklistFunc,
		"flatten":         stdlib.FlattenFunc,
		"floor":           stdlib.FloorFunc,
		"format":          stdlib.FormatFunc,
		"formatdate":      stdlib.FormatDateFunc,
		"formatlist":      stdlib.FormatListFunc,
		"indent":          stdlib.IndentFunc,
		"int":             stdlib.IntFunc,
		"join":            stdlib.JoinFunc,
		"jsondecode":      stdlib.JSONDecodeFunc,
		"jsonencode":      stdlib.JSONEncodeFunc,
		"keys":            stdlib.KeysFunc,
		"length":          stdlib.LengthFunc,
		"log":             stdlib.LogFunc,
		"lookup":          stdlib.LookupFunc,
		"lower":           stdlib.LowerFunc,
		"max":             stdlib.MaxFunc,
		"merge":           stdlib.MergeFunc,
		"min":             stdlib.MinFunc,
		"parseint":        stdlib.ParseIntFunc,
		"pow":             stdlib.PowFunc,
		"range":           stdlib.RangeFunc,
		"regex":           stdlib.RegexFunc,
		"regexall":        stdlib.RegexAllFunc,
		"reverselist":     stdlib.ReverseListFunc,
		"setintersection": stdlib.SetIntersectionFunc,
		"setproduct":      stdlib.SetProductFunc,
		"setsubtract":     stdlib.SetSubtractFunc,
		"setunion":        stdlib.SetUnionFunc,
		"signum":          stdlib.SignumFunc,
		"slice":           stdlib.SliceFunc,
		"sort":            stdlib.SortFunc,
		"split":           stdlib.SplitFunc,
		"strrev":          stdlib.ReverseFunc,
		"strlen":          stdlib.StrlenFunc,
		"substr":          stdlib.SubstrFunc,
		"timeadd":         stdlib.TimeAddFunc,
		"title":           stdlib.TitleFunc,
		"trim":            stdlib.TrimFunc,
		"trimprefix":      stdlib.TrimPrefixFunc,
		"trimspace":       stdlib.TrimSpaceFunc,
		"trimsuffix":      stdlib.TrimSuffixFunc,
		"try":             tryfunc.TryFunc,
		"upper":           stdlib.UpperFunc,
		"values":          stdlib.ValuesFunc,
		"yamldecode":      ctyyaml.YAMLDecodeFunc,
		"yamlencode":      ctyyaml.YAMLEncodeFunc,
		"zipmap":          stdlib.ZipmapFunc,
	}
}

func keys[T any](m map[string]T) iter.Seq[string] { return maps.Keys(m) }

// maxDigits is how many digits a width in a format may have.
const maxDigits = 4

// functions are those of the library, each call of which costs what it looks at.
func (e *evaluation) functions() map[string]function.Function {
	out := library()
	for name, f := range out {
		if name == "try" || name == "can" {
			continue // they get expressions and not values
		}
		out[name] = function.New(&function.Spec{
			Params: f.Params(), VarParam: f.VarParam(), Type: f.ReturnTypeForValues,
			Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
				if err := e.bounded(name, args); err != nil {
					return cty.NilVal, err
				}
				out, err := f.Call(args)
				if err != nil {
					return out, err
				}
				size, ok := sizeOf(out)
				if e.work += size / perStep; !ok || e.work > maxWork {
					return cty.NilVal, errOverWork
				}
				return out, nil
			},
		})
	}
	return out
}

var errOverWork = errors.New("it takes more steps than is allowed; make it simpler")

// bounded takes what a call costs off the budget, and refuses one whose result may be any size, or that may take any time.
func (e *evaluation) bounded(name string, args []cty.Value) error {
	sizes := make([]int, len(args))
	for i, a := range args {
		size, ok := sizeOf(a)
		if e.work += size; !ok || e.work > maxWork {
			return errOverWork
		}
		if !a.IsWhollyKnown() || a.ContainsMarked() {
			return nil // nothing is computed of it
		}
		sizes[i] = size
	}
	text := func(i int) string {
		if i >= len(args) || args[i].IsNull() || args[i].Type() != cty.String {
			return ""
		}
		return args[i].AsString()
	}
	count := func(i int) int {
		if i >= len(args) || args[i].IsNull() || !args[i].CanIterateElements() {
			return 1
		}
		return max(args[i].LengthInt(), 1)
	}
	cost := 0.0
	switch name {
	case "setproduct":
		cost = float64(len(args))
		for i := range args {
			cost *= float64(count(i))
		}
	case "distinct":
		cost = float64(count(0)) * float64(count(0)) / 16
	case "join":
		items := 0
		for i := range args[1:] {
			items += count(i + 1)
		}
		cost = float64(len(text(0))) * float64(items) / perStep
	case "indent":
		if len(args) == 2 && !args[0].IsNull() {
			width, _ := args[0].AsBigFloat().Float64()
			cost = width * float64(1+strings.Count(text(1), "\n")) / perStep
		}
	case "format", "formatlist":
		if wide.MatchString(text(0)) {
			return fmt.Errorf("a width in a format has at most %d digits", maxDigits)
		}
		largest, times := 0, 1
		for i := range args[1:] {
			largest = max(largest, sizes[i+1])
			if name == "formatlist" {
				times = max(times, count(i+1))
			}
		}
		for _, verb := range verbs.FindAllString(text(0), -1) {
			digits := 0.0
			for _, number := range numbers.FindAllString(verb, -1) {
				n, _ := strconv.ParseFloat(number, 64)
				digits = max(digits, n)
			}
			cost += digits + float64(largest)
		}
		cost = (cost + float64(len(text(0)))) * float64(times) / perStep
	case "regex", "regexall":
		repeats := 1.0
		if strings.Contains(text(0), "{") {
			repeats = 150 // (x{1000}) is the most that is allowed
		}
		cost = float64(len(text(0))) * repeats * float64(len(text(1))) / 1024
	case "yamldecode":
		// Each alias of three multiplies at most by three what is in the text.
		cost = float64(len(text(0))) * math.Pow(3, float64(len(aliases.FindAllString(text(0), -1)))/3) / 16
	}
	if cost > maxWork-float64(e.work) {
		return errOverWork
	}
	e.work += int(cost)
	return nil
}

var (
	// wide is a number too long for a width.
	wide    = regexp.MustCompile(`%[^%a-zA-Z]*[0-9]{5,}`)
	verbs   = regexp.MustCompile(`%[^%a-zA-Z]*[a-zA-Z]`)
	numbers = regexp.MustCompile(`[0-9]+`)
	aliases = regexp.MustCompile(`(?m)(?:^|[\s\[{,:?-])\*[^\s,\]}]`)
)
