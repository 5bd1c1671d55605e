package store_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"pmilter/internal/redistest"
	"pmilter/internal/store"
)

// child is this test program as another process: with CHILD_STORE, a store's URL,
// it sets "a" and holds "h", says so and waits until it is killed.
func child() {
	text := os.Getenv("CHILD_STORE")
	if text == "" {
		return
	}
	u, err := store.ParseURL(text)
	if err != nil {
		panic(err)
	}
	s, err := store.Open(u, nil, zap.NewNop())
	if err != nil {
		panic(err)
	}
	ctx := context.Background()
	for i := range 100 {
		if err := s.Set(ctx, fmt.Sprintf("a%d", i), []byte("1"), 0); err != nil {
			panic(err)
		}
	}
	ok, _, err := s.Hold(ctx, "h", "the child", 1)
	fmt.Println("ready", ok, err)
	select {}
}

// killed runs the child on a store and kills it when it is ready.
func killed(t *testing.T, url string) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "CHILD_STORE="+url)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	if err != nil || line != "ready true <nil>\n" {
		t.Fatalf("%q %v", line, err)
	}
}

func TestFileSurvivesKill(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "store.db")
	killed(t, "file:"+path)
	f := openFile(t, path, newClock())
	closed(t, f)
	s := subject{Store: f}
	for i := range 100 {
		s.want(t, fmt.Sprintf("a%d", i), "1")
	}
	s.hold(t, "h", "another", 1, true, 1)
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info.Mode(), err)
	}
}

func TestFileReopened(t *testing.T) {
	t.Parallel()
	path, c := filepath.Join(t.TempDir(), "store.db"), newClock()
	f := openFile(t, path, c)
	s := subject{Store: f}
	s.incr(t, "n", 5, time.Hour, 5)
	s.limit(t, "l", 2, time.Hour, true, 1)
	c.advance(30 * time.Minute)
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	f = openFile(t, path, c)
	closed(t, f)
	s = subject{Store: f}
	s.incr(t, "n", 1, time.Hour, 6)
	s.limit(t, "l", 2, time.Hour, true, 2)
	s.limit(t, "l", 2, time.Hour, false, 2)
	c.advance(30 * time.Minute)
	s.want(t, "n", "")
}

// TestFileSweeps: what expired is removed, with its entry; what was renewed stays.
func TestFileSweeps(t *testing.T) {
	t.Parallel()
	c := newClock()
	f := openFile(t, filepath.Join(t.TempDir(), "store.db"), c)
	closed(t, f)
	s := subject{Store: f}
	for i := range 50 {
		s.set(t, fmt.Sprintf("gone%d", i), "1", time.Minute)
		s.limit(t, fmt.Sprintf("gone%d", i), 1, time.Minute, true, 1)
	}
	s.set(t, "renewed", "1", time.Minute)
	s.set(t, "renewed", "2", time.Hour)
	s.set(t, "forever", "1", time.Minute)
	s.set(t, "forever", "2", 0)
	c.advance(time.Minute)
	f.Sweep()
	if keys, entries := f.Stored(); keys != 2 || entries != 1 {
		t.Errorf("%d keys, %d entries", keys, entries)
	}
	s.want(t, "renewed", "2")
	s.want(t, "forever", "2")
}

