package playground

import (
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"
	"unicode"

	"pmilter/internal/mta"
)

// maxEdits is how many edits of one message are shown.
const maxEdits = 20

// decision is a verdict and the place in a script that made it.
type decision struct {
	Decision
	where string
}

// printer writes for people: one line a verdict. What comes from a mail can
// neither move the cursor nor forge a line. It is safe for concurrent use.
type printer struct {
	mu    sync.Mutex
	out   io.Writer
	color bool
	now   func() time.Time
}

// The colours of verdicts (ECMA-48 SGR).
const (
	green  = "32"
	red    = "31"
	yellow = "33"
	cyan   = "36"
	dim    = "2"
	bold   = "1"
)

func colorOf(verdict string) string {
	switch verdict {
	case "reject":
		return red
	case "tempfail":
		return yellow
	case "discard":
		return cyan
	default:
		return green
	}
}

// verdict is one refusal: of a connection, recipient, message or command.
func (p *printer) verdict(d decision, r mta.Reply, detail string) {
	said := strings.TrimPrefix(r.String(), r.Verdict()+" ")
	p.lines(p.head(d) + strings.TrimSpace(printable(detail)+"  "+p.paint(bold, printable(said))))
}

// accepted is a message that was taken.
func (p *printer) accepted(d decision, envelope string, edits []mta.Modification, where string) {
	if d.Verdict == "continue" {
		d.Verdict = "accept" // what nobody objects to
	}
	lines := []string{p.head(d) + printable(envelope) + "  " + p.paint(bold, printable(where))}
	for i, e := range edits {
		if i == maxEdits {
			lines = append(lines, p.paint(dim, fmt.Sprintf("%20s and %d more", "+", len(edits)-i)))
			break
		}
		lines = append(lines, p.paint(dim, fmt.Sprintf("%20s %s", "+", printable(e.String()))))
	}
	p.lines(lines...)
}

// refused is a refusal that no filter asked for.
func (p *printer) refused(why string, code int, text string) {
	p.lines(p.time() + p.paint(red, "refused   ") + fmt.Sprintf("%s by the playground itself: %d %s", why, code, text))
}

// trouble is what kept a mail from its verdict or its Maildir.
func (p *printer) trouble(err error) {
	p.lines(p.time() + p.paint(red, "trouble   ") + printable(err.Error()))
}

// Printf is for go-smtp's own words.
func (p *printer) Printf(format string, v ...any) {
	p.lines(p.time() + p.paint(dim, "smtp      "+printable(fmt.Sprintf(format, v...))))
}

// Println is Printf's like.
func (p *printer) Println(v ...any) { p.Printf("%s", fmt.Sprintln(v...)) }

// head is time, verdict, phase and place.
func (p *printer) head(d decision) string {
	s := p.time() + p.paint(colorOf(d.Verdict), fmt.Sprintf("%-9s ", d.Verdict)) + fmt.Sprintf("%-8s ", d.Phase)
	if d.where != "" {
		s += printable(d.where) + "  "
	}
	return s
}

func (p *printer) time() string { return p.paint(dim, p.now().Format("15:04:05")) + "  " }

func (p *printer) paint(sgr, s string) string {
	if !p.color || s == "" {
		return s
	}
	return "\x1b[" + sgr + "m" + s + "\x1b[0m"
}

func (p *printer) lines(lines ...string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	// A terminal that is gone is no reason to refuse mail.
	_, _ = io.WriteString(p.out, strings.Join(lines, "\n")+"\n")
}

// greet says what runs and what to type.
func (s *server) greet() {
	p, cfg := s.print, s.cfg
	host, port, err := net.SplitHostPort(s.Addr().String())
	if err != nil {
		host, port = s.Addr().String(), ""
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	at := net.JoinHostPort(host, port)
	lines := []string{
		p.paint(bold, "The playground listens for SMTP on "+at+"; what is accepted lands in "+cfg.Maildir+"/new"),
	}
	if len(cfg.Scripts) > 0 {
		lines = append(lines, "Scripts, in order: "+strings.Join(cfg.Scripts, ", "))
	} else {
		lines = append(lines, "No scripts run: all mail is accepted.")
	}
	lines = append(
		lines, "", "Send a mail from another terminal:", "",
		"  swaks --server "+at+" --from alice@example.org --to bob@example.net",
		"",
		"or without swaks:",
		"",
		`  printf 'From: alice@example.org\r\nTo: bob@example.net\r\nSubject: hello\r\n\r\nhello\r\n' |`,
		"    curl smtp://"+at+" --mail-from alice@example.org --mail-rcpt bob@example.net --upload-file -",
		"",
	)
	if len(cfg.Hints) > 0 {
		lines = append(append(lines, cfg.Hints...), "")
	}
	for i, line := range lines {
		if i > 0 {
			lines[i] = printable(line)
		}
	}
	p.lines(append(lines, p.paint(dim, "Ctrl-C stops. Each verdict is shown here as it falls:"))...)
}

// printable replaces what could move the cursor or forge a line.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r != '\t' && !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, s)
}
