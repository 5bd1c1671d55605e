package script

import (
	"testing"
	"time"

	"github.com/dop251/goja"
)

// TestSpanOf: all modules read a length of time alike.
func TestSpanOf(t *testing.T) {
	t.Parallel()
	rt := goja.New()
	for code, want := range map[string]time.Duration{
		`"90s"`: 90 * time.Second, `"1d12h"`: 36 * time.Hour, `250`: 250 * time.Millisecond, `0.5`: 500 * time.Microsecond, `0`: 0, `"0s"`: 0,
		`36500 * 24 * 3600e3`: 36500 * 24 * time.Hour,
	} {
		v, err := rt.RunString(code)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := spanOf(v); err != nil || got != want {
			t.Errorf("%s: %v, %v", code, got, err)
		}
	}
	for _, code := range []string{
		`NaN`, `Infinity`, `-1`, `1e300`, `36500 * 24 * 3600e3 + 1`, `"5"`, `"-5s"`, `"+5s"`, `"1 hour"`, `""`, `"1s".repeat(1e6)`,
		`null`, `undefined`, `true`, `({})`, `5n`, `new Date(5)`, `Symbol()`,
	} {
		v, err := rt.RunString(code)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := spanOf(v); err == nil {
			t.Errorf("%s is taken as %v", code, got)
		}
	}
}
