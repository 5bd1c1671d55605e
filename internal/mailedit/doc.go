// Package mailedit changes the parts of a message that package mail has read, and
// keeps every byte that is not concerned: the parts that nobody touched, their
// headers, the lines between them, what is before the first and after the last.
//
// An [Editor] has a tree of [Node], which tell the parts apart while the message
// changes. It holds no copy of the message: what stays is taken from where it
// stands, when the result is asked for. Work is linear in the size of the message,
// and of each edit in the size of its part.
//
// What is made has CR LF, a transfer encoding that every server passes on, and
// boundaries that are not in the content. The result is read again before it is
// given out: should a hostile message, with the same boundary at two levels for
// example, not read as it was meant, all its multiparts get new boundaries.
//
// Parts inside a message inside the message can be edited as any others; those
// inside of what has a transfer encoding cannot, which is [ErrSealed]. Nothing here
// blocks, and nothing may be used by two goroutines at once.
package mailedit

import "errors"

// What an edit can fail with. Nothing was changed then.
var (
	// ErrRoot is for the message itself, which cannot be removed, nor what is all
	// that it has.
	ErrRoot = errors.New("the message would have no part left: replace the part instead")
	// ErrRemoved is for a part that is no longer in the message.
	ErrRemoved = errors.New("the part was removed from the message")
	// ErrSealed is for a part inside of a part with a transfer encoding.
	ErrSealed = errors.New("the part is inside of encoded content, which cannot be edited")
	// ErrTooMany is for a message with as many parts as are read.
	ErrTooMany = errors.New("the message has too many parts")
	// ErrForeign is for a part of another message.
	ErrForeign = errors.New("the part is not of this message")
	// ErrType is for a type that is none, or that of a multipart.
	ErrType = errors.New("not a media type that a part can have")
	// ErrFilename is for a file name that no header can say, or that is a path.
	ErrFilename = errors.New("not a file name")
	// ErrDisposition is for a disposition that is no word.
	ErrDisposition = errors.New("not a disposition: attachment or inline")
)

// NewPart is the content of a part, and what its header says of it.
type NewPart struct {
	Content []byte
	// Text tells that the content is text in UTF-8; its line ends become CR LF, and
	// what is not UTF-8 is replaced.
	Text bool
	// Type is a media type, with parameters or without. "" is that of the part that
	// is replaced, and of a part that is added text/plain if it is text and
	// application/octet-stream if not. It cannot be a multipart.
	Type string
	// Filename is a name and not a path, "" that of the part that is replaced.
	Filename string
	// Disposition is a word such as "attachment" or "inline". "" is that of the part
	// that is replaced; one that is added is an attachment then, unless it is text
	// without a file name, which has none.
	Disposition string
}

// HeaderChange is what becomes of a field of the message's own header: the first
// of that name gets Value, or it is added if there is none, and the others go; or
// they all go.
type HeaderChange struct {
	Name   string
	Value  string // without leading white space; folds as LF and a space
	Remove bool
}
