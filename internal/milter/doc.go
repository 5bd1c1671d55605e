// Package milter is the engine of a milter server: frames, negotiation, and the
// loop that answers an MTA (Postfix, Sendmail) command by command, for protocol
// versions 2 to 6.
//
// A Server takes connections from any number of listeners; each is served by
// one goroutine, which calls a Session for every command and writes what it
// replies. The engine promises what the wire needs, whatever a Session does:
// exactly one reply where one is due and none where none is, nothing that was
// not negotiated, modifications only together with the final reply, PROGRESS
// only while the end of a message is being worked on. It knows neither scripts
// nor queues nor policy.
//
// Input is hostile: a packet that cannot be understood ends its connection with
// one line in the log, memory grows only with bytes that did arrive, and a
// Session that panics costs its own connection alone. A Session that does not
// come back can be replaced by another goroutine: see Conn.Usurp.
//
// Behaviour that others got wrong is held by tests named TestTrapNN.
package milter
