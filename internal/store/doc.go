// Package store keeps what scripts share: values, counters, limits and holds, one
// view for every connection, process and job.
//
// Memory and File live in one process, which serves others over a socket (Serve,
// Client); Redis is shared as it is. All have the same semantics, those of Store,
// held by one test suite. It promises that keys and values have bounds (MaxKey,
// MaxValue), that Memory has one too, and that no operation outlasts its context,
// Redis's not a second. It refuses to know what the values mean, but for Incr,
// which wants whole numbers.
package store
