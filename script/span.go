package script

import (
	"math"
	"time"

	"github.com/dop251/goja"

	"pmilter/internal/span"
)

// spanOf is a length of time: "90s", "1h30m", "1d12h", or a number of
// milliseconds; from 0 to a hundred years. It is how all modules read one.
func spanOf(v goja.Value) (time.Duration, error) {
	if goja.IsNumber(v) {
		ms := v.ToFloat()
		if !(ms >= 0 && ms <= float64(span.Max.Milliseconds())) { // NaN too
			return 0, span.ErrSyntax
		}
		return time.Duration(math.Ceil(ms * float64(time.Millisecond))), nil
	}
	text, ok := v.(goja.String)
	if !ok || text.Length() > 100 {
		return 0, span.ErrSyntax
	}
	return span.Parse(text.String())
}
