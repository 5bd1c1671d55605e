package store

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"
)

const (
	// lease is how long a hold outlives a process that died.
	lease = 45 * time.Second
	// renewEvery leaves two more tries before a lease ends.
	renewEvery = lease / 3
	// someLeases is how many are renewed or given back in one batch.
	someLeases = 500
)

//go:embed lua/hold.lua
var holdSource string

// leases are the holds of this process: which keys each holder has, or may have.
type leases struct {
	mu       sync.Mutex
	held     map[string]map[string]bool // holder, key: true if it is certain, and so renewed
	released []pair                     // to be given back
	wake     chan struct{}              // has an element when there may be any
}

type pair struct{ key, holder string }

func newLeases() leases {
	return leases{held: map[string]map[string]bool{}, wake: make(chan struct{}, 1)}
}

// Hold makes a holder.
func (r *Redis) Hold(ctx context.Context, key, holder string, most int64) (ok bool, count int64, err error) {
	if err := checkKey(key); err != nil {
		return false, 0, err
	}
	r.leases.note(key, holder, false) // whatever becomes of the call, Release undoes it
	cmd, err := r.script(ctx, holdSource, at(holders, key), holder, most, lease.Milliseconds())
	if err != nil {
		return false, 0, err
	}
	n, err := cmd.Int64Slice()
	if err != nil || len(n) != 2 {
		return false, 0, fmt.Errorf("store: hold: %w", errors.Join(err, errAnswer))
	}
	if ok = n[0] == 1; ok {
		r.leases.note(key, holder, true)
	} else {
		r.leases.drop(key, holder)
	}
	return ok, n[1], nil
}

// Release ends a holder.
func (r *Redis) Release(holder string) {
	l := &r.leases
	l.mu.Lock()
	defer l.mu.Unlock()
	for key := range l.held[holder] {
		l.released = append(l.released, pair{key, holder})
	}
	delete(l.held, holder)
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// note keeps a hold; one that is certain stays so.
func (l *leases) note(key, holder string, certain bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held[holder] == nil {
		l.held[holder] = map[string]bool{}
	}
	l.held[holder][key] = certain || l.held[holder][key]
}

func (l *leases) drop(key, holder string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.held[holder], key)
	if len(l.held[holder]) == 0 {
		delete(l.held, holder)
	}
}

// certain is the holds to renew.
func (l *leases) certain() (list []pair) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for holder, keys := range l.held {
		for key, sure := range keys {
			if sure {
				list = append(list, pair{key, holder})
			}
		}
	}
	return list
}

func (l *leases) takeReleased() []pair {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := l.released
	l.released = nil
	return list
}

// keepLeases renews the leases and gives back those that are released, all of
// them at the end.
func (r *Redis) keepLeases() {
	tick := time.NewTicker(renewEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			r.renew()
		case <-r.leases.wake:
			r.giveBack(r.leases.takeReleased())
		case <-r.stop:
			r.giveBack(append(r.leases.takeReleased(), r.leases.certain()...))
			return
		}
	}
}

// renew asks for all that is held anew. What the server has forgotten, started
// anew, it knows then again.
func (r *Redis) renew() {
	r.each(r.leases.certain(), "renewed", func(ctx context.Context, pipe redis.Pipeliner, p pair) {
		pipe.Eval(ctx, holdSource, []string{at(holders, p.key)}, p.holder, 0, lease.Milliseconds())
	})
}

// giveBack ends leases. One that cannot be given back ends by itself.
func (r *Redis) giveBack(list []pair) {
	r.each(list, "given back", func(ctx context.Context, pipe redis.Pipeliner, p pair) {
		pipe.ZRem(ctx, at(holders, p.key), p.holder)
	})
}

func (r *Redis) each(list []pair, what string, add func(context.Context, redis.Pipeliner, pair)) {
	for len(list) > 0 {
		some := list[:min(len(list), someLeases)]
		list = list[len(some):]
		ctx, cancel := context.WithTimeout(context.Background(), redisTimeout)
		_, err := r.client.Pipelined(ctx, func(pipe redis.Pipeliner) error {
			for _, p := range some {
				add(ctx, pipe, p)
			}
			return nil
		})
		cancel()
		if err != nil {
			r.log.Debug("store: leases not "+what, zap.Int("leases", len(some)), zap.Error(err))
			return
		}
	}
}
