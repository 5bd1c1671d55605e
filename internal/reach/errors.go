package reach

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"

	"pmilter/internal/permit"
)

// Error is what went wrong between us and another server.
type Error struct {
	code string
	text string
}

func (e *Error) Error() string { return e.text }

// Name is what scripts know the error by.
func (e *Error) Name() string { return "NetworkError" }

// Code is Node.js' where it has one: ENOTFOUND, EAI_AGAIN, ECONNREFUSED,
// ECONNRESET, EHOSTUNREACH, ENOENT, EACCES; and ECERT for a certificate that is
// not to be trusted, EPROTO for an answer that is none, EMSGSIZE for one that is
// too large, EREDIRECT for a redirect that is not followed, EIO for the rest.
func (e *Error) Code() string { return e.code }

func fail(code, format string, args ...any) *Error {
	return &Error{code, fmt.Sprintf(format, args...)}
}

// TimeoutError is a context.DeadlineExceeded that tells who did not answer.
type TimeoutError struct{ to string }

func (e *TimeoutError) Error() string { return e.to + ": no answer in time" }

// Name is what scripts know the error by.
func (e *TimeoutError) Name() string { return "TimeoutError" }

// Code is Node.js' of its dns module.
func (e *TimeoutError) Code() string { return "ETIMEOUT" }

// Unwrap is context.DeadlineExceeded.
func (e *TimeoutError) Unwrap() error { return context.DeadlineExceeded }

// Failure is an error as scripts get it: a *permit.Error, a *TimeoutError, or an
// *Error that names the other side.
func Failure(ctx context.Context, to string, err error) error {
	var refusal *permit.Error
	var known *Error
	var input *InputError
	var timeout net.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &refusal):
		return refusal
	case errors.As(err, &known):
		return known
	case errors.As(err, &input):
		return input
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded),
		errors.As(err, &timeout) && timeout.Timeout(), errors.Is(ctx.Err(), context.DeadlineExceeded):
		return &TimeoutError{to}
	}
	return fail(codeOf(err), "%s: %s", to, err)
}

func codeOf(err error) string {
	var name *net.DNSError
	var cert *tls.CertificateVerificationError
	var authority x509.UnknownAuthorityError
	var record tls.RecordHeaderError
	switch {
	case errors.As(err, &name) && name.IsNotFound:
		return "ENOTFOUND"
	case errors.As(err, &name):
		return "EAI_AGAIN"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "ECONNREFUSED"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "ECONNRESET"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return "EHOSTUNREACH"
	case errors.Is(err, syscall.ENOENT):
		return "ENOENT"
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM):
		return "EACCES"
	case errors.As(err, &cert), errors.As(err, &authority):
		return "ECERT"
	case errors.As(err, &record):
		return "EPROTO"
	default:
		return "EIO"
	}
}
