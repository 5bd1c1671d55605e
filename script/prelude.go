package script

import (
	"fmt"
	"strings"

	"github.com/dop251/goja"
)

// prelude is JavaScript of ours that runs in a new world before any script: of
// an embedded file, those sections that the scripts can reach. "//@ a b" begins
// what is needed when a or b is mentioned, "//@ *" what always is. It is compiled
// once for a set, and safe for concurrent use.
type prelude struct {
	prg        *goja.Program
	parameters []string
	used       map[string]bool
}

// newPrelude compiles the sections that are wanted. The parameters are what the
// file is given; install leaves out those that no section uses.
func newPrelude(file, source string, u usage, parameters ...string) (*prelude, error) {
	p := &prelude{parameters: parameters, used: make(map[string]bool)}
	var chosen strings.Builder
	for _, s := range preludeSections(source) {
		if s.wanted(u) {
			chosen.WriteString(s.code)
		}
	}
	code := chosen.String()
	if code == "" {
		return p, nil
	}
	for _, name := range parameters {
		p.used[name] = strings.Contains(code, name)
	}
	prg, err := goja.Compile(ownPrefix+file, "(function("+strings.Join(parameters, ", ")+") {"+code+"})", true)
	if err != nil {
		return nil, fmt.Errorf("script: %s: %w", file, err)
	}
	p.prg = prg
	return p, nil
}

// install runs the prelude. given makes the value of a parameter.
func (p *prelude) install(rt *goja.Runtime, given func(name string) goja.Value) error {
	if p.prg == nil {
		return nil
	}
	main, err := rt.RunProgram(p.prg)
	if err != nil {
		return fmt.Errorf("script: prelude: %w", err)
	}
	call, ok := goja.AssertFunction(main)
	if !ok {
		return fmt.Errorf("script: prelude: %v is no function", main)
	}
	args := make([]goja.Value, len(p.parameters))
	for i, name := range p.parameters {
		args[i] = goja.Undefined()
		if p.used[name] {
			args[i] = given(name)
		}
	}
	if _, err := call(goja.Undefined(), args...); err != nil {
		return fmt.Errorf("script: prelude: %w", err)
	}
	return nil
}

// preludeSection is a part of a prelude and what brings it in.
type preludeSection struct {
	names []string
	code  string
}

func (s preludeSection) wanted(u usage) bool {
	for _, name := range s.names {
		if name == "*" || name == "[computed]" && u.dynamic || reachable(u, name) {
			return true
		}
	}
	return false
}

// preludeSections cuts a file at its "//@" lines.
func preludeSections(source string) []preludeSection {
	var sections []preludeSection
	for _, line := range strings.SplitAfter(source, "\n") {
		if rest, ok := strings.CutPrefix(line, "//@array "); ok {
			sections = append(sections, arrayGuard(strings.TrimSpace(rest)))
		} else if rest, ok := strings.CutPrefix(line, "//@ "); ok {
			sections = append(sections, preludeSection{names: strings.Fields(rest)})
		} else if n := len(sections); n > 0 {
			sections[n-1].code += line
		}
	}
	return sections
}

// syntaxNoted is in usage.names when "yield" and "..." would be, for the scripts that have them.
const syntaxNoted = "(syntax)"

// reachable tells whether scripts are taken to reach something by that name. A
// computed name alone does not bring in every guard, which would cost each
// connection more than all the rest of its world: method names come from the
// source in honest scripts. Whoever walks the objects themselves gets them all.
func reachable(u usage, name string) bool {
	if strings.HasPrefix(name, ownPrefix) {
		return u.names[name]
	}
	if u.dynamic && (len(u.names) == 0 || reflective(u)) {
		return true
	}
	if syntax := name == "yield" || name == "..."; syntax && !u.names[syntaxNoted] {
		return true
	}
	if owner, member, ok := strings.Cut(name, "."); ok && owner != "" {
		return u.names[owner] && u.names[member]
	}
	return u.names[name]
}

func reflective(u usage) bool {
	for _, walker := range []string{
		"globalThis", "Reflect", "eval", "getOwnPropertyNames", "getOwnPropertyDescriptor", "getOwnPropertyDescriptors",
		"__lookupGetter__", "__lookupSetter__",
	} {
		if u.names[walker] {
			return true
		}
	}
	return false
}

// throwError throws a new error of a built-in class, at the script's line. Only
// for functions that JavaScript called.
func throwError(rt *goja.Runtime, class, format string, args ...any) {
	message := fmt.Sprintf(format, args...)
	if constructor, ok := rt.Get(class).(*goja.Object); ok {
		if e, err := rt.New(constructor, rt.ToValue(message)); err == nil {
			panic(e)
		}
	}
	panic(rt.NewTypeError(message))
}

// throwAgain passes on what a call into JavaScript ended with: an exception, or
// an interrupt, which nothing may hold up.
func throwAgain(err error) {
	if err != nil {
		panic(err)
	}
}
