package daemon

import (
	"context"

	"go.uber.org/zap"

	"pmilter/internal/auth"
	"pmilter/internal/config"
	"pmilter/internal/mailout"
	"pmilter/internal/match"
	"pmilter/internal/table"
	"pmilter/script"
)

// Services is what the modules of scripts do their work with: one for the
// process. Safe for concurrent use.
type Services struct {
	tables   *table.Tables
	matchers *match.Cache
	outside  *outside
	auth     *auth.Service
}

// NewServices makes the services of a configuration; Watch keeps them up to date.
func NewServices(cfg *config.Config, log *zap.Logger) *Services {
	s := &Services{tables: table.New(base(cfg), log), matchers: match.NewCache(), outside: newOutside(cfg)}
	s.ResolveBy(cfg, s.outside.resolver)
	return s
}

// Watch keeps up to date what comes from files, until ctx is done.
func (s *Services) Watch(ctx context.Context) { s.tables.Watch(ctx) }

// ForScripts is the services as package script wants them.
func (s *Services) ForScripts() script.Services {
	return script.Services{
		Tables: tables{s.tables}, Matchers: matchers{s.matchers}, Auth: authService{s.auth},
		DNS: scriptDNS{s.outside.resolver}, HTTP: scriptHTTP{s.outside.client}, Net: scriptNet{s.outside.client},
	}
}

// ForJobs is those of filters and what only jobs may use.
func (s *Services) ForJobs() script.Services {
	all := s.ForScripts()
	all.Exec, all.SMTP = scriptExec{s.outside.dialer}, scriptSMTP{&mailout.Sender{Dialer: s.outside.dialer}}
	return all
}

// Configure takes another configuration's permissions and name servers: at once,
// and for connections that are open, too.
func (s *Services) Configure(cfg *config.Config) { s.outside.configure(cfg) }

// Close ends what is under way outside. The scripts' worlds are gone before.
func (s *Services) Close() { s.outside.close() }

type tables struct{ *table.Tables }

var _ script.Tables = tables{}

// Table implements script.Tables.
func (t tables) Table(spec string) (script.Table, error) {
	n, err := t.Open(spec)
	if err != nil {
		return nil, err
	}
	return n, nil
}

type matchers struct{ *match.Cache }

var _ script.Matchers = matchers{}

// Matcher implements script.Matchers.
func (m matchers) Matcher(patterns []script.Pattern, ignoreCase bool) (script.Matcher, error) {
	list := make([]match.Pattern, len(patterns))
	for i, p := range patterns {
		list[i] = match.Pattern(p)
	}
	made, err := m.Cache.Matcher(list, ignoreCase)
	if err != nil {
		return nil, err
	}
	return made, nil
}
