package mta_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-milter"
	"go.uber.org/goleak"

	"pmilter/internal/mta"
	"pmilter/internal/mta/miltertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func peer() mta.Peer {
	return mta.PeerOf(netip.MustParseAddrPort("192.0.2.1:2525"), "client.example.org")
}

func dial(t *testing.T, m *miltertest.Milter, o mta.Options) *mta.Client {
	t.Helper()
	c, err := mta.NewClient(t.Context(), m.Pipe(t), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestNegotiation(t *testing.T) {
	t.Parallel()
	o := func(b ...byte) []byte { return append([]byte{0, 0, 0, byte(len(b) + 1), 'O'}, b...) }
	words := []byte{0, 0, 0, 6, 0, 0, 0, 1, 0, 0, 0, 0}
	tests := []struct {
		name    string
		milter  miltertest.Milter
		options mta.Options
		want    string // of the error; "" for none
	}{
		{"defaults", miltertest.Milter{}, mta.Options{}, ""},
		{"lower version", miltertest.Milter{Version: 2, Actions: 1}, mta.Options{}, ""},
		{"higher version", miltertest.Milter{Version: 6, Actions: 1}, mta.PostfixOptions(4), "version 6 conflict"},
		{"version 1", miltertest.Milter{Version: 1, Actions: 1}, mta.Options{}, "version 1 conflict"},
		{"action not offered", miltertest.Milter{Version: 6, Actions: 0x200}, mta.Options{}, "request mask conflict"},
		{"protocol bit not offered", miltertest.Milter{Version: 2, Actions: 1, Protocol: 1 << 10}, mta.PostfixOptions(2), "request mask conflict"},
		{"macro lists", miltertest.Milter{Extra: []byte("\x00\x00\x00\x00i {j}\x00\x00\x00\x00\x09x\x00")}, mta.Options{}, ""},
		{"macro list without NUL", miltertest.Milter{Extra: []byte("\x00\x00\x00\x00i")}, mta.Options{}, "without its NUL"},
		{"macro list cut short", miltertest.Milter{Extra: []byte("\x00\x00")}, mta.Options{}, "cut short"},
		{"short answer", miltertest.Milter{Garbage: o(0, 0, 0, 6)}, mta.Options{}, "instead of 12"},
		{"another letter", miltertest.Milter{Garbage: append([]byte{0, 0, 0, 13, 'c'}, words...)}, mta.Options{}, "instead of 'O'"},
		{"length 0", miltertest.Milter{Garbage: []byte{0, 0, 0, 0}}, mta.Options{}, "length 0"},
		{"huge length", miltertest.Milter{Garbage: []byte{0xff, 0xff, 0xff, 0xff, 'O'}}, mta.Options{}, "too long"},
	}
	for i := range tests {
		tt := &tests[i]
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c, err := mta.NewClient(t.Context(), tt.milter.Pipe(t), tt.options)
			if tt.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				c.Close()
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("error %v, want %q in it", err, tt.want)
			}
		})
	}
}

func TestMacroListsAreHeeded(t *testing.T) {
	t.Parallel()
	m := &miltertest.Milter{Extra: []byte("\x00\x00\x00\x00 {client_addr},j \x00\x00\x00\x00\x01\x00")}
	c := dial(t, m, mta.Options{})
	if names, ok := c.Wanted(milter.StageConnect); !ok || !reflect.DeepEqual(names, []string{"{client_addr}", "j"}) {
		t.Errorf("connect: %q %v", names, ok)
	}
	if names, ok := c.Wanted(milter.StageHelo); !ok || len(names) != 0 {
		t.Errorf("helo: %q %v", names, ok)
	}
	if _, ok := c.Wanted(milter.StageMailFrom); ok {
		t.Error("mail: a list that was not sent")
	}
	s := mta.NewSession(c, mta.PostfixMacros("mx.example.org", peer()))
	if _, err := s.Connect(t.Context(), peer()); err != nil {
		t.Fatal(err)
	}
	if log := m.Log(); log[0] != "DC{client_addr}|192.0.2.1|j|mx.example.org|" {
		t.Errorf("macros %q", log[0])
	}
}

