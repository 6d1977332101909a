// Package hcl reads state values that are written in HCL, as helmfile has them (helmfile 1.7, pkg/hcllang).
//
// A file has blocks `values`, whose attributes are the values, and at most one block `locals`. An expression refers to values of
// all files as hv.NAME and to locals of its own file as local.NAME; the order in which they are written does not matter. A value
// that several blocks define is merged of all, in their order: objects deeply, all else the later one. Functions are those of
// helmfile; none touches the world.
//
// The package is a noun: it turns text into values. Which files there are is said by package runlevel.
package hcl

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
	ctyjson "github.com/zclconf/go-cty/cty/json"

	"github.com/redkubes/otomi/pkg/diag"
)

// The budgets of all files that are read together.
const (
	// maxText is how large a file may be, in bytes.
	maxText = 1 << 20
	// maxNesting is how deep expressions may stand in expressions: the parser and the evaluation call themselves for each.
	maxNesting = 2000
	// maxSize is how large a value may be: its scalars, lists and maps, and the bytes of its strings.
	maxSize = 256 << 10
	// maxWork is how much may be looked at: the sizes of all values that expressions refer to, each time they do.
	maxWork = 512 << 10
	// maxBits is how large the exponent of a number may be, of two: written out, a number has as many digits.
	maxBits = 4096
	// maxReports is how many mistakes are told.
	maxReports = 100
)

// File is a file of values.
type File struct {
	// Name is the name that it is shown by.
	Name string
	Text []byte
}

const (
	valuesBlock = "values"
	localsBlock = "locals"
	// valuesRoot and localsRoot are what expressions see them as.
	valuesRoot = "hv"
	localsRoot = "local"
)

// Values evaluates files together. Numbers are float64, as helmfile makes them. The result counts only if the diagnostics have no
// errors.
func Values(files []File) (map[string]any, diag.Diagnostics) {
	e := &evaluation{texts: map[string][]byte{}, locals: map[string]cty.Value{}}
	e.table = e.functions()
	defs := map[string][]definition{}
	for i, f := range files {
		values, locals := e.read(f)
		for name, more := range values {
			for _, d := range more {
				d.file = i
				defs[name] = append(defs[name], d)
			}
		}
		e.files = append(e.files, file{name: f.Name, locals: locals})
	}
	if e.diags.HasErrors() {
		return nil, e.diags
	}
	out := e.evaluate(defs)
	if e.diags.HasErrors() {
		return nil, e.diags
	}
	return out, e.diags
}

// definition is an attribute of a block.
type definition struct {
	name string
	expr hclsyntax.Expression
	at   hcl.Range
	file int
}

type file struct {
	name   string
	locals map[string]definition
}

// evaluation is one call of Values.
type evaluation struct {
	files []file
	texts map[string][]byte
	// locals are those of each file.
	locals map[string]cty.Value
	work   int
	// table are the functions that expressions call.
	table map[string]function.Function
	diags diag.Diagnostics
}

func (e *evaluation) report(at hcl.Range, format string, args ...any) {
	if len(e.diags) >= maxReports {
		return
	}
	e.diags = append(e.diags, diag.Diagnostic{
		Severity: diag.Error, Code: diag.HCLInvalid, Range: e.place(at), Detail: fmt.Sprintf(format, args...),
	})
}

// found reports what the library found.
func (e *evaluation) found(ds hcl.Diagnostics) {
	for _, d := range ds {
		if d.Severity != hcl.DiagError {
			continue
		}
		at := hcl.Range{}
		if d.Subject != nil {
			at = *d.Subject
		}
		detail := strings.TrimSuffix(strings.TrimSpace(d.Detail), ".")
		if detail == "" {
			detail = d.Summary
		}
		if !strings.HasSuffix(detail, "?") {
			detail += "."
		}
		e.report(at, "%s Correct it.", detail)
	}
}

