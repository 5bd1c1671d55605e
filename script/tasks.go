package script

import "sync"

// taskQueue holds what other goroutines (timers, look-ups) want run in a
// world: it is run while a handler waits, or at the start of the next call.
type taskQueue struct {
	mu       sync.Mutex
	list     []func()
	closed   bool
	sleeping bool          // the world waits for a task
	release  func()        // of the clock, which a task for a sleeping world holds until it is awake
	ready    chan struct{} // has an element when list may not be empty
}

// post queues a task for the world's goroutine. Safe from any goroutine; never
// blocks; a task for a world that is gone is dropped.
func (w *World) post(task func()) {
	q := &w.tasks
	q.mu.Lock()
	if !q.closed {
		q.list = append(q.list, task)
		if q.sleeping && q.release == nil {
			q.release = w.clock.Hold()
		}
	}
	q.mu.Unlock()
	select {
	case q.ready <- struct{}{}:
	default:
	}
}

// sleeps notes whether the world waits for a task.
func (q *taskQueue) sleeps(yes bool) {
	q.mu.Lock()
	q.sleeping = yes
	release := q.release
	q.release = nil
	q.mu.Unlock()
	if release != nil {
		release()
	}
}

func (q *taskQueue) take() []func() {
	q.mu.Lock()
	defer q.mu.Unlock()
	list := q.list
	q.list = nil
	return list
}

func (q *taskQueue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed, q.list = true, nil
}
