package resolver

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestSystem: the servers of resolv.conf, seen anew when the file changes.
func TestSystem(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "resolv.conf")
	s, now := &system{path: file}, time.Unix(1e9, 0)
	for i, step := range []struct{ text, want string }{
		{"", "127.0.0.1:53 [::1]:53"},
		{"# none\nsearch example.org\n", "127.0.0.1:53 [::1]:53"},
		{"nameserver 192.0.2.1\nnameserver 2001:db8::1\n", "192.0.2.1:53 [2001:db8::1]:53"},
		{"nameserver 192.0.2.2\n", "192.0.2.2:53"},
	} {
		if step.text != "" {
			if err := os.WriteFile(file, []byte(step.text), 0o600); err != nil {
				t.Fatal(err)
			}
			changed := time.Unix(int64(1e9+i), 0)
			if err := os.Chtimes(file, changed, changed); err != nil {
				t.Fatal(err)
			}
			before := strings.Join(s.servers(now), " ")
			if soon := strings.Join(s.servers(now.Add(lookAgain-1)), " "); soon != before {
				t.Errorf("looked again at once: %s", soon)
			}
		}
		now = now.Add(lookAgain)
		if got := strings.Join(s.servers(now), " "); got != step.want {
			t.Errorf("%q: %s, want %s", step.text, got, step.want)
		}
	}
}
