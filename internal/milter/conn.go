package milter

import (
	"net"
	"sync"
	"sync/atomic"
	"time"

	wire "github.com/emersion/go-milter"
)

// Conn is one connection of an MTA, as its Session sees it.
type Conn struct {
	srv      *Server
	nc       net.Conn
	listener string
	id       uint64
	options  Options // set before any call but Negotiate
	macros   atomic.Pointer[Macros]

	// turn counts calls of the Session: odd while one runs. Whoever moves an
	// odd turn on owns the connection: the goroutine that made the call when it
	// returns, or an usurper before that.
	turn    atomic.Uint64
	eomTurn atomic.Uint64 // the turn of the EOM that runs or ran last
	// Written by the owner before the turn becomes odd, read by an usurper after
	// it won the turn.
	runner  *runner
	code    byte   // of the command at hand, codeClose for Close
	payload []byte // of the command at hand

	out      sync.Mutex // held for each write, guards w
	w        writer
	progress *time.Timer // made at the first EOM
}

// codeClose stands for the call of Close, which no command asks for.
const codeClose = 0

// ID is the connection's number, counted from 1 by its server. For logs.
func (c *Conn) ID() uint64 { return c.id }

// Listener is the name that Serve was given for the listener that took it.
func (c *Conn) Listener() string { return c.listener }

// Remote is the MTA's address. Never nil; a unix socket's is mostly empty.
func (c *Conn) Remote() net.Addr { return c.nc.RemoteAddr() }

// Negotiated is what was agreed upon. The zero value during Negotiate.
func (c *Conn) Negotiated() Options { return c.options }

// Macros are the MTA's macros. They change between calls, not during one. The
// pointer stays the same until the connection is usurped: the old one is then
// left to the session that lost it, and Macros returns the new one, to whomever.
func (c *Conn) Macros() *Macros { return c.macros.Load() }

// Draining tells whether the server is about to stop. Safe for concurrent use.
func (c *Conn) Draining() bool { return c.srv.phase.Load() >= phaseDraining }

// Turn is the number of the call that runs now, for UsurpTurn.
func (c *Conn) Turn() uint64 { return c.turn.Load() }

// Usurp takes the connection away from the Session call that runs now, whichever
// that is; see UsurpTurn. It is for a caller who knows that the call he means
// has not returned.
func (c *Conn) Usurp(next Session) bool {
	return c.UsurpTurn(c.turn.Load(), next)
}

// UsurpTurn takes the connection away from a call that does not come back. It is
// called from another goroutine than the call's, say a watchdog's, and does not
// block. turn is what Turn returned within that call.
//
// If the call has returned already, it does nothing and returns false. Else it
// returns true, and next is the Session from now on, served by a goroutine of
// its own: that calls next for the command at hand again, with the same payload,
// sends its answer (at the end of a message with next's modifications, not those
// of the session that lost) and goes on. PROGRESS goes on meanwhile. Of an
// usurped Negotiate nothing can be told: the connection ends, and next is closed.
// Of an usurped Close next is closed instead.
//
// The session that lost and its Modifications belong to the goroutine that is
// still in the call, for good: it is not called again, not even for Close, what
// it answers is dropped, and when the call returns the goroutine ends. The bytes
// of the command's payload both sessions read.
func (c *Conn) UsurpTurn(turn uint64, next Session) bool {
	if turn&1 == 0 || !c.turn.CompareAndSwap(turn, turn+1) {
		return false
	}
	heir := c.runner.heir(next)
	c.runner = heir
	c.macros.Store(heir.macros)
	go heir.takeOver(c.code, c.payload)
	return true
}

// begin starts a call of the Session.
func (c *Conn) begin(code byte) uint64 {
	c.code = code
	turn := c.turn.Add(1)
	if code == byte(wire.CodeEOB) {
		c.startProgress(turn)
	}
	return turn
}

// end ends it. False: the connection was usurped meanwhile, and nothing of it
// may be touched any more.
func (c *Conn) end(turn uint64) bool { return c.turn.CompareAndSwap(turn, turn+1) }

// write sends what is one reply, in one write.
func (c *Conn) write(p []byte) error {
	c.out.Lock()
	defer c.out.Unlock()
	return c.w.write(p)
}

// startProgress has PROGRESS sent while the call of that turn runs. A timer that
// is left over from an earlier one fires for nothing: cheaper than to stop it.
func (c *Conn) startProgress(turn uint64) {
	c.eomTurn.Store(turn)
	if c.progress == nil {
		c.out.Lock() // sendProgress looks at c.progress too
		c.progress = time.AfterFunc(c.srv.cfg.ProgressEvery, c.sendProgress)
		c.out.Unlock()
		return
	}
	c.progress.Reset(c.srv.cfg.ProgressEvery)
}

// sendProgress runs in the timer's goroutine. The final reply takes the same
// mutex and is written after its turn has ended: so PROGRESS cannot follow it.
func (c *Conn) sendProgress() {
	c.out.Lock()
	defer c.out.Unlock()
	if turn := c.turn.Load(); turn&1 == 0 || turn != c.eomTurn.Load() {
		return
	}
	if c.w.write([]byte{0, 0, 0, 1, byte(ActProgress)}) != nil {
		return // the final reply's write fails with the same error
	}
	c.progress.Reset(c.srv.cfg.ProgressEvery)
}

// hangUp closes the network connection and waits for a PROGRESS under way.
// Writes that block end with the closing. Safe to call twice.
func (c *Conn) hangUp() {
	_ = c.nc.Close() // the peer is gone or told all it is told: no one left to hear of an error
	if c.progress != nil {
		c.progress.Stop()
	}
	c.out.Lock()
	c.out.Unlock() //nolint:staticcheck // waits for the holder
}