// TestRepliesBeforeEOM: each command with each kind of reply, right and wrong.
func TestRepliesBeforeEOM(t *testing.T) {
	t.Parallel()
	tests := []struct {
		packets string // one packet; | is NUL, ^ CRLF, _ a space
		want    string // of Reply.String, or after "!" of the error
	}{
		{"c", "continue"},
		{"a", "accept"},
		{"d", "discard"},
		{"r", "reject 550 5.7.1 Command rejected"},
		{"t", "tempfail 451 4.7.1 Service unavailable - try again later"},
		{"4", "tempfail 421 4.7.0 Service unavailable"},
		{"y550_5.7.1_no_100%%|", "reject 550 5.7.1 no 100%"},
		{"y451_later|", "tempfail 451 later"},
		{"y550|", "!code"},
		{"y550_|", "reject 550"},
		{"y550-5.1.1_a^550_5.1.1_b|", "reject 550 5.1.1 a / b"},
		{"y550-a^551_b|", "!another code"},
		{"y550_a^550_b|", "!begin"},
		{"y550_5.7.1_no", "!NUL"},
		{"y550_no%s|", "!not doubled"},
		{"y250_ok|", "!4xx or 5xx"},
		{"y5x0_ok|", "!not a number"},
		{"y550_4.7.1_no|", "!does not fit"},
		{"y550_a\rb|", "!control character"},
		{"y550_a|b|", "!control character"},
		{"y|", "!begin"},
		{"y550_" + strings.Repeat("x", 1000) + "|", "!more than"},
		{"cx", "!payload"},
		{"rx", "!payload"},
		{"x", "!unknown reply"},
		{"s", "continue"}, // SKIP of RCPT
		{"p", "!progress"},
		{"hX|y|", "!before the end of the message"},
		{"qwhy|", "!before the end of the message"},
	}
	for _, tt := range tests {
		t.Run(tt.packets[:min(len(tt.packets), 20)], func(t *testing.T) {
			t.Parallel()
			packets := []string{strings.NewReplacer("_", " ", "|", "\x00", "^", "\r\n").Replace(tt.packets)}
			m := &miltertest.Milter{
				Version: 6, Actions: 0x1ff, Protocol: uint32(milter.OptSkip),
				Reply: func(byte, string) []string { return packets },
			}
			c := dial(t, m, mta.Options{})
			r, err := c.Rcpt(t.Context(), "<a@example.org>")
			if want, bad := strings.CutPrefix(tt.want, "!"); bad {
				if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "rcpt") {
					t.Fatalf("reply %v, error %v, want %q in it and the phase", r, err, want)
				}
				if _, again := c.Data(t.Context()); !errors.Is(again, err) {
					t.Errorf("after an error: %v", again)
				}
				return
			}
			if tt.packets == "s" {
				tt.want = "skip"
			}
			if err != nil || r.String() != tt.want {
				t.Fatalf("reply %q, error %v", r, err)
			}
		})
	}
}

func TestDiscardWithoutMessageIsAnError(t *testing.T) {
	t.Parallel()
	m := &miltertest.Milter{Reply: func(byte, string) []string { return []string{"d"} }}
	if _, err := dial(t, m, mta.Options{}).Connect(t.Context(), peer()); err == nil {
		t.Error("discard in connect")
	}
}

func TestAnExtraReplyIsNoticed(t *testing.T) {
	t.Parallel()
	m := &miltertest.Milter{Reply: func(byte, string) []string { return []string{"c", "c"} }}
	c := dial(t, m, mta.Options{})
	if _, err := c.Connect(t.Context(), peer()); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Helo(t.Context(), "x"); err == nil || !strings.Contains(err.Error(), "too many") {
		t.Errorf("error %v", err)
	}
}

