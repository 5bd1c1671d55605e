package filter

import (
	"errors"
	"fmt"
	"slices"

	"pmilter/internal/milter"
)

// sendEdits writes the difference between what arrived and the model as the
// fewest milter actions, in an order that ends as the model says. It returns
// the names of what was done, for the log.
func (m *Message) sendEdits(out *milter.Modifications) ([]string, error) {
	if len(m.edits) == 0 {
		return nil, nil
	}
	if m.cut && slices.ContainsFunc(m.edits, edit.needsFields) {
		return nil, errors.New("filter: edits: the header was too long to be kept")
	}
	d := diff{m: m, v: m.model(), out: out, sendmail: m.session.isSendmail()}
	for _, step := range []func() error{d.sender, d.recipients, d.header, d.body, d.quarantine} {
		if err := step(); err != nil {
			return nil, fmt.Errorf("filter: edits: %w", err)
		}
	}
	if d.more > 0 {
		d.done = append(d.done, fmt.Sprintf("and %d more", d.more))
	}
	return d.done, nil
}

type diff struct {
	m    *Message
	v    *model
	out  *milter.Modifications
	done []string
	more int // not in done

	sendmail bool
}

// maxDone is how many edits a log line names: a mail may bring any number of
// fields that a script removes.
const maxDone = 100

func (d *diff) did(what string, err error) error {
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if len(d.done) < maxDone {
		d.done = append(d.done, what)
	} else {
		d.more++
	}
	return nil
}

func (d *diff) sender() error {
	if d.v.sender == d.m.Sender || d.v.sender.Address == d.m.Sender.Address && len(d.v.sender.params) == 0 {
		return nil
	}
	return d.did("sender "+d.v.sender.Address, d.out.ChangeFrom(d.v.sender.Address, d.v.sender.params))
}

func (d *diff) recipients() error {
	kept := make(map[*Address]bool, len(d.v.recipients))
	for _, a := range d.v.recipients {
		kept[a] = true
	}
	arrived := make(map[*Address]bool, len(d.m.recipients))
	gone := make(map[string]bool)
	for _, a := range d.m.recipients {
		arrived[a] = true
		if kept[a] || gone[a.Address] {
			continue
		}
		gone[a.Address] = true // however often it was given: the MTA removes all
		if err := d.did("-rcpt "+a.Address, d.out.DelRcpt(a.Address)); err != nil {
			return err
		}
	}
	for _, a := range d.v.recipients {
		if arrived[a] {
			continue
		}
		if err := d.did("+rcpt "+a.Address, d.out.AddRcpt(a.Address, a.params)); err != nil {
			return err
		}
	}
	return nil
}

// header sends the header's edits in these steps:
//
//  1. changed values, while every index is as it arrived; before them, what
//     Sendmail would write itself and a script has made;
//  2. inserted fields from the last to the first, so that none moves the place
//     of another; positions count the MTA's own Received, which stands first;
//  3. removed fields from the last to the first. QUIRK: a removal shifts later
//     positions on Postfix and not on Sendmail, so it comes after the inserts;
//  4. fields above everything. QUIRK: Postfix hides whatever field is first from
//     changes (cleanup_milter.c, SKIP_ONE_HEADER), so this comes after them;
//  5. fields added at the end.
func (d *diff) header() error {
	if d.v.entries == nil {
		return nil
	}
	plan := d.plan()
	for _, step := range []func(*headerPlan) error{d.completed, d.changed, d.inserted, d.removed, d.above, d.added} {
		if err := step(plan); err != nil {
			return err
		}
	}
	return nil
}

// headerPlan sorts the model's fields by what must be done for them.
type headerPlan struct {
	arrived []Field
	kept    []*entry   // by arrived index; nil: removed
	above   []*entry   // new, above the MTA's own Received
	after   [][]*entry // new, by the number of arrived fields before them
	end     []*entry   // new, after the last arrived one that is kept
}

func (d *diff) plan() *headerPlan {
	arrived := d.m.arena.all()
	p := &headerPlan{arrived: arrived, kept: make([]*entry, len(arrived)), after: make([][]*entry, len(arrived)+1)}
	hidden, before := false, 0
	for i := range d.v.entries {
		e := &d.v.entries[i]
		switch {
		case e.arrived == fieldHidden:
			hidden = true
		case e.arrived >= 0:
			p.kept[e.arrived] = e
			before = e.arrived + 1
		case !hidden:
			p.above = append(p.above, e)
		default:
			p.after[before] = append(p.after[before], e)
		}
	}
	p.end, p.after[before] = p.after[before], nil
	return p
}

// occurrences is for each arrived field its place among those of its name, from 1.
func (p *headerPlan) occurrences() []int {
	places := make([]int, len(p.arrived))
	seen := make(map[string]int)
	for i, f := range p.arrived {
		key := f.key()
		seen[key]++
		places[i] = seen[key]
	}
	return places
}

func (d *diff) changed(p *headerPlan) error {
	places := p.occurrences()
	for i, e := range p.kept {
		if e == nil || e.Value == p.arrived[i].Value {
			continue
		}
		value := e.Value
		if value == "" {
			value = " " // an empty value would remove the field
		}
		if err := d.did("set "+e.Name, d.out.ChangeHeader(places[i], p.arrived[i].bare(), value)); err != nil {
			return err
		}
	}
	return nil
}

func (d *diff) inserted(p *headerPlan) error {
	for before := len(p.after) - 1; before >= 0; before-- {
		group := p.after[before]
		for i := len(group) - 1; i >= 0; i-- {
			if err := d.did("insert "+group[i].Name, d.out.InsertHeader(d.insertIndex(before), group[i].Name, group[i].Value)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (d *diff) removed(p *headerPlan) error {
	places := p.occurrences()
	inserted := make(map[string]int) // above the i-th arrived field, by now
	for i := range p.kept {
		for _, e := range p.after[i] {
			inserted[e.key()]++
		}
		places[i] += inserted[p.arrived[i].key()]
	}
	for i := len(p.kept) - 1; i >= 0; i-- {
		if p.kept[i] != nil {
			continue
		}
		name := p.arrived[i].bare()
		if err := d.did("remove "+name, d.out.ChangeHeader(places[i], name, "")); err != nil {
			return err
		}
	}
	return nil
}

func (d *diff) above(p *headerPlan) error {
	for i := len(p.above) - 1; i >= 0; i-- {
		if err := d.did("prepend "+p.above[i].Name, d.out.InsertHeader(0, p.above[i].Name, p.above[i].Value)); err != nil {
			return err
		}
	}
	return nil
}

func (d *diff) added(p *headerPlan) error {
	for _, e := range p.end {
		if err := d.did("add "+e.Name, d.append(e)); err != nil {
			return err
		}
	}
	return nil
}

func (d *diff) body() error {
	body := d.v.edited()
	if body == nil {
		return nil
	}
	return d.did("body", d.out.ReplaceBody(*body))
}

func (d *diff) quarantine() error {
	if d.v.quarantine == "" {
		return nil
	}
	return d.did("quarantine", d.out.Quarantine(d.v.quarantine))
}
