package store

import (
	"bufio"
	"context"
	"net"
	"sync"
	"time"
)

// Client is the store that the process at the other end of a connection serves:
// see Serve. When the connection ends, all operations fail with an *Error of
// CodeUnavailable.
type Client struct {
	out     *outbox
	writing sync.WaitGroup
	reading chan struct{} // closed when nothing is read any more

	mu      sync.Mutex
	waiting map[uint32]chan response
	last    uint32
	broken  error
}

var _ Store = (*Client)(nil)

// NewClient makes a Client, which owns conn.
func NewClient(conn net.Conn) *Client {
	c := &Client{out: newOutbox(conn, stuck), reading: make(chan struct{}), waiting: map[uint32]chan response{}}
	c.writing.Go(c.out.run)
	go c.read(conn)
	return c
}

// Close ends the connection, and so what is held.
func (c *Client) Close() error {
	c.out.close()
	c.writing.Wait()
	<-c.reading
	return nil
}

// read gives responses to who waits, until there are no more.
func (c *Client) read(conn net.Conn) {
	defer close(c.reading)
	from := bufio.NewReader(conn)
	for {
		var r response
		frame, err := readFrame(from)
		if err == nil {
			r, err = readResponse(frame)
		}
		c.mu.Lock()
		if err != nil {
			c.broken = err
			for id, waits := range c.waiting {
				close(waits)
				delete(c.waiting, id)
			}
			c.mu.Unlock()
			c.out.close()
			return
		}
		if waits, ok := c.waiting[r.id]; ok {
			waits <- r // has room for one
			delete(c.waiting, r.id)
		}
		c.mu.Unlock()
	}
}

// ask sends a request and waits for its response.
func (c *Client) ask(ctx context.Context, r request) (response, error) {
	if err := ctx.Err(); err != nil {
		return response{}, err
	}
	if end, ok := ctx.Deadline(); ok {
		r.wait = max(milliseconds(time.Until(end)), 1)
	}
	waits := make(chan response, 1)
	c.mu.Lock()
	if c.broken != nil {
		defer c.mu.Unlock()
		return response{}, unavailable(c.broken)
	}
	for c.last++; c.waiting[c.last] != nil; c.last++ { // four billion later
	}
	r.id = c.last
	c.waiting[r.id] = waits
	c.mu.Unlock()
	c.out.send(ctx, r.append)
	select {
	case answer, ok := <-waits:
		if !ok {
			c.mu.Lock()
			defer c.mu.Unlock()
			return response{}, unavailable(c.broken)
		}
		return answer, answer.err()
	case <-ctx.Done():
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.waiting, r.id)
		return response{}, ctx.Err()
	}
}

// Get implements Store, as do the others below.
func (c *Client) Get(ctx context.Context, key string) (value []byte, found bool, err error) {
	if err := checkKey(key); err != nil {
		return nil, false, err
	}
	r, err := c.ask(ctx, request{op: opGet, key: key})
	return r.value, r.ok, err
}

// Set stores a value.
func (c *Client) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	if err := check(key, value); err != nil {
		return err
	}
	_, err := c.ask(ctx, request{op: opSet, key: key, value: value, ttl: milliseconds(ttl)})
	return err
}

// Add stores a value where there is none.
func (c *Client) Add(ctx context.Context, key string, value []byte, ttl time.Duration) (bool, error) {
	if err := check(key, value); err != nil {
		return false, err
	}
	r, err := c.ask(ctx, request{op: opAdd, key: key, value: value, ttl: milliseconds(ttl)})
	return r.ok, err
}

// Delete removes a value and a window.
func (c *Client) Delete(ctx context.Context, key string) (bool, error) {
	if err := checkKey(key); err != nil {
		return false, err
	}
	r, err := c.ask(ctx, request{op: opDelete, key: key})
	return r.ok, err
}

// Incr adds to a number.
func (c *Client) Incr(ctx context.Context, key string, by int64, ttl time.Duration) (int64, error) {
	if err := checkKey(key); err != nil {
		return 0, err
	}
	r, err := c.ask(ctx, request{op: opIncr, key: key, n: by, ttl: milliseconds(ttl)})
	return r.n, err
}

// Limit counts a call.
func (c *Client) Limit(ctx context.Context, key string, most int64, per time.Duration) (ok bool, count int64, resetAfter time.Duration, err error) {
	if err := checkKey(key); err != nil {
		return false, 0, 0, err
	}
	r, err := c.ask(ctx, request{op: opLimit, key: key, n: most, ttl: milliseconds(per)})
	return r.ok, r.n, span(r.wait), err
}

// Hold makes a holder.
func (c *Client) Hold(ctx context.Context, key, holder string, most int64) (ok bool, count int64, err error) {
	if err := checkKey(key); err != nil {
		return false, 0, err
	}
	r, err := c.ask(ctx, request{op: opHold, key: key, holder: holder, n: most})
	return r.ok, r.n, err
}

// Release ends a holder.
func (c *Client) Release(holder string) {
	c.out.urge((&request{op: opRelease, holder: holder}).append)
}
