package template

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/template"
	"text/template/parse"
	"unicode/utf8"
)

const (
	// maxItems bounds the lists and repetitions that a number alone makes, and the lists that are compared item by item.
	maxItems = 1 << 20
	// maxMade bounds what the functions of one execution make, in bytes: a template may keep all of it in variables.
	maxMade = 256 << 20
	// maxActions bounds the actions of one text, and maxNesting how deep they stand in each other. Both keep the stack of
	// text/template within what Go lets it have, since its overflow can't be caught.
	maxActions = 1 << 18
	maxNesting = 500
	// maxCarrying bounds how deep what carries out templates stands in actions and, each of them perCall actions, in parentheses:
	// all of that is on the stack at each of the depths that templates carry out templates in.
	maxCarrying = 64
	perCall     = 3
)

// Bounds are what one execution may still use: the templates of one state file or of one release, with all that they carry
// out. They serve one goroutine.
type Bounds struct {
	ctx context.Context
	// output is the text that may be written, and limit what it was at first.
	output, limit int
	// made is what functions may still make.
	made            int
	depth, maxDepth int
	// buffers are what templates that templates carry out write to, by their depth.
	buffers []*bytes.Buffer
	// Addressed is told of a function that printed where in memory a value is, which is another place each time; print stands
	// for an action without one. It may be nil.
	Addressed func(function string)
}

// NewBounds returns bounds of an execution that writes at most output bytes, in which templates carry out templates at most
// depth deep, and which stops at its next step when ctx ends.
func NewBounds(ctx context.Context, output, depth int) *Bounds {
	return &Bounds{ctx: ctx, output: output, limit: output, made: maxMade, maxDepth: depth}
}

// Reset begins another execution, which may use as much as the first: functions that were bound to b stay so.
func (b *Bounds) Reset(ctx context.Context) {
	b.ctx, b.output, b.made, b.depth = ctx, b.limit, maxMade, 0
}

// OverBudget reports whether an execution ended because it was over its bounds, and says in words which and what to do.
func OverBudget(err error) (detail string, ok bool) {
	var over overBudget
	ok = errors.As(err, &over)
	return over.detail, ok
}

// Over is the failure of a function that was asked for too much; the detail ends in what to do.
func Over(detail string) error { return overBudget{detail} }

// overBudget is the failure of what goes over a bound.
type overBudget struct{ detail string }

func (e overBudget) Error() string { return e.detail }

// Writer returns a writer to w within the bounds.
func (b *Bounds) Writer(w io.Writer) io.Writer { return bounded{bounds: b, w: w} }

type bounded struct {
	bounds *Bounds
	w      io.Writer
}

func (w bounded) Write(p []byte) (int, error) {
	if err := w.bounds.step(); err != nil {
		return 0, err
	}
	if w.bounds.output -= len(p); w.bounds.output < 0 {
		return 0, overBudget{fmt.Sprintf("it writes more than %d MiB. Look for a loop or an include that grows.", w.bounds.limit>>20)}
	}
	return w.w.Write(p)
}

// step ends an execution whose time is over.
func (b *Bounds) step() error {
	if b.ctx.Err() != nil {
		return overBudget{"it was still running when the time for it was over. Look for a loop that does not end."}
	}
	return nil
}

// make takes bytes off what functions may make.
func (b *Bounds) make(bytes int) error {
	if b.made -= bytes; b.made < 0 {
		return overBudget{fmt.Sprintf("its functions make more than %d MiB. Look for a loop that collects.", maxMade>>20)}
	}
	return b.step()
}

func (b *Bounds) enter() error {
	if b.depth >= b.maxDepth {
		return overBudget{fmt.Sprintf("templates carry out templates more than %d deep. Look for one that includes itself.", b.maxDepth)}
	}
	b.depth++
	return nil
}

func (b *Bounds) leave() { b.depth-- }

