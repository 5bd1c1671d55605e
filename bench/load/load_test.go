package main

import (
	"bytes"
	"net"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	wire "github.com/emersion/go-milter"

	"pmilter/internal/milter"
)

// counter is a null milter that counts what it is asked.
type counter struct {
	wire.NoOpMilter
	mails, headers, bodies *atomic.Int64
}

func (c counter) MailFrom(string, *wire.Modifier) (wire.Response, error) {
	c.mails.Add(1)
	return wire.RespContinue, nil
}

func (c counter) Header(string, string, *wire.Modifier) (wire.Response, error) {
	c.headers.Add(1)
	return wire.RespContinue, nil
}

func (c counter) BodyChunk([]byte, *wire.Modifier) (wire.Response, error) {
	c.bodies.Add(1)
	return wire.RespContinue, nil
}

// Every message is sent whole, whatever the milter negotiates away.
func TestLoad(t *testing.T) {
	for _, c := range []struct {
		name            string
		protocol        wire.OptProtocol
		headers, bodies int64 // a mail
	}{
		{"all", 0, 12, 1},
		{"no body", wire.OptNoBody | wire.OptNoHelo, 12, 0},
		{"nothing", wire.OptNoConnect | wire.OptNoHelo | wire.OptNoHeaders | wire.OptNoEOH | wire.OptNoBody, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			var mails, headers, bodies atomic.Int64
			path := filepath.Join(t.TempDir(), "m")
			l, err := net.Listen("unix", path)
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			server := &wire.Server{
				NewMilter: func() wire.Milter { return counter{mails: &mails, headers: &headers, bodies: &bodies} },
				Protocol:  c.protocol,
			}
			go func() { _ = server.Serve(l) }() // ends with the listener
			var out strings.Builder
			err = run([]string{"-conns", "2", "-messages", "3,1", "-rounds", "2", "-time", "50ms", "-chunk", "4096", "null=unix:" + path}, &out)
			if err != nil {
				t.Fatal(err)
			}
			if mails.Load() == 0 {
				t.Errorf("no mail was sent:\n%s", out.String())
			}
			for _, line := range []string{`(?m)^ +3  null +[1-9].* 1\.00$`, `(?m)^ +1  null +[1-9].* 1\.00$`} {
				if !regexp.MustCompile(line).MatchString(out.String()) {
					t.Errorf("no line %s in\n%s", line, out.String())
				}
			}
			if headers.Load() != mails.Load()*c.headers || bodies.Load() != mails.Load()*c.bodies {
				t.Errorf("%d mails with %d headers and %d body chunks", mails.Load(), headers.Load(), bodies.Load())
			}
		})
	}
}

// Commands without a reply travel with the next one that has one, once each.
func TestNoReply(t *testing.T) {
	const noReply = wire.OptNoConnReply | wire.OptNoHeloReply | wire.OptNoHeaderReply | wire.OptNoEOHReply | wire.OptNoBodyReply
	d := newDialogue(shape{headers: 3, body: 70000, each: true}, noReply)
	for _, c := range []struct {
		name      string
		exchanges []exchange
		want      []string // the commands of each, macros as D
	}{
		{"greeting", d.greeting, nil},
		{"first", d.first, []string{"DCDHDM", "DR", "DT", "DLDLDLDNDBDBDE"}},
		{"next", d.next, []string{"ADM", "DR", "DT", "DLDLDLDNDBDBDE"}},
	} {
		var got []string
		for _, e := range c.exchanges {
			codes := ""
			frames := milter.NewFrameReader(bytes.NewReader(e.bytes), 0)
			for {
				code, _, err := frames.Next()
				if err != nil {
					break
				}
				codes += string(code)
			}
			got = append(got, codes)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

// What it cannot measure it refuses, before it connects to anything.
func TestWrongUsage(t *testing.T) {
	for _, args := range [][]string{
		{},
		{"null"},
		{"null=/tmp/x"},
		{"-messages", "0", "null=unix:/nowhere"},
		{"-rounds", "0", "null=unix:/nowhere"},
		{"-messages", "20,", "null=unix:/nowhere"},
	} {
		var out strings.Builder
		if err := run(args, &out); err == nil || !strings.HasPrefix(err.Error(), "load: ") {
			t.Errorf("%q: %v", args, err)
		}
	}
}
