package daemon

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pmilter/internal/config"
)

// filterStage is an engine with a filter of the library.
func filterStage(t *testing.T, name string, change func(*config.Config)) *stage {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../../scripts/filters", name))
	if err != nil {
		t.Fatal(err)
	}
	return newStage(t, map[string]string{name: string(text)}, change)
}

func TestFilterDNSBL(t *testing.T) {
	server := zone(t, "7.2.0.192.zen.example. 60 IN A 127.0.0.2", "8.2.0.192.some.example. 60 IN A 127.0.0.9", "9.2.0.192.some.example. 60 IN A 127.0.0.3")
	for ip, want := range map[string]string{
		"192.0.2.7":  "mail 554 5.7.1 192.0.2.7 is listed by zen.example; ask us",
		"192.0.2.8":  "eom c", // not for a code that counts
		"192.0.2.9":  "mail 554 5.7.1 192.0.2.9 is listed by some.example; ask us",
		"192.0.2.10": "eom c",
	} {
		s := filterStage(t, "dnsbl.js", func(c *config.Config) {
			c.DNS.Servers = []string{server}
			c.Vars = map[string]any{"dnsbl_zones": []any{"zen.example", "some.example=127.0.0.2, 127.0.0.3", "broken.example"}, "dnsbl_text": "ask us"}
		})
		tx := plain()
		tx.Peer.Addr = ip
		if got := outcomeOf(s.send(tx)); got != want {
			t.Errorf("%s: %s, want %s", ip, got, want)
		}
	}
	// No list answers: the mail goes on.
	s := filterStage(t, "dnsbl.js", func(c *config.Config) {
		c.DNS.Servers = []string{"127.0.0.1:1"}
		c.Vars = map[string]any{"dnsbl_zones": []any{"zen.example"}}
	})
	if got := outcomeOf(s.send(plain())); got != "eom c" {
		t.Errorf("%s", got)
	}
}

// clamd is a fake that reads INSTREAM as clamd(8) does.
func clamd(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "clamd.ctl"))
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
			fmt.Fprint(c, scan(c), "\x00")
			c.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return "unix:" + l.Addr().String()
}

func scan(c net.Conn) string {
	command := make([]byte, len("zINSTREAM\x00"))
	if _, err := io.ReadFull(c, command); err != nil || string(command) != "zINSTREAM\x00" {
		return "UNKNOWN COMMAND"
	}
	var all []byte
	for {
		var length uint32
		if err := binary.Read(c, binary.BigEndian, &length); err != nil {
			return "INSTREAM: " + err.Error()
		}
		if length == 0 {
			break
		}
		chunk := make([]byte, length)
		if _, err := io.ReadFull(c, chunk); err != nil {
			return "INSTREAM: " + err.Error()
		}
		all = append(all, chunk...)
	}
	switch text := string(all); {
	case !strings.HasPrefix(text, "From: A <a@example.org>\r\n"):
		return "INSTREAM: not the message"
	case strings.Contains(text, "EICAR"):
		return "stream: Eicar-Test-Signature FOUND"
	case strings.Contains(text, "trouble"):
		return "INSTREAM size limit exceeded. ERROR"
	}
	return "stream: OK"
}

func TestFilterClamAV(t *testing.T) {
	address := clamd(t)
	for _, tt := range []struct {
		body, action string
		allowed      bool
		want         string
	}{
		{"hello", "reject", true, "eom c"},
		{"EICAR", "reject", true, "eom 554 5.7.1 virus found: Eicar-Test-Signature"},
		{"EICAR", "quarantine", true, "eom c; quarantine: virus: Eicar-Test-Signature"},
		{"trouble", "reject", true, "eom 451 4.3.0 Message filter error, try again later"},
		{"hello", "reject", false, "eom 451 4.3.0 Message filter error, try again later"},
	} {
		s := filterStage(t, "clamav.js", func(c *config.Config) {
			c.Vars = map[string]any{"clamav_address": address, "clamav_action": tt.action}
			if tt.allowed {
				c.Permissions.Net = []string{address}
			}
		})
		tx := plain()
		tx.Message = []byte(strings.Replace(string(tx.Message), "hello", tt.body, 1))
		r := s.send(tx)
		got := outcomeOf(r)
		for _, e := range r.Edits {
			got += "; " + e.String()
		}
		if got != tt.want {
			t.Errorf("%s %s: %s, want %s", tt.body, tt.action, got, tt.want)
		}
		if !tt.allowed {
			if lines := s.entries("script error"); len(lines) != 1 || !strings.Contains(fmt.Sprint(lines[0]["error"]), `net = ["`+address+`"]`) {
				t.Errorf("the line to write is not told: %v", lines)
			}
		}
	}
}

func TestFilterRspamd(t *testing.T) {
	var seen http.Header
	answer := ""
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.URL.Path != "/checkv2" || !strings.Contains(string(body), "\r\n\r\nhello") || answer == "" {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		seen = r.Header
		fmt.Fprint(w, answer)
	}))
	t.Cleanup(server.Close)
	s := filterStage(t, "rspamd.js", func(c *config.Config) {
		c.Vars = map[string]any{"rspamd_url": server.URL + "/", "rspamd_password": "secret"}
		c.Permissions.Net = []string{strings.TrimPrefix(server.URL, "http://")}
	})
	for _, tt := range []struct{ answer, want string }{
		{`{"action": "no action", "score": 1}`, "eom c"},
		{`{"action": "add header"}`, "eom c; add header X-Spam:  Yes"},
		{`{"action": "rewrite subject", "subject": "[bad] hi"}`, "eom c; change header Subject (number 1):  [bad] hi"},
		{`{"action": "greylist"}`, "eom 451 4.7.1 try again later"},
		{`{"action": "soft reject", "messages": {"smtp_message": "slow down"}}`, "eom 451 4.7.1 slow down"},
		{`{"action": "reject", "messages": {"smtp_message": "no"}}`, "eom 554 5.7.1 no"},
		{`{"action": "reject", "milter": {"reject": "discard"}}`, "eom d"},
		{`{"action": "discard"}`, "eom d"},
		{`{"action": "quarantine"}`, "eom c; quarantine: rspamd"},
		{
			`{"action": "no action", "milter": {"add_headers": {"X-A": {"value": "1", "order": 1}, "X-B": ["2", {"value": "3"}]}, "remove_headers": {"To": 0}}}`,
			"eom c; delete header To (number 1); add header X-A:  1; add header X-B:  2; add header X-B:  3",
		},
		{`{"action": "something new"}`, "eom 451 4.3.0 Message filter error, try again later"},
		{`{`, "eom 451 4.3.0 Message filter error, try again later"},
		{``, "eom 451 4.3.0 Message filter error, try again later"},
	} {
		answer = tt.answer
		r := s.send(plain())
		got := outcomeOf(r)
		for _, e := range r.Edits {
			got += "; " + e.String()
		}
		if got != tt.want {
			t.Errorf("%s: %s, want %s", tt.answer, got, tt.want)
		}
	}
	for name, want := range map[string]string{
		"From": "a@example.org", "Rcpt": "b@example.net", "Ip": "192.0.2.7", "Helo": "client.example.org", "Hostname": "client.example.org", "Password": "secret",
	} {
		if got := seen.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}
