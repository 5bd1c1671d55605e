package daemon

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pmilter/internal/auth"
	"pmilter/internal/config"
	"pmilter/internal/mta"
)

// records is a DNS that has TXT records alone.
type records map[string]string

func (r records) LookupTXT(_ context.Context, name string) ([]string, error) {
	switch text, ok := r[name]; {
	case !ok:
		return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
	case text == "SERVFAIL":
		return nil, &net.DNSError{Err: "server misbehaving", Name: name, IsTemporary: true}
	default:
		return []string{text}, nil
	}
}

func (r records) LookupMX(context.Context, string) ([]*net.MX, error) { return nil, nil }

func (r records) LookupIPAddr(context.Context, string) ([]net.IPAddr, error) { return nil, nil }

func (r records) LookupAddr(context.Context, string) ([]string, error) { return nil, nil }

// aKey is a key and its record.
func aKey(t *testing.T) (pemText, record string) {
	t.Helper()
	private := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, 32))
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	public := private.Public().(ed25519.PublicKey)
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})), "v=DKIM1; k=ed25519; p=" + base64.StdEncoding.EncodeToString(public)
}

// withDNS has a stage's scripts ask another DNS.
func (s *stage) withDNS(r auth.Resolver) *stage {
	s.t.Helper()
	s.e.services.ResolveBy(s.cfg, r)
	if err := s.e.configure(s.t.Context(), s.cfg); err != nil {
		s.t.Fatal(err)
	}
	return s
}

// asSent is a delivered message as bytes, without what the MTA put on top.
func asSent(m *mta.Message) string {
	var b strings.Builder
	for _, f := range m.Visible() {
		b.WriteString(f.Name() + ":" + strings.ReplaceAll(strings.ReplaceAll(f.Value(), "\r\n", "\n"), "\n", "\r\n") + "\r\n")
	}
	return b.String() + "\r\n" + string(m.Body)
}

const importAuth = `import auth from "pmilter/auth";` + "\n"

// signed is a mail that pmilterd has signed, to be verified by it.
func signed(t *testing.T, change func(*mta.Transaction)) (mta.Transaction, string) {
	t.Helper()
	key, record := aKey(t)
	s := one(t, importAuth+fmt.Sprintf(`export function eom(s) { auth.sign(s.message, { domain: "example.org", selector: "k", key: %q }); }`, key))
	tx := plain()
	if change != nil {
		change(&tx)
	}
	r := s.send(tx)
	if len(header(r.Message, "DKIM-Signature")) != 1 {
		t.Fatal(outcomeOf(r), s.entries("script error"))
	}
	tx.Message = []byte(asSent(r.Message))
	return tx, record
}

func TestAuthResults(t *testing.T) {
	tx, record := signed(t, nil)
	dns := records{"example.org": "v=spf1 ip4:192.0.2.7 -all", "k._domainkey.example.org": record, "_dmarc.example.org": "v=DMARC1; p=reject"}
	const code = importAuth + `export async function eom(s) {
  s.message.headers.prepend("Authentication-Results", "localhost; x=a-script-said-so");
  s.message.headers.set("Subject", "changed before"); s.message.replaceBody("another\n");
  const [spf, dkim, dmarc, arc] = await Promise.all([auth.spf(s), auth.dkim(s.message), auth.dmarc(s), auth.arc(s.message)]);
  s.message.headers.add("X-Result", JSON.stringify([spf, dkim.map((d) => [d.result, d.domain, d.selector, d.error]), dmarc, arc]));
  auth.authenticationResults(s, { spf, dkim, dmarc, arc });
}`
	tx.Message = append([]byte("Authentication-Results: (forged) LOCALHOST 1; spf=pass\r\nAuthentication-Results: far.example.net; spf=pass\r\n"), tx.Message...)
	for _, version := range []uint32{2, 4, 6} { // with HDR_LEADSPC and without
		s := one(t, code).withDNS(dns)
		r := s.sendAs(tx, mta.PostfixOptions(version))
		want := `[{"result":"pass","domain":"example.org","explanation":"","identity":"mailfrom","sender":"a@example.org"},[["pass","example.org","k",""]],` +
			`{"result":"pass","policy":"reject","domain":"example.org","aligned":{"spf":true,"dkim":true},"percent":100,"disposition":"none","reason":""},{"result":"none","chain":[],"error":""}]`
		if got := header(r.Message, "X-Result"); len(got) != 1 || strings.ReplaceAll(strings.ReplaceAll(got[0], "\r\n", ""), "\n", "") != want {
			t.Errorf("version %d: %s\ngot  %s\nwant %s\n%v", version, outcomeOf(r), got, want, s.entries("script error"))
		}
		got := strings.Join(header(r.Message, "Authentication-Results"), "|")
		if !strings.HasPrefix(got, "localhost;") || !strings.Contains(got, "dkim=pass header.a=ed25519-sha256") || !strings.HasSuffix(got, "|localhost; x=a-script-said-so|far.example.net; spf=pass") {
			t.Errorf("%s", got)
		}
	}
}

