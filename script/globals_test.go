package script

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/dop251/goja"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

// globalsFixture is a runtime with the globals that a source mentions, and with
// the guards: they must get on with each other.
type globalsFixture struct {
	rt     *goja.Runtime
	clock  *fakeClock
	timers *timers
	logs   *observer.ObservedLogs
	failed []error
}

func newGlobalsFixture(t *testing.T, source string) *globalsFixture {
	t.Helper()
	f := &globalsFixture{rt: guardlessRuntime()}
	f.clock = &fakeClock{now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	core, logs := observer.New(zapcore.DebugLevel)
	f.logs = logs
	f.timers = newTimers(f.rt, f.clock, f.clock.post, func(err error) { f.failed = append(f.failed, err) })
	u := usageOf(source)
	g, err := newGlobals(u)
	if err != nil {
		t.Fatal(err)
	}
	err = g.install(f.rt, globalsHost{
		timers:  func() *timers { return f.timers },
		console: newConsole(f.rt, func() *zap.Logger { return zap.New(core) }),
		random:  strings.NewReader(strings.Repeat("\xff", 1024)),
	})
	if err != nil {
		t.Fatal(err)
	}
	guards, err := newGuards(u)
	if err != nil {
		t.Fatal(err)
	}
	if err := guards.install(f.rt, 4<<20); err != nil {
		t.Fatal(err)
	}
	return f
}

func guardlessRuntime() *goja.Runtime {
	rt := goja.New()
	rt.SetMaxCallStackSize(400)
	return rt
}

// run is what a source gives, as a string, or "threw ...".
func (f *globalsFixture) run(source string) string {
	v, err := f.rt.RunScript("author.js", `"use strict"; `+source)
	if err != nil {
		return "threw " + strings.Split(strings.TrimSpace(err.Error()), " at ")[0]
	}
	return v.String()
}

type globalsCase struct{ source, want string }

func testGlobals(t *testing.T, cases []globalsCase) {
	t.Helper()
	for _, c := range cases {
		if got := newGlobalsFixture(t, c.source).run(c.source); got != c.want {
			t.Errorf("%s\n  got  %s\n  want %s", c.source, got, c.want)
		}
	}
}

func TestGlobalsOnlyWhatIsMentioned(t *testing.T) {
	f := newGlobalsFixture(t, "nothing of them")
	testNames := []string{
		"console", "setTimeout", "setInterval", "setImmediate", "clearTimeout", "clearInterval", "clearImmediate", "queueMicrotask",
		"TextEncoder", "TextDecoder", "URL", "URLSearchParams", "atob", "btoa", "crypto", "structuredClone",
	}
	for _, name := range testNames {
		if got := f.run("typeof " + name); got != "undefined" {
			t.Errorf("%s is there without being mentioned: %s", name, got)
		}
		alone := newGlobalsFixture(t, name)
		if got := alone.run("typeof " + name); got == "undefined" {
			t.Errorf("%s is not there", name)
		}
		if got := alone.run("Object.getOwnPropertyDescriptor(globalThis, '" + name + "').enumerable"); got != "false" {
			t.Errorf("%s is enumerable", name)
		}
	}
}

func TestTextEncoderAndDecoder(t *testing.T) {
	testGlobals(t, []globalsCase{
		{`new TextEncoder().encode("aé€😀").join()`, "97,195,169,226,130,172,240,159,152,128"},
		{`new TextEncoder().encode("\ud800").join()`, "239,191,189"},
		{`new TextEncoder().encode().length`, "0"},
		{`new TextEncoder().encode("x") instanceof Uint8Array`, "true"},
		{`new TextEncoder().encoding`, "utf-8"},
		{`let a = new Uint8Array(4), r = new TextEncoder().encodeInto("é€", a); [r.read, r.written, a.join()].join("|")`, "1|2|195,169,0,0"},
		{`new TextDecoder().decode(new Uint8Array([0xc3, 0xa9]))`, "é"},
		{`new TextDecoder().decode(new Uint8Array([0xc3, 0xa9]).buffer)`, "é"},
		{`new TextDecoder().decode(new Uint8Array([1, 0x61, 0x62, 1]).subarray(1, 3))`, "ab"},
		{`new TextDecoder().decode()`, ""},
		{`new TextDecoder().decode("x")`, "threw TypeError: TextDecoder.decode: the input is neither an ArrayBuffer nor a view of one"},
		{`new TextDecoder().decode(new Uint8Array([0xff, 0x61]))`, "\uFFFDa"},
		{`new TextDecoder().decode(new Uint8Array([0xe2, 0x82, 0x61]))`, "\uFFFDa"},
		{`new TextDecoder("utf-8", {fatal: true}).decode(new Uint8Array([0xff]))`, "threw TypeError: TextDecoder.decode: the bytes are not valid utf-8"},
		{`new TextDecoder("utf-8", {fatal: true}).decode(new Uint8Array([0xef, 0xbf, 0xbd]))`, "\uFFFD"},
		{`new TextDecoder().decode(new Uint8Array([0xef, 0xbb, 0xbf, 0x61]))`, "a"},
		{`new TextDecoder("utf-8", {ignoreBOM: true}).decode(new Uint8Array([0xef, 0xbb, 0xbf, 0x61])).length`, "2"},
		{`new TextDecoder("utf-16le").decode(new Uint8Array([0x61, 0, 0x3d, 0xd8, 0, 0xde]))`, "a😀"},
		{`new TextDecoder("utf-16le").decode(new Uint8Array([0x61, 0, 0x62]))`, "a\uFFFD"},
		{`new TextDecoder("utf-16le", {fatal: true}).decode(new Uint8Array([0, 0xd8]))`, "threw TypeError: TextDecoder.decode: the bytes are not valid utf-16le"},
		{`new TextDecoder("UTF-16").encoding`, "utf-16le"},
		{`new TextDecoder("latin1").decode(new Uint8Array([0xe9, 0x80]))`, "é€"},
		{`new TextDecoder("iso-8859-1").encoding`, "windows-1252"},
		{`new TextDecoder(" Shift_JIS ").decode(new Uint8Array([0x82, 0xa0]))`, "あ"},
		{`new TextDecoder("koi8-r").decode(new Uint8Array([0xc1]))`, "а"},
		{`new TextDecoder("nonsense")`, `threw RangeError: TextDecoder: the encoding "nonsense" is not known`},
		{`let d = new TextDecoder(); [d.fatal, d.ignoreBOM, d.encoding].join()`, "false,false,utf-8"},
		{
			`let d = new TextDecoder(), o = {stream: true}; [d.decode(new Uint8Array([0xe2]), o), d.decode(new Uint8Array([0x82]), o),
			d.decode(new Uint8Array([0xac, 0xf0]), o), d.decode()].join("|")`, "||€|\uFFFD",
		},
		{
			`let d = new TextDecoder("utf-16le"), o = {stream: true}; [d.decode(new Uint8Array([0x3d]), o), d.decode(new Uint8Array([0xd8, 0]), o),
			d.decode(new Uint8Array([0xde]), o), d.decode()].join("|")`, "||😀|",
		},
		{
			`let d = new TextDecoder(), o = {stream: true}; [d.decode(new Uint8Array([0xef, 0xbb]), o), d.decode(new Uint8Array([0xbf, 0x61]), o),
			d.decode(new Uint8Array([0xef, 0xbb, 0xbf])).length].join("|")`, "|a|1",
		},
	})
}

func TestBase64(t *testing.T) {
	testGlobals(t, []globalsCase{
		{`btoa("a\xe9\x00")`, "YekA"},
		{`btoa("")`, ""},
		{`btoa("€")`, "threw InvalidCharacterError: btoa: the text has characters above U+00FF"},
		{`atob("YekA") === "a\xe9\x00"`, "true"},
		{`atob(" Y W\n==")`, "a"},
		{`atob("YQ")`, "a"},
		{`atob("YR==")`, "a"},
		{`atob("YQ=")`, "threw InvalidCharacterError: atob: the text is not correctly encoded"},
		{`atob("Y")`, "threw InvalidCharacterError: atob: the text is not correctly encoded"},
		{`atob("Y=Q=")`, "threw InvalidCharacterError: atob: the text is not correctly encoded"},
		{`atob("é===")`, "threw InvalidCharacterError: atob: the text is not correctly encoded"},
		{`btoa.name + btoa.length`, "btoa1"},
	})
}

func TestURL(t *testing.T) {
	const parts = `[u.protocol, u.username, u.password, u.host, u.hostname, u.port, u.pathname, u.search, u.hash, u.origin].join("|")`
	testGlobals(t, []globalsCase{
		{`new URL("https://user:pw@Example.ORG:8443/a/../b?x=1#f").href`, "https://user:pw@example.org:8443/b?x=1#f"},
		{`let u = new URL("https://u:p@example.org:8443/p?q#h"); ` + parts, "https:|u|p|example.org:8443|example.org|8443|/p|?q|#h|https://example.org:8443"},
		{`let u = new URL("https://example.org:443"); ` + parts, "https:|||example.org|example.org||/|||https://example.org"},
		{`let u = new URL("mailto:a@example.org?subject=x y"); ` + parts, "mailto:|||||" + "|a@example.org|?subject=x%20y||null"},
		{`let u = new URL("file:///etc/x"); ` + parts, "file:||||||/etc/x|||null"},
		{`let u = new URL("redis://[2001:DB8::1]:6379/0"); ` + parts, "redis:|||[2001:db8::1]:6379|[2001:db8::1]|6379|/0|||null"},
		{`new URL("  HTTP:\\\\example.org\\a\tb \n").href`, "http://example.org/ab"},
		{`new URL("http://example.org/a b/é?é'\"#é").href`, "http://example.org/a%20b/%C3%A9?%C3%A9%27%22#%C3%A9"},
		{`new URL("http://example.org/%zz%41").href`, "http://example.org/%zz%41"},
		{`new URL("http://bücher.example/").host`, "xn--bcher-kva.example"},
		{`new URL("http://ex%41mple.org/").host`, "example.org"},
		{`new URL("http://example.org?a").href`, "http://example.org/?a"},
		{`new URL("../c?d", "http://example.org/a/b/").href`, "http://example.org/a/c?d"},
		{`new URL("c", "http://example.org/a/b").href`, "http://example.org/a/c"},
		{`new URL("/c/./d/../e/.", "http://example.org/a/b").href`, "http://example.org/c/e/"},
		{`new URL("//other.example/x", "https://example.org/a").href`, "https://other.example/x"},
		{`new URL("?q", "http://example.org/a?b#c").href`, "http://example.org/a?q"},
		{`new URL("#q", "http://example.org/a?b#c").href`, "http://example.org/a?b#q"},
		{`new URL("", "http://example.org/a?b#c").href`, "http://example.org/a?b"},
		{`new URL("%2e%2E/x", "http://example.org/a/b/c").href`, "http://example.org/a/x"},
		{`["nonsense", "http://", "http://a b/", "http://example.org:99999/", "http://[::1", "http://1.2.3.256/", "//x", "", "http://@/", "http://a<b/"].filter(URL.canParse).join()`, ""},
		{`new URL("x", "nonsense")`, "threw TypeError: Invalid URL"},
		{`new URL("x", "mailto:a@example.org")`, "threw TypeError: Invalid URL"},
		{`try { new URL("nonsense") } catch (e) { e.code }`, "ERR_INVALID_URL"},
		{`URL.canParse("http://example.org") + " " + URL.parse("nonsense")`, "true null"},
		{`new URL("http://example.org") instanceof URL`, "true"},
		{`JSON.stringify(new URL("http://example.org/x")) + new URL("http://example.org")`, `"http://example.org/x"http://example.org/`},
		{
			`let u = new URL("http://example.org/"); u.protocol = "https"; u.port = 8080; u.hostname = "EXAMPLE.net"; u.pathname = "a b"; u.search = "x=y";
			u.hash = "z"; u.username = "me@"; u.password = "p"; u.href`, "https://me%40:p@example.net:8080/a%20b?x=y#z",
		},
		{`let u = new URL("http://example.org:81/"); u.protocol = "mailto"; u.port = "x"; u.hostname = "a b"; u.href`, "http://example.org:81/"},
		{`let u = new URL("http://example.org:443/"); u.protocol = "https"; u.host = "example.com:99"; u.href`, "https://example.com:99/"},
		{`let u = new URL("http://example.org/"); u.href = "https://example.net/?a"; u.searchParams.get("a") + u.host`, "example.net"},
		{`let u = new URL("http://example.org/"); u.searchParams.append("k", "é &"); u.href`, "http://example.org/?k=%C3%A9+%26"},
		{`let u = new URL("http://example.org/?a=1"), p = u.searchParams; u.search = "?b=2"; p.get("b") + (p === u.searchParams) + p.get("a")`, "2truenull"},
		{`let u = new URL("http://example.org/?a=1"); u.searchParams.delete("a"); u.href`, "http://example.org/"},
	})
}

func TestURLSearchParams(t *testing.T) {
	testGlobals(t, []globalsCase{
		{`new URLSearchParams("?a=1&b=2&a=3&&c&=x").toString()`, "a=1&b=2&a=3&c=&=x"},
		{`new URLSearchParams("a=1&b=2&a=3").getAll("a").join()`, "1,3"},
		{`new URLSearchParams("a=b+c%20d%zz%ff").get("a")`, "b c d%zz\uFFFD"},
		{`new URLSearchParams({a: "1", b: "x y"}).toString()`, "a=1&b=x+y"},
		{`new URLSearchParams([["a", 1], ["b", 2]]).toString()`, "a=1&b=2"},
		{`new URLSearchParams(new Map([["a", 1]])).toString()`, "a=1"},
		{`new URLSearchParams([["a"]])`, "threw TypeError: URLSearchParams: an element is no pair of name and value"},
		{`new URLSearchParams(new URLSearchParams("a=1")).toString()`, "a=1"},
		{`[...new URLSearchParams("a=1&b=2")].join("|")`, "a,1|b,2"},
		{`let p = new URLSearchParams("a=1&b=2"); [...p.keys(), ...p.values()].join() + p.size`, "a,b,1,22"},
		{`let p = new URLSearchParams("b=1&a=2&b=0"); p.sort(); p + ""`, "a=2&b=1&b=0"},
		{`let p = new URLSearchParams("a=1&b=2&a=3"); p.set("a", 9); p.set("c", 8); p + ""`, "a=9&b=2&c=8"},
		{`let p = new URLSearchParams("a=1&a=2"); [p.has("a"), p.has("a", 2), p.has("a", 3), p.has("x"), p.get("x")].join()`, "true,true,false,false,"},
		{`let p = new URLSearchParams("a=1&a=2"); p.delete("a", "1"); p + ""`, "a=2"},
		{`let out = []; new URLSearchParams("a=1").forEach((v, k) => out.push(k + v)); out.join()`, "a1"},
		{`new URLSearchParams({k: "*-._~!'() /é"}).toString()`, "k=*-._%7E%21%27%28%29+%2F%C3%A9"},
	})
}

func FuzzURL(f *testing.F) {
	for _, s := range []string{"http://user:p@example.org:80/a/../b?c#d", "mailto:x", "//[::1]/", "file:a", "x:/.//y", "http:a", "\\\\a\\b"} {
		f.Add(s, "https://example.org/x/y?z")
	}
	f.Fuzz(func(t *testing.T, input, base string) {
		u := parseWebURL(input, parseWebURL(base, nil))
		if u == nil {
			return
		}
		again := parseWebURL(u.String(), nil)
		if again == nil || again.String() != u.String() {
			t.Fatalf("%q with %q gave %q, which gave %v", input, base, u, again)
		}
	})
}

func TestRandomUUID(t *testing.T) {
	testGlobals(t, []globalsCase{
		{`crypto.randomUUID()`, "ffffffff-ffff-4fff-bfff-ffffffffffff"},
		{`crypto.randomUUID.length`, "0"},
	})
	rt := goja.New()
	defer func() {
		if recover() == nil {
			t.Error("a source of randomness that ends was not noticed")
		}
	}()
	randomUUID(rt, io.LimitReader(bytes.NewReader(make([]byte, 3)), 3))
}

func TestQueueMicrotask(t *testing.T) {
	f := newGlobalsFixture(t, "queueMicrotask")
	f.run(`var order = []; queueMicrotask(() => { order.push("task") }); order.push("first")`)
	if got := f.run("order.join()"); got != "first,task" {
		t.Error(got)
	}
	if got := f.run("queueMicrotask('x')"); !strings.HasPrefix(got, "threw TypeError") {
		t.Error(got)
	}
}

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}
