package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"pmilter/internal/daemon"
)

// writeMilterWorkers shows the processes that serve MTAs.
func writeMilterWorkers(w io.Writer, s *daemon.Status) {
	if s.MilterWorkers == nil {
		return
	}
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(t, "\npid\tmilter\tage\tconnections\tmemory\tscripts")
	for _, p := range s.MilterWorkers.Processes {
		fmt.Fprintf(t, "%d\t%s\t%s\t%d\t%.1f MiB\t%s\n", p.PID, p.State, lasted(time.Duration(p.Age*float64(time.Second))), p.Connections,
			float64(p.Memory)/(1<<20), or(p.Scripts, "-"))
	}
	_ = t.Flush() // the writer is a terminal or a pipe
	m := s.MilterWorkers
	fmt.Fprintf(w, "milter workers: %d wanted, %d started, %d died\n", m.Workers, m.Started, m.Died)
	if m.Fault != nil {
		fmt.Fprintf(w, "milter workers: the last one died: %s\n", printable(strings.ReplaceAll(m.Fault.Message, "\n", "; ")))
	}
}
