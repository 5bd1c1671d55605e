package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"pmilter/internal/daemon"
)

// timeOfDecision is how explain writes a time: the local one, as mail logs have it.
const timeOfDecision = "2006-01-02 15:04:05 MST"

// writeDecision shows a decision to people. Everything in it may be made up by a
// stranger: it is made harmless for a terminal.
func writeDecision(w io.Writer, d *daemon.Decision, zone *time.Location) error {
	var b strings.Builder
	lines := func(name string, values []string) {
		for _, v := range values {
			fmt.Fprintf(&b, "  %-11s %s\n", name, plain(v))
			name = ""
		}
	}
	line := func(name, value string) {
		if value != "" {
			lines(name, []string{value})
		}
	}
	fmt.Fprintf(&b, "%s  %s\n", d.Time.In(zone).Format(timeOfDecision), plain(headline(d)))
	line("client", clientOf(d))
	if d.HasEnvelope() {
		line("sender", "<"+d.Sender+">")
	}
	if d.About == "recipient" {
		line("recipient", "<"+d.Recipient+">")
		lines("before it", recipientList(d.Recipients, d.MoreRecipients))
	} else {
		lines("recipients", recipientList(d.Recipients, d.MoreRecipients))
	}
	line("message-id", d.MessageID)
	if d.Code != 0 {
		reply := strings.TrimSpace(fmt.Sprintf("%d %s %s", d.Code, d.Enhanced, d.Text))
		lines("reply", strings.Split(reply, "\n"))
	}
	line("why", reasonOf(d))
	line("fault", d.Fault)
	for _, n := range d.Notes {
		line("note", n.Script+": "+n.Reason+valuesOf(n.Values))
	}
	if d.MoreNotes > 0 {
		line("note", fmt.Sprintf("and %d more", d.MoreNotes))
	}
	lines(editsName(d), d.Edits)
	line("quarantine", d.Quarantine)
	for _, q := range d.Queued {
		line(map[bool]string{true: "would queue", false: "queued"}[d.WouldBe], strings.TrimSpace(q.Queue+" "+q.ID))
	}
	line("took", costOf(d))
	line("session", d.Session)
	_, err := io.WriteString(w, b.String())
	return err
}

// headline is what became of what.
func headline(d *daemon.Decision) string {
	what := d.About
	if d.QueueID != "" {
		what += " " + d.QueueID
	}
	if d.Verdict == "" {
		switch {
		case d.Fault != "":
			return what + ": a script failed, which decided nothing"
		case d.WouldBe:
			return what + ": an observing script would have done something"
		case d.Phase == "abort":
			return what + " ended"
		}
		return what + " noted"
	}
	done := map[string]string{"accept": "accepted", "reject": "rejected", "tempfail": "put off (tempfail)", "discard": "discarded silently"}[d.Verdict]
	if done == "" {
		done = d.Verdict
	}
	if d.WouldBe {
		return what + " would have been " + done + ", but the script only observes"
	}
	return what + " " + done
}

func clientOf(d *daemon.Decision) string {
	client := d.ClientName
	if d.Client != "" {
		client = strings.TrimSpace(client + " [" + d.Client + "]")
	}
	if d.Helo != "" {
		client += ", helo " + d.Helo
	}
	return strings.TrimPrefix(client, ", ")
}

// recipientList has a line for each of the first ones.
func recipientList(list []string, more int) (lines []string) {
	const most = 10
	for _, r := range list[:min(len(list), most)] {
		lines = append(lines, "<"+r+">")
	}
	if more += len(list) - len(lines); more > 0 {
		lines = append(lines, fmt.Sprintf("and %d more", more))
	}
	return lines
}

// reasonOf is the place that decided.
func reasonOf(d *daemon.Decision) string {
	switch {
	case d.At != "" && d.Fault != "" && d.Verdict != "":
		return d.At + ", in " + d.Phase + ": the script failed, and on_error decides"
	case d.At != "":
		return d.At + ", in " + d.Phase
	case d.Script != "" && d.Fault != "" && d.Verdict != "":
		return d.Script + ", in " + d.Phase + ": the script failed, and on_error decides"
	case d.Script != "":
		return d.Script + ", in " + d.Phase
	case d.Verdict == "accept":
		return "no script had anything against it"
	case d.Verdict != "":
		return "pmilterd itself, in " + d.Phase
	}
	return "in " + d.Phase
}

func valuesOf(values []byte) string {
	if len(values) == 0 {
		return ""
	}
	return " " + string(values)
}

func editsName(d *daemon.Decision) string {
	if d.WouldBe {
		return "would edit"
	}
	return "edits"
}

func costOf(d *daemon.Decision) string {
	var parts []string
	if d.ScriptMS > 0 {
		parts = append(parts, fmt.Sprintf("%g ms in scripts", d.ScriptMS))
	}
	if d.Size > 0 {
		parts = append(parts, count(int(d.Size), "byte"))
	}
	return strings.Join(parts, ", ")
}

// plain is printable without tabs: nothing may look like a column of ours.
func plain(s string) string { return printable(strings.ReplaceAll(s, "\t", " ")) }
