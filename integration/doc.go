// Package integration holds the tests that run the real pmilterd behind a real
// Postfix: scripts, an SMTP dialogue, the replies that the client must see, and
// the mail that must be delivered. It has no code of its own.
//
// Each test has its own Postfix (internal/postfixtest) and its own pmilterd,
// built once a run with the race detector; PMILTERD names another binary to use
// instead. Tests named TestTrapNN hold the line of that number of the list of
// milter traps.
package integration
