package auth_test

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"pmilter/internal/auth"
)

// zone is a DNS of its own: "TXT name", "A name", "MX name" or "PTR ip" to the
// answers. "SERVFAIL" among them is a failure; a name that is not there does not exist.
type zone map[string][]string

var _ auth.Resolver = zone{}

func (z zone) find(kind, name string) ([]string, error) {
	answers, ok := z[kind+" "+strings.ToLower(strings.TrimSuffix(name, "."))]
	switch {
	case !ok:
		return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
	case len(answers) == 1 && answers[0] == "SERVFAIL":
		return nil, &net.DNSError{Err: "server misbehaving", Name: name, IsTemporary: true}
	case len(answers) == 1 && answers[0] == "ODD": // it says no more
		return nil, &net.DNSError{Err: "something", Name: name}
	}
	return answers, nil
}

func (z zone) LookupTXT(_ context.Context, name string) ([]string, error) {
	return z.find("TXT", name)
}

func (z zone) LookupMX(_ context.Context, name string) (list []*net.MX, err error) {
	found, err := z.find("MX", name)
	for _, host := range found {
		list = append(list, &net.MX{Host: host, Pref: 10})
	}
	return list, err
}

func (z zone) LookupIPAddr(_ context.Context, host string) (list []net.IPAddr, err error) {
	found, err := z.find("A", host)
	for _, ip := range found {
		list = append(list, net.IPAddr{IP: net.ParseIP(ip)})
	}
	return list, err
}

func (z zone) LookupAddr(_ context.Context, ip string) ([]string, error) {
	return z.find("PTR", netip.MustParseAddr(ip).String())
}

// at is the time that tests are at.
func at() time.Time { return time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC) }

func service(z auth.Resolver) *auth.Service {
	return auth.New(auth.Options{Resolver: z, Now: at, Random: func() float64 { return 0.5 }})
}

// read makes a message of a text with LF or CRLF.
func read(t testing.TB, s *auth.Service, text string) *auth.Message {
	t.Helper()
	header, body := split(text)
	return s.Read(fields(header), []byte(body))
}

// split cuts a text into the header with its empty line and the body, in CRLF.
func split(text string) (header, body string) {
	text = strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\n", "\r\n")
	header, body, _ = strings.Cut(text, "\r\n\r\n")
	return header + "\r\n\r\n", body
}

func fields(header string) (list []auth.Field) {
	for line := range strings.SplitSeq(strings.TrimRight(header, "\r\n"), "\r\n") {
		if len(list) > 0 && strings.HasPrefix(line, " ") || strings.HasPrefix(line, "\t") {
			list[len(list)-1].Value += "\r\n" + line
			continue
		}
		name, value, _ := strings.Cut(line, ":")
		list = append(list, auth.Field{Name: name, Value: value})
	}
	return list
}
