package postfixtest_test

import (
	"net"
	"strings"
	"testing"

	"github.com/emersion/go-milter"
	"go.uber.org/goleak"

	"pmilter/internal/postfixtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// picky is a small milter that is not ours: it refuses the recipient
// bad@example.org and adds a header to the rest.
type picky struct{ milter.NoOpMilter }

func (picky) RcptTo(rcpt string, _ *milter.Modifier) (milter.Response, error) {
	if strings.Contains(rcpt, "bad@") {
		return milter.NewResponseStr(byte(milter.ActReplyCode), "550-5.7.1 two\r\n550 5.7.1 lines\x00"), nil
	}
	return milter.RespContinue, nil
}

func (picky) Body(m *milter.Modifier) (milter.Response, error) {
	if err := m.AddHeader("X-Picky", "yes"); err != nil {
		return nil, err
	}
	if strings.Contains(m.Headers.Get("Subject"), "hold") {
		if err := m.Quarantine("for a look"); err != nil {
			return nil, err
		}
	}
	return milter.RespAccept, nil
}

// serve runs the milter until the test is over.
func serve(t *testing.T) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &milter.Server{
		NewMilter: func() milter.Milter { return picky{} },
		Actions:   milter.OptAddHeader | milter.OptQuarantine,
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(l) // ends with the listener
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
	})
	return "inet:" + l.Addr().String()
}

func TestMailThroughMilter(t *testing.T) {
	milterAddr := serve(t)
	pf := postfixtest.Start(t, postfixtest.Config{Milters: []string{milterAddr}, NonSMTPDMilters: []string{milterAddr}})

	c := pf.Dial(t)
	c.Run(postfixtest.Steps(
		"EHLO client.example.org => 250",
		"MAIL FROM:<a@example.org> => 250 2.1.0 Ok",
		"RCPT TO:<b@example.org> => 250 2.1.5 Ok",
		"RCPT TO:<bad@example.org> => 550-5.7.1 two\n550 5.7.1 lines",
		"DATA => 354",
	)...)
	const message = "From: a@example.org\r\nSubject:\t odd   spaces\r\n folded\r\n\r\n.dot\r\nb\xffdy\r\n"
	reply := c.Data(message)
	mail := pf.Sink.Wait(t, reply.QueueID())
	if want := strings.Replace(message, "\r\n\r\n", "\r\nX-Picky: yes\r\n\r\n", 1); mail.Plain() != want {
		t.Errorf("delivered %q, want %q", mail.Plain(), want)
	}
	if mail.Sender != "a@example.org" || len(mail.Recipients) != 1 {
		t.Errorf("envelope: %+v", mail)
	}

	held := c.Send("a@example.org", []string{"b@example.org"}, "Subject: hold\n\nx\n")
	if queue := pf.Queue(t, "hold"); len(queue) != 1 || queue[0].ID != held.QueueID() {
		t.Errorf("hold queue: %+v, want %q", queue, held.QueueID())
	}
	if cat := pf.Postcat(t, held.QueueID()); !strings.Contains(cat, "X-Picky: yes") {
		t.Errorf("postcat: %s", cat)
	}

	pf.Sendmail(t, "To: c@example.org\nSubject: local\n\nx\n", "-t", "-f", "a@example.org")
	pf.Sink.WaitFor(t, "mail from sendmail", func(m *postfixtest.Mail) bool {
		return strings.Contains(m.Header(), "Subject: local\r\n") && strings.Contains(m.Header(), "X-Picky: yes\r\n")
	})

	before := len(pf.Sink.Mails())
	if out, err := pf.SMTPSource("-s", "4", "-m", "20", "-d"); err != nil {
		t.Fatalf("smtp-source: %v\n%s", err, out)
	}
	pf.Sink.WaitCount(t, before+20)
}

// Several instances run at once and do not meet.
func TestSeveral(t *testing.T) {
	for _, name := range []string{"one", "two", "three"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pf := postfixtest.Start(t, postfixtest.Config{MainCF: map[string]string{"smtpd_banner": name}})
			c := pf.Dial(t)
			if want := "220 " + name; c.Greeting.String() != want {
				t.Errorf("greeting %q, want %q", c.Greeting, want)
			}
			c.Run(postfixtest.Steps("HELO x => 250")...)
			pf.Sink.Wait(t, c.Send("", []string{"b@example.org"}, "Subject: "+name+"\n\n").QueueID())
			if mails := pf.Sink.Mails(); len(mails) != 1 || mails[0].Plain() != "Subject: "+name+"\r\n\r\n" {
				t.Errorf("%d mails, the first %q", len(mails), mails[0].Plain())
			}
		})
	}
}
