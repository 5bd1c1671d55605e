package daemon

import (
	"context"
	"errors"

	"pmilter/internal/mailout"
	"pmilter/internal/permit"
	"pmilter/internal/program"
	"pmilter/internal/reach"
	"pmilter/script"
)

// scriptExec runs programs for jobs, under the rules that hold now.
type scriptExec struct{ d *permit.Dialer }

// Run implements script.Exec.
func (s scriptExec) Run(ctx context.Context, p script.ExecProgram) (script.ExecResult, error) {
	r, err := program.Run(ctx, s.d.Rules(), program.Command(p))
	return script.ExecResult(r), err
}

// scriptSMTP sends mail for jobs.
type scriptSMTP struct{ s *mailout.Sender }

// Send implements script.SMTP.
func (s scriptSMTP) Send(ctx context.Context, m script.SMTPMessage) (script.SMTPResult, error) {
	r, err := s.s.Send(ctx, mailout.Message(m))
	var no *mailout.RefusedError
	if errors.As(err, &no) {
		return script.SMTPResult{}, &script.SMTPError{SMTPRejected: script.SMTPRejected(no.Rejected), Rejected: rejected(no.All)}
	}
	if err != nil {
		return script.SMTPResult{}, reach.Failure(ctx, m.Server, err)
	}
	return script.SMTPResult{Reply: r.Reply, Accepted: r.Accepted, Rejected: rejected(r.Rejected)}, nil
}

func rejected(list []mailout.Rejected) []script.SMTPRejected {
	out := make([]script.SMTPRejected, len(list))
	for i, r := range list {
		out[i] = script.SMTPRejected(r)
	}
	return out
}
