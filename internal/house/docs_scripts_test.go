package house

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"pmilter/filter"
	"pmilter/internal/config"
	"pmilter/internal/daemon"
	"pmilter/internal/milter"
	"pmilter/internal/mta"
	"pmilter/script"
)

// TestDocsScripts: every block of JavaScript or TypeScript in the documents is a
// script that loads without a fault. It is given a mail, and must not fail in it
// (others answer as cannedAnswers says; "js job" is loaded as a job's script);
// after "<!-- mail: WHAT => RESULT -->" it must give that result. A block with a
// file's name is a neighbour that the others can import, or, *.test.js, a test of them that passes. "js fragment" is left alone.
func TestDocsScripts(t *testing.T) {
	t.Parallel()
	names := []string{"README.md", "docs/scripts.md", "docs/decisions.md"}
	for _, name := range documents(t) {
		if strings.HasPrefix(name, "docs/modules/") {
			names = append(names, name)
		}
	}
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			all := blocks(t, name)
			dir, vars := t.TempDir(), map[string]any{}
			writeKey(t, dir)
			for _, b := range all {
				switch {
				case b.lang == "toml":
					file := write(t, t.TempDir(), "pmilter.toml", b.text)
					cfg, err := config.Load(file, func(string) (string, bool) { return "value", true })
					if err != nil {
						t.Errorf("%s: %v", b.at, err)
						continue
					}
					for key, value := range cfg.Vars {
						vars[key] = value
					}
				case b.file != "" && b.file != "fragment" && b.file != "job":
					write(t, dir, b.file, b.text)
				}
			}
			for _, b := range all {
				if (b.lang != "js" && b.lang != "ts") || b.file == "fragment" {
					continue
				}
				if strings.HasSuffix(b.file, ".test.js") {
					t.Run(b.at, func(t *testing.T) {
						if out, good := runTests(t, dir, []string{"scripts"}, vars, filepath.Join(dir, b.file)); !good {
							t.Error(out)
						}
					})
					continue
				}
				file := b.file
				if file == "" {
					file = "scripts/" + strings.NewReplacer("/", "-", ":", "-", ".", "-").Replace(b.at) + "." + b.lang
					write(t, dir, file, b.text)
				}
				if b.file == "job" {
					t.Run(b.at, func(t *testing.T) { loadJobExample(t, b, dir, vars) })
					continue
				}
				t.Run(b.at, func(t *testing.T) { playExample(t, b, dir, file, vars) })
			}
		})
	}
}

func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	file := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// playExample loads one script and sends it the mails of its block.
func playExample(t *testing.T, b docBlock, dir, file string, vars map[string]any) {
	t.Helper()
	core, log := observer.New(zapcore.WarnLevel)
	cfg := &config.Config{File: filepath.Join(dir, "pmilter.toml")}
	all := daemon.NewServices(cfg, zap.New(core))
	all.ResolveBy(cfg, noDNS{})
	services := all.ForScripts()
	cannedAnswers(t, b.at, &services)
	library := script.NewLibrary(script.Options{
		Base: dir, Scripts: []string{filepath.Join(dir, file)}, Vars: vars, Log: zap.New(core),
		Services: services,
		Limits:   script.Limits{Timeout: time.Minute, CPU: time.Minute, Memory: 1 << 30, MaxValue: 64 << 20},
	})
	defer library.Retire()
	if err := library.Load(t.Context()); err != nil {
		t.Fatalf("%s: %v", b.at, err)
	}
	f := filter.New(filter.Options{
		Scripts: func() filter.Scripts { return library.Current() }, Log: zap.New(core),
		Timeout: time.Minute, EOMTimeout: time.Minute, OnError: filter.Tempfail, MaxMessage: 1 << 20, Spool: anySpool{},
	})
	server := milter.NewServer(milter.Config{
		NewSession: func(c *milter.Conn) milter.Session { return f.NewSession(c) }, DrainTimeout: time.Nanosecond,
	})
	defer func() { _ = server.Shutdown(context.Background()) }()
	dial := func() *mta.Client {
		ours, theirs := net.Pipe()
		go server.ServeConn(theirs, "pipe")
		c, err := mta.NewClient(t.Context(), ours, mta.Options{})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	mails := b.mails
	if len(mails) == 0 {
		mails = []string{""}
	}
	faulty := false
	for _, m := range mails {
		what, want, _ := strings.Cut(m, "=>")
		r, err := mta.Send(t.Context(), dial(), exampleMail(t, what))
		if err != nil {
			t.Fatalf("%s: %v", b.at, err)
		}
		got := r.Verdict.String() + " at " + string(r.Phase)
		for _, e := range r.Edits {
			got += "; " + e.String()
		}
		if !strings.Contains(got, strings.TrimSpace(want)) {
			t.Errorf("%s: %s\n got %s", b.at, m, got)
		}
		faulty = faulty || strings.Contains(want, "Message filter error")
	}
	// The handlers that a whole mail does not meet.
	s := mta.NewSession(dial(), mta.Macros{})
	for _, step := range []func() error{
		func() error {
			_, err := s.Connect(t.Context(), mta.Peer{Name: "x.example.org", Family: '4', Addr: "192.0.2.1"})
			return err
		},
		func() error { _, err := s.Unknown(t.Context(), "XYZZY"); return err },
		func() error { _, err := s.Mail(t.Context(), "a@example.org"); return err },
		func() error { return s.Abort(t.Context()) },
		func() error { return s.Close(t.Context()) },
	} {
		if err := step(); err != nil {
			t.Fatalf("%s: %v", b.at, err)
		}
	}
	if bad := log.FilterMessage("script error").All(); len(bad) > 0 && !faulty {
		t.Errorf("%s: %v", b.at, bad[0].ContextMap())
	}
}

// exampleMail is a plain mail with what a comment says: "helo=x; rcpt=y; subject=z".
func exampleMail(t *testing.T, what string) mta.Transaction {
	t.Helper()
	tx := mta.Transaction{
		Peer: mta.Peer{Name: "client.example.org", Family: '4', Port: 4711, Addr: "192.0.2.7"},
		Helo: "client.example.org", Sender: "alice@example.org", Received: true, Macros: mta.Macros{},
	}
	header, body := "From: Alice <alice@example.org>\r\nTo: bob@example.net\r\n", "hello\r\n"
	subject := "hi"
	for _, word := range strings.Split(what, ";") {
		key, value, _ := strings.Cut(strings.TrimSpace(word), "=")
		switch key {
		case "":
		case "helo":
			tx.Helo = value
		case "from":
			tx.Sender = value
		case "param":
			tx.Params = append(tx.Params, value)
		case "rcpt":
			tx.Recipients = append(tx.Recipients, mta.Recipient{Address: value})
		case "ip":
			tx.Peer.Addr = value
		case "name":
			tx.Peer.Name = value
		case "port":
			tx.Peer.Port = 0
		case "macro":
			name, v, _ := strings.Cut(value, "=")
			tx.Macros.Set(name, v)
		case "subject":
			subject = value
		case "header":
			header += value + "\r\n"
		case "body":
			body = value + "\r\n"
		default:
			t.Fatalf("%q: what is %s?", what, key)
		}
	}
	if tx.Recipients == nil {
		tx.Recipients = []mta.Recipient{{Address: "bob@example.net"}}
	}
	tx.Message = []byte(header + "Subject: " + subject + "\r\n\r\n" + body)
	return tx
}
