package milter

import (
	"bytes"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	wire "github.com/emersion/go-milter"
)

// go-milter's client is a peer that was written by others, from other sources.

// asMTA connects with go-milter's client.
func asMTA(t testing.TB, addr net.Addr, protocol wire.OptProtocol) *wire.ClientSession {
	t.Helper()
	c := wire.NewClientWithOptions(addr.Network(), addr.String(), wire.ClientOptions{
		ReadTimeout: time.Minute, WriteTimeout: time.Minute,
		ActionMask: AllActions, ProtocolMask: protocol,
	})
	s, err := c.Session()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// clientMail is how far a mail gets.
func clientMail(t testing.TB, s *wire.ClientSession) (phase string, act *wire.Action, edits []wire.ModifyAction) {
	t.Helper()
	body := strings.Repeat("line\r\n", 20000)
	for _, step := range []struct {
		phase string
		do    func() (*wire.Action, error)
	}{
		{"connect", func() (*wire.Action, error) {
			if err := s.Macros(wire.CodeConn, "j", "mx.example.org"); err != nil {
				return nil, err
			}
			return s.Conn("client.example.org", wire.FamilyInet, 2525, "192.0.2.7")
		}},
		{"helo", func() (*wire.Action, error) { return s.Helo("client.example.org") }},
		{"mail", func() (*wire.Action, error) { return s.Mail("a@example.org", []string{"SIZE=10", "SMTPUTF8"}) }},
		{"rcpt", func() (*wire.Action, error) { return s.Rcpt("b@example.org", []string{"NOTIFY=NEVER"}) }},
		{"header", func() (*wire.Action, error) { return s.HeaderField("Subject", "one") }},
		{"eoh", s.HeaderEnd},
		{"body", func() (*wire.Action, error) { return s.BodyChunk([]byte("first\r\n")) }},
		{"eom", func() (act *wire.Action, err error) {
			edits, act, err = s.BodyReadFrom(strings.NewReader(body))
			return act, err
		}},
	} {
		got, err := step.do()
		if err != nil {
			t.Fatalf("%s: %v", step.phase, err)
		}
		if got.Code != wire.ActContinue {
			return step.phase, got, edits
		}
		act = got
	}
	return "", act, edits
}

func TestClientRefusedInEachPhase(t *testing.T) {
	for _, phase := range []string{"connect", "helo", "mail", "rcpt", "header", "eoh", "body", "eom"} {
		for _, reply := range []Reply{
			{Action: wire.ActReject},
			{Action: wire.ActTempFail},
			{Action: wire.ActAccept},
			{Action: wire.ActDiscard},
			{Action: wire.ActReplyCode, Code: 554, Enhanced: "5.7.9", Text: "one\ntwo"},
		} {
			t.Run(phase+" "+string(rune(reply.Action)), func(t *testing.T) {
				srv := NewServer(Config{NewSession: func(c *Conn) Session {
					return &recorder{conn: c, on: func(call string) Reply {
						if strings.HasPrefix(call, phase) {
							return reply
						}
						return Reply{}
					}}
				}})
				s := asMTA(t, listen(t, srv, "test"), 0)
				at, act, _ := clientMail(t, s)
				if at != phase || act.Code != reply.Action {
					t.Errorf("refused in %q with %c", at, act.Code)
				}
				if reply.Code != 0 && (act.SMTPCode != 554 || act.SMTPText != "5.7.9 one\r\n554 5.7.9 two") {
					t.Errorf("%d %q", act.SMTPCode, act.SMTPText)
				}
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

func TestClientSeesTheEdits(t *testing.T) {
	for name, protocol := range map[string]wire.OptProtocol{
		"all answered": 0,
		"no replies": wire.OptNoConnReply | wire.OptNoHeloReply | wire.OptNoMailReply | wire.OptNoRcptReply |
			wire.OptNoHeaderReply | wire.OptNoEOHReply | wire.OptNoBodyReply,
	} {
		t.Run(name, func(t *testing.T) {
			body := bytes.Repeat([]byte("0123456789abcdef"), 10000)
			rec := &recorder{
				negotiate: func(offer Options) Options { return offer },
				eom: func(out *Modifications) Reply {
					for _, err := range []error{
						out.AddHeader("X-Added", "1"),
						out.InsertHeader(2, "X-Inserted", "a\n\tb"),
						out.ChangeHeader(1, "Subject", "two"),
						out.ChangeHeader(3, "Received", ""),
						out.AddRcpt("c@example.org", nil),
						out.DelRcpt("b@example.org"),
						out.ChangeFrom("d@example.org", []string{"RET=HDRS"}),
						out.ReplaceBody(body),
						out.Quarantine("suspicious"),
					} {
						if err != nil {
							t.Error(err)
						}
					}
					time.Sleep(5 * time.Millisecond) // PROGRESS comes between
					return Reply{Action: wire.ActAccept}
				},
			}
			srv := NewServer(Config{ProgressEvery: time.Millisecond, NewSession: func(c *Conn) Session {
				rec.conn = c
				return rec
			}})
			s := asMTA(t, listen(t, srv, "test"), protocol)
			if s.ActionOpts != AllActions || s.ProtocolOpts != protocol {
				t.Errorf("negotiated %#x %#x", s.ActionOpts, s.ProtocolOpts)
			}
			_, act, edits := clientMail(t, s)
			if act.Code != wire.ActAccept {
				t.Errorf("%c", act.Code)
			}
			wantEdits(t, edits, body)
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			calls := rec.take()
			if !slices.Equal(calls[:5], []string{
				`connect "client.example.org" 4 2525 "192.0.2.7"`, `helo "client.example.org"`,
				`mail "<a@example.org>" ["SIZE=10" "SMTPUTF8"]`, `rcpt "<b@example.org>" ["NOTIFY=NEVER"]`,
				`header "Subject" "one"`,
			}) {
				t.Errorf("calls %q", calls)
			}
			total := 0
			for _, call := range calls {
				total += bodySize(call)
			}
			if total != len("first\r\n")+20000*6 {
				t.Errorf("%d bytes of body", total)
			}
		})
	}
}

func bodySize(call string) (n int) {
	if size, ok := strings.CutPrefix(call, "body "); ok {
		for _, c := range size {
			n = 10*n + int(c-'0')
		}
	}
	return n
}

func wantEdits(t *testing.T, got []wire.ModifyAction, body []byte) {
	t.Helper()
	want := []wire.ModifyAction{
		{Code: wire.ActAddHeader, HeaderName: "X-Added", HeaderValue: "1"},
		{Code: wire.ActInsertHeader, HeaderIndex: 2, HeaderName: "X-Inserted", HeaderValue: "a\n\tb"},
		{Code: wire.ActChangeHeader, HeaderIndex: 1, HeaderName: "Subject", HeaderValue: "two"},
		{Code: wire.ActChangeHeader, HeaderIndex: 3, HeaderName: "Received"},
		{Code: wire.ActAddRcpt, Rcpt: "<c@example.org>"},
		{Code: wire.ActDelRcpt, Rcpt: "<b@example.org>"},
		{Code: wire.ActChangeFrom, From: "<d@example.org>", FromArgs: []string{"RET=HDRS", ""}},
		{Code: wire.ActReplBody},
		{Code: wire.ActQuarantine, Reason: "suspicious"},
	}
	var newBody []byte
	var rest []wire.ModifyAction
	for _, m := range got {
		if m.Code == wire.ActReplBody {
			newBody = append(newBody, m.Body...)
			if len(newBody) > len(m.Body) {
				continue
			}
			m.Body = nil
		}
		rest = append(rest, m)
	}
	if !bytes.Equal(newBody, body) {
		t.Errorf("a new body of %d bytes, want %d", len(newBody), len(body))
	}
	if !slices.EqualFunc(rest, want, func(a, b wire.ModifyAction) bool {
		return a.Code == b.Code && a.HeaderIndex == b.HeaderIndex && a.HeaderName == b.HeaderName && a.HeaderValue == b.HeaderValue &&
			a.Rcpt == b.Rcpt && a.From == b.From && a.Reason == b.Reason && slices.Equal(a.FromArgs, b.FromArgs)
	}) {
		t.Errorf("got  %+v\nwant %+v", rest, want)
	}
}

func TestClientManyMessages(t *testing.T) {
	rec := &recorder{quiet: true}
	srv := NewServer(Config{NewSession: func(c *Conn) Session { rec.conn = c; return rec }})
	s := asMTA(t, listen(t, srv, "test"), 0)
	for range 20 {
		if at, act, _ := clientMail(t, s); at != "" {
			t.Fatalf("%s: %c", at, act.Code)
		}
		if err := s.Abort(); err != nil {
			t.Fatal(err)
		}
	}
	if v, _ := rec.conn.Macros().Get("j"); v != "mx.example.org" {
		t.Errorf("j is %q", v)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
