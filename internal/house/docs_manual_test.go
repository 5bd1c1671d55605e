package house

import (
	"strings"
	"testing"
	"time"

	"pmilter/internal/manual"
)

// TestManualHasAllKeys: pmilter.toml(5) has each key of the program, the queues' too.
func TestManualHasAllKeys(t *testing.T) {
	t.Parallel()
	page := string(manual.Configuration(readDocument(t, "README.md")).Render("v0", time.Unix(0, 0)))
	for _, key := range append(configKeys(), "queue.NAME.maildir", "queue.NAME.job", "queue.NAME.retry") {
		if !strings.Contains(page, "\n\\fB"+key+"\\fR\n") {
			t.Errorf("pmilter.toml.5 lacks %s", key)
		}
	}
}
