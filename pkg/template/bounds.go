package template

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/template"
	"text/template/parse"
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
	watched         map[*parse.Tree]bool
}

// NewBounds returns bounds of an execution that writes at most output bytes, in which templates carry out templates at most
// depth deep, and which stops at its next step when ctx ends.
func NewBounds(ctx context.Context, output, depth int) *Bounds {
	return &Bounds{ctx: ctx, output: output, limit: output, made: maxMade, maxDepth: depth, watched: map[*parse.Tree]bool{}}
}

// OverBudget reports whether an execution ended because it was over its bounds, and says in words which and what to do.
func OverBudget(err error) (detail string, ok bool) {
	var over overBudget
	ok = errors.As(err, &over)
	return over.detail, ok
}

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
	var text strings.Builder
	if err := execute(b.Writer(&text)); err != nil {
		return "", err
	}
	return text.String(), nil
}

// Parse parses a text as t and puts all that it defines under the bounds.
func (b *Bounds) Parse(t *template.Template, text string) (*template.Template, error) {
	if strings.Count(text, "{{") > maxActions {
		return nil, overBudget{fmt.Sprintf("a text has more than %d actions. Split it.", maxActions)}
	}
	if strings.Contains(text, watch) {
		return nil, fmt.Errorf("functions that begin with %s are no template's to call", watch)
	}
	t, err := t.Parse(text)
	if err != nil {
		return nil, err
	}
	t.Funcs(b.watching())
	for _, defined := range t.Templates() {
		if defined.Tree == nil || b.watched[defined.Tree] {
			continue
		}
		b.watched[defined.Tree] = true
		if err := watchList(defined.Tree.Root, 0); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// The functions that watching puts into templates, which no template's own text may call.
const (
	watch   = "_otomi_watch_"
	printed = watch + "printed"
	entered = watch + "entered"
	left    = watch + "left"
)

// watching are the functions behind them. What is printed keeps its reflect.Value, since text/template looks whether it can
// be addressed.
func (b *Bounds) watching() template.FuncMap {
	return template.FuncMap{
		printed: b.printable,
		entered: func() (string, error) { return "", b.enter() },
		left:    func() string { b.leave(); return "" },
	}
}

// watchList puts steps into a parsed template where text/template has no bounds of its own: each turn of a loop writes an
// empty text, so that one which writes nothing can be stopped; what an action prints is weighed before it becomes text; the
// depth of {{ template }} is counted with that of include.
func watchList(l *parse.ListNode, depth int) error {
	if l == nil {
		return nil
	}
	if depth > maxNesting {
		return overBudget{fmt.Sprintf("actions stand in each other more than %d deep. Define a part of them as a template of its own.", maxNesting)}
	}
	nodes := make([]parse.Node, 0, len(l.Nodes))
	for _, n := range l.Nodes {
		var err error
		switch n := n.(type) {
		case *parse.ActionNode:
			if err = watchPipe(n.Pipe, depth); err == nil && len(n.Pipe.Decl) == 0 {
				n.Pipe.Cmds = append(n.Pipe.Cmds, command(printed, n.Pos))
			}
		case *parse.TemplateNode:
			if n.Pipe != nil {
				err = watchPipe(n.Pipe, depth)
			}
			nodes = append(nodes, action(entered, n), n)
			nodes = append(nodes, action(left, n))
			if err != nil {
				return err
			}
			continue
		case *parse.IfNode:
			err = watchBranch(&n.BranchNode, depth)
		case *parse.WithNode:
			err = watchBranch(&n.BranchNode, depth)
		case *parse.RangeNode:
			if err = watchBranch(&n.BranchNode, depth); n.List != nil {
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

func watchBranch(n *parse.BranchNode, depth int) error {
	return errors.Join(watchPipe(n.Pipe, depth), watchList(n.List, depth+1), watchList(n.ElseList, depth+1))
}

// watchPipe refuses parentheses in each other that are too deep.
func watchPipe(p *parse.PipeNode, depth int) error {
	if depth > maxNesting {
		return overBudget{fmt.Sprintf("parentheses stand in each other more than %d deep. Put a part of them into a variable.", maxNesting)}
	}
	for _, c := range p.Cmds {
		for _, arg := range c.Args {
			if chain, ok := arg.(*parse.ChainNode); ok {
				arg = chain.Node
			}
			if inner, ok := arg.(*parse.PipeNode); ok {
				if err := watchPipe(inner, depth+1); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func command(function string, at parse.Pos) *parse.CommandNode {
	return &parse.CommandNode{NodeType: parse.NodeCommand, Pos: at, Args: []parse.Node{parse.NewIdentifier(function).SetPos(at)}}
}

func action(function string, of *parse.TemplateNode) *parse.ActionNode {
	return &parse.ActionNode{NodeType: parse.NodeAction, Pos: of.Pos, Line: of.Line, Pipe: &parse.PipeNode{
		NodeType: parse.NodePipe, Pos: of.Pos, Line: of.Line, Cmds: []*parse.CommandNode{command(function, of.Pos)},
	}}
}