// Nested returns what a template writes that another one carries out.
func (b *Bounds) Nested(execute func(io.Writer) error) (string, error) {
	if err := b.enter(); err != nil {
		return "", err
	}
	defer b.leave()
	for len(b.buffers) < b.depth {
		b.buffers = append(b.buffers, &bytes.Buffer{})
	}
	text := b.buffers[b.depth-1]
	text.Reset()
	if err := execute(b.Writer(text)); err != nil {
		return "", shortened(err)
	}
	out := text.String()
	if text.Cap() > maxKept {
		b.buffers[b.depth-1] = &bytes.Buffer{}
	}
	return out, nil
}

// maxMessage bounds the message of a failure, in bytes: each template that carries out the one that failed puts its own words
// before it, and keeps what it was. Helm's longest, of a template that includes itself a thousand times, is below.
const maxMessage = 128 << 10

// shortened is err, without what the outer templates say of it where it became too long.
func shortened(err error) error {
	if len(err.Error()) <= maxMessage {
		return err
	}
	var long chain
	if errors.As(err, &long) {
		return long
	}
	text := err.Error()
	var over overBudget
	if errors.As(err, &over) {
		return chain{strings.ToValidUTF8(text[:maxMessage/4], "") + " ... " + over.detail, over}
	}
	return chain{strings.ToValidUTF8(text[:maxMessage/4], "") + " ... " + strings.ToValidUTF8(text[len(text)-maxMessage/4:], ""), nil}
}

// chain is a failure whose words were shortened, and what it comes from where that has a meaning.
type chain struct {
	text  string
	cause error
}

func (e chain) Error() string { return e.text }
func (e chain) Unwrap() error { return e.cause }

// maxKept is the largest buffer that is kept for the next text.
const maxKept = 64 << 10

// Parse parses a text as t and puts all that it defines under the bounds. functions are those that the text may call, by
// their names; t has them, and those of Watchers.
func (b *Bounds) Parse(t *template.Template, text string, functions template.FuncMap) (*template.Template, error) {
	if err := b.Parsing(text); err != nil {
		return nil, err
	}
	trees, err := Trees(t.Name(), text, TreeOptions{Functions: functions})
	if err != nil {
		return nil, err
	}
	return t, Add(t, trees)
}

// Parsing counts what parsing a text makes, before it is parsed.
func (b *Bounds) Parsing(text string) error {
	const perAction = 400
	return b.make(len(text) + perAction*strings.Count(text, "{{"))
}

// Copying counts what a copy of a set of templates makes, before it is copied.
func (b *Bounds) Copying(templates int) error {
	const perTemplate = 512
	return b.make(perTemplate * templates)
}

// TreeOptions of Trees.
type TreeOptions struct {
	// Functions are those that the text may call, by their names; those of text/template itself are known.
	Functions template.FuncMap
	// Plain are functions whose result prints as long as it is, a text or a number, and need not be weighed before.
	Plain map[string]bool
	// Marked are functions that the function called Mark is told of before they are called: with the name of the text, and
	// "FUNCTION:LINE " for each of those in the action that is carried out next. A function that Marked says false of is left
	// out of it where what takes its result puts it in order.
	Marked map[string]bool
	// Lines has the function called Line told of the line and the column of each piece of the text itself, not of what it
	// defines, before it is carried out, and whether the piece is text that is written as it is.
	Lines bool
}

// Trees parses a text, and puts all that it defines under the bounds of those who carry it out with the functions of
// Watchers. The trees may be shared by many sets of templates: nothing changes them afterwards. The error is that of
// text/template, or one that OverBudget knows.
func Trees(name, text string, o TreeOptions) (map[string]*parse.Tree, error) {
	if strings.Count(text, "{{") > maxActions {
		return nil, overBudget{fmt.Sprintf("a text has more than %d actions. Split it.", maxActions)}
	}
	if strings.Contains(text, watch) {
		return nil, fmt.Errorf("functions that begin with %s are no template's to call", watch)
	}
	trees, err := parse.Parse(name, text, "", "", o.Functions, builtins)
	if err != nil {
		return nil, err
	}
	for _, tree := range trees {
		w := watcher{o: o, tree: tree, text: text}
		if len(o.Marked) > 0 {
			w.sorted = map[string]bool{}
			sortedIn(tree.Root, w.sorted)
		}
		if err := w.list(tree.Root, 0); err != nil {
			return nil, err
		}
	}
	return trees, nil
}