// place is a range of the library as ours: it counts what looks like one character, and we count characters.
func (e *evaluation) place(at hcl.Range) diag.Range {
	text := e.texts[at.Filename]
	pos := func(p hcl.Pos) diag.Pos {
		if p.Line == 0 {
			return diag.Pos{}
		}
		end := min(max(p.Byte, 0), len(text))
		begin := bytes.LastIndexByte(text[:end], '\n') + 1
		return diag.Pos{Line: p.Line, Column: utf8.RuneCount(text[begin:end]) + 1}
	}
	out := diag.Range{File: at.Filename, Start: pos(at.Start), End: pos(at.End)}
	if out.End.Line != out.Start.Line {
		out.End = diag.Pos{}
	}
	return out
}

// read parses a file into the definitions of its values and locals.
func (e *evaluation) read(f File) (values map[string][]definition, locals map[string]definition) {
	e.texts[f.Name] = f.Text
	start := hcl.Range{Filename: f.Name, Start: hcl.InitialPos, End: hcl.InitialPos}
	if len(f.Text) > maxText {
		e.report(start, "the file has more than %d KiB, which is more than is read. Split it into several files.", maxText>>10)
		return nil, nil
	}
	if deep(f.Text, f.Name) {
		e.report(start, "the file has brackets and operators more than %d deep, which is more than is read. Split it with locals.", maxNesting)
		return nil, nil
	}
	parsed, ds := hclsyntax.ParseConfig(f.Text, f.Name, hcl.InitialPos)
	if ds.HasErrors() {
		e.found(ds)
		return nil, nil
	}
	body, _ := parsed.Body.(*hclsyntax.Body)
	for _, name := range slices.Sorted(keys(body.Attributes)) {
		e.report(body.Attributes[name].NameRange, "the attribute %q stands outside of a block. Put it into values { } or locals { }.", name)
	}
	values = map[string][]definition{}
	for _, b := range body.Blocks {
		switch {
		case b.Type != valuesBlock && b.Type != localsBlock:
			hint := "Write values { } or locals { }."
			if near := diag.Nearest(b.Type, []string{valuesBlock, localsBlock}); near != "" {
				hint = fmt.Sprintf("Did you mean %q?", near)
			}
			e.report(b.TypeRange, "a file of values has no block %q. %s", b.Type, hint)
			continue
		case len(b.Labels) > 0:
			e.report(b.LabelRanges[0], "the block %s has a label, and takes none. Remove it.", b.Type)
			continue
		case b.Type == localsBlock && locals != nil:
			e.report(b.TypeRange, "a file has one block locals at most. Put both into one.")
			continue
		}
		if b.Type == localsBlock {
			locals = map[string]definition{}
		}
		for _, inner := range b.Body.Blocks {
			e.report(inner.TypeRange, "there are no blocks in %s. Write %s = { } for a map.", b.Type, inner.Type)
		}
		for name, a := range b.Body.Attributes {
			d := definition{name: name, expr: a.Expr, at: a.SrcRange}
			if b.Type == localsBlock {
				locals[name] = d
				continue
			}
			values[name] = append(values[name], d)
		}
	}
	return values, locals
}

// frame is how deep what stands in one pair of brackets or quotes is so far: each operator, index and directive nests what is
// before or behind it. A comma begins anew, and so does the end of a line where it ends an expression.
type frame struct {
	begin     hclsyntax.TokenType
	now, most int
}

func (f *frame) end() { f.most, f.now = max(f.most, f.now), 0 }

