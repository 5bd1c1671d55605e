// Package testbed runs tests of scripts: it finds the files, runs them in
// parallel, each in a JavaScript world of its own, and reports.
//
// A test's session() is a whole server: filter and milter engine, with internal/mta
// as the MTA at the other end of a pipe. So what a test sees is what happens on
// the wire, without a socket. Only the time differs: it stands still, and moves
// when the test says so or when everybody waits (clock.go).
package testbed
