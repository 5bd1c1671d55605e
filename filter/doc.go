// Package filter decides what happens to mail: it holds what is known of an
// SMTP session and its message, asks the scripts in order at each phase, keeps
// the edits they ask for, and turns the outcome into milter replies.
//
// It promises that a message gets exactly one verdict, that a script's fault
// costs what on_error says and nothing else, and that edits end as the model
// that scripts saw. It knows neither JavaScript (Handler is implemented by
// package script) nor sockets (package internal/milter calls Conn).
package filter
