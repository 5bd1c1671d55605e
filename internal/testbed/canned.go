package testbed

import (
	"fmt"

	"pmilter/script"
	answers "pmilter/script/canned"
)

// canned is what a test says beforehand that a module answers, for one test: its
// sessions and its own calls. To add a module:
//
//   - a type of it here fills, by answer, what implements the module's service
//     (canned_outside.go: those of script/canned); what was not said beforehand is
//     an error that names the question;
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
		"dns":  cannedDNS{&answers.DNS{}},
		"http": cannedHTTP{&answers.HTTP{}},
		"net":  cannedNet{&answers.Net{}},
		"exec": cannedExec{&answers.Exec{}},
		"smtp": cannedSMTP{&answers.SMTP{}},
	}
}

// services is what the modules of one test's scripts do their work with. Nothing in
// it reaches outside.
func (b *Bench) services(c *clock, said map[string]canned) script.Services {
	dns, _ := said["dns"].(cannedDNS)
	http, _ := said["http"].(cannedHTTP)
	net, _ := said["net"].(cannedNet)
	s := script.Services{Tables: b.o.Scripts.Services.Tables, Matchers: b.o.Scripts.Services.Matchers}
	if b.o.Services != nil {
		s = b.o.Services(c.Now, dns)
	}
	s.DNS, s.HTTP, s.Net = dns, http, net
	exec, _ := said["exec"].(cannedExec)
	smtp, _ := said["smtp"].(cannedSMTP)
	s.Exec, s.SMTP, s.Maildirs = exec, smtp, &answers.Maildirs{}
	return s
}

// noFunction is the error of answer for a function that there is not.
func noFunction(name string) error { return fmt.Errorf("there is no function %s", name) }