// The shipped scripts, by the mails that they are for.
func TestAuthScripts(t *testing.T) {
	good, record := signed(t, nil)
	key, _ := aKey(t)
	forged := good
	forged.Message = bytes.Replace(good.Message, []byte("hello"), []byte("money"), 1)
	forged.Peer.Addr = "192.0.2.99"
	dns := func(policy string) records {
		return records{"example.org": "v=spf1 ip4:192.0.2.7 -all", "k._domainkey.example.org": record, "_dmarc.example.org": policy}
	}
	users := plain()
	users.Macros = mta.Macros{"{auth_authen}": "joe", "{auth_type}": "PLAIN"}
	for name, c := range map[string]struct {
		file string
		vars map[string]any
		dns  records
		tx   mta.Transaction
		want string // of the outcome, or of a field
	}{
		"good":          {"auth.js", nil, dns("v=DMARC1; p=reject"), good, "Authentication-Results: dmarc=pass header.from=example.org policy.dmarc=reject"},
		"only told":     {"auth.js", nil, dns("v=DMARC1; p=reject"), forged, "Authentication-Results: dmarc=fail"},
		"rejected":      {"auth.js", map[string]any{"dmarc_reject": true}, dns("v=DMARC1; p=reject"), forged, "550 5.7.26 This mail is not from example.org"},
		"not rejected":  {"auth.js", map[string]any{"dmarc_reject": true}, dns("v=DMARC1; p=quarantine"), forged, "Authentication-Results: dmarc=fail"},
		"put off":       {"auth.js", map[string]any{"dmarc_reject": true}, dns("SERVFAIL"), forged, "451 4.7.5"},
		"held":          {"auth.js", map[string]any{"dmarc_quarantine": true}, dns("v=DMARC1; p=quarantine"), forged, "quarantine"},
		"a user's":      {"auth.js", map[string]any{"dmarc_reject": true}, dns("v=DMARC1; p=reject"), users, "no Authentication-Results"},
		"signed":        {"dkim-sign.js", map[string]any{"dkim_keys": map[string]any{"example.org": key}}, nil, users, "DKIM-Signature: d=example.org"},
		"another's":     {"dkim-sign.js", map[string]any{"dkim_keys": map[string]any{"example.net": key}}, nil, users, "no DKIM-Signature"},
		"not logged in": {"dkim-sign.js", map[string]any{"dkim_keys": map[string]any{"example.org": key}}, nil, plain(), "no DKIM-Signature"},
		"no key file":   {"dkim-sign.js", map[string]any{"dkim_keys": map[string]any{"example.org": "nowhere.pem"}}, nil, users, "451 4.3.0"},
	} {
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile("../../scripts/filters/" + c.file)
			if err != nil {
				t.Fatal(err)
			}
			s := newStage(t, map[string]string{c.file: string(text)}, func(cfg *config.Config) { cfg.Vars = c.vars }).withDNS(c.dns)
			r := s.send(c.tx)
			got := fmt.Sprint(outcomeOf(r), " ", r.Edits)
			name, value, isField := strings.Cut(strings.TrimPrefix(c.want, "no "), ": ")
			switch fields := header(r.Message, name); {
			case strings.HasPrefix(c.want, "no "):
				if r.Message == nil || strings.Contains(strings.ToLower(got), strings.ToLower(name)) {
					t.Errorf("%s", got)
				}
			case isField:
				if !strings.Contains(strings.Join(fields, "\n"), value) {
					t.Errorf("%s %v", got, s.entries("script error"))
				}
			case !strings.Contains(got, c.want):
				t.Errorf("%s, want %s; %v", got, c.want, s.entries("script error"))
			}
		})
	}
}

