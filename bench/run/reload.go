package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"pmilter/internal/load"
)

// twenty makes a folder of as many scripts; the last refuses each MAIL if it is told to.
func (b *bench) twenty(refuse bool) (string, error) {
	folder := filepath.Join(b.dir, "twenty-scripts")
	if err := os.MkdirAll(folder, 0o755); err != nil { //nolint:gosec // see run
		return "", err
	}
	source, err := os.ReadFile(filepath.Join(b.top, "bench", "scripts", "realistic.js"))
	if err != nil {
		return "", err
	}
	for i := range 19 {
		if err := os.WriteFile(filepath.Join(folder, fmt.Sprintf("%02d.js", i)), source, 0o600); err != nil {
			return "", err
		}
	}
	return folder, b.last(folder, refuse)
}

// last writes the twentieth script; the file is closed when it returns.
func (b *bench) last(folder string, refuse bool) error {
	text := "import { reject } from \"pmilter\";\nexport function rcpt() {}\n"
	if refuse {
		text = strings.Replace(text, "{}", "{ return reject(); }", 1)
	}
	return os.WriteFile(filepath.Join(folder, "19.js"), []byte(text), 0o600)
}

// reload is the time from a file's close until new connections get the new set,
// under 200 messages a second on connections of one message each, and the
// slowest of those beside the slowest of as long a time without a reload.
func (b *bench) reload(ctx context.Context) error {
	folder, err := b.twenty(false)
	if err != nil {
		return err
	}
	s, err := b.serve(ctx, "twenty", folder)
	if err != nil {
		return err
	}
	var took, quiet, slowest []float64
	for r := range b.rounds + 1 {
		calm, _, err := b.during(ctx, s, func() error { pause(ctx, 400*time.Millisecond); return nil })
		if err != nil {
			return err
		}
		refuse := r%2 == 0
		busy, lasted, err := b.during(ctx, s, func() error {
			if err := b.last(folder, refuse); err != nil {
				return err
			}
			return b.awaitAnswer(ctx, s, refuse)
		})
		if err != nil {
			return err
		}
		if r > 0 {
			took = append(took, milliseconds(lasted))
			quiet = append(quiet, milliseconds(calm))
			slowest = append(slowest, milliseconds(busy))
		}
	}
	b.atMost("reload of 20 scripts, file closed to new set serving", median(took), 300, "ms", "100 of them settle")
	b.atMost("slowest message during a reload, more than without", median(slowest)-median(quiet), 10, "ms",
		fmt.Sprintf("%.1f, without %.1f ms; 200 messages/s", median(slowest), median(quiet)))
	return nil
}

// during does something under load and tells the slowest message and how long it took.
func (b *bench) during(ctx context.Context, s *server, do func() error) (slowest, took time.Duration, err error) {
	loaded, cancel := context.WithCancel(ctx)
	defer cancel()
	p := b.plan(s, 1)
	p.Rate, p.Duration = 200, 0
	var result *load.Result
	var failed error
	var all sync.WaitGroup
	all.Go(func() { result, failed = load.Run(loaded, p) })
	pause(ctx, 50*time.Millisecond)
	begin := time.Now()
	err = do()
	took = time.Since(begin)
	cancel()
	all.Wait()
	if err = errors.Join(err, failed); err != nil {
		return 0, 0, err
	}
	return result.Latency.Max(), took, nil
}

// awaitAnswer asks on new connections until RCPT is answered as it should be.
func (b *bench) awaitAnswer(ctx context.Context, s *server, refuse bool) error {
	for begin := time.Now(); time.Since(begin) < 10*time.Second; pause(ctx, time.Millisecond) {
		refused, err := load.Ask(ctx, "unix", s.socket)
		if err != nil {
			return err
		}
		if refused == refuse {
			return nil
		}
	}
	return fmt.Errorf("no reload within 10 s")
}

// start is the time from exec to the first connection that is taken, with 20 scripts.
func (b *bench) start(ctx context.Context) error {
	folder, err := b.twenty(false)
	if err != nil {
		return err
	}
	var took []float64
	for range 2*b.rounds + 1 {
		s, err := b.serve(ctx, "twenty", folder)
		if err != nil {
			return err
		}
		took = append(took, milliseconds(s.ready))
		b.stopAll()
	}
	b.atMost("exec to listening, 20 scripts", median(took), 150, "ms", fmt.Sprintf("%d starts", len(took)))
	return nil
}