// deep reports whether expressions stand in expressions deeper than is read. The parser and the evaluation call themselves for
// each, and Go ends a process whose stack is full. It reads words alone, which needs no stack.
func deep(text []byte, name string) bool {
	tokens, _ := hclsyntax.LexConfig(text, name, hcl.InitialPos)
	frames := []frame{{}}
	depth := 0
	add := func(n int) bool {
		frames[len(frames)-1].now += n
		depth += n
		return depth > maxNesting
	}
	for _, t := range tokens {
		top := &frames[len(frames)-1]
		switch t.Type {
		case hclsyntax.TokenIdent, hclsyntax.TokenNumberLit, hclsyntax.TokenQuotedLit, hclsyntax.TokenStringLit, hclsyntax.TokenComment,
			hclsyntax.TokenEqual, hclsyntax.TokenFatArrow:
			// A template is a list of its parts: no part is in another but by the directives.
		case hclsyntax.TokenComma:
			depth -= top.now
			top.end()
		case hclsyntax.TokenNewline:
			if top.begin == hclsyntax.TokenOBrace || len(frames) == 1 {
				depth -= top.now
				top.end()
			}
		case hclsyntax.TokenOBrace, hclsyntax.TokenOBrack, hclsyntax.TokenOParen, hclsyntax.TokenOQuote, hclsyntax.TokenOHeredoc,
			hclsyntax.TokenTemplateInterp, hclsyntax.TokenTemplateControl:
			if add(1) {
				return true
			}
			frames = append(frames, frame{begin: t.Type})
		case hclsyntax.TokenCBrace, hclsyntax.TokenCBrack, hclsyntax.TokenCParen, hclsyntax.TokenCQuote, hclsyntax.TokenCHeredoc,
			hclsyntax.TokenTemplateSeqEnd:
			if len(frames) == 1 {
				continue // the parser says what is wrong
			}
			depth -= top.now
			top.end()
			inner, begin := top.most, top.begin
			frames = frames[:len(frames)-1]
			if begin == hclsyntax.TokenTemplateInterp {
				depth-- // the next part of the template stands beside it
				top = &frames[len(frames)-1]
				top.now--
				top.most = max(top.most, top.now+1+inner)
				continue
			}
			if add(inner) {
				return true
			}
		default:
			if add(1) {
				return true
			}
		}
	}
	return false
}

func (e *evaluation) evaluate(defs map[string][]definition) map[string]any {
	for i, f := range e.files {
		locals := map[string][]definition{}
		for name, d := range f.locals {
			d.file = i
			locals[name] = []definition{d}
		}
		if out, ok := e.block(locals, localsRoot); ok {
			e.locals[f.name] = cty.ObjectVal(out)
		}
	}
	if e.diags.HasErrors() {
		return nil
	}
	values, ok := e.block(defs, valuesRoot)
	if !ok || e.diags.HasErrors() {
		return nil
	}
	out := map[string]any{}
	for _, name := range slices.Sorted(keys(values)) {
		plain, err := plain(values[name])
		if err != nil {
			last := defs[name][len(defs[name])-1]
			e.report(last.at, "the value of %s can't be written as JSON: %v. Correct it.", name, err)
			continue
		}
		out[name] = plain
	}
	return out
}

// plain is a value as helmfile takes it: what reading it as JSON gives.
func plain(v cty.Value) (any, error) {
	if !v.IsWhollyKnown() {
		return nil, fmt.Errorf("it is not known")
	}
	text, err := ctyjson.Marshal(v, v.Type())
	if err != nil {
		return nil, err
	}
	var out any
	err = json.Unmarshal(text, &out)
	return out, err
}

// block evaluates the definitions of locals of a file, or of values, each after those that it refers to.
func (e *evaluation) block(defs map[string][]definition, root string) (map[string]cty.Value, bool) {
	order, ok := e.order(defs, root)
	if !ok {
		return nil, false
	}
	done, sizes := map[string]cty.Value{}, map[string]int{}
	for _, name := range order {
		value := cty.NilVal
		for _, d := range defs[name] {
			v, ok := e.value(d, root, done, sizes)
			if !ok {
				return nil, false
			}
			if value == cty.NilVal {
				value = v
			} else {
				value = merged(value, v)
			}
		}
		size, ok := sizeOf(value)
		if !ok {
			e.report(defs[name][0].at, "%s is larger than is read: more than %d KiB, or a number of more than %d digits. Make it smaller.", name, maxSize>>10, maxBits*3/10)
			return nil, false
		}
		done[name], sizes[name] = value, size
	}
	return done, !e.diags.HasErrors()
}

