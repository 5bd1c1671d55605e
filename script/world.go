package script

import (
	"github.com/dop251/goja"
	"go.uber.org/zap"

	"pmilter/filter"
)

// World is the JavaScript world of one SMTP connection: one goja runtime that
// holds all scripts of a set. It belongs to one goroutine at a time.
type World struct {
	rt      *goja.Runtime
	set     *Set
	session *filter.Session // nil until a connection takes the world
	log     *zap.Logger
	tasks   taskQueue
	timers  *timers // of globals: setTimeout and its kin
}
