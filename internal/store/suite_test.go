package store_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"
	"go.uber.org/zap"

	"pmilter/internal/redistest"
	"pmilter/internal/store"
)

func TestMain(m *testing.M) {
	child() // of the tests that kill it
	goleak.VerifyTestMain(m)
}

// clock is a test's time.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// subject is a store under test, and how its time passes. That of Redis also
// passes by itself, so the suite counts in minutes.
type subject struct {
	store.Store
	advance func(d time.Duration)
	// late is how much time may have passed by itself.
	late time.Duration
}

func closed(t *testing.T, s store.Store) {
	t.Helper()
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestMemory(t *testing.T) {
	t.Parallel()
	suite(t, func(t *testing.T) subject {
		t.Helper()
		c := newClock()
		return subject{Store: store.NewMemory(c.Now), advance: c.advance}
	})
}

func openFile(t *testing.T, path string, c *clock) *store.File {
	t.Helper()
	f, err := store.OpenFile(path, c.Now, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestFile(t *testing.T) {
	t.Parallel()
	suite(t, func(t *testing.T) subject {
		t.Helper()
		c := newClock()
		f := openFile(t, filepath.Join(t.TempDir(), "new", "store.db"), c)
		closed(t, f)
		return subject{Store: f, advance: c.advance}
	})
}

// TestClient: a store served to another process is as good as the store itself.
func TestClient(t *testing.T) {
	t.Parallel()
	suite(t, func(t *testing.T) subject {
		t.Helper()
		c := newClock()
		client, _ := served(t, store.NewMemory(c.Now))
		return subject{Store: client, advance: c.advance}
	})
}

// served is a client of s; ended has what Serve returned.
func served(t *testing.T, s store.Store) (client *store.Client, ended chan error) {
	t.Helper()
	theirs, ours := net.Pipe()
	ended = make(chan error, 1)
	go func() { ended <- store.Serve(context.Background(), ours, s) }()
	client = store.NewClient(theirs)
	t.Cleanup(func() { client.Close() })
	return client, ended
}

func openRedis(t *testing.T, r *redistest.Redis) *store.Redis {
	t.Helper()
	s := store.OpenRedis(&redis.Options{Addr: r.Addr}, zap.NewNop())
	closed(t, s)
	return s
}

func TestRedis(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	suite(t, func(t *testing.T) subject {
		t.Helper()
		raw := redis.NewClient(&redis.Options{Addr: server.Addr})
		t.Cleanup(func() { raw.Close() })
		if err := raw.FlushAll(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		return subject{Store: openRedis(t, server), advance: func(d time.Duration) { pass(t, raw, d) }, late: 30 * time.Second}
	})
}

// pass makes time pass in a Redis: all that is stored of times is set back.
func pass(t *testing.T, raw *redis.Client, d time.Duration) {
	t.Helper()
	err := raw.Eval(t.Context(), `
		for _, key in ipairs(redis.call('KEYS', '*')) do
			if string.sub(key, 1, 10) == 'pmilter:l:' then
				local text = string.gsub(redis.call('GET', key), '(%d+),', function(at) return string.format('%.0f,', at - ARGV[1]) end)
				redis.call('SET', key, text, 'KEEPTTL')
			elseif string.sub(key, 1, 10) == 'pmilter:h:' then
				for _, holder in ipairs(redis.call('ZRANGE', key, 0, -1)) do redis.call('ZINCRBY', key, -ARGV[1], holder) end
			end
			local ttl = redis.call('PTTL', key)
			if ttl >= 0 then redis.call('PEXPIRE', key, ttl - ARGV[1]) end
		end`, nil, d.Milliseconds()).Err()
	if err != nil && !errors.Is(err, redis.Nil) {
		t.Fatal(err)
	}
}

// suite is what every store must do.
func suite(t *testing.T, open func(t *testing.T) subject) {
	t.Helper()
	for name, test := range map[string]func(t *testing.T, s subject){
		"get and set": getAndSet, "add": addOnce, "delete": deletes, "ttl": timeToLive, "incr": increments,
		"incr ttl": incrTTL, "incr faults": incrFaults, "limit": limits, "limit slides": limitSlides,
		"limit of many": limitOfMany, "holds": holds, "bounds": bounds, "spaces": spaces, "together": together, "done": done,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

func (s subject) want(t *testing.T, key, value string) {
	t.Helper()
	got, found, err := s.Get(t.Context(), key)
	if err != nil || found != (value != "") || string(got) != value {
		t.Errorf("%.50q is %q %v %v, want %q", key, got, found, err, value)
	}
}

func (s subject) set(t *testing.T, key, value string, ttl time.Duration) {
	t.Helper()
	if err := s.Set(t.Context(), key, []byte(value), ttl); err != nil {
		t.Fatal(err)
	}
}

func getAndSet(t *testing.T, s subject) {
	t.Helper()
	s.want(t, "a", "")
	s.set(t, "a", `{"b":[1,"ü"]}`, 0)
	s.want(t, "a", `{"b":[1,"ü"]}`)
	s.set(t, "a", `2`, 0)
	s.want(t, "a", `2`)
	odd := "\x00\r\n\xff :" // keys are bytes
	s.set(t, odd, `"odd"`, 0)
	s.want(t, odd, `"odd"`)
}

func addOnce(t *testing.T, s subject) {
	t.Helper()
	for i, want := range []bool{true, false} {
		added, err := s.Add(t.Context(), "a", fmt.Append(nil, i), time.Minute)
		if err != nil || added != want {
			t.Errorf("add %d: %v %v", i, added, err)
		}
	}
	s.want(t, "a", "0")
	s.advance(time.Minute)
	added, err := s.Add(t.Context(), "a", []byte("3"), 0)
	if err != nil || !added {
		t.Errorf("after its time: %v %v", added, err)
	}
	s.want(t, "a", "3")
	s.advance(time.Hour)
	s.want(t, "a", "3")
}

func deletes(t *testing.T, s subject) {
	t.Helper()
	gone := func(want bool) {
		t.Helper()
		if existed, err := s.Delete(t.Context(), "a"); err != nil || existed != want {
			t.Errorf("delete: %v %v, want %v", existed, err, want)
		}
	}
	gone(false)
	s.set(t, "a", "1", time.Minute)
	gone(true)
	s.want(t, "a", "")
	gone(false)
	s.set(t, "a", "1", time.Minute)
	s.advance(2 * time.Minute)
	gone(false)
	s.limit(t, "a", 1, time.Hour, true, 1)
	s.limit(t, "a", 1, time.Hour, false, 1)
	gone(true)
	s.limit(t, "a", 1, time.Hour, true, 1)
}

func timeToLive(t *testing.T, s subject) {
	t.Helper()
	s.set(t, "a", "1", 10*time.Minute)
	s.set(t, "b", "1", 10*time.Minute)
	s.advance(9 * time.Minute)
	s.want(t, "a", "1")
	s.set(t, "a", "2", 10*time.Minute) // from the call
	s.set(t, "b", "2", 0)              // no more
	s.advance(9 * time.Minute)
	s.want(t, "a", "2")
	s.advance(time.Minute)
	s.want(t, "a", "")
	s.want(t, "b", "2")
	s.set(t, "long", "1", store.MaxTTL)
	s.want(t, "long", "1")
}

func (s subject) incr(t *testing.T, key string, by int64, ttl time.Duration, want int64) {
	t.Helper()
	if n, err := s.Incr(t.Context(), key, by, ttl); err != nil || n != want {
		t.Errorf("incr %s by %d: %d %v, want %d", key, by, n, err, want)
	}
}

func increments(t *testing.T, s subject) {
	t.Helper()
	s.incr(t, "n", 1, 0, 1)
	s.incr(t, "n", 41, 0, 42)
	s.want(t, "n", "42")
	s.incr(t, "n", -43, 0, -1)
	s.incr(t, "n", 0, 0, -1)
	s.set(t, "n", "9007199254740990", 0)
	s.incr(t, "n", 1, 0, store.MaxNumber)
	s.set(t, "n", "0", 0)
	s.incr(t, "n", -store.MaxNumber, 0, -store.MaxNumber)
}

func incrTTL(t *testing.T, s subject) {
	t.Helper()
	s.incr(t, "n", 1, 10*time.Minute, 1)
	s.advance(9 * time.Minute)
	s.incr(t, "n", 1, 10*time.Minute, 2) // from the key's creation
	s.advance(time.Minute)
	s.want(t, "n", "")
	s.incr(t, "n", 1, 0, 1)
	s.incr(t, "n", 1, time.Minute, 2) // it was made without
	s.advance(time.Hour)
	s.want(t, "n", "2")
}

func code(err error) string {
	var known *store.Error
	if errors.As(err, &known) {
		return known.Code()
	}
	return fmt.Sprint(err)
}

func incrFaults(t *testing.T, s subject) {
	t.Helper()
	for _, value := range []string{`"1"`, `1.5`, `null`, `{}`, `1e3`, `007`, ` 1`, `99999999999999999999`} {
		s.set(t, "n", value, 0)
		if _, err := s.Incr(t.Context(), "n", 1, 0); code(err) != store.CodeNotANumber && code(err) != store.CodeOverflow {
			t.Errorf("incr of %s: %v", value, err)
		}
		s.want(t, "n", value)
	}
	s.set(t, "n", "9007199254740991", 0)
	for _, by := range []int64{1, store.MaxNumber, 1 << 62} {
		if _, err := s.Incr(t.Context(), "n", by, 0); code(err) != store.CodeOverflow {
			t.Errorf("by %d: %v", by, err)
		}
	}
	s.want(t, "n", "9007199254740991")
}

// limit calls Limit and returns resetAfter.
func (s subject) limit(t *testing.T, key string, most int64, per time.Duration, ok bool, count int64) time.Duration {
	t.Helper()
	gotOK, gotCount, reset, err := s.Limit(t.Context(), key, most, per)
	if err != nil || gotOK != ok || gotCount != count {
		t.Errorf("limit: %v %d %v, want %v %d", gotOK, gotCount, err, ok, count)
	}
	return reset
}

// about checks a time that may have passed by itself.
func (s subject) about(t *testing.T, got, want time.Duration) {
	t.Helper()
	if got > want || got < want-s.late {
		t.Errorf("%v, want %v", got, want)
	}
}

func limits(t *testing.T, s subject) {
	t.Helper()
	const per = 100 * time.Minute
	s.about(t, s.limit(t, "a", 2, per, true, 1), per)
	s.advance(40 * time.Minute)
	s.about(t, s.limit(t, "a", 2, per, true, 2), per-40*time.Minute)
	for range 3 { // refused calls are not counted
		s.about(t, s.limit(t, "a", 2, per, false, 2), per-40*time.Minute)
	}
	s.limit(t, "b", 2, per, true, 1)
	s.advance(60 * time.Minute)
	s.about(t, s.limit(t, "a", 2, per, true, 2), per-60*time.Minute)
	s.about(t, s.limit(t, "a", 1, per, false, 2), per) // stricter: both must go
	s.advance(per)
	s.limit(t, "a", 1, per, true, 1)
}

// limitSlides: no span of the window's length has more than the limit, wherever
// it begins.
func limitSlides(t *testing.T, s subject) {
	t.Helper()
	const per, most, step = 64 * time.Minute, 10, 3 * time.Minute
	var passed []time.Duration
	for at := time.Duration(0); at < 5*per; at += step {
		for range 2 {
			ok, _, _, err := s.Limit(t.Context(), "a", most, per)
			if err != nil {
				t.Fatal(err)
			}
			if ok {
				passed = append(passed, at)
			}
		}
		s.advance(step)
	}
	for i := most; i < len(passed); i++ {
		if span := passed[i] - passed[i-most]; span < per-s.late {
			t.Errorf("%d calls within %v", most+1, span)
		}
	}
	if len(passed) < 5*(most-1) {
		t.Errorf("only %d passed: %v", len(passed), passed)
	}
}

// limitOfMany: a window of many calls counts them all.
func limitOfMany(t *testing.T, s subject) {
	t.Helper()
	const per, step = 64 * time.Hour, 61 * time.Minute
	for i := range int64(50) {
		for j := range int64(5) {
			s.limit(t, "a", 1000, per, true, 5*i+j+1)
		}
		s.advance(step)
	}
	s.advance(per - 50*step + step/2) // the first five are gone
	s.limit(t, "a", 1, per, false, 245)
	s.advance(per)
	s.limit(t, "a", 1, per, true, 1)
}

func (s subject) hold(t *testing.T, key, holder string, most int64, ok bool, count int64) {
	t.Helper()
	gotOK, gotCount, err := s.Hold(t.Context(), key, holder, most)
	if err != nil || gotOK != ok || gotCount != count {
		t.Errorf("hold %s by %s: %v %d %v, want %v %d", key, holder, gotOK, gotCount, err, ok, count)
	}
}

func holds(t *testing.T, s subject) {
	t.Helper()
	s.hold(t, "a", "x", 2, true, 1)
	s.hold(t, "a", "x", 2, true, 1) // once
	s.hold(t, "a", "y", 2, true, 2)
	s.hold(t, "a", "z", 2, false, 2)
	s.hold(t, "b", "z", 1, true, 1)
	s.hold(t, "a", "z", 0, true, 3) // whatever there are
	s.Release("nobody")
	s.Release("x")
	s.Release("z")
	s.eventually(t, "a", "new", 2, true, 2)
	s.eventually(t, "b", "new", 1, true, 1)
	s.Release("y")
	s.eventually(t, "a", "newer", 2, true, 2)
}

// eventually is hold: Release does not wait.
func (s subject) eventually(t *testing.T, key, holder string, most int64, ok bool, count int64) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if gotOK, gotCount, err := s.Hold(t.Context(), key, holder, most); err != nil || gotOK == ok && gotCount == count {
			break
		}
	}
	s.hold(t, key, holder, most, ok, count)
}

func bounds(t *testing.T, s subject) {
	t.Helper()
	key, value := strings.Repeat("k", store.MaxKey), []byte(strings.Repeat("1", store.MaxValue))
	s.set(t, key, string(value), time.Hour)
	s.want(t, key, string(value))
	if added, err := s.Add(t.Context(), "b", value, 0); err != nil || !added {
		t.Error(added, err)
	}
	large := append(value, '1')
	for what, call := range map[string]func(key string) error{
		"get":    func(key string) error { _, _, err := s.Get(t.Context(), key); return err },
		"set":    func(key string) error { return s.Set(t.Context(), key, nil, 0) },
		"add":    func(key string) error { _, err := s.Add(t.Context(), key, nil, 0); return err },
		"delete": func(key string) error { _, err := s.Delete(t.Context(), key); return err },
		"incr":   func(key string) error { _, err := s.Incr(t.Context(), key, 1, 0); return err },
		"limit":  func(key string) error { _, _, _, err := s.Limit(t.Context(), key, 1, time.Second); return err },
		"hold":   func(key string) error { _, _, err := s.Hold(t.Context(), key, "x", 1); return err },
		"value":  func(string) error { return s.Set(t.Context(), "a", large, 0) },
		"added":  func(string) error { _, err := s.Add(t.Context(), "a", large, 0); return err },
	} {
		for _, key := range []string{"", key + "k"} {
			if err := call(key); code(err) != store.CodeTooLarge {
				t.Errorf("%s with a key of %d bytes: %v", what, len(key), err)
			}
		}
	}
}

// spaces: a key names a value, a window and holders, each of its own.
func spaces(t *testing.T, s subject) {
	t.Helper()
	s.set(t, "a", "1", 0)
	s.limit(t, "a", 1, time.Hour, true, 1)
	s.hold(t, "a", "x", 1, true, 1)
	s.want(t, "a", "1")
	s.incr(t, "a", 1, 0, 2)
	s.limit(t, "a", 1, time.Hour, false, 1)
	s.hold(t, "a", "y", 1, false, 1)
}

// together: nothing is counted twice or lost.
func together(t *testing.T, s subject) {
	t.Helper()
	const callers, each = 16, 20
	var all sync.WaitGroup
	var mu sync.Mutex
	added, passed, holding := 0, 0, 0
	for i := range callers {
		all.Go(func() {
			for j := range each {
				n, err := s.Incr(t.Context(), "n", 1, time.Hour)
				if err != nil || n < 1 || n > callers*each {
					t.Error(n, err)
				}
				once, err := s.Add(t.Context(), "once"+strconv.Itoa(j), []byte("1"), time.Hour)
				if err != nil {
					t.Error(err)
				}
				ok, _, _, err := s.Limit(t.Context(), "l", 50, time.Hour)
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				if once {
					added++
				}
				if ok {
					passed++
				}
				mu.Unlock()
			}
			ok, _, err := s.Hold(t.Context(), "h", strconv.Itoa(i), 5)
			if err != nil {
				t.Error(err)
			}
			if ok {
				mu.Lock()
				holding++
				mu.Unlock()
			}
		})
	}
	all.Wait()
	s.want(t, "n", strconv.Itoa(callers*each))
	if added != each || passed != 50 || holding != 5 {
		t.Errorf("%d added, %d passed, %d hold", added, passed, holding)
	}
}

// done: who does not wait gets no answer, and nothing hangs.
func done(t *testing.T, s subject) {
	t.Helper()
	if _, ok := s.Store.(*store.Memory); ok {
		t.Skip("it never waits")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Set(ctx, "a", []byte("1"), 0); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if _, _, err := s.Get(ctx, "a"); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
