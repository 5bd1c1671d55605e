package testbed

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"pmilter/script"
)

// tap is the Test Anything Protocol, version 14 (https://testanything.org).
type tap struct {
	out   io.Writer
	count int
}

// NewTAP reports as TAP.
func NewTAP(out io.Writer) Reporter {
	fmt.Fprintln(out, "TAP version 14")
	return &tap{out: out}
}

// File implements Reporter.
func (p *tap) File(f FileReport) {
	for _, t := range f.Tests {
		name := tapName(f.Name + " > " + strings.Join(t.Path, " > "))
		switch t.Status {
		case script.Passed:
			p.line("ok", name, "")
		case script.Skipped:
			p.line("ok", name, " # SKIP"+prefixed(" ", t.Why))
		default:
			p.line("not ok", name, "")
			p.diagnosis(t.Failure)
		}
	}
	if f.Err != nil {
		for _, fault := range f.Faults() {
			p.line("not ok", tapName(f.Name), "")
			p.diagnosis(fault)
		}
	}
}

func (p *tap) line(result, name, directive string) {
	p.count++
	fmt.Fprintf(p.out, "%s %d - %s%s\n", result, p.count, name, directive)
}

// diagnosis is a YAML block; JSON strings are YAML's.
func (p *tap) diagnosis(f *script.Failure) {
	fmt.Fprintf(p.out, "  ---\n  message: %s\n  at: %s\n  ...\n", quoted(f.Message), quoted(f.Pos.String()))
}

// quoted is a JSON string.
func quoted(s string) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(s) // a string always encodes
	return strings.TrimSpace(b.String())
}

// End implements Reporter.
func (p *tap) End(Summary) error {
	_, err := fmt.Fprintf(p.out, "1..%d\n", p.count)
	return err
}

// tapName is a description: one line, "#" and "\" escaped.
func tapName(s string) string {
	return strings.NewReplacer(`\`, `\\`, "#", `\#`).Replace(printable(s))
}
