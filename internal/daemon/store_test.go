package daemon

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"pmilter/internal/config"
	"pmilter/internal/mta"
	"pmilter/internal/redistest"
)

const storeImport = `import store from "pmilter/store";` + "\n"

func storeURL(url string) func(*config.Config) {
	return func(c *config.Config) { c.Store.URL = url }
}

// TestStore: what scripts see of it, on each backend.
func TestStore(t *testing.T) {
	server := redistest.Start(t)
	for name, url := range map[string]string{
		"memory": "memory:", "file": "file:" + filepath.Join(t.TempDir(), "store.db"), "redis": "redis://" + server.Addr,
	} {
		t.Run(name, func(t *testing.T) {
			for code, want := range storeExpressions() {
				s := one(t, storeImport+"export async function mail() { return reject(\"=\" + JSON.stringify(await ("+code+")())); }", storeURL(url))
				if got := outcomeOf(s.send(plain())); got != "mail 550 5.7.1 ="+want {
					t.Errorf("%s\n got %s\nwant %s", code, got, want)
				}
				_, _ = s.e.services.store.Delete(t.Context(), "k")
				s.close()
			}
		})
	}
}

// storeExpressions are functions and what they return, as JSON. They use the key k.
func storeExpressions() map[string]string {
	fails := func(call string) string {
		return `async () => { try { await ` + call + `; return "fine"; } catch (e) { return e.name + (e.code ? " " + e.code : "") + ": " + e.message; } }`
	}
	return map[string]string{
		`async () => [await store.get("k"), await store.set("k", { a: [1, "ü", null, true] }), await store.get("k")]`:                                                                                                  `[null,null,{"a":[1,"ü",null,true]}]`,
		`async () => [await store.add("k", 1), await store.add("k", 2), await store.get("k"), await store.delete("k"), await store.delete("k")]`:                                                                       `[true,false,1,true,false]`,
		`async () => [await store.incr("k"), await store.incr("k", { by: -3, ttl: "1h" }), await store.get("k")]`:                                                                                                      `[1,-2,-2]`,
		`async () => { const r = []; for (let i = 0; i < 3; i++) { const l = await store.limit("k", { max: 2, per: "1d" }); r.push(l.ok, l.count, l.resetAfter > 86000000 && l.resetAfter <= 86400000); } return r; }`: `[true,1,true,true,2,true,false,2,true]`,
		`async () => [await store.hold("k"), await store.hold("k", { max: 1 })]`:                                                                                                                                       `[{"ok":true,"count":1},{"ok":true,"count":1}]`,
		`async () => { await store.set("k", 1, { ttl: 1 }); await new Promise((done) => setTimeout(done, 50)); return store.get("k"); }`:                                                                               `null`,
		`async () => { await store.set("k", new Date(0)); return store.get("k"); }`:                                                                                                                                    `"1970-01-01T00:00:00.000Z"`,
		`async () => { await store.set("k", { a: undefined, b: [undefined] }); return store.get("k"); }`:                                                                                                               `{"b":[null]}`,
		`async () => { await store.set("k", "\udc80\ud83d\ude00\u0000<"); return [...await store.get("k")].map((c) => c.codePointAt(0)); }`:                                                                            `[56448,128512,0,60]`,
		`async () => { await store.set("k", JSON.parse('{"__proto__":{"x":1}}')); const v = await store.get("k"); return [v.x === undefined, Object.keys(v)]; }`:                                                       `[true,["__proto__"]]`,
		`async () => { await store.set("k\udc80", 1); return [await store.get("k\udc80"), await store.get("k\ufffd"), await store.delete("k\udc80")]; }`:                                                               `[1,null,true]`,
		`async () => (await Promise.all([..."abcdefgh"].map(() => store.incr("k")))).sort()`:                                                                                                                           `[1,2,3,4,5,6,7,8]`,
		`async () => typeof store.get === "function" && Object.keys(store).join()`:                                                                                                                                     `"get,set,add,delete,incr,limit,hold"`,

		fails(`store.set("k", () => 1)`):                                              `"TypeError: store.set: a function cannot be stored: a value is made of plain objects, arrays, strings, numbers, booleans and null"`,
		fails(`store.set("k", { f() {} })`):                                           `"TypeError: store.set: a function cannot be stored: a value is made of plain objects, arrays, strings, numbers, booleans and null"`,
		fails(`(() => { const a = []; a.push({ a }); return store.set("k", a); })()`): `"TypeError: store.set: a cycle cannot be stored: a value is made of plain objects, arrays, strings, numbers, booleans and null"`,
		fails(`store.set("k", [NaN])`):                                                `"TypeError: store.set: NaN cannot be stored: a value is made of plain objects, arrays, strings, numbers, booleans and null"`,
		fails(`store.add("k", new Map())`):                                            `"TypeError: store.add: a Map cannot be stored: a value is made of plain objects, arrays, strings, numbers, booleans and null"`,
		fails(`store.add("k", new Uint8Array(3))`):                                    `"TypeError: store.add: a typed array or an object of the server cannot be stored: a value is made of plain objects, arrays, strings, numbers, booleans and null"`,
		fails(`store.set("k")`):                                                       `"TypeError: store.set: undefined cannot be stored: a value is made of plain objects, arrays, strings, numbers, booleans and null"`,
		fails(`store.set("k", "x".repeat(2 ** 20))`):                                  `"RangeError: store.set: the value has more than 1048576 bytes as JSON"`,
		fails(`store.get(null)`):                                                      `"TypeError: store.get: the key is null, which is no string"`,
		fails(`store.get({})`):                                                        `"TypeError: store.get: the key is an object, which is no string"`,
		fails(`store.get("")`):                                                        `"TypeError: store.get: the key is empty"`,
		fails(`store.get("k".repeat(1025))`):                                          `"RangeError: store.get: the key has 1025 bytes: at most 1024"`,
		fails(`store.set("k", 1, { ttll: "1h" })`):                                    `"TypeError: store.set: there is no option \"ttll\", only: ttl"`,
		fails(`store.set("k", 1, { ttl: "1 hour" })`):                                 `"TypeError: store.set: ttl is \"1 hour\": write a duration above 0: \"500ms\", \"90s\", \"10m\", \"1d\" or milliseconds"`,
		fails(`store.set("k", 1, { ttl: -1 })`):                                       `"TypeError: store.set: ttl is -1: write a duration above 0: \"500ms\", \"90s\", \"10m\", \"1d\" or milliseconds"`,
		fails(`store.get("k", { ttl: 1 })`):                                           `"TypeError: store.get takes no options: there is no \"ttl\""`,
		fails(`store.incr("k", { by: 0.5 })`):                                         `"TypeError: store.incr: by is 0.5: a whole number is wanted"`,
		fails(`store.limit("k", { max: 0, per: "1h" })`):                              `"TypeError: store.limit: max is 0: a whole number above 0 is wanted"`,
		fails(`store.limit("k")`):                                                     `"TypeError: store.limit: max and per are needed: { max: 10, per: \"1h\" }"`,
		fails(`store.set("k", "a").then(() => store.incr("k"))`):                      `"StoreError ENOTNUMBER: store.incr: the value is no whole number"`,
		fails(`store.set("k", 2 ** 53 - 1).then(() => store.incr("k"))`):              `"StoreError EOVERFLOW: store.incr: the sum is past 9007199254740991"`,
	}
}

