package daemon

import (
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"pmilter/internal/config"
	"pmilter/internal/mta"
	"pmilter/internal/testbed"
)

// wireStep is a step of a scenario: its name, as of a method of session(), and its
// one argument.
type wireStep struct {
	do  string
	arg any
}

// wireScenario is played twice: in a test file, by session(), and by an MTA at a
// real socket of a real server. The results must be the same, field by field.
type wireScenario struct {
	name    string
	scripts []string // text, in order
	options map[string]any
	config  func(*config.Config)
	steps   []wireStep
}

// wireResult is what is compared. What is empty is left out.
type wireResult map[string]any

const wireMail = "From: a@example.org\nSubject: hi\nX-Old: 1\n\nhello\n"

func mailTo(to ...string) map[string]any {
	return map[string]any{"from": "a@example.org", "to": to, "message": wireMail}
}

func wireScenarios() []wireScenario {
	send := wireStep{"send", mailTo("b@example.net")}
	return []wireScenario{
		{name: "nobody minds", scripts: []string{`export function eom() {}`}, steps: []wireStep{send}},
		{name: "no handlers but close", scripts: []string{`export function close() {}`}, steps: []wireStep{send, send}},
		{
			name: "phase by phase", scripts: []string{`
			export function connect() {} export function helo() {} export function mail() {} export function rcpt() {}
			export function data() {} export function eom() {}`},
			steps: []wireStep{
				{"connect", nil},
				{"helo", "x.example.org"},
				{"mail", "a@example.org"},
				{"rcpt", "b@example.net"},
				{"data", nil},
				{"message", wireMail},
				{"quit", nil},
			},
		},
		{
			name: "refused in connect", scripts: []string{`export function connect(s) { if (s.client.name === "") return tempfail(451, "4.7.25", "no name"); }`},
			options: map[string]any{"client": map[string]any{"ip": "192.0.2.7", "name": ""}},
			steps:   []wireStep{{"connect", nil}, {"helo", "x"}, send},
		},
		{
			name: "refused in helo", scripts: []string{`export function helo(s, name) { note("helo", { name }); if (name === "bad") return reject(); }`},
			steps: []wireStep{{"helo", "bad"}, send},
		},
		{
			name: "refused in mail, then not", scripts: []string{`export function mail(s, a) { if (a.local === "spam") return reject(553, "5.1.8", "two\nlines"); }`},
			steps: []wireStep{{"send", map[string]any{"from": "spam@example.org", "to": []string{"b@example.net"}, "message": wireMail}}, send},
		},
		{
			name: "recipients", scripts: []string{`export function rcpt(s, a) { if (a.local === "no") return reject("never"); if (a.local === "later") return tempfail("later"); }`},
			steps: []wireStep{
				{"send", mailTo("no@example.net", "b@example.net", "later@example.net")},
				{"send", mailTo("no@example.net", "later@example.net")},
				send,
			},
		},
		{name: "data", scripts: []string{`let n = 0; export function data() { n++; if (n === 1) return tempfail(); }`}, steps: []wireStep{send, send}},
		{name: "header, eoh, body", scripts: []string{
			`export function header(s, name, value) { if (name === "X-Bad") return reject("bad " + value); }`,
			`let n = 0; export function eoh() { n++; if (n === 2) return tempfail(); }`,
			`export function body(s, chunk) { if (chunk.length > 10) return discard(); }`,
		}, steps: []wireStep{
			{"send", map[string]any{"message": "X-Bad: é\n\nhello\n"}},
			send,
			{"send", map[string]any{"message": "A: b\n\nlonger than that\n"}},
			{"send", map[string]any{"message": "A: b\n\nlonger than that\n"}},
		}},
		{
			name: "early", scripts: []string{`export const options = { early: true };
			export function header(s, name) { if (name === "X-Bad") return reject("early"); } export function body() { return skip(); }`},
			steps: []wireStep{send, {"send", map[string]any{"message": "X-Bad: 1\n\nhello\n"}}, send},
		},
		{
			name: "discard", scripts: []string{`export function rcpt(s, a) { if (a.local === "hole") return discard(); }
			export function eom(s) { if (s.message.subject === "drop") return discard(); }`},
			steps: []wireStep{{"send", mailTo("hole@example.net", "b@example.net")}, {"send", map[string]any{"message": "Subject: drop\n\nx\n"}}, send},
		},
		{name: "accept ends interest", scripts: []string{
			`export function mail(s, a) { if (a.local === "friend") return accept(); } export function eom() { return reject("not a friend"); }`,
		}, steps: []wireStep{{"send", map[string]any{"from": "friend@example.org", "message": wireMail}}, send}},
		{
			name: "accept of the connection", scripts: []string{`export function connect() { return accept(); } export function eom() { return reject("never asked"); }`},
			steps: []wireStep{{"connect", nil}, send, send},
		},
		{name: "edits", scripts: []string{
			`export function mail(s) { s.message.headers.set("X-Old", "2"); }
			 export function eom({ message: m }) { m.headers.prepend("X-First", "é"); m.headers.add("X-Last", "z"); m.headers.insert(2, "X-Mid", "m");
			   m.setSender("other@example.org"); m.addRecipient("c@example.net"); m.removeRecipient("b@example.net"); m.replaceBody("new\nbody"); }`,
			`export function eom({ message: m }) { note("seen", { first: m.headers.get("X-First"), to: m.recipients.map(String) }); m.headers.remove("Subject"); m.quarantine("odd"); }`,
		}, steps: []wireStep{send, {"send", map[string]any{"message": "A: b\n\n"}}}},
		{
			name: "rset and state", scripts: []string{`let aborted = 0; let messages = 0;
			export function mail() { messages++; } export function abort() { aborted++; }
			export function eom() { note("counted", { aborted, messages }); }`},
			steps: []wireStep{{"mail", "a@example.org"}, {"rset", nil}, {"mail", "a@example.org"}, {"rcpt", "b@example.net"}, {"rset", nil}, send, send},
		},
		{
			name: "on_error", scripts: []string{`export function rcpt(s, a) { if (a.local === "boom") nothing.here(); }
			export function eom(s) { s.message.headers.add("X-Lost", "1"); note("lost"); if (s.message.subject === "boom") throw new Error("boom"); }`},
			steps: []wireStep{{"send", mailTo("boom@example.net", "b@example.net")}, {"send", map[string]any{"message": "Subject: boom\n\n"}}, send},
		},
		{name: "on_error accept and reject", scripts: []string{
			`export const options = { onError: "accept" }; export function mail() { throw new TypeError("a"); } export function eom() { return reject("not reached"); }`,
			`export const options = { onError: "reject" }; export function eom(s) { if (s.message.subject === "boom") throw new TypeError("b"); }`,
		}, steps: []wireStep{send, {"send", map[string]any{"message": "Subject: boom\n\n"}}}},
		{name: "nonsense", scripts: []string{`export function mail() { return "no"; }`}, steps: []wireStep{send}},
		{
			name: "too slow", config: func(c *config.Config) { c.Handler.Timeout = 2 * time.Second },
			scripts: []string{`export async function rcpt() { await new Promise((r) => setTimeout(r, 60_000)); } export function mail() {}`},
			steps:   []wireStep{send, {"send", mailTo("b@example.net", "c@example.net")}},
		},
		{
			name: "too slow together", config: func(c *config.Config) { c.Handler.Timeout = 4 * time.Second },
			scripts: []string{
				`export async function mail() { await new Promise((r) => setTimeout(r, 2500)); note("first"); }`,
				`export async function mail() { await new Promise((r) => setTimeout(r, 2500)); note("second"); }`,
			}, steps: []wireStep{send},
		},
		{
			name: "a loop", config: overruns,
			scripts: []string{`export function mail() { for (;;); }`}, steps: []wireStep{send, send},
		},
		{name: "observe", scripts: []string{
			`export const options = { observe: true }; export function rcpt() { return reject(550, "5.7.1", "would"); } export function eom(s) { s.message.headers.add("X-Not", "1"); return tempfail(); }`,
			`export function eom(s) { s.message.headers.add("X-Done", "1"); }`,
		}, steps: []wireStep{send, send}},
		{
			name: "session", options: map[string]any{
				"client": map[string]any{"ip": "2001:db8::7", "name": "six.example.org", "port": 1234}, "helo": "six", "tls": true, "auth": "alice",
				"macros": map[string]any{"daemon_name": "submission", "{own}": "x"},
			}, scripts: []string{`export function eom(s) { note("all", { client: s.client, helo: s.helo, tls: s.tls, auth: s.auth, mta: s.mta, own: s.macros.own, params: s.message.sender.params }); }`},
			steps: []wireStep{{"send", map[string]any{"from": map[string]any{"address": "a@example.org", "params": map[string]any{"SIZE": "100", "SMTPUTF8": ""}}, "message": wireMail}}},
		},
		{
			name: "a unix client and a null sender", options: map[string]any{"client": map[string]any{"family": "unix"}},
			scripts: []string{`export function mail(s, a) { note("who", { family: s.client.family, ip: s.client.ip, name: s.client.name, sender: a.address }); }`},
			steps:   []wireStep{{"send", map[string]any{"from": "", "message": wireMail}}},
		},
		{
			name: "protocol 2", options: map[string]any{"protocol": 2}, scripts: []string{`export function data() { return reject("never sent"); } export function eom(s) { s.message.headers.add("X-Two", " 2"); }`},
			steps: []wireStep{send},
		},
		{
			name: "unknown", scripts: []string{`export function unknown(s, command) { if (command === "XYZZY") return reject(502, "5.5.1", "no magic"); }`},
			steps: []wireStep{{"unknown", "XYZZY"}, {"unknown", "HELLO"}, send},
		},
		{
			name: "oversize", config: func(c *config.Config) { c.Milter.MaxMessage = 1000 }, scripts: []string{`export function eom() {}`},
			steps: []wireStep{{"send", map[string]any{"message": "A: b\n\n" + strings.Repeat("x", 2000) + "\n"}}, send},
		},
		{
			name: "a fault and a neighbour", scripts: []string{`import vars from "pmilter/vars"; export function mail() { notThere(); }`, `export function close() {}`},
			steps: []wireStep{send, {"quit", nil}},
		},
	}
}

