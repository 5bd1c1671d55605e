package script

import (
	"maps"
	"reflect"
	"slices"
	"sort"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/dop251/goja"
	"github.com/dop251/goja/ast"
	"github.com/dop251/goja/file"
	"github.com/dop251/goja/unistring"
)

// Coverage counts how often the lines of scripts ran, over all sets that were
// loaded with it. Safe for concurrent use.
type Coverage struct {
	mu    sync.Mutex
	files map[string]map[place]*atomic.Int64 // by name as users see it, and place
}

// place is where a statement begins.
type place struct{ line, column int }

// NewCoverage counts from nothing.
func NewCoverage() *Coverage { return &Coverage{files: map[string]map[place]*atomic.Int64{}} }

// FileCoverage is one file's lines, those in which a statement begins.
type FileCoverage struct {
	File  string
	Lines []LineCount // in order
}

// LineCount is how often a line ran: of several statements in it, the one that ran most.
type LineCount struct {
	Line  int
	Count int64
}

// Files is what has been counted so far, in the order of the names. What the
// bundler left out because nothing uses it is not there.
func (c *Coverage) Files() []FileCoverage {
	c.mu.Lock()
	defer c.mu.Unlock()
	var list []FileCoverage
	for _, file := range slices.Sorted(maps.Keys(c.files)) {
		lines := map[int]int64{}
		for at, count := range c.files[file] {
			lines[at.line] = max(lines[at.line], count.Load())
		}
		f := FileCoverage{File: file}
		for _, line := range slices.Sorted(maps.Keys(lines)) {
			f.Lines = append(f.Lines, LineCount{line, lines[line]})
		}
		list = append(list, f)
	}
	return list
}

func (c *Coverage) counter(file string, at place) *atomic.Int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.files[file] == nil {
		c.files[file] = map[place]*atomic.Int64{}
	}
	if c.files[file][at] == nil {
		c.files[file][at] = new(atomic.Int64)
	}
	return c.files[file][at]
}

// coverCall is the function that counts a statement. No script can spell it.
const coverCall = ownPrefix + "cover"

// cover puts a count before each statement of the author's. Positions stay.
func (c *Coverage) cover(tree *ast.Program, code string, positions *sourceMap) []*atomic.Int64 {
	in := &coverer{coverage: c, positions: positions, seen: map[any]bool{}}
	for at, i := range strings.SplitAfter(code, "\n") {
		if at == 0 {
			in.starts = append(in.starts, 0)
		}
		in.starts = append(in.starts, in.starts[at]+len(i))
	}
	in.walk(reflect.ValueOf(tree.Body))
	return in.counts
}

// coverer walks a tree.
type coverer struct {
	coverage  *Coverage
	positions *sourceMap
	starts    []int // of the lines
	seen      map[any]bool
	counts    []*atomic.Int64
}

func (in *coverer) walk(v reflect.Value) {
	switch v.Kind() {
	case reflect.Interface:
		if !v.IsNil() {
			in.walk(v.Elem())
		}
	case reflect.Pointer:
		if v.IsNil() || !strings.HasSuffix(v.Type().Elem().PkgPath(), "goja/ast") || in.seen[v.Interface()] {
			return
		}
		in.seen[v.Interface()] = true
		if s, ok := v.Interface().(ast.Statement); ok && bundlers(s) {
			return
		}
		in.walk(v.Elem())
		in.node(v.Interface())
	case reflect.Slice:
		for i := range v.Len() {
			in.walk(v.Index(i))
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				in.walk(v.Field(i))
			}
		}
	default: // a value, not a node
	}
}

// node counts what a node runs. The bundle's own function is the one statement
// that stays as it is: what it returns is the program's value.
func (in *coverer) node(node any) {
	switch n := node.(type) {
	case *ast.BlockStatement:
		n.List = in.list(n.List)
	case *ast.CaseStatement:
		n.Consequent = in.list(n.Consequent)
	case *ast.IfStatement:
		in.single(&n.Consequent)
		in.single(&n.Alternate)
	case *ast.ForStatement:
		in.single(&n.Body)
	case *ast.ForInStatement:
		in.single(&n.Body)
	case *ast.ForOfStatement:
		in.single(&n.Body)
	case *ast.WhileStatement:
		in.single(&n.Body)
	case *ast.DoWhileStatement:
		in.single(&n.Body)
	case *ast.ExpressionBody:
		if call := in.count(n.Expression); call != nil {
			n.Expression = &ast.SequenceExpression{Sequence: []ast.Expression{call, n.Expression}}
		}
	}
}

