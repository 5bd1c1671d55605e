package config

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// Fault is one thing that is wrong with a file.
type Fault struct {
	File         string
	Line, Column int // from 1; the column counts bytes
	Message      string
}

// String is "file:line:column: message".
func (f Fault) String() string {
	return fmt.Sprintf("%s:%d:%d: %s", f.File, f.Line, f.Column, f.Message)
}

// Errors is all that is wrong with a file, in the order of the file.
type Errors []Fault

// Error has one fault a line.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, f := range e {
		lines[i] = f.String()
	}
	return strings.Join(lines, "\n")
}

func (e Errors) sort() {
	slices.SortStableFunc(e, func(a, b Fault) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
}

// source is the text of a file and what was found wrong with it. A place in it
// is an offset in bytes.
type source struct {
	name     string
	data     []byte
	faults   Errors
	warnings Errors
}

func newSource(name string, data []byte) *source {
	data = bytes.TrimPrefix(data, []byte("\ufeff")) // as some editors write it
	return &source{name: name, data: data[:len(data):len(data)]}
}

func (s *source) fault(at int, format string, args ...any) {
	s.faults = append(s.faults, s.at(at, format, args...))
}

func (s *source) warn(at int, format string, args ...any) {
	s.warnings = append(s.warnings, s.at(at, format, args...))
}

func (s *source) at(at int, format string, args ...any) Fault {
	line, column := s.lineColumn(at)
	return Fault{File: s.name, Line: line, Column: column, Message: oneLine(fmt.Sprintf(format, args...))}
}

// oneLine keeps a strange key, or a value from the environment, from looking
// like another fault.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, s)
}

func (s *source) lineColumn(at int) (line, column int) {
	before := s.data[:min(at, len(s.data))]
	return 1 + bytes.Count(before, []byte("\n")), len(before) - bytes.LastIndexByte(before, '\n')
}

// syntax adds the error that ended parsing.
func (s *source) syntax(err error) {
	var parser *unstable.ParserError
	at := len(s.data)
	if errors.As(err, &parser) {
		// A subslice of data: what follows it tells where it begins.
		at = max(0, cap(s.data)-cap(parser.Highlight))
	}
	s.fault(at, "%s", err.Error())
}

// strict finds what readDocument lets through, for example a date that no
// calendar has.
func (s *source) strict() {
	var all map[string]any
	err := toml.Unmarshal(s.data, &all)
	if err == nil {
		return
	}
	fault := Fault{File: s.name, Line: 1, Column: 1, Message: oneLine(strings.TrimPrefix(err.Error(), "toml: "))}
	var decode *toml.DecodeError
	if errors.As(err, &decode) {
		fault.Line, fault.Column = decode.Position()
	}
	s.faults = append(s.faults, fault)
}
