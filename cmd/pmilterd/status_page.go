package main

import (
	"fmt"
	"strings"
	"time"

	"pmilter/internal/daemon"
)

// reading is a status and what was read before it, for rates.
type reading struct {
	*daemon.Status
	now    time.Time
	before *daemon.Status // of the same server; nil: rates are those since the start
	passed time.Duration  // since before, or the start
}

// show writes what is wrong first, then what is going on.
func (r *reading) show(p *page) {
	p.line(bold, fmt.Sprintf("pmilterd %s  pid %d  up %s  %s", r.Version, r.PID, lasted(r.now.Sub(r.Started)), or(r.Config, "no configuration file: the defaults")))
	alarms := r.alarms()
	for _, a := range alarms {
		p.wrapped(a.color, a.mark, a.text)
	}
	if len(alarms) == 0 {
		p.line(green, "ok  nothing is wrong")
	}
	p.b.WriteString("\n")
	r.traffic(p)
	r.scripts(p)
	r.queues(p)
	r.workers(p)
}

func (r *reading) traffic(p *page) {
	row := func(name, format string, args ...any) {
		p.line("", fmt.Sprintf("%-12s ", name)+fmt.Sprintf(format, args...))
	}
	row("listen", "%s", strings.Join(r.Listen, " "))
	row("connections", "%d open of at most %d, %d accepted%s", r.Connections.Open, r.Connections.Max, r.Connections.Accepted,
		r.rate(r.Connections.Accepted, func(s *daemon.Status) int64 { return s.Connections.Accepted }))
	row("messages", "%d%s", r.Messages, r.rate(r.Messages, func(s *daemon.Status) int64 { return s.Messages }))
	row("verdicts", "%s", r.verdicts())
	row("worlds", "%d alive, %d stuck, %d dropped", r.Worlds.Alive, r.Worlds.Stuck, r.Worlds.Dropped)
	failed := ""
	if n := r.Scripts.Failed; n > 0 {
		failed = fmt.Sprintf(", %s failed", several(int64(n), "load"))
	}
	row("scripts", "%s, loaded %s ago%s", or(r.Scripts.Version, "none"), lasted(r.now.Sub(r.Scripts.Loaded)), failed)
	if r.Reloads > 0 {
		row("reload", "%s ago, the configuration", lasted(r.now.Sub(r.LastReload)))
	}
}

// rate is how often a second something happens, in brackets.
func (r *reading) rate(n int64, of func(*daemon.Status) int64) string {
	if r.passed <= 0 {
		return ""
	}
	if r.before != nil {
		n -= of(r.before)
	}
	return fmt.Sprintf(" (%s/s)", perSecond(float64(max(n, 0))/r.passed.Seconds()))
}

// perSecond has as many digits as are of use.
func perSecond(rate float64) string {
	switch {
	case rate == 0:
		return "0"
	case rate < 0.01:
		return "<0.01"
	case rate < 10:
		return fmt.Sprintf("%.2f", rate)
	default:
		return fmt.Sprintf("%.0f", rate)
	}
}

// verdicts are in the order of how much an administrator is interested.
func (r *reading) verdicts() string {
	var list []string
	for _, name := range []string{"accept", "reject", "tempfail", "discard"} {
		n := r.Status.Verdicts[name]
		if n > 0 {
			list = append(list, fmt.Sprintf("%s %d%s", name, n, r.rate(n, func(s *daemon.Status) int64 { return s.Verdicts[name] })))
		}
	}
	return or(strings.Join(list, "  "), "none yet")
}

func (r *reading) scripts(p *page) {
	var rows [][]string
	for _, h := range r.Handlers {
		var verdicts []string
		for _, name := range []string{"accept", "reject", "tempfail", "discard"} {
			if n := h.Verdicts[name]; n > 0 {
				verdicts = append(verdicts, fmt.Sprintf("%s %d", name, n))
			}
		}
		p50, p99 := "-", "-"
		if h.Calls > 0 {
			p50, p99 = quick(h.P50), quick(h.P99)
		}
		rows = append(rows, []string{h.Script, fmt.Sprint(h.Calls), fmt.Sprint(h.Errors), p50, p99, or(strings.Join(verdicts, " "), "-")})
	}
	p.table([]string{"script", "calls:", "errors:", "p50:", "p99:", "decided"}, rows)
}

func (r *reading) queues(p *page) {
	var rows [][]string
	for _, q := range r.Status.Queues {
		oldest, done, workers := "-", "-", "-"
		if q.Oldest != nil {
			oldest = lasted(seconds(*q.Oldest))
		}
		if q.Pool != nil {
			done, workers = fmt.Sprint(q.Jobs.Done), fmt.Sprintf("%d of %d-%d", len(q.Pool.Workers), q.Pool.Min, q.Pool.Max)
		}
		script := "-"
		if q.Scripts != nil {
			script = q.Scripts.Version
		}
		rows = append(rows, []string{
			q.Name, fmt.Sprint(q.Waiting), fmt.Sprint(q.Running), fmt.Sprint(q.Delayed), fmt.Sprint(q.Failed), oldest, done, workers, script,
		})
	}
	p.table([]string{"queue", "waiting:", "running:", "delayed:", "failed:", "oldest:", "done:", "workers:", "script"}, rows)
}

// workers is the scoreboard.
func (r *reading) workers(p *page) {
	var rows [][]string
	if m := r.MilterWorkers; m != nil {
		for _, w := range m.Processes {
			rows = append(rows, []string{
				fmt.Sprint(w.PID), w.State, fmt.Sprint(w.Connections), mebibytes(w.Memory), lasted(seconds(w.Age)), w.Scripts,
			})
		}
		p.table([]string{"pid:", "milter worker", "connections:", "memory:", "age:", "scripts"}, rows)
		rows = nil
	}
	for _, q := range r.Status.Queues {
		if q.Pool == nil {
			continue
		}
		for _, w := range q.Pool.Workers {
			rows = append(rows, []string{
				fmt.Sprint(w.PID), q.Name, w.State, lasted(seconds(w.Seconds)), fmt.Sprint(w.Jobs), mebibytes(w.Memory), w.Event,
			})
		}
	}
	p.table([]string{"pid:", "queue", "state", "for:", "jobs:", "memory:", "event"}, rows)
}

func mebibytes(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// quick is a short time with two digits: 41µs, 1.2ms, 8s.
func quick(s float64) string {
	d := seconds(s)
	switch {
	case d < time.Millisecond:
		return d.Round(time.Microsecond).String()
	case d < 10*time.Millisecond:
		return d.Round(100 * time.Microsecond).String()
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	default:
		return d.Round(100 * time.Millisecond).String()
	}
}

// several is a number with its noun: 1 load, 2 loads.
func several(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
