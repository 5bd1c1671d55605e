package config

import (
	"slices"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2/unstable"

	"pmilter/internal/permit"
)

// loader checks one file and fills config from it.
type loader struct {
	*source
	folder string
	env    func(string) (string, bool)
	config *Config
	seen   map[string]int // where each key's value is
}

// key is a line of the schema: what to do with the value of path.
type key struct {
	path string // "milter.idle_timeout"
	set  setter
}

// setter checks a value and keeps it. name is the key's path.
type setter func(l *loader, name string, v *value)

// schema is all keys.
func (l *loader) schema() []key {
	c := l.config
	return []key{
		{"listen", listen(&c.Listen)},
		{"scripts", paths(&c.Scripts)},

		{"server.runtime", folder(&c.Server.Runtime)},
		{"server.state", folder(&c.Server.State)},

		{"milter.socket_mode", mode(&c.Milter.SocketMode)},
		{"milter.socket_group", text(&c.Milter.SocketGroup)},
		{"milter.max_connections", number(&c.Milter.MaxConnections, 1, 1_000_000)},
		{"milter.idle_timeout", duration(&c.Milter.IdleTimeout, time.Millisecond)},
		{"milter.drain_timeout", duration(&c.Milter.DrainTimeout, 0)},
		{"milter.workers", number(&c.Milter.Workers, 0, maxWorkers)},
		{"milter.max_message", size(&c.Milter.MaxMessage, 1)},
		{"milter.oversize", choice(&c.Milter.Oversize, Reject, Tempfail, Accept)},
		{"milter.spool_threshold", size(&c.Milter.SpoolThreshold, 0)},

		{"handler.timeout", duration(&c.Handler.Timeout, time.Millisecond)},
		{"handler.eom_timeout", duration(&c.Handler.EOMTimeout, time.Millisecond)},
		{"handler.cpu", duration(&c.Handler.CPU, time.Millisecond)},
		{"handler.memory", size(&c.Handler.Memory, 16<<20)},
		{"handler.max_value", size(&c.Handler.MaxValue, 1<<10)},
		{"handler.on_error", choice(&c.Handler.OnError, Tempfail, Accept, Reject)},

		{"dns.servers", servers(&c.DNS.Servers)},
		{"dns.timeout", duration(&c.DNS.Timeout, time.Millisecond)},
		{"permissions.net", permissions(&c.Permissions.Net, `an entry like "host:port"`, permit.CheckNet)},
		{"permissions.maildir", paths(&c.Permissions.Maildir)},
		{"permissions.exec", permissions(&c.Permissions.Exec, "a program's path", permit.CheckExec)},
		{"store.url", storeURL(&c.Store.URL)},

		{"decisions.max_size", logSize(&c.Decisions.MaxSize)},
		{"decisions.keep", duration(&c.Decisions.Keep, time.Hour)},
		{"queue", queues(&c.Queues)},
		{"admin.listen", adminListen(&c.Admin.Listen)},

		{"vars", anything(&c.Vars)},

		{"log.level", choice(&c.Log.Level, "debug", "info", "warn", "error")},
		{"log.format", choice(&c.Log.Format, "auto", "console", "json")},
	}
}

// checkTable gives each key of t to the schema. prefix is "" or the table's name
// with a dot.
func (l *loader) checkTable(schema []key, prefix string, t *table) {
	for _, e := range t.entries {
		name := prefix + e.key
		at := slices.IndexFunc(schema, func(k key) bool { return k.path == name })
		isTable := slices.ContainsFunc(schema, func(k key) bool { return strings.HasPrefix(k.path, name+".") })
		switch {
		case at >= 0:
			l.seen[name] = e.value.at
			schema[at].set(l, name, e.value)
		case isTable && e.value.isArr:
			l.fault(e.at, "%s is one table: write [%s], not [[%s]]", name, name, name)
		case isTable && e.value.table == nil:
			l.fault(e.value.at, "%s must be a table, [%s], not %s", name, name, kindName(e.value.kind))
		case isTable:
			l.checkTable(schema, name+".", e.value.table)
		default:
			l.unknown(schema, prefix, e)
		}
	}
}

