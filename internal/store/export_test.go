package store

import (
	"time"

	"go.etcd.io/bbolt"
)

// NewMemoryOf is a Memory of that many bytes.
func NewMemoryOf(now func() time.Time, most int64) *Memory { return newMemory(now, most) }

// Size is how many bytes it keeps.
func (m *Memory) Size() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all int64
	for _, i := range m.items {
		all += i.size
	}
	if all != m.size || m.used.Len() != len(m.items) {
		panic("the sizes are wrong")
	}
	return m.size + m.holds.size
}

// Sweep removes what has expired.
func (f *File) Sweep() { f.sweep() }

// Stored is how many values and windows there are, and entries of when they expire.
func (f *File) Stored() (keys, entries int) {
	_ = f.db.View(func(tx *bbolt.Tx) error {
		for _, k := range []kind{values, windows} {
			keys += tx.Bucket(k.bucket()).Stats().KeyN
		}
		entries = tx.Bucket([]byte(bucketExpiries)).Stats().KeyN
		return nil
	})
	return keys, entries
}

// Renew renews the leases.
func (r *Redis) Renew() { r.renew() }

// The codec of the protocol.
func RequestAgain(frame []byte) (again []byte, err error) {
	r, err := readRequest(frame)
	if err != nil {
		return nil, err
	}
	return r.append(nil)[4:], nil
}

// ResponseAgain is RequestAgain of a response.
func ResponseAgain(frame []byte) (again []byte, err error) {
	r, err := readResponse(frame)
	if err != nil {
		return nil, err
	}
	return r.append(nil)[4:], nil
}

// WindowAgain is RequestAgain of a window.
func WindowAgain(b []byte) (again []byte, err error) {
	w, err := readWindow(b)
	if err != nil {
		return nil, err
	}
	return w.append(nil), nil
}
