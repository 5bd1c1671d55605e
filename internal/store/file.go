package store

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
	"go.uber.org/zap"
)

// File is a store in a file, a bbolt database: what has been answered has been
// synced to the disk. Those who write together share a sync. Holds are in memory:
// who asks for them is gone when this process is. One process at a time has the
// file open, and has it for itself (mode 0600).
type File struct {
	now    func() time.Time
	log    *zap.Logger
	db     *bbolt.DB
	writes chan *write
	stop   chan struct{}
	done   sync.WaitGroup

	mu    sync.Mutex
	holds holds
}

var _ Store = (*File)(nil)

const (
	// lockTimeout is how long OpenFile waits for another process to leave the file:
	// a server that is just being replaced.
	lockTimeout = 3 * time.Second
	// sweepEvery is how often expired keys are removed.
	sweepEvery = time.Minute
	// maxFileHolds is how many bytes of memory holds may take.
	maxFileHolds = maxMemory / 2
)

// The buckets. A value or window is eight bytes of when it expires (Unix
// milliseconds, big endian; 0 is never), then what it is. An entry of expiries is
// these eight bytes, the kind and the key, without a value.
const (
	bucketExpiries = "expiries"
	stampSize      = 8
)

func (k kind) bucket() []byte { return []byte{byte(k)} }

// OpenFile opens the store in the file at path and makes it, with its folder, if
// it is not there. It waits some seconds for another process that has it open. now
// is the time; log gets what no caller can be told.
func OpenFile(path string, now func() time.Time, log *zap.Logger) (*File, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{
		Timeout: lockTimeout, FreelistType: bbolt.FreelistMapType, NoFreelistSync: true,
	})
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return nil, fmt.Errorf("store: %s is in use by another process: each server needs a file of its own (store.url)", path)
	case err != nil:
		return nil, fmt.Errorf("store: %s: %w", path, err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		for _, name := range [][]byte{values.bucket(), windows.bucket(), []byte(bucketExpiries)} {
			if _, err := tx.CreateBucketIfNotExists(name); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		db.Close()
		return nil, fmt.Errorf("store: %s: %w", path, err)
	}
	f := &File{now: now, log: log, db: db, writes: make(chan *write), stop: make(chan struct{}), holds: newHolds()}
	f.done.Go(f.writer)
	f.done.Go(f.sweeper)
	return f, nil
}

// Close ends what is under way and closes the file.
func (f *File) Close() error {
	close(f.stop)
	f.done.Wait()
	if err := f.db.Close(); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	return nil
}

func (f *File) millis() int64 { return f.now().UnixMilli() }

// Get implements Store, as do the others below.
func (f *File) Get(ctx context.Context, key string) (value []byte, found bool, err error) {
	if err := errors.Join(ctx.Err(), checkKey(key)); err != nil {
		return nil, false, err
	}
	err = f.db.View(func(tx *bbolt.Tx) error {
		var v []byte
		if v, _, found = read(tx, values, key, f.millis()); found {
			value = append([]byte{}, v...) // bbolt's own ends with the transaction
		}
		return nil
	})
	return value, found, trouble(err)
}

// Set stores a value.
func (f *File) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	if err := check(key, value); err != nil {
		return err
	}
	return f.write(ctx, func(tx *bbolt.Tx) (outcome, error) {
		return outcome{}, put(tx, values, key, value, until(f.millis(), ttl))
	}).err
}

// Add stores a value where there is none.
func (f *File) Add(ctx context.Context, key string, value []byte, ttl time.Duration) (bool, error) {
	if err := check(key, value); err != nil {
		return false, err
	}
	if there, err := f.has(values, key); there || err != nil { // without a sync
		return false, err
	}
	o := f.write(ctx, func(tx *bbolt.Tx) (outcome, error) {
		now := f.millis()
		if _, _, there := read(tx, values, key, now); there {
			return outcome{}, nil
		}
		return outcome{ok: true}, put(tx, values, key, value, until(now, ttl))
	})
	return o.ok, o.err
}

// has looks without writing.
func (f *File) has(k kind, key string) (there bool, err error) {
	err = f.db.View(func(tx *bbolt.Tx) error {
		_, _, there = read(tx, k, key, f.millis())
		return nil
	})
	return there, trouble(err)
}

