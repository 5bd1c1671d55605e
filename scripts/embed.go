// Package scripts is the folder that `make run` serves. Of Go it has only the
// types of what scripts can import, for editors: `pmilterd init` writes them.
package scripts

import _ "embed"

// Types is pmilter.d.ts.
//
//go:embed pmilter.d.ts
var Types string