// TestStoreIsShared: by connections, by reloaded scripts, and not by worlds alone.
func TestStoreIsShared(t *testing.T) {
	script := storeImport + `export async function mail(s, sender) { return reject("n" + await store.incr(sender)); }`
	s := one(t, script)
	for i := range 3 {
		if got := outcomeOf(s.send(plain())); got != fmt.Sprintf("mail 550 5.7.1 n%d", i+1) {
			t.Error(got)
		}
	}
	s.write("10-test.js", imports+script+"// edited")
	if err := s.e.configure(t.Context(), s.cfg); err != nil {
		t.Fatal(err)
	}
	if got := outcomeOf(s.send(plain())); got != "mail 550 5.7.1 n4" {
		t.Error(got)
	}
}

// TestStoreHoldsEndWithTheConnection: each connection holds once, as long as it lives.
func TestStoreHoldsEndWithTheConnection(t *testing.T) {
	s := one(t, storeImport+`export async function mail(s) {
  const h = await store.hold("client:" + s.client.ip, { max: 2 });
  if (!h.ok) return tempfail(421, "4.7.0", "held by " + h.count);
}`)
	var open []*mta.Session
	try := func(want string) {
		t.Helper()
		conn, err := s.e.dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		c, err := mta.NewClient(t.Context(), conn, mta.PostfixOptions(6))
		if err != nil {
			t.Fatal(err)
		}
		session := mta.NewSession(c, mta.Macros{})
		if _, err := session.Connect(t.Context(), mta.Peer{Name: "x.example.org", Family: '4', Addr: "192.0.2.1"}); err != nil {
			t.Fatal(err)
		}
		for range 2 { // messages of one connection
			r, err := session.Mail(t.Context(), "a@example.org")
			if err != nil || !strings.Contains(fmt.Sprint(r), want) {
				t.Errorf("%v %v, want %q", r, err, want)
			}
			_ = session.Abort(t.Context())
		}
		open = append(open, session)
	}
	try("continue")
	try("continue")
	try("held by 2")
	for _, o := range open {
		if err := o.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for end := time.Now().Add(20 * time.Second); s.e.server.Connections() > 0 && time.Now().Before(end); time.Sleep(time.Millisecond) {
	}
	try("continue")
}

// TestStoreGone: without its server on_error decides, soon; when it is there, mail flows.
func TestStoreGone(t *testing.T) {
	server := redistest.Start(t)
	server.Stop()
	s := one(t, storeImport+`export async function mail() { await store.incr("n"); }`, storeURL("redis://"+server.Addr))
	if got := outcomeOf(s.send(plain())); got != "mail 451 4.3.0 Message filter error, try again later" {
		t.Error(got)
	}
	lines := s.entries("script error")
	if len(lines) != 1 || !strings.Contains(fmt.Sprint(lines[0]), "StoreError: store.incr: the store is not available") ||
		!strings.Contains(fmt.Sprint(lines[0]), "10-test.js:3:") {
		t.Errorf("%v", lines)
	}
	server.Run(t)
	got := ""
	for end := time.Now().Add(20 * time.Second); got != "eom c" && time.Now().Before(end); {
		got = outcomeOf(s.send(plain()))
	}
	if got != "eom c" {
		t.Error(got)
	}
}

// TestStoreFileOutlivesTheServer, and is made when the server starts, not when a
// configuration is checked.
func TestStoreFileOutlivesTheServer(t *testing.T) {
	script := storeImport + `export async function mail() { return reject("n" + await store.incr("n")); }`
	dir := filepath.Join(t.TempDir(), "state")
	change := func(c *config.Config) { c.Store.URL, c.Server.State = "file:", dir }
	cfg := config.Default()
	change(cfg)
	cfg.Scripts = []string{filepath.Join(t.TempDir(), "a.js")}
	if err := os.WriteFile(cfg.Scripts[0], []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	_ = Check(t.Context(), cfg, new(strings.Builder))
	if _, err := os.Stat(dir); err == nil {
		t.Error("check made the folder")
	}
	for i := range 2 {
		s := one(t, script, change)
		if got := outcomeOf(s.send(plain())); got != fmt.Sprintf("mail 550 5.7.1 n%d", i+1) {
			t.Error(got)
		}
		s.close()
	}
	info, err := os.Stat(dir)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v %v", info, err)
	}
	held := one(t, script, change)
	if _, err := newEngine(t.Context(), held.cfg, zap.NewNop(), nil); err == nil || !strings.Contains(err.Error(), "in use by another process") {
		t.Error(err)
	}
}

func TestStateFolder(t *testing.T) {
	dir := t.TempDir()
	env := func(kv ...string) func(string) (string, bool) {
		return func(name string) (string, bool) {
			for i := 0; i < len(kv); i += 2 {
				if kv[i] == name {
					return kv[i+1], true
				}
			}
			return "", false
		}
	}
	for want, got := range map[string]func() (string, error){
		dir + "/a/b": func() (string, error) { return stateFolder(dir+"/a/b", env("STATE_DIRECTORY", "/x")) },
		dir + "/c":   func() (string, error) { return stateFolder("", env("STATE_DIRECTORY", dir+"/c:/x")) },
	} {
		if folder, err := got(); err != nil || folder != want {
			t.Errorf("%q %v, want %q", folder, err, want)
		}
		if info, err := os.Stat(want); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%v %v", info, err)
		}
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := stateFolder(file+"/x", env()); err == nil || !strings.Contains(err.Error(), "server.state") {
		t.Error(err)
	}
	if os.Geteuid() == 0 {
		if got := usualState(env("HOME", "/root")); got != systemState {
			t.Error(got)
		}
		return
	}
	if _, err := os.Stat(systemState); err == nil {
		return
	}
	for want, e := range map[string]func(string) (string, bool){
		"/s/pmilter":              env("XDG_STATE_HOME", "/s", "HOME", "/h"),
		"/h/.local/state/pmilter": env("XDG_STATE_HOME", "s", "HOME", "/h"),
		"":                        env(),
	} {
		if got := usualState(e); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
