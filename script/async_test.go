package script

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dop251/goja"

	"pmilter/filter"
)

// codedError has a name and a code, as those of the modules do.
type codedError struct{}

func (codedError) Error() string { return "no such host" }
func (codedError) Name() string  { return "DNSError" }
func (codedError) Code() string  { return "ENOTFOUND" }

// askMail calls the mail handler of one script in which note(x) is work outside
// the world, and returns what it refused with.
func askMail(t *testing.T, code string, timeout time.Duration, work func(ctx context.Context) (string, error)) (filter.Verdict, error) {
	t.Helper()
	l := oneScript(t, `import { note as ask, reject } from "pmilter";`+"\n"+code)
	b, _, faults := newBundle(l.o)
	if faults.Fatal() {
		t.Fatal(faults)
	}
	limits := Limits{Timeout: time.Minute, CPU: time.Minute, Memory: 1 << 30, MaxValue: 64 << 20}
	d := newWatchdog(limits)
	t.Cleanup(d.close)
	set, faults := newSet(b, setOptions{Limits: limits, Log: l.o.Log, watchdog: d})
	if faults.Fatal() {
		t.Fatal(faults)
	}
	own := set.modules["pmilter"].export
	set.modules["pmilter"] = module{export: func(w *World, name string) goja.Value {
		if name != "note" {
			return own(w, name)
		}
		return w.function("ask", func(goja.FunctionCall) goja.Value {
			return async(w, "ask", work, func(s string) goja.Value { return w.rt.ToValue(s) })
		})
	}}
	call := &filter.Call{Phase: filter.Mail, Deadline: time.Now().Add(timeout), Address: filter.ParseAddress("a@example.org", nil)}
	h, err := set.Open(&filter.Session{}, call)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	return h.Call(call)
}

func TestAsync(t *testing.T) {
	say := func(s string, err error) func(context.Context) (string, error) {
		return func(context.Context) (string, error) { return s, err }
	}
	caught := `export async function mail() { try { return reject(await ask()); } catch (e) { return reject([e instanceof Error, e.name, e.code, e.message].join()); } }`
	for name, tt := range map[string]struct {
		code string
		work func(context.Context) (string, error)
		want string
	}{
		"result":   {`export async function mail() { return reject(await ask()); }`, say("yes", nil), "yes"},
		"together": {`export async function mail() { return reject((await Promise.all([ask(), ask()])).join()); }`, say("yes", nil), "yes,yes"},
		"named":    {caught, say("", codedError{}), "true,DNSError,ENOTFOUND,ask: no such host"},
		"timeout":  {caught, say("", context.DeadlineExceeded), "true,TimeoutError,ETIMEOUT,ask: no answer in time"},
		"plain":    {caught, say("", errors.New("broken")), "true,Error,,ask: broken"},
		"network":  {caught, say("", &net.OpError{Op: "dial", Err: context.DeadlineExceeded}), "true,TimeoutError,ETIMEOUT,ask: no answer in time"},
	} {
		t.Run(name, func(t *testing.T) {
			v, err := askMail(t, tt.code, time.Minute, tt.work)
			if err != nil || v.Text != tt.want {
				t.Errorf("%q %v, want %q", v.Text, err, tt.want)
			}
		})
	}
}

// TestAsyncUncaught: an exception that nobody catches names the line of the call.
func TestAsyncUncaught(t *testing.T) {
	_, err := askMail(t, "export async function mail() {\n  await ask();\n}", time.Minute,
		func(context.Context) (string, error) { return "", codedError{} })
	if err == nil || err.Error() != "scripts/a.js:3:9: DNSError: ask: no such host" {
		t.Errorf("%v", err)
	}
}

// TestAsyncDeadline: work that does not answer is told to stop when the phase is over.
func TestAsyncDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stopped := false
		_, err := askMail(t, `export async function mail() { await ask(); }`, time.Second,
			func(ctx context.Context) (string, error) {
				<-ctx.Done()
				stopped = true
				time.Sleep(time.Second) // the deadline is seen first
				return "", ctx.Err()
			})
		time.Sleep(time.Minute)
		synctest.Wait()
		want := "scripts/a.js:2:38: its promise was not settled in time: no answer yet for ask at scripts/a.js:2:38"
		if err == nil || err.Error() != want || !stopped {
			t.Errorf("%v, stopped %v", err, stopped)
		}
	})
}

// TestAsyncDeadlineOfMany: what is late is named, as much of it as a line holds.
func TestAsyncDeadlineOfMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, err := askMail(t, "export async function mail() { await Promise.all([ask(), ask(),\n ask(),\n ask(),\n ask(),\n ask(),\n ask()]); }", time.Second,
			func(ctx context.Context) (string, error) {
				<-ctx.Done()
				time.Sleep(time.Second) // the deadline is seen first
				return "", ctx.Err()
			})
		want := "its promise was not settled in time: no answer yet for ask at scripts/a.js:2:51, ask at scripts/a.js:2:58, " +
			"ask at scripts/a.js:3:2, ask at scripts/a.js:4:2, ask at scripts/a.js:5:2, ..."
		if err == nil || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%v", err)
		}
		time.Sleep(time.Minute)
	})
}

// TestAsyncFlood: one world has a bounded number of calls under way.
func TestAsyncFlood(t *testing.T) {
	_, err := askMail(t, `export async function mail() { const all = []; for (;;) all.push(ask()); }`, time.Minute,
		func(ctx context.Context) (string, error) { <-ctx.Done(); return "", ctx.Err() })
	if err == nil || !strings.Contains(err.Error(), "RangeError: ask: more than 1000 calls wait") {
		t.Errorf("%v", err)
	}
}

// TestAsyncAtTopLevel: loading a script has no effect on anything.
func TestAsyncAtTopLevel(t *testing.T) {
	w := &World{rt: goja.New()}
	thrown := w.rt.Try(func() { w.effect("store.set") })
	if thrown == nil || !strings.Contains(thrown.Error(), "TypeError: store.set: top-level code runs while scripts are loaded") {
		t.Errorf("%v", thrown)
	}
}
