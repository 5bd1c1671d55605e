package daemon

import (
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
	"go.uber.org/zap"

	"pmilter/internal/config"
	"pmilter/internal/event"
	"pmilter/script"
)

// inJob is what an expression gives in a job.
func inJob(t *testing.T, module, expression string, change func(*config.Config)) string {
	t.Helper()
	cfg := config.Default()
	change(cfg)
	s := &stage{t: t, dir: t.TempDir()}
	s.write("job.js", `import m from "pmilter/`+module+`";
export default async function (job) {
  let said;
  try { said = await (`+expression+`); } catch (e) { said = [e.name, e.message, { ...e }]; }
  job.fail(JSON.stringify(said));
}`)
	services := NewServices(cfg, zap.NewNop())
	defer services.Close()
	l := script.NewLibrary(script.Options{
		Base: s.dir, Scripts: []string{filepath.Join(s.dir, "job.js")}, Log: zap.NewNop(), Jobs: true, Services: services.ForJobs(),
		Limits: script.Limits{Timeout: time.Minute, CPU: time.Minute, Memory: 1 << 30, MaxValue: 64 << 20},
	})
	defer l.Retire()
	if err := l.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	r := l.Current().RunJob(&script.Job{Event: &event.Event{Sender: "a@example.org"}, Attempt: 1, Deadline: time.Now().Add(time.Minute)})
	if r.Ending != script.JobFailed {
		t.Fatal(r.Reason)
	}
	return r.Reason
}

func TestExecModule(t *testing.T) {
	allow := func(c *config.Config) { c.Permissions.Exec = []string{"/bin/sh", "/bin/cat"} }
	for expression, want := range map[string]string{
		`m.run("/bin/cat", { input: "x\n" })`:                                            `{"code":0,"signal":"","stdout":"x\n","stderr":""}`,
		`m.run("/bin/cat", [], { input: new Uint8Array([65]) })`:                         `{"code":0,"signal":"","stdout":"A","stderr":""}`,
		`m.run("/bin/sh", ["-c", "echo $V$1; exit 3", "-", "a b"], { env: { V: "v" } })`: `{"code":3,"signal":"","stdout":"va b\n","stderr":""}`,
		`m.run("/bin/sh", ["-c", "kill -9 $$"])`:                                         `{"code":137,"signal":"SIGKILL","stdout":"","stderr":""}`,
		`m.run("/bin/sh", ["-c", "sleep 1000"], { timeout: 50 })`:                        `["TimeoutError","exec.run: no answer in time",{}]`,
		`m.run("/bin/sh", ["-c", "echo 12345"], { maxSize: 5 })`:                         `["ExecError","exec.run: /usr/bin/sh: wrote more than 5 bytes (maxSize)",{}]`,
		`m.run("/bin/ls").catch((e) => e.name)`:                                          `"PermissionError"`,
		`m.run("cat").catch((e) => e.message)`:                                           `"exec.run: \"cat\": a program is run by its whole path, like /usr/bin/spamc"`,
		`m.run("/bin/cat", ["a\0b"])`:                                                    `["TypeError","exec.run: an argument has a NUL in it",{}]`,
		`m.run("/bin/cat", [], { env: { "A=B": 1 } })`:                                   `["TypeError","exec.run: env: \"A=B\" is no variable's name",{}]`,
	} {
		got := strings.ReplaceAll(inJob(t, "exec", expression, allow), `: /bin/sh:`, `: /usr/bin/sh:`)
		if got != want {
			t.Errorf("%s\n got %s\nwant %s", expression, got, want)
		}
	}
}

// sink is an SMTP server that refuses recipients whose name begins with "no".
type sink struct {
	mu  sync.Mutex
	got []string
}

func (s *sink) NewSession(*smtp.Conn) (smtp.Session, error) { return s, nil }
func (s *sink) Reset()                                      {}
func (s *sink) Logout() error                               { return nil }
func (s *sink) Mail(string, *smtp.MailOptions) error        { return nil }
func (s *sink) Rcpt(to string, _ *smtp.RcptOptions) error {
	if strings.HasPrefix(to, "no") {
		return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "no such user"}
	}
	return nil
}

func (s *sink) Data(r io.Reader) error {
	data, err := io.ReadAll(r)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.got = append(s.got, string(data))
	return err
}

func TestSMTPModule(t *testing.T) {
	b := &sink{}
	server := smtp.NewServer(b)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close(); <-done })
	addr := l.Addr().String()
	allow := func(c *config.Config) { c.Permissions.Net = []string{"127.0.0.1"} }
	send := func(rest string) string { return fmt.Sprintf(`m.send({ server: %q, from: "a@x", %s })`, addr, rest) }
	for expression, want := range map[string]string{
		send(`to: "b@x", message: "Subject: x\n\none\n"`) + `.then((r) => [r.accepted, r.rejected])`:              `[["b@x"],[]]`,
		send(`to: ["b@x"], message: { raw() { return new Uint8Array([84, 58]); } }`) + `.then((r) => r.accepted)`: `["b@x"]`,
		send(`to: ["b@x", "no@x"], message: "two"`): `["SMTPError","smtp.send: no@x: no such user",{"code":550,"enhanced":"5.1.1","permanent":true,` +
			`"rejected":[{"address":"no@x","code":550,"enhanced":"5.1.1","text":"no such user","permanent":true}]}]`,
		send(`to: ["b@x", "no@x"], message: "three", partial: true`) + `.then((r) => [r.accepted, r.rejected.map((x) => x.address)])`: `[["b@x"],["no@x"]]`,
		send(`to: "b@x>\r\nDATA", message: "x"`):      `["TypeError","smtp.send: \"b@x>\\r\\nDATA\" is no address",{}]`,
		send(`to: [], message: "x"`):                  `["TypeError","smtp.send: to is empty",{}]`,
		send(`to: "b@x"`):                             `["TypeError","smtp.send: message is missing",{}]`,
		send(`to: "b@x", message: "x", tls: "maybe"`): `["TypeError","smtp.send: tls is \"maybe\": one of opportunistic, verify, implicit, none",{}]`,
		`m.send({ server: "192.0.2.1:25", from: "", to: "b@x", message: "x" }).catch((e) => e.name)`:          `"PermissionError"`,
		`m.send({ server: "127.0.0.1:1", from: "", to: "b@x", message: "x" }).catch((e) => [e.name, e.code])`: `["NetworkError","ECONNREFUSED"]`,
	} {
		if got := inJob(t, "smtp", expression, allow); got != want {
			t.Errorf("%s\n got %s\nwant %s", expression, got, want)
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.got) != 3 {
		t.Errorf("the server got %q", b.got)
	}
}