// value evaluates one definition with what is evaluated already.
func (e *evaluation) value(d definition, root string, done map[string]cty.Value, sizes map[string]int) (out cty.Value, ok bool) {
	variables := map[string]cty.Value{}
	if root == valuesRoot {
		if locals, ok := e.locals[e.files[d.file].name]; ok {
			variables[localsRoot] = locals
		}
	}
	if len(done) > 0 || root == localsRoot {
		// Only what is referred to: all of it, for each definition, would take the square of their number.
		seen := map[string]cty.Value{}
		for _, t := range d.expr.Variables() {
			if name, ok := second(t); ok && t.RootName() == root {
				if v, ok := done[name]; ok {
					seen[name] = v
				}
			}
		}
		variables[root] = cty.ObjectVal(seen)
	}
	cost := e.count(d.expr, root, sizes)
	defer func() {
		r := recover()
		if r == nil {
			return
		}
		if _, mine := r.(overWork); !mine {
			panic(r)
		}
		e.report(d.at, "evaluating %s takes more steps than is allowed. Make it simpler.", d.name)
		out, ok = cty.NilVal, false
	}()
	e.spend(cost)
	v, ds := d.expr.Value(&hcl.EvalContext{Variables: variables, Functions: e.table})
	if ds.HasErrors() {
		e.found(ds)
		return cty.NilVal, false
	}
	v, _ = v.UnmarkDeep()
	return v, true
}

// overWork ends an evaluation; value ends it with a diagnostic. A loop of the library can't be stopped in another way.
type overWork struct{}

func (e *evaluation) spend(n int) {
	if e.work += n; e.work > maxWork {
		panic(overWork{})
	}
}

// count returns what evaluating an expression once costs, and makes each round of its loops and each part of its templates cost
// what is in it.
func (e *evaluation) count(expr hclsyntax.Expression, root string, sizes map[string]int) int {
	cost := 1
	for _, t := range expr.Variables() {
		if name, ok := second(t); ok && t.RootName() == root {
			cost += sizes[name]
		}
		cost++
	}
	_ = hclsyntax.VisitAll(expr, func(n hclsyntax.Node) hcl.Diagnostics {
		e.instrument(n, root, sizes)
		return nil
	})
	return cost
}

// instrument makes each round of a loop cost what is in it, each part of a template what it adds, and each number of a
// calculation be looked at.
func (e *evaluation) instrument(n hclsyntax.Node, root string, sizes map[string]int) {
	if w, ok := n.(watched); ok {
		n = w.Expression
	}
	switch n := n.(type) {
	case *hclsyntax.TemplateExpr:
		for i := range n.Parts {
			if len(n.Parts) > 1 { // of one part it is that part, and not a copy
				e.watch(&n.Parts[i], 0)
			}
		}
	case *hclsyntax.BinaryOpExpr:
		e.watch(&n.LHS, 0)
		e.watch(&n.RHS, 0)
	case *hclsyntax.ObjectConsExpr:
		for _, item := range n.Items {
			if key, ok := item.KeyExpr.(*hclsyntax.ObjectConsKeyExpr); ok && hcl.ExprAsKeyword(key.Wrapped) == "" {
				e.watch(&key.Wrapped, 0)
			}
		}
	case *hclsyntax.FunctionCallExpr:
		f, ok := e.table[n.Name]
		if !ok {
			return
		}
		for i := range n.Args {
			e.watch(&n.Args[i], 0)
			if w, ok := n.Args[i].(watched); ok {
				w.converted = converts(f, i)
				n.Args[i] = w
			}
		}
	case *hclsyntax.ConditionalExpr:
		e.watch(&n.TrueResult, 0)
		e.watch(&n.FalseResult, 0)
	case *hclsyntax.ForExpr:
		body := 1
		for _, part := range []hclsyntax.Expression{n.KeyExpr, n.ValExpr, n.CondExpr} {
			if part == nil {
				continue
			}
			for _, t := range part.Variables() {
				if name, ok := second(t); ok && t.RootName() == root {
					body += sizes[name]
				}
			}
		}
		// The condition is looked at in each round, and the value only where it holds.
		if n.KeyExpr != nil {
			e.watch(&n.KeyExpr, 0)
		}
		if n.CondExpr != nil {
			e.watch(&n.CondExpr, body)
			body = 0
		}
		e.watch(&n.ValExpr, body)
	}
}

