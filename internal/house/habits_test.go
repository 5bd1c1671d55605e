package house

import (
	"bytes"
	"go/ast"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestNoInitFunctions(t *testing.T) {
	t.Parallel()
	for _, f := range readSource(t) {
		for _, decl := range f.ast.Decls {
			if fn, ok := decl.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
				t.Errorf("%s: an init function: pass in what it prepares", f.set.Position(fn.Pos()))
			}
		}
	}
}

// TestNoGlobals: no state is shared behind the back of a function's arguments.
// What cannot change is no state: error sentinels, interface assertions, compiled
// regular expressions, embedded files. Anything else needs a
// "//nolint:gochecknoglobals // reason".
func TestNoGlobals(t *testing.T) {
	t.Parallel()
	for _, f := range readSource(t) {
		if f.test {
			continue
		}
		for _, decl := range f.ast.Decls {
			group, ok := decl.(*ast.GenDecl)
			if !ok || group.Tok != token.VAR {
				continue
			}
			for _, spec := range group.Specs {
				spec, ok := spec.(*ast.ValueSpec)
				if ok && !constant(spec) && !embedded(group, spec) && !excused(f, spec.Pos()) {
					t.Errorf("%s: package-level variable %s", f.set.Position(spec.Pos()), spec.Names[0].Name)
				}
			}
		}
	}
}

// constant tells of a variable that nobody has a reason to change.
func constant(spec *ast.ValueSpec) bool {
	if !slices.ContainsFunc(spec.Names, func(n *ast.Ident) bool { return n.Name != "_" }) {
		return true
	}
	if len(spec.Values) != len(spec.Names) {
		return false
	}
	for i, v := range spec.Values {
		call, ok := v.(*ast.CallExpr)
		if !ok {
			return false
		}
		fun, ok := call.Fun.(*ast.SelectorExpr)
		if !ok {
			return false
		}
		pkg, ok := fun.X.(*ast.Ident)
		if !ok {
			return false
		}
		name := strings.ToLower(spec.Names[i].Name)
		switch pkg.Name + "." + fun.Sel.Name {
		case "errors.New", "fmt.Errorf":
			if !strings.HasPrefix(name, "err") {
				return false
			}
		case "regexp.MustCompile":
		default:
			return false
		}
	}
	return true
}

func embedded(group *ast.GenDecl, spec *ast.ValueSpec) bool {
	for _, doc := range []*ast.CommentGroup{group.Doc, spec.Doc} {
		if doc != nil && slices.ContainsFunc(doc.List, func(c *ast.Comment) bool { return strings.HasPrefix(c.Text, "//go:embed ") }) {
			return true
		}
	}
	return false
}

// excused tells whether the line of pos, or the one above it, has a nolint for
// this with a reason.
func excused(f sourceFile, pos token.Pos) bool {
	line := f.set.Position(pos).Line
	reason := regexp.MustCompile(`^//nolint:(\w+,)*gochecknoglobals(,\w+)* // \S`)
	for _, group := range f.ast.Comments {
		for _, c := range group.List {
			if at := f.set.Position(c.Pos()).Line; (at == line || at == line-1) && reason.MatchString(c.Text) {
				return true
			}
		}
	}
	return false
}

// TestNoMachinePaths: a file of this repository means the same on any machine.
func TestNoMachinePaths(t *testing.T) {
	t.Parallel()
	// In two parts, so that this file does not find itself.
	places := regexp.MustCompile(`(?:^|[^\w./~-])/(?:wo` + `rk|fa` + `rm)/`)
	if !places.MatchString(`cd "/wo`+`rk/x"`) || places.MatchString("home/wo"+"rk/x") {
		t.Fatal("the expression is wrong")
	}
	for _, name := range tracked(t) {
		data, err := os.ReadFile(filepath.Join(top(t), name))
		if err != nil {
			continue // deleted, or a link to nothing
		}
		for i, line := range bytes.Split(data, []byte("\n")) {
			if places.Match(line) {
				t.Errorf("%s:%d: a path of one machine: %.80s", name, i+1, bytes.TrimSpace(line))
			}
		}
	}
}
