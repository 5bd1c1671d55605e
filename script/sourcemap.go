package script

import (
	"encoding/json"
	"errors"
	"fmt"
	"sort"
	"strings"
	"unicode/utf8"
)

// sourceMap is where each piece of the bundle comes from. esbuild makes it;
// goja reads it, but counts columns from 1 and in bytes, so that it must be
// rewritten in between.
type sourceMap struct {
	sources []string
	marks   []mark // in the order of the bundle
}

// mark says that the code from here to the next mark comes from there. All are counted from 0.
type mark struct {
	line, column int // in the bundle, column in bytes
	source       int
	fromLine     int
	fromColumn   int // in UTF-16 units, as editors count
}

// parseSourceMap reads the map that esbuild made for code (revision 3 of the
// source map format), with each source named by shown.
func parseSourceMap(data []byte, code string, shown func(source string) string) (*sourceMap, error) {
	var raw struct {
		Sources  []string `json:"sources"`
		Mappings string   `json:"mappings"`
	}
	if err := json.Unmarshal(data, &raw); err != nil {
		return nil, fmt.Errorf("source map: %w", err)
	}
	// Before the first mark are esbuild's own helpers.
	m := &sourceMap{sources: []string{ownPrefix + "runtime"}, marks: []mark{{}}}
	for _, s := range raw.Sources {
		m.sources = append(m.sources, shown(s))
	}
	lines := strings.Split(code, "\n")
	at := mark{source: 1}
	for i, group := range strings.Split(raw.Mappings, ";") {
		at.line, at.column = i, 0
		if group == "" || i >= len(lines) {
			continue
		}
		cursor := columnCursor{line: lines[i]}
		units := 0
		for _, segment := range strings.Split(group, ",") {
			field, err := decodeVLQ(segment)
			if err != nil {
				return nil, err
			}
			if len(field) > 0 {
				units += field[0]
			}
			if len(field) < 4 {
				continue
			}
			at.source += field[1]
			at.fromLine += field[2]
			at.fromColumn += field[3]
			at.column = cursor.bytes(units)
			if at.source < 1 || at.source >= len(m.sources) {
				return nil, errors.New("source map: no such source")
			}
			m.marks = append(m.marks, at)
		}
	}
	return m, nil
}

// columnCursor turns UTF-16 units into bytes, along one line.
type columnCursor struct {
	line      string
	at, units int
}

func (c *columnCursor) bytes(units int) int {
	if units < c.units {
		c.at, c.units = 0, 0
	}
	for c.units < units && c.at < len(c.line) {
		r, size := utf8.DecodeRuneInString(c.line[c.at:])
		c.at += size
		c.units++
		if r > 0xFFFF {
			c.units++
		}
	}
	return c.at
}

// unitColumn turns bytes into UTF-16 units.
func unitColumn(line string, bytes int) int {
	units := 0
	for i, r := range line {
		if i >= bytes {
			break
		}
		units++
		if r > 0xFFFF {
			units++
		}
	}
	return units
}

// authored is where in the bundle the first piece not of esbuild's own begins.
func (m *sourceMap) authored() (line, column int, ok bool) {
	if len(m.marks) < 2 {
		return 0, 0, false
	}
	return m.marks[1].line, m.marks[1].column, true
}

// find is the place behind a place in the bundle, all counted from 0.
func (m *sourceMap) find(line, column int) (source string, fromLine, fromColumn int) {
	i := sort.Search(len(m.marks), func(i int) bool {
		k := m.marks[i]
		return k.line > line || k.line == line && k.column > column
	})
	k := m.marks[max(i-1, 0)]
	return m.sources[k.source], k.fromLine, k.fromColumn
}

// shift says that the code after a place in the bundle moved along its line.
func (m *sourceMap) shift(line, column, by int) {
	for i := range m.marks {
		if k := &m.marks[i]; k.line == line && k.column >= column {
			k.column += by
		}
	}
}

// gojaMap is the map in the form in which goja reads it rightly, for code that
// has linesBefore more lines at its beginning.
func (m *sourceMap) gojaMap(linesBefore int) ([]byte, error) {
	var b strings.Builder
	b.WriteString(strings.Repeat(";", linesBefore))
	last := mark{}
	line, column := 0, 0
	for i, k := range m.marks {
		for ; line < k.line; line++ {
			b.WriteByte(';')
			column = 0
		}
		if i > 0 && last.line == k.line {
			b.WriteByte(',')
		}
		// goja counts columns from 1: here, where it asks, and there, where it shows.
		encodeVLQ(&b, k.column+1-column)
		encodeVLQ(&b, k.source-last.source)
		encodeVLQ(&b, k.fromLine-last.fromLine)
		if i == 0 {
			encodeVLQ(&b, k.fromColumn+1)
		} else {
			encodeVLQ(&b, k.fromColumn-last.fromColumn)
		}
		column = k.column + 1
		last = k
	}
	sources := make([]string, len(m.sources))
	for i, s := range m.sources {
		sources[i] = gojaSource(s)
	}
	return json.Marshal(map[string]any{"version": 3, "sources": sources, "names": []string{}, "mappings": b.String()})
}

const vlqDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

func encodeVLQ(b *strings.Builder, n int) {
	u := n << 1
	if n < 0 {
		u = -n<<1 | 1
	}
	for {
		digit := u & 31
		u >>= 5
		if u > 0 {
			digit |= 32
		}
		b.WriteByte(vlqDigits[digit])
		if u == 0 {
			return
		}
	}
}

func decodeVLQ(segment string) ([]int, error) {
	fields := make([]int, 0, 5)
	value, shift := 0, 0
	for i := range len(segment) {
		digit := strings.IndexByte(vlqDigits, segment[i])
		if digit < 0 || shift > 30 {
			return nil, errors.New("source map: bad mappings")
		}
		value |= digit & 31 << shift
		shift += 5
		if digit&32 != 0 {
			continue
		}
		if value&1 != 0 {
			value = -value
		}
		fields = append(fields, value/2)
		value, shift = 0, 0
	}
	return fields, nil
}
