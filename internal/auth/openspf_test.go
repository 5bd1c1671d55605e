package auth_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gopkg.in/yaml.v3"

	"pmilter/internal/auth"
)

// suite is a part of the openspf test suite.
type suite struct {
	Description string
	Tests       map[string]struct {
		Helo, Host, MailFrom, Explanation string
		Skip                              string // what package spf knows that it does not do
		Result                            words
	}
	ZoneData map[string][]yaml.Node
}

// words is a string or a list of them.
type words []string

func (w *words) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		*w = words{n.Value}
		return nil
	}
	return n.Decode((*[]string)(w))
}

// TestOpenSPF is the openspf.org suite for RFC 7208, as package spf brings it
// along. It tells besides of explanations, which that package leaves to us.
func TestOpenSPF(t *testing.T) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "blitiri.com.ar/go/spf").Output()
	if err != nil {
		t.Skip("no module cache: ", err)
	}
	f, err := os.Open(filepath.Join(strings.TrimSpace(string(out)), "testdata", "rfc7208-tests.yml"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	passed, explained, skipped := 0, 0, 0
	for d := yaml.NewDecoder(f); ; {
		var s suite
		if err := d.Decode(&s); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		z := zoneOf(t, s.ZoneData)
		a := auth.New(auth.Options{Resolver: z, Timeout: time.Hour})
		for name, c := range s.Tests {
			if c.Skip != "" {
				skipped++
				continue
			}
			t.Run(name, func(t *testing.T) {
				r, err := a.SPF(t.Context(), auth.Client{IP: c.Host, Helo: c.Helo, Sender: c.MailFrom, Server: "receiver.example"})
				if err != nil || !slices.Contains(c.Result, r.Result) {
					t.Errorf("%s: %+v %v, want %v", s.Description, r, err, c.Result)
				}
				if passed++; c.Explanation != "" && c.Explanation != "DEFAULT" {
					if explained++; r.Explanation != c.Explanation && !strings.HasPrefix(name, "p-macro-") { // RFC 7208 §7.3: better not

						t.Errorf("%s: explanation %q, want %q", s.Description, r.Explanation, c.Explanation)
					}
				}
			})
		}
	}
	if passed < 170 || explained < 14 {
		t.Errorf("only %d cases, %d explanations", passed, explained)
	}
	t.Logf("%d cases, %d explanations, %d skipped", passed, explained, skipped)
}

// zoneOf is a suite's DNS. A record for SPF is one for TXT too where there is none.
func zoneOf(t *testing.T, data map[string][]yaml.Node) slowZone {
	t.Helper()
	z := slowZone{zone{}}
	for name, records := range data {
		name = strings.ToLower(strings.TrimSuffix(name, "."))
		ip, reverse := reversed(name)
		spf, hasTXT := []string(nil), false
		for _, r := range records {
			if r.Kind == yaml.ScalarNode || r.Content[0].Value == "TIMEOUT" {
				for _, kind := range []string{"TXT ", "A ", "MX ", "PTR "} {
					z.zone[kind+name] = []string{"SERVFAIL"}
				}
				continue
			}
			for i := 0; i < len(r.Content); i += 2 {
				kind, value := r.Content[i].Value, r.Content[i+1]
				var list words
				if err := value.Decode(&list); err != nil {
					t.Fatal(err)
				}
				switch kind {
				case "SPF":
					spf = append(spf, strings.Join(list, ""))
				case "TXT":
					hasTXT = true
					if list[0] != "NONE" {
						z.zone["TXT "+name] = append(z.zone["TXT "+name], strings.Join(list, ""))
					}
				case "MX":
					z.zone["MX "+name] = append(z.zone["MX "+name], list[1])
				case "PTR":
					if !reverse {
						t.Fatal(name)
					}
					z.zone["PTR "+ip] = append(z.zone["PTR "+ip], list[0])
				case "A", "AAAA":
					z.zone["A "+name] = append(z.zone["A "+name], list[0])
				case "CNAME":
					z.zone["CNAME "+name] = list
				}
			}
		}
		if !hasTXT && spf != nil && !slices.Equal(z.zone["TXT "+name], []string{"SERVFAIL"}) {
			z.zone["TXT "+name] = spf
		}
	}
	return z
}

// slowZone follows aliases.
type slowZone struct{ zone }

func (z slowZone) LookupTXT(ctx context.Context, name string) ([]string, error) {
	if alias := z.zone["CNAME "+strings.ToLower(strings.TrimSuffix(name, "."))]; alias != nil {
		name = alias[0]
	}
	return z.zone.LookupTXT(ctx, name)
}

func (z slowZone) LookupIPAddr(ctx context.Context, host string) ([]net.IPAddr, error) {
	if alias := z.zone["CNAME "+strings.ToLower(strings.TrimSuffix(host, "."))]; alias != nil {
		host = alias[0]
	}
	return z.zone.LookupIPAddr(ctx, host)
}

// reversed is the address that a name for PTR is of.
func reversed(name string) (ip string, ok bool) {
	parts := strings.Split(name, ".")
	slices.Reverse(parts)
	switch {
	case strings.HasSuffix(name, ".in-addr.arpa"):
		ip = strings.Join(parts[2:], ".")
	case strings.HasSuffix(name, ".ip6.arpa"):
		for i, digit := range parts[2:] {
			if i > 0 && i%4 == 0 {
				ip += ":"
			}
			ip += digit
		}
	default:
		return "", false
	}
	return netip.MustParseAddr(ip).String(), true
}
