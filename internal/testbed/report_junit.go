package testbed

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"time"

	"pmilter/script"
)

// junit is the XML that build servers read (Ant's JUnit task).
type junit struct {
	out    io.Writer
	suites junitSuites
}

// NewJUnit writes a JUnit report when everything has run.
func NewJUnit(out io.Writer) Reporter { return &junit{out: out} }

type junitSuites struct {
	XMLName  xml.Name     `xml:"testsuites"`
	Tests    int          `xml:"tests,attr"`
	Failures int          `xml:"failures,attr"`
	Errors   int          `xml:"errors,attr"`
	Skipped  int          `xml:"skipped,attr"`
	Time     string       `xml:"time,attr"`
	Suites   []junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Errors   int         `xml:"errors,attr"`
	Skipped  int         `xml:"skipped,attr"`
	Time     string      `xml:"time,attr"`
	Cases    []junitCase `xml:"testcase"`
}

type junitCase struct {
	Name    string        `xml:"name,attr"`
	Class   string        `xml:"classname,attr"`
	File    string        `xml:"file,attr,omitempty"`
	Line    int           `xml:"line,attr,omitempty"`
	Time    string        `xml:"time,attr"`
	Failure *junitFailure `xml:"failure"`
	Error   *junitFailure `xml:"error"`
	Skipped *junitFailure `xml:"skipped"`
	Out     string        `xml:"system-out,omitempty"`
}

type junitFailure struct {
	Message string `xml:"message,attr,omitempty"`
	Text    string `xml:",chardata"`
}

// File implements Reporter.
func (p *junit) File(f FileReport) {
	var sum Summary
	sum.add(&f)
	s := junitSuite{
		Name: f.Name, Tests: len(f.Tests) + sum.Faults, Failures: sum.Failed, Errors: sum.Faults, Skipped: sum.Skipped,
		Time: seconds(f.Duration),
	}
	for _, t := range f.Tests {
		c := junitCase{
			Name: strings.Join(t.Path, " > "), Class: f.Name, File: f.Name, Line: t.Line, Time: seconds(t.Duration),
			Out: strings.Join(t.Log, "\n"),
		}
		if t.Status == script.Skipped {
			c.Skipped = &junitFailure{Message: t.Why}
		}
		if t.Failure != nil {
			first, _, _ := strings.Cut(t.Failure.Message, "\n")
			c.Failure = &junitFailure{first, t.Failure.Message + "\n\nat " + t.Failure.Pos.String() + "\n" + Frame(f.Base, t.Failure.Pos)}
		}
		s.Cases = append(s.Cases, c)
	}
	if f.Err != nil {
		s.Cases = append(s.Cases, junitCase{Name: f.Name, Class: f.Name, Time: seconds(f.Duration), Error: &junitFailure{"the file could not be run", f.Err.Error()}})
	}
	p.suites.Suites = append(p.suites.Suites, s)
}

// End implements Reporter.
func (p *junit) End(s Summary) error {
	p.suites.Tests, p.suites.Failures = s.Passed+s.Failed+s.Skipped+s.Faults, s.Failed
	p.suites.Errors, p.suites.Skipped, p.suites.Time = s.Faults, s.Skipped, seconds(s.Duration)
	data, err := xml.MarshalIndent(p.suites, "", "  ") // what XML cannot hold becomes U+FFFD
	if err != nil {
		return fmt.Errorf("junit: %w", err)
	}
	_, err = fmt.Fprintf(p.out, "%s%s\n", xml.Header, data)
	return err
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.3f", d.Seconds()) }

// All reports to several at once.
func All(list ...Reporter) Reporter { return reporters(list) }

type reporters []Reporter

// File implements Reporter.
func (r reporters) File(f FileReport) {
	for _, one := range r {
		one.File(f)
	}
}

// End implements Reporter; the first error counts.
func (r reporters) End(s Summary) error {
	var first error
	for _, one := range r {
		if err := one.End(s); err != nil && first == nil {
			first = err
		}
	}
	return first
}
