package store

import (
	"container/heap"
	"container/list"
	"context"
	"strconv"
	"sync"
	"time"
)

// maxMemory is how many bytes a Memory keeps: keys, values, windows and holds,
// with what they cost in Go's memory, about.
const maxMemory = 64 << 20

// itemOverhead is what an item costs besides its words, about.
const itemOverhead = 256

// Memory is a store in this process's memory. It is bounded: when it is full,
// what has not been used for the longest time goes, be it value or window. What
// is held stays; a new holder is refused when holds alone take half of it. No
// method blocks, and none looks at its context.
type Memory struct {
	now  func() time.Time
	most int64 // bytes

	mu       sync.Mutex
	items    map[itemKey]*item
	used     *list.List // of *item, the last used first
	expiring expiries
	size     int64 // bytes of items
	holds    holds
}

var _ Store = (*Memory)(nil)

// kind is what a key names.
type kind byte

const (
	values  kind = 'v'
	windows kind = 'l' // of Limit
	holders kind = 'h' // in Redis
)

type itemKey struct {
	kind kind
	key  string
}

// item is a value or a window.
type item struct {
	itemKey
	value   []byte
	window  window
	expires int64         // Unix milliseconds; 0: never
	used    *list.Element // in Memory.used
	at      int           // in Memory.expiring; -1: not there
	size    int64
}

// NewMemory makes an empty Memory. now is the time: time.Now, but where a test
// steers it.
func NewMemory(now func() time.Time) *Memory { return newMemory(now, maxMemory) }

func newMemory(now func() time.Time, most int64) *Memory {
	return &Memory{now: now, most: most, items: map[itemKey]*item{}, used: list.New(), holds: newHolds()}
}

// Get implements Store, as do the others below.
func (m *Memory) Get(_ context.Context, key string) (value []byte, found bool, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if i := m.find(itemKey{values, key}, m.millis()); i != nil {
		return i.value, true, nil
	}
	return nil, false, checkKey(key)
}

// Set stores a value.
func (m *Memory) Set(_ context.Context, key string, value []byte, ttl time.Duration) error {
	if err := check(key, value); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.millis()
	m.put(&item{itemKey: itemKey{values, key}, value: value, expires: until(now, ttl)}, now)
	return nil
}

// Add stores a value where there is none.
func (m *Memory) Add(_ context.Context, key string, value []byte, ttl time.Duration) (bool, error) {
	if err := check(key, value); err != nil {
		return false, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.millis()
	if m.find(itemKey{values, key}, now) != nil {
		return false, nil
	}
	m.put(&item{itemKey: itemKey{values, key}, value: value, expires: until(now, ttl)}, now)
	return true, nil
}

// Delete removes a value and a window.
func (m *Memory) Delete(_ context.Context, key string) (existed bool, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.millis()
	for _, k := range []kind{values, windows} {
		if i := m.find(itemKey{k, key}, now); i != nil {
			m.remove(i)
			existed = true
		}
	}
	return existed, checkKey(key)
}

// Incr adds to a number.
func (m *Memory) Incr(_ context.Context, key string, by int64, ttl time.Duration) (int64, error) {
	if err := checkKey(key); err != nil {
		return 0, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.millis()
	next := &item{itemKey: itemKey{values, key}, expires: until(now, ttl)}
	var old []byte
	if i := m.find(next.itemKey, now); i != nil {
		old, next.expires = i.value, i.expires
	}
	sum, err := add(old, by)
	if err != nil {
		return 0, err
	}
	next.value = strconv.AppendInt(nil, sum, 10)
	m.put(next, now)
	return sum, nil
}

// Limit counts a call.
func (m *Memory) Limit(_ context.Context, key string, most int64, per time.Duration) (ok bool, count int64, resetAfter time.Duration, err error) {
	if err := checkKey(key); err != nil {
		return false, 0, 0, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.millis()
	next := &item{itemKey: itemKey{windows, key}}
	if i := m.find(next.itemKey, now); i != nil {
		next.window, next.expires = i.window, i.expires
	}
	var wait int64
	next.window, ok, count, wait = next.window.take(now, most, milliseconds(per))
	if ok {
		next.expires = now + milliseconds(per)
	}
	if len(next.window) > 0 {
		m.put(next, now)
	}
	return ok, count, time.Duration(wait) * time.Millisecond, nil
}

// Hold makes a holder.
func (m *Memory) Hold(_ context.Context, key, holder string, most int64) (ok bool, count int64, err error) {
	if err := checkKey(key); err != nil {
		return false, 0, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	ok, count, err = m.holds.hold(key, holder, most, m.most/2)
	m.shrink()
	return ok, count, err
}

// Release ends a holder.
func (m *Memory) Release(holder string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.holds.release(holder)
}

// Close does nothing: the memory goes with the last who knows of it.
func (m *Memory) Close() error { return nil }

func (m *Memory) millis() int64 { return m.now().UnixMilli() }

// until is when something ends that lives for ttl from now.
func until(now int64, ttl time.Duration) int64 {
	if ttl <= 0 {
		return 0
	}
	return now + milliseconds(ttl)
}

func expired(expires, now int64) bool { return expires != 0 && expires <= now }

// find is the item of a key, now used, or nil.
func (m *Memory) find(k itemKey, now int64) *item {
	i := m.items[k]
	if i == nil || expired(i.expires, now) {
		return nil
	}
	m.used.MoveToFront(i.used)
	return i
}

// put stores an item in place of the one of the same key, and makes room.
func (m *Memory) put(i *item, now int64) {
	if old := m.items[i.itemKey]; old != nil {
		m.remove(old)
	}
	i.size = int64(len(i.key)+cap(i.value)+16*cap(i.window)) + itemOverhead
	i.at = -1
	i.used = m.used.PushFront(i)
	m.items[i.itemKey] = i
	m.size += i.size
	if i.expires != 0 {
		heap.Push(&m.expiring, i)
	}
	for len(m.expiring) > 0 && expired(m.expiring[0].expires, now) {
		m.remove(m.expiring[0])
	}
	m.shrink()
}

// shrink drops what has not been used for the longest time until the rest fits.
func (m *Memory) shrink() {
	for m.size > 0 && m.size+m.holds.size > m.most {
		m.remove(m.used.Back().Value.(*item))
	}
}

func (m *Memory) remove(i *item) {
	delete(m.items, i.itemKey)
	m.used.Remove(i.used)
	m.size -= i.size
	if i.at >= 0 {
		heap.Remove(&m.expiring, i.at)
	}
}

// expiries is a heap of the items that expire, the first one on top.
type expiries []*item

// Len implements heap.Interface, as do the others below.
func (e expiries) Len() int { return len(e) }

// Less compares times.
func (e expiries) Less(a, b int) bool { return e[a].expires < e[b].expires }

// Swap keeps the items' places.
func (e expiries) Swap(a, b int) {
	e[a], e[b] = e[b], e[a]
	e[a].at, e[b].at = a, b
}

// Push adds an item at the end.
func (e *expiries) Push(x any) {
	i := x.(*item)
	i.at = len(*e)
	*e = append(*e, i)
}

// Pop takes the last item.
func (e *expiries) Pop() any {
	last := len(*e) - 1
	i := (*e)[last]
	(*e)[last] = nil
	*e = (*e)[:last]
	i.at = -1
	return i
}

// NeverWaits tells that calls need no goroutine of their own.
func (m *Memory) NeverWaits() bool { return true }
