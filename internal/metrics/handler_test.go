package metrics_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"pmilter/internal/metrics"
)

// goneClient is a client that has hung up.
type goneClient struct{ http.ResponseWriter }

func (goneClient) Write([]byte) (int, error) { return 0, errors.New("broken pipe") }

// TestHandlerLog: who hangs up in a scrape writes nothing into the log; what cannot be
// gathered is there.
func TestHandlerLog(t *testing.T) {
	t.Parallel()
	core, lines := observer.New(zap.InfoLevel)
	request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil)
	metrics.Handler(zap.New(core), everything()).ServeHTTP(goneClient{httptest.NewRecorder()}, request)
	if n := lines.Len(); n > 0 {
		t.Errorf("a client that has hung up: %d lines, the first is %v", n, lines.All()[0])
	}
	broken := prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) { return nil, errors.New("no disk") })
	answer := httptest.NewRecorder()
	metrics.Handler(zap.New(core), everything(), broken).ServeHTTP(answer, request)
	if answer.Code != http.StatusOK || lines.FilterMessageSnippet("cannot be gathered").Len() != 1 {
		t.Errorf("a gatherer that fails: %d, log %v", answer.Code, lines.All())
	}
}
