package daemon

import (
	"reflect"
	"strings"

	"pmilter/internal/config"
)

// changing says when a changed key has its effect.
type changing string

const (
	live    changing = "reload"          // at SIGHUP
	alone   changing = "reload, alone"   // at SIGHUP without milter.workers, else at a restart
	lowered changing = "reload, lowered" // at SIGHUP if it became less, else at a restart
	among   changing = "reload, above 0" // at SIGHUP from one number to another; to or from 0 at a restart
	restart changing = "restart"         // SIGUSR2 is one, without an interruption
	nothing changing = "-"               // no key
)

// setting is a field of config.Config, with the key it comes from.
type setting struct {
	field, key string
	changing   changing
}

// settings is all of them: a key must be decided on here, and in docs/upgrades.md.
func settings() []setting {
	return []setting{
		{"File", "", nothing},
		{"Warnings", "", nothing},
		{"Listen", "listen", alone},
		{"Scripts", "scripts", live},
		{"Server.Runtime", "server.runtime", restart},
		{"Server.State", "server.state", restart},
		{"Milter.SocketMode", "milter.socket_mode", live},
		{"Milter.SocketGroup", "milter.socket_group", live},
		{"Milter.MaxConnections", "milter.max_connections", live},
		{"Milter.IdleTimeout", "milter.idle_timeout", live},
		{"Milter.DrainTimeout", "milter.drain_timeout", live},
		{"Milter.Workers", "milter.workers", among},
		{"Milter.MaxMessage", "milter.max_message", live},
		{"Milter.Oversize", "milter.oversize", live},
		{"Milter.SpoolThreshold", "milter.spool_threshold", live},
		{"Handler.Timeout", "handler.timeout", live},
		{"Handler.EOMTimeout", "handler.eom_timeout", live},
		{"Handler.CPU", "handler.cpu", lowered}, // see engine.limits
		{"Handler.Memory", "handler.memory", live},
		{"Handler.MaxValue", "handler.max_value", live},
		{"Handler.OnError", "handler.on_error", live},
		{"Queues", "queue", live},
		// One view for all: connections that hold and count something stay with the store.
		{"Store.URL", "store.url", restart},
		{"Admin.Listen", "admin.listen", live},
		{"Log.Level", "log.level", live},
		{"Log.Format", "log.format", restart},
		{"Decisions.MaxSize", "decisions.max_size", live},
		{"Decisions.Keep", "decisions.keep", live},
		{"DNS.Servers", "dns.servers", live},
		{"DNS.Timeout", "dns.timeout", live},
		{"Permissions.Net", "permissions.net", live},
		{"Permissions.Exec", "permissions.exec", live},
		{"Permissions.Maildir", "permissions.maildir", live},
		{"Vars", "vars", live},
	}
}

// needRestart names what a reload leaves as it was at the start.
func needRestart(started, cfg *config.Config) []string {
	var list []string
	for _, s := range settings() {
		if s.waits(started, cfg) {
			list = append(list, s.key)
		}
	}
	return list
}

// waits tells whether the setting has changed, and the change has no effect yet.
func (s setting) waits(started, cfg *config.Config) bool {
	was, is := s.of(started), s.of(cfg)
	if reflect.DeepEqual(was.Interface(), is.Interface()) {
		return false
	}
	switch s.changing {
	case restart:
		return true
	case alone:
		return started.Milter.Workers > 0
	case among:
		return was.Int() == 0 || is.Int() == 0
	case lowered:
		return is.Int() > was.Int()
	default:
		return false
	}
}

// of is the setting's value.
func (s setting) of(cfg *config.Config) reflect.Value {
	v := reflect.ValueOf(cfg).Elem()
	for name := range strings.SplitSeq(s.field, ".") {
		v = v.FieldByName(name)
	}
	return v
}