// builtins are the functions of text/template itself; only their names matter to its parser.
var builtins = map[string]any{
	"and": true, "call": true, "html": true, "index": true, "slice": true, "js": true, "len": true, "not": true, "or": true,
	"print": true, "printf": true, "println": true, "urlquery": true,
	"eq": true, "ge": true, "gt": true, "le": true, "lt": true, "ne": true,
}

// Add adds parsed templates to the set of t, as text/template's Parse does: an empty one replaces none.
func Add(t *template.Template, trees map[string]*parse.Tree) error {
	for name, tree := range trees {
		if _, err := t.AddParseTree(name, tree); err != nil {
			return err
		}
	}
	return nil
}

// The functions that watching puts into templates, which no template's own text may call.
const (
	watch   = "_otomi_watch_"
	printed = watch + "printed"
	entered = watch + "entered"
	left    = watch + "left"
	// Mark and Line are what TreeOptions asks for: func(name, functions string) string and func(line, column int, text bool)
	// string, which return nothing.
	Mark = watch + "mark"
	Line = watch + "line"
)

// Tidied is what a failure says, without the names of the functions that watching puts into templates.
func Tidied(message string) string {
	return strings.ReplaceAll(strings.ReplaceAll(message, entered, "template"), printed, "print")
}

// Watchers are the functions behind them but for Mark and Line. What is printed keeps its reflect.Value, since text/template
// looks whether it can be addressed.
func (b *Bounds) Watchers() template.FuncMap {
	return template.FuncMap{
		printed: b.printable,
		entered: func() (string, error) { return "", b.enter() },
		left:    func() string { b.leave(); return "" },
	}
}

// watcher puts steps into a parsed template where text/template has no bounds of its own: each turn of a loop writes an
// empty text, so that one which writes nothing can be stopped; what an action prints is weighed before it becomes text; the
// depth of {{ template }} is counted with that of include.
type watcher struct {
	o    TreeOptions
	tree *parse.Tree
	text string
	// sorted are the variables that an action of the tree sorts.
	sorted map[string]bool
}

func (w watcher) list(l *parse.ListNode, depth int) error {
	if l == nil {
		return nil
	}
	if depth > maxNesting {
		return overBudget{fmt.Sprintf("actions stand in each other more than %d deep. Define a part of them as a template of its own.", maxNesting)}
	}
	nodes := make([]parse.Node, 0, len(l.Nodes))
	for _, n := range l.Nodes {
		if w.o.Lines && w.tree.Name == w.tree.ParseName {
			if line := w.line(n); line != nil {
				nodes = append(nodes, line)
			}
		}
		var pipe *parse.PipeNode
		switch n := n.(type) {
		case *parse.ActionNode:
			pipe = n.Pipe
		case *parse.TemplateNode:
			pipe = n.Pipe
		case *parse.IfNode:
			pipe = n.Pipe
		case *parse.WithNode:
			pipe = n.Pipe
		case *parse.RangeNode:
			pipe = n.Pipe
		}
		if pipe != nil {
			if err := w.pipe(pipe, depth, depth); err != nil {
				return err
			}
			if mark := w.mark(pipe); mark != nil {
				nodes = append(nodes, mark)
			}
		}
		var err error
		switch n := n.(type) {
		case *parse.ActionNode:
			if len(n.Pipe.Decl) == 0 && !w.plain(n.Pipe) {
				n.Pipe.Cmds = append(n.Pipe.Cmds, command(printed, n.Pos))
			}
		case *parse.TemplateNode:
			if depth > maxCarrying {
				return tooDeep("template")
			}
			nodes = append(nodes, action(entered, n.Pos, n.Line), n, action(left, n.Pos, n.Line))
			continue
		case *parse.IfNode:
			err = w.branch(&n.BranchNode, depth)
		case *parse.WithNode:
			err = w.branch(&n.BranchNode, depth)
		case *parse.RangeNode:
			if err = w.branch(&n.BranchNode, depth); n.List != nil {
				n.List.Nodes = append([]parse.Node{&parse.TextNode{NodeType: parse.NodeText, Pos: n.Pos}}, n.List.Nodes...)
			}
		}
		if err != nil {
			return err
		}
		nodes = append(nodes, n)
	}
	l.Nodes = nodes
	return nil
}

