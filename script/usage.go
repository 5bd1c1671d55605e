package script

import (
	"reflect"
	"slices"
	"strings"

	"github.com/dop251/goja/ast"
	"github.com/dop251/goja/token"
)

// usage is which names occur in a bundle, so that a world need not install what
// its scripts cannot reach.
type usage struct {
	names   map[string]bool
	dynamic bool // names may be made at run time: anything can be reached
}

// mentions tells whether the scripts may reach something by that name.
func (u usage) mentions(name string) bool { return u.dynamic || u.names[name] }

// inspection is what one walk over a bundle finds.
type inspection struct {
	usage   usage
	regexps []*ast.RegExpLiteral // in the order of the code
	calls   []named              // likewise

	from   int              // offset of the author's first character
	keys   []ast.Expression // of computed members
	values map[string][]ast.Expression
	opaque map[string]bool // variables that get values which are not seen here
	asking map[string]bool // variables in question, with the question
	steps  int
}

// inspect notes the names and regular expressions of the author's code, which
// begins at an offset: esbuild's helpers before it are known to be harmless.
func inspect(tree *ast.Program, from int) *inspection {
	in := &inspection{
		usage:  usage{names: map[string]bool{}},
		from:   from + len(bundleHead) + 1,
		values: map[string][]ast.Expression{},
		opaque: map[string]bool{},
		asking: map[string]bool{},
	}
	in.name(syntaxNoted)
	walk(reflect.ValueOf(tree.Body), in.visit)
	slices.SortFunc(in.regexps, func(a, b *ast.RegExpLiteral) int { return int(a.Idx - b.Idx) })
	for _, key := range in.keys {
		if !in.known(key, 0) {
			in.usage.dynamic = true
		}
	}
	for _, name := range []string{
		"globalThis", "Reflect", "eval", "getOwnPropertyNames", "getOwnPropertyDescriptor", "getOwnPropertyDescriptors",
		"__lookupGetter__", "__lookupSetter__",
	} {
		if in.usage.names[name] {
			in.usage.dynamic = true
		}
	}
	return in
}

func (in *inspection) name(name string) { in.usage.names[name] = true }

// visit notes one node, and tells whether what is below it is to be visited.
func (in *inspection) visit(node any) bool {
	if s, ok := node.(ast.Statement); ok && !in.authors(s) {
		return false
	}
	switch n := node.(type) {
	case *ast.Identifier:
		in.name(n.Name.String())
	case *ast.StringLiteral:
		in.name(n.Value.String())
	case *ast.TemplateElement:
		in.name(n.Parsed.String())
	case *ast.RegExpLiteral:
		in.regexps = append(in.regexps, n)
	case *ast.CallExpression:
		in.call(n)
	case *ast.BracketExpression:
		in.keys = append(in.keys, n.Member)
	case *ast.ObjectPattern:
		// A computed key reads a member here; in an object literal or a class it only makes one.
		for _, p := range n.Properties {
			if keyed, ok := p.(*ast.PropertyKeyed); ok && keyed.Computed {
				in.keys = append(in.keys, keyed.Key)
			}
		}
	case *ast.YieldExpression:
		in.name("yield")
	case *ast.SpreadElement, *ast.ArrayPattern:
		in.name("...")
	case *ast.AssignExpression:
		in.assign(n.Left, n.Operator, n.Right)
	case *ast.Binding:
		in.bind(n.Target, n.Initializer)
	case *ast.ParameterList:
		for _, p := range n.List {
			in.hide(p.Target)
		}
		in.hide(n.Rest)
	case *ast.ForIntoVar:
		in.hide(n.Binding.Target)
	case *ast.ForDeclaration:
		in.hide(n.Target)
	case *ast.ForIntoExpression:
		in.hide(n.Expression)
	case *ast.CatchStatement:
		in.hide(n.Parameter)
	case *ast.FunctionLiteral:
		if n.Name != nil {
			in.hide(n.Name)
		}
	case *ast.ClassLiteral:
		if n.Name != nil {
			in.hide(n.Name)
		}
	}
	return true
}

// authors tells whether a statement is, at least in part, of the author's code.
func (in *inspection) authors(s ast.Statement) bool {
	if v := reflect.ValueOf(s); v.Kind() == reflect.Pointer && v.IsNil() {
		return false
	}
	if variables, ok := s.(*ast.VariableStatement); ok && len(variables.List) > 0 {
		// The helpers are one var each, before the author's first character.
		id, named := variables.List[0].Target.(*ast.Identifier)
		return int(variables.Var) >= in.from || !named || !strings.HasPrefix(id.Name.String(), "__")
	}
	return true
}

// assign notes what a variable becomes.
func (in *inspection) assign(left ast.Expression, operator token.Token, right ast.Expression) {
	id, ok := left.(*ast.Identifier)
	if !ok {
		if _, pattern := left.(ast.Pattern); pattern {
			in.hide(left)
		}
		return
	}
	switch {
	case operator == token.ASSIGN:
		in.bind(id, right)
	case operator == token.PLUS: // x += y
		in.bind(id, &ast.BinaryExpression{Operator: token.PLUS, Left: id, Right: right})
	case !arithmetic(operator): // ||= and the like
		in.hide(id)
	}
}

