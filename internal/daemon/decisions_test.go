package daemon

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"go.uber.org/zap"

	"pmilter/filter"
	"pmilter/internal/config"
	"pmilter/internal/decisions"
)

// TestRecordOf: all that an outcome says is in its record.
func TestRecordOf(t *testing.T) {
	t.Parallel()
	o := &filter.Outcome{
		Session: "s", QueueID: "q", MessageID: "<m>", Client: filter.Client{IP: "192.0.2.7", Name: "n", Port: 1, Family: "inet"}, Helo: "h",
		Sender: "a@x", Recipients: []string{"b@x"}, Recipient: "c@x", Verdict: filter.Verdict{Action: filter.Reject, Code: 550, Enhanced: "5.7.1", Text: "no"},
		Phase: filter.EOM, Script: "10.js", Where: filter.Position{File: "10.js", Line: 3, Column: 9}, Fault: "f", Edits: []string{"e"}, Quarantine: "odd",
		Queued: []*filter.Queued{{Queue: "archive", ID: "1"}}, Notes: []filter.Note{{Script: "10.js", Reason: "r", Values: json.RawMessage(`{"a":1}`)}},
		Size: 7, InScript: 1500000, WouldBe: true,
	}
	v := reflect.ValueOf(*o)
	for i := range v.NumField() {
		if v.Field(i).IsZero() {
			t.Errorf("the test's outcome has no %s", v.Type().Field(i).Name)
		}
	}
	want := decisions.Record{
		About: "message", Session: "s", QueueID: "q", MessageID: "<m>", Client: "192.0.2.7", ClientName: "n", Helo: "h",
		Sender: "a@x", Recipients: []string{"b@x"}, Recipient: "c@x", Verdict: "reject", WouldBe: true, Phase: "eom", Script: "10.js", At: "10.js:3:9",
		Code: 550, Enhanced: "5.7.1", Text: "no", Fault: "f", Edits: []string{"e"}, Quarantine: "odd",
		Queued: []decisions.Queued{{Queue: "archive", ID: "1"}}, Notes: []decisions.Note{{Script: "10.js", Reason: "r", Values: json.RawMessage(`{"a":1}`)}},
		Size: 7, ScriptMS: 1.5,
	}
	if got := recordOf(o); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if got := recordOf(&filter.Outcome{Phase: filter.Close}); got.Verdict != "" || got.About != "connection" {
		t.Errorf("%+v", got)
	}
}

// TestStateFolders: the log is where this user's server keeps it, else where the
// system's does; looking makes nothing.
func TestStateFolders(t *testing.T) {
	t.Parallel()
	env := func(pairs ...string) func(string) (string, bool) {
		return func(name string) (string, bool) {
			at := slices.Index(pairs, name)
			if at < 0 {
				return "", false
			}
			return pairs[at+1], true
		}
	}
	if got := stateFolders("/configured", env("STATE_DIRECTORY", "/x")); !slices.Equal(got, []string{"/configured"}) {
		t.Errorf("%q", got)
	}
	if got := stateFolders("", env("STATE_DIRECTORY", "/x:/y")); !slices.Equal(got, []string{"/x"}) {
		t.Errorf("%q", got)
	}
	if got := stateFolders("", env("HOME", "/home/x")); !slices.Contains(got, systemState) || len(got) > 2 {
		t.Errorf("%q", got)
	}
	dir := filepath.Join(t.TempDir(), "none")
	cfg := config.Default()
	cfg.Server.State = dir
	if _, err := Explain(t.Context(), cfg, env(), Question{About: "x"}, nil); err == nil {
		t.Error("there is no log")
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("looking made the folder")
	}
}

func BenchmarkRemember(b *testing.B) {
	dir := b.TempDir()
	e := &engine{decisions: decisions.NewWriter(decisions.Limits{MaxSize: 64 << 20, Keep: 1 << 50}, decisions.Options{
		Folder: func() (string, error) { return dir, nil }, Log: zap.NewNop(),
	})}
	o := &filter.Outcome{
		Session: "w2sobwhkw33a", QueueID: "4XQ1bc2rbdz9", MessageID: "<20260301140506.1234@mail.example.org>",
		Client: filter.Client{IP: "192.0.2.7", Name: "mail.example.org"}, Helo: "mail.example.org", Sender: "alice@example.org",
		Recipients: []string{"bob@example.net"}, Verdict: filter.Verdict{Action: filter.Accept}, Phase: filter.EOM, Edits: []string{"add X-A"}, Size: 4321, InScript: 123456,
	}
	b.ReportAllocs()
	for b.Loop() {
		e.remember(o)
	}
	b.StopTimer()
	e.decisions.Close()
}
