package milter

import (
	"strings"
	"testing"

	wire "github.com/emersion/go-milter"
)

// A connection that once sent much holds little while it waits.
func TestTrap03LargePacketsAreNotKept(t *testing.T) {
	huge := strings.Repeat("x", MaxFrame-2) + "\x00"
	s := &recorder{quiet: true}
	held := 0
	s.on = func(string) Reply {
		held = len(s.conn.runner.frames.block.b)
		return Reply{}
	}
	p := dial(t, s)
	p.offer(everything)
	for _, tc := range []struct {
		code  wire.Code
		limit int
	}{
		{wire.CodeHelo, smallBlock}, // outside of a message
		{CodeUnknown, smallBlock},
		{wire.CodeMail, smallBlock},
		{wire.CodeRcpt, largeBlock}, // within one
		{wire.CodeBody, largeBlock},
	} {
		p.ask(tc.code, huge, wire.ActContinue)
		if held <= largeBlock {
			t.Errorf("%c: a block of %d bytes holds a packet of %d", tc.code, held, len(huge))
		}
		if tc.code == wire.CodeMail {
			continue // and so the message began
		}
		p.ask(wire.CodeHelo, "h\x00", wire.ActContinue)
		if held > tc.limit {
			t.Errorf("%c: a block of %d bytes is kept, at most %d should be", tc.code, held, tc.limit)
		}
	}
	p.ask(wire.CodeEOB, "", wire.ActContinue)
	p.ask(wire.CodeHelo, "h\x00", wire.ActContinue)
	if held > smallBlock {
		t.Errorf("after the message a block of %d bytes is kept", held)
	}
	p.quit()
}
