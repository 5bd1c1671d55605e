package config

import (
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2/unstable"
)

// Queue is [queue.NAME]: a Maildir of events, and the job that works on them.
type Queue struct {
	Name    string
	Maildir string // absolute
	Keep    bool   // a finished event moves to .done instead of being deleted

	// Job is the script, absolute; "": the queue is only written to. What
	// follows is about it.
	Job         string
	Workers     Workers
	MaxRequests int           // jobs, then the process is replaced
	IdleTimeout time.Duration // above Workers.Min, an idle process ends
	Timeout     time.Duration // a job, then its process group is killed
	Memory      int64         // bytes of RssAnon after a job, past it the process is replaced
	Retry       Retry
}

// Workers is how many processes work on a queue.
type Workers struct{ Min, Max int }

// Retry is how often a failed job is tried again, and when.
type Retry struct {
	Attempts   int           // in all
	Backoff    time.Duration // after the first attempt; then twice as long each time
	MaxBackoff time.Duration
}

// defaultQueue is what holds for what a [queue.NAME] does not say.
func defaultQueue(name string) Queue {
	return Queue{
		Name: name, Workers: Workers{0, 4}, MaxRequests: 1000, IdleTimeout: time.Minute, Timeout: time.Minute,
		Memory: 512 << 20, Retry: Retry{10, 10 * time.Second, time.Hour},
	}
}

// queueSchema is the keys of one queue.
func queueSchema(q *Queue) []key {
	at := "queue." + q.Name + "."
	return []key{
		{at + "maildir", onePath(&q.Maildir)},
		{at + "keep", boolean(&q.Keep)},
		{at + "job", onePath(&q.Job)},
		{at + "workers.min", number(&q.Workers.Min, 0, 1000)},
		{at + "workers.max", number(&q.Workers.Max, 1, 1000)},
		{at + "max_requests", number(&q.MaxRequests, 1, 1_000_000_000)},
		{at + "idle_timeout", duration(&q.IdleTimeout, time.Millisecond)},
		{at + "timeout", duration(&q.Timeout, time.Millisecond)},
		{at + "memory", size(&q.Memory, 32<<20)},
		{at + "retry.attempts", number(&q.Retry.Attempts, 1, 1_000_000)},
		{at + "retry.backoff", duration(&q.Retry.Backoff, time.Millisecond)},
		{at + "retry.max_backoff", duration(&q.Retry.MaxBackoff, time.Millisecond)},
	}
}

// queueName is what a queue may be called: it is in scripts, commands and logs.
var queueName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$`)

// queues is the tables [queue.NAME], in the order of the file.
func queues(to *[]Queue) setter {
	return func(l *loader, name string, v *value) {
		if v.table == nil {
			l.wrong(name, v, "a table for each queue, ["+name+".NAME]")
			return
		}
		for _, e := range v.table.entries {
			switch {
			case e.value.isArr:
				l.fault(e.at, "%s.%s is one table: write [%s.%s], not [[%s.%s]]", name, e.key, name, e.key, name, e.key)
			case e.value.table == nil:
				l.fault(e.at, "%s.%s must be a table, [%s.NAME], not %s", name, e.key, name, kindName(e.value.kind))
			case !queueName.MatchString(e.key):
				l.fault(e.at, "%q is no name of a queue: letters, digits, - and _, at most 64", e.key)
			default:
				q := defaultQueue(e.key)
				l.checkTable(queueSchema(&q), name+"."+e.key+".", e.value.table)
				l.checkQueue(&q, e.at, *to)
				*to = append(*to, q)
			}
		}
	}
}

// checkQueue finds what is possible alone and not together. at is where the
// queue's table is.
func (l *loader) checkQueue(q *Queue, at int, others []Queue) {
	table := "queue." + q.Name
	if _, set := l.seen[table+".maildir"]; !set {
		l.fault(at, "%s has no maildir: write for example maildir = \"/var/spool/pmilter/%s\"", table, q.Name)
	}
	for _, other := range others {
		if q.Maildir != "" && (within(q.Maildir, other.Maildir) || within(other.Maildir, q.Maildir)) {
			l.fault(l.seen[table+".maildir"], "%s.maildir is that of queue.%s, or within it: each queue needs its own", table, other.Name)
		}
	}
	if at, set := l.first(table+".workers.min", table+".workers.max"); set && q.Workers.Min > q.Workers.Max {
		l.fault(at, "%s.workers: min (%d) is above max (%d)", table, q.Workers.Min, q.Workers.Max)
	}
	if at, set := l.first(table+".retry.backoff", table+".retry.max_backoff"); set && q.Retry.Backoff > q.Retry.MaxBackoff {
		l.fault(at, "%s.retry: backoff (%s) is above max_backoff (%s)", table, q.Retry.Backoff, q.Retry.MaxBackoff)
	}
	if _, set := l.seen[table+".job"]; set {
		return
	}
	for _, k := range queueSchema(q)[3:] { // what is about the job
		if at, set := l.seen[k.path]; set {
			l.warn(at, "%s has no effect: the queue has no job", k.path)
		}
	}
}

// within tells whether a path is folder or below it.
func within(path, folder string) bool {
	return folder != "" && (path == folder || strings.HasPrefix(path, folder+string(filepath.Separator)))
}

// onePath is a path, made absolute.
func onePath(to *string) setter {
	return func(l *loader, name string, v *value) {
		s, ok := l.str(name, v, "a path")
		switch {
		case !ok:
		case s == "" || strings.ContainsRune(s, 0):
			l.fault(v.at, "%s: %q is not a path", name, s)
		default:
			*to = l.absolute(s)
		}
	}
}

// boolean is true or false.
func boolean(to *bool) setter {
	return func(l *loader, name string, v *value) {
		if v.kind != unstable.Bool {
			l.wrong(name, v, "true or false")
			return
		}
		*to = v.text == "true"
	}
}
