package integration

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"
)

// Behind Postfix, under load, serving processes are killed and scripts edited, again and
// again: what a sender was told is accepted is delivered once, filtered, and no other.
func TestServingProcessesKilledUnderLoad(t *testing.T) {
	m := startMTA(t, map[string]string{
		"milter_default_action": "tempfail", "minimal_backoff_time": "1s", "maximal_backoff_time": "1s", "queue_run_delay": "1s",
	})
	s := m.serve(t, one(stamp), map[string]string{"milter.workers": "2"})
	killed, edits := 0, 0
	told := m.sendWhile(t, 4, func() {
		if list := childrenOf(s.cmd.Process.Pid); len(list) > 0 && syscall.Kill(list[rand.IntN(len(list))], syscall.SIGKILL) == nil {
			killed++
		}
	}, func() {
		edits++
		s.writeScript("10-test.js", verdicts+stamp+fmt.Sprintf("\nexport const edit = %d;\n", edits))
	})
	t.Logf("%d processes killed, %d edits: %d accepted, %d refused", killed, edits, len(told.accepted), len(told.refused))
	if n := len(told.unknown); n > 0 {
		t.Errorf("Postfix lived, and left %d messages without a reply", n)
	}
	m.checkDelivered(t, told, 1)
	if killed == 0 {
		t.Error("nothing was killed")
	}
}

// Without a kill, edits under load cost nobody anything, also in sessions that stay open.
func TestServingProcessesReloadUnderLoad(t *testing.T) {
	m := startMTA(t, nil)
	s := m.serve(t, one(stamp), map[string]string{"milter.workers": "2"})
	l := startLoad(m, "-d")
	for n := range 10 {
		seen := len(m.Sink.Mails())
		s.writeScript("10-test.js", verdicts+stamp+fmt.Sprintf("\nexport const edit = %d;\n", n))
		if n%3 == 2 {
			s.signal(syscall.SIGHUP)
		}
		m.Sink.WaitCount(t, seen+20)
	}
	sent := l.end(t)
	mails := m.Sink.WaitCount(t, sent)
	for _, mail := range mails {
		if !stamped(mail) {
			t.Errorf("passed by the scripts: %q", mail.Header())
		}
	}
	for line := range strings.Lines(m.Log()) {
		for _, word := range []string{"milter-reject", "status=deferred", "status=bounced", "warning: milter"} {
			if strings.Contains(line, word) {
				t.Errorf("in the mail log: %s", line)
			}
		}
	}
	t.Logf("%d mails", len(mails))
}
