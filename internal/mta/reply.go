package mta

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/emersion/go-milter"

	imilter "pmilter/internal/milter"
)

// maxReplyLine is the longest line of a reply text that libmilter's
// smfi_setmlreply lets pass (MAXREPLYLEN); what is longer is an error.
const maxReplyLine = 980

// Reply is a milter's answer to one command.
type Reply struct {
	Action   milter.ActionCode // ActContinue, ActAccept, ActDiscard, ActReject, ActTempFail, ActReplyCode, ActSkip or SMFIR_SHUTDOWN
	Code     int               // of ActReplyCode: 4xx or 5xx; else 0
	Enhanced string            // "5.7.1", or ""
	Text     string            // lines separated by LF
	// Implied: the milter was not asked, or negotiated that it need not answer.
	Implied bool
}

// Refuses tells whether the client is told no (or not now).
func (r Reply) Refuses() bool {
	code, _, _ := r.SMTP()
	return code != 0
}

// Temporary tells whether a refusal is a 4xx.
func (r Reply) Temporary() bool {
	code, _, _ := r.SMTP()
	return code/100 == 4
}

// Disconnects tells whether an SMTP server hangs up after this reply (RFC 5321 §3.8).
func (r Reply) Disconnects() bool {
	code, _, _ := r.SMTP()
	return code == 421
}

// Verdict is the reply in one word: continue, accept, reject, tempfail, discard or skip.
func (r Reply) Verdict() string {
	switch r.Action {
	case milter.ActAccept:
		return "accept"
	case milter.ActDiscard:
		return "discard"
	case milter.ActSkip:
		return "skip"
	}
	switch {
	case r.Temporary():
		return "tempfail"
	case r.Refuses():
		return "reject"
	default:
		return "continue"
	}
}

// SMTP is the reply as Postfix would tell it to the SMTP client; it gives its
// own words for a reject or tempfail without any (milter8.c). A reply that does
// not refuse has code 0.
func (r Reply) SMTP() (code int, enhanced, text string) {
	switch r.Action {
	case milter.ActReject:
		return 550, "5.7.1", "Command rejected"
	case milter.ActTempFail:
		return 451, "4.7.1", "Service unavailable - try again later"
	case milter.ActReplyCode:
		return r.Code, r.Enhanced, r.Text
	case imilter.ActShutdown:
		return 421, "4.7.0", "Service unavailable"
	default:
		return 0, "", ""
	}
}

// String is the verdict and, for a refusal, what the client is told, in one line.
func (r Reply) String() string {
	code, enhanced, text := r.SMTP()
	if code == 0 {
		return r.Verdict()
	}
	words := []string{r.Verdict(), strconv.Itoa(code)}
	if enhanced != "" {
		words = append(words, enhanced)
	}
	if text != "" {
		words = append(words, strings.ReplaceAll(text, "\n", " / "))
	}
	return strings.Join(words, " ")
}

// parseReply reads a final reply. An unknown letter is an error.
func parseReply(letter byte, payload []byte) (Reply, error) {
	action := milter.ActionCode(letter)
	switch action {
	case milter.ActContinue, milter.ActAccept, milter.ActDiscard, milter.ActReject, milter.ActTempFail, milter.ActSkip,
		imilter.ActShutdown:
		if len(payload) != 0 {
			return Reply{}, fmt.Errorf("reply %q with %d bytes of payload, which it must not have", letter, len(payload))
		}
		return Reply{Action: action}, nil
	case milter.ActReplyCode:
		return parseReplyCode(payload)
	default:
		return Reply{}, fmt.Errorf("unknown reply %q", letter)
	}
}

// parseReplyCode reads the payload of 'y': one SMTP reply, its lines joined by
// CRLF, "%" doubled (Sendmail prints it as a format), ended by NUL.
func parseReplyCode(payload []byte) (Reply, error) {
	text, ok := strings.CutSuffix(string(payload), "\x00")
	if !ok {
		return Reply{}, errors.New("reply 'y' without its NUL")
	}
	r := Reply{Action: milter.ActReplyCode}
	lines := strings.Split(text, "\r\n")
	texts := make([]string, len(lines))
	for i, line := range lines {
		code, rest, err := cutReplyLine(line, i == len(lines)-1)
		if err != nil {
			return Reply{}, fmt.Errorf("reply 'y': line %d: %w", i+1, err)
		}
		enhanced, words := cutEnhanced(rest)
		if i == 0 {
			r.Code, r.Enhanced = code, enhanced
		}
		if code != r.Code || enhanced != r.Enhanced {
			return Reply{}, fmt.Errorf("reply 'y': line %d has another code than line 1", i+1)
		}
		if enhanced != "" && int(enhanced[0]-'0') != code/100 {
			return Reply{}, fmt.Errorf("reply 'y': enhanced code %s does not fit %d", enhanced, code)
		}
		if texts[i], err = undouble(words); err != nil {
			return Reply{}, fmt.Errorf("reply 'y': line %d: %w", i+1, err)
		}
	}
	r.Text = strings.Join(texts, "\n")
	return r, nil
}

// cutReplyLine splits "ddd text" or, before the last line, "ddd-text".
func cutReplyLine(line string, last bool) (code int, rest string, err error) {
	for i := range len(line) {
		if line[i] < ' ' && line[i] != '\t' || line[i] == 0x7f {
			return 0, "", fmt.Errorf("control character %#02x", line[i])
		}
	}
	sep := byte('-')
	if last {
		sep = ' '
	}
	switch {
	case len(line) > maxReplyLine:
		return 0, "", fmt.Errorf("%d bytes, more than %d", len(line), maxReplyLine)
	case len(line) < 4 || line[3] != sep:
		return 0, "", fmt.Errorf("%.20q does not begin with a code and %q", line, sep)
	case line[0] != '4' && line[0] != '5':
		return 0, "", fmt.Errorf("code %.3q is not 4xx or 5xx", line)
	}
	code, err = strconv.Atoi(line[:3])
	if err != nil || code < 400 {
		return 0, "", fmt.Errorf("code %.3q is not a number", line)
	}
	return code, line[4:], nil
}

// cutEnhanced splits an enhanced code (RFC 3463 §2) off the text, if there is one.
func cutEnhanced(s string) (enhanced, rest string) {
	word, rest, _ := strings.Cut(s, " ")
	parts := strings.Split(word, ".")
	if len(parts) != 3 || len(parts[0]) != 1 || parts[0] < "2" || parts[0] > "5" {
		return "", s
	}
	for _, p := range parts[1:] {
		if len(p) < 1 || len(p) > 3 || strings.Trim(p, "0123456789") != "" {
			return "", s
		}
	}
	return word, rest
}

// undouble makes "%" of "%%". A single one would be read by Sendmail as a format.
func undouble(s string) (string, error) {
	if strings.Contains(strings.ReplaceAll(s, "%%", ""), "%") {
		return "", errors.New("a % that is not doubled")
	}
	return strings.ReplaceAll(s, "%%", "%"), nil
}
