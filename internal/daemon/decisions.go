package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"pmilter/filter"
	"pmilter/internal/config"
	"pmilter/internal/decisions"
)

// keepDecisions has the engine keep the decision log, until it is closed. Before it
// serves. A folder that cannot be written is logged: mail is served without the log,
// and with it when the folder is well again.
func (e *engine) keepDecisions(cfg *config.Config) {
	state := cfg.Server.State
	e.decisions = decisions.NewWriter(decisionLimits(cfg), decisions.Options{
		Folder: func() (string, error) { return stateFolder(state, os.LookupEnv) }, Log: e.log,
	})
}

func decisionLimits(cfg *config.Config) decisions.Limits {
	return decisions.Limits{MaxSize: cfg.Decisions.MaxSize, Keep: cfg.Decisions.Keep}
}

// remember writes an outcome to the decision log.
func (e *engine) remember(o *filter.Outcome) {
	if e.decisions == nil {
		return
	}
	r := recordOf(o)
	e.decisions.Add(&r)
}

// recordOf is an outcome as the log has it. It shares o's memory.
func recordOf(o *filter.Outcome) decisions.Record {
	r := decisions.Record{
		About: o.Subject(), Session: o.Session, QueueID: o.QueueID, MessageID: o.MessageID,
		Client: o.Client.IP, ClientName: o.Client.Name, Helo: o.Helo,
		Sender: o.Sender, Recipients: o.Recipients, Recipient: o.Recipient,
		WouldBe: o.WouldBe, Phase: o.Phase.String(), Script: o.Script,
		Code: o.Verdict.Code, Enhanced: o.Verdict.Enhanced, Text: o.Verdict.Text, Fault: o.Fault,
		Edits: o.Edits, Quarantine: o.Quarantine, Size: o.Size, ScriptMS: float64(o.InScript.Microseconds()) / 1000,
	}
	if o.Verdict.Action != filter.Continue {
		r.Verdict = o.Verdict.Action.String()
	}
	if o.Where.File != "" {
		r.At = o.Where.String()
	}
	for _, q := range o.Queued {
		r.Queued = append(r.Queued, decisions.Queued{Queue: q.Queue, ID: q.ID})
	}
	for _, n := range o.Notes {
		values, _ := n.Values.(json.RawMessage) // what note() makes of them
		r.Notes = append(r.Notes, decisions.Note{Script: n.Script, Reason: n.Reason, Values: values})
	}
	return r
}

// What explain shows, for the command.
type (
	// Decision is a line of the decision log.
	Decision = decisions.Record
	// Explained is what the log had.
	Explained struct {
		decisions.Found
		Folder string // of the log
	}
)

// Question is what Explain is asked.
type Question struct {
	About  string    // see decisions.ParseMatch; "" for everything
	Since  time.Time // zero: as far back as the log goes
	Limit  int       // the newest so many; 0: all
	Follow bool      // go on until ctx is done
}

// Explain shows the decisions that match, the newest last. The log is that of the
// configuration; of the usual folders it is the first that has one.
func Explain(ctx context.Context, cfg *config.Config, env func(string) (string, bool), q Question, show func(*Decision) error) (Explained, error) {
	var match *decisions.Match
	if q.About != "" {
		var err error
		if match, err = decisions.ParseMatch(q.About); err != nil {
			return Explained{}, err
		}
	}
	var e Explained
	var err error
	folders := stateFolders(cfg.Server.State, env)
	for _, folder := range folders {
		e.Folder = decisions.Folder(folder)
		query := decisions.Query{Match: match, Since: q.Since, Limit: q.Limit, Follow: q.Follow}
		if e.Found, err = decisions.Search(ctx, e.Folder, query, show); !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	switch {
	case len(folders) == 0:
		return e, errNoState
	case cfg.Decisions.MaxSize == 0 && (errors.Is(err, fs.ErrNotExist) || err == nil && e.Lines == 0):
		return e, errors.New("there is no decision log: [decisions] max_size is 0 in pmilter.toml")
	case errors.Is(err, fs.ErrNotExist):
		return e, fmt.Errorf("there is no decision log in %s: has pmilterd run here, with the same [server] state?", strings.Join(logFolders(folders), " or "))
	case errors.Is(err, fs.ErrPermission):
		return e, fmt.Errorf("%w: the decision log is for the server's user and root alone, try sudo", err)
	}
	return e, err
}

// stateFolders is where the state of a server may be, which another user may have
// started. It makes nothing.
func stateFolders(configured string, env func(string) (string, bool)) []string {
	if configured != "" {
		return []string{configured}
	}
	var list []string
	usual := usualState(env)
	if usual != "" {
		list = append(list, usual)
	}
	if set, _ := env("STATE_DIRECTORY"); set == "" && usual != systemState {
		list = append(list, systemState) // where the system's server is, which this user may not write to
	}
	return list
}

func logFolders(states []string) []string {
	list := make([]string, len(states))
	for i, s := range states {
		list[i] = decisions.Folder(s)
	}
	return list
}

// DecisionLine is a decision as the log has it, with LF: JSON that is harmless for a
// terminal.
func DecisionLine(d *Decision) []byte { return decisions.Append(nil, d) }

// ParseDecision reads what DecisionLine writes.
func ParseDecision(line []byte) (*Decision, error) { return decisions.Parse(line) }
