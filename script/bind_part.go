package script

import (
	"github.com/dop251/goja"

	"pmilter/filter"
)

// partRef is a part as a script holds it: by its number, since the tree may be
// made anew. It is good until the body is replaced as a whole, or the message ends.
type partRef struct {
	m              *filter.Message
	generation, id int
}

func (w *World) partValue(m *filter.Message, generation, id int) goja.Value {
	return w.newHost(w.set.classes.part, partRef{m, generation, id})
}

func (w *World) parts(m *filter.Message, generation int, nodes []*filter.Node) goja.Value {
	values := make([]any, len(nodes))
	for i, n := range nodes {
		values[i] = w.partValue(m, generation, n.ID())
	}
	return w.rt.NewArray(values...)
}

// node is what a reference refers to; it throws when that is gone.
func (w *World) node(self any) *filter.Node {
	r := self.(partRef)
	n, err := r.m.Part(r.id, r.generation)
	w.throw(err)
	return n
}

func partClass() *class {
	get := func(f func(w *World, n *filter.Node) goja.Value) func(*World, any) goja.Value {
		return func(w *World, self any) goja.Value { return f(w, w.node(self)) }
	}
	return &class{
		name: "part",
		keys: []string{"type", "params", "disposition", "filename", "headers", "size", "content", "text", "parts"},
		get: map[string]func(*World, any) goja.Value{
			"type":        get(func(w *World, n *filter.Node) goja.Value { return w.text(n.Type()) }),
			"params":      get(func(w *World, n *filter.Node) goja.Value { return w.record(n.Part().Params()) }),
			"disposition": get(func(w *World, n *filter.Node) goja.Value { return w.text(n.Part().Disposition()) }),
			"filename":    get(func(w *World, n *filter.Node) goja.Value { return w.text(n.Part().Filename()) }),
			"headers":     func(w *World, self any) goja.Value { return w.headersOf(w.set.classes.partHeaders, self) },
			"size":        get(func(w *World, n *filter.Node) goja.Value { return w.rt.ToValue(n.Part().Size()) }),
			"content": get(func(w *World, n *filter.Node) goja.Value {
				w.fit(n.Part().Size(), "the part")
				return w.uint8Array(append([]byte{}, n.Part().Content()...))
			}),
			"text": get(func(w *World, n *filter.Node) goja.Value {
				w.fit(n.Part().Size(), "the part")
				return w.text(n.Part().Text())
			}),
			"parts": func(w *World, self any) goja.Value {
				r := self.(partRef)
				return w.parts(r.m, r.generation, w.node(self).Children())
			},
		},
		methods: map[string]method{
			"hash": func(w *World, self any, call goja.FunctionCall) goja.Value {
				sum, err := w.node(self).Part().Hash(w.stringArg(call, 0, "the algorithm"))
				w.throw(err)
				return w.text(sum)
			},
			"remove": func(w *World, self any, _ goja.FunctionCall) goja.Value {
				w.editPart(self, 0, func(tree *filter.Tree, n *filter.Node) error { return tree.Remove(n) })
				return goja.Undefined()
			},
			"replace": func(w *World, self any, call goja.FunctionCall) goja.Value {
				p := w.newPart(call)
				w.editPart(self, len(p.Content), func(tree *filter.Tree, n *filter.Node) error { return tree.Replace(n, p) })
				return goja.Undefined()
			},
		},
	}
}

func (w *World) editPart(self any, size int, do func(*filter.Tree, *filter.Node) error) {
	r := self.(partRef)
	w.node(self) // throws when it is gone
	w.throw(r.m.EditParts(size, func(tree *filter.Tree) error {
		n := tree.Node(r.id)
		if n == nil {
			return filter.ErrStalePart
		}
		return do(tree, n)
	}))
}

// partHeadersClass is the header of a part, which can be read.
func partHeadersClass() *class {
	all := headersClass()
	c := &class{name: "part.headers", keys: all.keys, get: all.get, methods: map[string]method{}}
	for _, name := range []string{"get", "raw", "getAll", "rawAll", "has"} {
		c.methods[name] = all.methods[name]
	}
	return c
}
