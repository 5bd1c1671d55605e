package filter

import "strings"

// How Sendmail edits a header differs from Postfix (Sendmail headers.c and
// milter.c, 8.17). Its list of fields begins with those of its own
// configuration, of which only Received is always written and the others if the
// message came without; then come the message's own. The milter sees these only.
//
//   - smfi_insheader counts all of the list and inserts after the place counted to,
//     so that 0 is below the first (Return-Path, which relays do not write).
//   - smfi_addheader goes above the first field of the same name, removed ones
//     included, and below all if there is none; or it takes the place of
//     Sendmail's own of that name.
//   - smfi_chgheader does not count Sendmail's own, but counts removed ones.
const (
	// sendmailOwn is how many fields of its own Sendmail counts (cf/m4/proto.m4:
	// H lines). A configuration that adds some has what a script inserts between
	// two fields as many places further up.
	sendmailOwn = 9
	// belowAll as the index of an insert is the end of the header, on Postfix too:
	// more than there can be fields (maxFields, maxEdits).
	belowAll = 1 << 20
)

// isSendmail tells whether it is Sendmail who asks, by macros that Postfix does
// not have, or that Postfix always sends and Sendmail does not (proto.m4,
// confMILTER_MACROS_*; Postfix milter_connect_macros).
func (s *Session) isSendmail() bool {
	if v := s.Macro("v"); v != "" {
		return '0' <= v[0] && v[0] <= '9' // "8.17.1", "Postfix 3.7.11"
	}
	for _, name := range []string{"if_name", "if_addr", "msg_id"} {
		if s.hasMacro(name) {
			return true
		}
	}
	return s.hasMacro("_") && s.hasMacro("daemon_name") && !s.hasMacro("daemon_addr")
}

func (s *Session) hasMacro(name string) bool {
	if s.macros == nil {
		return false
	}
	_, ok := s.macros.Get(name)
	return ok
}

// sendmailCompletes tells whether Sendmail writes a field of that name itself
// when the message has none.
func sendmailCompletes(name string) bool {
	switch strings.ToLower(name) {
	case "date", "from", "message-id", "full-name", "resent-date", "resent-from", "resent-message-id":
		return true
	}
	return false
}

// completed keeps Sendmail from writing a field of its own beside one that a
// script made: to remove the first of a name of which none arrived removes its
// own (milter.c, milter_changeheader: sysheader).
func (d *diff) completed(p *headerPlan) error {
	if !d.sendmail || !d.m.wanted.headers {
		return nil
	}
	arrived := make(map[string]bool)
	for _, f := range p.arrived {
		arrived[f.key()] = true
	}
	for _, e := range d.v.entries {
		key := e.key()
		if e.arrived != fieldNew || arrived[key] || !sendmailCompletes(key) {
			continue
		}
		arrived[key] = true
		if err := d.did("replace "+e.Name, d.out.ChangeHeader(1, e.Name, "")); err != nil {
			return err
		}
	}
	return nil
}

// insertIndex is where smfi_insheader puts a field below the first before ones
// that arrived.
func (d *diff) insertIndex(before int) int {
	if d.sendmail {
		return sendmailOwn + before - 1
	}
	return before + 1 // below the MTA's own Received
}

// append puts a field at the end of the header.
func (d *diff) append(e *entry) error {
	if !d.sendmail || !d.m.wanted.headers && sendmailCompletes(e.Name) {
		return d.out.AddHeader(e.Name, e.Value)
	}
	return d.out.InsertHeader(belowAll, e.Name, e.Value)
}
