package render

import (
	"cmp"
	"context"
	"path"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	texttemplate "text/template"
	"text/template/parse"

	"github.com/redkubes/otomi/pkg/manifest"
	"github.com/redkubes/otomi/pkg/template"
	helmchart "helm.sh/helm/v3/pkg/chart"
)

// textName is Helm's name of the set of templates, and of each text that is given to tpl.
const textName = "gotpl"

// The bounds of what is kept parsed.
const (
	// maxParsed bounds the templates of all charts, in bytes of their text; parsed they take about ten times as much.
	maxParsed = 8 << 20
	// maxPrograms bounds the sets of templates of one chart, which are as many as the ways to enable its subcharts.
	maxPrograms = 16
	// maxTexts bounds the texts given to tpl that one program keeps, and maxTextKept each of them, in bytes.
	maxTexts, maxTextKept = 64 << 10, 8 << 10
)

// programs are the programs of one chart: each of its templates is parsed once.
type programs struct {
	mu     sync.Mutex
	parsed map[fileKey]parsed
	all    []*program
	// bytes is the length of what was parsed.
	bytes int
}

// library bounds what the charts of a renderer keep parsed.
type library struct {
	mu sync.Mutex
	// charts are those that keep something, the one that was used last at the end.
	charts []*programs
}

// use makes p the chart that was used last, and has those that were not used for the longest time forget what they parsed.
func (l *library) use(p *programs) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := len(l.charts); n == 0 || l.charts[n-1] != p {
		l.charts = append(slices.DeleteFunc(l.charts, func(other *programs) bool { return other == p }), p)
	}
	total := 0
	for i, c := range slices.Backward(l.charts) {
		if total += c.size(); total > maxParsed && i < len(l.charts)-1 {
			for _, old := range l.charts[:i+1] {
				old.forget()
			}
			l.charts = slices.Clone(l.charts[i+1:])
			return
		}
	}
}

func (p *programs) size() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.bytes
}

func (p *programs) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.parsed, p.all, p.bytes = nil, nil, 0
}

// fileKey is a template by its name and the file it is: a chart under two names is parsed for each, since errors say the name.
type fileKey struct {
	name string
	file *helmchart.File
}

type parsed struct {
	trees map[string]*parse.Tree
	err   error
	// refersToText says that it names the texts given to tpl.
	refersToText bool
}

// program is the templates of a chart with those of its subcharts that are enabled.
type program struct {
	charts []chartKey
	// files are in Helm's order: those deep in the tree of charts come first, so that what they define is defined again by
	// their parents.
	files        []file
	trees        []map[string]*parse.Tree
	refersToText bool
	language     *language
	// defined is the number of templates that the files are and define.
	defined int

	mu    sync.Mutex
	idle  []*engine
	texts map[string]text
	// textBytes is the length of texts.
	textBytes int
}

// chartKey is a chart of a program: its name in the tree, and the first of its templates, which no other chart has.
type chartKey struct {
	path  string
	first *helmchart.File
}

// file is a template, and the chart that it is of.
type file struct {
	name, basePath string
	chart          int
	// partial says that it only defines templates for others.
	partial bool
	file    *helmchart.File
}

// text is what was parsed of a text given to tpl: own is its tree where it defines nothing else.
type text struct {
	all map[string]*parse.Tree
	own *parse.Tree
}

// language is what Trees must know of the functions, which are the same for every chart.
type language struct{ options template.TreeOptions }

func newLanguage() *language {
	e := &engine{bounds: template.NewBounds(context.Background(), maxOutput, maxDepth)}
	f := e.functions()
	b := &binding{e: e}
	for name, fn := range b.functions() {
		f[name] = fn
	}
	plain := map[string]bool{"len": true, "not": true, "eq": true, "ne": true, "lt": true, "le": true, "gt": true, "ge": true}
	for name, fn := range f {
		switch reflect.TypeOf(fn).Out(0).Kind() {
		case reflect.String, reflect.Bool, reflect.Int, reflect.Int64, reflect.Float64:
			plain[name] = true
		}
	}
	return &language{template.TreeOptions{Functions: f, Plain: plain, Marked: marked()}}
}

// functionsOf is the language of all charts.
var functionsOf = sync.OnceValue(newLanguage)

// compile returns the program of these charts.
func (p *programs) compile(charts []scoped) (*program, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	keys := make([]chartKey, len(charts))
	for i, c := range charts {
		keys[i].path = c.path
		if len(c.chart.Templates) > 0 {
			keys[i].first = c.chart.Templates[0]
		}
	}
	for _, known := range p.all {
		if slices.Equal(known.charts, keys) {
			return known, nil
		}
	}
	made := newProgram(charts)
	made.charts = keys
	for _, f := range made.files {
		t := p.parse(f, made.language.options)
		if t.err != nil {
			return nil, t.err
		}
		made.trees = append(made.trees, t.trees)
		made.defined += len(t.trees)
		made.refersToText = made.refersToText || t.refersToText
	}
	if len(p.all) >= maxPrograms {
		p.all = slices.Delete(p.all, 0, 1)
	}
	p.all = append(p.all, made)
	return made, nil
}

