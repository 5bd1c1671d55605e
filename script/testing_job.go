package script

import (
	"encoding/json"

	"pmilter/filter"
)

// TestJob is what job() is called with: an event for a job's script. The zero value,
// but for File, is an ordinary message for the script that File is the test of.
type TestJob struct {
	File    string `json:"-"` // of the test, absolute
	Message []byte `json:"-"` // nil for a plain one

	Script     string          `json:"script"` // relative to the configured folder; "": Queue's, or the one beside File
	Queue      string          `json:"queue"`
	ID         string          `json:"id"`
	Data       json.RawMessage `json:"data"`
	Sender     *string         `json:"sender"`
	Recipients *[]string       `json:"recipients"`
	Client     TestClient      `json:"client"`
	Verdict    *string         `json:"verdict"`
	Complete   *bool           `json:"complete"`
	Attempt    *int            `json:"attempt"`
}

// TestJobResult is what became of it, and what the job did on the way. All that
// it asked for is here, answered or not, in the order in which it asked.
type TestJobResult struct {
	*JobResult
	Fetched   []HTTPRequest
	Exchanged []NetExchange
	Ran       []ExecProgram
	Sent      []SMTPMessage
	Delivered []TestDelivery
}

// TestDelivery is a call of maildir.deliver.
type TestDelivery struct {
	Folder, ID, File string
	Message          []byte
	New              bool // false: it was there
}

// fault is the job's error, the zero value when it has none.
func (r *TestJobResult) fault() filter.ScriptError {
	if r.Fault == nil {
		return filter.ScriptError{}
	}
	return *r.Fault
}
