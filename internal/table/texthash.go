package table

import (
	"encoding/binary"
	"errors"
	"hash/maphash"
	"io"
	"math"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/cases"
)

// texthash is a table of words. A million entries are two allocations that the
// garbage collector need not look into: the entries one after the other, and a
// hash table of their places with open addressing.
type texthash struct {
	seed    maphash.Seed
	entries []byte   // key and value, each after its length (uvarint)
	slots   []uint32 // place of an entry, plus one; 0 is free. Its length is a power of two.
}

// readTexthash reads lines of a key, white space and a value. Of a key that comes
// twice the first value counts, as with postmap -q.
func readTexthash(f io.Reader, warn func(int, string, ...any)) (content, error) {
	t := &texthash{seed: maphash.MakeSeed(), entries: make([]byte, 1), slots: make([]uint32, 64)}
	count, full := 0, false
	err := logicalLines(f, warn, func(number int, line string) {
		key, value, balanced := splitKey(line)
		switch {
		case !balanced:
			warn(number, "unbalanced \"")
			return
		case !utf8.ValidString(line):
			warn(number, "it is not UTF-8")
			return
		case value == "":
			warn(number, "expected a key, white space and a value")
			return
		case full || len(t.entries)+len(line)+2*binary.MaxVarintLen32 > math.MaxUint32:
			full = true
			return
		}
		key = fold(key)
		if _, twice := t.find(key); twice {
			warn(number, "the key %q is there already", key)
			return
		}
		if count++; count > len(t.slots)*2/3 {
			t.grow()
		}
		t.place(key, uint32(len(t.entries)))
		t.entries = appendText(appendText(t.entries, key), value)
	})
	if full {
		return nil, errors.New("the table has more than 4 GiB")
	}
	t.entries = append(make([]byte, 0, len(t.entries)), t.entries...) // no larger than it need be
	return t, err
}

// splitKey cuts a line at the first white space outside quotes. The key keeps its
// quotes: whoever looks it up has them, too.
func splitKey(line string) (key, value string, balanced bool) {
	quoted := false
	for i := 0; i < len(line); i++ {
		switch {
		case line[i] == '\\':
			i++
		case line[i] == '"':
			quoted = !quoted
		case !quoted && strings.IndexByte(space, line[i]) >= 0:
			return line[:i], strings.Trim(line[i:], space), true
		}
	}
	return line, "", !quoted
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// text is what appendText put at a place, and the place after it.
func (t *texthash) text(at uint32) (s []byte, next uint32) {
	n, size := binary.Uvarint(t.entries[at:])
	at += uint32(size)
	return t.entries[at : at+uint32(n)], at + uint32(n)
}

func (t *texthash) slot(key string) int {
	return int(maphash.String(t.seed, key) & uint64(len(t.slots)-1))
}

// place notes where the entry of a new key is.
func (t *texthash) place(key string, at uint32) {
	i := t.slot(key)
	for t.slots[i] != 0 {
		i = (i + 1) & (len(t.slots) - 1)
	}
	t.slots[i] = at
}

func (t *texthash) grow() {
	old := t.slots
	t.slots = make([]uint32, 2*len(old))
	for _, at := range old {
		if at != 0 {
			key, _ := t.text(at)
			t.place(string(key), at)
		}
	}
}

// find is the place of a key's value.
func (t *texthash) find(key string) (value uint32, found bool) {
	for i := t.slot(key); t.slots[i] != 0; i = (i + 1) & (len(t.slots) - 1) {
		if known, value := t.text(t.slots[i]); string(known) == key {
			return value, true
		}
	}
	return 0, false
}

func (t *texthash) get(key string) (string, bool) {
	if !utf8.ValidString(key) {
		return "", false
	}
	at, found := t.find(fold(key))
	if !found {
		return "", false
	}
	value, _ := t.text(at)
	return string(value), true
}

// fold makes keys that differ in case the same (postfix casefold).
func fold(key string) string {
	for i := range len(key) {
		if key[i] >= utf8.RuneSelf {
			return cases.Fold().String(key)
		}
	}
	return strings.ToLower(key)
}
