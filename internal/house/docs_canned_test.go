package house

import (
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"pmilter/script"
	"pmilter/script/canned"
)

// cannedAnswers gives the examples of a page what others would answer, as the
// page's comments say, wherever in it they stand:
//
//	<!-- dns: NAME TYPE VALUE, VALUE -->    no value: an error; an MX as "10 host"
//	<!-- http: URL => STATUS BODY -->
//	<!-- net: ADDRESS => ANSWER -->         \0 is a NUL, \n a line feed
//
// What no comment speaks of is not there.
func cannedAnswers(t *testing.T, at string, s *script.Services) {
	t.Helper()
	page, _, _ := strings.Cut(at, ":")
	dns, http, net := &canned.DNS{}, &canned.HTTP{}, &canned.Net{}
	s.DNS, s.HTTP, s.Net = dns, http, net
	for _, m := range regexp.MustCompile(`(?m)^<!-- (dns|http|net): (.*) -->$`).FindAllStringSubmatch(readDocument(t, page), -1) {
		name, answer, _ := strings.Cut(m[2], " => ")
		switch m[1] {
		case "dns":
			words := strings.SplitN(m[2], " ", 3)
			var records []script.DNSRecord
			if len(words) < 3 {
				dns.Answer(words[0], words[1], nil, "ESERVFAIL")
				continue
			}
			for _, value := range strings.Split(words[2], ", ") {
				r := script.DNSRecord{Text: value}
				if priority, host, ok := strings.Cut(value, " "); ok && words[1] == "MX" {
					n, err := strconv.Atoi(priority)
					if err != nil {
						t.Fatalf("%s: %s", page, m[0])
					}
					r = script.DNSRecord{Name: host, Priority: n}
				}
				records = append(records, r)
			}
			dns.Answer(words[0], words[1], records, "")
		case "http":
			status, body, _ := strings.Cut(answer, " ")
			code, err := strconv.Atoi(status)
			if err != nil {
				t.Fatalf("%s: %s", page, m[0])
			}
			http.Answer(name, script.HTTPResponse{Status: code, Body: []byte(body)})
		case "net":
			net.Answer(name, []byte(strings.NewReplacer(`\0`, "\x00", `\n`, "\n").Replace(answer)))
		}
	}
}

// loadJobExample loads a job's script, which may import what filters may not.
func loadJobExample(t *testing.T, b docBlock, dir string, vars map[string]any) {
	t.Helper()
	file := "jobs/" + strings.NewReplacer("/", "-", ":", "-", ".", "-").Replace(b.at) + "." + b.lang
	write(t, dir, file, b.text)
	library := script.NewLibrary(script.Options{
		Base: dir, Scripts: []string{filepath.Join(dir, file)}, Vars: vars, Jobs: true,
		Limits: script.Limits{Timeout: time.Minute, CPU: time.Minute, Memory: 1 << 30, MaxValue: 64 << 20},
	})
	defer library.Retire()
	if err := library.Load(t.Context()); err != nil {
		t.Errorf("%s: %v", b.at, err)
	}
}
