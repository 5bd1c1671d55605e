package daemon

import (
	"bytes"
	"context"
	"net"
	"net/smtp"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"pmilter/internal/config"
	"pmilter/internal/playground"
)

// lockedBuffer is what people see, read while it is written.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// TestTryOnTheShippedScripts is what a newcomer does first: a mail that passes,
// one refused by its recipient, one by its subject, an edit, a broken edit.
func TestTryOnTheShippedScripts(t *testing.T) {
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("../../scripts")); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(filepath.Join(dir, "pmilter.toml"), os.LookupEnv)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	core, logs := observer.New(zapcore.InfoLevel)
	out, ready, done := &lockedBuffer{}, make(chan net.Addr, 1), make(chan error, 1)
	maildir := filepath.Join(dir, "maildir")
	go func() {
		done <- try(ctx, cfg, zap.New(core), playground.Config{
			SMTPAddr: "127.0.0.1:0", Maildir: maildir, Out: out, Ready: func(a net.Addr) { ready <- a },
		})
	}()
	addr := (<-ready).String()
	send := func(to, subject string) string {
		t.Helper()
		err := smtp.SendMail(addr, nil, "a@example.org", []string{to}, []byte("From: a@example.org\r\nSubject: "+subject+"\r\n\r\nhello\r\n"))
		if err == nil {
			return ""
		}
		return strings.ReplaceAll(err.Error(), `"`, "") // newer Go quotes the text
	}
	if got := send("you@example.net", "hi"); got != "" {
		t.Error(got)
	}
	if got := send("refuse@example.net", "hi"); got != "550 5.1.1 refuse@example.net wants no mail" {
		t.Error(got)
	}
	if got := send("you@example.net", "please refuse me"); !strings.HasPrefix(got, "550 5.7.1 refused, as you asked") {
		t.Error(got)
	}
	for _, want := range []string{"20-refuse.js:14:", "20-refuse.js:26:", "header", "X-Filtered-By", "swaks --server 127.0.0.1:"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not shown:\n%s", want, out)
		}
	}
	edit := func(from, to string) {
		t.Helper()
		file := filepath.Join(dir, "90-stamp.ts")
		text, err := os.ReadFile(file)
		if err != nil || !bytes.Contains(text, []byte(from)) {
			t.Fatal(err, from)
		}
		if err := os.WriteFile(file, bytes.ReplaceAll(text, []byte(from), []byte(to)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	edit("pmilterd for", "EDITED for")
	for deadline := time.Now().Add(plenty); !strings.Contains(out.String(), "EDITED for"); {
		if time.Now().After(deadline) {
			t.Fatalf("the edit shows in no mail:\n%s", out)
		}
		time.Sleep(50 * time.Millisecond) // a reload settles for 100 ms
		send("you@example.net", "hi")
	}
	edit("export function", "export functoin") // broken: what was stays
	for deadline := time.Now().Add(plenty); logs.FilterMessage("scripts not reloaded: those in use stay").Len() == 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the fault is not logged: %v", logs.All())
		}
	}
	if got := send("you@example.net", "hi"); got != "" {
		t.Error(got)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if mails, _ := os.ReadDir(filepath.Join(maildir, "new")); len(mails) < 3 {
		t.Errorf("%d mails delivered", len(mails))
	}
}
