package config

import (
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"
)

// table is a TOML table with the places of its keys.
type table struct {
	entries []*entry // as they came
	index   map[string]*entry
	header  int // where its [header] is, -1 without
}

// entry is a key of a table and its value.
type entry struct {
	key   string
	at    int
	value *value
}

// value is any TOML value.
type value struct {
	at    int
	kind  unstable.Kind // of tables always InlineTable
	text  string        // of a string its value, of other plain values as written
	list  []*value      // of an Array
	table *table        // of an InlineTable
	isArr bool          // an Array written as [[header]]
}

func newTable() *table { return &table{index: map[string]*entry{}, header: -1} }

// get is the entry with that key, or nil.
func (t *table) get(key string) *entry { return t.index[key] }

func (t *table) add(e *entry) {
	t.entries = append(t.entries, e)
	t.index[e.key] = e
}

func tableValue(at int) *value {
	return &value{at: at, kind: unstable.InlineTable, table: newTable()}
}

// readDocument reads the whole file. Faults go to s; what could be read is
// returned nevertheless, so that all faults are found in one go.
func readDocument(s *source) *table {
	root := newTable()
	current := root
	var parser unstable.Parser
	parser.Reset(s.data)
	for parser.NextExpression() {
		node := parser.Expression()
		switch node.Kind {
		case unstable.KeyValue:
			s.addKeyValue(current, node)
		case unstable.Table:
			current = s.openTable(root, node)
		case unstable.ArrayTable:
			current = s.openArrayTable(root, node)
		default: // comments
		}
	}
	if err := parser.Error(); err != nil {
		s.syntax(err)
	}
	return root
}

// path is the keys of a dotted key.
func path(node *unstable.Node) (keys []*entry) {
	for it := node.Key(); it.Next(); {
		keys = append(keys, &entry{key: string(it.Node().Data), at: int(it.Node().Raw.Offset)})
	}
	return keys
}

// addKeyValue puts a key = value into t.
func (s *source) addKeyValue(t *table, node *unstable.Node) {
	keys := path(node)
	last := keys[len(keys)-1]
	t = s.descend(t, keys[:len(keys)-1])
	if old := t.get(last.key); old != nil {
		line, _ := s.lineColumn(old.at)
		s.fault(last.at, "%s is already set in line %d", last.key, line)
		return
	}
	last.value = s.readValue(node.Value(), s.valueStart(node))
	t.add(last)
}

// valueStart is where the value of a key = value begins: the parser does not
// say that of arrays.
func (s *source) valueStart(node *unstable.Node) int {
	var end int
	for it := node.Key(); it.Next(); {
		end = int(it.Node().Raw.Offset + it.Node().Raw.Length)
	}
	for end < len(s.data) && strings.IndexByte(" \t=", s.data[end]) >= 0 {
		end++
	}
	return end
}

// descend finds or makes the table below t that keys name.
func (s *source) descend(t *table, keys []*entry) *table {
	for _, k := range keys {
		e := t.get(k.key)
		if e == nil {
			e = &entry{key: k.key, at: k.at, value: tableValue(k.at)}
			t.add(e)
		}
		v := e.value
		if v.isArr && len(v.list) > 0 {
			v = v.list[len(v.list)-1]
		}
		if v.table == nil {
			line, _ := s.lineColumn(e.at)
			s.fault(k.at, "%s is set to %s in line %d and cannot be a table, too", k.key, kindName(v.kind), line)
			return newTable()
		}
		t = v.table
	}
	return t
}

// openTable is [a.b].
func (s *source) openTable(root *table, node *unstable.Node) *table {
	keys := path(node)
	t := s.descend(root, keys)
	at := keys[len(keys)-1].at
	if t.header >= 0 {
		line, _ := s.lineColumn(t.header)
		s.fault(at, "the table [%s] is already there in line %d: put its keys together", dotted(keys), line)
	}
	t.header = at
	return t
}

// openArrayTable is [[a.b]].
func (s *source) openArrayTable(root *table, node *unstable.Node) *table {
	keys := path(node)
	last := keys[len(keys)-1]
	parent := s.descend(root, keys[:len(keys)-1])
	e := parent.get(last.key)
	if e == nil {
		e = last
		e.value = &value{at: last.at, kind: unstable.Array, isArr: true}
		parent.add(e)
	}
	element := tableValue(last.at)
	if !e.value.isArr {
		line, _ := s.lineColumn(e.at)
		s.fault(last.at, "%s is already %s in line %d", dotted(keys), kindName(e.value.kind), line)
		return element.table
	}
	e.value.list = append(e.value.list, element)
	return element.table
}

// readValue copies a value out of the parser, which reuses its memory. at is
// used when the parser does not say where the value is.
func (s *source) readValue(node *unstable.Node, at int) *value {
	if node.Raw.Length > 0 {
		at = int(node.Raw.Offset)
	}
	v := &value{at: at, kind: node.Kind}
	switch node.Kind {
	case unstable.Array:
		for it := node.Children(); it.Next(); {
			if it.Node().Kind != unstable.Comment {
				v.list = append(v.list, s.readValue(it.Node(), at))
			}
		}
	case unstable.InlineTable:
		v.table = newTable()
		for it := node.Children(); it.Next(); {
			if it.Node().Kind == unstable.KeyValue {
				s.addKeyValue(v.table, it.Node())
			}
		}
	default:
		v.text = string(node.Data)
	}
	return v
}

func dotted(keys []*entry) string {
	names := make([]string, len(keys))
	for i, k := range keys {
		names[i] = k.key
	}
	return strings.Join(names, ".")
}

// kindName is what a user calls a kind of value.
func kindName(kind unstable.Kind) string {
	switch kind {
	case unstable.String:
		return "a string"
	case unstable.Bool:
		return "true or false"
	case unstable.Integer:
		return "a whole number"
	case unstable.Float:
		return "a number with a fraction"
	case unstable.LocalDate, unstable.LocalTime, unstable.LocalDateTime, unstable.DateTime:
		return "a date or time"
	case unstable.Array:
		return "a list"
	case unstable.InlineTable:
		return "a table"
	default:
		return "something else"
	}
}
