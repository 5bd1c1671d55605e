package filter

import (
	"crypto/rand"
	"encoding/base32"
	"strings"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"pmilter/internal/milter"
)

// Options is how a Filter behaves; see [milter] and [handler] in the README.
type Options struct {
	Scripts    func() Scripts // the newest set; safe for concurrent use, does not block
	Timeout    time.Duration  // one phase, all its scripts
	EOMTimeout time.Duration  // the end of the message, header, eoh and body included
	OnError    Action         // Tempfail, Accept or Reject
	MaxMessage int64          // bytes; past it Oversize
	Oversize   Action         // Reject, Tempfail or Accept
	// NewBody makes what keeps a message's body; nil: memory. Safe for concurrent use.
	NewBody func() BodyStore
	// Spool makes events durable; nil: there are no queues.
	Spool Spool
	Log   *zap.Logger
	// Report, when set, is called with each outcome besides the log, on the
	// connection's goroutine: it must not block.
	Report func(*Outcome)
	// Meter, when set, counts what is done.
	Meter Meter
	// Now is the time in which the deadlines of calls are, the one of the worlds
	// that Scripts opens; nil: the real one. Safe for concurrent use.
	Now func() time.Time
}

// Filter makes the sessions of milter connections. Safe for concurrent use.
type Filter struct {
	o        atomic.Pointer[Options]
	overruns atomic.Int64
	worlds   worlds
}

// New makes a Filter.
func New(o Options) *Filter {
	f := &Filter{}
	f.Configure(o)
	return f
}

// Configure changes the options for connections that begin from now on.
func (f *Filter) Configure(o Options) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.NewBody == nil {
		o.NewBody = newMemoryBody
	}
	if o.Meter == nil {
		o.Meter = noMeter{}
	}
	f.o.Store(&o)
}

// Overruns is how many worlds were given up while a script still ran in them.
func (f *Filter) Overruns() int64 { return f.overruns.Load() }

// Wire is what a Conn needs of the milter connection that it serves;
// *milter.Conn is one.
type Wire interface {
	Listener() string
	Macros() *milter.Macros
	Negotiated() milter.Options
	// Usurp takes the connection from the goroutine that is stuck in a call
	// and has next answer that call anew. False: the call had returned.
	Usurp(next milter.Session) bool
}

// NewSession is milter.Config's hook: it pins the newest scripts to the connection.
func (f *Filter) NewSession(w Wire) milter.Session { return f.newConn(w, f.o.Load().Scripts()) }

// newID is a session's name in logs: short, unique enough for months of them.
func newID() string {
	var b [7]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand
	return strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(b[:]))
}
