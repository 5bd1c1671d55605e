package filter_test

import (
	"maps"
	"strings"
	"testing"
	"unicode/utf8"

	wire "github.com/emersion/go-milter"

	"pmilter/filter"
)

func TestParseAddress(t *testing.T) {
	t.Parallel()
	tests := []struct {
		path                   string
		address, local, domain string
	}{
		{"<a@Example.ORG>", "a@Example.ORG", "a", "example.org"},
		{"a@example.org", "a@example.org", "a", "example.org"}, // by sendmail -t
		{"<>", "", "", ""},
		{"", "", "", ""},
		{"<", "<", "<", ""},
		{"<postmaster>", "postmaster", "postmaster", ""},
		{`<"a b"@example.org>`, `"a b"@example.org`, "a b", "example.org"},
		{`<"a\"b\\c"@example.org>`, `"a\"b\\c"@example.org`, `a"b\c`, "example.org"},
		{`<"a@b"@example.org>`, `"a@b"@example.org`, "a@b", "example.org"},
		{`<"a@b">`, `"a@b"`, "a@b", ""},
		{`<">@example.org>`, `">@example.org`, `">`[:1] + ">", "example.org"},
		{"<@one.example,@two.example:a@example.org>", "@one.example,@two.example:a@example.org", "a", "example.org"},
		{"<@example.org>", "@example.org", "", "example.org"},
		{"<a@b@c>", "a@b@c", "a@b", "c"},
		{"<a@[192.0.2.1]>", "a@[192.0.2.1]", "a", "[192.0.2.1]"},
		{"<dörte@EXÄMPLE.org>", "dörte@EXÄMPLE.org", "dörte", "exämple.org"},
		{"<\xff@\xfeX.org>", "\xff@\xfeX.org", "\xff", "\xfex.org"},
		{"<a@example.\u212aom>", "a@example.\u212aom", "a", "example.\u212aom"}, // no other domain becomes ASCII
		{"<a@gma\u0130l.example>", "a@gma\u0130l.example", "a", "gma\u0130l.example"},
	}
	for _, tt := range tests {
		a := filter.ParseAddress(tt.path, nil)
		if a.Address != tt.address || a.Local != tt.local || a.Domain != tt.domain || a.Params != nil {
			t.Errorf("%q: %q %q %q %v", tt.path, a.Address, a.Local, a.Domain, a.Params)
		}
	}
}

func TestAddressParams(t *testing.T) {
	t.Parallel()
	a := filter.ParseAddress("<a@example.org>", []string{"SIZE=100", "body=8BITMIME", "SMTPUTF8", "X=", "ENVID=a=b", "size=200", "", "\u017f=1"})
	want := map[string]string{"SIZE": "200", "BODY": "8BITMIME", "SMTPUTF8": "", "X": "", "ENVID": "a=b", "": "", "\u017f": "1"}
	if !maps.Equal(a.Params, want) {
		t.Errorf("got %q", a.Params)
	}
}

func FuzzParseAddress(f *testing.F) {
	for _, s := range []string{"<a@example.org>", `<"a\"@b"@c>`, "@a:b@c", "<", "\xff@\xfe"} {
		f.Add(s, "SIZE=1")
	}
	f.Fuzz(func(t *testing.T, path, param string) {
		a := filter.ParseAddress(path, []string{param})
		if !strings.Contains(path, a.Address) || len(a.Local) > len(path) {
			t.Errorf("%q: %+v", path, a)
		}
		if !utf8.ValidString(path) && strings.ContainsRune(a.Domain, utf8.RuneError) && !strings.ContainsRune(path, utf8.RuneError) {
			t.Errorf("%q: bytes of the domain were replaced: %q", path, a.Domain)
		}
		if again := filter.ParseAddress(a.Address, nil); path != "" && path[0] == '<' && a.Address != "" && a.Address[0] != '<' && again.Domain != a.Domain {
			t.Errorf("%q: domain %q with brackets, %q without", path, a.Domain, again.Domain)
		}
		if !filter.SameAddress(a.Address, a.Address) {
			t.Error("an address is not itself")
		}
	})
}

