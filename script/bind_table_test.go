package script

import (
	"strings"
	"testing"
	"time"

	"pmilter/filter"
)

// slowTables takes longer to open a table than a handler may run.
type slowTables struct{ opened int }

func (s *slowTables) Table(string) (Table, error) {
	time.Sleep(400 * time.Millisecond)
	s.opened++
	return emptyTable{}, nil
}

type emptyTable struct{}

func (emptyTable) Get(string) (string, bool) { return "", false }

// TestSlowTable: a large table may take its time while scripts are loaded; what
// hangs in JavaScript may not, before or after it.
func TestSlowTable(t *testing.T) {
	load := func(code string) (*slowTables, error) {
		l := oneScript(t, `import { table } from "pmilter/table";`+"\n"+code+"\nexport function mail() {}")
		b, _, faults := newBundle(l.o)
		if faults.Fatal() {
			t.Fatal(faults)
		}
		tables := &slowTables{}
		limits := Limits{Timeout: time.Minute, CPU: 200 * time.Millisecond}
		d := newWatchdog(limits)
		t.Cleanup(d.close)
		_, faults = newSet(b, setOptions{Limits: limits, Services: Services{Tables: tables}, Log: l.o.Log, watchdog: d})
		return tables, faults.Err()
	}
	if tables, err := load(`const t = table("cidr:a"), u = table("cidr:b");`); err != nil || tables.opened != 2 {
		t.Errorf("%v, %d opened", err, tables.opened)
	}
	if tables, err := load(`table("cidr:a"); for (;;);`); err == nil || !strings.Contains(err.Error(), "ran too long") || tables.opened != 1 {
		t.Errorf("%v, %d opened", err, tables.opened)
	}
}

// TestUntimedInAHandler: while somebody is served everything counts.
func TestUntimedInAHandler(t *testing.T) {
	w := &World{session: &filter.Session{}}
	w.watch.until.Store(5)
	w.untimed(func() {
		if w.watch.until.Load() != 5 {
			t.Error("the deadline was lifted")
		}
	})
}
