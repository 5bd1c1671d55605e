package script

import (
	"github.com/dop251/goja"
)

// Tables opens Postfix's text tables for pmilter/table. Safe for concurrent use.
type Tables interface {
	// Table is the table of a specification such as "cidr:clients.cidr". The
	// first time it reads the file; later it does not block.
	Table(spec string) (Table, error)
}

// Table is one table. Safe for concurrent use; Get does not block.
type Table interface {
	Get(key string) (value string, found bool)
}

func tableModule() module { return module{[]string{"table"}, (*World).tableExport} }

// tableExport is table(spec). It may be called while scripts are loaded: a table
// that cannot be read is a fault of the script that names it.
func (w *World) tableExport(string) goja.Value {
	return w.function("table", func(call goja.FunctionCall) goja.Value {
		spec := w.stringArg(call, 0, "the table's specification")
		if w.set.o.Services.Tables == nil {
			panic(w.rt.NewTypeError("table: there are no tables here"))
		}
		var opened Table
		var err error
		w.untimed(func() { opened, err = w.set.o.Services.Tables.Table(spec) })
		w.throw(err)
		return w.newHost(w.set.classes.table, opened)
	})
}

func tableClass() *class {
	return &class{
		name: "table",
		methods: map[string]method{
			"get": func(w *World, self any, call goja.FunctionCall) goja.Value {
				value, found := self.(Table).Get(w.stringArg(call, 0, "the key"))
				if !found {
					return goja.Null()
				}
				return w.text(value)
			},
		},
	}
}
