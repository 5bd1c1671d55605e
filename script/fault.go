package script

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"pmilter/filter"
)

// Fault is one thing wrong with the scripts as written, found while loading them.
type Fault struct {
	Pos     filter.Position // File is empty when no file is to blame
	Message string          // one line
	Warning bool            // the scripts load all the same
}

// String is "file:line:column: message", as compilers write it.
func (f Fault) String() string {
	message := f.Message
	if f.Warning {
		message = "warning: " + message
	}
	if f.Pos.File == "" {
		return message
	}
	return f.Pos.String() + ": " + message
}

// Faults is everything found in one load: all of it, not only the first.
type Faults []Fault //nolint:errname // a list of places first, an error second

// Error is one fault a line.
func (f Faults) Error() string {
	lines := make([]string, len(f))
	for i, fault := range f {
		lines[i] = fault.String()
	}
	return strings.Join(lines, "\n")
}

// Fatal tells whether one of them is more than a warning.
func (f Faults) Fatal() bool {
	return slices.ContainsFunc(f, func(one Fault) bool { return !one.Warning })
}

// Err is f when it is fatal, else nil.
func (f Faults) Err() error {
	if !f.Fatal() {
		return nil
	}
	return f
}

// Warnings is those that stop nothing.
func (f Faults) Warnings() Faults {
	return slices.DeleteFunc(slices.Clone(f), func(one Fault) bool { return !one.Warning })
}

// CarryFaults is err with a text that FaultsOf makes Faults of again, in another process,
// if it is Faults.
func CarryFaults(err error) error {
	var faults Faults
	if !errors.As(err, &faults) {
		return err
	}
	data, marshal := json.Marshal(faults)
	if marshal != nil {
		return err
	}
	return errors.New(string(data))
}

// FaultsOf is the error that CarryFaults made the text of: Faults, or just that text.
func FaultsOf(text string) error {
	var faults Faults
	if json.Unmarshal([]byte(text), &faults) == nil && len(faults) > 0 {
		return faults
	}
	return errors.New(text)
}
