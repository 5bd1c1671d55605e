package filter

import (
	"slices"

	"pmilter/internal/mail"
	"pmilter/internal/mailedit"
)

// model is the message as scripts see it: what has arrived with all edits applied.
type model struct {
	m          *Message
	sender     *Address
	recipients []*Address
	entries    []entry
	body       *[]byte // nil: as it arrived; see edited
	quarantine string
	fields     []Field // of entries, without the hidden one; made when asked for

	reading    *mail.Message    // nil when something has changed since
	tree       *mailedit.Editor // of the parts, once somebody asked for it
	rendered   *[]byte          // the body as the tree has it; nil when that has changed since
	generation int              // of tree
	lead       string           // what stands between the colon and a new value
}

// entry is one header field of the model.
type entry struct {
	Field
	// arrived is the field's index among those that arrived, fieldNew for one
	// that a script made, fieldHidden for the MTA's own Received, which milters do
	// not see: it stands first, and what is inserted at 0 goes above it.
	arrived int
}

const (
	fieldNew    = -1
	fieldHidden = -2
)

func (e entry) visible() bool { return e.arrived != fieldHidden }

// model is made anew when something has arrived or a script has asked for
// another edit, and kept otherwise.
func (m *Message) model() *model {
	if m.view != nil {
		return m.view
	}
	v := &model{m: m, sender: m.Sender, recipients: m.recipients}
	arrived := m.arena.all()
	if len(m.edits) == 0 {
		v.fields = arrived
		m.view = v
		return v
	}
	v.needEntries()
	for i := range m.edits {
		v.apply(&m.edits[i])
	}
	m.view = v
	return v
}

// needEntries makes the entries of a model that has no edits yet.
func (v *model) needEntries() {
	if v.entries != nil {
		return
	}
	arrived := v.m.arena.all()
	v.entries = make([]entry, 0, len(arrived)+1+len(v.m.edits))
	v.entries = append(v.entries, entry{arrived: fieldHidden})
	for i, f := range arrived {
		v.entries = append(v.entries, entry{Field: f, arrived: i})
	}
}

// visible is the fields that scripts see.
func (v *model) visible() []Field {
	if v.fields == nil {
		v.fields = make([]Field, 0, len(v.entries))
		for _, e := range v.entries {
			if e.visible() {
				v.fields = append(v.fields, e.Field)
			}
		}
	}
	return v.fields
}

func (v *model) apply(e *edit) {
	v.fields, v.reading = nil, nil
	if e.op == opBody || e.name != "" && shapes(e.name) {
		v.uproot()
	}
	switch e.op {
	case opAdd:
		v.entries = append(v.entries, newEntry(e))
	case opInsert:
		v.entries = slices.Insert(v.entries, v.place(e.index), newEntry(e))
	case opSet:
		v.set(e)
	case opRemove:
		v.removeAll(e.name)
	case opRemoveAt:
		v.removeAt(e.name, e.index)
	case opStrip:
		v.strip(e)
	case opSettle:
		v.settle()
	case opSign: // makeSignatures inserts what it is for
	case opSender:
		v.sender = e.addr
	case opAddRcpt:
		v.recipients = append(slices.Clone(v.recipients), e.addr)
	case opDelRcpt:
		v.recipients = slices.DeleteFunc(slices.Clone(v.recipients), func(a *Address) bool { return sameAddress(a.Address, e.addr.Address) })
	case opBody:
		v.body = &e.body
	case opParts:
		v.plant()
		if e.parts(v.tree) == nil { // it went well when it was asked for
			v.graft()
		}
	case opQuarantine:
		if v.quarantine == "" {
			v.quarantine = e.value
		}
	}
}

func newEntry(e *edit) entry {
	return entry{Field: Field{Name: e.name, Value: e.value}, arrived: fieldNew}
}

// place is where in entries a field goes that is to be the index-th visible
// one: right after the one before it, or above everything.
func (v *model) place(index int) int {
	if index == 0 {
		return 0
	}
	for i, e := range v.entries {
		if e.visible() {
			index--
		}
		if index == 0 {
			return i + 1
		}
	}
	return len(v.entries)
}

func (v *model) set(e *edit) {
	first := slices.IndexFunc(v.entries, func(f entry) bool { return f.visible() && f.Is(e.name) })
	if first < 0 {
		v.entries = append(v.entries, newEntry(e))
		return
	}
	v.entries[first].Value = e.value
	rest := slices.DeleteFunc(v.entries[first+1:], func(f entry) bool { return f.visible() && f.Is(e.name) })
	v.entries = v.entries[:first+1+len(rest)]
}

func (v *model) removeAll(name string) {
	v.entries = slices.DeleteFunc(v.entries, func(f entry) bool { return f.visible() && f.Is(name) })
}

func (v *model) removeAt(name string, n int) {
	for i, f := range v.entries {
		if !f.visible() || !f.Is(name) {
			continue
		}
		if n == 0 {
			v.entries = slices.Delete(v.entries, i, i+1)
			return
		}
		n--
	}
}
