package mailedit_test

import (
	"bytes"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"pmilter/internal/mail"
	"pmilter/internal/mailedit"
)

// within fails the test if what it does is not linear: a quadratic one takes
// minutes.
func within(t *testing.T, limit time.Duration, do func()) {
	t.Helper()
	begin := time.Now()
	do()
	if took := time.Since(begin); took > limit {
		t.Errorf("took %v", took)
	}
}

// TestWide takes one part after the other out of a message that has as many as are
// read, each with a look at what is left to do.
func TestWide(t *testing.T) {
	t.Parallel()
	body := strings.Repeat("--b\r\nContent-Type: application/pdf\r\n\r\n"+strings.Repeat("x", 900)+"\r\n", 9_000) + "--b--\r\n"
	e := mailedit.New(mail.Parse([]mail.Field{{Name: "Content-Type", Value: "multipart/mixed; boundary=b"}}, []byte(body)))
	within(t, time.Minute, func() {
		list := e.Attachments()
		for _, n := range list[1:] {
			if err := e.Remove(n); err != nil {
				t.Fatal(err)
			}
			if e.Header() != nil || n.Part().Type() != "application/pdf" {
				t.Fatal("the header changed")
			}
		}
	})
	if len(e.Attachments()) != 1 || len(e.Body()) > 1000 {
		t.Errorf("%d are left, in %d bytes", len(e.Attachments()), len(e.Body()))
	}
}

func TestDeep(t *testing.T) {
	t.Parallel()
	var head, tail strings.Builder
	for i := 1; i < 2*mail.MaxDepth; i++ {
		fmt.Fprintf(&head, "--b%d\r\nContent-Type: multipart/mixed; boundary=b%d\r\n\r\n", i-1, i)
		fmt.Fprintf(&tail, "\r\n--b%d--", 2*mail.MaxDepth-i)
	}
	body := head.String() + strings.Repeat("x\r\n", 1_000_000) + tail.String()
	e := mailedit.New(mail.Parse([]mail.Field{{Name: "Content-Type", Value: "multipart/mixed; boundary=b0"}}, []byte(body)))
	within(t, time.Minute, func() {
		n := e.Root()
		for kids := n.Children(); len(kids) > 0; kids = n.Children() {
			n = kids[0]
		}
		if err := e.Replace(n, mailedit.NewPart{Content: []byte("y"), Text: true}); err != nil {
			t.Fatal(err)
		}
		if _, err := e.Add(mailedit.NewPart{Content: []byte("z"), Text: true}); err != nil {
			t.Fatal(err)
		}
		if n.Part().Text() != "y" || len(e.Body()) > 10_000 {
			t.Errorf("%q in %d bytes", n.Part().Text(), len(e.Body()))
		}
	})
}

func TestTooMany(t *testing.T) {
	t.Parallel()
	body := strings.Repeat("--b\r\n\r\nx\r\n", mail.MaxParts+10) + "--b--\r\n"
	e := mailedit.New(mail.Parse([]mail.Field{{Name: "Content-Type", Value: "multipart/mixed; boundary=b"}}, []byte(body)))
	if _, err := e.Add(mailedit.NewPart{}); !errors.Is(err, mailedit.ErrTooMany) {
		t.Errorf("Add: %v", err)
	}
	if err := e.Remove(e.Root().Children()[0]); err != nil {
		t.Fatal(err)
	}
	if got := string(e.Body()); got != body[len("--b\r\n\r\nx\r\n"):] {
		t.Errorf("%d bytes are left of %d", len(got), len(body))
	}
}

// TestBoundaryTaken is for a message that leaves no boundary which none of its
// lines is the beginning of.
func TestBoundaryTaken(t *testing.T) {
	t.Parallel()
	var body strings.Builder
	for c := '!'; c <= '~'; c++ {
		fmt.Fprintf(&body, "--%c\r\n", c)
	}
	body.WriteString("--=_AAAAAAAAAAAAAAAAAAAAAAAA\r\n")
	e := mailedit.NewWith(mail.Parse(nil, []byte(body.String())), zeroes{})
	n, err := e.Add(mailedit.NewPart{Content: []byte("x"), Text: true})
	if err != nil {
		t.Fatal(err)
	}
	now := mail.Parse(apply(nil, e.Header()), e.Body()).Root().Parts()
	if len(now) != 2 || string(now[0].Body()) != body.String() || n.Part().Text() != "x" {
		t.Errorf("got %q", e.Body())
	}
}

// TestCheap holds what an edit of a large message may cost: nothing is copied
// before the result is asked for, and then once (the race detector has one more).
func TestCheap(t *testing.T) {
	const size = 16 << 20
	body := bytes.Join([][]byte{
		[]byte("--b\r\n\r\nhi\r\n--b\r\nContent-Type: application/pdf\r\n\r\n"), bytes.Repeat([]byte("0123456\r\n"), size/9), []byte("\r\n--b--\r\n"),
	}, nil)
	e := mailedit.New(mail.Parse([]mail.Field{{Name: "Content-Type", Value: "multipart/mixed; boundary=b"}}, body))
	allocated := func(do func()) uint64 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		do()
		runtime.ReadMemStats(&after)
		return after.TotalAlloc - before.TotalAlloc
	}
	if n := allocated(func() {
		if _, err := e.AppendText("x", ""); err != nil {
			t.Fatal(err)
		}
		if e.Header() != nil || e.Text() != "hi\nx" || len(e.Attachments()) != 1 {
			t.Error("not appended")
		}
	}); n > 1<<20 {
		t.Errorf("an edit allocated %d bytes", n)
	}
	if n := allocated(func() { e.Body() }); n > size*5/2 {
		t.Errorf("the result allocated %d bytes", n)
	}
}
