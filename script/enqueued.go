package script

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dop251/goja/ast"

	"pmilter/filter"
)

// named is a call whose first argument is written down.
type named struct {
	callee ast.Expression
	name   string
	at     int // offset of the argument in the parsed text
}

// call notes a call, if its first argument is a string's literal.
func (in *inspection) call(n *ast.CallExpression) {
	if len(n.ArgumentList) == 0 {
		return
	}
	c := named{callee: n.Callee, at: int(n.ArgumentList[0].Idx0()) - 1}
	switch arg := n.ArgumentList[0].(type) {
	case *ast.StringLiteral:
		c.name = arg.Value.String()
	case *ast.TemplateLiteral:
		if arg.Tag != nil || len(arg.Expressions) > 0 || len(arg.Elements) != 1 {
			return
		}
		c.name = arg.Elements[0].Parsed.String()
	default:
		return
	}
	in.calls = append(in.calls, c)
}

// enqueues tells whether a callee can be nothing but enqueue of pmilter/queue: what the
// bundle has for the import, by whatever name, or that of the default export. Variables
// are taken by name; esbuild has given an inner one of that name another.
func (in *inspection) enqueues(callee ast.Expression) bool {
	switch c := callee.(type) {
	case *ast.Identifier:
		native, ok := in.only(c).(*ast.CallExpression)
		if !ok || len(native.ArgumentList) != 2 {
			return false
		}
		made, ok := native.Callee.(*ast.Identifier)
		return ok && made.Name == nativeName && literal(native.ArgumentList[0]) == "pmilter/queue" && literal(native.ArgumentList[1]) == "enqueue"
	case *ast.DotExpression:
		id, ok := c.Left.(*ast.Identifier)
		if !ok || c.Identifier.Name != "enqueue" {
			return false
		}
		object, ok := in.only(id).(*ast.ObjectLiteral)
		if !ok || len(object.Value) != 1 { // as moduleSource writes it
			return false
		}
		switch p := object.Value[0].(type) {
		case *ast.PropertyShort:
			return in.enqueues(&p.Name)
		case *ast.PropertyKeyed:
			return literal(p.Key) == "enqueue" && in.enqueues(p.Value)
		}
	}
	return false
}

// only is the one value that a variable ever has, nil if that is not known.
func (in *inspection) only(id *ast.Identifier) ast.Expression {
	name := id.Name.String()
	if in.opaque[name] || len(in.values[name]) != 1 {
		return nil
	}
	return in.values[name][0]
}

func literal(e ast.Expression) string {
	if s, ok := e.(*ast.StringLiteral); ok {
		return s.Value.String()
	}
	return ""
}

// queueFaults are the calls of enqueue that name a queue which is not configured, as far
// as the name is written down; any other such call throws when it is made.
func queueFaults(code string, positions *sourceMap, in *inspection, queues []string) Faults {
	var faults Faults
	for _, c := range in.calls {
		if slices.Contains(queues, c.name) || !in.enqueues(c.callee) {
			continue
		}
		at := min(max(c.at-len(bundleHead), 0), len(code))
		line := strings.Count(code[:at], "\n")
		source, fromLine, fromColumn := positions.find(line, at-lineOffset(code, line))
		f := Fault{Message: fmt.Sprintf("enqueue: there is no queue %.60q: the configuration has ", c.name) + strings.Join(queues, ", ")}
		if len(queues) == 0 {
			f.Message += "no [queue.NAME]"
		}
		if author(source) {
			f.Pos = filter.Position{File: source, Line: fromLine + 1, Column: fromColumn + 1}
		}
		faults = append(faults, f)
	}
	return faults
}
