package testbed

import (
	"fmt"

	"pmilter/script"
)

// canned is what a test says beforehand that a module answers, for one test: its
// sessions and its own calls. To add a module, dns say:
//
//   - canned_dns.go has a type that implements both this interface, which the
//     test fills it by, and script.DNS, which filters ask; what was not said
//     beforehand is an error that names the question;
//   - newCanned makes it, and services gives it to the scripts;
//   - script/bind_testing.go (canned) and scripts/pmilter.d.ts name its functions.
//
// A service that needs no answers, like a fresh store for each test, is made in
// services alone.
type canned interface {
	// answer is a call of a function of pmilter/test; see script.Stand.Answer.
	// Safe for concurrent use with what filters ask.
	answer(function string, args []any) error
}

// newCanned makes the canned modules of one test, with nothing said yet.
func (b *Bench) newCanned() map[string]canned {
	return map[string]canned{
		"vars": newCannedVars(b.o.Vars),
	}
}

// services is what the modules of one test's scripts do their work with.
func (b *Bench) services(map[string]canned) script.Services {
	return b.o.Scripts.Services // tables and matchers, which are files' and texts'
}

// noFunction is the error of answer for a function that there is not.
func noFunction(name string) error { return fmt.Errorf("there is no function %s", name) }