// watch makes an expression cost a number of steps each time, and what it adds to a text.
func (e *evaluation) watch(expr *hclsyntax.Expression, steps int) {
	switch inner := (*expr).(type) {
	case watched:
		return
	case *hclsyntax.ObjectConsKeyExpr: // which the library looks for
		return
	case *hclsyntax.LiteralValueExpr:
		if steps == 0 && (inner.Val.Type() != cty.String || inner.Val.IsNull() || len(inner.Val.AsString()) < perStep) && !endless(inner.Val) {
			return
		}
	}
	*expr = watched{Expression: *expr, evaluation: e, steps: steps}
}

// perStep is how many bytes of text are one step.
const perStep = 64

// endless reports a number that can't be written out.
func endless(v cty.Value) bool {
	if v.IsMarked() || v.IsNull() || !v.IsKnown() || v.Type() != cty.Number {
		return false
	}
	f := v.AsBigFloat()
	if f.IsInf() {
		return false // the library refuses it by name
	}
	exponent := f.MantExp(nil)
	return exponent > maxBits || exponent < -maxBits
}

// second is the name behind the first dot of a reference.
func second(t hcl.Traversal) (string, bool) {
	if len(t) < 2 {
		return "", false
	}
	a, ok := t[1].(hcl.TraverseAttr)
	return a.Name, ok
}

// watched is an expression whose steps are counted.
type watched struct {
	hclsyntax.Expression
	evaluation *evaluation
	steps      int
	// converted says that what has items of several types becomes a list, for which the library compares each with each.
	converted bool
}

// converts reports whether a function takes its i-th argument for a list, a set or a map.
func converts(f function.Function, i int) bool {
	p := f.VarParam()
	if params := f.Params(); i < len(params) {
		p = &params[i]
	}
	return p != nil && p.Type.IsCollectionType()
}

func (w watched) Value(ctx *hcl.EvalContext) (cty.Value, hcl.Diagnostics) {
	w.evaluation.spend(w.steps)
	v, ds := w.Expression.Value(ctx)
	if endless(v) {
		panic(overWork{})
	}
	if t := v.Type(); w.converted && v.IsKnown() && !v.IsNull() && !v.IsMarked() && (t.IsTupleType() || t.IsObjectType()) {
		n := v.LengthInt()
		w.evaluation.spend(n * n / 1024)
	}
	if !v.IsMarked() && v.Type() == cty.String && v.IsKnown() && !v.IsNull() {
		w.evaluation.spend(len(v.AsString()) / perStep)
	}
	return v, ds
}

// sizeOf returns how large a value is, or that it is larger than maxSize. Lists may hold one list any number of times.
func sizeOf(v cty.Value) (int, bool) {
	size := 0
	var walk func(v cty.Value) bool
	walk = func(v cty.Value) bool {
		v, _ = v.Unmark()
		if size++; size > maxSize {
			return false
		}
		if v.IsNull() || !v.IsKnown() {
			return true
		}
		switch t := v.Type(); {
		case t == cty.Number && endless(v):
			return false
		case t == cty.String:
			size += len(v.AsString())
		case t.IsObjectType() || t.IsMapType() || t.IsListType() || t.IsSetType() || t.IsTupleType():
			for it := v.ElementIterator(); it.Next(); {
				k, item := it.Element()
				if k.Type() == cty.String && !k.IsNull() && k.IsKnown() {
					size += len(k.AsString())
				}
				if !walk(item) {
					return false
				}
			}
		}
		return size <= maxSize
	}
	return size, walk(v) && size <= maxSize
}