// newProgram lists the templates of charts.
func newProgram(charts []scoped) *program {
	made := &program{language: functionsOf(), texts: map[string]text{}}
	files := map[string]file{}
	for i, c := range charts {
		library := strings.EqualFold(c.chart.Metadata.Type, "library")
		base := path.Join(c.path, "templates")
		for _, t := range c.chart.Templates {
			if t == nil || library && !strings.HasPrefix(path.Base(t.Name), "_") {
				continue
			}
			name := path.Join(c.path, t.Name)
			files[name] = file{name: name, basePath: base, chart: i, partial: strings.HasPrefix(path.Base(name), "_"), file: t}
		}
	}
	for _, f := range files {
		made.files = append(made.files, f)
	}
	slices.SortFunc(made.files, func(a, b file) int {
		return cmp.Or(strings.Count(b.name, "/")-strings.Count(a.name, "/"), strings.Compare(b.name, a.name))
	})
	return made
}

func (p *programs) parse(f file, o template.TreeOptions) parsed {
	key := fileKey{f.name, f.file}
	if t, ok := p.parsed[key]; ok {
		return t
	}
	t := parsed{}
	t.trees, t.err = template.Trees(f.name, string(f.file.Data), o)
	if _, over := template.OverBudget(t.err); t.err != nil && !over {
		t.err = parseErrorOf(f.name, t.err)
	}
	t.refersToText = refersToText(t.trees)
	if p.parsed == nil {
		p.parsed = map[fileKey]parsed{}
	}
	p.parsed[key] = t
	p.bytes += len(f.file.Data)
	return t
}

// refersToText reports whether templates define or call, by a name that stands in them, what tpl carries out.
func refersToText(trees map[string]*parse.Tree) bool {
	if trees[textName] != nil {
		return true
	}
	for _, tree := range trees {
		if calls(tree.Root, textName) {
			return true
		}
	}
	return false
}

func calls(l *parse.ListNode, name string) bool {
	if l == nil {
		return false
	}
	return slices.ContainsFunc(l.Nodes, func(n parse.Node) bool {
		switch n := n.(type) {
		case *parse.TemplateNode:
			return n.Name == name
		case *parse.IfNode:
			return calls(n.List, name) || calls(n.ElseList, name)
		case *parse.WithNode:
			return calls(n.List, name) || calls(n.ElseList, name)
		case *parse.RangeNode:
			return calls(n.List, name) || calls(n.ElseList, name)
		}
		return false
	})
}

// engine returns an engine that nobody else uses.
func (p *program) engine() (*engine, error) {
	p.mu.Lock()
	if n := len(p.idle); n > 0 {
		e := p.idle[n-1]
		p.idle = p.idle[:n-1]
		p.mu.Unlock()
		return e, nil
	}
	p.mu.Unlock()
	return newEngine(p)
}

// done gives an engine back. One that failed may be in the middle of something, and is not.
func (p *program) done(e *engine) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.idle) < runtime.GOMAXPROCS(0) {
		p.idle = append(p.idle, e)
	}
}

func newEngine(p *program) (*engine, error) {
	e := &engine{
		program:  p,
		bounds:   template.NewBounds(context.Background(), maxOutput, maxDepth),
		set:      texttemplate.New(textName).Option("missingkey=zero"),
		included: map[string]int{},
		impure:   map[manifest.ImpureCall]bool{},
	}
	e.bounds.Addressed = func(function string) { e.note(function, false) }
	e.root = &binding{e: e, t: e.set}
	e.set.Funcs(e.functions()).Funcs(e.bounds.Watchers()).Funcs(e.root.functions()).Funcs(texttemplate.FuncMap{
		template.Mark: e.mark,
		template.Line: e.told,
	})
	for i, f := range p.files {
		if err := template.Add(e.set.New(f.name), p.trees[i]); err != nil {
			return nil, parseErrorOf(f.name, err)
		}
	}
	return e, nil
}

// text parses a text given to tpl.
func (p *program) text(s string) (text, error) {
	if len(s) <= maxTextKept {
		p.mu.Lock()
		t, ok := p.texts[s]
		p.mu.Unlock()
		if ok {
			return t, nil
		}
	}
	trees, err := template.Trees(textName, s, p.language.options)
	if err != nil {
		return text{}, err
	}
	t := text{all: trees}
	if len(trees) == 1 && trees[textName] != nil && !calls(trees[textName].Root, textName) {
		t.own = trees[textName]
	}
	if len(s) <= maxTextKept {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.textBytes += len(s); p.textBytes > maxTexts {
			clear(p.texts)
			p.textBytes = len(s)
		}
		p.texts[s] = t
	}
	return t, nil
}