func TestCheckAddress(t *testing.T) {
	t.Parallel()
	good := [][2]string{
		{"a@example.org", ""},
		{"", ""},
		{"postmaster", ""},
		{`"a b"@example.org`, ""},
		{`"a<b>\""@example.org`, ""},
		{"dörte@example.org", ""},
		{"a@example.org", "NOTIFY=NEVER ORCPT=rfc822;a@example.org"},
	}
	bad := [][2]string{
		{"a@example.org\r\nRCPT TO:<b@example.org>", ""},
		{"<a@example.org>", ""},
		{"a b@example.org", ""},
		{"a@example.org SIZE=1", ""},
		{`"a b"@example.org SIZE=1`, ""},
		{`"a@example.org`, ""},
		{"\"a\\\n\"@example.org", ""},
		{`"a\`, ""},
		{"a\x00@example.org", ""},
		{"a\x01@example.org", ""},
		{"a\x7f@example.org", ""},
		{"a\t@example.org", ""},
		{"a@example.org", "X=\r\nDATA"},
		{"a@example.org", "X=\x01"},
		{strings.Repeat("a", 1025), ""},
		{"a@example.org", strings.Repeat("a", 2049)},
	}
	for _, g := range good {
		if err := filter.CheckAddress(g[0], g[1]); err != nil {
			t.Errorf("%q %q: %v", g[0], g[1], err)
		}
	}
	for _, b := range bad {
		if err := filter.CheckAddress(b[0], b[1]); err == nil {
			t.Errorf("%.60q %.60q was accepted", b[0], b[1])
		}
	}
}

func TestSameAddress(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		a, b string
		want bool
	}{
		{"a@example.org", "a@EXAMPLE.org", true},
		{"a@example.org", "A@example.org", false},
		{`"a"@example.org`, "a@example.org", true},
		{"a@\xff", "a@\xfe", false},
		{"", "", true},
		{"a", "a@example.org", false},
	} {
		if got := filter.SameAddress(tt.a, tt.b); got != tt.want {
			t.Errorf("%q and %q: %t", tt.a, tt.b, got)
		}
	}
}

func TestTrap04Client(t *testing.T) {
	t.Parallel()
	tests := []struct {
		host   string
		family wire.ProtoFamily
		port   uint16
		addr   string
		want   filter.Client
	}{
		{"mail.example.org", wire.FamilyInet, 25, "192.0.2.1", filter.Client{IP: "192.0.2.1", Port: 25, Name: "mail.example.org", Family: "inet"}},
		{"[192.0.2.1]", wire.FamilyInet, 0, "192.0.2.1", filter.Client{IP: "192.0.2.1", Family: "inet"}},
		{"unknown", wire.FamilyInet, 0, "unknown", filter.Client{Family: "unknown"}},
		{"mail.example.org", wire.FamilyInet6, 25, "2001:db8::1", filter.Client{IP: "2001:db8::1", Port: 25, Name: "mail.example.org", Family: "inet6"}},
		{"mail.example.org", wire.FamilyInet6, 25, "IPv6:2001:DB8:0::1", filter.Client{IP: "2001:db8::1", Port: 25, Name: "mail.example.org", Family: "inet6"}},
		{"[IPv6:2001:db8::1]", wire.FamilyInet6, 25, "ipv6:2001:db8::1", filter.Client{IP: "2001:db8::1", Port: 25, Family: "inet6"}},
		{"mail.example.org", wire.FamilyInet6, 25, "IPv6:::ffff:192.0.2.1", filter.Client{IP: "192.0.2.1", Port: 25, Name: "mail.example.org", Family: "inet"}},
		{"localhost", wire.FamilyUnix, 0, "/run/x", filter.Client{Name: "localhost", Family: "unix"}},
		{"unknown", wire.FamilyUnknown, 0, "", filter.Client{Family: "unknown"}},
		{"", wire.FamilyInet, 0, "", filter.Client{Family: "unknown"}},
		{"x", 'Z', 0, "192.0.2.1", filter.Client{Name: "x", Family: "unknown"}},
	}
	for _, tt := range tests {
		if got := filter.ParseClient(tt.host, tt.family, tt.port, tt.addr); got != tt.want {
			t.Errorf("%q %c %d %q: %+v, want %+v", tt.host, tt.family, tt.port, tt.addr, got, tt.want)
		}
	}
}
