package metrics

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.uber.org/zap"
)

// maxScrapes is how many scrapes are answered at once.
const maxScrapes = 4

// Handler answers with the metrics of all in the format that the client asks for. What
// cannot be gathered is left out and logged.
func Handler(log *zap.Logger, all ...prometheus.Gatherer) http.Handler {
	return promhttp.HandlerFor(prometheus.Gatherers(all), promhttp.HandlerOpts{
		ErrorHandling: promhttp.ContinueOnError, ErrorLog: zap.NewStdLog(log.Named("metrics")), MaxRequestsInFlight: maxScrapes,
	})
}
