package script

import (
	"github.com/dop251/goja"

	"pmilter/filter"
)

// mailGetters are the properties of a message that are read as a person would.
func mailGetters() map[string]func(*World, any) goja.Value {
	header := func(f func(w *World, r *filter.Reading) goja.Value) func(*World, any) goja.Value {
		return func(w *World, self any) goja.Value { return f(w, w.reading(self.(*filter.Message))) }
	}
	return map[string]func(*World, any) goja.Value{
		"subject":   header(func(w *World, r *filter.Reading) goja.Value { return w.text(r.Subject()) }),
		"from":      header(func(w *World, r *filter.Reading) goja.Value { return w.mailboxes(r.From()) }),
		"to":        header(func(w *World, r *filter.Reading) goja.Value { return w.mailboxes(r.To()) }),
		"cc":        header(func(w *World, r *filter.Reading) goja.Value { return w.mailboxes(r.Cc()) }),
		"date":      header(dateValue),
		"messageId": header(func(w *World, r *filter.Reading) goja.Value { return w.text(r.MessageID()) }),
		"text":      shownText((*filter.Message).Text),
		"html":      shownText((*filter.Message).HTML),
		"defects": func(w *World, self any) goja.Value {
			w.mayReadBody()
			m := self.(*filter.Message)
			_, err := m.Body()
			w.throw(err)
			return w.strings(w.reading(m).Defects())
		},
		"parts": func(w *World, self any) goja.Value {
			w.mayReadBody()
			m := self.(*filter.Message)
			tree, generation := w.tree(m)
			root := tree.Root()
			nodes := root.Children()
			if len(nodes) == 0 || root.Type() == "message/rfc822" {
				nodes = []*filter.Node{root}
			}
			return w.parts(m, generation, nodes)
		},
		"attachments": func(w *World, self any) goja.Value {
			w.mayReadBody()
			m := self.(*filter.Message)
			tree, generation := w.tree(m)
			return w.parts(m, generation, tree.Attachments())
		},
	}
}

func shownText(of func(*filter.Message) (string, error)) func(*World, any) goja.Value {
	return func(w *World, self any) goja.Value {
		w.mayReadBody()
		text, err := of(self.(*filter.Message))
		w.throw(err)
		return w.text(text)
	}
}

// reading is the message as a mail reader sees it; it throws when it may not be read.
func (w *World) reading(m *filter.Message) *filter.Reading {
	r, err := m.Read()
	w.throw(err)
	return r
}

func (w *World) tree(m *filter.Message) (*filter.Tree, int) {
	tree, generation, err := m.Parts()
	w.throw(err)
	return tree, generation
}

func (w *World) mailboxes(list []filter.Mailbox) goja.Value {
	values := make([]any, len(list))
	for i, b := range list {
		values[i] = w.record(map[string]string{"name": b.Name, "address": b.Address, "local": b.Local, "domain": b.Domain})
	}
	return w.rt.NewArray(values...)
}

func (w *World) strings(list []string) goja.Value {
	values := make([]any, len(list))
	for i, s := range list {
		values[i] = w.text(s)
	}
	return w.rt.NewArray(values...)
}

func dateValue(w *World, r *filter.Reading) goja.Value {
	date, ok := r.Date()
	if !ok {
		return goja.Null()
	}
	value, err := w.rt.New(w.rt.GlobalObject().Get("Date"), w.rt.ToValue(date.UnixMilli()))
	if err != nil {
		panic(err)
	}
	return value
}

// addPart is message.addPart(content, options): it returns the new part.
func addPart(w *World, self any, call goja.FunctionCall) goja.Value {
	m := self.(*filter.Message)
	w.mayReadBody()
	p := w.newPart(call)
	id := 0
	w.throw(m.EditParts(len(p.Content), func(tree *filter.Tree) error {
		n, err := tree.Add(p)
		if err == nil {
			id = n.ID()
		}
		return err
	}))
	_, generation := w.tree(m)
	return w.partValue(m, generation, id)
}

// appendText is message.appendText({ text, html }): it returns how many parts
// have it now.
func appendText(w *World, self any, call goja.FunctionCall) goja.Value {
	w.mayReadBody()
	text, html := w.option(call, 0, "text"), w.option(call, 0, "html")
	if text == "" && html == "" {
		panic(w.rt.NewTypeError("appendText needs { text } or { html }, or both"))
	}
	changed := 0
	w.throw(self.(*filter.Message).EditParts(len(text)+len(html), func(tree *filter.Tree) (err error) {
		changed, err = tree.AppendText(text, html)
		return err
	}))
	return w.rt.ToValue(changed)
}

// wrap is message.wrap({ subject, text }): the message as it stands becomes an
// attachment of a new one with its header.
func wrap(w *World, self any, call goja.FunctionCall) goja.Value {
	m := self.(*filter.Message)
	w.mayReadBody()
	subject, text := w.option(call, 0, "subject"), w.option(call, 0, "text")
	original, err := m.Raw()
	w.throw(err)
	w.throw(m.EditParts(len(original)+len(text), func(tree *filter.Tree) error {
		tree.Wrap(original, text)
		return nil
	}))
	if subject != "" {
		w.throw(m.SetHeader("Subject", subject))
	}
	return goja.Undefined()
}

// option is a string of an object of options, "" when it is not there.
func (w *World) option(call goja.FunctionCall, n int, key string) string {
	o, ok := call.Argument(n).(*goja.Object)
	if !ok {
		return ""
	}
	v := o.Get(key)
	if v == nil || goja.IsUndefined(v) || goja.IsNull(v) {
		return ""
	}
	return bytesOf(v)
}

// newPart is the arguments (content, { type, filename, disposition }).
func (w *World) newPart(call goja.FunctionCall) filter.NewPart {
	_, text := call.Argument(0).(goja.String)
	return filter.NewPart{
		Content: w.bodyArg(call, 0), Text: text,
		Type: w.option(call, 1, "type"), Filename: w.option(call, 1, "filename"), Disposition: w.option(call, 1, "disposition"),
	}
}
