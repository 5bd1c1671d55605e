package script

import (
	"math/big"
	"reflect"
	"slices"
	"strings"

	"github.com/dop251/goja/ast"
	"github.com/dop251/goja/token"
	"github.com/dop251/goja/unistring"
)

// The functions of guards.js that stand for operators. No script can spell them.
const (
	operatorCall   = "pmilter:operator" // (left, operator, right)
	operatorAssign = "pmilter:assign"   // (object, key, operator, right)
)

// guardOperators puts functions in the place of the operators * ** << >> in a
// bundle that can make BigInts: their result may be larger than memory, which
// ends the process, and no built-in stands before them. Positions stay. It must
// be called before the tree is compiled; the guards of the same usage know the functions.
func guardOperators(tree *ast.Program, u usage) {
	if !usesBigInt(tree, u) {
		return
	}
	u.names[operatorCall], u.names[operatorAssign] = true, true
	replaceExpressions(reflect.ValueOf(tree.Body), make(map[any]bool))
}

// usesBigInt tells whether scripts can have a BigInt: of a literal, the
// constructor or a typed array.
func usesBigInt(tree *ast.Program, u usage) bool {
	for _, name := range []string{"BigInt", "BigInt64Array", "BigUint64Array", "getBigInt64", "getBigUint64"} {
		if reachable(u, name) {
			return true
		}
	}
	literal := false
	walk(reflect.ValueOf(tree.Body), func(node any) bool {
		if n, ok := node.(*ast.NumberLiteral); ok {
			_, big := n.Value.(*big.Int)
			literal = literal || big
		}
		return !literal
	})
	return literal
}

func growing(operator token.Token) bool {
	return slices.Contains([]token.Token{token.MULTIPLY, token.EXPONENT, token.SHIFT_LEFT, token.SHIFT_RIGHT}, operator)
}

// replaceExpressions walks a tree of goja's and changes the expressions in it, the inner ones first.
func replaceExpressions(v reflect.Value, seen map[any]bool) {
	switch v.Kind() {
	case reflect.Interface:
		if v.IsNil() {
			return
		}
		replaceExpressions(v.Elem(), seen)
		if e, ok := v.Interface().(ast.Expression); ok && v.CanSet() {
			if r := guardedExpression(e); r != nil && reflect.TypeOf(r).AssignableTo(v.Type()) {
				v.Set(reflect.ValueOf(r))
			}
		}
	case reflect.Pointer:
		if v.IsNil() || !strings.HasSuffix(v.Type().Elem().PkgPath(), "goja/ast") || seen[v.Interface()] {
			return
		}
		seen[v.Interface()] = true
		replaceExpressions(v.Elem(), seen)
	case reflect.Slice:
		for i := range v.Len() {
			replaceExpressions(v.Index(i), seen)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				replaceExpressions(v.Field(i), seen)
			}
		}
	default: // a value, not a node
	}
}

// guardedExpression is what stands for an expression, nil for itself.
func guardedExpression(e ast.Expression) ast.Expression {
	switch n := e.(type) {
	case *ast.BinaryExpression:
		if growing(n.Operator) {
			return callOf(operatorCall, n, n.Left, textOf(n, n.Operator.String()), n.Right)
		}
	case *ast.AssignExpression:
		if !growing(n.Operator) {
			return nil
		}
		return guardedAssignment(n)
	}
	return nil
}

// guardedAssignment is x = f(x, y) for x **= y. A y that assigns may change what
// is read before it: that stays as it is.
func guardedAssignment(n *ast.AssignExpression) ast.Expression {
	operator := textOf(n, n.Operator.String())
	if _, simple := n.Left.(*ast.Identifier); !simple && assigns(n.Right) {
		return nil
	}
	switch left := n.Left.(type) {
	case *ast.Identifier:
		return &ast.AssignExpression{
			Operator: token.ASSIGN, Left: left, Right: callOf(operatorCall, n, &ast.Identifier{Name: left.Name, Idx: left.Idx}, operator, n.Right),
		}
	case *ast.DotExpression:
		if _, super := left.Left.(*ast.SuperExpression); super {
			return nil
		}
		key := &ast.StringLiteral{Idx: left.Identifier.Idx, Value: left.Identifier.Name}
		return callOf(operatorAssign, n, left.Left, key, operator, n.Right)
	case *ast.BracketExpression:
		if _, super := left.Left.(*ast.SuperExpression); super {
			return nil
		}
		return callOf(operatorAssign, n, left.Left, left.Member, operator, n.Right)
	case *ast.PrivateDotExpression:
		again := &ast.PrivateDotExpression{Left: left.Left, Identifier: left.Identifier}
		if _, this := left.Left.(*ast.ThisExpression); this { // anything else might be evaluated twice
			return &ast.AssignExpression{Operator: token.ASSIGN, Left: left, Right: callOf(operatorCall, n, again, operator, n.Right)}
		}
	}
	return nil
}

func assigns(e ast.Expression) bool {
	found := false
	walk(reflect.ValueOf(e), func(node any) bool {
		switch n := node.(type) {
		case *ast.AssignExpression, *ast.YieldExpression, *ast.AwaitExpression:
			found = true
		case *ast.UnaryExpression:
			found = found || n.Operator == token.INCREMENT || n.Operator == token.DECREMENT || n.Operator == token.DELETE
		case *ast.CallExpression:
			name, ours := n.Callee.(*ast.Identifier)
			found = found || ours && name.Name == operatorAssign
		}
		return !found
	})
	return found
}

func textOf(at ast.Node, s string) ast.Expression {
	return &ast.StringLiteral{Idx: at.Idx0(), Literal: `"` + s + `"`, Value: unistring.NewFromString(s)}
}

func callOf(function string, at ast.Node, args ...ast.Expression) ast.Expression {
	return &ast.CallExpression{
		Callee:          &ast.Identifier{Name: unistring.NewFromString(function), Idx: at.Idx0()},
		LeftParenthesis: at.Idx0(), ArgumentList: args, RightParenthesis: at.Idx1() - 1,
	}
}
