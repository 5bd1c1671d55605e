// Package event is what a queue's file holds: a message, and what was known of
// it when it came. It writes and reads the format; where files lie and who may
// take them is the queue's.
//
// A file of ours begins with the line X-Pmilter-Event, whose value is JSON in
// ASCII, folded; then come Return-Path and a Delivered-To for each recipient;
// then the message, with LF line ends:
//
//	X-Pmilter-Event: {"id":"1767225600.M000001P42Q1.pmilter.mx","queue":"archive",...}
//	Return-Path: <a@example.org>
//	Delivered-To: b@example.net
//	Received: ...
//
// A file that an MTA delivered is an event, too: its sender and recipient are
// those of the lines that the MTA put above the message. An X-Pmilter-Event in
// such a file is just mail: the line is believed only first in a file whose name
// is one of ours and is the id in the line, which nobody who sends mail can know.
//
// What is read is taken for hostile: it is bounded, and an error tells what is wrong.
package event

import (
	"encoding/json"
	"errors"
	"time"
)

// Event is one message in one queue.
type Event struct {
	ID         string          // the same at each attempt, and no other event's: the key to notice a job that ran before
	Queue      string          // "" of a file that is not ours: the queue is the folder it lies in
	Time       time.Time       // when it was queued; zero when nothing says it
	QueueID    string          // the MTA's, "" if unknown
	Client     Client          // zero if unknown
	Helo       string          // "" if unknown
	Sender     string          // plain address, "" for <>
	Recipients []string        // plain addresses
	Verdict    string          // "accept", or what refused the message: "reject", "tempfail", "discard", "abort"
	Complete   bool            // the message is whole; false: what had arrived
	Data       json.RawMessage // what the script gave; nil for nothing

	// Failed is why the event was given up: of a file in .failed.
	Failed string
	// Foreign tells that an MTA wrote the file.
	Foreign bool
}

// Client is the SMTP client as the MTA saw it.
type Client struct {
	IP     string `json:"ip,omitempty"`
	Port   int    `json:"port,omitempty"`
	Name   string `json:"name,omitempty"` // "" when the MTA could not verify one
	Family string `json:"family,omitempty"`
}

// What can be wrong with a file, for errors.Is.
var (
	// ErrDamaged is of a file with one of our names that does not hold what we write.
	ErrDamaged = errors.New("event: the file is damaged")
	// ErrTooLong is of an event whose lines above the message are over MaxHeader.
	ErrTooLong = errors.New("event: the lines above the message are too long")
)

// MaxHeader is the most bytes that are written, and read, above a message.
const MaxHeader = 16 << 20
