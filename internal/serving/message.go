package serving

import (
	"encoding/json"
	"errors"
	"fmt"
)

// word is what a message says.
type word string

// To a process.
const (
	wordPrepare word = "prepare" // make Data ready as set Number
	wordHold    word = "hold"    // begin nothing new until use or drop
	wordUse     word = "use"     // begin with set Number from now on
	wordDrop    word = "drop"    // forget set Number, go on with what is in use
	wordCount   word = "count"   // report; Number comes back
)

// From a process. The answer to prepare, hold and use has the same word.
const (
	wordUp     word = "up"     // set up with set Number, and asks to begin
	wordReport word = "report" // Data is the report
	wordAlive  word = "alive"  // there is nothing new to report
)

// message is what the two sides tell each other.
type message struct {
	Word   word            `json:"word"`
	Number uint64          `json:"number,omitempty"`
	Data   json.RawMessage `json:"data,omitempty"`
	Fault  string          `json:"fault,omitempty"` // of prepare
}

// setup is what a new process is told.
type setup struct {
	Trial  bool            `json:"trial,omitempty"`
	Number uint64          `json:"number"`
	Data   json.RawMessage `json:"data"`
}

var errWord = errors.New("serving: unknown word")

func (m message) encode() []byte {
	data, err := json.Marshal(m)
	if err != nil {
		return nil // Data is JSON, or it had not come into being
	}
	return data
}

func decode(data []byte) (m message, err error) {
	if err := json.Unmarshal(data, &m); err != nil {
		return message{}, fmt.Errorf("serving: %w", err)
	}
	switch m.Word {
	case wordPrepare, wordHold, wordUse, wordDrop, wordCount, wordUp, wordReport, wordAlive:
		return m, nil
	default:
		return message{}, errWord
	}
}