// order returns the names so that each stands behind those that it refers to.
func (e *evaluation) order(defs map[string][]definition, root string) ([]string, bool) {
	names := slices.Sorted(keys(defs))
	needs := map[string][]string{}
	for _, name := range names {
		for _, d := range defs[name] {
			for _, t := range d.expr.Variables() {
				to, ok := e.reference(t, root, names)
				if ok && !slices.Contains(needs[name], to) {
					needs[name] = append(needs[name], to)
				}
			}
		}
	}
	if e.diags.HasErrors() {
		return nil, false
	}
	const visiting, visited = 1, 2
	state := map[string]int{}
	var out, path []string
	var visit func(name string) bool
	visit = func(name string) bool {
		switch state[name] {
		case visited:
			return true
		case visiting:
			cycle := append(slices.Clone(path[slices.Index(path, name):]), name)
			for i := range cycle {
				cycle[i] = root + "." + cycle[i]
			}
			e.report(defs[name][0].at, "the value depends on itself: %s. Break the circle.", strings.Join(cycle, " → "))
			return false
		}
		state[name] = visiting
		path = append(path, name)
		for _, to := range needs[name] {
			if !visit(to) {
				return false
			}
		}
		path = path[:len(path)-1]
		state[name] = visited
		out = append(out, name)
		return true
	}
	for _, name := range names {
		if !visit(name) {
			return nil, false
		}
	}
	return out, true
}

// reference returns the name that a traversal refers to, where it is to be evaluated before.
func (e *evaluation) reference(t hcl.Traversal, root string, names []string) (string, bool) {
	from := t.RootName()
	if from == localsRoot && root == valuesRoot {
		return "", false
	}
	at := t.SourceRange()
	switch {
	case from != root && root == localsRoot && from == valuesRoot:
		e.report(at, "locals are evaluated before values, so that there is no hv in them. Use local.NAME.")
		return "", false
	case from != root:
		e.report(at, "there is no %q. Values are hv.NAME, and locals local.NAME.", from)
		return "", false
	case len(t) < 2:
		e.report(at, "%s can't be used as a whole, as in helmfile. Name one of it: %s.NAME.", from, from)
		return "", false
	}
	a, ok := t[1].(hcl.TraverseAttr)
	if !ok {
		e.report(at, "what is in %s is named behind a dot, as in helmfile: %s.NAME.", from, from)
		return "", false
	}
	if _, found := slices.BinarySearch(names, a.Name); !found {
		hint := "Define it."
		if len(e.diags) >= maxReports {
			return "", false
		}
		if near := diag.Nearest(a.Name, names); near != "" {
			hint = fmt.Sprintf("Did you mean %q?", from+"."+near)
		}
		e.report(at, "there is no %s.%s. %s", from, a.Name, hint)
		return "", false
	}
	return a.Name, true
}

// merged lays one value over another (helmfile 1.7, pkg/hcllang, ctyMergeValues).
func merged(a, b cty.Value) cty.Value {
	switch {
	case b.IsNull():
		return a
	case a.IsNull() || !a.IsKnown() || !b.IsKnown():
		return b
	case a.Type().IsObjectType() && b.Type().IsObjectType(), a.Type().IsMapType() && b.Type().IsMapType():
		out := map[string]cty.Value{}
		for k, v := range a.AsValueMap() {
			out[k] = v
		}
		for k, v := range b.AsValueMap() {
			if old, ok := out[k]; ok {
				v = merged(old, v)
			}
			out[k] = v
		}
		return cty.ObjectVal(out)
	}
	return b
}
