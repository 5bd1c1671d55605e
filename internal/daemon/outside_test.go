package daemon

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/miekg/dns"

	"pmilter/internal/config"
)

// zone serves some records from a real DNS server and returns its address.
func zone(t *testing.T, records ...string) string {
	t.Helper()
	packets, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	all := map[dns.Question][]dns.RR{}
	for _, text := range records {
		r, err := dns.NewRR(text)
		if err != nil {
			t.Fatal(err)
		}
		q := dns.Question{Name: r.Header().Name, Qtype: r.Header().Rrtype, Qclass: dns.ClassINET}
		all[q] = append(all[q], r)
	}
	server := &dns.Server{PacketConn: packets, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, m *dns.Msg) {
		r := new(dns.Msg).SetReply(m)
		r.RecursionAvailable = true
		r.Answer = all[m.Question[0]]
		if r.Answer == nil {
			r.Rcode = dns.RcodeNameError
		}
		if strings.Contains(m.Question[0].Name, "broken") {
			r.Rcode = dns.RcodeServerFailure
		}
		_ = w.WriteMsg(r)
	})}
	done := make(chan struct{})
	started := make(chan struct{})
	server.NotifyStartedFunc = func() { close(started) }
	go func() { defer close(done); _ = server.ActivateAndServe() }()
	<-started
	t.Cleanup(func() { _ = server.Shutdown(); <-done })
	return packets.LocalAddr().String()
}

// asked is what a handler's expression gives, as JSON, in the text of a refusal.
func asked(t *testing.T, module, expression string, change ...func(*config.Config)) string {
	t.Helper()
	s := one(t, fmt.Sprintf(`%s
export async function mail(session) {
  let got;
  try { got = await (%s); } catch (e) { return reject([e.name, e.code, e.message].join(" | ")); }
  return reject(JSON.stringify(got));
}`, module, expression), change...)
	r := s.send(plain())
	return strings.TrimPrefix(outcomeOf(r), "mail 550 5.7.1 ")
}

func TestDNSModule(t *testing.T) {
	server := zone(t, "www.example.org. 60 IN A 192.0.2.1", "example.org. 60 IN MX 20 b.example.org.", "example.org. 60 IN MX 10 a.example.org.",
		"_x._tcp.example.org. 60 IN SRV 1 2 3 a.example.org.", `example.org. 60 IN TXT "v=spf1 " "-all"`, "7.2.0.192.in-addr.arpa. 60 IN PTR c.example.org.",
		"7.2.0.192.zen.example. 60 IN A 127.0.0.2")
	use := func(c *config.Config) { c.DNS.Servers = []string{server} }
	for expression, want := range map[string]string{
		`dns.resolve("www.example.org", "A")`:                  `["192.0.2.1"]`,
		`dns.resolve("www.example.org")`:                       `["192.0.2.1"]`,
		`dns.resolve("example.org", "mx")`:                     `[{"preference":10,"exchange":"a.example.org"},{"preference":20,"exchange":"b.example.org"}]`,
		`dns.resolve("_x._tcp.example.org", "SRV")`:            `[{"priority":1,"weight":2,"port":3,"name":"a.example.org"}]`,
		`dns.resolve("example.org", "TXT")`:                    `["v=spf1 -all"]`,
		`dns.reverse(session.client.ip)`:                       `["c.example.org"]`,
		`dns.resolve("nowhere.example.org", "A")`:              `DNSError | ENOTFOUND | dns.resolve: "nowhere.example.org" A: no such name`,
		`dns.resolve("a..b", "A")`:                             `DNSError | EBADNAME | dns.resolve: "a..b" A: not a name that can be looked up`,
		`dns.resolve("broken.example.org", "A")`:               `DNSError | ESERVFAIL | dns.resolve: "broken.example.org" A: the name server failed`,
		`dns.resolve("x.org", "LOC")`:                          `TypeError |  | dns.resolve: no type "LOC": there are A, AAAA, MX, TXT, PTR, NS, CNAME, SRV`,
		`dns.reverse("localhost")`:                             `TypeError |  | dns.reverse: "localhost" is no IP address`,
		`dns.dnsbl(session.client.ip, "zen.example")`:          `{"listed":true,"zones":[{"zone":"zen.example","codes":["127.0.0.2"]}],"errors":[]}`,
		`dns.dnsbl("192.0.2.8", ["zen.example", "y.example"])`: `{"listed":false,"zones":[],"errors":[]}`,
		`dns.dnsbl("192.0.2.7", ["broken.example", "zen.example"])`: `{"listed":true,"zones":[{"zone":"zen.example","codes":["127.0.0.2"]}],` +
			`"errors":[{"zone":"broken.example","code":"ESERVFAIL","message":"\"7.2.0.192.broken.example\" A: the name server failed"}]}`,
		`dns.dnsbl("192.0.2.7", "broken.example")`:    `DNSError | ESERVFAIL | dns.dnsbl: "7.2.0.192.broken.example" A: the name server failed`,
		`dns.dnsbl(null, "zen.example")`:              `{"listed":false,"zones":[],"errors":[]}`,
		`dns.dnsbl("192.0.2.7", ["zen.example", ""])`: `TypeError |  | dns.dnsbl: the name of a zone is empty`,
		`dns.dnsbl("192.0.2.7", [])`:                  `TypeError |  | dns.dnsbl: 0 zones: 1 to 64 are asked`,
	} {
		for _, module := range []string{`import dns from "pmilter/dns";`, `import * as dns from "pmilter/dns";`} {
			if got := asked(t, module, expression, use); got != want {
				t.Errorf("%s\n got %s\nwant %s", expression, got, want)
			}
		}
	}
}

