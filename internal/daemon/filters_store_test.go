package daemon

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pmilter/internal/config"
	"pmilter/internal/mta"
)

// shipped is a stage with a script of scripts/filters, switched on by its file.
func shipped(t *testing.T, name string, vars map[string]any) *stage {
	t.Helper()
	file, err := filepath.Abs(filepath.Join("..", "..", "scripts", "filters", name))
	if err != nil {
		t.Fatal(err)
	}
	return newStage(t, nil, func(c *config.Config) { c.Scripts, c.Vars = []string{file}, vars })
}

func from(ip string, change ...func(*mta.Transaction)) mta.Transaction {
	tx := plain()
	tx.Peer.Addr = ip
	if strings.Contains(ip, ":") {
		tx.Peer.Family = '6'
	}
	tx.Macros = mta.Macros{}
	for _, f := range change {
		f(&tx)
	}
	return tx
}

func authenticated(tx *mta.Transaction) { tx.Macros.Set("{auth_authen}", "alice") }

func TestGreylist(t *testing.T) {
	s := shipped(t, "greylist.js", map[string]any{"greylist": map[string]any{"minutes": int64(60)}})
	late := func(tx mta.Transaction, want bool) {
		t.Helper()
		got := outcomeOf(s.send(tx))
		if strings.HasPrefix(got, "rcpt 451 4.7.1 greylisted: try again in 3") != want {
			t.Errorf("%s", got)
		}
	}
	late(from("192.0.2.7"), true)
	late(from("192.0.2.200"), true) // the same triple, still too early
	late(from("192.0.2.7", authenticated), false)
	late(from("192.0.2.7", func(tx *mta.Transaction) { tx.Peer.Port = 0 }), false)
	for network, ips := range map[string][]string{
		"192.0.2": {"192.0.2.9"}, "2001:db8:1:2": {"2001:db8:1:2::1", "2001:db8:1:2:3:4:5:6"}, "2001:db8:0:0": {"2001:db8::7"}, "0:0:0:0": {"::5"},
	} {
		for _, ip := range ips {
			late(from(ip), true)
		}
		key := "greylist:" + network + " a@example.org b@example.net"
		if _, found, err := s.e.services.store.Get(t.Context(), key); !found || err != nil {
			t.Errorf("no %q", key)
		}
		// As if it had come long ago.
		if err := s.e.services.store.Set(t.Context(), key, fmt.Append(nil, time.Now().Add(-61*time.Minute).UnixMilli()), time.Hour); err != nil {
			t.Fatal(err)
		}
		late(from(ips[0]), false)
	}
	late(from("192.0.2.7", func(tx *mta.Transaction) { tx.Sender = "other@example.org" }), true)
	late(from("192.0.2.7", func(tx *mta.Transaction) { tx.Sender = strings.Repeat("\xff", 5000) + "@example.org" }), true)
}

// TestGreylistInAFolder: one line switches it on, and its subfolder is not loaded by itself.
func TestGreylistInAFolder(t *testing.T) {
	file, err := filepath.Abs(filepath.Join("..", "..", "scripts", "filters", "greylist.js"))
	if err != nil {
		t.Fatal(err)
	}
	s := newStage(t, map[string]string{"50-greylist.js": `export * from "` + file + `";`})
	if got := outcomeOf(s.send(plain())); got != "rcpt 451 4.7.1 greylisted: try again in 300 seconds" {
		t.Error(got)
	}
}

func TestRatelimit(t *testing.T) {
	s := shipped(t, "ratelimit.js", map[string]any{"ratelimit": map[string]any{"client": int64(2), "user": int64(3)}})
	send := func(tx mta.Transaction, times, most int) {
		t.Helper()
		for i := range times {
			got := outcomeOf(s.send(tx))
			if limited := strings.HasPrefix(got, "mail 451 4.7.1 too many messages: try again in 3"); limited != (i >= most) {
				t.Errorf("%d: %s", i, got)
			}
		}
	}
	send(from("192.0.2.7"), 4, 2)
	send(from("192.0.2.8"), 4, 2)
	send(from("192.0.2.7", authenticated), 4, 3)
	send(from("192.0.2.8", authenticated), 1, 0) // alice from elsewhere
	send(from("127.0.0.1", func(tx *mta.Transaction) { tx.Peer.Port = 0 }), 4, 4)
	none := shipped(t, "ratelimit.js", map[string]any{"ratelimit": map[string]any{"client": int64(0)}})
	s = none
	send(from("192.0.2.7"), 4, 4)
}
