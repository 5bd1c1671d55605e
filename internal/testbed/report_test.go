package testbed

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"io"
	"regexp"
	"strings"
	"testing"
	"unicode"

	"pmilter/filter"
	"pmilter/script"
)

// hostile is text as mail could bring it into a name or a message.
const hostile = "a # SKIP\nok 7 - forged \x1b[2J \x00 \u202e ]]> <x a=\"b\">&'\\ \xff"

// hostileReport is a file in which all text is hostile, and the Summary of it.
func hostileReport() (FileReport, Summary) {
	f := FileReport{Name: hostile, Base: "/nonexistent", Err: script.Faults{{Pos: filter.Position{File: hostile, Line: 1, Column: 1}, Message: hostile}}}
	failure := &script.Failure{Message: hostile + "\n- " + hostile, Pos: filter.Position{File: hostile, Line: 2, Column: 3}, Stack: hostile + "\n" + hostile}
	f.Tests = []script.TestReport{
		{File: hostile, Path: []string{hostile, hostile}, Line: 1, Log: []string{hostile}},
		{File: hostile, Path: []string{hostile}, Status: script.Failed, Failure: failure, Log: []string{hostile}},
		{File: hostile, Path: []string{hostile}, Status: script.Skipped, Why: "there is an only"},
	}
	var sum Summary
	sum.add(&f)
	return f, sum
}

// TestHostileText: what a test is named, or what it says, is not taken for the
// report's own words in any format.
func TestHostileText(t *testing.T) {
	report := func(make func(io.Writer) Reporter) string {
		var out bytes.Buffer
		f, sum := hostileReport()
		r := make(&out)
		r.File(f)
		if err := r.End(sum); err != nil {
			t.Error(err)
		}
		return out.String()
	}
	t.Run("pretty", func(t *testing.T) {
		got := report(func(w io.Writer) Reporter { return NewPretty(w, false) })
		for line := range strings.Lines(got) {
			if strings.ContainsFunc(strings.TrimSuffix(line, "\n"), func(r rune) bool { return !unicode.IsPrint(r) }) {
				t.Errorf("%q", line)
			}
		}
		if !strings.Contains(got, "1 passed, 1 failed, 1 skipped, 1 file could not be run") {
			t.Error(got)
		}
	})
	t.Run("tap", func(t *testing.T) {
		got := report(NewTAP)
		line := regexp.MustCompile(`^(TAP version 14|1\.\.4|(not )?ok \d - [^#]*([^#\\]\\#[^#]*)*( # SKIP there is an only)?|  (---|\.\.\.|(message|at): ".*"))\n$`)
		skipped := 0
		for one := range strings.Lines(got) {
			if !line.MatchString(one) || strings.HasPrefix(one, "ok 7") {
				t.Errorf("%q", one)
			}
			if regexp.MustCompile(`[^\\]# SKIP`).MatchString(one) && strings.HasPrefix(one, "ok ") {
				skipped++
			}
		}
		if skipped != 1 {
			t.Errorf("%d skipped:\n%s", skipped, got)
		}
	})
	t.Run("json", func(t *testing.T) {
		var names []string
		for line := range strings.Lines(report(NewJSON)) {
			var o jsonTest
			if err := json.Unmarshal([]byte(line), &o); err != nil {
				t.Errorf("%q: %v", line, err)
			}
			names = append(names, o.Name)
		}
		if want := strings.ToValidUTF8(hostile, "\ufffd"); strings.Join(names, "|") != strings.Join([]string{want, want, want, ""}, "|") {
			t.Errorf("%q", names)
		}
	})
	t.Run("junit", func(t *testing.T) {
		var got junitSuites
		text := report(NewJUnit)
		if err := xml.Unmarshal([]byte(text), &got); err != nil {
			t.Fatalf("%v:\n%s", err, text)
		}
		cases := got.Suites[0].Cases
		if got.Tests != 4 || len(cases) != 4 || cases[1].Failure == nil || cases[2].Skipped.Message != "there is an only" || cases[3].Error == nil {
			t.Errorf("%+v", got)
		}
		if want := "a # SKIP\nok 7 - forged \ufffd[2J \ufffd \u202e ]]> <x a=\"b\">&'\\ \ufffd"; cases[1].Name != want || cases[0].Out != want {
			t.Errorf("%q", cases[1].Name)
		}
	})
}
