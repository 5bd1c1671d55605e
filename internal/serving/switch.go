package serving

import (
	"context"
	"encoding/json"
	"time"

	"go.uber.org/zap"
)

// Switch has all processes go over to another set, together: see the package. With an
// error, a *FaultError when a process could not use it, all stay with the old one. ctx
// ends the first half; from the second there is no way back, and it takes moments. A
// process that does not answer is killed.
func (p *Pool) Switch(ctx context.Context, set json.RawMessage) error {
	p.switching.Lock()
	defer p.switching.Unlock()
	p.mu.Lock()
	p.number++
	p.busy = true
	s := change{p: p, number: p.number}
	for pid, w := range p.members {
		if w.admitted {
			s.pids = append(s.pids, pid)
		}
	}
	p.mu.Unlock()
	err := s.prepare(ctx, set)
	if err == nil {
		s.tell(message{Word: wordHold, Number: s.number})
		// Whatever becomes of ctx now: who holds must not be left so.
		err = s.await(context.WithoutCancel(ctx), answerTimeout, func(w *member) bool { return w.held == s.number })
	}
	verdict := message{Word: wordDrop, Number: s.number}
	p.mu.Lock()
	if err == nil {
		p.using, p.set = s.number, set
		verdict.Word = wordUse
	}
	p.busy = false
	s.tell(verdict)
	p.admitAll()
	p.mu.Unlock()
	if err != nil {
		return err
	}
	return s.await(context.WithoutCancel(ctx), answerTimeout, func(w *member) bool { return w.using == s.number })
}

// change is one Switch: of the processes that had begun when it began. The others wait for
// its end.
type change struct {
	p      *Pool
	number uint64
	pids   []int
}

func (s *change) tell(m message) {
	data := m.encode()
	for _, pid := range s.pids {
		s.p.pool.Tell(pid, data) // one that is gone needs no telling
	}
}

// prepare is the first half.
func (s *change) prepare(ctx context.Context, set json.RawMessage) error {
	s.tell(message{Word: wordPrepare, Number: s.number, Data: set})
	var fault string
	err := s.await(ctx, prepareTimeout, func(w *member) bool {
		if w.prepared == s.number && w.fault != "" {
			fault = w.fault
		}
		return w.prepared == s.number || fault != ""
	})
	if fault != "" {
		return &FaultError{fault}
	}
	return err
}

// await returns when all that are left of the processes are so far, or ctx is done.
// After the timeout those that are not are killed, and waited for.
func (s *change) await(ctx context.Context, timeout time.Duration, far func(*member) bool) error {
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	for {
		s.p.mu.Lock()
		changed := s.p.changed
		var slow []int
		for _, pid := range s.pids {
			if w := s.p.members[pid]; w != nil && !far(w) {
				slow = append(slow, pid)
			}
		}
		s.p.mu.Unlock()
		if len(slow) == 0 {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
			for _, pid := range slow {
				s.p.o.Log.Error("serving process killed: it does not answer", zap.Int("pid", pid))
				s.p.pool.Kill(pid, "hung")
			}
		}
	}
}
