package mta

import (
	"slices"
	"strings"

	"github.com/emersion/go-milter"

	imilter "pmilter/internal/milter"
)

// Apply makes one edit as Postfix's cleanup does (cleanup_milter.c).
// leadingSpace tells that header values come with the white space after the
// colon (SMFIP_HDR_LEADSPC); without it one space is put there. Edits must be
// applied in the order they came; after the last one call Finish. The only
// error is an Action that is no edit.
func (m *Message) Apply(e Modification, leadingSpace bool) error {
	if e.Action != milter.ActReplBody {
		m.Finish()
	}
	space := " "
	if leadingSpace {
		space = ""
	}
	text := fold(e.Name + ":" + space + e.Value)
	switch e.Action {
	case milter.ActAddHeader:
		m.Fields = append(m.Fields, Field{Text: text})
	case milter.ActInsertHeader:
		m.insertField(int(e.Index), text)
	case milter.ActChangeHeader:
		m.changeField(int(max(e.Index, 1)), e.Name, e.Value == "", text)
	case milter.ActReplBody:
		m.replaceBody(e.Body)
	case milter.ActAddRcpt, imilter.ActAddRcptWithArgs:
		m.addRecipient(stripBrackets(e.Addr), strings.Fields(e.Params))
	case milter.ActDelRcpt:
		m.removeRecipient(stripBrackets(e.Addr))
	case milter.ActChangeFrom:
		m.changeSender(stripBrackets(e.Addr), strings.Fields(e.Params))
	case milter.ActQuarantine:
		m.Quarantined, m.Reason = true, e.Reason
	default:
		return errUnknownEdit
	}
	return nil
}

// Finish ends a replacement of the body: a last line without a line end gets one.
func (m *Message) Finish() {
	if m.bodyEdit {
		m.bodyEdit = false
		m.Body = toCRLF(m.Body)
	}
}

// insertField is cleanup_ins_header: index 0 is above everything; every field
// counts, the MTA's own Received too; past the end it is appended.
func (m *Message) insertField(index int, text string) {
	m.Fields = slices.Insert(m.Fields, min(index, len(m.Fields)), Field{Text: text})
}

// changeField is cleanup_upd_header and cleanup_del_header: the index counts
// fields of that name from 1, without the MTA's own Received; what is not there
// is appended, or not deleted.
func (m *Message) changeField(index int, name string, remove bool, text string) {
	for i, f := range m.Fields {
		if f.hidden || !strings.EqualFold(f.Name(), name) {
			continue
		}
		if index--; index > 0 {
			continue
		}
		if remove {
			m.Fields = slices.Delete(m.Fields, i, i+1)
		} else {
			m.Fields[i].Text = text
		}
		return
	}
	if !remove {
		m.Fields = append(m.Fields, Field{Text: text})
	}
}

// fold gives a line of a value that does not begin with white space a tab, so
// that it stays in its field (cleanup_out_header).
func fold(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines[1:] {
		if line == "" || (line[0] != ' ' && line[0] != '\t') {
			lines[i+1] = "\t" + line
		}
	}
	return strings.Join(lines, "\n")
}

// replaceBody appends a chunk to the new body, the first in place of the old.
// A CRLF may be split between two chunks.
func (m *Message) replaceBody(chunk []byte) {
	if !m.bodyEdit {
		m.bodyEdit = true
		m.Body = nil
	}
	m.Body = append(m.Body, chunk...)
}

// addRecipient is cleanup_add_rcpt_par: NOTIFY and ORCPT alone have an effect,
// and a recipient that is there already is not added again.
func (m *Message) addRecipient(address string, params []string) {
	params = onlyParams(params, "NOTIFY", "ORCPT")
	for _, r := range m.Recipients {
		if strings.EqualFold(r.Address, address) && slices.Equal(r.Params, params) {
			return
		}
	}
	m.Recipients = append(m.Recipients, Recipient{Address: address, Params: params})
}

// removeRecipient is cleanup_del_rcpt: every recipient of exactly that address.
func (m *Message) removeRecipient(address string) {
	m.Recipients = slices.DeleteFunc(m.Recipients, func(r Recipient) bool { return r.Address == address })
}

// changeSender is cleanup_chg_from: of the parameters, RET and ENVID replace
// those of the old sender.
func (m *Message) changeSender(address string, params []string) {
	m.Sender = address
	for _, p := range onlyParams(params, "RET", "ENVID") {
		key, _, _ := strings.Cut(p, "=")
		m.SenderParams = append(withoutParam(m.SenderParams, key), p)
	}
}

func onlyParams(params []string, keys ...string) []string {
	var out []string
	for _, p := range params {
		key, _, _ := strings.Cut(p, "=")
		if slices.Contains(keys, strings.ToUpper(key)) {
			out = append(out, p)
		}
	}
	return out
}

func withoutParam(params []string, key string) []string {
	return slices.DeleteFunc(slices.Clone(params), func(p string) bool {
		k, _, _ := strings.Cut(p, "=")
		return strings.EqualFold(k, key)
	})
}
