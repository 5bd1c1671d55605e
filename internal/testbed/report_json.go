package testbed

import (
	"encoding/json"
	"fmt"
	"io"

	"pmilter/script"
)

// jsonReport is one object a test, one a line.
type jsonReport struct {
	out io.Writer
	err error
}

// NewJSON reports one JSON object a test, one a line. What is wrong with a file
// that could not be run is one without a name.
func NewJSON(out io.Writer) Reporter { return &jsonReport{out: out} }

type jsonTest struct {
	File   string     `json:"file"`
	Line   int        `json:"line,omitempty"`
	Path   []string   `json:"path"`
	Name   string     `json:"name"`
	Status string     `json:"status"`
	MS     float64    `json:"ms"`
	Error  *jsonError `json:"error,omitempty"`
	Log    []string   `json:"log,omitempty"`
}

type jsonError struct {
	Message string `json:"message"`
	File    string `json:"file"`
	Line    int    `json:"line"`
	Column  int    `json:"column"`
	Frame   string `json:"frame,omitempty"`
	Stack   string `json:"stack,omitempty"`
}

// File implements Reporter.
func (p *jsonReport) File(f FileReport) {
	for _, t := range f.Tests {
		o := jsonTest{
			File: f.Name, Line: t.Line, Path: t.Path[:len(t.Path)-1], Name: t.Path[len(t.Path)-1],
			Status: t.Status.String(), MS: float64(t.Duration.Microseconds()) / 1000, Log: t.Log,
		}
		if t.Failure != nil {
			o.Error = failureJSON(f.Base, t.Failure)
		}
		p.write(o)
	}
	if f.Err != nil {
		for _, fault := range f.Faults() {
			p.write(jsonTest{
				File: f.Name, Path: []string{}, Status: script.Failed.String(), MS: float64(f.Duration.Microseconds()) / 1000,
				Error: failureJSON(f.Base, fault),
			})
		}
	}
}

func failureJSON(base string, f *script.Failure) *jsonError {
	return &jsonError{f.Message, f.Pos.File, f.Pos.Line, f.Pos.Column, Frame(base, f.Pos), f.Stack}
}

func (p *jsonReport) write(o jsonTest) {
	data, err := json.Marshal(o)
	if err == nil {
		_, err = fmt.Fprintf(p.out, "%s\n", data)
	}
	if p.err == nil {
		p.err = err
	}
}

// End implements Reporter.
func (p *jsonReport) End(Summary) error { return p.err }
