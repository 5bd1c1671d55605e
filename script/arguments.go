package script

import (
	"github.com/dop251/goja"

	"pmilter/filter"
)

// arguments are what a phase's handler is called with: the session, then what
// the phase brings. The slice is good for one call.
func (w *World) arguments(c *filter.Call) []goja.Value {
	args := append(w.args[:0], w.sessionValue())
	switch c.Phase {
	case filter.Helo, filter.Unknown:
		return append(args, w.text(c.Name))
	case filter.Mail, filter.Rcpt:
		return append(args, w.addressValue(c.Address))
	case filter.Header:
		return append(args, w.text(c.HeaderName), w.text(c.HeaderValue))
	case filter.Body:
		// A copy: the script may keep it, and must not change the message by it.
		return append(args, w.uint8Array(append([]byte{}, c.Chunk...)))
	default:
		return args
	}
}
