package queue

import "sync"

// sharedSync syncs one folder for all who need it: who comes while a sync is
// under way waits for the next one, and all who came meanwhile share that. (The
// one under way may have begun before what they renamed.)
type sharedSync struct {
	dir  string
	disk disk

	mu      sync.Mutex
	running bool
	next    *syncRound // the one that who comes now joins
}

// syncRound is one sync of the folder.
type syncRound struct {
	joined int
	lead   chan struct{} // gets one token: who takes it makes the round
	done   chan struct{}
	err    error // once done
}

func newRound() *syncRound {
	return &syncRound{lead: make(chan struct{}, 1), done: make(chan struct{})}
}

func newSharedSync(dir string, d disk) *sharedSync {
	return &sharedSync{dir: dir, disk: d, next: newRound()}
}

// Sync returns when a sync of the folder that began after the call has ended.
func (s *sharedSync) Sync() error {
	s.mu.Lock()
	mine := s.next
	mine.joined++
	if !s.running {
		s.running = true
		mine.lead <- struct{}{}
	}
	s.mu.Unlock()
	select {
	case <-mine.done:
	case <-mine.lead:
		s.run(mine)
	}
	return mine.err
}

// run makes a round, and has one of those who wait for the next make that.
func (s *sharedSync) run(r *syncRound) {
	s.mu.Lock()
	s.next = newRound()
	s.mu.Unlock()
	r.err = s.disk.SyncDir(s.dir)
	close(r.done)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.next.joined > 0 {
		s.next.lead <- struct{}{}
	} else {
		s.running = false
	}
}
