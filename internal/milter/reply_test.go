package milter

import (
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	wire "github.com/emersion/go-milter"
)

func TestTrap09Replies(t *testing.T) {
	long := strings.Repeat("word ", 200)
	for _, tc := range []struct {
		name  string
		reply Reply
		want  string // action and payload
	}{
		{"nothing", Reply{}, "c"},
		{"continue", Reply{Action: wire.ActContinue, Text: "x"}, "c"},
		{"accept", Reply{Action: wire.ActAccept}, "a"},
		{"reject", Reply{Action: wire.ActReject}, "r"},
		{"tempfail", Reply{Action: wire.ActTempFail}, "t"},
		{"discard", Reply{Action: wire.ActDiscard}, "d"},
		{"unknown action", Reply{Action: 'x'}, "t"},
		{"progress is no reply", Reply{Action: ActProgress}, "t"},
		{"plain", y(550, "5.7.1", "no"), "y550 5.7.1 no\x00"},
		{"without enhanced", y(450, "", "later"), "y450 later\x00"},
		{"421", y(421, "4.7.0", "bye"), "y421 4.7.0 bye\x00"},
		{"lines", y(550, "5.7.1", "one\ntwo\r\n\nfour"), "y550-5.7.1 one\r\n550-5.7.1 two\r\n550-5.7.1 \r\n550 5.7.1 four\x00"},
		{"line breaks at the end", y(550, "5.7.1", "one\n\r\n"), "y550 5.7.1 one\x00"},
		{"percent", y(550, "5.7.1", "100% of %s"), "y550 5.7.1 100%% of %%s\x00"},
		{"other class", y(550, "4.7.1", "no"), "y550 no\x00"},
		{"no enhanced code", y(550, "5.7", "no"), "y550 no\x00"},
		{"long subject", y(550, "5.1234.1", "no"), "y550 no\x00"},
		{"injection in it", y(550, "5.7.1\r\n250", "no"), "y550 no\x00"},
		{"a digit first", y(550, "", "42 is wrong"), "y550 5.0.0 42 is wrong\x00"},
		{"a digit first, 4xx", y(451, "5.7.1", "x\n5"), "y451-4.0.0 x\r\n451 4.0.0 5\x00"},
		{"250", y(250, "2.0.0", "ok"), "t"},
		{"354", y(354, "", "go on"), "t"},
		{"no code", y(0, "", "x"), "t"},
		{"negative", y(-550, "", "x"), "t"},
		{"600", y(600, "", "x"), "t"},
		{"no text", y(550, "5.7.1", ""), "y550 5.7.1 Command rejected\x00"},
		{"no text, 4xx", y(450, "", "\n \n"), "y450 Service unavailable - try again later\x00"},
		{"controls", y(550, "5.7.1", "a\x00b\rc\x1b\u0085\u2028d\te"), "y550 5.7.1 a b c   d e\x00"},
		{"not UTF-8", y(550, "5.7.1", "a\xffb\u00e9"), "y550 5.7.1 a?b\u00e9\x00"},
		{
			"a percent sign is not cut in two", y(450, "", "a"+strings.Repeat("%", 250)),
			"y450-a" + strings.Repeat("%", 498) + "\r\n450 %%\x00",
		},
		{"folded", y(550, "5.7.1", long), "y550-5.7.1 " + strings.TrimSuffix(strings.Repeat("word ", 99), " ") +
			"\r\n550-5.7.1 " + strings.TrimSuffix(strings.Repeat("word ", 99), " ") +
			"\r\n550 5.7.1 " + strings.TrimSuffix(strings.Repeat("word ", 2), " ") + "\x00"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := AppendReply(nil, tc.reply, byte(wire.CodeMail), AllProtocol)
			want := AppendFrame(nil, tc.want[0], []byte(tc.want[1:]))
			if string(got) != string(want) {
				t.Errorf("got  %q\nwant %q", got, want)
			}
		})
	}
}

func y(code int, enhanced, text string) Reply {
	return Reply{Action: wire.ActReplyCode, Code: code, Enhanced: enhanced, Text: text}
}

var replyLine = regexp.MustCompile(`^[45][0-9][0-9][ -]([45]\.[0-9]{1,3}\.[0-9]{1,3} )?[^\x00-\x1f\x7f]*$`)

func FuzzReply(f *testing.F) {
	f.Add(550, "5.7.1", "one\ntwo%")
	f.Add(450, "", strings.Repeat("%", 2000))
	f.Add(450, "", "a"+strings.Repeat("%", 2000))
	f.Add(599, "5.7.1", strings.Repeat("\u20ac", 2000))
	f.Add(550, "", strings.Repeat(" ", 600)+"x")
	f.Add(550, "", strings.Repeat("a\n", 60))
	f.Fuzz(func(t *testing.T, code int, enhanced, text string) {
		got := AppendReply(nil, y(code, enhanced, text), byte(wire.CodeMail), 0)
		if got[4] == byte(wire.ActTempFail) {
			if code >= 400 && code <= 599 {
				t.Fatal("a tempfail")
			}
			return
		}
		reply, ok := strings.CutSuffix(string(got[5:]), "\x00")
		if !ok || !utf8.ValidString(reply) {
			t.Fatalf("%q", reply)
		}
		if strings.Contains(strings.ReplaceAll(reply, "%%", ""), "%") {
			t.Fatalf("a single percent sign: %q", reply)
		}
		lines := strings.Split(reply, "\r\n")
		if len(lines) > maxReplyLines {
			t.Fatalf("%d lines", len(lines))
		}
		for i, line := range lines {
			if len(line)+2 > maxReplyLine || !replyLine.MatchString(line) || line[:3] != lines[0][:3] {
				t.Fatalf("line %d: %q", i, line)
			}
			if (line[3] == '-') != (i < len(lines)-1) {
				t.Fatalf("line %d of %d: %q", i, len(lines), line)
			}
			if len(line) > 4 && line[4] >= '0' && line[4] <= '9' && line[4] != line[0] {
				t.Fatalf("Postfix would take it for malformed: %q", line)
			}
		}
	})
}
