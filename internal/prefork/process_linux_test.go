package prefork_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"pmilter/internal/prefork"
)

// TestMain makes of this test binary a worker, or the parent of workers, when it is
// called so.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "be-worker":
			os.Exit(beWorker())
		case "be-parent":
			os.Exit(beParent())
		}
	}
	goleak.VerifyTestMain(m)
}

// beWorker does jobs: "echo TEXT", "pid", "program" (runs a program, answers with its
// number), "hang" and "chatter" (the same, and never answer; the number is a note), "sleep D", "die",
// "grow" (holds 64 MiB), "rave" (writes 8 MiB to its standard error and dies).
func beWorker() int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	var kept []byte
	err := prefork.Serve(ctx, func(_ context.Context, setup []byte, notify func([]byte) error) (prefork.Do, error) {
		if string(setup) == "broken" {
			return nil, errors.New("broken as asked")
		}
		program := func() string {
			cmd := exec.Command("sleep", "1000") // as programs of programs are: without a parent-death signal
			if err := cmd.Start(); err != nil {
				return err.Error()
			}
			return strconv.Itoa(cmd.Process.Pid)
		}
		return func(_ context.Context, job []byte) ([]byte, bool) {
			word, rest, _ := strings.Cut(string(job), " ")
			switch word {
			case "rave": // as a runtime that dies: more than anybody wants, and the end
				fmt.Fprint(os.Stderr, "fatal error: "+strings.Repeat("x", 8<<20)+"end")
				os.Exit(2)
			case "echo":
				return []byte(rest), false
			case "pid":
				return []byte(strconv.Itoa(os.Getpid())), false
			case "program":
				return []byte(program()), false
			case "hang":
				_ = notify([]byte(program()))
				select {}
			case "chatter": // hang, and say so all the time
				said := []byte(program())
				for notify(said) == nil { // until the pool is gone
				}
			case "sleep":
				d, _ := time.ParseDuration(rest)
				_ = notify([]byte("asleep"))
				time.Sleep(d)
			case "die":
				_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
				select {}
			case "grow":
				kept = make([]byte, 64<<20)
				for i := 0; i < len(kept); i += 4096 {
					kept[i] = 1
				}
			}
			return []byte("done"), false
		}, nil
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// beParent has a pool of two workers, of which one has the job that it is told, with a program; it prints
// their numbers and the program's, and waits to be killed.
func beParent() int {
	notes, ready := make(chan string, 1), make(chan int, 2)
	p := prefork.New(prefork.Options{
		Args: []string{"be-worker"}, Min: 2, Max: 2,
		Hooks: prefork.Hooks{Note: func(_ int, note []byte) { notes <- string(note) }, Ready: func(pid int) { ready <- pid }},
	})
	ctx := context.Background()
	for range 2 {
		<-ready
	}
	go func() { _, _ = p.Do(ctx, prefork.Job{Data: []byte(os.Args[2])}) }()
	program := <-notes
	fmt.Println(p.Status().Workers[0].PID, p.Status().Workers[1].PID, program)
	select {}
}

func newPool(t *testing.T, o prefork.Options) *prefork.Pool {
	t.Helper()
	o.Args = []string{"be-worker"}
	p := prefork.New(o)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := p.Stop(ctx); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	return p
}

// TestStderr: of what a worker writes to its standard error the beginning is kept, and
// however much it is it keeps nobody from ending.
func TestStderr(t *testing.T) {
	exits := make(chan prefork.Exit, 1)
	p := newPool(t, prefork.Options{Max: 1, KeepStderr: true, Hooks: prefork.Hooks{OnReap: func(e prefork.Exit) { exits <- e }}})
	if _, err := p.Do(t.Context(), prefork.Job{Data: []byte("rave ")}); err == nil {
		t.Error("it lives")
	}
	e := <-exits
	if len(e.Stderr) != 4<<10 || !strings.HasPrefix(e.Stderr, "fatal error: xxx") || e.Status != "exit status 2" {
		t.Errorf("%s, %d bytes: %.40s", e.Status, len(e.Stderr), e.Stderr)
	}
}

// gone waits until a process is no more, or a zombie that somebody else has to reap.
func gone(t *testing.T, pid string) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		data, err := os.ReadFile("/proc/" + pid + "/stat")
		if _, after, ok := strings.Cut(string(data), ") "); err != nil || ok && strings.HasPrefix(after, "Z") {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("process %s is still there: %s", pid, data)
		}
		time.Sleep(time.Millisecond)
	}
}

func TestRealWorkers(t *testing.T) {
	t.Parallel()
	p := newPool(t, prefork.Options{Min: 1, Max: 2})
	big := strings.Repeat("x", 1<<20)
	if got := do(t, p, "echo "+big); got != big {
		t.Errorf("%d bytes came back", len(got))
	}
	pid := do(t, p, "pid")
	if w := p.Status().Workers[0]; strconv.Itoa(w.PID) != pid || w.Jobs != 2 || w.Memory < 100<<10 {
		t.Errorf("%+v", w)
	}
	stat, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(stat), ") ")
	if f := strings.Fields(after); f[2] != pid || f[3] != pid {
		t.Errorf("group %s, session %s of process %s", f[2], f[3], pid)
	}
}

