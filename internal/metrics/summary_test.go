package metrics_test

import (
	"math"
	"testing"
	"time"

	"pmilter/filter"
	"pmilter/internal/admin"
	"pmilter/internal/metrics"
)

func TestSummarize(t *testing.T) {
	t.Parallel()
	s := newServing()
	m := s.Scripts(scripts("b.js", "a.js"))
	for range 98 {
		m.Called(1, filter.Rcpt, 15*time.Microsecond)
	}
	m.Called(1, filter.EOM, 1500*time.Millisecond)
	m.Called(1, filter.EOM, 2*time.Hour)
	m.Failed(1, filter.EOM, filter.TimedOut)
	m.Failed(1, filter.Rcpt, filter.Threw)
	m.Decided(1, filter.Rcpt, filter.Reject, false)
	m.Decided(1, filter.EOM, filter.Reject, false)
	m.Decided(-1, filter.EOM, filter.Accept, false)
	s.Received(1)
	s.Store("set", 0, true)
	s.DNS("auth", 0, true)
	var got admin.Status
	if err := metrics.Summarize(s.Gatherer(), &got); err != nil {
		t.Fatal(err)
	}
	if got.Connections.Accepted != 5 || got.Messages != 1 || got.Worlds != (admin.Worlds{Alive: 2, Stuck: 1, Dropped: 3}) || got.StoreErrors != 1 || got.DNSErrors != 1 {
		t.Errorf("%+v", got)
	}
	if len(got.Handlers) != 2 || got.Handlers[0].Script != "a.js" || got.Handlers[1].Calls != 0 {
		t.Fatalf("%+v", got.Handlers)
	}
	a := got.Handlers[0]
	if a.Calls != 100 || a.Errors != 2 || a.Verdicts["reject"] != 2 || a.Verdicts["accept"] != 0 {
		t.Errorf("%+v", a)
	}
	// 98 of a hundred between 10 and 20 us, the 99th between one and two seconds.
	if math.Abs(a.P50-(10e-6+10e-6*50/98)) > 1e-9 || a.P99 != 2 {
		t.Errorf("p50 %v, p99 %v", a.P50, a.P99)
	}
}
