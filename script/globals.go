package script

import (
	"crypto/rand"
	_ "embed"
	"io"

	"github.com/dop251/goja"
)

//go:embed globals.js
var globalsSource string

// globals are the global functions and classes that are no part of ECMAScript:
// console, timers, TextEncoder and TextDecoder, URL and URLSearchParams, atob and
// btoa, crypto.randomUUID, structuredClone. Those that the scripts mention are
// compiled once for a set. Safe for concurrent use.
type globals struct{ prelude *prelude }

// host is what the globals of one world do their work with.
type globalsHost struct {
	timers  func() *timers // made at the first use
	console *console
	random  io.Reader
}

func newGlobals(u usage) (*globals, error) {
	p, err := newPrelude("globals.js", globalsSource, u,
		"print", "startTimer", "stopTimer", "encodeText", "encodeInto", "encodingName", "decodeText",
		"fromBase64", "toBase64", "urlParse", "urlSet", "queryParse", "queryEscape", "randomUUID", "kindOf", "plainOf")
	if err != nil {
		return nil, err
	}
	return &globals{p}, nil
}

// install sets them in a new runtime, before any script and before the guards.
func (g *globals) install(rt *goja.Runtime, h globalsHost) error {
	return g.prelude.install(rt, func(name string) goja.Value {
		natives := map[string]func(goja.FunctionCall) goja.Value{
			"print":        h.console.print,
			"startTimer":   func(c goja.FunctionCall) goja.Value { return h.timers().start(c) },
			"stopTimer":    func(c goja.FunctionCall) goja.Value { return h.timers().clear(c) },
			"encodeText":   native(rt, encodeText),
			"encodeInto":   native(rt, encodeInto),
			"encodingName": native(rt, encodingName),
			"decodeText":   native(rt, decodeText),
			"fromBase64":   native(rt, fromBase64),
			"toBase64":     native(rt, toBase64),
			"urlParse":     native(rt, urlParse),
			"urlSet":       native(rt, urlSet),
			"queryParse":   native(rt, queryParse),
			"queryEscape":  native(rt, queryEscape),
			"randomUUID":   func(goja.FunctionCall) goja.Value { return rt.ToValue(randomUUID(rt, h.random)) },
			"kindOf":       native(rt, kindOf),
			"plainOf":      native(rt, plainOf),
		}
		return rt.ToValue(natives[name])
	})
}

func native(rt *goja.Runtime, f func(*goja.Runtime, goja.FunctionCall) goja.Value) func(goja.FunctionCall) goja.Value {
	return func(c goja.FunctionCall) goja.Value { return f(rt, c) }
}

// worldGlobals are the means of the globals in a world.
func worldGlobals(w *World) globalsHost {
	return globalsHost{
		timers: func() *timers {
			if w.timers == nil {
				w.timers = newTimers(w.rt, w.clock, w.post, w.timerFailed)
			}
			return w.timers
		},
		console: newConsole(w.rt, w.logger),
		random:  rand.Reader,
	}
}