func TestTheGroupDiesWithItsWorker(t *testing.T) {
	t.Parallel()
	for _, end := range []string{"timeout", "die", "stop"} {
		t.Run(end, func(t *testing.T) {
			t.Parallel()
			notes := make(chan string, 1)
			p := newPool(t, prefork.Options{Max: 1, Hooks: prefork.Hooks{Note: func(_ int, n []byte) { notes <- string(n) }}})
			var program string
			switch end {
			case "timeout":
				_, err := p.Do(t.Context(), prefork.Job{Data: []byte("hang"), Timeout: 300 * time.Millisecond})
				var died *prefork.DiedError
				if !errors.As(err, &died) || !died.Timeout || died.Status != "signal: killed" {
					t.Errorf("error %v", err)
				}
				program = <-notes
			case "die":
				program = do(t, p, "program")
				if _, err := p.Do(t.Context(), prefork.Job{Data: []byte("die")}); err == nil {
					t.Error("a dead worker has answered")
				}
			default:
				program = do(t, p, "program")
				if err := p.Stop(t.Context()); err != nil {
					t.Error(err)
				}
				gone(t, program)
				return
			}
			gone(t, program)
			do(t, p, "echo x")
		})
	}
}

// TestNoOrphanOutlivesAKilledParent: nor does a program, which has no parent-death
// signal of its own; nor a worker that was stopped.
func TestNoOrphanOutlivesAKilledParent(t *testing.T) {
	t.Parallel()
	for _, way := range []string{"hang", "stopped", "chatter"} {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			job := strings.Replace(way, "stopped", "hang", 1)
			cmd := exec.Command("/proc/self/exe", "be-parent", job)
			cmd.Stderr = os.Stderr
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			line, err := bufio.NewReader(out).ReadString('\n')
			pids := strings.Fields(line)
			if err != nil || len(pids) != 3 {
				t.Fatalf("%q %v", line, err)
			}
			if way == "stopped" {
				for _, pid := range pids[:2] {
					n, _ := strconv.Atoi(pid)
					if err := syscall.Kill(n, syscall.SIGSTOP); err != nil {
						t.Error(err)
					}
				}
			}
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
			for _, pid := range pids {
				gone(t, pid)
			}
		})
	}
}

func TestSIGTERMLetsTheJobFinish(t *testing.T) {
	t.Parallel()
	asleep := make(chan struct{}, 1)
	p := newPool(t, prefork.Options{
		Max: 1, Hooks: prefork.Hooks{Note: func(int, []byte) { asleep <- struct{}{} }},
		Signals: map[syscall.Signal]prefork.Reaction{syscall.SIGUSR1: {Send: syscall.SIGTERM}},
	})
	first := do(t, p, "pid")
	done := make(chan error, 1)
	go func() {
		_, err := p.Do(context.Background(), prefork.Job{Data: []byte("sleep 200ms")})
		done <- err
	}()
	<-asleep
	if err := p.Signal(t.Context(), syscall.SIGUSR1); err != nil {
		t.Error(err)
	}
	if err := <-done; err != nil {
		t.Errorf("the job: %v", err)
	}
	gone(t, first)
	if second := do(t, p, "pid"); second == first {
		t.Error("the worker did not end")
	}
}

func TestMemoryIsLookedAt(t *testing.T) {
	t.Parallel()
	p := newPool(t, prefork.Options{Max: 1, Memory: 48 << 20})
	first := do(t, p, "pid")
	if same := do(t, p, "pid"); same != first {
		t.Errorf("replaced without a reason")
	}
	do(t, p, "grow")
	if second := do(t, p, "pid"); second == first {
		t.Error("it holds 64 MiB and is still there")
	}
}

func TestAFaultAtTheStartIsTold(t *testing.T) {
	t.Parallel()
	reaped := make(chan prefork.Exit, 1)
	newPool(t, prefork.Options{
		Min: 1, Max: 1, ErrorInterval: time.Hour, Setup: func() []byte { return []byte("broken") },
		Hooks: prefork.Hooks{OnReap: func(e prefork.Exit) { reaped <- e }},
	})
	if e := <-reaped; e.Fault != "broken as asked" {
		t.Errorf("%+v", e)
	}
}

func TestServeWithoutAPool(t *testing.T) {
	t.Parallel()
	cmd := exec.Command("/proc/self/exe", "be-worker")
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), prefork.ErrNoPool.Error()) {
		t.Errorf("%v: %s", err, out)
	}
}

func BenchmarkDo(b *testing.B) {
	p := prefork.New(prefork.Options{Args: []string{"be-worker"}, Min: 1, Max: 1})
	defer func() { _ = p.Stop(context.Background()) }()
	job := prefork.Job{What: "x", Data: []byte("echo hello"), Timeout: time.Minute}
	if _, err := p.Do(b.Context(), job); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := p.Do(b.Context(), job); err != nil {
			b.Fatal(err)
		}
	}
}
