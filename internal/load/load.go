// Package load plays an MTA that sends mail to a milter as fast as it answers,
// or at a given rate, and counts: messages a second, how long each took, what
// was answered, what broke.
//
// On the wire it behaves as Postfix does: macros before each command, body
// chunks of 65535 bytes, commands that the milter negotiated away left out,
// replies that it negotiated away not waited for, ABORT after each message. It
// promises to be cheap, as it shares the machine with what it measures: all
// bytes are made ahead, what goes out up to the next reply is one write, and
// neither a message nor an answer allocates.
package load

import (
	"context"
	"errors"
	"fmt"
	"time"

	wire "github.com/emersion/go-milter"
)

// ErrNoMilter is what Run returns, wrapped, for an address at which nothing
// negotiates as a milter does.
var ErrNoMilter = errors.New("no milter answers")

// Mail is what each message looks like.
type Mail struct {
	Headers int // fields
	Size    int // of the body, in bytes
	// Phases are the names, from Phases, of the commands that are sent as far as
	// the milter wants them; nil is all. Without "eom" a message ends with ABORT
	// after its last reply.
	Phases []string
	// Write is the longest write in bytes; 0 is one for everything up to the next
	// reply. Postfix's stream writes 4096 at a time.
	Write int
}

// Plan is what Run does. Zero fields have the defaults named.
type Plan struct {
	Network, Address string // of the milter, as for net.Dial
	Mail             Mail
	Connections      int           // at once. 1
	Messages         int           // a connection, which then quits for another one; 0: no limit
	Total            int           // messages in all; then it ends. 0: no limit
	Duration         time.Duration // then no message begins. 0: until ctx is done or Total is reached
	Rate             float64       // messages a second, over all connections. 0: as many as are answered
	Patience         time.Duration // for an answer, to the negotiation, and after Duration for what is under way. 10s
}

// Result is what came of it.
type Result struct {
	Took     time.Duration
	Messages int              // that got their last answer
	Answers  map[string]int   // of those, by the last answer's name: "accept", "continue", "reject" ...
	Latency  Histogram        // of those: from their first command, or from when Rate had them due, to the last answer
	Errors   map[string]int   // what broke connections, by cause
	Protocol wire.OptProtocol // what the milter negotiated
}

// Rate is messages a second.
func (r *Result) Rate() float64 {
	if r.Took <= 0 {
		return 0
	}
	return float64(r.Messages) / r.Took.Seconds()
}

// Failed is how many connections broke.
func (r *Result) Failed() (n int) {
	for _, count := range r.Errors {
		n += count
	}
	return n
}

// Run does what the plan says, and ends with its Duration or Total, or when ctx is
// done, at once then: what is under way is not counted. The error is about the first
// contact, ErrNoMilter as a rule; what breaks later is counted in the Result, and
// the connection is made anew.
func Run(ctx context.Context, p Plan) (*Result, error) {
	p.Connections = max(p.Connections, 1)
	if p.Patience <= 0 {
		p.Patience = 10 * time.Second
	}
	protocol, err := p.probe(ctx)
	if err != nil {
		return nil, fmt.Errorf("load: %w", err)
	}
	r := &run{plan: p, ctxDone: ctx.Done(), known: dialogues{mail: p.Mail}}
	result := r.all(ctx)
	result.Protocol = protocol
	return result, nil
}

// probe negotiates once and leaves.
func (p *Plan) probe(ctx context.Context) (wire.OptProtocol, error) {
	c, err := dial(ctx, p.Network, p.Address, p.Mail.Write, time.Now().Add(p.Patience))
	if err != nil {
		return 0, fmt.Errorf("%w at %s: %w", ErrNoMilter, p.Address, err)
	}
	defer c.Close()
	return c.protocol, c.quit()
}
