package decisions

import (
	"encoding/json"
	"errors"
	"time"
)

// Record is one line of the log. Text is what clients and scripts gave, as far as it
// is UTF-8, long ones cut: whoever shows it makes it harmless.
type Record struct {
	Time       time.Time `json:"time"`
	About      string    `json:"about"` // "message", "recipient", "connection" or "command"
	Session    string    `json:"session"`
	QueueID    string    `json:"qid,omitempty"`
	MessageID  string    `json:"message_id,omitempty"` // with its angle brackets
	Client     string    `json:"client,omitempty"`     // IP address; "" when there is none
	ClientName string    `json:"client_name,omitempty"`
	Helo       string    `json:"helo,omitempty"`
	// The envelope as the client gave it. Sender is there for messages and recipients; "" is <>.
	Sender         string   `json:"sender"`
	Recipients     []string `json:"recipients,omitempty"`
	MoreRecipients int      `json:"recipients_more,omitempty"` // that are not listed
	Recipient      string   `json:"recipient,omitempty"`       // the one that this is about

	Verdict    string   `json:"verdict,omitempty"`  // "" when nothing was decided: it only tells
	WouldBe    bool     `json:"would_be,omitempty"` // of an observing script: not done
	Phase      string   `json:"phase"`
	Script     string   `json:"script,omitempty"`
	At         string   `json:"at,omitempty"` // file:line:column
	Code       int      `json:"code,omitempty"`
	Enhanced   string   `json:"enhanced,omitempty"`
	Text       string   `json:"text,omitempty"`  // lines separated by LF
	Fault      string   `json:"fault,omitempty"` // of the script
	Edits      []string `json:"edits,omitempty"`
	Quarantine string   `json:"quarantine,omitempty"`
	Queued     []Queued `json:"queued,omitempty"`
	Notes      []Note   `json:"notes,omitempty"`
	MoreNotes  int      `json:"notes_more,omitempty"` // that are not listed
	Size       int64    `json:"size,omitempty"`       // bytes
	ScriptMS   float64  `json:"script_ms,omitempty"`  // in handlers
}

// Queued is an event that the message became in a queue.
type Queued struct {
	Queue string `json:"queue"`
	ID    string `json:"id,omitempty"`
}

// Note is what a script noted.
type Note struct {
	Script string          `json:"script"`
	Reason string          `json:"reason"`
	Values json.RawMessage `json:"values,omitempty"`
}

// HasEnvelope tells whether Sender means something.
func (r *Record) HasEnvelope() bool { return r.About == "message" || r.About == "recipient" }

var errNoRecord = errors.New("no record")

// Parse reads a line. Fields that it does not know, of a later version, are passed over.
func Parse(line []byte) (*Record, error) {
	r := &Record{}
	if err := json.Unmarshal(line, r); err != nil {
		return nil, err
	}
	if r.Time.IsZero() || r.About == "" {
		return nil, errNoRecord
	}
	return r, nil
}
