package resolver

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"github.com/miekg/dns"
)

const (
	minTries = 3
	// udpSize is what we say that we take: it passes every network in one piece
	// (DNS flag day 2020).
	udpSize = 1232
)

// askServers asks one server after the other until one of them answers. All
// answers that still come count: a slow one is not thrown away because another
// server has been asked meanwhile. It returns by ctx's deadline.
func (q question) askServers(ctx context.Context, servers []string) (*dns.Msg, *Error) {
	deadline, _ := ctx.Deadline()
	tries := min(max(minTries, len(servers)), 2*minTries)
	pause := time.Until(deadline) / time.Duration(tries)
	results := make(chan attempt, tries)
	var running sync.WaitGroup
	defer running.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	timer := time.NewTimer(0)
	defer timer.Stop()
	var best attempt               // of those that are no answer
	unwilling := map[string]bool{} // servers that it is no use to ask again
	for started, ended := 0, 0; ended < tries && len(unwilling) < len(servers); {
		select {
		case <-timer.C:
			if started < tries {
				server := nextServer(servers, started, unwilling)
				running.Go(func() { m, err := q.askServer(ctx, server); results <- attempt{server, m, err} })
				started++
				timer.Reset(pause)
			}
		case r := <-results:
			ended++
			if r.answers() {
				return r.m, nil
			}
			if best.m == nil {
				best = r
			}
			var said *Error
			if r.m != nil || errors.As(r.err, &said) {
				unwilling[r.server] = true
			}
			timer.Reset(0) // the next one, now
		case <-ctx.Done():
			if best.m != nil {
				return best.m, nil
			}
			return nil, q.failed(ctx.Err())
		}
	}
	if best.m != nil {
		return best.m, nil
	}
	return nil, q.failed(best.err)
}

// attempt is what came of asking one server once.
type attempt struct {
	server string
	m      *dns.Msg
	err    error
}

// answers tells whether the server knew.
func (a attempt) answers() bool {
	return a.err == nil && (a.m.Rcode == dns.RcodeSuccess || a.m.Rcode == dns.RcodeNameError)
}

// nextServer is the one whose turn it is, of those that may still answer.
func nextServer(servers []string, turn int, unwilling map[string]bool) string {
	for i := range servers {
		if s := servers[(turn+i)%len(servers)]; !unwilling[s] {
			return s
		}
	}
	return servers[turn%len(servers)]
}

// askServer asks one server, over UDP and, when the answer does not fit, over
// TCP (RFC 7766 §5). It returns when ctx is done.
func (q question) askServer(ctx context.Context, server string) (*dns.Msg, error) {
	for _, edns := range []bool{true, false} {
		m, err := q.exchange(ctx, "udp", server, edns)
		if err == nil && m.Truncated {
			m, err = q.exchange(ctx, "tcp", server, edns)
		}
		if err != nil {
			return nil, err
		}
		// An old server that does not know EDNS (RFC 6891 §7).
		if edns && (m.Rcode == dns.RcodeFormatError || m.Rcode == dns.RcodeNotImplemented) {
			continue
		}
		if lame(m) {
			return nil, q.fail(ServFail, "the name server "+server+" sends us elsewhere")
		}
		return m, nil
	}
	return nil, q.fail(FormErr, "")
}

// exchange sends the question from a new port with a new id, and waits for the
// message that answers it.
func (q question) exchange(ctx context.Context, network, server string, edns bool) (*dns.Msg, error) {
	var random [2]byte
	_, _ = rand.Read(random[:]) // never fails
	m := &dns.Msg{MsgHdr: dns.MsgHdr{Id: binary.BigEndian.Uint16(random[:]), RecursionDesired: true}}
	m.Question = []dns.Question{{Name: q.name, Qtype: q.kind, Qclass: dns.ClassINET}}
	if edns {
		m.SetEdns0(udpSize, false)
	}
	wire, err := m.Pack()
	if err != nil {
		return nil, q.fail(BadName, "")
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, network, server)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })()
	if network == "tcp" {
		wire = append(binary.BigEndian.AppendUint16(nil, uint16(len(wire))), wire...)
	}
	if _, err := conn.Write(wire); err != nil {
		return nil, stopped(ctx, err)
	}
	var answer *dns.Msg
	if network == "tcp" {
		answer, err = q.readStream(conn, m.Id)
	} else {
		answer, err = q.readPacket(conn, m.Id)
	}
	return answer, stopped(ctx, err)
}

// stopped is ctx's error when that is why reading or writing ended.
func stopped(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil && errors.Is(err, os.ErrDeadlineExceeded) {
		return ctx.Err()
	}
	return err
}

// readPacket waits for the answer. What does not belong to the question is passed
// over: who guesses must not be able to end the waiting.
func (q question) readPacket(conn net.Conn, id uint16) (*dns.Msg, error) {
	buffer := make([]byte, 4096)
	for {
		n, err := conn.Read(buffer)
		if err != nil {
			return nil, err
		}
		if m := q.accept(buffer[:n], id); m != nil {
			return m, nil
		}
	}
}

func (q question) readStream(conn net.Conn, id uint16) (*dns.Msg, error) {
	var length [2]byte
	if _, err := io.ReadFull(conn, length[:]); err != nil {
		return nil, fmt.Errorf("over TCP: %w", err)
	}
	buffer := make([]byte, binary.BigEndian.Uint16(length[:]))
	if _, err := io.ReadFull(conn, buffer); err != nil {
		return nil, fmt.Errorf("over TCP: %w", err)
	}
	m := q.accept(buffer, id)
	if m == nil {
		return nil, q.fail(BadResp, "")
	}
	m.Truncated = false // there is no more
	return m, nil
}

// accept is the message in some bytes if it answers the question, else nil. Of a
// truncated message the header and the question are enough.
func (q question) accept(data []byte, id uint16) *dns.Msg {
	m := new(dns.Msg)
	if err := m.Unpack(data); err != nil && !m.Truncated {
		return nil
	}
	if !belongs(m, id, q) {
		return nil
	}
	return m
}
