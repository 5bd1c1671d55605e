package admin_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"

	"pmilter/internal/admin"
)

// site serves one and gives its address. ready and alive may be changed.
func site(t *testing.T) (addr string, ready, alive *atomic.Pointer[error]) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ready, alive = new(atomic.Pointer[error]), new(atomic.Pointer[error])
	at := func(p *atomic.Pointer[error]) error {
		if e := p.Load(); e != nil {
			return *e
		}
		return nil
	}
	s := admin.ServeSite(l, admin.Site{
		Status:  func(context.Context) *admin.Status { return &admin.Status{PID: 7} },
		Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "m 1") }),
		Alive:   func(context.Context) error { return at(alive) }, Ready: func(context.Context) error { return at(ready) }, Log: zap.NewNop(),
	})
	t.Cleanup(s.Close)
	return l.Addr().String(), ready, alive
}

func get(t *testing.T, method, url string) (status int, body string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{DisableKeepAlives: true}
	resp, err := (&http.Client{Transport: transport}).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(data)
}

func TestSite(t *testing.T) {
	t.Parallel()
	addr, ready, alive := site(t)
	wrong := errors.New("the server stops")
	check := func(method, path string, status int, want string) {
		t.Helper()
		got, body := get(t, method, "http://"+addr+path)
		if got != status || want != "" && !strings.Contains(body, want) {
			t.Errorf("%s %s: %d %q, not %d %q", method, path, got, body, status, want)
		}
	}
	check("GET", "/metrics", 200, "m 1\n")
	check("GET", "/healthz", 200, "ok\n")
	check("HEAD", "/healthz", 200, "")
	check("GET", "/readyz", 200, "ok\n")
	check("GET", "/", 200, "/metrics")
	check("GET", "/nothing", 404, "")
	check("POST", "/metrics", 405, "")
	check("DELETE", "/status", 405, "")
	_, body := get(t, "GET", "http://"+addr+"/status")
	var s admin.Status
	if err := json.Unmarshal([]byte(body), &s); err != nil || s.PID != 7 {
		t.Errorf("%q %v", body, err)
	}
	ready.Store(&wrong)
	check("GET", "/readyz", 503, "the server stops\n")
	check("GET", "/healthz", 200, "ok\n")
	alive.Store(&wrong)
	check("GET", "/healthz", 503, "the server stops\n")
}

// TestSiteFacesTheWorld: what a client sends is bounded, in bytes and in time.
func TestSiteFacesTheWorld(t *testing.T) {
	t.Parallel()
	addr, _, _ := site(t)
	for name, sent := range map[string]string{
		"a long header": "GET /healthz HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("a", 64<<10) + "\r\n\r\n",
		"a dribble":     "GET /healthz HT", // and then nothing
	} {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(time.Minute))
		_, _ = io.WriteString(c, sent)
		line, err := bufio.NewReader(c).ReadString('\n')
		if name == "a long header" && !strings.Contains(line, " 431 ") {
			t.Errorf("%s: %q %v", name, line, err)
		}
		if strings.Contains(line, " 200 ") || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %q %v", name, line, err)
		}
	}
	// A body is not read: who asks by GET has none.
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	_, _ = io.WriteString(c, "GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n")
	if line, _ := bufio.NewReader(c).ReadString('\n'); !strings.Contains(line, " 200 ") {
		t.Errorf("%q", line)
	}
}