func TestEOM(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		actions uint32
		packets []string
		want    []string // edits, or "!" and the error
	}{
		{"nothing", 0x1ff, []string{"c"}, nil},
		{"progress", 0x1ff, []string{"p", "p", "a"}, nil},
		{"all", 0x1ff, []string{
			"hX-A\x00 1\x00", miltertest.Header('i', 0, "X-B", "2\n\t3"), miltertest.Header('m', 2, "Subject", "s"),
			miltertest.Header('m', 0, "To", ""), "b", "bx\r\n", "+<a@example.org>\x00", "2<b@example.org>\x00NOTIFY=NEVER\x00",
			"2<c@example.org>\x00", "-<d@example.org>\x00", "e<>\x00", "e<s@example.org>\x00RET=HDRS\x00", "qwhy\x00", "c",
		}, []string{
			"add header X-A:  1", `insert header at 0 X-B: 2\n	3`, "change header Subject (number 2): s", "delete header To (number 1)",
			"replace body, 0 bytes", "replace body, 3 bytes", "add recipient <a@example.org>", "add recipient <b@example.org> NOTIFY=NEVER",
			"add recipient <c@example.org>", "remove recipient <d@example.org>", "change sender to <>",
			"change sender to <s@example.org> RET=HDRS", "quarantine: why",
		}},
		{"progress with payload", 0x1ff, []string{"px"}, []string{"!progress"}},
		{"not negotiated", 0x1fe, []string{"hX\x00y\x00", "c"}, []string{"!not negotiated"}},
		{"insert not negotiated", 0x1fe, []string{miltertest.Header('i', 0, "X", "y"), "c"}, []string{"!not negotiated"}},
		{"one string", 0x1ff, []string{"hX\x00"}, []string{"!1 strings instead of 2"}},
		{"three strings", 0x1ff, []string{"hX\x00a\x00b\x00"}, []string{"!more than 2"}},
		{"no NUL", 0x1ff, []string{"hX\x00a"}, []string{"!without its NUL"}},
		{"bad name", 0x1ff, []string{"hX Y\x00a\x00"}, []string{"!header name"}},
		{"colon in name", 0x1ff, []string{"hX:\x00a\x00"}, []string{"!header name"}},
		{"empty name", 0x1ff, []string{"h\x00a\x00"}, []string{"!header name"}},
		{"short index", 0x1ff, []string{"m\x00\x00"}, []string{"!cut short"}},
		{"negative index", 0x1ff, []string{miltertest.Header('i', 0xffffffff, "X", "y")}, []string{"!header index"}},
		{"empty recipient", 0x1ff, []string{"+<>\x00"}, []string{"!empty recipient"}},
		{"ADDRCPT with parameters", 0x1ff, []string{"+<a@example.org>\x00NOTIFY=NEVER\x00"}, []string{"!more than 1"}},
		{"line break in recipient", 0x1ff, []string{"+<a\n@example.org>\x00"}, []string{"!control character"}},
		{"line break in quarantine", 0x1ff, []string{"qa\nb\x00"}, []string{"!control character"}},
		{"two-part body", 0x1ff, []string{"bx", "hX\x00a\x00", "by"}, []string{"!after other modifications"}},
		{"large chunk", 0x1ff, []string{"b" + strings.Repeat("x", 65536)}, []string{"!body chunk"}},
		{"skip", 0x1ff, []string{"s"}, []string{"!skip"}},
		{"edit without end", 0x1ff, []string{"hX\x00" + strings.Repeat("x", 3000) + "\x00", "c"}, []string{"!more than 2000 bytes"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m := &miltertest.Milter{Version: 6, Actions: tt.actions, Reply: func(byte, string) []string { return tt.packets }}
			o := mta.Options{MaxEdits: 200_000, ContentTimeout: 10 * time.Second}
			if tt.name == "edit without end" {
				o.MaxEdits = 2000
			}
			_, edits, err := dial(t, m, o).EOM(t.Context())
			if len(tt.want) > 0 && tt.want[0][0] == '!' {
				if err == nil || !strings.Contains(err.Error(), tt.want[0][1:]) {
					t.Fatalf("error %v, want %q in it", err, tt.want[0][1:])
				}
				return
			}
			var got []string
			for _, e := range edits {
				got = append(got, e.String())
			}
			if err != nil || !reflect.DeepEqual(got, tt.want) {
				t.Errorf("error %v, edits\n%q, want\n%q", err, got, tt.want)
			}
		})
	}
}

