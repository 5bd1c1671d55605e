package integration

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"pmilter/internal/postfixtest"
)

// underMiltertest is the script that testdata/miltertest/*.lua talk to.
const underMiltertest = `
export function connect(session) { if (session.client.ip === "192.0.2.66") return reject("no connect"); }
export function helo(session, name) { if (name === "bad") return reject("no helo"); }
export function mail(session, a) { if (a.local === "bad") return reject("no mail"); }
export function rcpt(session, a) { if (a.local === "bad") return reject("no rcpt"); }
export function data(session) { if (session.message.sender.local === "nodata") return reject("no data"); }
export function unknown(session, command) { return reject(500, "5.5.1", "no " + command); }
export function header(session, name) { if (name === "X-Bad") return reject("no header"); }
export function eoh(session) { if (session.message.headers.has("X-Eoh")) return reject("no eoh"); }
export function body(session, chunk) { if (chunk[0] === 66) return reject("no body"); }
export function eom(session) {
	const m = session.message, h = m.headers;
	if (h.has("X-Eom")) return reject("no eom");
	if (!h.getAll("Subject").includes("edit")) return;
	h.add("X-Added", "a");
	h.prepend("X-Top", "t");
	h.set("X-Two", "changed");
	h.remove("X-Gone");
	m.addRecipient("c@example.org");
	m.removeRecipient("b@example.org");
	m.replaceBody("new\n");
	m.quarantine("a look");
}
export function abort() {}
export function close() {}
`

// Debian's miltertest, an MTA that is neither Postfix nor ours, drives each
// phase over inet and unix sockets.
func TestMiltertest(t *testing.T) {
	program, err := exec.LookPath("miltertest")
	if err != nil {
		const missing = "miltertest is not installed (apt-get install miltertest)"
		if os.Getenv(postfixtest.RequireEnv) == "1" {
			t.Fatal(missing)
		}
		t.Skip("left out: " + missing)
	}
	scripts, err := filepath.Glob("testdata/miltertest/*.lua")
	if err != nil || len(scripts) < 2 {
		t.Fatalf("no scripts: %v", err)
	}
	dir, err := os.MkdirTemp("", "pmt") //nolint:usetesting // the path must be short: a unix socket goes there
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	unix, inet := "unix:"+filepath.Join(dir, "m.sock"), "inet:"+postfixtest.FreeAddr(t, "127.0.0.1")
	startServer(t, serverConfig{listen: []string{unix, inet}, scripts: one(underMiltertest)})
	_, address := dialAddr(inet)
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	sockets := map[string]string{"unix": unix, "inet": "inet:" + port + "@" + host}
	for _, script := range scripts {
		name := filepath.Base(script)
		if name == "lib.lua" {
			continue
		}
		for family, socket := range sockets {
			t.Run(name+" "+family, func(t *testing.T) {
				cmd := exec.Command(program, "-D", "socket="+socket, "-s", name)
				cmd.Dir = filepath.Dir(script)
				cmd.WaitDelay = patience
				timer := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
				out, err := cmd.CombinedOutput()
				timer.Stop()
				if err != nil {
					t.Errorf("%v\n%s", err, out)
				}
			})
		}
	}
}
