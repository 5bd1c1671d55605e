package reach_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"pmilter/internal/permit"
	"pmilter/internal/reach"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// client reaches what entries allow; every name is this host.
func client(t *testing.T, roots *x509.CertPool, entries ...string) (*reach.Client, *permit.Dialer) {
	t.Helper()
	rules, err := permit.New(entries, nil)
	if err != nil {
		t.Fatal(err)
	}
	d := permit.NewDialer(rules, func(context.Context, string, string) ([]netip.Addr, error) {
		return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
	})
	c := reach.NewClient(d, roots)
	t.Cleanup(c.Close)
	return c, d
}

func serve(t *testing.T, h http.HandlerFunc) (*httptest.Server, string) {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s, strings.TrimPrefix(s.URL, "http://")
}

func get(url string) reach.Request {
	return reach.Request{Method: "GET", URL: url, MaxSize: 1 << 20, Redirect: "follow"}
}

// known is what a script catches: name and code.
func known(err error) string {
	var named interface{ Name() string }
	var coded interface{ Code() string }
	switch {
	case err == nil:
		return ""
	case errors.As(err, &coded) && errors.As(err, &named):
		return named.Name() + " " + coded.Code()
	case errors.As(err, &named):
		return named.Name()
	}
	return fmt.Sprintf("%T", err)
}

func TestFetch(t *testing.T) {
	t.Parallel()
	_, addr := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("X-Seen", fmt.Sprint(r.Method, " ", r.URL.RequestURI(), " ", r.Header.Values("X-A"), " ", r.UserAgent(), " ", string(body)))
		w.Header().Add("Set-Cookie", "a=1")
		w.Header().Add("Set-Cookie", "b=2")
		w.WriteHeader(http.StatusTeapot)
		fmt.Fprint(w, "short and stout")
	})
	c, _ := client(t, nil, addr)
	resp, err := c.Fetch(t.Context(), reach.Request{
		Method: "POST", URL: "http://" + addr + "/p?q=1", Header: [][2]string{{"x-a", "1"}, {"X-A", "2"}, {"User-Agent", "me"}},
		Body: []byte("body"), MaxSize: 100, Redirect: "follow",
	})
	if err != nil {
		t.Fatal(err)
	}
	if resp.Status != 418 || resp.StatusText != "I'm a teapot" || string(resp.Body) != "short and stout" || resp.Redirected || resp.URL != "http://"+addr+"/p?q=1" {
		t.Errorf("%+v", resp)
	}
	all := fmt.Sprint(resp.Header)
	if !strings.Contains(all, "[x-seen POST /p?q=1 [1 2] me body]") || !strings.Contains(all, "[set-cookie a=1] [set-cookie b=2]") {
		t.Errorf("%s", all)
	}
}

