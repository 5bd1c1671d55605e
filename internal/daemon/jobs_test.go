package daemon

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
	"go.uber.org/zap"

	"pmilter/internal/config"
	"pmilter/internal/event"
	"pmilter/script"
)

// shippedJob runs one of the shipped jobs.
func shippedJob(t *testing.T, name string, cfg *config.Config, change func(*script.Job)) *script.JobResult {
	t.Helper()
	services := NewServices(cfg, zap.NewNop())
	defer services.Close()
	l := script.NewLibrary(script.Options{
		Base: "../../scripts/jobs", Scripts: []string{name}, Vars: cfg.Vars, Log: zap.NewNop(), Jobs: true, Services: services.ForJobs(),
		Limits: script.Limits{Timeout: time.Minute, CPU: time.Minute, Memory: 1 << 30, MaxValue: 64 << 20},
	})
	defer l.Retire()
	if err := l.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	j := &script.Job{
		Event: &event.Event{
			ID: "1795694400.M1P2Q3.pmilter.mx", Queue: "q", Time: time.Date(2026, 11, 26, 23, 0, 0, 0, time.UTC),
			Sender: "a@example.org", Recipients: []string{"b@example.net"}, Verdict: "accept", Complete: true,
		},
		Attempt: 1, Raw: []byte("Subject: hello\r\n\r\nbody\r\n"), Deadline: time.Now().Add(time.Minute),
	}
	if change != nil {
		change(j)
	}
	return l.Current().RunJob(j)
}

func TestArchiveJob(t *testing.T) {
	t.Parallel()
	cfg := config.Default()
	folder := t.TempDir()
	cfg.Vars = map[string]any{"archive_folder": folder}
	if r := shippedJob(t, "archive.js", cfg, nil); !strings.Contains(r.Reason, "PermissionError: maildir.deliver: "+folder+"/2026/11/26 is in no folder") {
		t.Errorf("without permission: %+v", r)
	}
	cfg.Permissions.Maildir = []string{folder}
	for range 2 { // the second time it is there
		if r := shippedJob(t, "archive.js", cfg, nil); r.Ending != script.JobDone {
			t.Errorf("%+v", r)
		}
	}
	data, err := os.ReadFile(filepath.Join(folder, "2026/11/26/new/1795694400.M1P2Q3.pmilter.mx"))
	if err != nil || string(data) != "Subject: hello\n\nbody\n" {
		t.Errorf("%q %v", data, err)
	}
	if all, _ := filepath.Glob(filepath.Join(folder, "2026/11/26/*/*")); len(all) != 1 {
		t.Errorf("%q", all)
	}
}

func TestMaildirsOutsideAreRefused(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	s := &scriptMaildirs{base: folder, folders: []string{folder + "/in", folder + "/missing"}}
	if err := os.Mkdir(folder+"/in", 0o700); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]bool{
		folder + "/in": true, folder + "/in/a/b": true, folder + "/inn": false, folder: false, folder + "/missing/a": false, "/": false, "": false,
	} {
		if got := s.allowed(filepath.Clean(path)); got != want {
			t.Errorf("%q: %v", path, got)
		}
	}
	if _, _, err := s.Deliver(t.Context(), "in/../../x", "", nil); err == nil {
		t.Error("a way out was found")
	}
}

func TestWebhookJob(t *testing.T) {
	t.Parallel()
	status, seen, body := 200, http.Header{}, ""
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen = r.Header
		data := make([]byte, 4096)
		n, _ := r.Body.Read(data)
		body = string(data[:n])
		w.Header().Set("Retry-After", "90")
		w.WriteHeader(status)
		_, _ = w.Write([]byte("sorry"))
	}))
	defer server.Close()
	cfg := config.Default()
	cfg.Permissions.Net = []string{strings.TrimPrefix(server.URL, "http://")}
	cfg.Vars = map[string]any{"webhook_url": server.URL, "webhook_token": "t"}
	for s, want := range map[int]script.JobResult{
		200: {Ending: script.JobDone},
		503: {Ending: script.JobRetry, After: 90 * time.Second, Reason: "the webhook said 503 sorry"},
		404: {Ending: script.JobFailed, Reason: "the webhook said 404 sorry"},
	} {
		status = s
		r := shippedJob(t, "webhook.js", cfg, nil)
		if r.Ending != want.Ending || r.Reason != want.Reason || r.After != want.After {
			t.Errorf("%d: %+v", s, r)
		}
	}
	if seen.Get("Idempotency-Key") != "1795694400.M1P2Q3.pmilter.mx" || seen.Get("Authorization") != "Bearer t" || !strings.Contains(body, `"subject":"hello"`) {
		t.Errorf("%v %s", seen, body)
	}
	cfg.Vars["webhook_send"] = "message"
	shippedJob(t, "webhook.js", cfg, nil)
	if body != "Subject: hello\r\n\r\nbody\r\n" || seen.Get("Content-Type") != "message/rfc822" {
		t.Errorf("%q %v", body, seen)
	}
}

