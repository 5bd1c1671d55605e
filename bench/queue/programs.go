package main

import (
	"context"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// programs is how many mails a second are handed to a program of their own each.
func (b *bench) programs(name string, args ...string) func(context.Context) (figure, error) {
	return func(ctx context.Context) (figure, error) {
		path, err := exec.LookPath(name)
		if err != nil {
			return figure{}, nil //nolint:nilerr // it is not there
		}
		mails := b.mails
		if name == "node" {
			mails /= 10 // it is slow
		}
		todo := make(chan int)
		var all sync.WaitGroup
		var once sync.Once
		var failed error
		start, before := time.Now(), children()
		for range b.workers {
			all.Go(func() {
				for n := range todo {
					cmd := exec.CommandContext(ctx, path, args...)
					cmd.Stdin = strings.NewReader(string(mail(n)))
					if err := cmd.Run(); err != nil && !strings.Contains(err.Error(), "broken pipe") {
						once.Do(func() { failed = err })
					}
				}
			})
		}
		for n := range mails {
			todo <- n
		}
		close(todo)
		all.Wait()
		rate := float64(mails) / time.Since(start).Seconds()
		return figure{rate, (children() - before) / float64(mails)}, failed
	}
}

// children is the processor time of all our processes that have ended, in seconds.
func children() float64 {
	var used syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_CHILDREN, &used) // it cannot fail
	return time.Duration(used.Utime.Nano() + used.Stime.Nano()).Seconds()
}
