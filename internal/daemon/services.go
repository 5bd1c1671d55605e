package daemon

import (
	"context"

	"go.uber.org/zap"

	"pmilter/internal/config"
	"pmilter/internal/match"
	"pmilter/internal/table"
	"pmilter/script"
)

// Services is what the modules of scripts do their work with: one for the
// process. Safe for concurrent use.
type Services struct {
	tables   *table.Tables
	matchers *match.Cache
}

// NewServices makes the services of a configuration; Watch keeps them up to date.
func NewServices(cfg *config.Config, log *zap.Logger) *Services {
	return &Services{tables: table.New(base(cfg), log), matchers: match.NewCache()}
}

// Watch keeps up to date what comes from files, until ctx is done.
func (s *Services) Watch(ctx context.Context) { s.tables.Watch(ctx) }

// ForScripts is the services as package script wants them.
func (s *Services) ForScripts() script.Services {
	return script.Services{Tables: tables{s.tables}, Matchers: matchers{s.matchers}}
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
