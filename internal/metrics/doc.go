// Package metrics counts what the server does, for Prometheus.
//
// Serving is the counters of one process that serves mail: it implements the
// filter's Meter, and what a message costs it is some hundred nanoseconds. Server is
// those of the whole, of which there is one: reloads, queues and their workers, the
// build and the process. Where several processes serve mail, each sends a Snapshot
// now and then, and a Merger adds them up, so that no counter goes down when a
// process ends.
//
// Names and units are as Prometheus' guide has them. Nothing that mail controls
// becomes a label: scripts and queues are named by the configuration, everything else
// is a word of this program's.
package metrics

// namespace begins the name of each metric that is ours.
const namespace = "pmilter"

// durationBuckets go from a handler that does nothing to handler.eom_timeout.
func durationBuckets() []float64 {
	return []float64{
		10e-6, 20e-6, 50e-6, 100e-6, 200e-6, 500e-6, 1e-3, 2e-3, 5e-3, 10e-3, 20e-3, 50e-3,
		0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60,
	}
}

// sizeBuckets go from a short note to the largest message that is let through by default.
func sizeBuckets() []float64 {
	return []float64{1 << 10, 4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20, 4 << 20, 16 << 20, 64 << 20, 128 << 20}
}