// TestFetchRefuses what must not be sent.
func TestFetchRefuses(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	_, addr := serve(t, func(http.ResponseWriter, *http.Request) { asked.Add(1) })
	c, _ := client(t, nil, addr)
	url := "http://" + addr
	with := func(change func(*reach.Request)) reach.Request { r := get(url); change(&r); return r }
	header := func(name, value string) reach.Request {
		return with(func(r *reach.Request) { r.Header = [][2]string{{name, value}} })
	}
	for name, r := range map[string]reach.Request{
		"scheme":     get("ftp://" + addr),
		"file":       get("file:///etc/passwd"),
		"relative":   get("/x"),
		"garbage":    get("http://[::1"),
		"user":       get("http://a:b@" + addr),
		"method":     with(func(r *reach.Request) { r.Method = "GET /x HTTP/1.1\r\nX:" }),
		"connect":    with(func(r *reach.Request) { r.Method = "CONNECT" }),
		"trace":      with(func(r *reach.Request) { r.Method = "trace" }),
		"get body":   with(func(r *reach.Request) { r.Body = []byte("x") }),
		"injection":  header("X-A", "a\r\nX-B: c"),
		"name":       header("X A", "a"),
		"host":       header("host", "other"),
		"length":     header("Content-Length", "5"),
		"chunked":    header("Transfer-Encoding", "chunked"),
		"encoding":   header("accept-encoding", "gzip"),
		"proxy":      header("Proxy-Authorization", "x"),
		"connection": header("Connection", "close"),
	} {
		if _, err := c.Fetch(t.Context(), r); known(err) != "TypeError" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if asked.Load() != 0 {
		t.Errorf("%d requests were sent", asked.Load())
	}
}

func TestPermissions(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	_, addr := serve(t, func(http.ResponseWriter, *http.Request) { asked.Add(1) })
	_, port, _ := net.SplitHostPort(addr)
	for _, tt := range []struct {
		entries []string
		url     string
		want    string
	}{
		{nil, "http://" + addr, "PermissionError"},
		{[]string{addr}, "http://" + addr, ""},
		{[]string{addr}, "http://localhost:" + port, "PermissionError"},
		{[]string{"*.example.org"}, "http://a.example.org:" + port, "PermissionError"}, // rebound to this host
		{[]string{"*.example.org", "127.0.0.1"}, "http://a.example.org:" + port, ""},
		{[]string{"a.example.org"}, "http://a.example.org:" + port, ""},
		{[]string{"a.example.org:1"}, "http://a.example.org:" + port, "PermissionError"},
		{[]string{"*"}, "http://0x7f.1:" + port, "TypeError"},
		{[]string{"*"}, "http://[::ffff:127.0.0.1]:" + port, "PermissionError"},
		{[]string{"127.0.0.0/8"}, "http://[::ffff:127.0.0.1]:" + port, ""},
	} {
		c, _ := client(t, nil, tt.entries...)
		before := asked.Load()
		_, err := c.Fetch(t.Context(), get(tt.url))
		if known(err) != tt.want || (tt.want == "") != (asked.Load() > before) {
			t.Errorf("%v %s: %v, want %q", tt.entries, tt.url, err, tt.want)
		}
	}
	c, d := client(t, nil, addr)
	if _, err := c.Fetch(t.Context(), get("http://"+addr)); err != nil {
		t.Fatal(err)
	}
	d.Configure(nil) // a connection is kept alive: it must not be used
	if _, err := c.Fetch(t.Context(), get("http://"+addr)); known(err) != "PermissionError" {
		t.Errorf("revoked: %v", err)
	}
}

// TestProxy: the environment does not decide where requests go.
func TestProxy(t *testing.T) {
	var asked atomic.Int64
	_, proxy := serve(t, func(http.ResponseWriter, *http.Request) { asked.Add(1) })
	for _, name := range []string{"HTTP_PROXY", "http_proxy", "ALL_PROXY"} {
		t.Setenv(name, "http://"+proxy)
	}
	c, _ := client(t, nil, "x.example.org", proxy)
	_, err := c.Fetch(t.Context(), get("http://x.example.org:1/"))
	if known(err) != "NetworkError ECONNREFUSED" || asked.Load() != 0 {
		t.Errorf("%v, the proxy was asked %d times", err, asked.Load())
	}
}

func TestRedirects(t *testing.T) {
	t.Parallel()
	var seen http.Header
	_, other := serve(t, func(w http.ResponseWriter, r *http.Request) { seen = r.Header; fmt.Fprint(w, "other") })
	_, port, _ := net.SplitHostPort(other)
	_, addr := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/circle":
			http.Redirect(w, r, "/circle", http.StatusFound)
		case r.URL.Path == "/end":
			fmt.Fprint(w, "end ", r.Method, r.Header["X-Key"])
		case strings.HasPrefix(r.URL.Path, "/n"):
			n := len(r.URL.Path)
			if n == 2 {
				http.Redirect(w, r, "/end", http.StatusFound)
				return
			}
			http.Redirect(w, r, r.URL.Path[:n-1], http.StatusFound)
		default:
			w.Header().Set("Location", r.URL.Query().Get("to"))
			w.WriteHeader(http.StatusTemporaryRedirect)
			fmt.Fprint(w, "moved")
		}
	})
	base := "http://" + addr
	for _, tt := range []struct {
		path, mode string
		entries    []string
		want       string
	}{
		{"/n", "follow", nil, "200 end GET[k]"},
		{"/nnnnn", "follow", nil, "200 end GET[k]"},
		{"/nnnnnn", "follow", nil, "NetworkError EREDIRECT"},
		{"/n", "manual", nil, "302 "},
		{"/n", "error", nil, "NetworkError EREDIRECT"},
		{"/circle", "follow", nil, "NetworkError EREDIRECT"}, // in a circle
		{"/?to=http://127.0.0.1:" + port, "follow", nil, "PermissionError"},
		{"/?to=http://127.0.0.1:" + port, "follow", []string{other}, "200 other"},
		{"/?to=http://internal.example:" + port, "follow", []string{"*.example"}, "PermissionError"},
		{"/?to=http://internal.example:" + port, "manual", nil, "307 moved"},
		{"/?to=file:///etc/passwd", "follow", nil, "NetworkError EREDIRECT"},
		{"/?to=http://u:p@127.0.0.1:" + port, "follow", []string{other}, "NetworkError EREDIRECT"},
	} {
		c, _ := client(t, nil, append(tt.entries, addr)...)
		r := get(base + tt.path)
		r.Redirect, r.Header = tt.mode, [][2]string{{"X-Key", "k"}, {"Authorization", "secret"}, {"Cookie", "c"}, {"Accept", "text/plain"}}
		resp, err := c.Fetch(t.Context(), r)
		got := known(err)
		if err == nil {
			got = fmt.Sprint(resp.Status, " ", string(resp.Body))
			if tt.mode == "manual" && !strings.HasPrefix(tt.want, "307") {
				got = fmt.Sprint(resp.Status, " ")
			}
		}
		if got != tt.want {
			t.Errorf("%s %s: %q %v, want %q", tt.path, tt.mode, got, err, tt.want)
		}
		if tt.want == "PermissionError" && !strings.HasPrefix(err.Error(), addr+" redirects to where scripts may not go: scripts may not reach ") &&
			!strings.HasPrefix(err.Error(), addr+" redirects to where scripts may not go: scripts may reach ") {
			t.Errorf("%s: who redirected is not told: %v", tt.path, err)
		}
	}
	if seen.Get("X-Key")+seen.Get("Authorization")+seen.Get("Cookie")+seen.Get("Referer") != "" || seen.Get("Accept") != "text/plain" {
		t.Errorf("another server was told %v", seen)
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	_, addr := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/bomb":
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			for range 64 {
				_, _ = z.Write(make([]byte, 1<<20))
			}
			z.Close()
		case "/zip":
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			fmt.Fprint(z, "unpacked")
			z.Close()
		case "/endless":
			for {
				if _, err := w.Write(make([]byte, 1<<16)); err != nil {
					return
				}
			}
		case "/hang":
			w.(http.Flusher).Flush()
			select {
			case <-release:
			case <-r.Context().Done():
			}
		case "/headers":
			for i := range 400 {
				w.Header().Set(fmt.Sprint("X-", i), strings.Repeat("x", 1000))
			}
		case "/cut":
			w.Header().Set("Content-Length", "100")
			fmt.Fprint(w, "half")
		default:
			fmt.Fprint(w, strings.Repeat("x", 1000))
		}
	})
	t.Cleanup(func() { close(release) })
	c, _ := client(t, nil, addr, "127.0.0.1:1")
	for path, want := range map[string]string{
		"/bomb": "NetworkError EMSGSIZE", "/endless": "NetworkError EMSGSIZE", "/zip": "", "/": "", "/cut": "NetworkError ECONNRESET",
		"/headers": "NetworkError EIO",
	} {
		resp, err := c.Fetch(t.Context(), get("http://"+addr+path))
		if known(err) != want || path == "/zip" && string(resp.Body) != "unpacked" {
			t.Errorf("%s: %v, want %q", path, err, want)
		}
	}
	small := get("http://" + addr + "/")
	small.MaxSize = 999
	if _, err := c.Fetch(t.Context(), small); known(err) != "NetworkError EMSGSIZE" {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := c.Fetch(ctx, get("http://"+addr+"/hang")); known(err) != "TimeoutError ETIMEOUT" {
		t.Errorf("%v", err)
	}
	if _, err := c.Fetch(t.Context(), get("http://127.0.0.1:1/?secret=1")); known(err) != "NetworkError ECONNREFUSED" || strings.Contains(err.Error(), "secret") {
		t.Errorf("%v", err)
	}
}

