package script

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/zap"

	"pmilter/filter"
	"pmilter/internal/store"
	"pmilter/internal/table"
)

// benchSet loads one of the scripts that make bench measures.
func benchSet(b *testing.B, name string) *Set {
	b.Helper()
	files := map[string]string{}
	for _, file := range []string{name + ".js", "access.cidr", "senders"} {
		text, err := os.ReadFile(filepath.Join("..", "bench", "scripts", file))
		if err != nil {
			b.Fatal(err)
		}
		files[file] = string(text)
	}
	base := project(b, files)
	l := NewLibrary(Options{
		Base: base, Scripts: []string{name + ".js"}, Log: zap.NewNop(),
		Limits:   Limits{Timeout: time.Hour, CPU: time.Hour, Memory: 1 << 40, MaxValue: 64 << 20},
		Services: Services{Store: store.NewMemory(time.Now), Tables: benchTables{table.New(base, zap.NewNop())}},
	})
	b.Cleanup(l.Close)
	if err := l.Load(b.Context()); err != nil {
		b.Fatal(err)
	}
	return l.Current()
}

type benchTables struct{ *table.Tables }

func (t benchTables) Table(spec string) (Table, error) { return t.Open(spec) }

func benchSession() *filter.Session {
	return &filter.Session{ID: "bench", Helo: "client.example.org", Client: filter.Client{IP: "192.0.2.7", Port: 40000, Name: "client.example.org", Family: "inet"}}
}

// BenchmarkWorld is what each connection costs before its first handler runs: a
// world made, its top-level code run, the world dropped.
func BenchmarkWorld(b *testing.B) {
	for _, name := range []string{"eom", "all", "realistic", "large"} {
		b.Run(name, func(b *testing.B) {
			set := benchSet(b, name)
			call := &filter.Call{Phase: filter.EOM, Deadline: time.Now().Add(time.Hour)}
			session := benchSession()
			b.ReportAllocs()
			for b.Loop() {
				h, err := set.Open(session, call)
				if err != nil {
					b.Fatal(err)
				}
				h.Close()
			}
		})
	}
}

// BenchmarkCall is one call of a handler that does nothing, with what it is given.
func BenchmarkCall(b *testing.B) {
	set := benchSet(b, "all")
	for _, call := range []*filter.Call{
		{Phase: filter.EOM},
		{Phase: filter.Helo, Name: "client.example.org"},
		{Phase: filter.Mail, Address: filter.ParseAddress("<a@example.org>", []string{"SIZE=10000"})},
		{Phase: filter.Header, HeaderName: "Subject", HeaderValue: "A plain mail of the usual size"},
		{Phase: filter.Body, Chunk: make([]byte, 8<<10)},
	} {
		b.Run(call.Phase.String(), func(b *testing.B) {
			call.Deadline = time.Now().Add(time.Hour)
			h, err := set.Open(benchSession(), call)
			if err != nil {
				b.Fatal(err)
			}
			defer h.Close()
			b.ReportAllocs()
			for b.Loop() {
				if _, err := h.Call(call); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkBinding is what a script pays to read the session, less an empty loop.
func BenchmarkBinding(b *testing.B) {
	for _, read := range []string{"i", "s.helo", "s.client.ip", "s.state.x", "s.macros.i", "s.id"} {
		b.Run(read, func(b *testing.B) {
			l := oneScript(b, "export function helo(s, n) { let x; for (let i = Number(n); i > 0; i--) x = "+read+"; }")
			call := &filter.Call{Phase: filter.Helo, Name: "1000", Deadline: time.Now().Add(time.Hour)}
			if err := l.Load(b.Context()); err != nil {
				b.Fatal(err)
			}
			h, err := l.Current().Open(benchSession(), call)
			if err != nil {
				b.Fatal(err)
			}
			defer h.Close()
			for range b.N/1000 + 1 {
				if _, err := h.Call(call); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
