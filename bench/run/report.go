package main

import (
	"fmt"
	"slices"
	"text/tabwriter"
	"time"
)

// figure is a line of the table.
type figure struct {
	what     string
	measured string
	target   string // "" when there is none
	ok       bool
	note     string
}

// add notes a figure that has a target, or none with target "".
func (b *bench) add(f figure) { b.figures = append(b.figures, f) }

// atLeast notes a ratio and its target; 0 is none.
func (b *bench) atLeast(what string, measured, target float64, note string) {
	f := figure{what: what, measured: fmt.Sprintf("%.2f", measured), ok: measured >= target, note: note}
	if target > 0 {
		f.target = fmt.Sprintf(">= %g", target)
	}
	b.add(f)
}

// atMost notes a figure with a unit.
func (b *bench) atMost(what string, measured, target float64, unit, note string) {
	b.add(figure{what, fmt.Sprintf("%.4g %s", measured, unit), fmt.Sprintf("<= %g %s", target, unit), measured <= target, note})
}

// report prints the table.
func (b *bench) report() error {
	w := tabwriter.NewWriter(b.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "figure\tmeasured\ttarget\t\tnote")
	for _, f := range b.figures {
		verdict := ""
		switch {
		case f.target == "":
		case f.ok:
			verdict = "ok"
		default:
			verdict = "below"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", f.what, f.measured, f.target, verdict, f.note)
	}
	return w.Flush()
}

// median of a list; 0 of none.
func median[T interface{ ~int64 | ~float64 }](list []T) T {
	if len(list) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(list))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
