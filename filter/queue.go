package filter

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

// Spool makes events durable. Its methods may be called concurrently.
type Spool interface {
	// Has tells whether there is a queue of that name, and Names which there are.
	Has(queue string) bool
	Names() []string
	// Put makes all of the mail's events durable, or none: then it returns an
	// error. It returns when ctx ends at the latest. free is called once, when
	// the mail's content is not needed any more, which may be later.
	Put(ctx context.Context, mail *QueuedMail, free func()) error
}

// Queued is an event that a script asked for: the message, in a queue.
type Queued struct {
	Queue string
	Data  []byte // JSON; nil for none
	Any   bool   // whatever becomes of the message; else only when no script refuses it
	ID    string // set by Spool.Put
}

// QueuedMail is a message as it goes into queues, edits included.
type QueuedMail struct {
	Events     []*Queued
	QueueID    string
	Client     Client
	Helo       string
	Sender     string
	Recipients []string
	Verdict    string // "accept", "reject", "tempfail", "discard" or "abort"
	Complete   bool   // else it is what had arrived, or what the scripts' options let come
	// Header, with the empty line, and Body have CRLF line ends.
	Header, Body []byte
}

// What one message's scripts can ask for.
const (
	maxQueued     = 100
	maxQueuedData = 4 << 20 // bytes of all data together
)

// Enqueue asks for an event, which is written when the message ends: that is what
// the message is by then. An error is a mistake of the script.
func (m *Message) Enqueue(q Queued) error {
	spool := m.session.spool
	if spool == nil || !spool.Has(q.Queue) {
		return unknownQueue(spool, q.Queue)
	}
	if len(m.queued) >= maxQueued {
		return fmt.Errorf("more than %d events of one message", maxQueued)
	}
	size := len(q.Data)
	for _, other := range m.queued {
		size += len(other.Data)
	}
	if size > maxQueuedData {
		return fmt.Errorf("the data of one message's events is over %d bytes", maxQueuedData)
	}
	m.queued = append(m.queued, &q)
	return nil
}

func unknownQueue(spool Spool, name string) error {
	var names []string
	if spool != nil {
		names = spool.Names()
	}
	if len(names) == 0 {
		return fmt.Errorf("there is no queue %.60q: the configuration has no [queue.NAME]", name)
	}
	return fmt.Errorf("there is no queue %.60q: the configuration has %s", name, strings.Join(names, ", "))
}

// errNotQueued is why a message is put off: the log has said more.
var errNotQueued = errors.New("events cannot be made durable")

// queue makes durable what scripts have asked for, in the light of the message's
// verdict ("abort" when there was none), and forgets it. It waits until the
// deadline at most. The error is errNotQueued.
func (c *Conn) queue(verdict string, deadline time.Time) error {
	m := c.session.Message
	if m == nil || len(m.queued) == 0 {
		return nil
	}
	events := m.queued
	m.queued = nil
	if verdict != Accept.String() {
		events = slices.DeleteFunc(slices.Clone(events), func(q *Queued) bool { return !q.Any })
	}
	if len(events) == 0 {
		return nil
	}
	mail, err := m.queuedMail(verdict)
	if err == nil {
		mail.Events = events
		ctx, cancel := context.WithDeadline(context.Background(), deadline)
		err = c.session.spool.Put(ctx, mail, m.lend())
		cancel()
	}
	if err != nil {
		c.log.Error("message cannot be queued", zap.String("qid", c.session.QueueID()),
			zap.Strings("queues", queuesOf(events)), zap.String("verdict", verdict), zap.Error(err))
		return errNotQueued
	}
	c.queued = append(c.queued, events...)
	return nil
}

// queuedMail is the message as it stands. Of a message that is accepted all that
// there should be must be there.
func (m *Message) queuedMail(verdict string) (*QueuedMail, error) {
	s := m.session
	mail := &QueuedMail{
		QueueID: s.QueueID(), Client: s.Client, Helo: s.Helo, Sender: m.CurrentSender().Address,
		Verdict: verdict, Complete: m.whole && m.wanted.headers && m.wanted.body && !m.oversize && m.failed == nil,
	}
	for _, a := range m.Recipients() {
		mail.Recipients = append(mail.Recipients, a.Address)
	}
	if m.wanted.headers {
		mail.Header = m.header(m.model().visible())
	}
	body, err := m.Body()
	if err != nil && mail.Complete {
		return nil, err
	}
	mail.Body = body
	return mail, nil
}

// logWouldQueue names the events of an observing script, which are not written.
func (c *Conn) logWouldQueue(script int, p Phase, events []*Queued) {
	if len(events) > 0 {
		c.log.Info("message would be queued", zap.String("qid", c.session.QueueID()), zap.Stringer("phase", p),
			zap.String("script", c.list[script].Name), zap.Strings("queues", queuesOf(events)))
		c.asideWouldBe(script, p, nil, events)
	}
}

func queuesOf(events []*Queued) []string {
	names := make([]string, len(events))
	for i, q := range events {
		names[i] = q.Queue
	}
	return names
}

// lentBody is a body that a Spool still reads when the message may be over.
type lentBody struct {
	BodyStore
	users atomic.Int32
}

// Close implements BodyStore: the last who has it frees it.
func (b *lentBody) Close() error {
	if b.users.Add(-1) > 0 {
		return nil
	}
	return b.BodyStore.Close()
}

// lend keeps the body beyond the message's end, until the function is called.
func (m *Message) lend() (free func()) {
	if m.body == nil {
		return func() {}
	}
	lent, again := m.body.(*lentBody)
	if !again {
		lent = &lentBody{BodyStore: m.body}
		lent.users.Store(1)
		m.body = lent
	}
	lent.users.Add(1)
	return func() { _ = lent.Close() } // there is nothing to save in it
}
