package milter

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	wire "github.com/emersion/go-milter"
	"go.uber.org/zap/zapcore"
)

func TestPanicsEndTheConnectionWithATempfail(t *testing.T) {
	for _, tc := range []struct {
		code    wire.Code
		payload string
		replied bool
	}{
		{wire.CodeHelo, "h\x00", true},
		{wire.CodeHeader, "a\x00b\x00", false}, // NR
		{wire.CodeEOB, "", true},
		{wire.CodeAbort, "", false},
		{wire.CodeQuitNewConn, "", false},
		{wire.CodeQuit, "", false}, // in Close
	} {
		t.Run(string(byte(tc.code)), func(t *testing.T) {
			s := &recorder{
				on:        func(string) Reply { panic("a bug") },
				negotiate: func(Options) Options { return Options{Protocol: wire.OptNoHeaderReply} },
			}
			p := dial(t, s)
			p.offer(everything)
			p.send(tc.code, tc.payload)
			if tc.replied {
				if f := p.recv(); f.code != byte(wire.ActTempFail) {
					t.Errorf("answered %c", f.code)
				}
			}
			p.ended()
			logs := p.logs.FilterLevelExact(zapcore.ErrorLevel).All()
			if len(logs) == 0 || !strings.Contains(fmt.Sprint(logs[0].ContextMap()["stack"]), "recorder") {
				t.Errorf("log: %v", p.logs.All())
			}
			if p.srv.Connections() != 0 {
				t.Error("the connection is still counted")
			}
			if calls := s.take(); calls[len(calls)-1] != "close" {
				t.Errorf("calls %q", calls)
			}
		})
	}
	t.Run("in Negotiate", func(t *testing.T) {
		s := &recorder{negotiate: func(Options) Options { panic("a bug") }}
		p := dial(t, s)
		p.send(wire.CodeOptNeg, string(AppendOptions(nil, everything)[5:]))
		if _, _, err := p.frames.Next(); !errors.Is(err, io.EOF) {
			t.Error(err)
		}
		p.wait()
		wantCalls(t, s, "close")
	})
}
