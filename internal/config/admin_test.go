package config_test

import (
	"os"
	"path/filepath"
	"testing"

	"pmilter/internal/config"
)

func TestAdminListen(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for given, want := range map[string]string{
		"":                     "",
		"127.0.0.1:8891":       "127.0.0.1:8891",
		"[::1]:8891":           "[::1]:8891",
		"localhost:${PORT}":    "localhost:99",
		"0.0.0.0:8891":         "0.0.0.0:8891",
		"unix:/run/admin.sock": "unix:/run/admin.sock",
		"unix:admin.sock":      "unix:" + filepath.Join(dir, "admin.sock"),
		"8891":                 "fault", ":8891": "fault", "unix:": "fault", "127.0.0.1:http": "fault", "http://x:1": "fault", "fd:systemd": "fault",
	} {
		file := filepath.Join(dir, "pmilter.toml")
		if err := os.WriteFile(file, []byte("[admin]\nlisten = \""+given+"\"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := config.Load(file, func(string) (string, bool) { return "99", true })
		switch {
		case want == "fault":
			if err == nil {
				t.Errorf("%q is %q", given, c.Admin.Listen)
			}
		case err != nil || c.Admin.Listen != want:
			t.Errorf("%q: %v", given, err)
		}
	}
	if config.Default().Admin.Listen != "" {
		t.Error("there is one by default")
	}
}
