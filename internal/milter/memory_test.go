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
	for _, code := range []wire.Code{
		wire.CodeHelo, CodeUnknown, wire.CodeMail, // outside of a message
		wire.CodeRcpt, wire.CodeBody, // within one
	} {
		p.ask(code, huge, wire.ActContinue)
		if held <= largeBlock {
			t.Errorf("%c: a block of %d bytes holds a packet of %d", code, held, len(huge))
		}
		if code == wire.CodeMail {
			continue // and so the message began
		}
		p.ask(wire.CodeHelo, "h\x00", wire.ActContinue)
		if held > smallBlock {
			t.Errorf("%c: a block of %d bytes is kept, at most %d should be", code, held, smallBlock)
		}
	}
	p.ask(wire.CodeEOB, "", wire.ActContinue)
	p.ask(wire.CodeHelo, "h\x00", wire.ActContinue)
	if held > smallBlock {
		t.Errorf("after the message a block of %d bytes is kept", held)
	}
	p.quit()
}
