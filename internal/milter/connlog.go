package milter

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// logEnd writes the one line about how a connection ended; nil is not worth one.
func (c *Conn) logEnd(err error) {
	if err == nil {
		return
	}
	level, what := describe(err)
	entry := c.srv.cfg.Log.Check(level, what)
	if entry == nil {
		return
	}
	fields := []zap.Field{
		zap.Uint64("conn", c.id),
		zap.String("listener", c.listener),
		zap.Stringer("remote", c.Remote()),
	}
	if level > zapcore.DebugLevel {
		fields = append(fields, zap.Error(err))
	}
	if p, ok := errors.AsType[*panicError](err); ok {
		fields = append(fields, zap.ByteString("stack", p.stack))
	}
	entry.Write(fields...)
}

// describe: an MTA, or a health check, that closes between two packets is daily
// business. Postfix does so after a refusal in CONNECT, Sendmail when its client
// vanishes.
func describe(err error) (zapcore.Level, string) {
	if _, ok := errors.AsType[*panicError](err); ok {
		return zapcore.ErrorLevel, "milter: panic in a session"
	}
	switch {
	case errors.Is(err, errQuit), errors.Is(err, io.EOF),
		errors.Is(err, io.ErrClosedPipe), errors.Is(err, net.ErrClosed),
		errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return zapcore.DebugLevel, "milter: connection ended"
	case errors.Is(err, errStopping), errors.Is(err, errIdle):
		return zapcore.InfoLevel, "milter: connection closed"
	case errors.Is(err, os.ErrDeadlineExceeded):
		return zapcore.WarnLevel, "milter: the MTA does not read"
	}
	return zapcore.WarnLevel, "milter: connection broken off"
}