// TestWire: every command as it leaves, in Postfix's form.
func TestWire(t *testing.T) {
	t.Parallel()
	m := &miltertest.Milter{}
	c := dial(t, m, mta.Options{})
	ctx := t.Context()
	steps := []func() error{
		func() error { return c.Macros(ctx, milter.CodeConn, "j", "mx.example.org", "{daemon_name}", "d") },
		func() error { _, err := c.Connect(ctx, peer()); return err },
		func() error { return c.Macros(ctx, milter.CodeHelo) },
		func() error { _, err := c.Helo(ctx, "he\x00lo"); return err },
		func() error { _, err := c.Unknown(ctx, "XYZZY"); return err },
		func() error { _, err := c.Mail(ctx, "<>", "SIZE=3", "BODY=8BITMIME"); return err },
		func() error { _, err := c.Rcpt(ctx, "<r@example.net>"); return err },
		func() error { _, err := c.Data(ctx); return err },
		func() error { _, err := c.Header(ctx, "Subject", "  two\n\tfolded"); return err },
		func() error { _, err := c.Header(ctx, "X", "cut\x00here"); return err },
		func() error { _, err := c.EOH(ctx); return err },
		func() error { _, err := c.Body(ctx, []byte("text\r\n")); return err },
		func() error { _, _, err := c.EOM(ctx); return err },
		func() error { return c.Abort(ctx) },
		func() error { return c.QuitNC(ctx) },
		func() error {
			_, err := c.Connect(ctx, mta.Peer{Name: "localhost", Family: milter.FamilyUnix, Addr: "/run/x"})
			return err
		},
		func() error { _, err := c.Connect(ctx, mta.PeerOf(netip.AddrPort{}, "")); return err },
		func() error {
			_, err := c.Connect(ctx, mta.PeerOf(netip.MustParseAddrPort("[2001:db8::1]:25"), ""))
			return err
		},
		func() error { return c.Abort(ctx) },
	}
	for i, step := range steps {
		if err := step(); err != nil {
			t.Fatalf("step %d: %v", i, err)
		}
	}
	want := []string{
		"DCj|mx.example.org|{daemon_name}|d|", "Cclient.example.org|4\x09\xdd192.0.2.1|", "DH", "Hhe|", "UXYZZY|",
		"M<>|SIZE=3|BODY=8BITMIME|", "R<r@example.net>|", "T", "LSubject| two\n\tfolded|", "LX|cut|", "N", "Btext\r\n", "E", "A", "K",
		"Clocalhost|L||/run/x|", "Cunknown|U", "C[2001:db8::1]|6|\x192001:db8::1|",
	}
	want[15] = "Clocalhost|L||/run/x|"
	got := m.Log()
	if len(got) > len(want) { // the last abort may not have arrived yet
		got = got[:len(want)]
	}
	for i := range want {
		w := strings.ReplaceAll(want[i], "L||/run", "L\x00\x00/run")
		w = strings.ReplaceAll(w, "\x00", "|")
		if got[i] != w {
			t.Errorf("packet %d is %q, want %q", i, got[i], w)
		}
	}
	if err := c.Quit(ctx); err != nil {
		t.Error(err)
	}
}

