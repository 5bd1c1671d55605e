package serving_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"go.uber.org/zap"

	"pmilter/internal/serving"
)

const patience = 30 * time.Second

// TestMain makes of this test binary a process of a pool when it is called so.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "be-worker" {
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		defer stop()
		if err := serving.Work(ctx, serving.Worker{Begin: begin, Try: try}); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// what is a set: what a process is to do with it.
type what struct {
	Version int
	Fault   string // why it cannot be used
	Remark  string
	Die     bool // instead of getting it ready
	Trouble string
	Only    string   // of the above, in the process in whose place this is a file
	Grow    int      // bytes to hold
	Trace   string   // a file that gets a line of what each process does, and when: in their order
	Ills    []string // what each of its first looks at itself finds; each look is in Trace
	Gate    string   // while this file is there, it does not get ready
	Slow    string   // where this file is, one process takes its time to hold, or to get ready
}

// trace notes what a process does.
func (w what) trace(format string, args ...any) {
	if w.Trace == "" {
		return
	}
	f, err := os.OpenFile(w.Trace, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err == nil {
		_, err = fmt.Fprintf(f, "%d "+format+"\n", append([]any{os.Getpid()}, args...)...)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		panic(err)
	}
}

// slow has one process of all take its time.
func (w what) slow() {
	if w.Slow != "" && os.Remove(w.Slow) == nil {
		w.trace("slow")
		time.Sleep(300 * time.Millisecond)
	}
}

// wait waits for the gate to be gone.
func (w what) wait() {
	for w.Gate != "" {
		if _, err := os.Stat(w.Gate); err != nil {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

type process struct {
	mu   sync.Mutex
	set  what
	held bool
	over bool
	kept []byte
	used atomic.Int64
}

type report struct {
	Version, Used int
	Held, Ended   bool
}

func read(data json.RawMessage) (w what, err error) {
	if err = json.Unmarshal(data, &w); err == nil && w.Fault != "" {
		err = errors.New(w.Fault)
	}
	return w, err
}

func begin(_ context.Context, set json.RawMessage) (serving.Server, error) {
	w, err := read(set)
	if err != nil {
		return nil, err
	}
	if w.Die && w.mine() {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
	return &process{set: w, held: true}, nil
}

func try(_ context.Context, set json.RawMessage) (json.RawMessage, error) {
	w, err := read(set)
	if w.Die {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
	if err != nil || w.Remark == "" {
		return nil, err
	}
	return json.Marshal(w.Remark)
}

// mine tells whether what a set says is for this process: for one of all, or for each.
func (w what) mine() bool { return w.Only == "" || os.Remove(w.Only) == nil }

func (p *process) Prepare(_ context.Context, set json.RawMessage) (serving.Prepared, error) {
	var w what
	if err := json.Unmarshal(set, &w); err != nil {
		return nil, err
	}
	if w.Slow != "" || w.Gate != "" {
		w.trace("prepare %d", w.Version)
		w.slow()
		w.wait()
	}
	if w.mine() {
		switch {
		case w.Fault != "":
			return nil, errors.New(w.Fault)
		case w.Die:
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	}
	return &prepared{p, w}, nil
}

type prepared struct {
	p   *process
	set what
}

func (r *prepared) Use(context.Context) {
	r.p.mu.Lock()
	defer r.p.mu.Unlock()
	r.p.set = r.set
	r.p.used.Add(1)
	if r.set.Grow > 0 {
		r.p.kept = bytes.Repeat([]byte{1}, r.set.Grow)
	}
}
func (r *prepared) Drop()  { r.set.trace("drop %d", r.set.Version) }
func (p *process) Hold()   { p.hold(true) }
func (p *process) Resume() { p.hold(false) }

func (p *process) Shutdown(context.Context) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.over = true
}

func (p *process) hold(held bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if held {
		p.set.slow() // what begins meanwhile begins with the old set
		p.set.trace("held %d", p.set.Version)
	} else {
		p.set.trace("serves %d", p.set.Version)
	}
	p.held = held
}

func (p *process) Report() json.RawMessage {
	p.mu.Lock()
	defer p.mu.Unlock()
	data, _ := json.Marshal(report{Version: p.set.Version, Used: 1 + int(p.used.Load()), Held: p.held, Ended: p.over})
	return data
}

func (p *process) Trouble() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.set.Ills) > 0 {
		ill := p.set.Ills[0]
		p.set.Ills = p.set.Ills[1:]
		p.set.trace("look %d", len(p.set.Ills))
		return ill
	}
	if p.set.Trouble != "" && p.used.Load() > 0 {
		return p.set.Trouble
	}
	return ""
}

func (w what) encode() json.RawMessage {
	data, _ := json.Marshal(w)
	return data
}

// sum counts the processes that are gone.
func sum(gone, _ json.RawMessage) json.RawMessage {
	n := 0
	_ = json.Unmarshal(gone, &n)
	return json.RawMessage(fmt.Sprint(n + 1))
}

func open(t *testing.T, workers int, set what) *serving.Pool {
	t.Helper()
	return openSum(t, workers, set, sum)
}

func openSum(t *testing.T, workers int, set what, sum func(gone, last json.RawMessage) json.RawMessage) *serving.Pool {
	t.Helper()
	p := serving.Open(serving.Options{Command: []string{"be-worker"}, Workers: workers, EndTimeout: patience, Sum: sum, Log: zap.NewNop()}, set.encode())
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := p.Stop(ctx); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	return p
}

func ready(t *testing.T, p *serving.Pool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := p.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	if err := p.Begin(ctx); err != nil {
		t.Fatal(err)
	}
}

// await returns when the reports of all processes are so: "1 1" for two with version 1.
func await(t *testing.T, p *serving.Pool, want string) serving.Status {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		s := p.Status(t.Context(), true)
		var list []string
		for _, one := range s.Processes {
			var r report
			if one.Report != nil && json.Unmarshal(one.Report, &r) == nil {
				list = append(list, fmt.Sprint(r.Version))
			}
			if r.Held && one.Number != 0 {
				list = append(list, "held")
			}
		}
		if strings.Join(list, " ") == want {
			return s
		}
		if time.Now().After(deadline) {
			t.Fatalf("%q, want %q", list, want)
		}
	}
}

func TestSwitch(t *testing.T) {
	t.Parallel()
	p := open(t, 3, what{Version: 1})
	ready(t, p)
	await(t, p, "1 1 1")
	for v := 2; v <= 4; v++ {
		if err := p.Switch(t.Context(), what{Version: v}.encode()); err != nil {
			t.Fatal(err)
		}
		// At once: who returns from Switch sees nothing old.
		if s := p.Status(t.Context(), true); s.Number != uint64(v) {
			t.Errorf("%+v", s)
		}
		await(t, p, fmt.Sprint(v, v, v))
	}
	s := p.Status(t.Context(), false)
	_ = syscall.Kill(s.Processes[0].PID, syscall.SIGKILL)
	await(t, p, "4 4 4")
	if s := p.Status(t.Context(), true); string(s.Gone) != "1" || s.Died != 1 {
		t.Errorf("%+v", s)
	}
}

// A set that one process cannot use is used by none.
func TestSwitchThatOneRefuses(t *testing.T) {
	t.Parallel()
	p := open(t, 3, what{Version: 1})
	ready(t, p)
	only := t.TempDir() + "/only"
	for range 3 {
		if err := os.WriteFile(only, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		err := p.Switch(t.Context(), what{Version: 2, Fault: "not me", Only: only}.encode())
		var fault *serving.FaultError
		if !errors.As(err, &fault) || fault.Fault != "not me" {
			t.Error(err)
		}
		s := await(t, p, "1 1 1")
		if s.Number != 1 || s.Died != 0 {
			t.Errorf("%+v", s)
		}
	}
	if err := p.Switch(t.Context(), what{Version: 3}.encode()); err != nil {
		t.Error(err)
	}
	await(t, p, "3 3 3")
}

// One that dies of a set keeps the others from nothing: it may as well have been killed.
func TestSwitchInWhichOneDies(t *testing.T) {
	t.Parallel()
	p := open(t, 3, what{Version: 1})
	ready(t, p)
	only := t.TempDir() + "/only"
	if err := os.WriteFile(only, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := p.Switch(t.Context(), what{Version: 2, Die: true, Only: only}.encode()); err != nil {
		t.Error(err)
	}
	if s := await(t, p, "2 2 2"); s.Died != 1 {
		t.Errorf("%+v", s)
	}
}

// One that does not answer is killed, and keeps nobody waiting for ever.
func TestSwitchWithOneThatIsStopped(t *testing.T) {
	t.Parallel()
	p := open(t, 2, what{Version: 1})
	ready(t, p)
	pid := p.Status(t.Context(), false).Processes[0].PID
	_ = syscall.Kill(pid, syscall.SIGSTOP)
	done := make(chan error, 1)
	go func() { done <- p.Switch(context.Background(), what{Version: 2}.encode()) }()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(2 * patience):
		t.Fatal("it waits for ever")
	}
	await(t, p, "2 2")
}

// When ctx is done while processes get ready, all stay.
func TestSwitchThatIsGivenUp(t *testing.T) {
	t.Parallel()
	p := open(t, 2, what{Version: 1})
	ready(t, p)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.Switch(ctx, what{Version: 2}.encode()); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if s := await(t, p, "1 1"); s.Number != 1 {
		t.Errorf("%+v", s)
	}
}

// Sets change all the time while processes are killed all the time: in the end all have the last.
func TestSwitchesWhileProcessesDie(t *testing.T) {
	t.Parallel()
	p := open(t, 3, what{Version: 0})
	ready(t, p)
	stop := make(chan struct{})
	var killing sync.WaitGroup
	killing.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(30 * time.Millisecond):
			}
			if list := p.Status(context.Background(), false).Processes; len(list) > 0 {
				_ = syscall.Kill(list[0].PID, syscall.SIGKILL)
			}
		}
	})
	for v := range 40 {
		if err := p.Switch(t.Context(), what{Version: v}.encode()); err != nil {
			t.Errorf("version %d: %v", v, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
	close(stop)
	killing.Wait()
	await(t, p, "39 39 39")
}

func TestTroubleIsReplaced(t *testing.T) {
	t.Parallel()
	p := open(t, 1, what{Version: 1})
	ready(t, p)
	pid := p.Status(t.Context(), false).Processes[0].PID
	if err := p.Switch(t.Context(), what{Version: 2, Trouble: "ill"}.encode()); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		s := await(t, p, "2")
		if s.Processes[0].PID != pid {
			if s.Died != 0 || s.Spawned != 2 {
				t.Errorf("%+v", s)
			}
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("it stays")
		}
	}
}

func TestLimitOfMemory(t *testing.T) {
	t.Parallel()
	p := open(t, 1, what{Version: 1})
	ready(t, p)
	p.Limit(64 << 20)
	pid := p.Status(t.Context(), false).Processes[0].PID
	if err := p.Switch(t.Context(), what{Version: 2, Grow: 128 << 20}.encode()); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		if list := p.Status(t.Context(), false).Processes; len(list) == 1 && list[0].PID != pid && list[0].Number != 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("it lives on")
		}
	}
}

func TestTry(t *testing.T) {
	t.Parallel()
	command := []string{"be-worker"}
	if remarks, err := serving.Try(t.Context(), command, what{Remark: "hm"}.encode()); err != nil || string(remarks) != `"hm"` {
		t.Errorf("%s, %v", remarks, err)
	}
	if remarks, err := serving.Try(t.Context(), command, what{}.encode()); err != nil || remarks != nil {
		t.Errorf("%s, %v", remarks, err)
	}
	var fault *serving.FaultError
	if _, err := serving.Try(t.Context(), command, what{Fault: "no"}.encode()); !errors.As(err, &fault) || fault.Fault != "no" {
		t.Error(err)
	}
	if _, err := serving.Try(t.Context(), command, what{Die: true}.encode()); err == nil || !strings.Contains(err.Error(), "signal: killed") {
		t.Error(err)
	}
}

// A pool whose processes cannot be set up says so, and stops.
func TestReadyTellsWhyNot(t *testing.T) {
	t.Parallel()
	p := open(t, 2, what{Fault: "no way"})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := p.Ready(ctx); err == nil || err.Error() != "no way" {
		t.Error(err)
	}
}