func TestFileOfAnother(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "store.db")
	closed(t, openFile(t, path, newClock()))
	if _, err := store.OpenFile(path, time.Now, zap.NewNop()); err == nil || !strings.Contains(err.Error(), "in use by another process") {
		t.Error(err)
	}
	broken := filepath.Join(t.TempDir(), "broken.db")
	if err := os.WriteFile(broken, []byte(strings.Repeat("no database\n", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := store.OpenFile(broken, time.Now, zap.NewNop()); err == nil || !strings.Contains(err.Error(), "broken.db: invalid database") {
		t.Error(err)
	}
}

// TestMemoryIsBounded: what was used last stays, whatever comes.
func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	c := newClock()
	const most = 1 << 20
	m := store.NewMemoryOf(c.Now, most)
	s := subject{Store: m}
	s.set(t, "used", "1", 0)
	s.limit(t, "used", 1000, time.Hour, true, 1)
	for i := range 20000 {
		s.set(t, fmt.Sprintf("key%d", i), strings.Repeat("x", i%200), time.Duration(i%3)*time.Hour)
		s.limit(t, fmt.Sprintf("key%d", i), 3, time.Hour, true, 1)
		if i%500 == 0 && m.Size() > most {
			t.Fatalf("%d bytes after %d", m.Size(), i)
		}
		s.want(t, "used", "1")
		if i%1000 == 0 {
			s.limit(t, "used", 1000, time.Hour, true, int64(i/1000)+2)
		}
	}
	s.want(t, "key0", "")
	s.want(t, "key19998", strings.Repeat("x", 19998%200))
	large := strings.Repeat("x", most)
	s.set(t, "large", large, 0) // larger than all there is
	s.want(t, "large", "")
}

// TestMemoryCountsCapacity: a value keeps what was allocated for it.
func TestMemoryCountsCapacity(t *testing.T) {
	t.Parallel()
	m := store.NewMemoryOf(newClock().Now, 1<<20)
	for i := range 100 {
		if err := m.Set(t.Context(), fmt.Sprint(i), make([]byte, 1, 100_000), 0); err != nil {
			t.Fatal(err)
		}
	}
	kept := 0
	for i := range 100 {
		if _, found, _ := m.Get(t.Context(), fmt.Sprint(i)); found {
			kept++
		}
	}
	if kept == 0 || kept > 10 {
		t.Errorf("%d values of 100 KB in 1 MiB", kept)
	}
}

// TestMemoryForgetsWhatExpired before it drops what has not.
func TestMemoryForgetsWhatExpired(t *testing.T) {
	t.Parallel()
	c := newClock()
	m := store.NewMemoryOf(c.Now, 1<<20)
	s := subject{Store: m}
	s.set(t, "old", "1", 0)
	for i := range 3000 {
		s.set(t, fmt.Sprintf("key%d", i), "1", time.Minute)
	}
	c.advance(time.Minute)
	s.set(t, "new", "1", 0)
	for i := range 3000 {
		s.set(t, fmt.Sprintf("other%d", i), "1", 0)
	}
	s.want(t, "old", "1")
}

// TestMemoryHolds: what is held stays, counts, and is refused when it is half of all.
func TestMemoryHolds(t *testing.T) {
	t.Parallel()
	const most = 1 << 20
	m := store.NewMemoryOf(newClock().Now, most)
	s := subject{Store: m}
	s.hold(t, "first", "x", 1, true, 1)
	var err error
	n := 0
	for ; err == nil && n < 10000; n++ {
		s.set(t, fmt.Sprintf("key%d", n), strings.Repeat("x", 300), 0)
		_, _, err = m.Hold(t.Context(), fmt.Sprintf("hold%d", n), "y", 1)
		if n%100 == 0 && m.Size() > most {
			t.Fatalf("%d bytes", m.Size())
		}
	}
	if code(err) != store.CodeFull || n < 1000 {
		t.Errorf("%v after %d", err, n)
	}
	s.hold(t, "first", "z", 1, false, 1)
	m.Release("y")
	s.hold(t, "hold0", "z", 1, true, 1)
}

// TestRedisLeases: what a process held that died is free within a minute; what a
// living one holds stays.
func TestRedisLeases(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	raw := redis.NewClient(&redis.Options{Addr: server.Addr})
	t.Cleanup(func() { raw.Close() })
	killed(t, "redis://"+server.Addr)
	r := openRedis(t, server)
	s := subject{Store: r}
	s.hold(t, "h", "another", 1, false, 1)
	s.hold(t, "living", "x", 1, true, 1)
	for range 3 {
		pass(t, raw, 20*time.Second)
		r.Renew()
	}
	s.hold(t, "h", "another", 1, true, 1)
	s.hold(t, "living", "another", 1, false, 1)
	server.Stop()
	server.Run(t) // it knows nothing any more
	r.Renew()
	s.hold(t, "living", "another", 1, false, 1)
}

// TestRedisGone: without the server each call fails soon, and when it is back they
// work again; the log says both, once.
func TestRedisGone(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	core, log := observer.New(zapcore.InfoLevel)
	r := store.OpenRedis(&redis.Options{Addr: server.Addr}, zap.New(core))
	closed(t, r)
	s := subject{Store: r}
	s.set(t, "a", "1", 0)
	fails := func(why string, want ...string) {
		t.Helper()
		for range 3 {
			start := time.Now()
			_, err := r.Incr(t.Context(), "n", 1, 0)
			if err == nil || !strings.Contains(strings.Join(want, " "), code(err)) {
				t.Errorf("%s: %v", why, err)
			}
			if took := time.Since(start); took > 5*time.Second { // one, on an idle machine
				t.Errorf("%s: after %v", why, took)
			}
		}
	}
	works := func(why string) {
		t.Helper()
		var err error
		for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
			if _, _, err = r.Get(t.Context(), "a"); err == nil {
				return
			}
		}
		t.Errorf("%s: %v", why, err)
	}
	thaw := server.Freeze(t)
	fails("silent", fmt.Sprint(context.DeadlineExceeded))
	thaw()
	works("speaks again")
	server.Stop()
	fails("gone", store.CodeUnavailable, fmt.Sprint(context.DeadlineExceeded))
	r.Release("x")
	server.Run(t)
	works("is back")
	s.limit(t, "l", 1, time.Hour, true, 1) // its scripts are forgotten
	gone := log.FilterMessageSnippet("not there")
	if gone.Len() != 2 {
		t.Fatalf("%d times gone: %v", gone.Len(), log.All())
	}
	if why := fmt.Sprint(gone.All()[0].ContextMap()["error"]); why != "it does not answer within 1s" {
		t.Errorf("silent: %s", why)
	}
}

