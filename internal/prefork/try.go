package prefork

import (
	"context"
	"time"
)

// NotReadyError is how a worker ended that was only to be tried.
type NotReadyError struct{ Exit Exit }

func (e *NotReadyError) Error() string {
	return "prefork: a worker could not be set up: " + cause(e.Exit)
}

// Try starts one worker as o says and ends it when it is ready. Of the hooks BeforeSpawn
// and Note are called. The error is a *NotReadyError, or says that no process could be started.
func Try(ctx context.Context, o Options) error {
	result := make(chan error, 3) // room for all that may be said: the pool must not wait
	o.Min, o.Max = 1, 1
	o.ErrorInterval, o.MaxErrorInterval = 24*time.Hour, 24*time.Hour // it is tried once
	o.Hooks = Hooks{
		BeforeSpawn: o.Hooks.BeforeSpawn, Note: o.Hooks.Note,
		SpawnFailed: func(err error) { result <- err },
		Ready:       func(int) { result <- nil },
		OnReap: func(e Exit) {
			if e.Reason == "" {
				result <- &NotReadyError{e}
			}
		},
	}
	p := New(o)
	defer func() { _ = p.Stop(context.WithoutCancel(ctx)) }() // it has nothing to finish
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}
