package integration

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pmilter/internal/postfixtest"
	"pmilter/internal/sendmailtest"
)

// sendmailMTA is a Sendmail that has one milter, which listens on a unix socket
// in the Sendmail's folder.
type sendmailMTA struct {
	*sendmailtest.Sendmail
	listen string
}

// startSendmail runs a Sendmail whose milter is to be started by the caller, on
// listen, as often as it likes.
func startSendmail(t testing.TB, config sendmailtest.Config) *sendmailMTA {
	t.Helper()
	if config.Filters == nil {
		config.Filters = []sendmailtest.Filter{{Socket: "unix:{dir}/m.sock", Flags: "T", Timeouts: "C:20s;S:20s;R:20s;E:60s"}}
	}
	sm := sendmailtest.Start(t, config)
	return &sendmailMTA{Sendmail: sm, listen: "unix:" + sm.Dir + "/m.sock"}
}

func (m *sendmailMTA) serve(t testing.TB, scripts, settings map[string]string) *server {
	t.Helper()
	// Sendmail takes no socket that others than its owner may write to.
	all := map[string]string{"milter.socket_mode": `"0600"`}
	maps.Copy(all, settings)
	return startServer(t, serverConfig{listen: []string{m.listen}, scripts: scripts, settings: all})
}

func (m *sendmailMTA) socket() string { return m.listen }

func (m *sendmailMTA) delivered() *postfixtest.Sink { return m.Sink }

// says: what Sendmail says to MAIL and RCPT begins with the address, also the
// milter's words; its 250 has words of its own.
func (m *sendmailMTA) says(reply postfixtest.Reply, command, want string) bool {
	if strings.HasPrefix(want, "250 ") {
		return reply.Matches("250")
	}
	if reply.Matches(want) {
		return true
	}
	_, rest, _ := strings.Cut(command, "<")
	path, _, ok := strings.Cut(rest, ">")
	const class = len("550 5.7.1 ")
	return ok && len(want) > class && reply.Matches(want[:class]+"<"+path+">... "+want[class:])
}

func (m *sendmailMTA) queued(t *testing.T) int {
	t.Helper()
	return len(m.Queue(t))
}

// awaitDiscarded: the queue file is gone before the client is answered.
func (m *sendmailMTA) awaitDiscarded(t *testing.T, id string) {
	t.Helper()
	for _, q := range m.Queue(t) {
		if q.ID == id {
			t.Errorf("%s is in the queue:\n%s", id, q.Control)
		}
	}
}

func (m *sendmailMTA) checkHeld(t *testing.T, id, reason string) {
	t.Helper()
	for _, q := range m.Queue(t) {
		if q.ID != id {
			continue
		}
		if q.Quarantine != reason {
			t.Errorf("quarantined for %q, want %q", q.Quarantine, reason)
		}
		m.Delete(t, id)
		return
	}
	t.Errorf("%s is not in the queue", id)
}

// awaitEmpty returns when the queue is empty: Sendmail removes a message's file
// a little after it was delivered.
func (m *sendmailMTA) awaitEmpty(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(patience); m.queued(t) > 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("in the queue: %+v", m.Queue(t))
		}
	}
}

// playSendmail plays the scenarios behind a Sendmail.
func playSendmail(t *testing.T, scenarios []scenario) {
	t.Helper()
	m := startSendmail(t, sendmailtest.Config{})
	playBehind(t, m, slices.DeleteFunc(scenarios, func(s scenario) bool { return s.postfix }))
	m.awaitEmpty(t)
}

func TestSendmailTrap14HeaderEdits(t *testing.T) { playSendmail(t, headerEdits()) }
func TestSendmailTrap15RemoveAt(t *testing.T)    { playSendmail(t, removals()) }
func TestSendmailTrap18ByteForByte(t *testing.T) { playSendmail(t, untouched()) }
func TestSendmailTrap19ReplaceBody(t *testing.T) { playSendmail(t, newBodies()) }
func TestSendmailTrap09ReplyText(t *testing.T)   { playSendmail(t, replyTexts()) }
func TestSendmailTrap21Quarantine(t *testing.T)  { playSendmail(t, quarantines()) }
func TestSendmailReject(t *testing.T)            { playSendmail(t, rejections()) }
func TestSendmailTempfail(t *testing.T)          { playSendmail(t, tempfails()) }
func TestSendmailChain(t *testing.T)             { playSendmail(t, chains()) }

func TestSendmailTrap22Envelope(t *testing.T)       { playSendmail(t, envelopes()) }
func TestSendmailTrap10RecipientAlone(t *testing.T) { playSendmail(t, recipientVerdicts()) }
func TestSendmailClients(t *testing.T)              { playSendmail(t, clients()) }
func TestSendmailDiscard(t *testing.T)              { playSendmail(t, discards()) }

func TestSendmailRandomHeaderEdits(t *testing.T) {
	for _, mode := range []string{"b", "q"} {
		t.Run("delivery "+mode, func(t *testing.T) {
			randomEdits(t, startSendmail(t, sendmailtest.Config{Delivery: mode}))
		})
	}
}
