package canned

import (
	"errors"
	"fmt"
	"testing"

	"pmilter/script"
)

func TestSMTP(t *testing.T) {
	t.Parallel()
	var s SMTP
	for server, answer := range map[string]any{
		"plain:25": "250 2.0.0 taken as 4711", "no:25": "554 5.7.1 spam", "bare:25": "250",
		"some:25": map[string]any{"rejected": map[string]any{"a@x": "550 5.1.1 gone", "b@x": "450 busy"}},
	} {
		if err := s.AnswerValue(server, answer); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		server  string
		to      []string
		partial bool
		want    string
	}{
		{"plain:25", []string{"a@x"}, false, `"2.0.0 taken as 4711" [a@x] []`},
		{"bare:25", []string{"a@x"}, false, `"" [a@x] []`},
		{"no:25", []string{"a@x"}, true, `spam: 554 5.7.1 true []`},
		{"some:25", []string{"c@x"}, false, `"2.0.0 taken" [c@x] []`},
		{"some:25", []string{"a@x", "b@x", "c@x"}, true, `"2.0.0 taken" [c@x] [{a@x 550 5.1.1 gone true} {b@x 450  busy false}]`},
		// Without partial nobody gets it, and a refusal that may pass is told first.
		{"some:25", []string{"a@x", "b@x", "c@x"}, false, `b@x: busy: 450  false [{a@x 550 5.1.1 gone true} {b@x 450  busy false}]`},
		{"some:25", []string{"a@x"}, true, `a@x: gone: 550 5.1.1 true [{a@x 550 5.1.1 gone true}]`},
		{"other:25", []string{"a@x"}, false, `other:25: no answer is given in this test`},
	} {
		r, err := s.Send(t.Context(), script.SMTPMessage{Server: c.server, To: c.to, Partial: c.partial})
		got := fmt.Sprintf("%q %v %v", r.Reply, r.Accepted, r.Rejected)
		var no *script.SMTPError
		if errors.As(err, &no) {
			got = fmt.Sprintf("%s: %d %s %v %v", no, no.SMTPRejected.Code, no.Enhanced, no.Permanent, no.Rejected)
		} else if err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s %v: %s, not %s", c.server, c.to, got, c.want)
		}
	}
	for _, bad := range []any{"", "hello", 250, "350 x", map[string]any{"reply": "x"}, map[string]any{"rejected": "x"}} {
		if err := s.AnswerValue("bad:25", bad); err == nil {
			t.Errorf("%v is taken", bad)
		}
	}
}

func TestExec(t *testing.T) {
	t.Parallel()
	var e Exec
	if err := e.AnswerValue("/bin/a", map[string]any{"code": int64(3), "stderr": "oh", "stdout": []byte("out")}); err != nil {
		t.Fatal(err)
	}
	r, err := e.Run(t.Context(), script.ExecProgram{Path: "/bin/a", Args: []string{"x"}, MaxSize: 3})
	if err != nil || r.Code != 3 || string(r.Stdout) != "out" || string(r.Stderr) != "oh" {
		t.Errorf("%+v %v", r, err)
	}
	var code *Error
	if _, err := e.Run(t.Context(), script.ExecProgram{Path: "/bin/a", MaxSize: 2}); !errors.As(err, &code) || code.Code() != "EMSGSIZE" {
		t.Error(err)
	}
	if _, err := e.Run(t.Context(), script.ExecProgram{Path: "/bin/b"}); !errors.As(err, &code) || code.Code() != "ENOENT" || code.Name() != "ExecError" {
		t.Error(err)
	}
}

func TestMaildirs(t *testing.T) {
	t.Parallel()
	var d Maildirs
	deliver := func(path, id string) string {
		file, isNew, err := d.Deliver(t.Context(), path, id, nil)
		return fmt.Sprint(file, isNew, err)
	}
	for _, c := range [][3]string{
		{"/a", "1", "/a/new/1true <nil>"},
		{"/a", "1", "/a/new/1false <nil>"},
		{"/b", "1", "/b/new/1true <nil>"},
		{"/a", "", "/a/new/TEST1true <nil>"},
		{"/a", "", "/a/new/TEST2true <nil>"},
		{"/a", "x/y", `false "x/y" in "/a" is no file's name`},
	} {
		if got := deliver(c[0], c[1]); got != c[2] {
			t.Errorf("%s %s: %s", c[0], c[1], got)
		}
	}
}