// TestKeptAlive: who asks the same server again finds the connection open.
func TestKeptAlive(t *testing.T) {
	t.Parallel()
	var connections atomic.Int64
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "x") }))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	s.Start()
	t.Cleanup(s.Close)
	c, _ := client(t, nil, "*.example.org", "127.0.0.1")
	for range 10 {
		if _, err := c.Fetch(t.Context(), get(strings.Replace(s.URL, "127.0.0.1", "a.example.org", 1))); err != nil {
			t.Fatal(err)
		}
	}
	if n := connections.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
}

func TestTLS(t *testing.T) {
	t.Parallel()
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/down" {
			http.Redirect(w, r, "http://"+r.Host+"/", http.StatusFound)
		}
	}))
	s.Config.ErrorLog = nil
	t.Cleanup(s.Close)
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	addr := strings.TrimPrefix(s.URL, "https://")
	good, _ := client(t, roots, "127.0.0.1", "wrong.test")
	if _, err := good.Fetch(t.Context(), get(s.URL)); err != nil {
		t.Error(err)
	}
	if _, err := good.Fetch(t.Context(), get(s.URL+"/down")); known(err) != "NetworkError EREDIRECT" {
		t.Errorf("to http: %v", err)
	}
	if _, err := good.Fetch(t.Context(), get(strings.Replace(s.URL, "127.0.0.1", "wrong.test", 1))); known(err) != "NetworkError ECERT" {
		t.Errorf("another's certificate: %v", err)
	}
	system, _ := client(t, nil, addr)
	if _, err := system.Fetch(t.Context(), get(s.URL)); known(err) != "NetworkError ECERT" {
		t.Errorf("unknown authority: %v", err)
	}
}

