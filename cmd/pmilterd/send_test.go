package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"pmilter/internal/config"
	"pmilter/internal/mta/miltertest"
	"pmilter/internal/playground"
)

// sendTo runs `pmilterd send` against a milter.
func sendTo(t *testing.T, m *miltertest.Milter, stdin string, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	host, port, err := net.SplitHostPort(m.Listen(t).String())
	if err != nil {
		t.Fatal(err)
	}
	return runSend(t, stdin, append([]string{"--to", "inet:" + port + "@" + host}, args...)...)
}

func runSend(t *testing.T, stdin string, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	a := &app{stdin: strings.NewReader(stdin), stdout: &out, stderr: &errs, env: noEnv}
	status = a.run(t.Context(), append([]string{"send"}, args...), []*cobra.Command{newSendCommand(a)})
	return status, out.String(), errs.String()
}

func contains(t *testing.T, what, got string, wants ...string) {
	t.Helper()
	for _, want := range wants {
		if !strings.Contains(got, want) {
			t.Errorf("%s is\n%s\nwant %q in it", what, got, want)
		}
	}
}

func mailFile(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "mail.eml")
	if err := os.WriteFile(file, []byte("Subject: hello\nTo: b@example.net\n\nbody\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestSendShowsRepliesAndEdits(t *testing.T) {
	t.Parallel()
	m := &miltertest.Milter{Reply: func(code byte, payload string) []string {
		switch {
		case code == 'R' && strings.HasPrefix(payload, "<no@"):
			return []string{"y550 5.1.1 no such user\x00"}
		case code == 'E':
			return []string{"hX-New\x00\x1b[31m1\x00", miltertest.Header('m', 1, "Subject", "changed"), "bnew\r\n", "a"}
		}
		return nil
	}}
	output := filepath.Join(t.TempDir(), "out.eml")
	status, stdout, stderr := sendTo(
		t, m, "", "--client-ip", "192.0.2.7", "--helo", "h.example.org", "--from", "<a@example.org>", "--rcpt", "b@example.net",
		"--rcpt", "no@example.net", "--macro", "{auth_authen}=alice", "--output", output, mailFile(t),
	)
	if status != exitDone || stderr != "" {
		t.Fatalf("status %d, stderr %q", status, stderr)
	}
	contains(
		t, "stdout", stdout, "connect  [192.0.2.7] 192.0.2.7", "helo     h.example.org", "mail     <a@example.org>", "reject 550 5.1.1 no such user",
		"header   Subject and 1 more", "+ change header Subject (number 1): changed", "+ replace body, 5 bytes",
		"= accepted (accept at eom), 3 modifications",
	)
	if strings.Contains(stdout, "\x1b") {
		t.Errorf("control characters in %q", stdout)
	}
	contains(t, "log", strings.Join(m.Log(), "\n"), "{auth_authen}|alice|")
	data, err := os.ReadFile(output)
	if err != nil {
		t.Fatal(err)
	}
	contains(t, "message", string(data), "Received: from h.example.org ([192.0.2.7] [192.0.2.7])", "\nSubject: changed\n", "\n\nnew\n")
}

func TestSendJSON(t *testing.T) {
	t.Parallel()
	m := &miltertest.Milter{Reply: func(code byte, _ string) []string {
		if code == 'E' {
			return []string{miltertest.Header('i', 0, "X-New", "1"), "+<c@example.net>\x00", "qodd\x00", "c"}
		}
		return nil
	}}
	file := mailFile(t)
	status, stdout, stderr := sendTo(t, m, "Subject: from stdin\n\n", "--json", file, "-")
	if status != exitDone || stderr != "" {
		t.Fatalf("status %d, stderr %q", status, stderr)
	}
	lines := strings.Split(strings.TrimSpace(stdout), "\n")
	if len(lines) != 2 {
		t.Fatalf("stdout %q", stdout)
	}
	var r sendReport
	if err := json.Unmarshal([]byte(lines[0]), &r); err != nil {
		t.Fatal(err)
	}
	if r.File != file || r.Verdict != "continue" || r.Phase != "eom" || !r.Accepted || r.Quarantine != "odd" ||
		strings.Join(r.Recipients, " ") != "rcpt@example.net c@example.net" || len(r.Edits) != 3 || r.Edits[0].Kind != "insheader" ||
		r.Edits[0].Index == nil || *r.Edits[0].Index != 0 || len(r.Steps) < 8 {
		t.Errorf("%s", lines[0])
	}
}

func TestSendRefused(t *testing.T) {
	t.Parallel()
	m := &miltertest.Milter{Reply: func(code byte, _ string) []string {
		if code == 'M' {
			return []string{"y451 4.7.1 later\x00"}
		}
		return nil
	}}
	output := filepath.Join(t.TempDir(), "out.eml")
	status, stdout, stderr := sendTo(t, m, "", "--output", output, mailFile(t))
	if status != exitDone {
		t.Errorf("status %d: a refusal is a verdict", status)
	}
	contains(t, "stdout", stdout, "= tempfail 451 4.7.1 later at mail")
	contains(t, "stderr", stderr, "no message to write")
	if _, err := os.Stat(output); err == nil {
		t.Error("a message was written")
	}
}

func TestSendOutputToStandardOutput(t *testing.T) {
	t.Parallel()
	status, stdout, stderr := sendTo(t, &miltertest.Milter{}, "A: 1\n\nb\n", "--output", "-", "-")
	if status != exitDone || !strings.HasSuffix(stdout, "A: 1\n\nb\n") || !strings.HasPrefix(stdout, "Received: ") {
		t.Errorf("status %d, stdout %q", status, stdout)
	}
	contains(t, "stderr", stderr, "accepted (continue at eom), unchanged")
}

func TestSendTrouble(t *testing.T) {
	t.Parallel()
	bad := &miltertest.Milter{Reply: func(code byte, _ string) []string {
		if code == 'H' {
			return []string{"cx"}
		}
		return nil
	}}
	status, stdout, stderr := sendTo(t, bad, "", mailFile(t), mailFile(t))
	if status != exitFault || strings.Count(stderr, "no verdict") != 2 {
		t.Errorf("status %d, stderr %q", status, stderr)
	}
	contains(t, "stdout", stdout, "connect  localhost 127.0.0.1")
	contains(t, "stderr", stderr, "helo", "payload")

	status, _, stderr = runSend(t, "", "--to", "unix:"+t.TempDir()+"/none", mailFile(t))
	if status != exitFault {
		t.Errorf("status %d", status)
	}
	contains(t, "stderr", stderr, "no milter answers at unix:", "pmilterd run", "--to")

	status, _, stderr = sendTo(t, &miltertest.Milter{}, "", filepath.Join(t.TempDir(), "none.eml"))
	if status != exitFault || !strings.Contains(stderr, "none.eml") {
		t.Errorf("status %d, stderr %q", status, stderr)
	}
}

func TestSendUsage(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"":                                   "needs a message",
		"--to nonsense x.eml":                "--to:",
		"--to fd:systemd x.eml":              "no address to connect to",
		"--client-ip here x.eml":             "--client-ip:",
		"--macro x x.eml":                    "NAME=VALUE",
		"--rcpt <> x.eml":                    "--rcpt:",
		"--output o.eml a.eml b.eml":         "one message",
		"--nosuch x.eml":                     "unknown flag",
		"--helo a\x00b x.eml":                "line break",
		"--client-ip 192.0.2.1/24 -":         "no IP address",
		"--from s@example.org\rX --json xml": "line break",
	} {
		status, stdout, stderr := runSend(t, "", strings.Split(args, " ")...)
		if args == "" {
			status, stdout, stderr = runSend(t, "")
		}
		if status != exitUsage || stdout != "" || !strings.Contains(stderr, want) {
			t.Errorf("%q: status %d, stdout %q, stderr %q", args, status, stdout, stderr)
		}
	}
}

func TestTryPassesItsFlags(t *testing.T) {
	t.Parallel()
	var got playground.Config
	var out bytes.Buffer
	a := &app{stdout: &out, stderr: &out, env: noEnv}
	play := func(_ context.Context, cfg *config.Config, log *zap.Logger, p playground.Config) error {
		if cfg == nil || log == nil {
			t.Error("no configuration or log")
		}
		got = p
		return nil
	}
	file := filepath.Join(t.TempDir(), "pmilter.toml")
	if err := os.WriteFile(file, []byte("scripts = []\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	status := a.run(t.Context(), []string{"try", "-c", file, "--smtp", "127.0.0.1:0", "--maildir", "box"}, []*cobra.Command{newTryCommand(a, play)})
	if status != exitDone || got.SMTPAddr != "127.0.0.1:0" || got.Maildir != "box" || got.Out != &out || got.Color {
		t.Errorf("status %d, %+v, output %q", status, got, &out)
	}
}
