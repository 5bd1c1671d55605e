package resolver

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/miekg/dns"
)

// The codes of an Error: those of Node.js' dns module.
const (
	NotFound = "ENOTFOUND"    // there is no such name (NXDOMAIN)
	NoData   = "ENODATA"      // the name has no records of the type
	ServFail = "ESERVFAIL"    // the servers could not find out
	Refused  = "EREFUSED"     // the servers do not want to answer
	NotImp   = "ENOTIMP"      // the servers do not know how to answer
	FormErr  = "EFORMERR"     // the servers do not understand the question
	BadName  = "EBADNAME"     // no name that can be asked for
	BadResp  = "EBADRESP"     // an answer that makes no sense
	NoServer = "ECONNREFUSED" // no server could be reached
	Timeout  = "ETIMEOUT"     // no server answered in time
	Canceled = "ECANCELLED"   // nobody waits for the answer any more
)

// Error is why a look-up gave nothing.
type Error struct {
	code   string
	name   string // as asked for
	kind   string // "MX"
	detail string // what was wrong, "" when the code says it
}

// Code is one of the constants above.
func (e *Error) Code() string { return e.code }

// Name is what scripts know the error by.
func (e *Error) Name() string {
	if e.code == Timeout {
		return "TimeoutError"
	}
	return "DNSError"
}

// Timeout tells whether nobody answered in time.
func (e *Error) Timeout() bool { return e.code == Timeout }

// Temporary tells whether asking again later may help.
func (e *Error) Temporary() bool {
	switch e.code {
	case NotFound, NoData, BadName:
		return false
	}
	return true
}

// nothing tells whether the answer is that there is nothing.
func (e *Error) nothing() bool { return e.code == NotFound || e.code == NoData }

// reason is the error without its name.
func (e *Error) reason() string {
	if e.detail != "" {
		return e.detail
	}
	switch e.code {
	case NotFound:
		return "no such name"
	case NoData:
		return "no " + e.kind + " records"
	case ServFail:
		return "the name server failed"
	case Refused:
		return "the name server refuses to answer"
	case NotImp:
		return "the name server cannot answer"
	case FormErr:
		return "the name server did not understand"
	case BadName:
		return "not a name that can be looked up"
	case NoServer:
		return "no name server can be reached"
	case Timeout:
		return "no name server answered in time"
	default:
		return "the answer makes no sense"
	}
}

func (e *Error) Error() string {
	name := e.name
	if len(name) > 300 {
		name = name[:300] + "..."
	}
	return fmt.Sprintf("%q %s: %s", name, e.kind, e.reason())
}

// asNet is an error as net.Resolver's methods return it: a *net.DNSError, with
// the Error behind it.
func asNet(err error) error {
	var e *Error
	if err == nil || !errors.As(err, &e) {
		return err
	}
	return &net.DNSError{
		Err: e.reason(), Name: e.name, UnwrapErr: e,
		IsTimeout: e.Timeout(), IsTemporary: e.Temporary(), IsNotFound: e.nothing(),
	}
}

// codeOf is the code for a server's refusal, "" for an answer.
func codeOf(rcode int) string {
	switch rcode {
	case dns.RcodeSuccess:
		return ""
	case dns.RcodeNameError:
		return NotFound
	case dns.RcodeServerFailure:
		return ServFail
	case dns.RcodeRefused:
		return Refused
	case dns.RcodeNotImplemented:
		return NotImp
	case dns.RcodeFormatError:
		return FormErr
	default:
		return BadResp
	}
}

// fail is an Error about a question.
func (q question) fail(code, detail string) *Error {
	return &Error{code: code, name: q.name, kind: dns.TypeToString[q.kind], detail: detail}
}

// failed makes of what stopped an attempt an Error.
func (q question) failed(err error) *Error {
	var e *Error
	var timeout net.Error
	switch {
	case errors.As(err, &e):
		return e
	case errors.Is(err, context.Canceled):
		return q.fail(Canceled, "given up")
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return q.fail(Timeout, "")
	default:
		return q.fail(NoServer, "no name server can be reached: "+err.Error())
	}
}
