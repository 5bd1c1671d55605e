package span_test

import (
	"strings"
	"testing"
	"time"

	"pmilter/internal/span"
)

func TestParse(t *testing.T) {
	t.Parallel()
	good := map[string]time.Duration{
		"8s": 8 * time.Second, "1h": time.Hour, "14d": 14 * 24 * time.Hour, "1d12h": 36 * time.Hour,
		"1h30m": 90 * time.Minute, "1.5h": 90 * time.Minute, "500ms": 500 * time.Millisecond, "0": 0, "0d": 0,
		"36500d": span.Max, "36499d24h": span.Max,
	}
	for s, want := range good {
		if got, err := span.Parse(s); err != nil || got != want {
			t.Errorf("%q: got %v %v, want %v", s, got, err, want)
		}
	}
	for _, s := range []string{
		"", "8", "s", "-8s", "+8s", "8 s", "d", "-1d", "+1d", "1.5d", "1d-2h", "1d+2h", "1d2d", "8sec", "36501d", "36500d1ns", "99999999999d",
		"1000000h", "∞", " 1s", "1s\x00", "1m2d", "0x10d", strings.Repeat("1s", 51), strings.Repeat("9", 1000) + "d",
	} {
		if got, err := span.Parse(s); err == nil {
			t.Errorf("%q is taken as %v", s, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"1d12h", "36500d", "1.5h", "9223372036s", "-1s"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if d, err := span.Parse(s); err == nil && (d < 0 || d > span.Max) {
			t.Errorf("%q is %v", s, d)
		}
	})
}
