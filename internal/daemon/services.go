package daemon

import (
	"context"
	"time"

	"go.uber.org/zap"

	"pmilter/internal/auth"
	"pmilter/internal/config"
	"pmilter/internal/maildir"
	"pmilter/internal/mailout"
	"pmilter/internal/match"
	"pmilter/internal/store"
	"pmilter/internal/table"
	"pmilter/script"
)

// Services is what the modules of scripts do their work with: one for the
// process. Safe for concurrent use.
type Services struct {
	tables   *table.Tables
	matchers *match.Cache
	outside  *outside
	maildirs *scriptMaildirs
	store    *store.Switch
	auth     *auth.Service
	meter    outsideMeter // nil: nobody counts
	log      *zap.Logger
}

// NewServices makes the services of a configuration; Watch keeps them up to date.
// The store is one in memory until OpenStore: this makes no file and no connection.
func NewServices(cfg *config.Config, log *zap.Logger) *Services {
	s := &Services{
		tables: table.New(base(cfg), log), matchers: match.NewCache(), outside: newOutside(cfg),
		store: store.NewSwitch(store.NewMemory(time.Now)), log: log,
		maildirs: &scriptMaildirs{base: base(cfg), folders: cfg.Permissions.Maildir, open: map[string]*maildir.Maildir{}},
	}
	s.ResolveBy(cfg, s.outside.resolver)
	return s
}

// OpenStore opens the store of the configuration, in place of the one in memory.
func (s *Services) OpenStore(cfg *config.Config) error {
	return openStoreIn(s.store, cfg, s.log)
}

// Watch keeps up to date what comes from files, until ctx is done.
func (s *Services) Watch(ctx context.Context) { s.tables.Watch(ctx) }

// ForScripts is the services as package script wants them.
func (s *Services) ForScripts() script.Services {
	return script.Services{
		Tables: tables{s.tables}, Matchers: matchers{s.matchers}, Store: s.storeForScripts(), Auth: authService{s.auth},
		DNS: s.dnsForScripts(), HTTP: scriptHTTP{s.outside.client}, Net: scriptNet{s.outside.client},
	}
}

// ForJobs is those of filters and what only jobs may use.
func (s *Services) ForJobs() script.Services {
	all := s.ForScripts()
	all.Maildirs = s.maildirs
	all.Exec, all.SMTP = scriptExec{s.outside.dialer}, scriptSMTP{&mailout.Sender{Dialer: s.outside.dialer}}
	return all
}

// Configure takes another configuration's permissions and name servers: at once,
// and for connections that are open, too.
func (s *Services) Configure(cfg *config.Config) { s.outside.configure(cfg) }

// Close ends what is under way outside and frees the store. The scripts' worlds are
// gone before.
func (s *Services) Close() {
	s.outside.close()
	if err := s.store.Close(); err != nil {
		s.log.Error("store not closed", zap.Error(err))
	}
}

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
