package filter

import (
	"time"
)

// Scripts is one loaded set of scripts: immutable, safe for concurrent use.
// A connection keeps the set it began with.
type Scripts interface {
	// Version names the set in logs.
	Version() string
	// List is the scripts in the order in which they run.
	List() []Script
	// Open makes the world that serves one connection, for its first call and
	// under that one's deadline and Overrun. s stays the world's
	// session until Close. An error is a fault in a script's top-level code
	// (a *ScriptError).
	Open(s *Session, first *Call) (Handler, error)
}

// Script is what is known of one script after loading it.
type Script struct {
	Name    string // as it is shown to the user
	Phases  Phases // which handlers it exports
	Headers bool   // needs the headers
	Body    bool   // needs the body
	Queues  bool   // may put messages on queues
	Early   bool   // header, eoh and body are answered at once
	Observe bool   // what it would do is logged and not done
	OnError Action // Tempfail, Accept or Reject; Continue: as configured
}

// Handler runs the scripts of one connection: one JavaScript world. It is used
// from one goroutine at a time.
type Handler interface {
	// Call runs one handler of one script and returns its verdict, or a
	// *ScriptError. It returns at the deadline at the latest, unless the script
	// is in a place that cannot be stopped: then c.Overrun is called, from
	// another goroutine, and what Call returns later is of no interest.
	Call(c *Call) (Verdict, error)
	// Close frees the world. It must not be called while Call runs.
	Close()
}

// Call is one call of one handler.
type Call struct {
	Script   int // index in Scripts.List
	Phase    Phase
	Deadline time.Time // of the whole phase, awaits included

	Name                    string   // helo: the name; unknown: the command
	Address                 *Address // mail, rcpt
	HeaderName, HeaderValue string   // header
	Chunk                   []byte   // body: valid during the call

	// Overrun is called at most once, when the call passed its deadline and
	// could not be stopped: from then on the world, its session and its
	// message belong to the goroutine that still runs, for good.
	Overrun func(*ScriptError)
}

// ScriptError is a fault of a script: it threw, overran, or answered nonsense.
type ScriptError struct {
	Script  string
	Phase   Phase
	Pos     Position // where in the author's source, as far as known
	Message string   // one line: "TypeError: x is not a function"
	Stack   string   // the author's frames, one a line; may be empty
	Kind    FaultKind
	// Dropped: the world cannot be used any more.
	Dropped bool
}

// Error is "file:line:column: message".
func (e *ScriptError) Error() string {
	if e.Pos.File == "" {
		return e.Script + ": " + e.Message
	}
	return e.Pos.String() + ": " + e.Message
}