func TestHTTPModule(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		switch r.URL.Path {
		case "/json":
			fmt.Fprint(w, "\uFEFF"+`{"a": [1, "é"]}`)
		case "/deep":
			fmt.Fprint(w, strings.Repeat("[", 100000))
		case "/bytes":
			_, _ = w.Write([]byte{0, 255})
		case "/big":
			fmt.Fprint(w, strings.Repeat("x", 2000))
		default:
			w.Header().Set("X-A", "1")
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprint(w, r.Method, " ", r.Header.Get("Content-Type"), " ", r.Header.Get("X-B"), " ", string(body))
		}
	}))
	t.Cleanup(server.Close)
	allow := func(c *config.Config) { c.Permissions.Net = []string{strings.TrimPrefix(server.URL, "http://")} }
	url := func(path string) string { return `"` + server.URL + path + `"` }
	for expression, want := range map[string]string{
		`fetch(` + url("/") + `).then((r) => [r.status, r.ok, r.statusText, r.redirected, r.headers.get("X-a"), r.headers.has("nope"), r.headers.get("nope")])`: `[404,false,"Not Found",false,"1",false,null]`,
		`fetch(new URL("/", ` + url("/x") + `), { headers: { "X-B": "b" } }).then((r) => r.text())`:                                                             `"GET  b "`,
		`fetch(` + url("/") + `, { method: "post", body: "é", headers: [["x-b", "2"]] }).then((r) => r.text())`:                                                 `"POST text/plain;charset=UTF-8 2 é"`,
		`fetch(` + url("/") + `, { method: "PUT", body: new URLSearchParams({ a: "b c" }) }).then((r) => r.text())`:                                             `"PUT application/x-www-form-urlencoded;charset=UTF-8  a=b+c"`,
		`fetch(` + url("/") + `, { method: "POST", body: new Uint8Array([65, 66]) }).then((r) => r.text())`:                                                     `"POST   AB"`,
		`fetch(` + url("/") + `, { method: "POST", body: { a: 1 } })`:                                                                                           `TypeError |  | fetch: body is an object: send JSON.stringify(it)`,
		`fetch(` + url("/json") + `).then((r) => r.json())`:                                                                                                     `{"a":[1,"é"]}`,
		`fetch(` + url("/") + `).then((r) => r.json()).catch((e) => e.name)`:                                                                                    `"SyntaxError"`,
		`fetch(` + url("/deep") + `).then((r) => r.json()).catch((e) => e.message)`:                                                                             `"JSON.parse: nested deeper than 1000"`,
		`fetch(` + url("/bytes") + `).then((r) => r.bytes()).then((b) => [b.length, b[1]])`:                                                                     `[2,255]`,
		`fetch(` + url("/big") + `, { maxSize: 1999 })`:                                                                                                         `NetworkError | EMSGSIZE | fetch: ` + strings.TrimPrefix(server.URL, "http://") + `: the answer is larger than 1999 bytes (maxSize)`,
		`fetch("http://192.0.2.1/")`:                 `PermissionError |  | fetch: scripts may not reach 192.0.2.1:80: to allow it, write in pmilter.toml under [permissions]: net = ["` + strings.TrimPrefix(server.URL, "http://") + `", "192.0.2.1:80"]`,
		`fetch("ftp://x/")`:                          `TypeError |  | fetch: the URL begins neither with http: nor with https:`,
		`fetch(` + url("/") + `, { timeout: "x" })`:  `TypeError |  | fetch: timeout is "x": write a duration above 0: "500ms", "90s", "10m", "1d" or milliseconds`,
		`fetch(` + url("/") + `, { maxSize: 1e12 })`: `RangeError |  | fetch: maxSize has 1000000000000 bytes: a value has at most 67108864 (max_value)`,
		`fetch(` + url("/") + `, { tiemout: 1 })`:    `TypeError |  | fetch: there is no option "tiemout", only: method, headers, body, timeout, maxSize, redirect`,
		`fetch(` + url("/") + `, { redirect: "x" })`: `TypeError |  | fetch: redirect is "x": one of follow, manual, error`,
	} {
		if got := asked(t, `import { fetch } from "pmilter/http";`, expression, allow); got != want {
			t.Errorf("%s\n got %s\nwant %s", expression, got, want)
		}
	}
}

