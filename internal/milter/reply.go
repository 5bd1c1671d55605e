package milter

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	wire "github.com/emersion/go-milter"
)

const (
	maxReplyLine  = 512 // with CRLF: RFC 5321 §4.5.3.1.5
	maxReplyLines = 32  // MAXREPLYLINES of libmilter's smfi_setmlreply
)

// AppendReply appends the frame that answers a command. A Reply that cannot be
// sent as it is becomes one that can: an unknown action, a code that is not 4xx
// or 5xx are a tempfail; SKIP where it was not negotiated or has no meaning is a
// continue.
func AppendReply(dst []byte, r Reply, code byte, protocol wire.OptProtocol) []byte {
	switch r.Action {
	case 0, wire.ActContinue:
		return appendFrameHead(dst, byte(wire.ActContinue), 0)
	case wire.ActAccept, wire.ActReject, wire.ActTempFail, wire.ActDiscard:
		return appendFrameHead(dst, byte(r.Action), 0)
	case wire.ActSkip:
		if !skippable(code, protocol) {
			return appendFrameHead(dst, byte(wire.ActContinue), 0)
		}
		return appendFrameHead(dst, byte(wire.ActSkip), 0)
	case wire.ActReplyCode:
		if r.Code < 400 || r.Code > 599 {
			break
		}
		text := replyText(r)
		dst = appendFrameHead(dst, byte(wire.ActReplyCode), len(text)+1)
		dst = append(dst, text...)
		return append(dst, 0)
	}
	return appendFrameHead(dst, byte(wire.ActTempFail), 0)
}

// skippable: both MTAs take SKIP for what may come many times, and nowhere else.
func skippable(code byte, protocol wire.OptProtocol) bool {
	if protocol&wire.OptSkip == 0 {
		return false
	}
	switch wire.Code(code) {
	case wire.CodeHeader, wire.CodeBody, wire.CodeRcpt:
		return true
	}
	return false
}

// replyText forms the SMTP reply of RFC 5321 §4.2: the code and the enhanced
// code on each line, lines joined by CRLF with none at the end (it would put
// the client out of step), a percent sign doubled (libmilter smfi_setreply).
func replyText(r Reply) []byte {
	code := strconv.Itoa(r.Code)
	prefix := code + " "
	if validEnhanced(r.Enhanced, code[0]) {
		prefix += r.Enhanced + " "
	}
	lines := foldReply(r.Text, maxReplyLine-2-len(prefix)-len("5.0.0 "))
	if len(lines) == 0 {
		lines = []string{genericText(code[0])}
	}
	if len(prefix) == len("550 ") && startsWithDigit(lines) {
		// QUIRK: Postfix takes a digit after the code for an enhanced code, and
		// the reply for malformed if it is of another class (milter8.c).
		prefix += code[:1] + ".0.0 "
	}
	var out []byte
	for i, line := range lines {
		at := len(out)
		out = append(out, prefix...)
		if i < len(lines)-1 {
			out[at+3] = '-'
		}
		out = append(out, line...)
		if i < len(lines)-1 {
			out = append(out, "\r\n"...)
		}
	}
	return out
}

func genericText(class byte) string {
	if class == '4' {
		return "Service unavailable - try again later"
	}
	return "Command rejected"
}

func startsWithDigit(lines []string) bool {
	for _, line := range lines {
		if line != "" && line[0] >= '0' && line[0] <= '9' {
			return true
		}
	}
	return false
}

// validEnhanced: class.subject.detail of RFC 3463 §2, of the code's class.
func validEnhanced(s string, class byte) bool {
	parts := strings.Split(s, ".")
	if len(parts) != 3 || len(parts[0]) != 1 || parts[0][0] != class {
		return false
	}
	for _, p := range parts[1:] {
		if len(p) < 1 || len(p) > 3 || strings.Trim(p, "0123456789") != "" {
			return false
		}
	}
	return true
}

// foldReply makes lines of at most width bytes of a text, without control
// characters and with percent signs doubled. Empty lines at the end go; past
// maxReplyLines the rest is left out.
func foldReply(text string, width int) []string {
	text = strings.ReplaceAll(text, "\r\n", "\n")
	// What is left out below need not be cleaned; a rune grows to 3 bytes at most.
	text = text[:min(len(text), maxReplyLines*maxReplyLine)]
	text = strings.TrimRight(text, " \t\r\n")
	if text == "" {
		return nil
	}
	var lines []string
	for line := range strings.SplitSeq(text, "\n") {
		line = strings.TrimRight(cleanReply(line), " ")
		for len(line) > width {
			head, rest := cutReply(line, width)
			lines = append(lines, head)
			line = rest
		}
		lines = append(lines, line)
		if len(lines) >= maxReplyLines {
			return lines[:maxReplyLines]
		}
	}
	return lines
}

// cleanReply: control characters would end the line or worse, and a single
// percent sign is a format to libmilter's clients.
func cleanReply(line string) string {
	var b strings.Builder
	for _, r := range line {
		switch {
		case r == '%':
			b.WriteString("%%")
		case unicode.IsControl(r) || r == '\u2028' || r == '\u2029':
			b.WriteByte(' ')
		case r == utf8.RuneError:
			b.WriteByte('?')
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// cutReply cuts a line that is longer than width: at its last space, else
// between two runes and never between the two percent signs of one.
func cutReply(line string, width int) (head, rest string) {
	if i := strings.LastIndexByte(line[:width+1], ' '); i > 0 {
		if head := strings.TrimRight(line[:i], " "); head != "" {
			return head, strings.TrimLeft(line[i:], " ")
		}
	}
	cut := width
	for !utf8.RuneStart(line[cut]) {
		cut--
	}
	if percents := cut - len(strings.TrimRight(line[:cut], "%")); percents%2 == 1 {
		cut--
	}
	return line[:cut], line[cut:]
}