// TestSessionIsTheWire plays each scenario both ways.
func TestSessionIsTheWire(t *testing.T) {
	for _, sc := range wireScenarios() {
		t.Run(sc.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if err := os.Mkdir(filepath.Join(dir, "scripts"), 0o700); err != nil {
				t.Fatal(err)
			}
			for i, text := range sc.scripts {
				name := filepath.Join(dir, "scripts", strconv.Itoa(i+1)+"0-part.js")
				if err := os.WriteFile(name, []byte(imports+text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			cfg := config.Default()
			cfg.File, cfg.Scripts = filepath.Join(dir, "pmilter.toml"), []string{"scripts"}
			cfg.Handler.CPU, cfg.Handler.Timeout, cfg.Handler.EOMTimeout = overrunCPU, plenty, plenty
			if sc.config != nil {
				sc.config(cfg)
			}
			tested, wired := playTested(t, cfg, sc), playWired(t, cfg, sc)
			if len(tested) != len(sc.steps) || len(wired) != len(sc.steps) {
				t.Fatalf("%d steps, %d results of session(), %d of the socket", len(sc.steps), len(tested), len(wired))
			}
			for i, step := range sc.steps {
				if !reflect.DeepEqual(tested[i], wired[i]) {
					t.Errorf("step %d, %s:\nsession() %s\nsocket    %s", i+1, step.do, asJSON(tested[i]), asJSON(wired[i]))
				}
			}
		})
	}
}

func asJSON(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(data)
}

// playTested plays a scenario by session(), in a file of tests.
func playTested(t *testing.T, cfg *config.Config, sc wireScenario) (results []wireResult) {
	t.Helper()
	var steps []any
	for _, s := range sc.steps {
		steps = append(steps, []any{s.do, s.arg})
	}
	file := filepath.Join(filepath.Dir(cfg.File), "wire.test.js")
	text := `import { test, session } from "pmilter/test";
		test("scenario", async () => {
			const s = await session(` + asJSON(sc.options) + ` ?? undefined);
			for (const [name, arg] of ` + asJSON(steps) + `) {
				const r = arg === null ? await s[name]() : await s[name](arg);
				console.log("%s", JSON.stringify(r ? { ...r, headers: r.headers && [...r.headers] } : {}));
			}
		}, "1m");`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	run := newTestRun(cfg, TestOptions{})
	defer run.close()
	collect := &collector{}
	sum, _, err := testbed.Run(t.Context(), []string{file}, testbed.Options{Bench: run.bench, Load: run.load, Report: collect})
	if err != nil || !sum.Good() {
		for _, r := range collect.files[0].Tests {
			t.Errorf("%+v", r.Failure)
		}
		t.Fatalf("%v %+v %v", err, sum, collect.files)
	}
	for _, line := range collect.files[0].Tests[0].Log {
		_, data, ok := strings.Cut(line, ": {")
		if !ok || !strings.HasPrefix(line, "wire.test.js:") {
			continue
		}
		var r wireResult
		if err := json.Unmarshal([]byte("{"+data), &r); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		results = append(results, r.lean())
	}
	return results
}

// lean leaves out what is empty, deep within too.
func (r wireResult) lean() wireResult {
	for key, v := range r {
		switch x := v.(type) {
		case string:
			if x == "" {
				delete(r, key)
			}
		case float64:
			if x == 0 {
				delete(r, key)
			}
		case []any:
			if len(x) == 0 {
				delete(r, key)
			}
			if key == "wouldBe" || key == "refused" {
				for _, one := range x {
					wireResult(one.(map[string]any)).lean()
				}
			}
		case nil:
			delete(r, key)
		}
	}
	return r
}

type collector struct{ files []testbed.FileReport }

func (c *collector) File(f testbed.FileReport) { c.files = append(c.files, f) }
func (c *collector) End(testbed.Summary) error { return nil }

// wired is an MTA at a real socket, and the server's log.
type wired struct {
	t    *testing.T
	s    *mta.Session
	log  *observer.ObservedLogs
	seen int
	peer mta.Peer
	helo string

	connected, greeted bool
	held               wireResult // a decision that goes on being given
	session            bool       // for the session
	message            *mta.Message
}

// playWired plays a scenario as an MTA, at a real socket of a real server.
func playWired(t *testing.T, cfg *config.Config, sc wireScenario) (results []wireResult) {
	t.Helper()
	core, log := observer.New(zapcore.DebugLevel)
	e, err := newEngine(t.Context(), cfg, zap.New(core), nil)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() { defer close(served); _ = e.server.Serve(t.Context(), ln, "tcp") }()
	defer func() {
		_ = ln.Close()
		<-served
		ctx := t.Context()
		e.server.Shutdown(ctx)
		e.close()
	}()
	version := uint32(6)
	if v, ok := sc.options["protocol"].(int); ok {
		version = uint32(v)
	}
	client, err := mta.Dial(t.Context(), "tcp", ln.Addr().String(), mta.PostfixOptions(version))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	w := &wired{t: t, log: log, helo: "client.example.org"}
	w.peer = mta.Peer{Name: "client.example.org", Family: '4', Port: 49152, Addr: "192.0.2.1"}
	macros := w.configure(sc.options)
	w.s = mta.NewSession(client, macros)
	n := 0
	w.s.NewQueueID = func() string { n++; return "4TEST0000" + strconv.Itoa(n) }
	for _, step := range sc.steps {
		results = append(results, w.do(step).normal(t))
	}
	if err := w.s.Close(t.Context()); err != nil && !w.session {
		t.Log(err)
	}
	return results
}

// normal is the result as JSON brings it back.
func (r wireResult) normal(t *testing.T) wireResult {
	t.Helper()
	var again wireResult
	if err := json.Unmarshal([]byte(asJSON(r)), &again); err != nil {
		t.Fatal(err)
	}
	return again.lean()
}

// configure is the MTA's part of session()'s options.
func (w *wired) configure(options map[string]any) mta.Macros {
	client, _ := options["client"].(map[string]any)
	if ip, ok := client["ip"].(string); ok {
		w.peer.Addr = ip
		if strings.Contains(ip, ":") {
			w.peer.Family = '6'
		}
	}
	if name, ok := client["name"].(string); ok {
		w.peer.Name = name
		if name == "" {
			w.peer.Name = "[" + w.peer.Addr + "]"
		}
	}
	if port, ok := client["port"].(int); ok {
		w.peer.Port = uint16(port)
	}
	if client["family"] == "unix" {
		w.peer = mta.Peer{Name: "localhost", Family: 'L', Addr: "/run/client.sock"}
	}
	if helo, ok := options["helo"].(string); ok {
		w.helo = helo
	}
	m := mta.PostfixMacros("mx.example.net", w.peer)
	if options["tls"] == true {
		m["tls_version"], m["cipher"], m["cipher_bits"] = "TLSv1.3", "TLS_AES_256_GCM_SHA384", "256"
	}
	if user, ok := options["auth"].(string); ok {
		m["auth_authen"], m["auth_type"] = user, "PLAIN"
	}
	if own, ok := options["macros"].(map[string]any); ok {
		for name, value := range own {
			m.Set(name, value.(string))
		}
	}
	return m
}

func (w *wired) do(step wireStep) wireResult {
	ctx := w.t.Context()
	reply := func(r mta.Reply, err error) mta.Reply {
		if err != nil {
			w.t.Fatalf("%s: %v", step.do, err)
		}
		return r
	}
	text, _ := step.arg.(string)
	switch step.do {
	case "connect":
		w.connected = true
		return w.result("connect", reply(w.s.Connect(ctx, w.peer)))
	case "helo":
		if r := w.greet(false); r != nil {
			return r
		}
		w.greeted = true
		return w.result("helo", reply(w.s.Helo(ctx, text)))
	case "mail":
		if r := w.greet(true); r != nil {
			return r
		}
		return w.mail(step.arg)
	case "rcpt":
		return w.rcpt(text)
	case "data":
		return w.result("data", reply(w.s.Data(ctx)))
	case "message":
		return w.content(text)
	case "send":
		return w.send(step.arg.(map[string]any))
	case "unknown":
		if r := w.greet(true); r != nil {
			return r
		}
		return w.result("unknown", reply(w.s.Unknown(ctx, text)))
	case "rset":
		if err := w.s.Abort(ctx); err != nil {
			w.t.Fatal(err)
		}
		w.held, w.message = nil, nil
	case "quit":
		if err := w.s.Close(ctx); err != nil {
			w.t.Fatal(err)
		}
	}
	return wireResult{}
}

// greet makes up for connect and helo. The result is a refusal.
func (w *wired) greet(helo bool) wireResult {
	if !w.connected {
		if r := w.do(wireStep{"connect", nil}); r["verdict"] != "continue" && r["verdict"] != "accept" {
			return r
		}
	}
	if helo && !w.greeted {
		if r := w.do(wireStep{"helo", w.helo}); r["verdict"] != "continue" && r["verdict"] != "accept" {
			return r
		}
	}
	if w.session && w.held["verdict"] != "accept" {
		return w.held
	}
	return nil
}

func (w *wired) mail(from any) wireResult {
	address, params := "sender@example.org", []string(nil)
	switch f := from.(type) {
	case string:
		address = f
	case map[string]any:
		address, params = f["address"].(string), []string{"SIZE=100", "SMTPUTF8"} // in the order of the keys
	}
	if !w.session {
		w.held = nil
	}
	r, err := w.s.Mail(w.t.Context(), address, params...)
	if err != nil {
		w.t.Fatal(err)
	}
	w.message = &mta.Message{Sender: address, SenderParams: params}
	return w.result("mail", r)
}

func (w *wired) rcpt(to string) wireResult {
	r, err := w.s.Rcpt(w.t.Context(), to)
	if err != nil {
		w.t.Fatal(err)
	}
	if !r.Refuses() {
		w.message.Recipients = append(w.message.Recipients, mta.Recipient{Address: to})
	}
	return w.result("rcpt", r)
}

func (w *wired) content(text string) wireResult {
	m := mta.ParseMessage([]byte(text))
	m.Sender, m.SenderParams, m.Recipients = w.message.Sender, w.message.SenderParams, w.message.Recipients
	m.AddReceived("by mx.example.net")
	reply, err := w.s.Content(w.t.Context(), m)
	if err != nil {
		w.t.Fatal(err)
	}
	r := w.result("eom", reply)
	if !w.session {
		w.held = nil
	}
	w.message = nil
	if v := r["verdict"]; v == "continue" || v == "accept" {
		r["verdict"] = "accept"
		var fields []any
		for _, f := range m.Visible() {
			value := strings.TrimPrefix(f.Value(), " ")
			if value == "=?utf-8?q?=C3=A9?=" {
				value = "é"
			}
			fields = append(fields, []any{f.Name(), strings.TrimLeft(value, " ")})
		}
		var to []any
		for _, one := range m.Recipients {
			to = append(to, one.Address)
		}
		r["headers"], r["body"], r["sender"], r["recipients"], r["quarantine"] = fields, string(m.Body), m.Sender, to, m.Reason
	}
	return r
}

func (w *wired) send(arg map[string]any) wireResult {
	if r := w.greet(true); r != nil {
		return r
	}
	var would []any
	add := func(r wireResult) wireResult {
		more, _ := r["wouldBe"].([]any)
		would = append(would, more...)
		delete(r, "wouldBe")
		return r
	}
	if r := add(w.mail(arg["from"])); r["verdict"] == "reject" || r["verdict"] == "tempfail" {
		return r
	}
	to, ok := arg["to"].([]string)
	if !ok {
		to = []string{"rcpt@example.net"}
	}
	var refused []any
	var last wireResult
	for _, one := range to {
		last = add(w.rcpt(one))
		if last["verdict"] == "reject" || last["verdict"] == "tempfail" {
			why := wireResult{"recipient": one}
			for k, v := range last {
				why[k] = v
			}
			refused = append(refused, why)
		}
	}
	if len(refused) == len(to) {
		w.do(wireStep{"rset", nil})
		last["refused"] = refused
		return last
	}
	r, err := w.s.Data(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	last = add(w.result("data", r))
	if r.Refuses() {
		w.do(wireStep{"rset", nil})
	} else {
		last = add(w.content(arg["message"].(string)))
	}
	last["refused"], last["wouldBe"] = refused, would
	return last
}

// result is a reply, with what the server's log says of it.
func (w *wired) result(phase string, reply mta.Reply) wireResult {
	entries := w.log.All()[w.seen:]
	w.seen += len(entries)
	verdict := reply.Verdict()
	if verdict == "skip" {
		verdict = "continue"
	}
	if reply.Implied && verdict != "continue" && w.held != nil {
		return w.held.copy()
	}
	r := wireResult{"verdict": verdict, "phase": phase}
	r["code"], r["enhanced"], r["text"] = reply.SMTP()
	var would []any
	fault := ""
	for _, entry := range entries {
		fields := entry.ContextMap()
		switch entry.Message {
		case "script error":
			fault = fields["error"].(string)
		case "message", "recipient", "connection", "command":
			r["phase"] = fields["phase"]
			r["notes"] = fields["notes"]
			if verdict != "continue" && verdict != "accept" {
				r["script"], r["line"] = fields["script"], lineOf(fields["at"])
				r["error"] = fault
			}
		default:
			if strings.HasSuffix(entry.Message, " would be refused") {
				would = append(would, wireResult{
					"verdict": fields["verdict"], "phase": fields["phase"], "code": fields["code"], "enhanced": fields["enhanced"],
					"text": fields["text"], "script": fields["script"], "line": lineOf(fields["at"]),
				})
			}
		}
	}
	connection := phase == "connect" || phase == "helo"
	if verdict != "continue" && (connection || phase == "mail" || verdict == "accept" || verdict == "discard") {
		w.held, w.session = r.copy(), w.session || connection
	}
	r["wouldBe"] = would
	return r
}

func (r wireResult) copy() wireResult {
	c := wireResult{}
	for k, v := range r {
		c[k] = v
	}
	return c
}

func lineOf(at any) int {
	text, _ := at.(string)
	parts := strings.Split(text, ":")
	if len(parts) < 3 {
		return 0
	}
	n, _ := strconv.Atoi(parts[len(parts)-2])
	return n
}
