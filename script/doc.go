// Package script runs the JavaScript and TypeScript handlers of a filter.
//
// A Library bundles the scripts into one program (esbuild), checks it in a
// throwaway world and swaps it in, now and whenever a file changes. A Set is
// one such program; a World is one goja runtime that runs it for one SMTP
// connection. Every stretch of JavaScript runs under a shared watchdog that
// interrupts it at its deadline and, when a built-in cannot be interrupted, has
// the call answered by another goroutine.
//
// Scripts reach nothing but what the bindings (bind_*.go) give them: no files,
// no processes, no network. Only this package imports goja.
package script
