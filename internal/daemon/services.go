package daemon

import (
	"context"
	"time"

	"go.uber.org/zap"

	"pmilter/internal/config"
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
	store    store.Store
	log      *zap.Logger
}

// NewServices makes the services of a configuration; Watch keeps them up to date.
// The store is one in memory until OpenStore: this makes no file and no connection.
func NewServices(cfg *config.Config, log *zap.Logger) *Services {
	return &Services{tables: table.New(base(cfg), log), matchers: match.NewCache(), store: store.NewMemory(time.Now), log: log}
}

// OpenStore opens the store of the configuration; before ForScripts.
func (s *Services) OpenStore(cfg *config.Config) error {
	opened, err := openStore(cfg, s.log)
	if err != nil {
		return err
	}
	s.store = opened
	return nil
}

// Close frees what is open, when no script runs any more.
func (s *Services) Close() {
	if err := s.store.Close(); err != nil {
		s.log.Error("store not closed", zap.Error(err))
	}
}

// Watch keeps up to date what comes from files, until ctx is done.
func (s *Services) Watch(ctx context.Context) { s.tables.Watch(ctx) }

// ForScripts is the services as package script wants them.
func (s *Services) ForScripts() script.Services {
	return script.Services{Tables: tables{s.tables}, Matchers: matchers{s.matchers}, Store: s.store}
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
