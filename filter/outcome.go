package filter

import (
	"fmt"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// Outcome is what became of a message, or a refused connection, recipient or command.
type Outcome struct {
	Session    string
	QueueID    string
	MessageID  string // as it arrived, when the whole message was asked about and headers were asked for
	Client     Client
	Helo       string
	Sender     string   // as the client gave it; Edits tells what became of it
	Recipients []string // those that all scripts passed, likewise
	Recipient  string   // the refused one, in Rcpt
	Verdict    Verdict
	Phase      Phase
	Script     string   // that decided; "" for none
	Where      Position // in that script
	Fault      string   // of the script, when on_error gave the verdict
	Edits      []string
	Quarantine string
	Queued     []*Queued // what is durable of it; not what an abort handler asks for
	Notes      []Note
	Size       int64
	InScript   time.Duration // in handlers, awaits included
	WouldBe    bool          // of a script with options.observe: not done
}

// Subject is what the outcome is about: "message", "recipient", "connection" or "command".
func (o *Outcome) Subject() string {
	switch {
	case o.Phase == Unknown:
		return "command"
	case o.Phase < Mail || o.Phase == Close:
		return "connection"
	case o.Phase == Rcpt && o.Verdict.Action != Discard && o.Verdict.Action != Accept:
		return "recipient"
	}
	return "message"
}

// finish logs and reports an outcome.
func (c *Conn) finish(d decision, edits []string) {
	c.meter.Decided(d.script, d.phase, d.verdict.Action, false)
	report := c.o.Report
	entry := c.log.Check(zapcore.InfoLevel, "")
	if entry == nil && report == nil {
		return
	}
	o := c.outcome(d, edits)
	if entry != nil {
		entry.Message = o.Subject()
		entry.Write(o.fields()...)
	}
	if report != nil {
		report(o)
	}
}

func (c *Conn) logWouldBe(d decision, p Phase) {
	d.phase = p
	c.meter.Decided(d.script, p, d.verdict.Action, true)
	o := c.outcome(d, nil)
	o.WouldBe = true
	c.log.Info(o.Subject()+" would be refused", o.fields()...)
	if c.o.Report != nil {
		c.o.Report(o)
	}
}

// logWouldChange names the edits of an observing script, which are undone.
func (c *Conn) logWouldChange(script int, p Phase, edits []edit) {
	if len(edits) == 0 {
		return
	}
	names := make([]string, 0, min(len(edits), maxDone)+1)
	for _, e := range edits[:min(len(edits), maxDone)] {
		names = append(names, e.String())
	}
	if more := len(edits) - maxDone; more > 0 {
		names = append(names, fmt.Sprintf("and %d more", more))
	}
	c.asideWouldBe(script, p, names, nil)
	c.log.Info("message would be changed", zap.String("qid", c.session.QueueID()), zap.Stringer("phase", p),
		zap.String("script", c.list[script].Name), zap.Strings("edits", names))
}

func (c *Conn) outcome(d decision, edits []string) *Outcome {
	s := c.session
	s.notes.told, s.ofConnection.told = len(s.notes.list), len(s.ofConnection.list)
	o := &Outcome{
		Session: s.ID, QueueID: s.QueueID(), Client: s.Client, Helo: s.Helo,
		Verdict: d.verdict, Phase: d.phase, Edits: edits, Notes: s.notes.list, Queued: c.queued, InScript: c.spent,
	}
	if d.script >= 0 {
		o.Script = c.list[d.script].Name
	}
	if d.verdict.Where != nil {
		o.Where = d.verdict.Where()
	}
	if d.fault != nil {
		o.Fault = d.fault.Message
	}
	if m := s.Message; m != nil {
		o.Sender, o.Size = m.Sender.Address, m.received
		for _, r := range m.recipients {
			o.Recipients = append(o.Recipients, r.Address)
		}
		if len(m.edits) > 0 && !d.verdict.Refuses() && d.phase != Abort {
			o.Quarantine = m.model().quarantine
		}
		if d.phase >= Header && d.phase <= EOM {
			o.MessageID = m.messageID()
		}
	}
	if d.phase == Rcpt && c.call.Address != nil {
		o.Recipient = c.call.Address.Address
	}
	return o
}

// fields are the outcome for the log: text from mail is only ever a field.
func (o *Outcome) fields() []zap.Field {
	f := make([]zap.Field, 0, 20)
	add := func(key, value string) {
		if value != "" {
			f = append(f, zap.String(key, value))
		}
	}
	add("qid", o.QueueID)
	f = append(f, zap.String("client", o.Client.IP))
	add("client_name", o.Client.Name)
	add("helo", o.Helo)
	if o.Phase >= Mail && o.Phase <= EOM {
		f = append(f, zap.String("sender", o.Sender), zap.Strings("recipients", o.Recipients))
	}
	add("recipient", o.Recipient)
	f = append(f, zap.Stringer("verdict", o.Verdict.Action), zap.Stringer("phase", o.Phase))
	add("script", o.Script)
	if o.Where.File != "" {
		f = append(f, zap.String("at", o.Where.String()))
	}
	if o.Verdict.Code != 0 {
		f = append(f, zap.Int("code", o.Verdict.Code))
		add("enhanced", o.Verdict.Enhanced)
		add("text", o.Verdict.Text)
	}
	if len(o.Edits) > 0 {
		f = append(f, zap.Strings("edits", o.Edits))
	}
	add("quarantine", o.Quarantine)
	if len(o.Queued) > 0 {
		f = append(f, zap.Strings("queued", queuesOf(o.Queued)))
	}
	if len(o.Notes) > 0 {
		f = append(f, zap.Any("notes", o.Notes))
	}
	if o.Size > 0 {
		f = append(f, zap.Int64("size", o.Size))
	}
	return append(f, zap.Float64("script_ms", float64(o.InScript.Microseconds())/1000))
}

// logFault warns of a script's fault.
func (c *Conn) logFault(fault *ScriptError) {
	f := []zap.Field{
		zap.String("script", fault.Script), zap.Stringer("phase", fault.Phase),
		zap.String("qid", c.session.QueueID()), zap.String("error", fault.Message),
	}
	if fault.Pos.File != "" {
		f = append(f, zap.String("at", fault.Pos.String()), zap.Int("line", fault.Pos.Line))
	}
	if fault.Stack != "" {
		f = append(f, zap.String("stack", fault.Stack))
	}
	if fault.Dropped {
		f = append(f, zap.Bool("world_dropped", true))
	}
	c.log.Warn("script error", f...)
}
