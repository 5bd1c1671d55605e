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
	if mine.joined++; !s.running {
		s.begin()
	}
	s.mu.Unlock()
	select {
	case <-mine.done:
	case <-mine.lead:
		mine.err = s.disk.SyncDir(s.dir)
		close(mine.done)
		s.mu.Lock()
		if s.running = false; s.next.joined > 0 {
			s.begin()
		}
		s.mu.Unlock()
	}
	return mine.err
}

// begin has one of those who joined the next round make it. With mu held.
func (s *sharedSync) begin() {
	s.running = true
	s.next.lead <- struct{}{}
	s.next = newRound()
}
