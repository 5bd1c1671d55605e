package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"time"

	"go.etcd.io/bbolt"
	"go.uber.org/zap"
)

// outcome is what a write answers.
type outcome struct {
	ok      bool
	n, wait int64
	err     error
}

// write is one change, made by the writer. An error of do is bbolt's, and spoils
// the whole transaction; what else went wrong is in the outcome.
type write struct {
	ctx  context.Context //nolint:containedctx // the caller's, who may give up while it waits
	do   func(tx *bbolt.Tx) (outcome, error)
	out  outcome
	done chan outcome // has room for it
}

var errClosed = errors.New("store: closed")

// maxBatch is how many writes share a sync, at most.
const maxBatch = 256

// write has the writer make a change and waits until it is on the disk.
func (f *File) write(ctx context.Context, do func(tx *bbolt.Tx) (outcome, error)) outcome {
	w := &write{ctx: ctx, do: do, done: make(chan outcome, 1)}
	select {
	case f.writes <- w:
	case <-ctx.Done():
		return outcome{err: ctx.Err()}
	case <-f.stop:
		return outcome{err: errClosed}
	}
	select {
	case out := <-w.done:
		return out
	case <-ctx.Done():
		return outcome{err: ctx.Err()}
	}
}

// writer makes the changes, all that have come while one sync was under way with
// the next.
func (f *File) writer() {
	for {
		select {
		case <-f.stop:
			return
		case w := <-f.writes:
			f.commit(f.gather(w))
		}
	}
}

// gather is the writes that wait, first included.
func (f *File) gather(first *write) []*write {
	batch := []*write{first}
	for len(batch) < maxBatch {
		select {
		case w := <-f.writes:
			batch = append(batch, w)
		default:
			return batch
		}
	}
	return batch
}

func (f *File) commit(batch []*write) {
	err := f.db.Update(func(tx *bbolt.Tx) (err error) {
		for _, w := range batch {
			if w.ctx.Err() != nil {
				continue // nobody waits
			}
			if w.out, err = w.do(tx); err != nil {
				return err
			}
		}
		return nil
	})
	for _, w := range batch {
		if err != nil {
			w.out = outcome{err: trouble(err)}
		}
		w.done <- w.out
	}
}

// count is Limit's change.
func (f *File) count(tx *bbolt.Tx, key string, most, per int64) (o outcome, err error) {
	now := f.millis()
	var w window
	if data, _, there := read(tx, windows, key, now); there {
		if w, o.err = readWindow(data); o.err != nil {
			return o, nil //nolint:nilerr // it is in the outcome
		}
	}
	w, o.ok, o.n, o.wait = w.take(now, most, per)
	if !o.ok {
		return o, nil
	}
	return o, put(tx, windows, key, w.append(nil), now+per)
}

// sweeper removes what has expired, now and then.
func (f *File) sweeper() {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-f.stop:
			return
		case <-tick.C:
			f.sweep()
		}
	}
}

// sweep removes what has expired, some at a time so that others get their turn.
func (f *File) sweep() {
	const some = 1000
	for more := true; more; {
		o := f.write(context.Background(), func(tx *bbolt.Tx) (o outcome, err error) {
			now := f.millis()
			var due [][]byte
			c := tx.Bucket([]byte(bucketExpiries)).Cursor()
			for k, _ := c.First(); k != nil && len(due) < some; k, _ = c.Next() {
				if len(k) > stampSize && int64(binary.BigEndian.Uint64(k)) > now {
					break
				}
				due = append(due, bytes.Clone(k)) // a change may move what bbolt maps
			}
			for _, k := range due {
				if err := forget(tx, k); err != nil {
					return o, err
				}
			}
			o.ok = len(due) == some
			return o, nil
		})
		if o.err != nil && !errors.Is(o.err, errClosed) {
			f.log.Warn("store: expired keys not removed", zap.Error(o.err))
		}
		more = o.ok
	}
}

// forget removes an entry of expiries and what it is about.
func forget(tx *bbolt.Tx, entry []byte) error {
	if len(entry) > stampSize+1 {
		return remove(tx, kind(entry[stampSize]), string(entry[stampSize+1:]))
	}
	return tx.Bucket([]byte(bucketExpiries)).Delete(entry)
}
