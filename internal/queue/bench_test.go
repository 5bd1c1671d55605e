package queue

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"pmilter/internal/event"
)

// BenchmarkPut compares Put with a plain Maildir writer, which syncs each file
// and the folder for each: messages of 8 KiB from 1, 16 and 64 connections, in
// short rounds that take turns, so that both see the same disk. ratio is the
// median of the rounds. Point TMPDIR at a disk: on tmpfs a sync is nothing.
func BenchmarkPut(b *testing.B) {
	message := bytes.Repeat([]byte("0123456789 abcdefghijklmnopqrstuvwxyz 0123456789 abcdefghijklmn\r\n"), 8<<10/66)
	for _, connections := range []int{1, 16, 64} {
		b.Run(strconv.Itoa(connections), func(b *testing.B) {
			plain, q, w := newQueue(b), newQueue(b), NewWriter()
			compared(b, connections, func() error { return plainPut(plain, message) }, func() error {
				e := &event.Event{Sender: "a@example.org", Recipients: []string{"b@example.net"}, Verdict: "accept", Complete: true}
				return w.Put(context.Background(), []Entry{{q, e}}, func() {}, message)
			})
		})
	}
}

// compared runs b.N rounds of both.
func compared(b *testing.B, connections int, plain, queue func() error) {
	b.Helper()
	const each = 4 // messages a connection and round
	var ratios []float64
	var total [2]time.Duration
	for i := range b.N {
		var took [2]time.Duration
		for turn := range 2 {
			which := (turn + i) % 2
			start := time.Now()
			hammer(b, connections, each, [...]func() error{plain, queue}[which])
			took[which] = time.Since(start)
			total[which] += took[which]
		}
		ratios = append(ratios, took[0].Seconds()/took[1].Seconds())
	}
	slices.Sort(ratios)
	count := float64(b.N * each * connections)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(count/total[0].Seconds(), "plain/s")
	b.ReportMetric(count/total[1].Seconds(), "queue/s")
	b.ReportMetric(ratios[len(ratios)/2], "ratio")
}

func hammer(b *testing.B, connections, each int, put func() error) {
	b.Helper()
	var wg sync.WaitGroup
	for range connections {
		wg.Go(func() {
			for range each {
				if err := put(); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// plainPut is maildir(5)'s delivery, synced.
func plainPut(q *Queue, message []byte) error {
	name := q.unique()
	tmp, dir := filepath.Join(q.sub("", "tmp"), name), q.sub("", "new")
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(message)
	if err = errors.Join(err, f.Sync(), f.Close(), os.Rename(tmp, filepath.Join(dir, name))); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
