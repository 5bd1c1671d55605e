package config

import (
	"testing"
	"time"
)

func TestDecisions(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Decisions{
		"":                                 {256 << 20, 14 * 24 * time.Hour},
		"[decisions]\nmax_size = 0":        {0, 14 * 24 * time.Hour},
		"[decisions]\nmax_size = \"0\"":    {0, 14 * 24 * time.Hour},
		"[decisions]\nmax_size = \"4MiB\"": {4 << 20, 14 * 24 * time.Hour},
		"decisions = {keep=\"1h\", max_size=\"1GiB\"}": {1 << 30, time.Hour},
	} {
		c, faults := parse([]byte(text), "p.toml", "/", env())
		if len(faults) > 0 || c.Decisions != want {
			t.Errorf("%q: %+v %v", text, c.Decisions, faults)
		}
	}
}
