package integration

import (
	"slices"
	"strings"
	"testing"

	"pmilter/internal/postfixtest"
)

// plainMessage is what is sent where the message does not matter.
const plainMessage = "From: Alice <a@example.org>\r\nTo: b@example.org\r\nSubject: test\r\n\r\nbody\r\n"

// theMessage stands for the message in a dialogue.
const theMessage = "(message)"

// scenario is one mail on one connection.
type scenario struct {
	name    string
	script  string            // one script, after the imports of verdicts; or
	scripts map[string]string // several
	message string            // plainMessage if empty
	postfix bool              // it uses what Sendmail does not have

	// dialogue is the whole of it as "command => reply"; the command
	// theMessage sends the message. See dialogue() and Reply.Matches.
	dialogue []string

	// What is delivered, if the message is accepted.
	discarded  bool     // the client sees 250 and nothing is delivered
	held       string   // it waits in the hold queue, for this reason
	delivered  string   // the message without Postfix's own Received; as sent if empty
	sender     *string  // as sent if nil
	recipients []string // the accepted ones if nil
	check      func(t *testing.T, m *postfixtest.Mail)
}

// dialogue is the plain mail with some of its replies changed. What follows a
// refused command is left out, but for recipients.
func dialogue(changes ...string) []string {
	plain := []string{
		"EHLO client.example.org => 250", "MAIL FROM:<a@example.org> => 250", "RCPT TO:<b@example.org> => 250",
		"DATA => 354", theMessage + " => 250",
	}
	var lines []string
	for _, line := range plain {
		command, _, _ := strings.Cut(line, " => ")
		changed := false
		for _, change := range changes {
			if c, want, _ := strings.Cut(change, " => "); c == command {
				line, changed = change, want[0] >= '4'
			}
		}
		lines = append(lines, line)
		if changed {
			break
		}
	}
	return lines
}

// behind is an MTA that has one milter.
type behind interface {
	Dial(t testing.TB) *postfixtest.Client
	// serve runs pmilterd as its milter until the test is over.
	serve(t testing.TB, scripts, settings map[string]string) *server
	delivered() *postfixtest.Sink
	// socket is where it expects its milter, as listen has it.
	socket() string
	// checkHeld fails the test unless the message is held for that reason, and
	// removes it.
	checkHeld(t *testing.T, id, reason string)
	// awaitDiscarded returns when the message is known to be thrown away.
	awaitDiscarded(t *testing.T, id string)
	// says tells whether a reply is the wanted one to a command.
	says(reply postfixtest.Reply, command, want string) bool
	// queued tells how many messages are in the queue.
	queued(t *testing.T) int
}

// play runs pmilterd with the scenario's scripts behind the MTA, and the dialogue.
func (s *scenario) play(t *testing.T, m behind, settings map[string]string) {
	t.Helper()
	scripts := s.scripts
	if scripts == nil {
		scripts = one(s.script)
	}
	server := m.serve(t, scripts, settings)
	c := m.Dial(t)
	defer c.Close()
	s.speak(t, m, c)
	c.Cmd("QUIT")
	if s.held != "" {
		server.awaitLog(`"` + s.held + `"`)
	}
}

// speak is the scenario's dialogue on a connection that is there, and the
// check of what came of it.
func (s *scenario) speak(t *testing.T, m behind, c *postfixtest.Client) {
	t.Helper()
	message := s.message
	if message == "" {
		message = plainMessage
	}
	lines := s.dialogue
	if lines == nil {
		lines = dialogue()
	}
	var last postfixtest.Reply
	sender, recipients := "", []string(nil)
	for _, step := range postfixtest.Steps(lines...) {
		if step.Send == theMessage {
			last = c.Data(message)
		} else {
			last = c.Cmd(step.Send)
		}
		if !m.says(last, step.Send, step.Want) {
			t.Fatalf("%s\n got %q\nwant %q\n%s", step.Send, last, step.Want, c.Transcript.String())
		}
		if last.Code() != 250 {
			continue
		}
		if path, ok := pathOf(step.Send, "MAIL FROM:"); ok {
			sender = path
		} else if path, ok := pathOf(step.Send, "RCPT TO:"); ok {
			recipients = append(recipients, path)
		}
	}
	id := last.QueueID()
	switch {
	case id == "":
	case s.discarded:
		m.awaitDiscarded(t, id)
	case s.held != "":
		m.checkHeld(t, id, s.held)
	default:
		s.checkMail(t, m.delivered().Wait(t, id), sender, recipients, message)
	}
}

// pathOf is the address of a MAIL or RCPT command.
func pathOf(command, verb string) (string, bool) {
	rest, ok := strings.CutPrefix(command, verb+"<")
	if !ok {
		return "", false
	}
	path, _, _ := strings.Cut(rest, ">")
	return path, true
}

func (s *scenario) checkMail(t *testing.T, mail *postfixtest.Mail, sender string, recipients []string, sent string) {
	t.Helper()
	want := s.delivered
	if want == "" {
		want = sent
	}
	if got := mail.Plain(); got != want {
		t.Errorf("delivered\n%q, want\n%q", got, want)
	}
	if s.sender != nil {
		sender = *s.sender
	}
	if mail.Sender != sender {
		t.Errorf("sender %q, want %q", mail.Sender, sender)
	}
	if s.recipients != nil {
		recipients = s.recipients
	}
	// Postfix delivers in an order of its own.
	if got, want := sorted(mail.Recipients), sorted(recipients); got != want {
		t.Errorf("recipients %q, want %q", got, want)
	}
	if s.check != nil {
		s.check(t, mail)
	}
}

func sorted(list []string) string {
	return strings.Join(slices.Sorted(slices.Values(list)), " ")
}

// playAll plays the scenarios one after the other behind one Postfix, each with
// a pmilterd of its own, and checks at the end that nothing was delivered
// besides what was to be.
func playAll(t *testing.T, scenarios []scenario) {
	t.Helper()
	playBehind(t, startMTA(t, nil), scenarios)
}

func playBehind(t *testing.T, m behind, scenarios []scenario) {
	t.Helper()
	for _, s := range scenarios {
		t.Run(s.name, func(t *testing.T) {
			before := len(m.delivered().Mails())
			s.play(t, m, nil)
			if n := m.queued(t); n > 0 && s.held == "" && (s.discarded || before == len(m.delivered().Mails())) {
				t.Errorf("%d messages are in the queue", n)
			}
			if got := len(m.delivered().Mails()) - before; (s.discarded || s.held != "") && got > 0 {
				t.Errorf("%d mails delivered, want none", got)
			}
		})
	}
}
