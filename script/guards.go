package script

import (
	_ "embed"
	"fmt"
	"math/big"
	"strings"
	"time"

	"github.com/dlclark/regexp2/v2"
	"github.com/dop251/goja"
)

// defaultMaxValue is [handler] max_value.
const defaultMaxValue = 64 << 20

// bytesPerElement is what an element of an array counts against max_value: one
// step over it in Go costs up to a microsecond, and no interrupt stops it.
const bytesPerElement = 64

// maxDepth is how deep values may nest where Go's stack has to follow them: its
// overflow ends the process.
const maxDepth = 1000

//go:embed guards.js
var guardsSource string

// LimitRegexp stops each match of a regular expression that needs backtracking
// (lookaround, backreferences, matching from an index) after d, which goja then
// takes for "no match": choose d above the longest deadline of a handler, so that
// the interrupt has come first. The limit is regexp2's and the whole process's:
// call it once, before the first Load; it is not safe for concurrent use.
func LimitRegexp(d time.Duration) { regexp2.DefaultMatchTimeout = d }

// guards puts limits around those built-ins of goja that no interrupt stops:
// see guards.js. It is compiled once for a set, and safe for concurrent use.
type guards struct{ prelude *prelude }

// newGuards chooses the guards around what the scripts can reach.
func newGuards(u usage) (*guards, error) {
	p, err := newPrelude("guards.js", guardsSource, u,
		"MAX", "LEN", "ITERATOR", "SPECIES", "MATCH", "SPREADABLE", "PRIMITIVE", "checkJSON", "stringify", "revive", "rewrite", "bitLength")
	if err != nil {
		return nil, err
	}
	return &guards{p}, nil
}

// install sets the guards in a new runtime, before any script runs in it: they
// keep the originals to themselves, so that a script that patches built-ins hurts
// only itself. maxValue is [handler] max_value, 0 for its default.
func (g *guards) install(rt *goja.Runtime, maxValue int64) error {
	if maxValue <= 0 {
		maxValue = defaultMaxValue
	}
	j := &jsonGuard{rt: rt, maxValue: maxValue, maxLen: max(maxValue/bytesPerElement, 1)}
	return g.prelude.install(rt, func(name string) goja.Value {
		switch name {
		case "MAX":
			return rt.ToValue(maxValue)
		case "LEN":
			return rt.ToValue(j.maxLen)
		case "ITERATOR":
			return goja.SymIterator
		case "SPECIES":
			return goja.SymSpecies
		case "MATCH":
			return goja.SymMatch
		case "SPREADABLE":
			return goja.SymIsConcatSpreadable
		case "PRIMITIVE":
			return goja.SymToPrimitive
		case "checkJSON":
			return rt.ToValue(j.check)
		case "stringify":
			return rt.ToValue(j.stringify)
		case "revive":
			return rt.ToValue(j.revive)
		case "bitLength":
			return rt.ToValue(func(c goja.FunctionCall) goja.Value {
				n, _ := c.Argument(0).Export().(*big.Int)
				if n == nil {
					return rt.ToValue(0)
				}
				return rt.ToValue(n.BitLen())
			})
		case "rewrite":
			return rt.ToValue(func(c goja.FunctionCall) goja.Value { return rewriteGuard(rt, c) })
		}
		return goja.Undefined()
	})
}

// arrayGuard is the guard around one method of Array.prototype: see the end of guards.js.
func arrayGuard(signature string) preludeSection {
	name, parameters, _ := strings.Cut(strings.TrimSuffix(signature, ")"), "(")
	parameters, asTheyCame := strings.CutSuffix(parameters, " ...")
	arguments := "arguments"
	if !asTheyCame {
		arguments = "[" + strings.ReplaceAll(parameters, " = undefined", "") + "]"
	}
	code := fmt.Sprintf("{ const f = A.%[1]s; A.%[1]s = ({ %[1]s(%[2]s) { small(this); return apply(f, this, %[3]s); } }).%[1]s; }\n",
		name, parameters, arguments)
	return preludeSection{names: []string{name}, code: code}
}

// rewriteGuard is a pattern as goja may have it, or an object with the message
// of the SyntaxError that it is.
func rewriteGuard(rt *goja.Runtime, c goja.FunctionCall) goja.Value {
	pattern, flags := c.Argument(0).String(), c.Argument(1).String()
	if !strings.Contains(pattern, `\p`) && !strings.Contains(pattern, `\P`) && !strings.Contains(flags, "v") {
		return c.Argument(0) // lone surrogates stay what they are
	}
	rewritten, err := rewritePattern(pattern, flags)
	if err != nil {
		fault := rt.NewObject()
		_ = fault.Set("message", err.Error())
		return fault
	}
	return rt.ToValue(rewritten)
}
