package table_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"pmilter/internal/table"
)

func write(t testing.TB, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func open(t testing.TB, tables *table.Tables, spec string) *table.Table {
	t.Helper()
	n, err := tables.Open(spec)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestOpenFaults(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	tables := table.New(dir, zap.NewNop())
	for spec, want := range map[string]string{
		"texthash:pipe":    "not a regular file", // and nobody waits for its writer
		"hash:x":           `"hash:x" is none of texthash:FILE, cidr:FILE and regexp:FILE`,
		"texthash":         `"texthash" is none of`,
		"cidr:":            `"cidr:" is none of`,
		"texthash:missing": "texthash:missing: " + dir + "/missing: no such file",
		"texthash:.":       "not a regular file",
	} {
		if _, err := tables.Open(spec); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", spec, err, want)
		}
	}
}

// TestOneCopy: whoever opens a table gets the same one.
func TestOneCopy(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "words", "a 1\n")
	tables := table.New(dir, zap.NewNop())
	if first := open(t, tables, "texthash:words"); first != open(t, tables, "texthash:words") {
		t.Error("there are two copies")
	}
}

// TestReload: a changed file is read anew, whole, once it has stayed the same;
// what cannot be read leaves the content as it was, and is complained about once.
func TestReload(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "words", "a 1\n")
	core, log := observer.New(zapcore.InfoLevel)
	synctest.Test(t, func(t *testing.T) {
		tables := table.New(dir, zap.New(core))
		n := open(t, tables, "texthash:words")
		ctx, cancel := context.WithCancel(t.Context())
		go tables.Watch(ctx)
		expect := func(key, want string) {
			t.Helper()
			time.Sleep(3500 * time.Millisecond)
			synctest.Wait()
			if got, _ := n.Get(key); got != want {
				t.Errorf("%s is %q, want %q", key, got, want)
			}
		}
		expect("a", "1")
		write(t, dir, "words", "a 22\n")
		expect("a", "22")
		write(t, dir, ".words.new", "a 33\n") // as editors do
		if err := os.Rename(filepath.Join(dir, ".words.new"), filepath.Join(dir, "words")); err != nil {
			t.Fatal(err)
		}
		expect("a", "33")
		if err := os.Remove(filepath.Join(dir, "words")); err != nil {
			t.Fatal(err)
		}
		expect("a", "33")
		expect("a", "33")
		if got := log.FilterMessage("table not reloaded: the old content stays").Len(); got != 1 {
			t.Errorf("complained %d times", got)
		}
		write(t, dir, "words", "a 4444\n")
		expect("a", "4444")
		cancel()
		synctest.Wait()
	})
	if got := log.FilterMessage("table reloaded").Len(); got != 3 {
		t.Errorf("%d reloads logged, want 3", got)
	}
}

// TestBadLines: they are skipped and named, a bounded number of them.
func TestBadLines(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "nets", "192.0.2.1/24 x\n"+strings.Repeat("nonsense y\n", 50)+"192.0.2.0/24 good\n")
	write(t, dir, "long", "a "+strings.Repeat("x", 3<<20)+"\nb 2\n")
	write(t, dir, "perl", `/^\d+$/ digits`+"\n/x/ x\n")
	core, log := observer.New(zapcore.WarnLevel)
	tables := table.New(dir, zap.New(core))
	if got, _ := open(t, tables, "cidr:nets").Get("192.0.2.9"); got != "good" {
		t.Errorf("%q", got)
	}
	if n := log.Len(); n != 20 || log.All()[0].ContextMap()["reason"] != `non-null host address bits in "192.0.2.1/24", perhaps you should use "192.0.2.0/24" instead` {
		t.Errorf("%d lines, the first %v", n, log.All()[0].ContextMap())
	}
	long := open(t, tables, "texthash:long")
	if _, found := long.Get("a"); found {
		t.Error("a line of 3 MiB was kept")
	}
	if got, _ := long.Get("b"); got != "2" {
		t.Errorf("%q", got)
	}
	if got, _ := open(t, tables, "regexp:perl").Get("x1"); got != "x" {
		t.Errorf("%q", got)
	}
}

func FuzzRead(f *testing.F) {
	f.Add("texthash", "a 1\n  b\n# c\n\"q k\" v\n", "a")
	f.Add("cidr", "if 10.0.0.0/8\n!10.1.0.0/16 x\nendif\n::/0 y\n", "10.2.3.4")
	f.Add("regexp", "/^(a*)[^]b[:alpha:]\\]*?{2,3}|x$/im $1 ${1}\nif !/x/\nendif\n", "aab")
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, kind, text, key string) {
		write(t, dir, "t", text)
		n, err := table.New(dir, zap.NewNop()).Open(kind + ":t")
		if err != nil {
			return
		}
		if value, found := n.Get(key); !found && value != "" {
			t.Errorf("%q without a match", value)
		}
	})
}

func million(b *testing.B) (dir string) {
	b.Helper()
	dir = b.TempDir()
	var text strings.Builder
	for i := range 1_000_000 {
		fmt.Fprintf(&text, "user%d@example%d.org REJECT number %d\n", i, i%1000, i)
	}
	write(b, dir, "million", text.String())
	return dir
}

// TestMillion: a million entries are all found, and are few allocations.
func TestMillion(t *testing.T) {
	dir := t.TempDir()
	var text strings.Builder
	const n = 1_000_000
	for i := range n {
		fmt.Fprintf(&text, "k%d %d\n", i, i)
	}
	write(t, dir, "million", text.String())
	words := open(t, table.New(dir, zap.NewNop()), "texthash:million")
	for i := 0; i < n; i += 997 {
		if got, _ := words.Get(fmt.Sprintf("K%d", i)); got != fmt.Sprint(i) {
			t.Fatalf("k%d is %q", i, got)
		}
	}
	if _, found := words.Get("k1000000"); found {
		t.Error("found what is not there")
	}
}

func BenchmarkLoadMillion(b *testing.B) {
	dir := million(b)
	for b.Loop() {
		open(b, table.New(dir, zap.NewNop()), "texthash:million")
	}
}

func BenchmarkGetMillion(b *testing.B) {
	n := open(b, table.New(million(b), zap.NewNop()), "texthash:million")
	i := 0
	for b.Loop() {
		i = (i + 7919) % 1_000_000
		if _, found := n.Get(fmt.Sprintf("user%d@example%d.org", i, i%1000)); !found {
			b.Fatal(i)
		}
	}
}
