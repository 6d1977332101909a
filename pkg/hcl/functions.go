package hcl

import (
	"errors"
	"fmt"
	"iter"
	"maps"
	"math/big"
	"regexp"

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
				return f.Call(args)
			},
		})
	}
	return out
}

var errOverWork = errors.New("it takes more steps than is allowed; make it simpler")

// bounded takes what a call costs off the budget, and refuses one whose result may be any size.
func (e *evaluation) bounded(name string, args []cty.Value) error {
	all := 1
	for i, a := range args {
		size, ok := sizeOf(a)
		if e.work += size; !ok || e.work > maxWork {
			return errOverWork
		}
		switch {
		case name == "setproduct" && !a.IsNull():
			if all *= max(a.LengthInt(), 1); all > maxSize {
				return errOverWork
			}
		case name == "indent" && i == 0 && !a.IsNull() && a.AsBigFloat().Cmp(big.NewFloat(1000)) > 0:
			return errOverWork
		case (name == "format" || name == "formatlist") && i == 0 && !a.IsNull() && wide.MatchString(a.AsString()):
			return fmt.Errorf("a width in a format has at most %d digits", maxDigits)
		}
	}
	return nil
}

// wide is a number too long for a width.
var wide = regexp.MustCompile(`%[^%a-zA-Z]*[0-9]{5,}`)
