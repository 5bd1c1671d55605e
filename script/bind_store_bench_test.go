package script

import (
	"testing"
	"time"

	"go.uber.org/zap"

	"pmilter/filter"
	"pmilter/internal/store"
)

// awaited hides that a store never waits.
type awaited struct{ Store }

// BenchmarkStoreIncr is an `await store.incr(key)` in a handler, less what an
// await of a promise that is there costs.
func BenchmarkStoreIncr(b *testing.B) {
	m := store.NewMemory(time.Now)
	for name, tt := range map[string]struct {
		store Store
		code  string
	}{
		"memory":    {m, `for (let i = 0; i < n; i++) await store.incr("n");`},
		"goroutine": {awaited{m}, `for (let i = 0; i < n; i++) await store.incr("n");`},
		"nothing":   {m, `for (let i = 0; i < n; i++) await i; store.get("n");`},
	} {
		b.Run(name, func(b *testing.B) {
			l := oneScript(b, "import store from \"pmilter/store\";\nexport async function helo(s, n) { n = Number(n); "+tt.code+" }")
			bundle, _, faults := newBundle(l.o)
			if faults.Fatal() {
				b.Fatal(faults)
			}
			limits := Limits{Timeout: time.Hour, CPU: time.Hour, Memory: 1 << 32, MaxValue: 64 << 20}
			d := newWatchdog(limits)
			b.Cleanup(d.close)
			set, faults := newSet(bundle, setOptions{Limits: limits, Log: zap.NewNop(), watchdog: d, Services: Services{Store: tt.store}})
			if faults.Fatal() {
				b.Fatal(faults)
			}
			const each = 1000
			call := &filter.Call{Phase: filter.Helo, Deadline: time.Now().Add(time.Hour), Name: "1000"}
			h, err := set.Open(&filter.Session{}, call)
			if err != nil {
				b.Fatal(err)
			}
			defer h.Close()
			for range b.N/each + 1 {
				if _, err := h.Call(call); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