func (in *inspection) bind(target, value ast.Expression) {
	id, ok := target.(*ast.Identifier)
	if !ok {
		in.hide(target)
		return
	}
	if value != nil {
		in.values[id.Name.String()] = append(in.values[id.Name.String()], value)
	}
}

// hide notes that the variables of a target get values that are not seen here.
func (in *inspection) hide(target any) {
	if target == nil {
		return
	}
	walk(reflect.ValueOf(target), func(node any) bool {
		if id, ok := node.(*ast.Identifier); ok {
			in.opaque[id.Name.String()] = true
		}
		return true
	})
}

// known tells whether a key can only be a number, a symbol, or a name that is
// written down somewhere in the bundle. Variables are taken by name, whatever their scope.
func (in *inspection) known(key ast.Expression, depth int) bool {
	if depth > 16 {
		return false
	}
	switch k := key.(type) {
	case *ast.StringLiteral, *ast.NullLiteral, *ast.BooleanLiteral:
		return true
	case *ast.TemplateLiteral:
		return k.Tag == nil && len(k.Expressions) == 0
	case *ast.ConditionalExpression:
		return in.known(k.Consequent, depth+1) && in.known(k.Alternate, depth+1)
	case *ast.AssignExpression:
		return k.Operator == token.ASSIGN && in.known(k.Right, depth+1)
	case *ast.DotExpression: // Symbol.iterator
		id, ok := k.Left.(*ast.Identifier)
		return ok && id.Name == "Symbol" && !in.opaque["Symbol"] && in.values["Symbol"] == nil
	case *ast.Identifier:
		if in.variable(k, "name ", func(e ast.Expression) bool { return in.known(e, depth+1) }) {
			return true
		}
	}
	return in.number(key, depth)
}

// number tells whether an expression can only be a number (or a BigInt).
func (in *inspection) number(e ast.Expression, depth int) bool {
	if depth > 16 {
		return false
	}
	switch n := e.(type) {
	case *ast.NumberLiteral:
		return true
	case *ast.UnaryExpression:
		return slices.Contains([]token.Token{
			token.INCREMENT, token.DECREMENT, token.PLUS, token.MINUS, token.BITWISE_NOT,
		}, n.Operator)
	case *ast.BinaryExpression:
		if n.Operator == token.PLUS {
			return in.number(n.Left, depth+1) && in.number(n.Right, depth+1)
		}
		return arithmetic(n.Operator)
	case *ast.Identifier:
		return in.variable(n, "number ", func(e ast.Expression) bool { return in.number(e, depth+1) })
	}
	return false
}

// arithmetic tells whether an operator makes a number of whatever it is given.
func arithmetic(operator token.Token) bool {
	return slices.Contains([]token.Token{
		token.MINUS, token.MULTIPLY, token.SLASH, token.REMAINDER, token.EXPONENT, token.AND, token.OR,
		token.EXCLUSIVE_OR, token.SHIFT_LEFT, token.SHIFT_RIGHT, token.UNSIGNED_SHIFT_RIGHT,
	}, operator)
}

// variable tells whether every value of a variable passes. Variables that get
// their values from each other pass unless something else does not. The
// question tells apart what is asked of them.
func (in *inspection) variable(id *ast.Identifier, question string, passes func(ast.Expression) bool) bool {
	name := id.Name.String()
	values, declared := in.values[name]
	in.steps++
	if in.opaque[name] || !declared || in.steps > 10_000 {
		return false
	}
	question += name
	if in.asking[question] {
		return true
	}
	in.asking[question] = true
	defer delete(in.asking, question)
	for _, v := range values {
		if !passes(v) {
			return false
		}
	}
	return true
}

// walk visits the nodes of a tree of goja's, whatever their types: its fields
// and lists in turn.
func walk(v reflect.Value, visit func(node any) bool) {
	switch v.Kind() {
	case reflect.Interface:
		if !v.IsNil() {
			walk(v.Elem(), visit)
		}
	case reflect.Pointer:
		if v.IsNil() || !strings.HasSuffix(v.Type().Elem().PkgPath(), "goja/ast") || !visit(v.Interface()) {
			return
		}
		walk(v.Elem(), visit)
	case reflect.Slice:
		for i := range v.Len() {
			walk(v.Index(i), visit)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			field := v.Type().Field(i)
			// Declarations are listed twice: there, and where they are written.
			if field.Name == "DeclarationList" || !field.IsExported() {
				continue
			}
			if f := v.Field(i); f.Kind() == reflect.Struct && f.CanAddr() {
				walk(f.Addr(), visit)
			} else {
				walk(f, visit)
			}
		}
	default: // a value, not a node
	}
}
