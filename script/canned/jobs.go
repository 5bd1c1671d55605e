package canned

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"pmilter/script"
)

// Exec answers for programs. The zero value knows none.
type Exec struct {
	mu      sync.Mutex
	answers map[string]script.ExecResult
}

var _ script.Exec = (*Exec)(nil)

// Answer says how a program ends, whatever its arguments.
func (e *Exec) Answer(program string, r script.ExecResult) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.answers == nil {
		e.answers = map[string]script.ExecResult{}
	}
	e.answers[program] = r
}

// Run implements script.Exec: nothing is run.
func (e *Exec) Run(_ context.Context, p script.ExecProgram) (script.ExecResult, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	r, ok := e.answers[p.Path]
	if !ok {
		return r, &Error{"ExecError", "ENOENT", p.Path + ": no answer is given in this test"}
	}
	if most := max(len(r.Stdout), len(r.Stderr)); int64(most) > p.MaxSize {
		return r, &Error{"ExecError", "EMSGSIZE", p.Path + ": it wrote more than maxSize"}
	}
	return r, nil
}

// AnswerValue is exec.answer(program, result): what it writes, or an object with
// code, signal, stdout and stderr.
func (e *Exec) AnswerValue(program string, result any) error {
	if out, ok := data(result); ok {
		e.Answer(program, script.ExecResult{Stdout: out})
		return nil
	}
	m, ok := result.(map[string]any)
	if !ok {
		return fmt.Errorf("exec.answer: the result is neither an output nor an object")
	}
	var r script.ExecResult
	for _, key := range slices.Sorted(maps.Keys(m)) {
		v := m[key]
		switch key {
		case "code":
			if r.Code = whole(v); r.Code < 0 || r.Code > 255 {
				return fmt.Errorf("exec.answer: code is %v: 0 to 255", v)
			}
		case "signal":
			r.Signal, ok = v.(string)
		case "stdout":
			r.Stdout, ok = data(v)
		case "stderr":
			r.Stderr, ok = data(v)
		default:
			return fmt.Errorf("exec.answer: no %q: there are code, signal, stdout, stderr", key)
		}
		if !ok {
			return fmt.Errorf("exec.answer: %s is %v", key, v)
		}
	}
	e.Answer(program, r)
	return nil
}

// SMTP answers for servers. The zero value knows none.
type SMTP struct {
	mu      sync.Mutex
	answers map[string]smtpAnswer
}

// smtpAnswer is what a server says of a message, and of recipients.
type smtpAnswer struct {
	reply    script.SMTPRejected // that of the message; a code under 400 takes it
	line     string              // the reply without its code
	rejected map[string]script.SMTPRejected
}

var _ script.SMTP = (*SMTP)(nil)

// Send implements script.SMTP: nothing is sent.
func (s *SMTP) Send(_ context.Context, m script.SMTPMessage) (script.SMTPResult, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var r script.SMTPResult
	a, ok := s.answers[m.Server]
	if !ok {
		return r, &Error{"NetworkError", "ECONNREFUSED", m.Server + ": no answer is given in this test"}
	}
	for _, to := range m.To {
		if no, refused := a.rejected[to]; refused {
			r.Rejected = append(r.Rejected, no)
		} else {
			r.Accepted = append(r.Accepted, to)
		}
	}
	if len(r.Rejected) > 0 && (!m.Partial || len(r.Accepted) == 0) {
		// One that may go through later is told first, as by the real one.
		later := slices.IndexFunc(r.Rejected, func(one script.SMTPRejected) bool { return !one.Permanent })
		return script.SMTPResult{}, &script.SMTPError{SMTPRejected: r.Rejected[max(later, 0)], Rejected: r.Rejected}
	}
	if a.reply.Code >= 400 {
		return script.SMTPResult{}, &script.SMTPError{SMTPRejected: a.reply}
	}
	r.Reply = a.line
	return r, nil
}

// AnswerValue is smtp.answer(server, reply): the reply to the message, "250 2.0.0
// taken" or a refusal, or an object with reply and rejected: replies by recipient.
func (s *SMTP) AnswerValue(server string, answer any) error {
	a := smtpAnswer{rejected: map[string]script.SMTPRejected{}}
	reply, rejected := answer, any(nil)
	if m, ok := answer.(map[string]any); ok {
		if reply, ok = m["reply"]; !ok {
			reply = "250 2.0.0 taken"
		}
		rejected = m["rejected"]
		for key := range m {
			if key != "reply" && key != "rejected" {
				return fmt.Errorf("smtp.answer: no %q: there are reply, rejected", key)
			}
		}
	}
	var err error
	if a.reply, err = smtpReply(reply); err != nil {
		return err
	}
	a.line, _ = reply.(string)
	_, a.line, _ = strings.Cut(a.line, " ")
	if rejected != nil {
		all, ok := rejected.(map[string]any)
		if !ok {
			return fmt.Errorf("smtp.answer: rejected is no object of replies by recipient")
		}
		for to, v := range all {
			no, err := smtpReply(v)
			if err == nil && no.Code < 400 {
				err = fmt.Errorf("smtp.answer: %q refuses nothing", v)
			}
			if err != nil {
				return err
			}
			no.Address = to
			a.rejected[to] = no
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.answers == nil {
		s.answers = map[string]smtpAnswer{}
	}
	s.answers[server] = a
	return nil
}

// smtpReply takes a reply apart: a code, an enhanced one if there is any, and text.
func smtpReply(v any) (script.SMTPRejected, error) {
	line, _ := v.(string)
	m := regexp.MustCompile(`^([245][0-9][0-9])(?: ([245]\.[0-9]{1,3}\.[0-9]{1,3}))?(?: (.*))?$`).FindStringSubmatch(line)
	if m == nil {
		return script.SMTPRejected{}, fmt.Errorf("smtp.answer: %v is no reply: \"250 2.0.0 taken\" or \"550 5.1.1 nobody here\"", v)
	}
	code, _ := strconv.Atoi(m[1]) // three digits
	return script.SMTPRejected{Code: code, Enhanced: m[2], Text: m[3], Permanent: code >= 500}, nil
}

// Maildirs takes what is delivered and makes no file. The zero value is empty.
type Maildirs struct {
	mu    sync.Mutex
	files map[string]bool // by folder and id
	count int
}

var _ script.Maildirs = (*Maildirs)(nil)

// Deliver implements script.Maildirs.
func (d *Maildirs) Deliver(_ context.Context, path, id string, _ []byte) (file string, isNew bool, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if strings.ContainsRune(path, 0) || strings.ContainsAny(id, "/\x00:") || strings.HasPrefix(id, ".") {
		return "", false, &Error{"Error", "", fmt.Sprintf("%q in %q is no file's name", id, path)}
	}
	if id == "" {
		d.count++
		id = fmt.Sprintf("TEST%d", d.count)
	}
	file = filepath.Join(path, "new", id)
	isNew = !d.files[file]
	if d.files == nil {
		d.files = map[string]bool{}
	}
	d.files[file] = true
	return file, isNew, nil
}
