package script

import (
	"math/big"
	"reflect"

	"github.com/dop251/goja"
)

// kindOf tells structuredClone (in globals.js) what an object is, whatever it
// says of itself.
func kindOf(rt *goja.Runtime, c goja.FunctionCall) goja.Value {
	o, ok := c.Argument(0).(*goja.Object)
	if !ok {
		return goja.Undefined()
	}
	return rt.ToValue(objectKind(o))
}

// objectKind is the class of an object that can be cloned, or what else it is.
// Typed arrays and DataViews are known before.
func objectKind(o *goja.Object) string {
	t := o.ExportType()
	switch t {
	case reflect.TypeFor[goja.Proxy]():
		return "a Proxy"
	case reflect.TypeFor[goja.ArrayBuffer]():
		return "ArrayBuffer"
	case reflect.TypeFor[*goja.Promise]():
		return "a Promise"
	}
	switch class := o.ClassName(); class {
	case "Array", "Date", "RegExp", "Error", "Boolean", "Number", "String":
		return class
	case "Function", "AsyncFunction", "GeneratorFunction":
		return "a function"
	}
	switch t {
	case reflect.TypeFor[map[string]any]():
		return "Object"
	case reflect.TypeFor[[][2]any]():
		return "Map"
	case reflect.TypeFor[[]any]():
		return "Set"
	case reflect.TypeFor[*big.Int]():
		return "BigInt"
	}
	return "an object of the server" // of Go
}

// plainOf is what a Boolean, Number or BigInt object wraps.
func plainOf(rt *goja.Runtime, c goja.FunctionCall) goja.Value {
	if o, ok := c.Argument(0).(*goja.Object); ok {
		return rt.ToValue(o.Export())
	}
	return c.Argument(0)
}
