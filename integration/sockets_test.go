package integration

import (
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"pmilter/internal/postfixtest"
)

func dialBriefly(network, address string) (net.Conn, error) {
	return net.DialTimeout(network, address, time.Second)
}

// Every notation of listen, as Postfix's and libmilter's users write it, and
// every family of sockets.
func TestListen(t *testing.T) {
	port := func(host string) string {
		_, port, err := net.SplitHostPort(postfixtest.FreeAddr(t, host))
		if err != nil {
			t.Fatal(err)
		}
		return port
	}
	p1, p2 := port("127.0.0.1"), port("127.0.0.1")
	cases := []struct{ name, listen, milter string }{
		{"inet as libmilter", "inet:" + p1 + "@127.0.0.1", "inet:127.0.0.1:" + p1},
		{"inet as Postfix", "inet:127.0.0.1:" + p2, "inet:127.0.0.1:" + p2},
		{"unix", "unix:m.sock", "unix:$queue_directory/../m.sock"},
		{"local", "local:n.sock", "unix:$queue_directory/../n.sock"},
	}
	if l, err := net.Listen("tcp", "[::1]:0"); err == nil {
		l.Close()
		p6 := port("::1")
		cases = append(cases, struct{ name, listen, milter string }{"inet6", "inet6:" + p6 + "@::1", "inet:[::1]:" + p6})
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			pf := postfixtest.Start(t, postfixtest.Config{Milters: []string{c.milter}})
			listen := c.listen
			if family, path, _ := strings.Cut(listen, ":"); !strings.HasPrefix(family, "inet") {
				listen = family + ":" + filepath.Join(pf.Dir, path)
			}
			startServer(t, serverConfig{
				listen: []string{listen}, scripts: one(`export function mail(session) { return reject(session.listener); }`),
				settings: map[string]string{"milter.socket_group": `"postfix"`},
			})
			c := pf.Dial(t)
			c.Run(postfixtest.Steps("EHLO client.example.org => 250", "MAIL FROM:<a@example.org> => 550 5.7.1 "+listen)...)
		})
	}
}

// A unix socket has the mode and the group that are configured, and goes with
// the server; one that is in use is not stolen.
func TestTrap25UnixSocket(t *testing.T) {
	m := startMTA(t, nil)
	path := strings.TrimPrefix(m.listen, "unix:")
	s := m.serve(t, one(stamp), map[string]string{"milter.socket_mode": `"0620"`})
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if mode := info.Mode(); mode.Perm() != 0o620 || mode.Type() != os.ModeSocket {
		t.Errorf("mode %v, want 0620", mode)
	}
	group, err := user.LookupGroup("postfix")
	if err != nil {
		t.Fatal(err)
	}
	if gid := strconv.Itoa(int(info.Sys().(*syscall.Stat_t).Gid)); gid != group.Gid {
		t.Errorf("group %s, want %s", gid, group.Gid)
	}

	t.Run("second", func(t *testing.T) {
		second := startServer(t, serverConfig{listen: []string{m.listen}, scripts: one(stamp), fails: true})
		if !strings.Contains(second.log(), path) {
			t.Errorf("the error does not name the socket: %s", second.log())
		}
		second.stderr = lockedBuffer{} // words for a person, not JSON
	})
	c := m.Dial(t)
	c.Cmd("EHLO client.example.org")
	if mail := m.Sink.Wait(t, c.Send("a@example.org", []string{"b@example.org"}, plainMessage).QueueID()); !stamped(mail) {
		t.Error("the first server has lost its socket")
	}
	c.Cmd("QUIT")
	c.Close()
	s.terminate()
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("the socket is still there: %v", err)
	}
}

// Postfix with each protocol version that it speaks.
func TestTrap01ProtocolVersions(t *testing.T) {
	for _, version := range []string{"2", "3", "4", "6"} {
		t.Run("version "+version, func(t *testing.T) {
			m := startMTA(t, map[string]string{"milter_protocol": version})
			script := `
			export function connect(session) { if (session.client.ip !== "127.0.0.1") return reject("ip " + session.client.ip); }
			export function helo(session, name) { if (name === "bad") return reject("helo"); }
			export function mail(session, a) { if (a.local === "bad") return reject("mail"); }
			export function rcpt(session, a) { if (a.local === "bad") return reject("rcpt"); }
			export function header(session, name, value) { if (name === "X-Bad") return reject("header " + value); }
			export function body(session, chunk) { if (chunk.length > 5 && chunk[0] === 33) return reject("body"); }
			` + eom(`h.prepend("X-Top", "t"); h.set("X-Two", "2"); h.remove("X-Gone"); h.add("X-End", "e");
				m.replaceBody(m.body.length + "\n"); m.addRecipient("c@example.net");`)
			m.serve(t, one(script), nil)
			odd := "X-Two:  two\r\nX-Tab:\ttab\r\nX-None:none\r\nX-Gone: g\r\nX-Two: again\r\n\r\nbody\r\n"
			scenarios := []scenario{
				{dialogue: []string{"EHLO bad => 250", "MAIL FROM:<a@example.org> => 550 5.7.1 helo"}},
				{dialogue: []string{"EHLO good => 250", "MAIL FROM:<bad@example.org> => 550 5.7.1 mail", "MAIL FROM:<a@example.org> => 250"}},
				{dialogue: []string{
					"EHLO good => 250", "MAIL FROM:<a@example.org> => 250", "RCPT TO:<bad@example.org> => 550 5.7.1 rcpt",
					"RCPT TO:<b@example.org> => 250", "DATA => 354", "(message) => 250",
				}, message: odd, recipients: []string{"b@example.org", "c@example.net"}, delivered: "X-Top: t\r\nX-Two: 2\r\nX-Tab:\ttab\r\nX-None:none\r\nX-End: e\r\n\r\n6\r\n"},
				{dialogue: dialogue("(message) => 550 5.7.1 header no"), message: "X-Bad: no\r\n\r\nx\r\n"},
				{dialogue: dialogue("(message) => 550 5.7.1 body"), message: "X-A: a\r\n\r\n! no\r\n"},
			}
			for _, s := range scenarios {
				c := m.Dial(t)
				s.speak(t, m, c)
				c.Cmd("QUIT")
			}
		})
	}
}