// Delete removes a value and a window.
func (f *File) Delete(ctx context.Context, key string) (existed bool, err error) {
	if err := checkKey(key); err != nil {
		return false, err
	}
	value, err := f.has(values, key)
	if err != nil {
		return false, err
	}
	if window, err := f.has(windows, key); err != nil || !window && !value {
		return false, err
	}
	o := f.write(ctx, func(tx *bbolt.Tx) (o outcome, err error) {
		now := f.millis()
		for _, k := range []kind{values, windows} {
			_, _, there := read(tx, k, key, now)
			o.ok = o.ok || there
			if err := remove(tx, k, key); err != nil {
				return o, err
			}
		}
		return o, nil
	})
	return o.ok, o.err
}

// Incr adds to a number.
func (f *File) Incr(ctx context.Context, key string, by int64, ttl time.Duration) (int64, error) {
	if err := checkKey(key); err != nil {
		return 0, err
	}
	o := f.write(ctx, func(tx *bbolt.Tx) (o outcome, err error) {
		now := f.millis()
		old, expires, there := read(tx, values, key, now)
		if !there {
			old, expires = nil, until(now, ttl)
		}
		if o.n, o.err = add(old, by); o.err != nil {
			return o, nil //nolint:nilerr // it is in the outcome
		}
		return o, put(tx, values, key, strconv.AppendInt(nil, o.n, 10), expires)
	})
	return o.n, o.err
}

// Limit counts a call. A refusal costs no sync.
func (f *File) Limit(ctx context.Context, key string, most int64, per time.Duration) (ok bool, count int64, resetAfter time.Duration, err error) {
	if err := checkKey(key); err != nil {
		return false, 0, 0, err
	}
	var o outcome
	look := func(tx *bbolt.Tx) (w window, now int64) {
		now = f.millis()
		data, _, there := read(tx, windows, key, now)
		if there {
			if w, o.err = readWindow(data); o.err != nil {
				return nil, now
			}
		}
		w, o.ok, o.n, o.wait = w.take(now, most, milliseconds(per))
		return w, now
	}
	err = f.db.View(func(tx *bbolt.Tx) error { look(tx); return nil })
	if err == nil && o.err == nil && o.ok {
		o = f.write(ctx, func(tx *bbolt.Tx) (outcome, error) { return f.count(tx, key, most, milliseconds(per)) })
	}
	return o.ok, o.n, time.Duration(o.wait) * time.Millisecond, errors.Join(trouble(err), o.err)
}

// Hold makes a holder.
func (f *File) Hold(_ context.Context, key, holder string, most int64) (ok bool, count int64, err error) {
	if err := checkKey(key); err != nil {
		return false, 0, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.holds.hold(key, holder, most, maxFileHolds)
}

// Release ends a holder.
func (f *File) Release(holder string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.holds.release(holder)
}

// read is what the key has, and when that expires.
func read(tx *bbolt.Tx, k kind, key string, now int64) (data []byte, expires int64, there bool) {
	stored := tx.Bucket(k.bucket()).Get([]byte(key))
	if len(stored) < stampSize {
		return nil, 0, false
	}
	expires = int64(binary.BigEndian.Uint64(stored))
	return stored[stampSize:], expires, !expired(expires, now)
}

func put(tx *bbolt.Tx, k kind, key string, data []byte, expires int64) error {
	if err := remove(tx, k, key); err != nil {
		return err
	}
	stored := make([]byte, 0, stampSize+len(data))
	stored = append(binary.BigEndian.AppendUint64(stored, uint64(expires)), data...)
	if err := tx.Bucket(k.bucket()).Put([]byte(key), stored); err != nil {
		return err
	}
	if expires == 0 {
		return nil
	}
	return tx.Bucket([]byte(bucketExpiries)).Put(expiry(expires, k, key), nil)
}

func remove(tx *bbolt.Tx, k kind, key string) error {
	_, expires, _ := read(tx, k, key, 0)
	if expires != 0 {
		if err := tx.Bucket([]byte(bucketExpiries)).Delete(expiry(expires, k, key)); err != nil {
			return err
		}
	}
	return tx.Bucket(k.bucket()).Delete([]byte(key))
}

func expiry(expires int64, k kind, key string) []byte {
	return append(append(binary.BigEndian.AppendUint64(nil, uint64(expires)), byte(k)), key...)
}

// trouble is an error of bbolt's.
func trouble(err error) error {
	if err == nil {
		return nil
	}
	return unavailable(err)
}
