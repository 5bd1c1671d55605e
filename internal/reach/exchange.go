package reach

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"time"

	"pmilter/internal/permit"
)

// Exchange is one question and answer over a connection of its own.
type Exchange struct {
	Address string // "host:port" or "unix:/path"
	Data    []byte
	MaxSize int64 // bytes of the answer
	// Until ends the answer, and belongs to it. Empty: the answer ends when the
	// other side closes, and ours is closed for sending after Data.
	Until []byte
}

// Exchange sends and receives at the same time: a server may answer before it has
// read everything. It returns when ctx is done; errors are as with Fetch. An
// answer that ends before Until is an error, one that ends while we send is not.
func (c *Client) Exchange(ctx context.Context, x Exchange) ([]byte, error) {
	t, err := permit.ParseTarget(x.Address)
	if err != nil {
		return nil, &InputError{err.Error()}
	}
	conn, err := c.dialer.Dial(ctx, t)
	if err != nil {
		return nil, Failure(ctx, t.String(), err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })()
	sent := make(chan error, 1)
	go func() { sent <- send(conn, x) }()
	answer, err := receive(conn, x)
	conn.SetDeadline(time.Unix(1, 0)) // if the answer is there, the rest of the question is of no interest
	sending := <-sent
	if err == nil && sending != nil && len(answer) == 0 {
		err = sending
	}
	switch {
	case errors.Is(err, errTooLarge):
		return nil, fail("EMSGSIZE", "%s: the answer is larger than %d bytes (maxSize)", t, x.MaxSize)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return nil, fail("ECONNRESET", "%s: the connection ended before the answer did", t)
	case err != nil:
		return nil, Failure(ctx, t.String(), err)
	}
	return answer, nil
}

func send(conn net.Conn, x Exchange) error {
	if _, err := conn.Write(x.Data); err != nil {
		return err
	}
	if half, ok := conn.(interface{ CloseWrite() error }); ok && len(x.Until) == 0 {
		return half.CloseWrite()
	}
	return nil
}

var errTooLarge = errors.New("too large")

// receive reads the answer: to its end, or until it has Until in it.
func receive(conn net.Conn, x Exchange) ([]byte, error) {
	var answer []byte
	buffer := make([]byte, 32<<10)
	for {
		n, err := conn.Read(buffer)
		from := max(len(answer)-len(x.Until), 0)
		answer = append(answer, buffer[:n]...)
		if len(x.Until) > 0 {
			if i := bytes.Index(answer[from:], x.Until); i >= 0 {
				answer = answer[:from+i+len(x.Until)]
				err = io.EOF
			} else if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
		}
		if int64(len(answer)) > x.MaxSize {
			return nil, errTooLarge
		}
		switch {
		case errors.Is(err, io.EOF):
			return answer, nil
		case err != nil:
			return nil, err
		}
	}
}