func TestPipeJob(t *testing.T) {
	t.Parallel()
	cfg := config.Default()
	cfg.Permissions.Exec = []string{"/bin/sh"}
	out := filepath.Join(t.TempDir(), "out")
	for code, want := range map[string]script.Ending{"0": script.JobDone, "75": script.JobThrew, "67": script.JobFailed} {
		cfg.Vars = map[string]any{"pipe_command": []any{"/bin/sh", "-c", `(echo "$SENDER $RECIPIENT $EVENT_ID $ATTEMPT"; cat) > "$1"; echo why >&2; exit "$2"`, "-", out, code}}
		if r := shippedJob(t, "pipe.js", cfg, nil); r.Ending != want || want != script.JobDone && !strings.Contains(r.Reason, "/bin/sh ended with "+code+": why") {
			t.Errorf("%s: %+v", code, r)
		}
	}
	data, err := os.ReadFile(out)
	if err != nil || string(data) != "a@example.org b@example.net 1795694400.M1P2Q3.pmilter.mx 1\nSubject: hello\r\n\r\nbody\r\n" {
		t.Errorf("%q %v", data, err)
	}
}

func TestPipeJobToACommandThatStays(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	answers, got := make(chan string, 1), make(chan string, 1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			data, _ := io.ReadAll(c)
			got <- string(data)
			_, _ = io.WriteString(c, <-answers+"\n")
			c.Close()
		}
	}()
	defer func() { l.Close(); <-done }()
	cfg := config.Default()
	cfg.Permissions.Net = []string{"unix:" + filepath.Join(dir, "s")}
	cfg.Vars = map[string]any{"pipe_socket": "unix:" + filepath.Join(dir, "s")}
	for answer, want := range map[string]script.Ending{"ok": script.JobDone, "retry busy": script.JobThrew, "fail no": script.JobFailed, "": script.JobThrew} {
		answers <- answer
		if r := shippedJob(t, "pipe.js", cfg, nil); r.Ending != want {
			t.Errorf("%q: %+v", answer, r)
		}
		if data := <-got; data != "X-Event-Id: 1795694400.M1P2Q3.pmilter.mx\r\nX-Sender: a@example.org\r\nX-Recipient: b@example.net\r\nSubject: hello\r\n\r\nbody\r\n" {
			t.Errorf("%q", data)
		}
	}
}

func TestForwardJob(t *testing.T) {
	t.Parallel()
	b := &sink{}
	server := smtp.NewServer(b)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve(l) }()
	defer func() { _ = server.Close(); <-done }()
	cfg := config.Default()
	cfg.Permissions.Net = []string{"127.0.0.1"}
	cfg.Vars = map[string]any{"forward_server": l.Addr().String(), "forward_to": []any{"c@x"}}
	if r := shippedJob(t, "forward.js", cfg, nil); r.Ending != script.JobDone {
		t.Errorf("%+v", r)
	}
	if r := shippedJob(t, "forward.js", cfg, func(j *script.Job) { j.Event.Data = []byte(`{"to":"no@x"}`) }); r.Ending != script.JobFailed || !strings.Contains(r.Reason, "no such user") {
		t.Errorf("refused: %+v", r)
	}
	if r := shippedJob(t, "forward.js", cfg, func(j *script.Job) { j.Raw = []byte("X-Forwarded-Event: x\r\n\r\n") }); r.Ending != script.JobFailed || !strings.Contains(r.Reason, "a loop") {
		t.Errorf("a loop: %+v", r)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.got) != 1 || !strings.Contains(b.got[0], "X-Forwarded-Event: 1795694400.M1P2Q3.pmilter.mx\r\nSubject: hello") {
		t.Errorf("%q", b.got)
	}
}
