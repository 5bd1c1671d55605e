package store

import (
	"context"
	"sync"
	"time"
)

// Switch is a store that passes its calls to another one, which can be exchanged while
// it is in use: a server that is being replaced goes on with the store of the new one.
// Calls wait while there is none.
type Switch struct {
	mu       sync.Mutex
	store    Store
	inline   bool          // store never waits
	calls    int           // under way
	paused   chan struct{} // closed when there is a store again; nil when there is one
	idle     chan struct{} // closed when no call is under way; nil: nobody waits for that
	released []string      // while it was paused
	closed   bool
}

var _ Store = (*Switch)(nil)

// NewSwitch makes a Switch to s; nil for none yet.
func NewSwitch(s Store) *Switch {
	w := &Switch{paused: make(chan struct{})}
	if s != nil {
		w.Use(s)
	}
	return w
}

// Pause has calls wait from now on and returns when those under way are done, with the
// store, which the caller gives back by Use or closes. With an error, which is ctx's,
// nothing has changed. One may pause it at a time.
func (w *Switch) Pause(ctx context.Context) (Store, error) {
	w.mu.Lock()
	s, idle := w.store, make(chan struct{})
	w.store, w.inline, w.paused, w.idle = nil, false, make(chan struct{}), idle
	w.settle()
	w.mu.Unlock()
	select {
	case <-idle:
		return s, nil
	case <-ctx.Done():
		w.Use(s)
		return nil, ctx.Err()
	}
}

// Use has calls go to s, those first that wait. The store before, if there is one, is
// the caller's. After Close s is closed: it has come too late.
func (w *Switch) Use(s Store) {
	_, inline := s.(interface{ NeverWaits() bool })
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		_ = s.Close() // nothing was done with it
		return
	}
	w.store, w.inline, w.idle = s, inline, nil
	for _, holder := range w.released {
		s.Release(holder)
	}
	w.released = nil
	if w.paused != nil {
		close(w.paused)
		w.paused = nil
	}
}

// NeverWaits tells whether calls need no goroutine of their own at present. One that
// comes as a pause begins waits all the same.
func (w *Switch) NeverWaits() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.inline
}

// enter is before a call: the store, once there is one. Each has its leave.
func (w *Switch) enter(ctx context.Context) (Store, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.paused != nil && !w.closed {
		paused := w.paused
		w.mu.Unlock()
		select {
		case <-paused:
		case <-ctx.Done():
		}
		w.mu.Lock()
		if ctx.Err() != nil && w.paused != nil {
			return nil, ctx.Err()
		}
	}
	if w.closed {
		return nil, unavailable(errClosed)
	}
	w.calls++
	return w.store, nil
}

func (w *Switch) leave() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calls--
	w.settle()
}

func (w *Switch) settle() {
	if w.calls == 0 && w.idle != nil {
		close(w.idle)
		w.idle = nil
	}
}

// Get implements Store, as do the others below.
func (w *Switch) Get(ctx context.Context, key string) (value []byte, found bool, err error) {
	s, err := w.enter(ctx)
	if err != nil {
		return nil, false, err
	}
	defer w.leave()
	return s.Get(ctx, key)
}

// Set stores a value.
func (w *Switch) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	s, err := w.enter(ctx)
	if err != nil {
		return err
	}
	defer w.leave()
	return s.Set(ctx, key, value, ttl)
}

// Add stores a value where there is none.
func (w *Switch) Add(ctx context.Context, key string, value []byte, ttl time.Duration) (bool, error) {
	s, err := w.enter(ctx)
	if err != nil {
		return false, err
	}
	defer w.leave()
	return s.Add(ctx, key, value, ttl)
}

// Delete removes a value and a window.
func (w *Switch) Delete(ctx context.Context, key string) (bool, error) {
	s, err := w.enter(ctx)
	if err != nil {
		return false, err
	}
	defer w.leave()
	return s.Delete(ctx, key)
}

// Incr adds to a number.
func (w *Switch) Incr(ctx context.Context, key string, by int64, ttl time.Duration) (int64, error) {
	s, err := w.enter(ctx)
	if err != nil {
		return 0, err
	}
	defer w.leave()
	return s.Incr(ctx, key, by, ttl)
}

// Limit counts a call.
func (w *Switch) Limit(ctx context.Context, key string, most int64, per time.Duration) (ok bool, count int64, resetAfter time.Duration, err error) {
	s, err := w.enter(ctx)
	if err != nil {
		return false, 0, 0, err
	}
	defer w.leave()
	return s.Limit(ctx, key, most, per)
}

// Hold makes a holder.
func (w *Switch) Hold(ctx context.Context, key, holder string, most int64) (ok bool, count int64, err error) {
	s, err := w.enter(ctx)
	if err != nil {
		return false, 0, err
	}
	defer w.leave()
	return s.Hold(ctx, key, holder, most)
}

// Release ends a holder, when there is a store.
func (w *Switch) Release(holder string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.closed:
	case w.store == nil:
		w.released = append(w.released, holder)
	default:
		w.store.Release(holder)
	}
}

// Close closes the store, if there is one. Calls fail from now on.
func (w *Switch) Close() error {
	w.mu.Lock()
	s := w.store
	w.closed = true
	if w.paused != nil {
		close(w.paused)
		w.paused = nil
	}
	w.mu.Unlock()
	if s == nil {
		return nil
	}
	return s.Close()
}