func (w watcher) branch(n *parse.BranchNode, depth int) error {
	return errors.Join(w.list(n.List, depth+1), w.list(n.ElseList, depth+1))
}

// pipe refuses parentheses in each other that are too deep, and calls of include and tpl that are, within so many actions.
func (w watcher) pipe(p *parse.PipeNode, depth, carrying int) error {
	if depth > maxNesting {
		return overBudget{fmt.Sprintf("parentheses stand in each other more than %d deep. Put a part of them into a variable.", maxNesting)}
	}
	for _, c := range p.Cmds {
		for _, arg := range c.Args {
			if name, ok := arg.(*parse.IdentifierNode); ok && (name.Ident == "include" || name.Ident == "tpl") && carrying > maxCarrying {
				return tooDeep(name.Ident)
			}
			if inner, ok := within(arg); ok {
				if err := w.pipe(inner, depth+1, carrying+perCall); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func tooDeep(call string) error {
	return overBudget{fmt.Sprintf("a call of %s stands too deep in other actions. Put what it gives into a variable before them.", call)}
}

// within is the pipe that an argument in parentheses is.
func within(arg parse.Node) (*parse.PipeNode, bool) {
	if chain, ok := arg.(*parse.ChainNode); ok {
		arg = chain.Node
	}
	inner, ok := arg.(*parse.PipeNode)
	return inner, ok
}

// plain reports whether what a pipe gives need not be weighed.
func (w watcher) plain(p *parse.PipeNode) bool {
	switch first := p.Cmds[len(p.Cmds)-1].Args[0].(type) {
	case *parse.IdentifierNode:
		return w.o.Plain[first.Ident]
	case *parse.StringNode, *parse.NumberNode, *parse.BoolNode:
		return true
	case *parse.PipeNode:
		return w.plain(first)
	}
	return false
}

// mark is the action that tells of the marked functions in a pipe, or nil where it calls none.
func (w watcher) mark(p *parse.PipeNode) parse.Node {
	if len(w.o.Marked) == 0 {
		return nil
	}
	var found strings.Builder
	if !w.marked(p, len(p.Decl) == 1 && w.sorted[p.Decl[0].Ident[0]], &found) {
		return nil
	}
	at := action(Mark, p.Pos, p.Line)
	call := at.Pipe.Cmds[0]
	for _, text := range []string{w.tree.ParseName, found.String()} {
		call.Args = append(call.Args, &parse.StringNode{NodeType: parse.NodeString, Pos: p.Pos, Quoted: strconv.Quote(text), Text: text})
	}
	return at
}

// marked writes the marked functions of a pipe, and reports whether it calls any. ordered says that what takes the pipe's
// result does not depend on its order.
func (w watcher) marked(p *parse.PipeNode, ordered bool, out *strings.Builder) bool {
	calls := false
	for i, c := range p.Cmds {
		taken := ordered
		if i+1 < len(p.Cmds) {
			taken = orders(p.Cmds[i+1:], ordered)
		}
		first, _ := c.Args[0].(*parse.IdentifierNode)
		for k, arg := range c.Args {
			if name, ok := arg.(*parse.IdentifierNode); ok {
				if k > 0 && first != nil {
					calls = w.note(name, ordering[first.Ident] || passing[first.Ident] && taken, out) || calls
				} else {
					calls = w.note(name, taken, out) || calls
				}
			}
			if inner, ok := within(arg); ok {
				within := first != nil && (ordering[first.Ident] || passing[first.Ident] && taken)
				if len(c.Args) == 1 {
					within = taken
				}
				calls = w.marked(inner, within, out) || calls
			}
		}
	}
	return calls
}

func (w watcher) note(name *parse.IdentifierNode, ordered bool, out *strings.Builder) bool {
	always, ok := w.o.Marked[name.Ident]
	if ok && (always || !ordered) {
		line := 1 + strings.Count(w.text[:min(int(name.Pos), len(w.text))], "\n")
		fmt.Fprintf(out, "%s:%d ", name.Ident, line)
	}
	return ok
}

// ordering are functions whose result does not depend on the order of the list they take, and passing those that keep this
// so where what takes their result does not depend on it.
var (
	ordering = map[string]bool{
		"sortAlpha": true, "len": true, "has": true, "mustHas": true, "empty": true, "not": true, "kindOf": true, "kindIs": true,
		"typeOf": true, "typeIs": true,
	}
	passing = map[string]bool{"uniq": true, "mustUniq": true, "without": true, "mustWithout": true, "compact": true, "concat": true, "toStrings": true}
)

// sortedIn adds the variables that are sorted in l to found.
func sortedIn(l *parse.ListNode, found map[string]bool) {
	if l == nil {
		return
	}
	branch := func(n *parse.BranchNode) {
		sortedBy(n.Pipe, found)
		sortedIn(n.List, found)
		sortedIn(n.ElseList, found)
	}
	for _, n := range l.Nodes {
		switch n := n.(type) {
		case *parse.ActionNode:
			sortedBy(n.Pipe, found)
		case *parse.TemplateNode:
			sortedBy(n.Pipe, found)
		case *parse.IfNode:
			branch(&n.BranchNode)
		case *parse.WithNode:
			branch(&n.BranchNode)
		case *parse.RangeNode:
			branch(&n.BranchNode)
		}
	}
}

func sortedBy(p *parse.PipeNode, found map[string]bool) {
	if p == nil {
		return
	}
	for i, c := range p.Cmds {
		first, _ := c.Args[0].(*parse.IdentifierNode)
		for k, arg := range c.Args {
			if inner, ok := within(arg); ok {
				sortedBy(inner, found)
			}
			variable, ok := arg.(*parse.VariableNode)
			if !ok || len(variable.Ident) != 1 {
				continue
			}
			by := first
			if k == 0 && i+1 < len(p.Cmds) {
				by, _ = p.Cmds[i+1].Args[0].(*parse.IdentifierNode)
			}
			if by != nil && by.Ident == "sortAlpha" {
				found[variable.Ident[0]] = true
			}
		}
	}
}

func orders(rest []*parse.CommandNode, ordered bool) bool {
	for _, c := range rest {
		name, ok := c.Args[0].(*parse.IdentifierNode)
		switch {
		case !ok:
			return false
		case ordering[name.Ident]:
			return true
		case !passing[name.Ident]:
			return false
		}
	}
	return ordered
}

// line is the action that tells where n stands, or nil for what writes nothing.
func (w watcher) line(n parse.Node) parse.Node {
	switch n.(type) {
	case *parse.BreakNode, *parse.ContinueNode, *parse.CommentNode:
		return nil
	}
	at := min(int(n.Position()), len(w.text))
	if _, ok := n.(*parse.TextNode); !ok {
		// A node's position is within its action.
		at = max(strings.LastIndex(w.text[:at], "{{"), 0)
	}
	line := 1 + strings.Count(w.text[:at], "\n")
	column := 1 + utf8.RuneCountInString(w.text[strings.LastIndexByte(w.text[:at], '\n')+1:at])
	_, text := n.(*parse.TextNode)
	told := action(Line, n.Position(), line)
	call := told.Pipe.Cmds[0]
	for _, number := range []int{line, column} {
		call.Args = append(call.Args, &parse.NumberNode{NodeType: parse.NodeNumber, Pos: n.Position(), IsInt: true, Int64: int64(number), Text: strconv.Itoa(number)})
	}
	call.Args = append(call.Args, &parse.BoolNode{NodeType: parse.NodeBool, Pos: n.Position(), True: text})
	return told
}

func command(function string, at parse.Pos) *parse.CommandNode {
	return &parse.CommandNode{NodeType: parse.NodeCommand, Pos: at, Args: []parse.Node{parse.NewIdentifier(function).SetPos(at)}}
}

func action(function string, at parse.Pos, line int) *parse.ActionNode {
	return &parse.ActionNode{NodeType: parse.NodeAction, Pos: at, Line: line, Pipe: &parse.PipeNode{
		NodeType: parse.NodePipe, Pos: at, Line: line, Cmds: []*parse.CommandNode{command(function, at)},
	}}
}
