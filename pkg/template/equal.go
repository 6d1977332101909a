package template

import (
	"errors"
	"fmt"
	"reflect"
)

// equal is text/template's eq (Go 1.26, text/template/funcs.go), but that it refuses what is too large for its error, which
// prints a map or a list that can't be compared.
func (b *Bounds) equal(name string, x reflect.Value, others []reflect.Value) (bool, error) {
	x = held(x)
	if len(others) == 0 {
		return false, errors.New("missing argument for comparison")
	}
	k := basic(x)
	for _, y := range others {
		y = held(y)
		if same, err := b.same(name, x, y, k, basic(y)); same || err != nil {
			return same, err
		}
	}
	return false, nil
}

func (b *Bounds) same(name string, x, y reflect.Value, kx, ky reflect.Kind) (bool, error) {
	switch {
	case kx == reflect.Int && ky == reflect.Uint:
		return x.Int() >= 0 && uint64(x.Int()) == y.Uint(), nil
	case kx == reflect.Uint && ky == reflect.Int:
		return y.Int() >= 0 && x.Uint() == uint64(y.Int()), nil
	case kx != ky:
		if x.IsValid() && y.IsValid() {
			return false, fmt.Errorf("incompatible types for comparison: %v and %v", x.Type(), y.Type())
		}
		return false, nil
	}
	switch kx {
	case reflect.Bool:
		return x.Bool() == y.Bool(), nil
	case reflect.Complex128:
		return x.Complex() == y.Complex(), nil
	case reflect.Float64:
		return x.Float() == y.Float(), nil
	case reflect.Int:
		return x.Int() == y.Int(), nil
	case reflect.String:
		return x.String() == y.String(), nil
	case reflect.Uint:
		return x.Uint() == y.Uint(), nil
	}
	comparable := x.Kind() == y.Kind() || !x.IsValid() || !y.IsValid()
	if comparable && (null(x) || null(y)) {
		return null(x) == null(y), nil
	}
	for _, v := range []reflect.Value{x, y} {
		s := scale{most: maxShown}
		if v.IsValid() && !s.weigh(v, 0) {
			return false, Over(name + " was asked for too much. Compare a part of the values.")
		}
	}
	if !comparable {
		return false, fmt.Errorf("non-comparable types %s: %v, %s: %v", x, x.Type(), y.Type(), y)
	}
	if !y.Type().Comparable() {
		return false, fmt.Errorf("non-comparable type %s: %v", y, y.Type())
	}
	return x.Interface() == y.Interface(), nil
}

// held is what an interface holds.
func held(v reflect.Value) reflect.Value {
	if v.Kind() != reflect.Interface {
		return v
	}
	return v.Elem()
}

// basic is the kind that stands for those which are compared with each other; Invalid for those that are not.
func basic(v reflect.Value) reflect.Kind {
	switch {
	case v.Kind() == reflect.Bool, v.Kind() == reflect.String:
		return v.Kind()
	case v.CanInt():
		return reflect.Int
	case v.CanUint():
		return reflect.Uint
	case v.CanFloat():
		return reflect.Float64
	case v.CanComplex():
		return reflect.Complex128
	}
	return reflect.Invalid
}

// null reports whether v is nothing, or nil of its type.
func null(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Invalid:
		return true
	case reflect.Chan, reflect.Func, reflect.Interface, reflect.Map, reflect.Pointer, reflect.Slice:
		return v.IsNil()
	}
	return false
}
