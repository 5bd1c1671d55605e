package metrics

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"
	"go.uber.org/zap"
)

// maxScrapes is how many scrapes are answered at once.
const maxScrapes = 4

// Handler answers with the metrics of all in the format that the client asks for. What
// cannot be gathered is left out and logged. Who goes away before the end is told of, once
// for each metric, at debug: it may be anybody, as often as it likes.
func Handler(log *zap.Logger, all ...prometheus.Gatherer) http.Handler {
	log = log.Named("metrics")
	gone, err := zap.NewStdLogAt(log, zap.DebugLevel)
	if err != nil {
		gone = zap.NewStdLog(log) // it is a level
	}
	return promhttp.HandlerFor(logged(log, prometheus.Gatherers(all)), promhttp.HandlerOpts{
		ErrorHandling: promhttp.ContinueOnError, ErrorLog: gone, MaxRequestsInFlight: maxScrapes,
	})
}

// logged logs what g cannot gather.
func logged(log *zap.Logger, g prometheus.Gatherer) prometheus.Gatherer {
	return prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) {
		families, err := g.Gather()
		if err != nil {
			log.Warn("some metrics cannot be gathered", zap.Error(err))
		}
		return families, err
	})
}
