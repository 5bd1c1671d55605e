package script

import "github.com/dop251/goja"

// bundle is all scripts of a set as one compiled program, immutable and shared
// by every world.
type bundle struct {
	// program's value is a strict function: called with $native(module, name),
	// which gives the value of an export of a pmilter module, it runs the
	// scripts' top-level code and returns an array of their exports, in order.
	program *goja.Program
	files   []string          // the scripts in order, as users see them
	imports []map[string]bool // of each script, neighbours included: "pmilter", "pmilter/vars" ...
	usage   usage
	inputs  []string // absolute paths that were read, and the folders they were listed from
	version string   // a short hash of the code
}
