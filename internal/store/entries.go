package store

import (
	"bytes"
	"context"
	"fmt"
)

// Entry is one thing that a store keeps in memory, in a form that another process, of
// another version maybe, can take.
type Entry struct {
	Kind    byte // EntryValue, EntryWindow or EntryHold
	Key     string
	Data    []byte // a value, or a window as a file has it
	Expires int64  // Unix milliseconds; 0: never
	Holder  string
}

// The kinds of an Entry.
const (
	EntryValue  = byte(values)
	EntryWindow = byte(windows)
	EntryHold   = byte(holders)
)

// Entries is what s keeps in memory: all of a Memory, what has not been used for the
// longest time first; the holds of a File; nothing of others. s must not be in use.
func Entries(s Store) []Entry {
	switch s := s.(type) {
	case *Memory:
		return s.entries()
	case *File:
		return s.holds.entries()
	default:
		return nil
	}
}

func (m *Memory) entries() []Entry {
	list := make([]Entry, 0, len(m.items))
	for at := m.used.Back(); at != nil; at = at.Prev() {
		i := at.Value.(*item)
		e := Entry{Kind: byte(i.kind), Key: i.key, Data: i.value, Expires: i.expires}
		if i.kind == windows {
			e.Data = i.window.append(nil)
		}
		list = append(list, e)
	}
	return append(list, m.holds.entries()...)
}

func (h *holds) entries() (list []Entry) {
	for holder, keys := range h.byHolder {
		for key := range keys {
			list = append(list, Entry{Kind: EntryHold, Key: key, Holder: holder})
		}
	}
	return list
}

// Put gives s an entry of another store: a hold, or what a Memory takes.
func Put(ctx context.Context, s Store, e Entry) error {
	if e.Kind == EntryHold {
		if e.Holder == "" || len(e.Holder) > MaxHolder {
			return fmt.Errorf("store: entry: a holder's name has %d bytes", len(e.Holder))
		}
		_, _, err := s.Hold(ctx, e.Key, e.Holder, 0)
		return err
	}
	m, ok := s.(*Memory)
	if !ok {
		return fmt.Errorf("store: entry of kind %q for %T", e.Kind, s)
	}
	if err := check(e.Key, e.Data); err != nil {
		return err
	}
	i := &item{itemKey: itemKey{kind(e.Kind), e.Key}, expires: e.Expires}
	switch i.kind {
	case values:
		i.value = bytes.Clone(e.Data)
	case windows:
		w, err := readWindow(e.Data)
		if err != nil {
			return err
		}
		i.window = w
	default:
		return fmt.Errorf("store: entry of kind %q", e.Kind)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if now := m.millis(); !expired(i.expires, now) {
		m.put(i, now)
	}
	return nil
}
