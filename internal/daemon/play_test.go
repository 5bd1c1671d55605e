package daemon

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"pmilter/internal/config"
	"pmilter/internal/mta"
	"pmilter/script"
)

func TestMain(m *testing.M) {
	cfg := config.Default()
	cfg.Handler.CPU = overrunCPU
	_ = limitProcess(cfg)
	script.LimitRegexp(regexpLimit)
	goleak.VerifyTestMain(m)
}

// A machine may be slow, and the race detector is: handlers have a minute, so that
// none that is meant to end is stopped. overrunCPU is handler.cpu where one is stopped.
const (
	plenty     = time.Minute
	overrunCPU = 2 * time.Second
	// regexpLimit ends what hangs in a match: long after the overrun was answered.
	regexpLimit = overrunCPU + 6*time.Second
)

// overruns shortens the limits for scripts that are to be stopped by them.
func overruns(c *config.Config) {
	c.Handler.CPU = overrunCPU
	c.Handler.Timeout, c.Handler.EOMTimeout = 2*overrunCPU, 2*overrunCPU
}

// imports stand before each script of a test.
const imports = `import { accept, reject, tempfail, discard, skip, note } from "pmilter";` + "\n"

// stage is an engine with its scripts in a folder, for one test.
type stage struct {
	t   *testing.T
	dir string
	cfg *config.Config
	e   *engine
	log *observer.ObservedLogs

	closing sync.Once
}

// newStage starts an engine on scripts (name to text), with limits that no script
// meets unless it never ends.
func newStage(t *testing.T, scripts map[string]string, change ...func(*config.Config)) *stage {
	t.Helper()
	s := &stage{t: t, dir: t.TempDir()}
	for name, text := range scripts {
		s.write(name, text)
	}
	s.cfg = config.Default()
	s.cfg.File = filepath.Join(s.dir, "pmilter.toml")
	s.cfg.Scripts = []string{s.dir}
	s.cfg.Handler.CPU, s.cfg.Handler.Timeout, s.cfg.Handler.EOMTimeout = plenty, plenty, plenty
	for _, f := range change {
		f(s.cfg)
	}
	core, log := observer.New(zapcore.DebugLevel)
	s.log = log
	e, err := newEngine(t.Context(), s.cfg, zap.New(core), nil)
	if err != nil {
		t.Fatal(err)
	}
	s.e = e
	t.Cleanup(s.close)
	return s
}

// close stops the engine; a test may do so before its end.
func (s *stage) close() {
	s.closing.Do(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel() // at once
		_ = s.e.server.Shutdown(ctx)
		s.e.close()
	})
}

// one is a stage with one script, which gets the imports.
func one(t *testing.T, script string, change ...func(*config.Config)) *stage {
	t.Helper()
	return newStage(t, map[string]string{"10-test.js": imports + script}, change...)
}

func (s *stage) write(name, text string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// plain is a mail that nothing is wrong with.
func plain() mta.Transaction {
	return mta.Transaction{
		Peer: mta.Peer{Name: "client.example.org", Family: '4', Port: 4711, Addr: "192.0.2.7"},
		Helo: "client.example.org", Sender: "a@example.org", Recipients: []mta.Recipient{{Address: "b@example.net"}},
		Message: []byte("From: A <a@example.org>\r\nTo: b@example.net\r\nSubject: hi\r\n\r\nhello\r\n"), Received: true,
	}
}

// send passes one mail through the engine as Postfix would.
func (s *stage) send(tx mta.Transaction) mta.Result {
	s.t.Helper()
	return s.sendAs(tx, mta.PostfixOptions(6))
}

func (s *stage) sendAs(tx mta.Transaction, o mta.Options) mta.Result {
	s.t.Helper()
	conn, err := s.e.dial(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	c, err := mta.NewClient(s.t.Context(), conn, o)
	if err != nil {
		s.t.Fatal(err)
	}
	r, err := mta.Send(s.t.Context(), c, tx)
	if err != nil {
		s.t.Fatalf("%v after %v", err, r.Steps)
	}
	return r
}

// header is the values of a field of a delivered message.
func header(m *mta.Message, name string) []string {
	var values []string
	if m == nil {
		return nil
	}
	for _, f := range m.Visible() {
		if strings.EqualFold(f.Name(), name) {
			values = append(values, strings.TrimPrefix(f.Value(), " "))
		}
	}
	return values
}

// entries are the log's lines with that message, as maps.
func (s *stage) entries(message string) []map[string]any {
	var list []map[string]any
	for _, e := range s.log.FilterMessage(message).All() {
		list = append(list, maps.Clone(e.ContextMap()))
	}
	return list
}
