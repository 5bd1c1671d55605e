package house

import (
	"context"

	"pmilter/filter"
)

// anySpool has every queue, for the examples of documents, and keeps nothing.
type anySpool struct{}

var _ filter.Spool = anySpool{}

func (anySpool) Has(string) bool { return true }

func (anySpool) Names() []string { return nil }

func (anySpool) Put(_ context.Context, _ *filter.QueuedMail, free func()) error {
	free()
	return nil
}
