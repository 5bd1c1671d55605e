package daemon

import (
	"context"
	"encoding/gob"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"pmilter/internal/config"
	"pmilter/internal/store"
)

// newProcess is a new server that runs a command of the shell, and the other end of its talk.
func newProcess(t *testing.T, command string) (s *successor, theirs net.Conn) {
	t.Helper()
	words, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	s = &successor{cmd: exec.Command("sh", "-c", command), exited: make(chan struct{})}
	s.cmd.Stderr = w
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = w.Close()
	s.words.copyFrom(words)
	go func() { _ = s.cmd.Wait(); close(s.exited) }()
	s.talk, theirs = net.Pipe()
	s.out, s.in = gob.NewEncoder(s.talk), gob.NewDecoder(s.talk)
	t.Cleanup(func() { s.kill(); <-s.exited; <-s.words.done; s.closeTalk(); _ = theirs.Close() })
	return s, theirs
}

// TestHear: a new server that says the wrong thing, or nothing more, has not come so far.
func TestHear(t *testing.T) {
	t.Parallel()
	s, theirs := newProcess(t, "exec sleep 1000")
	out := gob.NewEncoder(theirs)
	go func() {
		_ = out.Encode(progress{Stage: stageReady, Content: true})
		_ = out.Encode(progress{Stage: stageServing})
		_ = theirs.Close()
	}()
	if p, err := s.hear(stageReady); err != nil || !p.Content || p.Share {
		t.Errorf("%+v %v", p, err)
	}
	if _, err := s.hear(stageReady); err == nil || !strings.Contains(err.Error(), `says "serving", not "ready"`) {
		t.Errorf("another word: %v", err)
	}
	if _, err := s.hear(stageServing); err == nil {
		t.Error("it has said nothing")
	}
}

// TestFaultOfASuccessor: what is told of one that did not come to serve, which is gone then.
func TestFaultOfASuccessor(t *testing.T) {
	t.Parallel()
	failure := errors.New("it said no")
	late, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("it was late"))
	for name, tt := range map[string]struct {
		command string
		ctx     context.Context
		want    []string
		not     string
	}{
		"it ended":         {"echo why >&2; exit 3", t.Context(), []string{"exit status 3", "it said no", ": why"}, "killed"},
		"it hangs":         {"exec sleep 1000", t.Context(), []string{"signal: killed", "it said no"}, ""},
		"its time is up":   {"exec sleep 1000", late, []string{"signal: killed", "it was late"}, "it said no"},
		"it says too much": {"head -c 100000 /dev/zero | tr '\\0' x >&2; echo; echo the end >&2; exit 1", t.Context(), []string{"exit status 1", "the end"}, strings.Repeat("x", maxWords)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, theirs := newProcess(t, tt.command)
			if strings.HasPrefix(tt.command, "head") || strings.HasPrefix(tt.command, "echo") {
				<-s.exited // however slow the machine is
			}
			err := s.fault(tt.ctx, failure)
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%.300q has no %q", err, want)
				}
			}
			if tt.not != "" && strings.Contains(err.Error(), tt.not) {
				t.Errorf("%.300q has %.20q", err, tt.not)
			}
			select {
			case <-s.exited:
			default:
				t.Error("it lives on")
			}
			if _, err := theirs.Write([]byte{0}); err == nil {
				t.Error("it is still talked to")
			}
		})
	}
}

// TestTakeOverIsAsked: only by the server that started this process.
func TestTakeOverIsAsked(t *testing.T) {
	env := func(value string) func(string) (string, bool) {
		return func(name string) (string, bool) { return value, name == takeoverEnv && value != "" }
	}
	if p, err := TakeOver(env("")); p != nil || err != nil {
		t.Errorf("nobody asks: %v %v", p, err)
	}
	for _, value := range []string{"x", "1x", strconv.Itoa(os.Getpid()), strconv.Itoa(os.Getppid() + 1)} {
		t.Setenv(takeoverEnv, value)
		if p, err := TakeOver(env(value)); p != nil || err == nil || !strings.Contains(err.Error(), "own use") {
			t.Errorf("%q asks: %v %v", value, p, err)
		}
		if _, left := os.LookupEnv(takeoverEnv); left {
			t.Error("what this process starts is told so, too")
		}
	}
}

// TestReadySaysWhatItWants: the old server's calls come here unless both use one Redis; what
// that has in memory comes when the store is the same one.
func TestReadySaysWhatItWants(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "store.db")
	for _, tt := range []struct {
		old, ours      string
		share, content bool
	}{
		{"memory:", "memory:", true, true},
		{"file:" + path, "file:" + path, true, true},
		{"memory:", "file:" + path, true, false},
		{"memory:", "redis://127.0.0.1:1/0", true, false},
		{"redis://127.0.0.1:1/0", "redis://127.0.0.1:1/0", false, false},
		{"redis://127.0.0.1:1/1", "redis://127.0.0.1:1/0", true, false},
	} {
		cfg := config.Default()
		cfg.Store.URL = tt.ours
		talk, theirs := net.Pipe()
		p := &Predecessor{talk: talk, out: gob.NewEncoder(talk), offer: offer{Store: tt.old}}
		p.in = gob.NewDecoder(talk)
		said := make(chan progress, 1)
		go func() {
			var heard progress
			_ = gob.NewDecoder(theirs).Decode(&heard)
			said <- heard
			_ = theirs.Close() // it goes no further
		}()
		err := p.ready(t.Context(), store.NewSwitch(store.NewMemory(time.Now)), cfg, zap.NewNop())
		if got := <-said; got.Stage != stageReady || got.Share != tt.share || got.Content != tt.content {
			t.Errorf("%s after %s: %+v", tt.ours, tt.old, got)
		}
		if err == nil {
			t.Error("the old server has ended, and it goes on")
		}
		_ = talk.Close()
	}
}

// TestServingWaitsForItsTurn: until the old server has told the service manager.
func TestServingWaitsForItsTurn(t *testing.T) {
	t.Parallel()
	talk, theirs := net.Pipe()
	p := &Predecessor{talk: talk, out: gob.NewEncoder(talk), in: gob.NewDecoder(talk)}
	p.stderr = nil // so that this process keeps its own: it ends with that error
	done := make(chan error, 1)
	go func() { done <- p.serving([]string{"milter x"}) }()
	var heard progress
	if err := gob.NewDecoder(theirs).Decode(&heard); err != nil || heard.Stage != stageServing || len(heard.Sockets) != 1 {
		t.Fatalf("%+v %v", heard, err)
	}
	select {
	case <-done:
		t.Fatal("it did not wait")
	case <-time.After(50 * time.Millisecond):
	}
	if err := gob.NewEncoder(theirs).Encode(progress{Stage: stageYours}); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err == nil || !strings.Contains(err.Error(), "standard error") {
		t.Errorf("%v", err)
	}
}