// answering accepts connections and serves each.
func answering(t *testing.T, network, addr string, serve func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen(network, addr)
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
			serve(c)
			c.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	if network == "unix" {
		return "unix:" + addr
	}
	return l.Addr().String()
}

func TestExchange(t *testing.T) {
	t.Parallel()
	echo := func(c net.Conn) {
		data, _ := io.ReadAll(c)
		fmt.Fprintf(c, "got %d: ", len(data))
		_, _ = c.Write(data)
	}
	line := func(c net.Conn) {
		buffer := make([]byte, 5)
		_, _ = io.ReadFull(c, buffer)
		fmt.Fprintf(c, "sa")
		fmt.Fprintf(c, "id %s\r\nmore\r\n", buffer)
		_, _ = c.Read(buffer) // held open
	}
	early := func(c net.Conn) { // answers without reading, and goes
		fmt.Fprint(c, "too large\x00")
		buffer := make([]byte, 1000)
		_, _ = c.Read(buffer)
	}
	tcp := answering(t, "tcp", "127.0.0.1:0", echo)
	unix := answering(t, "unix", t.TempDir()+"/s", echo)
	lines := answering(t, "tcp", "127.0.0.1:0", line)
	greedy := answering(t, "tcp", "127.0.0.1:0", early)
	endless := answering(t, "tcp", "127.0.0.1:0", func(c net.Conn) {
		for {
			if _, err := c.Write(make([]byte, 1<<16)); err != nil {
				return
			}
		}
	})
	silent := answering(t, "tcp", "127.0.0.1:0", func(c net.Conn) { _, _ = io.ReadAll(c); _, _ = c.Read(make([]byte, 1)) })
	hanging := make(chan struct{})
	hangs := answering(t, "tcp", "127.0.0.1:0", func(net.Conn) { <-hanging })
	t.Cleanup(func() { close(hanging) })
	c, _ := client(t, nil, "127.0.0.1", unix, "unix:/nowhere")
	large := bytes.Repeat([]byte("0123456789"), 1<<20)
	for _, tt := range []struct {
		address, data, until, want, err string
	}{
		{tcp, "ping", "", "got 4: ping", ""},
		{unix, "ping", "", "got 4: ping", ""},
		{tcp, "", "", "got 0: ", ""},
		{silent, "x", "", "", ""},
		{lines, "hello", "\r\n", "said hello\r\n", ""},
		{greedy, string(large), "\x00", "too large\x00", ""},
		{greedy, "x", "never", "", "NetworkError ECONNRESET"},
		{endless, "x", "", "", "NetworkError EMSGSIZE"},
		{endless, "x", "y", "", "NetworkError EMSGSIZE"},
		{hangs, "x", "", "", "TimeoutError ETIMEOUT"},
		{"127.0.0.1:1", "x", "", "", "NetworkError ECONNREFUSED"},
		{"unix:/nowhere", "x", "", "", "NetworkError ENOENT"},
		{"unix:/elsewhere", "x", "", "", "PermissionError"},
		{"192.0.2.1:1", "x", "", "", "PermissionError"},
		{"nonsense", "x", "", "", "TypeError"},
	} {
		timeout := time.Minute
		if tt.err == "TimeoutError ETIMEOUT" {
			timeout = 50 * time.Millisecond
		}
		ctx, cancel := context.WithTimeout(t.Context(), timeout)
		got, err := c.Exchange(ctx, reach.Exchange{Address: tt.address, Data: []byte(tt.data), Until: []byte(tt.until), MaxSize: 11 << 20})
		cancel()
		if string(got) != tt.want || known(err) != tt.err {
			t.Errorf("%s %.10q until %q: %.50q %v, want %q %q", tt.address, tt.data, tt.until, got, err, tt.want, tt.err)
		}
	}
	if got, err := c.Exchange(t.Context(), reach.Exchange{Address: tcp, Data: large, MaxSize: 11 << 20}); err != nil || len(got) != len(large)+len("got 10485760: ") {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}
