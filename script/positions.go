package script

import (
	"github.com/dop251/goja"

	"pmilter/filter"
)

// ownPrefix begins the file names of code that is ours and not the author's.
const ownPrefix = "pmilter:"

// position is the innermost frame that is in the author's code; the zero
// Position if there is none.
func position(frames []goja.StackFrame) filter.Position { return filter.Position{} }

// positionInStack is the same for the text of an Error's stack.
func positionInStack(stack string) filter.Position { return filter.Position{} }