// unknown adds a fault for a key that the schema does not have, with what was
// probably meant.
func (l *loader) unknown(schema []key, prefix string, e *entry) {
	where := ""
	if prefix != "" {
		where = " in [" + strings.TrimSuffix(prefix, ".") + "]"
	}
	if e.value.table != nil {
		l.fault(e.at, "unknown table [%s%s]%s", prefix, e.key, hint(nearest(e.key, topNames(schema, prefix))))
		return
	}
	if near := nearest(e.key, topNames(schema, prefix)); near != "" {
		l.fault(e.at, "unknown key %s%s%s", e.key, where, hint(near))
		return
	}
	for _, k := range schema {
		if table, last, ok := strings.Cut(k.path, "."); ok && last == e.key {
			l.fault(e.at, "unknown key %s%s; it belongs in [%s]", e.key, where, table)
			return
		}
		if k.path == e.key {
			l.fault(e.at, "unknown key %s%s; it belongs at the top, before the first [table]", e.key, where)
			return
		}
	}
	l.fault(e.at, "unknown key %s%s", e.key, where)
}

// topNames is what may stand directly below prefix.
func topNames(schema []key, prefix string) (names []string) {
	for _, k := range schema {
		if rest, ok := strings.CutPrefix(k.path, prefix); ok {
			name, _, _ := strings.Cut(rest, ".")
			names = append(names, name)
		}
	}
	return names
}

func hint(near string) string {
	if near == "" {
		return ""
	}
	return "; did you mean " + near + "?"
}

// maxWorkers is more processes than a machine for mail has cores.
const maxWorkers = 256

// checkWhole finds values that are possible alone and not together.
func (l *loader) checkWhole() {
	h := l.config.Handler
	if at, ok := l.first("handler.max_value", "handler.memory"); ok && h.MaxValue > h.Memory {
		l.fault(at, "handler.max_value (%d bytes) is above handler.memory (%d bytes)", h.MaxValue, h.Memory)
	}
	if at, ok := l.seen["handler.timeout"]; ok && h.Timeout >= 10*time.Second {
		l.warn(at, "handler.timeout: Sendmail waits 10s for an answer, Postfix 30s (milter_command_timeout): "+
			"past that their own default action decides, not the script")
	}
	if at, ok := l.first("handler.cpu", "handler.timeout", "handler.eom_timeout"); ok && h.CPU > max(h.Timeout, h.EOMTimeout) {
		l.warn(at, "handler.cpu is above handler.timeout and handler.eom_timeout: it limits nothing")
	}
}

// first is the place of the first of names that the file sets.
func (l *loader) first(names ...string) (at int, ok bool) {
	for _, name := range names {
		if at, ok := l.seen[name]; ok {
			return at, true
		}
	}
	return 0, false
}

// nearest is the one of names that s is a slip of the finger away from.
func nearest(s string, names []string) string {
	best, bestDistance := "", 1+max(1, len(s)/3)
	for _, name := range names {
		if d := distance(s, name); d < bestDistance {
			best, bestDistance = name, d
		}
	}
	return best
}

// distance is Levenshtein's. A very long s is near to nothing that we know.
func distance(s, t string) int {
	if len(s) > 64 {
		return len(s)
	}
	row := make([]int, len(t)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(s) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(t) {
			cost := diagonal
			if s[i] != t[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j+1]+1, row[j]+1)
		}
	}
	return row[len(t)]
}

// wrong adds a fault for a value of the wrong type.
func (l *loader) wrong(name string, v *value, want string) {
	l.fault(v.at, "%s must be %s, not %s", name, want, kindName(v.kind))
}

// str is the value of a string with the environment put in. want tells what kind
// of string is meant.
func (l *loader) str(name string, v *value, want string) (s string, ok bool) {
	if v.kind != unstable.String {
		l.wrong(name, v, want)
		return "", false
	}
	s, err := expand(v.text, l.env)
	if err != nil {
		l.fault(v.at, "%s: %s", name, err)
		return "", false
	}
	return s, true
}