// TestRedisNeverThere: the server need not be there at the start.
func TestRedisNeverThere(t *testing.T) {
	t.Parallel()
	u, err := store.ParseURL("redis+unix://" + filepath.Join(t.TempDir(), "none"))
	if err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(u, nil, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	closed(t, s)
	if _, _, err := s.Get(t.Context(), "a"); code(err) != store.CodeUnavailable {
		t.Error(err)
	}
	if _, _, err := s.Hold(t.Context(), "a", "x", 1); code(err) != store.CodeUnavailable {
		t.Error(err)
	}
	s.Release("x")
}

// TestRedisBySocket: database and unix socket of a URL are those that are used.
func TestRedisBySocket(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	u, err := store.ParseURL("redis+unix://" + server.Socket + "?db=3")
	if err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(u, nil, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	closed(t, s)
	if err := s.Set(t.Context(), "a", []byte("1"), 0); err != nil {
		t.Fatal(err)
	}
	raw := redis.NewClient(&redis.Options{Addr: server.Addr, DB: 3})
	defer raw.Close()
	if got, err := raw.Get(t.Context(), "pmilter:v:a").Result(); err != nil || got != "1" {
		t.Error(got, err)
	}
}

func TestOpenState(t *testing.T) {
	t.Parallel()
	u, err := store.ParseURL("file:")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	s, err := store.Open(u, func() (string, error) { return dir, nil }, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	closed(t, s)
	if _, err := os.Stat(filepath.Join(dir, "store.db")); err != nil {
		t.Error(err)
	}
	none := errors.New("nowhere")
	if _, err := store.Open(u, func() (string, error) { return "", none }, zap.NewNop()); !errors.Is(err, none) {
		t.Error(err)
	}
}
