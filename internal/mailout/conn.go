package mailout

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"time"

	"github.com/emersion/go-smtp"
)

// maxReplies is how much a server may say in a session.
const maxReplies = 1 << 20

// conn is a connection whose deadlines are never later than its context's, and
// over which a server cannot talk without end.
type conn struct {
	net.Conn
	deadline time.Time // zero: none
	left     int
}

func newConn(ctx context.Context, c net.Conn) *conn {
	deadline, _ := ctx.Deadline()
	guarded := &conn{c, deadline, maxReplies}
	_ = guarded.SetDeadline(time.Time{}) // a closed connection tells so itself
	return guarded
}

// SetDeadline implements net.Conn, for the client that sets its own.
func (c *conn) SetDeadline(t time.Time) error {
	if !c.deadline.IsZero() && (t.IsZero() || t.After(c.deadline)) {
		t = c.deadline
	}
	return c.Conn.SetDeadline(t)
}

// Read implements net.Conn.
func (c *conn) Read(p []byte) (int, error) {
	if c.left <= 0 {
		return 0, errors.New("the server talks too much")
	}
	n, err := c.Conn.Read(p[:min(len(p), c.left)])
	c.left -= n
	return n, err
}

// secured is a client after STARTTLS (RFC 3207) over a connection whose server has
// greeted and offered it. The library starts TLS in new clients alone, which wait
// for a greeting: it is given one. What was said before is forgotten.
func secured(conn net.Conn, config *tls.Config, helo string) (*smtp.Client, error) {
	c, err := smtp.NewClientStartTLS(&greeted{Conn: conn, greeting: []byte("220 \r\n")}, config)
	if err != nil {
		return nil, err
	}
	return c, c.Hello(helo)
}

// greeted is a connection on which a greeting comes once more.
type greeted struct {
	net.Conn
	greeting []byte
}

// Read implements net.Conn.
func (g *greeted) Read(p []byte) (int, error) {
	if len(g.greeting) > 0 {
		n := copy(p, g.greeting)
		g.greeting = g.greeting[n:]
		return n, nil
	}
	return g.Conn.Read(p)
}
