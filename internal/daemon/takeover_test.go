package daemon

import (
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"pmilter/internal/config"
	"pmilter/internal/store"
)

// TestLendStoreFails: when the new server does not take the store, the old one goes on
// with its own, with all that was in it and that was held; calls that came meanwhile are
// done, and the new server is gone.
func TestLendStoreFails(t *testing.T) {
	for name, url := range map[string]string{"memory": "memory:", "file": "file:" + filepath.Join(t.TempDir(), "s")} {
		t.Run(name, func(t *testing.T) {
			s := one(t, storeImport+`export async function mail() { return reject("n" + await store.incr("n")); }`, storeURL(url))
			r := newRunning(Options{Log: s.e.log}, s.cfg, s.e, &jobQueues{}, &sockets{})
			if got := outcomeOf(s.send(plain())); got != "mail 550 5.7.1 n1" {
				t.Fatal(got)
			}
			gate := s.e.services.store
			if ok, _, err := gate.Hold(t.Context(), "k", "h", 0); !ok || err != nil {
				t.Fatal(err)
			}
			next := &successor{cmd: exec.Command("sleep", "1000"), exited: make(chan struct{})}
			if err := next.cmd.Start(); err != nil {
				t.Fatal(err)
			}
			go func() { _ = next.cmd.Wait(); close(next.exited) }()
			next.out = gob.NewEncoder(io.Discard)
			meanwhile := make(chan string, 1)
			failure := errors.New("it does not want it")
			err := r.lendStore(t.Context(), next, true, func(_ context.Context, send func(store.Entry) error) error {
				go func() { meanwhile <- outcomeOf(s.send(plain())) }()
				select {
				case got := <-meanwhile:
					t.Errorf("it did not wait: %s", got)
				case <-time.After(100 * time.Millisecond):
				}
				return errors.Join(send(store.Entry{}), failure)
			})
			if !errors.Is(err, failure) {
				t.Errorf("%v", err)
			}
			if got := <-meanwhile; got != "mail 550 5.7.1 n2" {
				t.Errorf("meanwhile: %s", got)
			}
			if ok, n, err := gate.Hold(t.Context(), "k", "i", 1); ok || n != 1 || err != nil {
				t.Errorf("the hold was lost: %v %d %v", ok, n, err)
			}
			next.kill()
			<-next.exited
		})
	}
}

// TestStoreIdentity: what is the same store, and what is not.
func TestStoreIdentity(t *testing.T) {
	dir := t.TempDir()
	of := func(url, state string) string {
		cfg := config.Default()
		cfg.Store.URL, cfg.Server.State = url, state
		return storeIdentity(cfg)
	}
	if of("file:", dir) != of(fmt.Sprintf("file:%s/store.db", dir), "") {
		t.Error("the file of the state folder")
	}
	for _, pair := range [][2]string{{"memory:", "file:/x"}, {"file:/x", "file:/y"}, {"redis://h/0", "redis://h/1"}} {
		if of(pair[0], dir) == of(pair[1], dir) {
			t.Errorf("%v are the same", pair)
		}
	}
}
