package mail_test

import (
	"strings"
	"testing"
	"time"

	"pmilter/internal/mail"
)

func TestDate(t *testing.T) {
	t.Parallel()
	const want = "2026-01-02T03:04:05+01:00"
	for _, c := range []struct {
		value, want string
		clean       bool
	}{
		{"Fri, 2 Jan 2026 03:04:05 +0100", want, true},
		{"Fri, 02 Jan 2026 03:04:05 +0100 (CET)", want, true},
		{"2 Jan 2026 03:04:05\n +0100", want, true},
		{"Fri, 2 Jan 2026 02:04:05 GMT", "2026-01-02T02:04:05Z", true},
		{"Fri, 2 Jan 2026 02:04 UT", "2026-01-02T02:04:00Z", true},
		{"2 Jan 26 03:04:05 EST", "2026-01-02T03:04:05-05:00", true},
		{"Sun, 6 Nov 94 08:49:37 GMT", "1994-11-06T08:49:37Z", true},
		{"2 Jan 126 03:04:05 +0100", want, true},
		{"Fri 2 January 2026 03:04:05 +01:00", want, false},
		{"Fri Jan  2 03:04:05 2026", "2026-01-02T03:04:05Z", false},
		{"Fri Jan  2 03:04:05 CET 2026", want, true},
		{"2026-01-02T03:04:05+01:00", want, false},
		{"2026-01-02 03:04:05 +0100", want, false},
		{"02-Jan-2026 03:04:05 +0100", want, false},
		{"Fri, 2 Jan 2026 3:04:05 AM +0100", want, false},
		{"Fri, 2 Jan 2026 12:04:05 AM +0000", "2026-01-02T00:04:05Z", false},
		{"Fri, 2 Jan 2026 03:04:05 GMT+0100", want, false},
		{"Fri, 2 Jan 2026 03:04:05", "2026-01-02T03:04:05Z", false},
		{"Fri, 2 Jan 2026", "2026-01-02T00:00:00Z", false},
		{"Fri, 2 Jan 2026 03:04:05 Nowhere", "2026-01-02T03:04:05Z", false},
		{"Fri, 2 Jan 2026 23:59:60 +0000", "2026-01-03T00:00:00Z", true},
		{"30 Feb 2026 03:04:05 +0100", "", false},
		{"Fri, 2 Jan 2026 99:04:05 +0100", "", false},
		{"yesterday", "", false},
		{"", "", false},
		{strings.Repeat("1 ", 10_000), "", false},
	} {
		m := mail.Parse([]mail.Field{{"From", "jo@example.org"}, {"Date", " " + c.value}}, nil)
		date, ok := m.Date()
		got := ""
		if ok {
			got = date.Format(time.RFC3339)
		}
		if got != c.want {
			t.Errorf("%.50q: %s, want %s", c.value, got, c.want)
		}
		want := "bad-date"
		if c.clean {
			want = ""
		}
		wantDefects(t, m, want)
	}
}

func TestMessageID(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]string{
		" <a@example.org>": "<a@example.org>", "\n <a@example.org> (x)": "<a@example.org>", " a@example.org ": "a@example.org", "": "",
	} {
		if got := mail.Parse([]mail.Field{{"message-id", value}}, nil).MessageID(); got != want {
			t.Errorf("%q: %q, want %q", value, got, want)
		}
	}
}

func TestMissingHeaders(t *testing.T) {
	t.Parallel()
	m := mail.Parse(nil, nil)
	if m.Subject() != "" || m.From() != nil || m.MessageID() != "" || m.Text() != "" || m.HTML() != "" || m.Attachments() != nil || len(m.Parts()) != 1 {
		t.Error("an empty message has something")
	}
	if _, ok := m.Date(); ok {
		t.Error("an empty message has a date")
	}
	wantDefects(t, m, "missing-header")
}

func TestHeaderDefects(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ field, defects string }{
		{"X-A: b", ""},
		{"X A: b", "bad-header"},
		{"X-\xe9: b", "bad-header"},
		{": b", "bad-header"},
		{"X-A: a\rb", "bare-cr"},
		{"X-A: a\x00b", "nul"},
		{"X-A: \xe9", "raw-header"},
		{"X-A: é", ""},
		{"Subject: a\nsubject : b", "duplicate-header"},
		{"Content-Disposition: attachment; filename=a b.txt", "bad-parameter"},
		{"Content-Disposition: attachment; filename*=utf-8''%zz", "bad-parameter"},
		{"Content-Type: text/plain; charset", "bad-parameter"},
		{"Content-Type: text/plain; charset=utf-8;", ""},
	} {
		head := strings.TrimSuffix(crlf(complete+c.field), "\r\n")
		m := mail.Parse(fields(head), nil)
		if got := strings.Join(m.Defects(), " "); got != c.defects {
			t.Errorf("%q: %q, want %q", c.field, got, c.defects)
		}
	}
}

func TestDefectTable(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, d := range mail.Defects() {
		if seen[d.Name] || d.Name == "" || d.Meaning == "" {
			t.Errorf("%+v", d)
		}
		seen[d.Name] = true
	}
	if !seen["no-boundary"] || !seen["too-many-parts"] || len(seen) != 25 {
		t.Errorf("%d defects", len(seen))
	}
}
