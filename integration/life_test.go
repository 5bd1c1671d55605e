package integration

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"pmilter/internal/postfixtest"
)

// stamp marks what passed.
const stamp = `export function eom(session) { session.message.headers.add("X-Stamp", "1"); }`

func stamped(m *postfixtest.Mail) bool { return strings.Contains(m.Header(), "\r\nX-Stamp: 1\r\n") }

// Stopping: open connections are served until the MTA closes them.
func TestTrap26DrainServesOpenConnections(t *testing.T) { drainOpen(t, startMTA(t, nil)) }

func drainOpen(t *testing.T, m behind) {
	t.Helper()
	s := m.serve(t, one(stamp), map[string]string{"milter.drain_timeout": `"60s"`})
	between, fresh := m.Dial(t), m.Dial(t)
	between.Cmd("EHLO client.example.org")
	fresh.Cmd("EHLO client.example.org")
	m.delivered().Wait(t, between.Send("a@example.org", []string{"b@example.org"}, plainMessage).QueueID())

	begin := time.Now()
	s.signal(syscall.SIGTERM)
	awaitNoListener(t, m.socket())
	for range 3 {
		for _, c := range []*postfixtest.Client{between, fresh} {
			reply := c.Send("a@example.org", []string{"b@example.org"}, plainMessage)
			if reply.Code() != 250 {
				t.Fatalf("while draining: %s", reply)
			}
			if !stamped(m.delivered().Wait(t, reply.QueueID())) {
				t.Error("passed by the scripts while draining")
			}
		}
	}
	// A new session finds no milter: milter_default_action, tempfail, speaks.
	late := m.Dial(t)
	if reply := late.Cmd("EHLO client.example.org"); reply.Code()/100 == 2 {
		if reply = late.Cmd("MAIL FROM:<a@example.org>"); reply.Code()/100 != 4 {
			t.Errorf("a new session while draining: %s", reply)
		}
	}
	if s.ended() {
		t.Error("ended with sessions open")
	}
	between.Cmd("QUIT")
	fresh.Cmd("QUIT")
	s.awaitExit(0)
	if took := time.Since(begin); took > 50*time.Second {
		t.Errorf("stopping took %v though all sessions were closed", took)
	}
}

// awaitNoListener returns when addr takes no more connections.
func awaitNoListener(t *testing.T, addr string) {
	t.Helper()
	network, address := dialAddr(addr)
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		conn, err := dialBriefly(network, address)
		if err != nil {
			return
		}
		conn.Close()
		if time.Now().After(deadline) {
			t.Fatalf("still listening on %s", addr)
		}
	}
}

// Only when the time is over are those between messages closed; a message
// under way gets its verdict.
func TestTrap26DrainTimeout(t *testing.T) { drainTimeout(t, startMTA(t, nil)) }

func drainTimeout(t *testing.T, m behind) {
	t.Helper()
	s := m.serve(t, one(`export async function eom(session) {
		if (session.message.headers.get("Subject") === "slow") await new Promise((done) => setTimeout(done, 3500));
		session.message.headers.add("X-Stamp", "1");
	}`), map[string]string{"milter.drain_timeout": `"3s"`})
	idle, busy := m.Dial(t), m.Dial(t)
	idle.Cmd("EHLO client.example.org")
	busy.Cmd("EHLO client.example.org")
	answer := make(chan postfixtest.Reply, 1)
	for _, line := range []string{"MAIL FROM:<a@example.org>", "RCPT TO:<b@example.org>", "DATA"} {
		busy.Cmd(line)
	}
	busy.Write(postfixtest.Dotted("Subject: slow\n\nx\n"))
	go func() { answer <- busy.Read() }()
	time.Sleep(200 * time.Millisecond) // Postfix hands the message on
	s.signal(syscall.SIGTERM)
	reply := <-answer
	if reply.Code() != 250 {
		t.Errorf("the message under way: %s", reply)
	} else if !stamped(m.delivered().Wait(t, reply.QueueID())) {
		t.Error("the message under way went without its edits")
	}
	s.awaitExit(0)
	if reply := idle.Send("a@example.org", []string{"b@example.org"}, plainMessage); reply.Code() != 451 {
		t.Errorf("after the end: %s", reply)
	}
}

// The same under smtp-source, whose sessions stay open: every message passes.
func TestTrap26DrainUnderLoad(t *testing.T) {
	m := startMTA(t, nil)
	s := m.serve(t, one(stamp), map[string]string{"milter.drain_timeout": `"60s"`})
	const mails = 120
	result := make(chan error, 1)
	go func() {
		_, err := m.SMTPSource("-s", "4", "-d", "-m", "120", "-l", "1024")
		result <- err
	}()
	m.Sink.WaitCount(t, 30)
	s.signal(syscall.SIGTERM)
	if err := <-result; err != nil {
		t.Errorf("smtp-source: %v", err)
	}
	for _, mail := range m.Sink.WaitCount(t, mails) {
		if !stamped(mail) {
			t.Errorf("passed by the scripts: %q", mail.Header())
		}
	}
	s.awaitExit(0)
}

// kill -9: the MTA answers 451 as milter_default_action says, the next
// pmilterd replaces the stale socket, and the mail passes.
func TestTrap25KillAndStaleSocket(t *testing.T) { killAndStart(t, startMTA(t, nil)) }

func killAndStart(t *testing.T, m behind) {
	t.Helper()
	s := m.serve(t, one(stamp), nil)
	c := m.Dial(t)
	c.Cmd("EHLO client.example.org")
	c.Cmd("MAIL FROM:<a@example.org>")
	c.Cmd("RCPT TO:<b@example.org>")
	s.kill()
	if reply := c.Cmd("DATA"); reply.Code() == 354 {
		if reply = c.Data(plainMessage); reply.Code() != 451 {
			t.Errorf("after kill -9: %s", reply)
		}
	} else if reply.Code() != 451 {
		t.Errorf("after kill -9: %s", reply)
	}
	s.start(false)
	again := m.Dial(t)
	again.Cmd("EHLO client.example.org")
	reply := again.Send("a@example.org", []string{"b@example.org"}, plainMessage)
	if reply.Code() != 250 || !stamped(m.delivered().Wait(t, reply.QueueID())) {
		t.Errorf("after the restart: %s", reply)
	}
}
