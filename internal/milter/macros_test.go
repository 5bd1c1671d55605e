package milter

import (
	"maps"
	"strings"
	"testing"

	wire "github.com/emersion/go-milter"
)

func set(t *testing.T, m *Macros, code byte, strs ...string) {
	t.Helper()
	payload := string(code)
	if len(strs) > 0 {
		payload += strings.Join(strs, "\x00") + "\x00"
	}
	if err := m.set([]byte(payload)); err != nil {
		t.Fatal(err)
	}
}

func wantMacros(t *testing.T, m *Macros, want map[string]string) {
	t.Helper()
	if got := m.All(); !maps.Equal(got, want) {
		t.Errorf("All is %v, want %v", got, want)
	}
	for name, value := range want {
		for _, spelt := range []string{name, "{" + name + "}"} {
			if got, ok := m.Get(spelt); !ok || got != value {
				t.Errorf("Get(%q) is %q %v, want %q", spelt, got, ok, value)
			}
		}
	}
}

func TestTrap07Macros(t *testing.T) {
	m := new(Macros)
	step := func(code byte, strs ...string) {
		t.Helper()
		set(t, m, code, strs...)
		m.command(code)
	}
	step('C', "j", "mx.example.org", "{v}", "3.7")
	step('H', "{tls_version}", "TLSv1.3")
	connection := map[string]string{"j": "mx.example.org", "v": "3.7", "tls_version": "TLSv1.3"}
	with := func(kv ...string) map[string]string {
		all := maps.Clone(connection)
		for i := 0; i < len(kv); i += 2 {
			all[kv[i]] = kv[i+1]
		}
		return all
	}
	wantMacros(t, m, connection)
	step('M', "{mail_addr}", "a@example.org", "empty", "")
	wantMacros(t, m, with("mail_addr", "a@example.org", "empty", ""))
	step('R', "{i}", "Q1", "rcpt_addr", "b@example.org")
	step('R', "i", "Q1", "rcpt_addr", "c@example.org")
	step('L', "i", "Q2")
	step('L')
	wantMacros(t, m, with("mail_addr", "a@example.org", "empty", "", "i", "Q1", "rcpt_addr", "c@example.org"))
	step('N', "i", "Q3")
	step('E', "i", "Q4", "odd")
	wantMacros(t, m, with("mail_addr", "a@example.org", "empty", "", "i", "Q4", "rcpt_addr", "c@example.org", "odd", ""))
	if _, ok := m.Get("rcpt_host"); ok {
		t.Error("a macro nobody sent")
	}
	m.done('E')
	wantMacros(t, m, connection)

	step('M', "i", "Q5")
	m.command('M') // the next MAIL, without ABORT or macros
	wantMacros(t, m, connection)
	step('M', "i", "Q5")
	step('R', "rcpt_addr", "d")
	step('M', "mail_addr", "e") // with macros, but without ABORT
	wantMacros(t, m, with("mail_addr", "e"))
	m.command('M')
	step('R', "rcpt_addr", "d")
	m.command('R') // a recipient without macros
	wantMacros(t, m, connection)
	step('U', "i", "Q6")
	wantMacros(t, m, with("i", "Q6"))
	m.done('U')
	wantMacros(t, m, connection)
	step('B', "i", "Q7")
	m.done(byte(wire.CodeAbort))
	wantMacros(t, m, connection)
	m.done(byte(wire.CodeQuitNewConn))
	wantMacros(t, m, nil)
}

func TestTrap07MacrosLastWins(t *testing.T) {
	m := new(Macros)
	set(t, m, 'C', "a", "1", "{a}", "2", "", "nameless")
	wantMacros(t, m, map[string]string{"a": "2", "": "nameless"})
}

func TestMacrosClone(t *testing.T) {
	m := new(Macros)
	set(t, m, 'C', "a", "1")
	c := m.Clone()
	set(t, m, 'C', "a", "2")
	wantMacros(t, c, map[string]string{"a": "1"})
}

func TestMacrosKeepNoLargeBuffers(t *testing.T) {
	m := new(Macros)
	set(t, m, 'E', "a", strings.Repeat("x", 100000))
	m.done('E')
	if n := cap(m.raw[stageEOM]); n > keepMacros {
		t.Errorf("%d bytes are kept", n)
	}
}

// FuzzMacros: any packets in any order. What Get and All tell agrees, a clone
// tells the same, and what was for a message ends with it.
func FuzzMacros(f *testing.F) {
	f.Add([]byte("\x0bCj\x00mx\x00{v}\x001\x00"))
	f.Add([]byte("\x07Mi\x00Q\x00a\x00\x01M\x05Ri\x00R\x00\x02RE"))
	f.Add([]byte("\x03E{}\x04B\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, script []byte) {
		m := new(Macros)
		for len(script) > 1 {
			n := min(int(script[0])%64, len(script)-1)
			packet := script[1 : 1+n]
			script = script[1+n:]
			if n == 1 {
				m.command(packet[0])
				m.done(packet[0])
			} else if err := m.set(packet); (err != nil) != (n > 1 && packet[n-1] != 0) {
				t.Fatalf("%q: %v", packet, err)
			}
		}
		all := m.All()
		for name, value := range all {
			if got, ok := m.Get(name); string(bare([]byte(name))) == name && (!ok || got != value) {
				t.Fatalf("Get(%q) is %q %v, All has %q", name, got, ok, value)
			}
		}
		if clone := m.Clone().All(); !maps.Equal(all, clone) {
			t.Fatalf("%q, its clone %q", all, clone)
		}
		m.done(byte(wire.CodeAbort))
		for s := stageMail; s <= stageEOM; s++ {
			if len(m.raw[s]) > 0 {
				t.Fatalf("stage %d outlives its message", s)
			}
		}
		m.done(byte(wire.CodeQuitNewConn))
		if all := m.All(); len(all) > 0 {
			t.Fatalf("%q outlives the session", all)
		}
	})
}
