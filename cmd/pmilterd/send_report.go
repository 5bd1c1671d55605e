package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"pmilter/internal/mta"
)

// report prints what became of one message. err is why there is no verdict, if
// there is none; then what happened until then is printed.
func (f *sendFlags) report(w io.Writer, file string, r mta.Result, err error) error {
	if f.json {
		return json.NewEncoder(w).Encode(newSendReport(file, r, err))
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s to %s\n", printable(file), printable(f.to))
	for _, line := range stepLines(r.Steps) {
		fmt.Fprintf(&b, "  %s\n", printable(line))
	}
	for _, e := range r.Edits {
		fmt.Fprintf(&b, "  + %s\n", printable(e.String()))
	}
	if err == nil {
		fmt.Fprintf(&b, "  = %s\n", printable(summary(r)))
	}
	_, werr := io.WriteString(w, b.String())
	return werr
}

// summary is the verdict in a line.
func summary(r mta.Result) string {
	at := " at " + string(r.Phase)
	if r.Message == nil {
		return r.Verdict.String() + at
	}
	s := "accepted (" + r.Verdict.Verdict() + at + ")"
	if r.Message.Quarantined {
		s += ", quarantined: " + r.Message.Reason
	}
	switch n := len(r.Edits); n {
	case 0:
		return s + ", unchanged"
	case 1:
		return s + ", 1 modification"
	default:
		return fmt.Sprintf("%s, %d modifications", s, n)
	}
}

// stepLines has one line a step; headers and chunks of the body that got the
// same reply share one.
func stepLines(steps []mta.Step) (lines []string) {
	for i := 0; i < len(steps); {
		same := i + 1
		for same < len(steps) && steps[same].Phase == steps[i].Phase && steps[same].Reply == steps[i].Reply &&
			(steps[i].Phase == mta.PhaseHeader || steps[i].Phase == mta.PhaseBody) {
			same++
		}
		detail := steps[i].Detail
		if n := same - i; n > 1 {
			detail = fmt.Sprintf("%s and %d more", detail, n-1)
		}
		reply := steps[i].Reply.String()
		if steps[i].Reply.Implied {
			reply = "(" + reply + ", not asked)"
		}
		lines = append(lines, strings.TrimRight(fmt.Sprintf("%-8s %-36s %s", steps[i].Phase, detail, reply), " "))
		i = same
	}
	return lines
}

// sendReport is the JSON of one message.
type sendReport struct {
	File       string     `json:"file"`
	Verdict    string     `json:"verdict"` // "" without one: see Error
	Phase      string     `json:"phase"`
	Code       int        `json:"code,omitempty"`
	Enhanced   string     `json:"enhanced,omitempty"`
	Text       string     `json:"text,omitempty"`
	Accepted   bool       `json:"accepted"`
	Sender     string     `json:"sender"`
	Recipients []string   `json:"recipients,omitempty"`
	Quarantine string     `json:"quarantine,omitempty"`
	Edits      []editJSON `json:"edits,omitempty"`
	Steps      []stepJSON `json:"steps"`
	Error      string     `json:"error,omitempty"`
}

type stepJSON struct {
	Phase    string `json:"phase"`
	Detail   string `json:"detail,omitempty"`
	Verdict  string `json:"verdict"`
	Code     int    `json:"code,omitempty"`
	Enhanced string `json:"enhanced,omitempty"`
	Text     string `json:"text,omitempty"`
	Implied  bool   `json:"implied,omitempty"` // the milter was not asked, or need not answer
}

type editJSON struct {
	Kind    string  `json:"kind"` // libmilter's word: addheader, chgheader, ...
	Index   *uint32 `json:"index,omitempty"`
	Name    string  `json:"name,omitempty"`
	Value   string  `json:"value,omitempty"`
	Address string  `json:"address,omitempty"`
	Params  string  `json:"params,omitempty"`
	Size    *int    `json:"size,omitempty"` // of a chunk of a new body
	Reason  string  `json:"reason,omitempty"`
}

func newSendReport(file string, r mta.Result, err error) sendReport {
	out := sendReport{File: file, Phase: string(r.Phase), Steps: []stepJSON{}}
	if err != nil {
		out.Error = err.Error()
	} else {
		out.Verdict = r.Verdict.Verdict()
		out.Code, out.Enhanced, out.Text = r.Verdict.SMTP()
	}
	if m := r.Message; m != nil {
		out.Accepted, out.Sender, out.Quarantine = true, m.Sender, m.Reason
		for _, rcpt := range m.Recipients {
			out.Recipients = append(out.Recipients, rcpt.Address)
		}
	}
	for _, s := range r.Steps {
		step := stepJSON{Phase: string(s.Phase), Detail: s.Detail, Verdict: s.Reply.Verdict(), Implied: s.Reply.Implied}
		step.Code, step.Enhanced, step.Text = s.Reply.SMTP()
		out.Steps = append(out.Steps, step)
	}
	for _, e := range r.Edits {
		out.Edits = append(out.Edits, newEditJSON(e))
	}
	return out
}

func newEditJSON(e mta.Modification) editJSON {
	out := editJSON{Kind: e.Kind(), Name: e.Name, Value: e.Value, Address: e.Addr, Params: e.Params, Reason: e.Reason}
	switch out.Kind {
	case "chgheader", "insheader":
		out.Index = &e.Index
	case "replbody":
		size := len(e.Body)
		out.Size = &size
	}
	return out
}
