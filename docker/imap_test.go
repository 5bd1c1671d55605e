package docker

import (
	"bufio"
	"net/textproto"
	"testing"

	"github.com/emersion/go-imap"
	"github.com/emersion/go-imap/client"
)

// read waits for the mail with a subject in any folder of a mailbox, and returns its
// header. It reads from the host, by IMAP.
func (s *stack) read(t *testing.T, user, subject string) (header textproto.MIMEHeader) {
	t.Helper()
	wait(t, "mail "+subject+" for "+user, func() bool {
		header = s.find(t, user, subject)
		return header != nil
	})
	return header
}

func (s *stack) has(t *testing.T, user, subject string) bool {
	t.Helper()
	return s.find(t, user, subject) != nil
}

func (s *stack) find(t *testing.T, user, subject string) textproto.MIMEHeader {
	t.Helper()
	c, err := client.Dial(s.addr["dovecot"])
	must(t, err)
	defer func() { _ = c.Logout() }() // what was asked for is here
	must(t, c.Login(user, password))
	folders := make(chan *imap.MailboxInfo, 100)
	must(t, c.List("", "*", folders))
	for folder := range folders {
		if header := find(t, c, folder, subject); header != nil {
			return header
		}
	}
	return nil
}

func find(t *testing.T, c *client.Client, folder *imap.MailboxInfo, subject string) textproto.MIMEHeader {
	t.Helper()
	for _, attribute := range folder.Attributes {
		if attribute == imap.NoSelectAttr {
			return nil
		}
	}
	_, err := c.Select(folder.Name, true)
	must(t, err)
	search := imap.NewSearchCriteria()
	search.Header.Set("Subject", subject)
	found, err := c.Search(search)
	must(t, err)
	if len(found) == 0 {
		return nil
	}
	set, section := new(imap.SeqSet), &imap.BodySectionName{Peek: true}
	set.AddNum(found[0])
	messages := make(chan *imap.Message, 1)
	must(t, c.Fetch(set, []imap.FetchItem{section.FetchItem()}, messages))
	header, err := textproto.NewReader(bufio.NewReader((<-messages).GetBody(section))).ReadMIMEHeader()
	must(t, err)
	return header
}