// TestEventsNotWanted: NO* events are not sent, NR_* ones are not waited for.
func TestEventsNotWanted(t *testing.T) {
	t.Parallel()
	all := func(c *mta.Client, ctx context.Context) error {
		var errs []error
		take := func(r mta.Reply, err error) {
			if err == nil && !r.Implied {
				err = errors.New("a reply where none is due")
			}
			errs = append(errs, err)
		}
		take(c.Connect(ctx, peer()))
		take(c.Helo(ctx, "x"))
		take(c.Mail(ctx, "<a@example.org>"))
		take(c.Rcpt(ctx, "<b@example.org>"))
		take(c.Unknown(ctx, "X"))
		take(c.Data(ctx))
		take(c.Header(ctx, "A", "b"))
		take(c.EOH(ctx))
		take(c.Body(ctx, []byte("b")))
		_, _, err := c.EOM(ctx)
		return errors.Join(append(errs, err)...)
	}
	for name, tt := range map[string]struct {
		protocol uint32
		want     string
	}{
		"NO": {0x37f, "E"},
		"NR": {0x80 | 0xff000, "CHMRUTLNBE"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := &miltertest.Milter{Version: 6, Actions: 1, Protocol: tt.protocol}
			if err := all(dial(t, m, mta.Options{}), t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := m.Commands(); got != tt.want {
				t.Errorf("sent %s, want %s", got, tt.want)
			}
		})
	}
}

func TestOldVersionsLackCommands(t *testing.T) {
	t.Parallel()
	for version, want := range map[uint32]string{2: "", 3: "U", 4: "UT", 6: "UT"} {
		m := &miltertest.Milter{Version: version, Actions: 1}
		c := dial(t, m, mta.PostfixOptions(version))
		if _, err := c.Unknown(t.Context(), "X"); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Data(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := m.Commands(); got != want {
			t.Errorf("version %d: sent %q, want %q", version, got, want)
		}
	}
}

func TestSkipEndsWithAnotherCommand(t *testing.T) {
	t.Parallel()
	m := &miltertest.Milter{
		Version: 6, Actions: 1, Protocol: uint32(milter.OptSkip),
		Reply: func(code byte, _ string) []string {
			if code == 'B' {
				return []string{"s"}
			}
			return nil
		},
	}
	c := dial(t, m, mta.Options{})
	for range 2 {
		for range 3 {
			if r, err := c.Body(t.Context(), []byte("x")); err != nil || (r.Action != milter.ActSkip && !r.Implied) {
				t.Fatal(r, err)
			}
		}
		if _, _, err := c.EOM(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if got := m.Commands(); got != "BEBE" {
		t.Errorf("sent %s", got)
	}
}

// TestTimeouts: a milter that falls silent ends in an error, PROGRESS gives it more time.
func TestTimeouts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &miltertest.Milter{Reply: func(code byte, _ string) []string { time.Sleep(20 * time.Second); return nil }}
		c := dial(t, m, mta.Options{})
		if _, err := c.Helo(t.Context(), "x"); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if _, err := c.Helo(ctx, "x"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		m := &miltertest.Milter{Reply: func(byte, string) []string { time.Sleep(31 * time.Second); return nil }}
		c := dial(t, m, mta.Options{})
		var timeout net.Error
		if _, err := c.Helo(t.Context(), "x"); !errors.As(err, &timeout) || !timeout.Timeout() {
			t.Errorf("error %v", err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		m := &miltertest.Milter{Reply: func(byte, string) []string { time.Sleep(31 * time.Second); return nil }}
		c := dial(t, m, mta.Options{})
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		if _, _, err := c.EOM(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
	})
}

func TestDialFailure(t *testing.T) {
	t.Parallel()
	if _, err := mta.Dial(t.Context(), "unix", t.TempDir()+"/nothing", mta.Options{}); err == nil {
		t.Error("a connection to nothing")
	}
}
