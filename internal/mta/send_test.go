package mta_test

import (
	"net"
	"strings"
	"testing"

	gomilter "github.com/emersion/go-milter"

	"pmilter/internal/mta"
	"pmilter/internal/mta/miltertest"
)

func transaction() mta.Transaction {
	return mta.Transaction{
		Peer: peer(), Helo: "helo.example.org", Sender: "s@example.org",
		Recipients: []mta.Recipient{{Address: "a@example.net"}, {Address: "b@example.net"}},
		Message:    []byte("Subject: hello\n\nbody\n"), Hostname: "mx.example.net", Received: true,
	}
}

// TestSendStream: what a milter sees of one mail is what Postfix was seen to send.
func TestSendStream(t *testing.T) {
	t.Parallel()
	m := &miltertest.Milter{}
	tx := transaction()
	tx.Macros = mta.Macros{"i": "4QueueId", "{auth_authen}": "user", "custom": "1"}
	r, err := mta.Send(t.Context(), dial(t, m, mta.Options{}), tx)
	if err != nil || r.Verdict.Verdict() != "continue" || r.Phase != mta.PhaseEOM {
		t.Fatalf("%+v %v", r, err)
	}
	want := []string{
		"DCj|mx.example.net|{daemon_name}|mx.example.net|{daemon_addr}|127.0.0.1|v|Postfix|_|client.example.org [192.0.2.1]|{custom}|1|",
		"Cclient.example.org|4\t\xdd192.0.2.1|", "DH", "Hhelo.example.org|",
		"DMi|4QueueId|{auth_authen}|user|{mail_addr}|s@example.org|{mail_host}|example.org|{mail_mailer}|smtp|", "M<s@example.org>|",
		"DRi|4QueueId|{rcpt_addr}|a@example.net|{rcpt_host}|example.net|{rcpt_mailer}|smtp|", "R<a@example.net>|",
		"DRi|4QueueId|{rcpt_addr}|b@example.net|{rcpt_host}|example.net|{rcpt_mailer}|smtp|", "R<b@example.net>|",
		"DTi|4QueueId|", "T", "DLi|4QueueId|", "LSubject|hello|", "DNi|4QueueId|", "N", "DBi|4QueueId|", "Bbody\r\n", "DEi|4QueueId|", "E", "A",
	}
	got := m.Log()
	for i, w := range want {
		if i >= len(got) || got[i] != w {
			t.Fatalf("packet %d: got %q, want %q", i, got[i:min(i+1, len(got))], w)
		}
	}
}

func TestSendVerdicts(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		on       string // letters of commands
		packets  string // the answer, _ is NUL
		commands string // what reached the milter (the end, A and Q, is cut)
		verdict  string
		phase    mta.Phase
		deliver  bool
	}{
		{"accept in connect", "C", "a", "C", "accept", "connect", true},
		{"reject in connect", "C", "r", "C", "reject", "connect", false},
		{"tempfail in helo", "H", "t", "CH", "tempfail", "helo", false},
		{"reject in mail", "M", "y550 5.7.1 no_", "CHM", "reject", "mail", false},
		{"accept in mail", "M", "a", "CHM", "accept", "mail", true},
		{"discard in mail", "M", "d", "CHM", "discard", "mail", false},
		{"every recipient", "R", "r", "CHMRR", "reject", "rcpt", false},
		{"discard in rcpt", "R", "d", "CHMR", "discard", "rcpt", false},
		{"reject in data", "T", "r", "CHMRRT", "reject", "data", false},
		{"reject in header", "L", "r", "CHMRRTL", "reject", "header", false},
		{"accept in eoh", "N", "a", "CHMRRTLN", "accept", "eoh", true},
		{"tempfail in body", "B", "t", "CHMRRTLNB", "tempfail", "body", false},
		{"discard at the end", "E", "d", "CHMRRTLNBE", "discard", "eom", false},
		{"shutdown", "M", "4", "CHM", "tempfail", "mail", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m := &miltertest.Milter{Reply: func(code byte, _ string) []string {
				if strings.IndexByte(tt.on, code) >= 0 {
					return []string{strings.ReplaceAll(tt.packets, "_", "\x00")}
				}
				return nil
			}}
			r, err := mta.Send(t.Context(), dial(t, m, mta.Options{}), transaction())
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.TrimRight(m.Commands(), "AQ"); got != tt.commands {
				t.Errorf("the milter got %s, want %s", got, tt.commands)
			}
			if r.Verdict.Verdict() != tt.verdict || r.Phase != tt.phase || (r.Message != nil) != tt.deliver {
				t.Errorf("verdict %s in %s, message %v", r.Verdict, r.Phase, r.Message != nil)
			}
		})
	}
}