func TestNetModule(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			buffer := make([]byte, 100)
			n, _ := c.Read(buffer)
			if string(buffer[:n]) != "hang" {
				fmt.Fprintf(c, "got %s\xff\x00more", buffer[:n])
			} else {
				_, _ = c.Read(buffer)
				_, _ = c.Read(buffer)
			}
			c.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	addr := l.Addr().String()
	allow := func(c *config.Config) { c.Permissions.Net = []string{"127.0.0.1"} }
	for expression, want := range map[string]string{
		`net.exchange("` + addr + `", "ping").then((b) => [...b].join())`:                                `"103,111,116,32,112,105,110,103,255,0,109,111,114,101"`,
		`net.exchange("` + addr + `", new Uint8Array([65]), { until: "\0" }).then((b) => [...b].join())`: `"103,111,116,32,65,255,0"`,
		`net.exchange("` + addr + `", "x", { maxSize: 3 })`:                                              `NetworkError | EMSGSIZE | net.exchange: ` + addr + `: the answer is larger than 3 bytes (maxSize)`,
		`net.exchange("` + addr + `", "x", { until: "nope" })`:                                           `NetworkError | ECONNRESET | net.exchange: ` + addr + `: the connection ended before the answer did`,
		`net.exchange("` + addr + `", "hang", { timeout: 50, until: "x" })`:                              `TimeoutError | ETIMEOUT | net.exchange: ` + addr + `: no answer in time`,
		`net.exchange("` + addr + `", 5)`:                                                                `TypeError |  | net.exchange: the data is 5: a string or a Uint8Array is wanted`,
		`net.exchange("192.0.2.1:1", "x")`:                                                               `PermissionError |  | net.exchange: scripts may not reach 192.0.2.1:1: to allow it, write in pmilter.toml under [permissions]: net = ["127.0.0.1", "192.0.2.1:1"]`,
		`net.exchange("nonsense", "x")`:                                                                  `TypeError |  | net.exchange: "nonsense" is no address: write host:port, [IPv6]:port or unix:/path`,
	} {
		if got := asked(t, `import net from "pmilter/net";`, expression, allow); got != want {
			t.Errorf("%s\n got %s\nwant %s", expression, got, want)
		}
	}
}

// TestReloadOutside: SIGHUP changes permissions and name servers, also for
// connections that are open.
func TestReloadOutside(t *testing.T) {
	var count atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { count.Add(1) }))
	t.Cleanup(server.Close)
	first, second := zone(t, "x.example.org. 60 IN A 192.0.2.1"), zone(t, "x.example.org. 60 IN A 192.0.2.2")
	s := one(t, `import { fetch } from "pmilter/http"; import dns from "pmilter/dns";
export async function mail() {
  const [ip] = await dns.resolve("x.example.org", "A");
  try { await fetch("`+server.URL+`"); } catch (e) { return reject(ip + " " + e.name); }
  return reject(ip + " reached");
}`, func(c *config.Config) { c.DNS.Servers = []string{first} })
	for _, step := range []struct {
		net  []string
		dns  string
		want string
	}{
		{nil, first, "192.0.2.1 PermissionError"},
		{[]string{"127.0.0.1"}, second, "192.0.2.2 reached"},
		{nil, second, "192.0.2.2 PermissionError"},
	} {
		changed := *s.cfg
		changed.Permissions.Net, changed.DNS.Servers = step.net, []string{step.dns}
		if err := s.e.configure(t.Context(), &changed); err != nil {
			t.Fatal(err)
		}
		if got := outcomeOf(s.send(plain())); got != "mail 550 5.7.1 "+step.want {
			t.Errorf("%v: %s, want %s", step.net, got, step.want)
		}
	}
	if count.Load() != 1 {
		t.Errorf("%d requests", count.Load())
	}
}

// TestNothingAtLoad: what speaks to others does not while scripts are loaded.
func TestNothingAtLoad(t *testing.T) {
	for module, call := range map[string]string{
		"dns": `resolve("x.example.org")`, "http": `fetch("http://127.0.0.1/")`, "net": `exchange("127.0.0.1:1", "x")`,
	} {
		dir := t.TempDir()
		s := &stage{t: t, dir: dir}
		s.write("a.js", `import m from "pmilter/`+module+`"; m.`+call+`; export function mail() {}`)
		cfg := config.Default()
		cfg.Scripts = []string{dir}
		err := Check(t.Context(), cfg, io.Discard)
		if err == nil || !strings.Contains(err.Error(), "top-level code runs while scripts are loaded") {
			t.Errorf("%s: %v", module, err)
		}
	}
}

// TestJobsOnly: a filter cannot have what is for jobs.
func TestJobsOnly(t *testing.T) {
	for _, module := range []string{"exec", "smtp"} {
		dir := t.TempDir()
		s := &stage{t: t, dir: dir}
		s.write("a.js", `import m from "pmilter/`+module+`"; export function mail() {}`)
		cfg := config.Default()
		cfg.Scripts = []string{dir}
		err := Check(t.Context(), cfg, io.Discard)
		want := "a.js:1:15: pmilter/" + module + " is for the scripts of jobs alone: a filter puts the message on a queue, and the queue's job does the rest"
		if err == nil || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%s: %v", module, err)
		}
	}
}
