package script

import (
	"strings"
	"testing"

	"go.uber.org/zap"
)

// TestExportFaultsHavePlaces: what is wrong with an export is told with the
// line and column of the export, or of the option.
func TestExportFaultsHavePlaces(t *testing.T) {
	for source, want := range map[string]string{
		"// a\nexport const mail = 1;\n": "scripts/a.js:2:14: exports mail, which is no function",
		"export const options = {\n  body: false,\n  earley: true };\nexport function mail() {}": "scripts/a.js:3:3: options.earley is not known: there are headers, body, early, observe, onError",
		"export const options = { early: 1 }; export function eom() {}":                          "scripts/a.js:1:26: options.early is not true or false",
		"export const options = 5; export function eom() {}":                                     "scripts/a.js:1:14: options is no object",
		"const mail = 1; export { mail };":                                                       "scripts/a.js: exports mail, which is no function",
	} {
		base := project(t, map[string]string{"scripts/a.js": source})
		l := NewLibrary(Options{Base: base, Scripts: []string{"scripts"}, Log: zap.NewNop(), Limits: Limits{Timeout: 5e9, CPU: 5e9, MaxValue: 1 << 20}})
		err := l.Load(t.Context())
		l.Close()
		if err == nil {
			t.Fatalf("%q was loaded", source)
		}
		if first, _, _ := strings.Cut(err.Error(), "\n"); first != want {
			t.Errorf("%q: got %v\nwant %s", source, err, want)
		}
	}
}

// TestNearestPhase: what is one slip away from a handler's name is told, and
// what may well be a helper is not.
func TestNearestPhase(t *testing.T) {
	for name, want := range map[string]string{
		"maill": "mail", "mial": "mail", "rctp": "rcpt", "rcp": "rcpt", "rcptt": "rcpt", "Header": "header", "headder": "header", "hedaer": "header",
		"conect": "connect", "onconnect": "connect", "bod": "body", "bodi": "", "eomm": "eom", "abrot": "abort", "unkown": "unknown", "envfrom": "mail", "EHLO": "helo",
		"domain": "", "clean": "", "seen": "", "to": "", "e": "", "rule": "", "check": "", "dates": "", "email": "", "male": "", "hero": "", "hello": "helo",
	} {
		if got := nearestPhase(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}
