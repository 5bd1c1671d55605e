package testbed

import (
	"strings"

	"pmilter/filter"
	"pmilter/internal/mta"
	"pmilter/script"
)

func refuses(a script.Answer) bool {
	return a.Verdict == "reject" || a.Verdict == "tempfail" || a.Verdict == "discard"
}

// answer is a reply with what the filter reported of it. A decision that holds on
// is remembered: what comes after it is answered by the MTA in the same words.
func (s *session) answer(phase string, r mta.Reply, err error) (script.Answer, error) {
	if err != nil {
		return script.Answer{}, err
	}
	outcomes := s.take()
	verdict := r.Verdict()
	if verdict == "skip" {
		verdict = "continue"
	}
	if r.Implied && verdict != "continue" && s.decided != nil {
		return *s.decided, nil
	}
	a := script.Answer{Verdict: verdict, Phase: phase}
	a.Code, a.Enhanced, a.Text = r.SMTP()
	if o := deciding(outcomes); o != nil {
		a.Phase, a.Notes = o.Phase.String(), o.Notes
		if refuses(a) {
			a.Script, a.Line, a.Fault = o.Script, o.Where.Line, o.Fault
		}
	}
	held := a
	a.WouldBe = s.wouldBe(outcomes)
	connection := phase == "connect" || phase == "helo"
	if connection && verdict != "continue" {
		s.decided, s.ofSession = &held, true
	} else if !connection && (verdict == "accept" || verdict == "discard" || verdict != "continue" && phase == "mail") {
		s.decided = &held
	}
	return a, nil
}

// deciding is the outcome that a reply is about: the last that was done.
func deciding(outcomes []*filter.Outcome) *filter.Outcome {
	for i := len(outcomes) - 1; i >= 0; i-- {
		if !outcomes[i].WouldBe {
			return outcomes[i]
		}
	}
	return nil
}

// wouldBe is what observing scripts would have done.
func (s *session) wouldBe(outcomes []*filter.Outcome) []script.Answer {
	var list []script.Answer
	for _, o := range outcomes {
		if o.WouldBe {
			list = append(list, script.Answer{
				Verdict: o.Verdict.Action.String(), Phase: o.Phase.String(), Code: o.Verdict.Code, Enhanced: o.Verdict.Enhanced,
				Text: o.Verdict.Text, Script: o.Script, Line: o.Where.Line, Fault: o.Fault,
			})
		}
	}
	return list
}

// delivered adds to an answer the message as it goes on; nil for one that does not.
func delivered(a script.Answer, m *mta.Message) script.Answer {
	d := &script.Delivered{}
	a.Delivered = d
	if m == nil {
		return a
	}
	for _, f := range m.Visible() {
		d.Headers = append(d.Headers, filter.Field{Name: f.Name(), Value: strings.TrimPrefix(f.Value(), " ")})
	}
	d.Body, d.Sender, d.Quarantine = string(m.Body), m.Sender, m.Reason
	for _, r := range m.Recipients {
		d.Recipients = append(d.Recipients, r.Address)
	}
	return a
}