// list is statements with their counts before them.
func (in *coverer) list(statements []ast.Statement) []ast.Statement {
	counted := make([]ast.Statement, 0, 2*len(statements))
	for _, s := range statements {
		switch s.(type) {
		case *ast.FunctionDeclaration, *ast.EmptyStatement, *ast.BlockStatement: // not run as such
		default:
			if bundlers(s) {
				break
			}
			if call := in.count(s); call != nil {
				counted = append(counted, &ast.ExpressionStatement{Expression: call})
			}
		}
		counted = append(counted, s)
	}
	return counted
}

// bundlers tells whether a statement is one of esbuild's, which lead to the first
// line of a file: "var x_exports = {}" and "__export(x_exports, {...})".
func bundlers(s ast.Statement) bool {
	switch n := s.(type) {
	case *ast.ExpressionStatement:
		call, ok := n.Expression.(*ast.CallExpression)
		if !ok {
			return false
		}
		name, ok := call.Callee.(*ast.Identifier)
		return ok && strings.HasPrefix(name.Name.String(), "__")
	case *ast.VariableStatement:
		name, ok := n.List[0].Target.(*ast.Identifier)
		if !ok || !strings.HasSuffix(name.Name.String(), "_exports") {
			return false
		}
		empty, ok := n.List[0].Initializer.(*ast.ObjectLiteral)
		return ok && len(empty.Value) == 0
	}
	return false
}

// single makes a block of a statement that stands without one.
func (in *coverer) single(s *ast.Statement) {
	switch (*s).(type) {
	case nil, *ast.BlockStatement, *ast.EmptyStatement:
		return
	}
	if list := in.list([]ast.Statement{*s}); len(list) > 1 {
		*s = &ast.BlockStatement{LeftBrace: (*s).Idx0(), List: list, RightBrace: (*s).Idx1()}
	}
}

// count is the call that counts a node, nil for one that is not the author's.
func (in *coverer) count(n ast.Node) ast.Expression {
	at := int(startOf(n)) - 1 - len(bundleHead)
	line := sort.SearchInts(in.starts, at+1) - 1
	if at < 0 || line < 0 {
		return nil
	}
	source, fromLine, fromColumn := in.positions.find(line, at-in.starts[line])
	if !author(source) || strings.Contains("/"+source, "/node_modules/") {
		return nil
	}
	in.counts = append(in.counts, in.coverage.counter(source, place{fromLine + 1, fromColumn}))
	index := &ast.NumberLiteral{Idx: startOf(n), Value: int64(len(in.counts) - 1)}
	return &ast.CallExpression{
		Callee:          &ast.Identifier{Name: unistring.NewFromString(coverCall), Idx: startOf(n)},
		LeftParenthesis: startOf(n), ArgumentList: []ast.Expression{index}, RightParenthesis: startOf(n),
	}
}

// startOf is where a node begins, of a statement its first expression if there is
// one: goja does not note where an if stands, and esbuild's map has few keywords.
func startOf(n ast.Node) file.Idx {
	switch s := n.(type) {
	case *ast.IfStatement:
		return s.Test.Idx0()
	case *ast.WhileStatement:
		return s.Test.Idx0()
	case *ast.SwitchStatement:
		return s.Discriminant.Idx0()
	case *ast.ForInStatement:
		return s.Source.Idx0()
	case *ast.ForOfStatement:
		return s.Source.Idx0()
	case *ast.LabelledStatement:
		return startOf(s.Statement)
	}
	return n.Idx0()
}

// countLines gives a world the function that counts, when its set is counted: in
// sessions, and not while the scripts are only tried.
func (w *World) countLines() error {
	counts := w.set.bundle.covered
	if counts == nil {
		return nil
	}
	counting := w.session != nil
	count := w.rt.ToValue(func(c goja.FunctionCall) goja.Value {
		if counting {
			counts[c.Argument(0).ToInteger()].Add(1)
		}
		return goja.Undefined()
	})
	return w.rt.GlobalObject().DefineDataProperty(coverCall, count, goja.FLAG_FALSE, goja.FLAG_FALSE, goja.FLAG_FALSE)
}
