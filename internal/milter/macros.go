package milter

import (
	"bytes"
	"sync"

	wire "github.com/emersion/go-milter"
)

// Macros are the MTA's macros as they are known now, kept by the stage they
// were sent for. Those of CONNECT and HELO last for the SMTP session, those of
// MAIL to BODY for the message, those of EOM and UNKNOWN for that one command
// (libmilter smfi_getsymval; Postfix milter_macros.c for what is sent when).
//
// Safe for concurrent use: a session that lost its connection (Conn.Usurp) may
// still ask, while the connection goes on.
type Macros struct {
	mu    sync.Mutex
	raw   [numStages][]byte // name NUL value NUL ..., as sent: parsed when asked
	fresh [numStages]bool   // sent for the command that comes next
}

// stage is where macros were sent for, in the order a mail passes.
type stage uint8

const (
	stageConnect stage = iota
	stageHelo
	stageMail
	stageRcpt
	stageData
	stageHeader
	stageEOH
	stageBody
	stageEOM
	stageUnknown
	numStages
)

// keepMacros is the largest buffer that a stage keeps for reuse.
const keepMacros = 4 << 10

func stageOf(code byte) (stage, bool) {
	switch wire.Code(code) {
	case wire.CodeConn:
		return stageConnect, true
	case wire.CodeHelo:
		return stageHelo, true
	case wire.CodeMail:
		return stageMail, true
	case wire.CodeRcpt:
		return stageRcpt, true
	case wire.CodeData:
		return stageData, true
	case wire.CodeHeader:
		return stageHeader, true
	case wire.CodeEOH:
		return stageEOH, true
	case wire.CodeBody:
		return stageBody, true
	case wire.CodeEOB:
		return stageEOM, true
	case CodeUnknown:
		return stageUnknown, true
	}
	return 0, false
}

// Get is the macro's value; a macro is known as `i` and as `{i}`, `{name}` and
// `name`. Of several the one of the latest stage counts, of one packet the last.
func (m *Macros) Get(name string) (value string, ok bool) {
	name = bare(name)
	m.mu.Lock()
	defer m.mu.Unlock()
	for s := numStages; s > 0; s-- {
		var found []byte
		for rest := m.raw[s-1]; len(rest) > 0; {
			var n, v []byte
			n, v, rest = nextMacro(rest)
			if string(bare(n)) == name {
				found, ok = v, true
			}
		}
		if ok {
			return string(found), true
		}
	}
	return "", false
}

// All is every macro that Get knows, by its name without braces.
func (m *Macros) All() map[string]string {
	all := make(map[string]string)
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, rest := range m.raw {
		for len(rest) > 0 {
			var n, v []byte
			n, v, rest = nextMacro(rest)
			all[string(bare(n))] = string(v)
		}
	}
	return all
}

// Clone is a copy that shares nothing with m.
func (m *Macros) Clone() *Macros {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := &Macros{fresh: m.fresh}
	for s, raw := range m.raw {
		c.raw[s] = bytes.Clone(raw)
	}
	return c
}

// nextMacro splits off one name and its value. A name at the end of an odd
// number of strings has the value "".
func nextMacro(raw []byte) (name, value, rest []byte) {
	name, rest, _ = cutNUL(raw)
	value, rest, _ = cutNUL(rest)
	return name, value, rest
}

// bare is a macro's name without braces.
func bare[S string | []byte](name S) S {
	if n := len(name); n >= 2 && name[0] == '{' && name[n-1] == '}' {
		return name[1 : n-1]
	}
	return name
}

// set takes the payload of SMFIC_MACRO: the command the macros are for, and
// strings. An empty packet and macros for commands nobody knows are nothing.
func (m *Macros) set(payload []byte) error {
	if len(payload) == 0 {
		return nil
	}
	strs := payload[1:]
	if len(strs) > 0 && strs[len(strs)-1] != 0 {
		return errUnterminated
	}
	s, ok := stageOf(payload[0])
	if !ok {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if s == stageMail {
		m.endMessage()
	}
	m.raw[s] = append(m.raw[s][:0], strs...)
	m.fresh[s] = true
	return nil
}

// command prepares for the command that the next call is about: what an
// earlier one of its kind left is forgotten, if the MTA sent nothing for this.
func (m *Macros) command(code byte) {
	s, ok := stageOf(code)
	if !ok {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.fresh[s] {
		switch s {
		case stageMail:
			m.endMessage()
		case stageRcpt, stageEOM, stageUnknown:
			m.clear(s)
		default: // what came with an earlier one still holds
		}
	}
	m.fresh[s] = false
}

// done ends the command: the macros that were for it alone go.
func (m *Macros) done(code byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch wire.Code(code) {
	case wire.CodeEOB, wire.CodeAbort:
		m.endMessage()
	case CodeUnknown:
		m.clear(stageUnknown)
	case wire.CodeQuitNewConn:
		for s := range numStages {
			m.clear(s)
		}
	}
}

// endMessage forgets what belongs to the message. Callers hold m.mu.
func (m *Macros) endMessage() {
	for s := stageMail; s <= stageEOM; s++ {
		m.clear(s)
	}
}

func (m *Macros) clear(s stage) {
	m.fresh[s] = false
	if cap(m.raw[s]) > keepMacros {
		m.raw[s] = nil
		return
	}
	m.raw[s] = m.raw[s][:0]
}
