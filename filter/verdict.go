package filter

import "fmt"

// Action is what a script wants done: policy, never an error.
type Action uint8

// The actions a handler can return. Continue is the zero value: no opinion.
const (
	Continue Action = iota
	Accept
	Reject
	Tempfail
	Discard
	Skip
)

// String is the action's name in scripts and logs.
func (a Action) String() string {
	names := [...]string{"continue", "accept", "reject", "tempfail", "discard", "skip"}
	if int(a) >= len(names) {
		return "action?"
	}
	return names[a]
}

// Verdict is what one handler said.
type Verdict struct {
	Action   Action
	Code     int    // of a Reject 5xx, of a Tempfail 4xx; else 0
	Enhanced string // RFC 3463, "5.7.1"
	Text     string // the reply's text, lines separated by LF
	// Where finds the place in the author's source at which the verdict was
	// made; nil when unknown. It is called for the log only, on the goroutine
	// that got the verdict, before the handler's next call.
	Where func() Position
}

// Refuses tells whether the verdict ends the message (or the recipient).
func (v Verdict) Refuses() bool {
	return v.Action == Reject || v.Action == Tempfail || v.Action == Discard
}

// Position is a place in the author's own source.
type Position struct {
	File         string // as it is shown to the user
	Line, Column int    // from 1; 0 when unknown
}

// String is "file:line:column", as compilers write it.
func (p Position) String() string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
}