func TestSendOneRecipientRefused(t *testing.T) {
	t.Parallel()
	m := &miltertest.Milter{Reply: func(code byte, payload string) []string {
		switch {
		case code == 'R' && strings.HasPrefix(payload, "<a@"):
			return []string{"r"}
		case code == 'E':
			return []string{"hX-Seen\x00yes\x00", miltertest.Header('i', 0, "X-Top", "1"), "c"}
		}
		return nil
	}}
	r, err := mta.Send(t.Context(), dial(t, m, mta.Options{}), transaction())
	if err != nil || len(r.Message.Recipients) != 1 || r.Message.Recipients[0].Address != "b@example.net" || len(r.Edits) != 2 {
		t.Fatalf("%+v %v", r, err)
	}
	want := "X-Top: 1\nReceived: from helo.example.org (client.example.org [192.0.2.1])\n\tby mx.example.net\nSubject: hello\nX-Seen: yes\n\nbody\n"
	if got := text(t, r.Message); got != want {
		t.Errorf("got\n%s", got)
	}
}

func TestSendTrouble(t *testing.T) {
	t.Parallel()
	m := &miltertest.Milter{Reply: func(code byte, _ string) []string {
		if code == 'N' {
			return []string{"z"}
		}
		return nil
	}}
	r, err := mta.Send(t.Context(), dial(t, m, mta.Options{}), transaction())
	if err == nil || !strings.Contains(err.Error(), "eoh") || r.Message != nil || len(r.Steps) == 0 {
		t.Errorf("%+v %v", r, err)
	}
}

// A session goes on after a refused MAIL and after a whole message.
func TestSessionManyMessages(t *testing.T) {
	t.Parallel()
	m := &miltertest.Milter{Reply: func(code byte, payload string) []string {
		if code == 'M' && strings.HasPrefix(payload, "<bad@") {
			return []string{"r"}
		}
		return nil
	}}
	ctx := t.Context()
	s := mta.NewSession(dial(t, m, mta.Options{}), mta.PostfixMacros("mx.example.net", peer()))
	must := func(r mta.Reply, err error) mta.Reply {
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	must(s.Connect(ctx, peer()))
	must(s.Helo(ctx, "x"))
	if !must(s.Mail(ctx, "bad@example.org")).Refuses() {
		t.Error("not refused")
	}
	ids := map[string]bool{}
	for range 2 {
		must(s.Mail(ctx, "good@example.org"))
		must(s.Rcpt(ctx, "r@example.org"))
		ids[s.QueueID()] = true
		must(s.Content(ctx, mta.ParseMessage([]byte("A: 1\n\n"))))
	}
	if err := s.Close(ctx); err != nil {
		t.Fatal(err)
	}
	if got := strings.TrimRight(m.Commands(), "AQ"); got != "CHMMRLNEAMRLNE" {
		t.Errorf("the milter got %s", got)
	}
	if len(ids) != 2 || ids[""] {
		t.Errorf("queue ids %v", ids)
	}
}

// editor is a filter on emersion/go-milter's own server, an independent peer.
type editor struct{ gomilter.NoOpMilter }

func (editor) RcptTo(rcpt string, _ *gomilter.Modifier) (gomilter.Response, error) {
	if strings.HasPrefix(rcpt, "a@") {
		return gomilter.NewResponseStr('y', "550 5.1.1 unknown 100%%"), nil
	}
	return gomilter.RespContinue, nil
}

func (editor) Body(m *gomilter.Modifier) (gomilter.Response, error) {
	for _, err := range []error{
		m.AddHeader("X-Queue", m.Macros["i"]), m.InsertHeader(0, "X-Top", "top"), m.ChangeHeader(1, "Subject", "changed"),
		m.ReplaceBody([]byte("new\r\n")), m.AddRecipient("c@example.net"), m.DeleteRecipient("b@example.net"),
		m.ChangeFrom("<n@example.org>"), m.Quarantine("held"),
	} {
		if err != nil {
			return nil, err
		}
	}
	return gomilter.RespAccept, nil
}

func TestIndependentPeer(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &gomilter.Server{
		NewMilter: func() gomilter.Milter { return editor{} }, Actions: 0x17f,
		SymList: map[gomilter.Stage][]string{gomilter.StageEOM: {"i", "{client_name}"}},
	}
	done := make(chan error)
	go func() { done <- server.Serve(ln) }()
	// As of v0.5.0 its Close races with Serve: closing the listener does as well.
	t.Cleanup(func() { ln.Close(); <-done })

	c, err := mta.Dial(t.Context(), "tcp", ln.Addr().String(), mta.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if c.Version() != 2 || c.Actions() != 0x17f {
		t.Errorf("version %d, actions %#x", c.Version(), c.Actions())
	}
	tx := transaction()
	tx.Macros = mta.Macros{"i": "4QueueId"}
	r, err := mta.Send(t.Context(), c, tx)
	if err != nil || r.Verdict.Verdict() != "accept" || r.Phase != mta.PhaseEOM {
		t.Fatalf("%+v %v", r, err)
	}
	want := "X-Top: top\nReceived: from helo.example.org (client.example.org [192.0.2.1])\n\tby mx.example.net\nSubject: changed\nX-Queue: 4QueueId\n\nnew\n"
	if got := text(t, r.Message); got != want {
		t.Errorf("got\n%s", got)
	}
	if m := r.Message; len(m.Recipients) != 1 || m.Recipients[0].Address != "c@example.net" || m.Sender != "n@example.org" || m.Reason != "held" {
		t.Errorf("envelope %+v", m)
	}
	if r.Steps[3].Reply.Text != "unknown 100%" {
		t.Errorf("rcpt %+v", r.Steps[3])
	}
}
