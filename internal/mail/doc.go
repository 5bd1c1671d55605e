// Package mail reads a message as a person's mail reader would, from bytes that
// may be hostile: the tree of its parts, their decoded content, and the header
// fields that people see. It writes nothing and changes nothing.
//
// It has no errors: every message, however broken, has a best reading, and
// [Message.Defects] names what was wrong. Where the standards and what mailers
// write disagree, the reading is the one that a mail reader would show.
//
// What is hostile is bounded: [MaxDepth] levels, [MaxParts] parts, [MaxFields]
// fields of a part; all work is linear in the size of the message, and what is
// kept of it is kept once. Work is done when its result is asked for. Nothing
// here blocks, and nothing may be used by two goroutines at once: reading fills
// caches.
//
// Character sets are those of golang.org/x/text, as go-message finds them by
// name; header fields, boundaries, transfer encodings and encoded words are read
// here, because the libraries refuse what is malformed, and people do not.
package mail

// Limits of what is read. What is beyond them is still there as bytes.
const (
	// MaxDepth is how many multiparts and messages may be inside each other; what
	// is deeper is a leaf. The message itself is level 0.
	MaxDepth = 100
	// MaxParts is how many parts a message may have, those of messages inside it
	// included; what follows is not read.
	MaxParts = 10_000
	// maxCopies is how many parts inside each other may have an encoding and parts
	// of their own: each costs a decoded copy of what is in it. What is deeper is a leaf.
	maxCopies = 3
	// MaxFields is how many header fields of a part are shown.
	MaxFields = 10_000
	// maxAddresses is how many mailboxes of all fields of a name are read.
	maxAddresses = 10_000
	// maxParams is how many parameters of a field are read.
	maxParams = 1_000
	// maxBoundary is the longest boundary that is looked for; RFC 2046 §5.1.1
	// allows 70.
	maxBoundary = 998
	// maxGuesses is how often a missing boundary is guessed, each of which costs
	// another look at the part.
	maxGuesses = 8
)
