package script

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/dop251/goja"
	"github.com/dop251/goja/ast"
	"github.com/dop251/goja/parser"

	"pmilter/filter"
)

// compile makes goja's program of esbuild's code: regular expressions that goja
// would misread are rewritten, the names in use are noted, and positions lead
// to the author's source.
func (b *builder) compile(out *bundle, code string, positions *sourceMap) bool {
	tree, fault := parseBundle(code, positions)
	if fault != nil {
		b.faults = append(b.faults, *fault)
		return false
	}
	authored := authoredFrom(code, positions)
	found := inspect(tree, authored)
	if b.queues != nil {
		b.faults = append(b.faults, queueFaults(code, positions, found, b.queues)...)
	}
	rewritten, faults := rewriteLiterals(code, positions, found.regexps)
	if b.faults = append(b.faults, faults...); b.faults.Fatal() {
		return false
	}
	if rewritten != code {
		if tree, fault = parseBundle(rewritten, positions); fault != nil {
			b.faults = append(b.faults, *fault)
			return false
		}
		code = rewritten
	}
	guardOperators(tree, found.usage)
	if b.cover != nil {
		out.covered = b.cover.cover(tree, code, positions)
	}
	program, err := goja.CompileAST(tree, true)
	if err != nil {
		b.faults = append(b.faults, compileFault(err))
		return false
	}
	mapping, err := positions.gojaMap(linesBefore)
	if err != nil {
		b.internal(err)
		return false
	}
	out.program, out.usage = program, found.usage
	out.version = versionOf(code, mapping)
	out.code, out.mapping, out.authored = code, mapping, authored
	return true
}

// parseBundle parses the code in its function, with the source map in place.
func parseBundle(code string, positions *sourceMap) (*ast.Program, *Fault) {
	mapping, err := positions.gojaMap(linesBefore)
	if err != nil {
		return nil, &Fault{Message: err.Error()}
	}
	tree, err := parseMapped(code, mapping)
	if err == nil {
		return tree, nil
	}
	// The first error is the true one. The parser knows the map only at its end,
	// so its errors are at places in the bundle.
	var list parser.ErrorList
	if !errors.As(err, &list) || len(list) == 0 {
		return nil, &Fault{Message: err.Error()}
	}
	first := list[0]
	line, column := first.Position.Line-1-linesBefore, first.Position.Column-1
	source, fromLine, fromColumn := positions.find(line, column)
	fault := &Fault{Message: "SyntaxError: " + first.Message}
	if author(source) {
		fault.Pos = filter.Position{File: source, Line: fromLine + 1, Column: fromColumn + 1}
	}
	if at := lineOffset(code, line) + column; line >= 0 && at < len(code) && strings.HasPrefix(code[at:], "import(") {
		fault.Message = "import() needs the file's name as a literal, so that it can be bundled"
	}
	return nil, fault
}

func parseMapped(code string, mapping []byte) (*ast.Program, error) {
	load := func(string) ([]byte, error) { return mapping, nil }
	return parser.ParseFile(nil, bundleFile, bundleHead+code+bundleTail, 0, parser.WithSourceMapLoader(load))
}

// compileFault is a fault that goja finds after parsing; it has mapped the place.
func compileFault(err error) Fault {
	f := Fault{Message: err.Error()}
	var syntax *goja.CompilerSyntaxError
	var reference *goja.CompilerReferenceError
	var at *goja.CompilerError
	switch {
	case errors.As(err, &syntax):
		at, f.Message = &syntax.CompilerError, "SyntaxError: "+syntax.Message
	case errors.As(err, &reference):
		at, f.Message = &reference.CompilerError, "ReferenceError: "+reference.Message
	}
	if at == nil || at.File == nil {
		return f
	}
	if p := at.File.Position(at.Offset); author(p.Filename) {
		f.Pos = filter.Position{File: shownSource(p.Filename), Line: p.Line, Column: p.Column}
	}
	return f
}

// lineOffset is where a line, counted from 0, begins.
func lineOffset(code string, line int) int {
	at := 0
	for ; line > 0; line-- {
		i := strings.IndexByte(code[at:], '\n')
		if i < 0 {
			return len(code)
		}
		at += i + 1
	}
	return at
}

// authoredFrom is the offset in the bundle at which esbuild's helpers end.
func authoredFrom(code string, positions *sourceMap) int {
	line, column, ok := positions.authored()
	if !ok {
		return len(code)
	}
	return lineOffset(code, line) + column
}

// rewriteLiterals replaces the regular expressions that goja would misread.
func rewriteLiterals(code string, positions *sourceMap, literals []*ast.RegExpLiteral) (string, Faults) {
	var faults Faults
	// From the last to the first, so that the places of the others stay.
	for i := len(literals) - 1; i >= 0; i-- {
		lit := literals[i]
		pattern, err := rewritePattern(lit.Pattern, lit.Flags)
		if err == nil && pattern == lit.Pattern {
			continue
		}
		start := int(lit.Idx) - 1 - len(bundleHead)
		old := "/" + lit.Pattern + "/" + lit.Flags
		line := strings.Count(code[:max(start, 0)], "\n")
		column := start - lineOffset(code, line)
		source, fromLine, fromColumn := positions.find(line, column)
		place := filter.Position{File: source, Line: fromLine + 1, Column: fromColumn + 1}
		if start < 0 || !strings.HasPrefix(code[start:], old) {
			return code, Faults{{Pos: place, Message: fmt.Sprintf("cannot find the regular expression %.40s again", old)}}
		}
		if err != nil {
			faults = slices.Insert(faults, 0, Fault{Pos: place, Message: "SyntaxError: " + err.Error()})
			continue
		}
		replacement := "/" + pattern + "/" + lit.Flags
		positions.shift(line, column+len(old), len(replacement)-len(old))
		code = code[:start] + replacement + code[start+len(old):]
	}
	return code, faults
}
