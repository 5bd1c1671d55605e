package table

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
)

// postmap is what the real postmap says of keys: those found, with their values.
type postmap struct{ program, config string }

func findPostmap(t *testing.T) postmap {
	t.Helper()
	program, err := exec.LookPath("postmap")
	if err != nil {
		program, err = exec.LookPath("/usr/sbin/postmap")
	}
	if err != nil {
		if os.Getenv("PMILTER_REQUIRE_MTA") == "1" {
			t.Fatal("postmap is missing: install Debian's postfix")
		}
		t.Skip("postmap is missing: install Debian's postfix")
	}
	config := t.TempDir()
	if err := os.WriteFile(filepath.Join(config, "main.cf"), []byte("compatibility_level = 3.6\nsmtputf8_enable = yes\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	return postmap{program, config}
}

func (p postmap) query(t *testing.T, spec string, keys []string) map[string]string {
	t.Helper()
	cmd := exec.Command(p.program, "-c", p.config, "-q", "-", spec)
	cmd.Stdin = strings.NewReader(strings.Join(keys, "\n") + "\n")
	var out, complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaints
	if err := cmd.Run(); err != nil && cmd.ProcessState.ExitCode() != 1 { // 1: not all were found
		t.Fatalf("%s: %v\n%s", spec, err, complaints.String())
	}
	found := map[string]string{}
	for line := range strings.Lines(out.String()) {
		key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		found[key] = value
	}
	return found
}

// compare looks the keys up in a table of that text by us and by postmap.
func (p postmap) compare(t *testing.T, kind, text string, keys []string) {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "table")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	// Postfix waits for a file that changed just now to cool down.
	if then := time.Now().Add(-time.Hour); os.Chtimes(file, then, then) != nil {
		t.Fatal("cannot age the table")
	}
	ours, err := New(dir, zap.NewNop()).Open(kind + ":table")
	if err != nil {
		t.Fatal(err)
	}
	theirs := p.query(t, kind+":"+file, keys)
	for _, key := range keys {
		value, found := ours.Get(key)
		want, wanted := theirs[key]
		if value != want || found != wanted {
			t.Errorf("%s %q: %q %v, postmap has %q %v\n%s", kind, key, value, found, want, wanted, text)
			return
		}
	}
}

func TestTexthashAsPostmap(t *testing.T) {
	p := findPostmap(t)
	p.compare(t, "texthash", `# a comment
 starts with space
example.org   REJECT no  mail
  continued
   # a comment inside

  and again
Example.NET	OK	
twice first
twice second
novalue
alone   
"quoted key" value
"a\" b" escaped
"open value
x"y z"w middle
colon: value
Grüße.example yes
STRAßE sharp
ÀÉ accents
last without newline`, []string{
		"example.org", "EXAMPLE.ORG", "example.net", "twice", "novalue", "alone", `"quoted`, `"quoted key"`, `"a\" b"`, `"open`, `x"y z"w`, "colon:", "colon",
		"grüße.example", "GRÜSSE.example", "GRÜßE.EXAMPLE", "STRASSE", "straße", "àé", "last", "starts", "#", "a", "\xff\xfe",
	})
	p.compare(t, "texthash", "bad\xff value\ngood value\nk v\xff\n", []string{"bad\xff", "good", "k"})
	p.compare(t, "texthash", "a 1\r\nb 2\r\n\r\nc\v3\n", []string{"a", "b", "c"})
}

func TestCIDRAsPostmap(t *testing.T) {
	p := findPostmap(t)
	keys := []string{
		"192.0.2.1", "192.0.2.7", "192.0.2.255", "192.0.3.1", "10.1.2.3", "10.200.2.3", "2001:db8::1", "2001:db8:1::1", "2001:DB8::7",
		"::1", "::ffff:192.0.2.1", "not.an.address", "192.0.2", "[2001:db8::1]", "0.0.0.0", "255.255.255.255", "172.16.3.4",
	}
	for _, text := range []string{
		"192.0.2.7 first\n192.0.2.0/24 net\n0.0.0.0/0 any\n",
		"192.0.2.0/24 net\n192.0.2.7 never\n2001:db8::/32 six\n[2001:db8:1::]/48 never\n::/0 any6\n",
		"[2001:db8::1] one\n[2001:db8::]/33 two\n2001:db8::/32 three\n",
		"192.0.2.1/24 bad bits\n192.0.2.0/33 bad\nnonsense bad\n192.0.2.0/24\n10.0.0.0/8 good value here  \n",
		"!192.0.2.0/24 outside\n192.0.2.0/24 inside\n",
		"! 192.0.2.0/24 outside\n0/0 x\n",
		"if 10.0.0.0/8\n10.200.0.0/16 deep\n!10.1.0.0/16 other\n10.1.2.3 exact\nendif\n0.0.0.0/0 rest\n::/0 rest6\n",
		"if !10.0.0.0/8\n192.0.2.0/24 yes\nif 192.0.2.7\n0.0.0.0/0 never\nendif\n2001:db8::/32 six\nendif\n10.0.0.0/8 ten\n",
		"if 2001:db8::/32\n192.0.2.0/24 never\n::/0 six\nendif\n192.0.2.0/24 four\n",
		"endif\n192.0.2.0/24 four\nif 10.0.0.0/8\n10.0.0.0/8 ten\n0.0.0.0/0 in\n",
		"IF 10.0.0.0/8\n10.0.0.0/8 ten\nEndIf\n0.0.0.0/0 in\n",
		"10.0.0.0/8\n  continued\n192.0.2.1 a\n",
	} {
		p.compare(t, "cidr", text, keys)
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 40 {
		var table strings.Builder
		var asked []string
		for i := range 60 {
			bits := random.IntN(33)
			ip := random.Uint32() & 0x030303ff
			if random.IntN(2) == 0 {
				ip &= ^uint32(0) << (32 - bits)
			}
			not := strings.Repeat("!", random.IntN(8)/7)
			if depth := strings.Count(table.String(), "if ") - 2*strings.Count(table.String(), "endif"); random.IntN(12) == 0 && depth == 0 {
				fmt.Fprintf(&table, "if %s%s/%d\n", not, dotted(ip), bits)
			} else if depth > 0 && random.IntN(4) == 0 {
				table.WriteString("endif\n")
			}
			fmt.Fprintf(&table, "%s%s/%d r%d\n", not, dotted(ip), bits, i)
			asked = append(asked, dotted(random.Uint32()&0x030303ff), dotted(ip))
		}
		p.compare(t, "cidr", table.String(), asked)
	}
}

func dotted(ip uint32) string {
	return fmt.Sprintf("%d.%d.%d.%d", ip>>24, ip>>16&255, ip>>8&255, ip&255)
}

func TestRegexpAsPostmap(t *testing.T) {
	p := findPostmap(t)
	keys := []string{
		"user@example.org", "USER@Example.Org", "a+b@example.net", "abc", "aaa", "ab", "b", "a.c", "a\\c", "a]c", "a-c", "x1y", "x_y",
		"foo bar", "foobar", "a{2}", "a*b", "(x)", "$5", "1234567890", "été", "ba", "bab", "/slash/", "x/y", "aXbXc", "list-owner@example.org", "a|b", "^a", "a$", "+", "?",
	}
	for _, text := range []string{
		"/^user@example\\.org$/ OK\n/example/ other\n",
		"/^(.*)\\+(.*)@(.*)$/ $1@$3 ${2}x$(1) $$\n",
		"/^USER/i case\n/^x(1|_)y$/ <$1>\n!/a/ none\n",
		"/a{2}/ two\n/^a{1,}b?$/ one\n/a\\{2\\}/ brace\n",
		"/[.]c/ dot\n/a[\\]]c/ both\n/a[]]c/ closing\n/a[a-]c/ dash\n/[[:digit:]]{10}/ digits\n/[^[:alnum:]]/ odd\n",
		"/\\bfoo\\b/ word\n/\\<bar\\>/ end\n/\\w+@\\w+/ at\n/^\\S+$/ nospace\n",
		"/a*?b/ lazy\n/a+*c/ plus\n/(a)(b)?/ <$1><$2>\n",
		"/a\\|b/ escaped\n/\\^a/ hat\n/a\\$/ dollar\n/\\+/ plus\n/\\?/ q\n",
		"/a\\(b\\)/x basic <$1>\n/a*b/x star\n/*b/x leading\n/a\\{2,3\\}/x interval\n/a|b/x bar\n/a\\|x/x alternative\n/^a^/x hat\n",
		"/a+/x plus\n/(x)/x paren\n/a\\+/x gnu\n",
		"if /example/\n/^a/ starts\nif !/net/\n/user/ user\nendif\n/b/ net\nendif\n/./ rest\n",
		"if /example/ extra\n/^a/ starts\n/./ in\n",
		"endif\n/b/ yes\nwhat\n/unclosed\n/a/q flag\n/(/ paren\n/a/ $9\n/b/ ${1\n!/x/ $1\n/./ rest\n",
		"/example/!/net/ one\n/example/!!/net/ two\n! /a/ three\n",
		"!!/abc/ yes\n#/b/ no\n|b| bars\n,foo, commas\n/\\/slash/ slashes\n:x/y: colons\n",
		"/a/ \n/abc/ value\n",
		"/user|list-owner|(a|ab)(c|bcd)?/ <$1>\n",
		"/(a|ab)(c|bcd)*(d*)/ <$1><$2><$3>\n",
		"/x(.)y/ $1\n/\\t/ t\n/\\d/ d\n/\\1/ backreference\n",
		"/b/m multi\n/a.c/m dot\n/^a[^x]c$/m\n  continued\n",
		"/[[.a.]]b/ coll\n/[[=b=]]a/ equiv\n/[a/ open\n/[z-a]/ range\n/[[:nope:]]/ class\n/a{3,1}/ interval\n/a{x}/ nonsense\n/a{/ brace\n/./ rest\n",
		"/()b/ empty <$1>\n/a**/ stars\n/(*a)/ star\n/b|*c/ bar\n/^*a/ hatstar\n",
		"/\\`a/ start\n/b\\'/ end\n/\\Bb/ inner\n",
		"/é/ e\n/^.t.$/ dots\n",
	} {
		p.compare(t, "regexp", text, keys)
	}
}
