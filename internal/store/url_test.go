package store_test

import (
	"strings"
	"testing"

	"pmilter/internal/store"
)

func TestParseURL(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"memory:":                          "memory:",
		"file:":                            "file:",
		"file:a/b.db":                      "file:a/b.db",
		"file:/var/lib/x.db":               "file:/var/lib/x.db",
		"redis://h:6379/0":                 "redis://h:6379/0",
		"redis://h":                        "redis://h:6379/0",
		"redis://h/12":                     "redis://h:6379/12",
		"redis://[::1]:7000/1":             "redis://[::1]:7000/1",
		"rediss://u:s%2Fecret@h:6380/2":    "rediss://h:6380/2",
		"redis+unix:///run/r.sock":         "redis+unix:///run/r.sock?db=0",
		"redis+unix:///run/r.sock?db=4":    "redis+unix:///run/r.sock?db=4",
		"redis+unix://:secret@/run/r?db=4": "redis+unix:///run/r?db=4",
		// faults
		"": "", "memory": "", "memory:x": "", "file://h/x": "", "file:x/": "", "file:\x00": "", "http://h": "", "redis:h": "",
		"redis://": "", "redis://:secret@/0": "", "redis://u:secret@h:port/0": "", "redis://h/x": "", "redis://h/-1": "", "redis://h/01": "",
		"redis://h/0/1": "", "redis://h/0?pool_size=secret": "", "redis://h/0#x": "", "redis+unix://h/x": "", "redis+unix:///x?db=secret": "",
		"redis+unix:///x?dial_timeout=1": "", "redis+unix:x": "", "redis://:sec%zzret@h/0": "",
	} {
		u, err := store.ParseURL(text)
		switch {
		case want == "" && err == nil:
			t.Errorf("%q is taken for %s", text, u)
		case want == "":
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("%q: tells the password: %v", text, err)
			}
		case err != nil || u.String() != want:
			t.Errorf("%q is %s %v, want %s", text, u, err, want)
		}
	}
}