// TestAuthSignIsLast: whatever comes after auth.sign in the chain is signed too,
// a failing call's signature is undone, an observer's only told of.
func TestAuthSignIsLast(t *testing.T) {
	key, record := aKey(t)
	if err := os.WriteFile(filepath.Join(t.TempDir(), "x"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	sign := fmt.Sprintf(`auth.sign(s.message, { domain: "example.org", selector: "k", key: %q })`, key)
	s := newStage(t, map[string]string{
		"10-sign.js":    importAuth + "export const options = { headers: true, body: true };\nexport function mail(s) { " + sign + " }",
		"20-edit.js":    `export function eom(s) { s.message.headers.set("Subject", "new"); s.message.replaceBody("new\n"); s.message.headers.prepend("From2", "x"); }`,
		"30-fail.js":    importAuth + "export const options = { onError: \"accept\" };\nexport function eom(s) { " + sign + "; throw new Error('x'); }",
		"40-observe.js": importAuth + "export const options = { observe: true };\nexport function eom(s) { " + sign + " }",
		"50-seen.js":    `export function eom(s) { s.message.headers.add("X-Seen", String(s.message.headers.has("DKIM-Signature"))); }`,
	})
	r := s.send(plain())
	if got := header(r.Message, "DKIM-Signature"); len(got) != 1 || strings.Join(header(r.Message, "X-Seen"), "") != "false" {
		t.Fatal(outcomeOf(r), got, s.entries("script error"))
	}
	if would := s.entries("message would be changed"); len(would) != 1 || fmt.Sprint(would[0]["edits"]) != "[sign d=example.org s=k]" {
		t.Error(would)
	}
	tx := plain()
	tx.Message = []byte(asSent(r.Message))
	if got := verified(t, tx, record); got != "pass" {
		t.Errorf("%s\n%s", got, tx.Message)
	}
}

// verified is what auth.dkim says of a mail.
func verified(t *testing.T, tx mta.Transaction, record string) string {
	t.Helper()
	s := one(t, importAuth+`export async function eom(s) { s.message.headers.add("X-Result", (await auth.dkim(s.message)).map((d) => d.result + d.error).join()); }`)
	r := s.withDNS(records{"k._domainkey.example.org": record}).send(tx)
	return strings.Join(header(r.Message, "X-Result"), "|")
}

// A message that cannot be signed is put off, and never goes out unsigned.
func TestAuthUnsignedIsPutOff(t *testing.T) {
	key, record := aKey(t)
	sign := fmt.Sprintf(`auth.sign(s.message, { domain: "example.org", selector: "k", key: %q })`, key)
	s := one(t, importAuth+`export function eom(s) { `+sign+`; s.message.headers.remove("From"); }`)
	if r := s.send(plain()); !strings.Contains(outcomeOf(r), "451 4.3.0") || r.Message != nil {
		t.Error(outcomeOf(r))
	}
	big := plain()
	big.Message = append(big.Message, bytes.Repeat([]byte("0123456789\r\n"), 1000)...)
	s = one(t, importAuth+"export const options = { headers: true, body: true };\nexport function mail(s) { "+sign+" }", func(c *config.Config) {
		c.Milter.MaxMessage, c.Milter.Oversize = 2000, config.Accept
	})
	if r := s.send(big); !strings.Contains(outcomeOf(r), "451 4.3.0") {
		t.Error(outcomeOf(r))
	}
	if r := s.send(plain()); len(header(r.Message, "DKIM-Signature")) != 1 {
		t.Error(outcomeOf(r))
	}
	// An early script that has seen enough does not take the body away.
	s = newStage(t, map[string]string{
		"10-sign.js": imports + importAuth + "export const options = { early: true, headers: true };\nexport function mail(s) { " + sign + " }\nexport function body() { return skip(); }",
	})
	long := plain()
	long.Message = append(long.Message, bytes.Repeat([]byte("0123456789\r\n"), 20_000)...)
	r := s.send(long)
	if len(header(r.Message, "DKIM-Signature")) != 1 {
		t.Fatal(outcomeOf(r), s.entries("script error"))
	}
	long.Message = []byte(asSent(r.Message))
	if got := verified(t, long, record); got != "pass" {
		t.Error(got)
	}
	// A body that is not all there cannot be signed.
	s = newStage(t, map[string]string{
		"10-skip.js": imports + "export const options = { early: true };\nexport function body() { return skip(); }",
		"20-sign.js": importAuth + "export const options = { headers: true, body: false };\nexport function eom(s) { " + sign + " }",
	})
	if r := s.send(long); !strings.Contains(outcomeOf(r), "451 4.3.0") || !strings.Contains(fmt.Sprint(s.entries("script error")), "skip() stopped it") {
		t.Error(outcomeOf(r), s.entries("script error"))
	}
}

func TestAuthMistakes(t *testing.T) {
	s := newStage(t, map[string]string{"10-a.js": importAuth + `
const errors = [];
const attempt = async (f) => { try { await f(); errors.push("none"); } catch (e) { errors.push(e.name + ": " + e.message); } };
export const options = { headers: true, body: true };
export async function mail(s) {
  await attempt(() => auth.dkim(s.message));
  await attempt(() => auth.dmarc(s));
}
export async function eom(s) {
  const m = s.message;
  await attempt(() => auth.spf(m));
  await attempt(() => auth.dkim(s));
  await attempt(() => auth.sign(m));
  await attempt(() => auth.sign(m, { domain: "example.org", selector: "k" }));
  await attempt(() => auth.sign(m, { domain: "example.org", selector: "k", key: "/etc/passwd" }));
  await attempt(() => auth.authenticationResults(s, { spfs: {} }));
  await attempt(() => auth.authenticationResults(s, { dkim: {} }));
  await attempt(() => auth.authenticationResults(s, { authservId: "a b" }));
  m.replaceBody(errors.join("\n") + "\n");
}`})
	r := s.send(plain())
	want := `TypeError: the message has not arrived yet: this is for handlers at its end (without options.early)
TypeError: the message has not arrived yet: this is for handlers at its end (without options.early)
TypeError: auth.spf is called with the session
TypeError: auth.dkim is called with session.message
TypeError: auth.sign: domain is missing
TypeError: auth.sign: key is missing
TypeError: auth.sign: key file /etc/passwd: no private key in PEM that is RSA or Ed25519 (PKCS#1 or PKCS#8)
TypeError: auth.authenticationResults: there is no option "spfs", only: spf, dkim, dmarc, arc, authservId
TypeError: dkim is no array of results
TypeError: "a b" is no authserv-id: it must be like a host's name
`
	if r.Message == nil || strings.ReplaceAll(string(r.Message.Body), "\r\n", "\n") != want {
		t.Errorf("%s %v\n%s", outcomeOf(r), s.entries("script error"), r.Message.Body)
	}
}
