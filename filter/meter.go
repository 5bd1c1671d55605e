package filter

import (
	"sync/atomic"
	"time"
)

// Meter counts what connections do. Its methods are called on the connections'
// goroutines, several for each message: they must not block.
type Meter interface {
	// Arrived: the MTA told of a phase, whether a script has a handler for it or not.
	Arrived(p Phase)
	// Received: a message has arrived whole, of that many bytes.
	Received(bytes int64)
	// Opened: a world was made, in that time, top-level code included.
	Opened(took time.Duration)
	// Scripts is what counts the calls of a set of scripts. A connection asks once.
	Scripts(list []Script) ScriptsMeter
}

// ScriptsMeter counts the calls of the scripts of one set, by their index in it.
type ScriptsMeter interface {
	// Called: a handler took that long, awaits included.
	Called(script int, p Phase, took time.Duration)
	// Failed: a handler did, or could not be asked.
	Failed(script int, p Phase, kind FaultKind)
	// Decided is an outcome; the script is -1 when none decided. wouldBe: it was an
	// observing script's, and nothing was done.
	Decided(script int, p Phase, verdict Action, wouldBe bool)
}

// FaultKind says in what way a script was at fault.
type FaultKind uint8

// The kinds of faults.
const (
	Threw         FaultKind = iota // an exception, or a rejection that nobody handled
	TimedOut                       // it ran past a limit of time
	OutOfMemory                    // it was stopped because the process's memory was over its limit
	Nonsense                       // its answer is none that the phase allows
	NotAsked                       // its world had been dropped before
	NumFaultKinds = int(NotAsked) + 1
)

// String is the kind's name in metrics.
func (k FaultKind) String() string {
	names := [NumFaultKinds]string{"throw", "timeout", "memory", "nonsense", "dropped"}
	if int(k) >= NumFaultKinds {
		return "kind?"
	}
	return names[k]
}

// Worlds is how many worlds there are, and were.
type Worlds struct {
	Alive   int64 // now, the stuck ones included
	Stuck   int64 // now: given up while a script still runs in them
	Dropped int64 // ever: given up, by an overrun or because their top-level code failed
}

// worlds counts them. Safe for concurrent use.
type worlds struct{ alive, stuck, dropped atomic.Int64 }

// Worlds is how many worlds the filter's connections have.
func (f *Filter) Worlds() Worlds {
	return Worlds{Alive: f.worlds.alive.Load(), Stuck: f.worlds.stuck.Load(), Dropped: f.worlds.dropped.Load()}
}

// noMeter counts nothing.
type noMeter struct{}

// Arrived implements Meter, as do the others below.
func (noMeter) Arrived(Phase) {}

// Received is no one's business.
func (noMeter) Received(int64) {}

// Opened neither.
func (noMeter) Opened(time.Duration) {}

// Scripts counts nothing of scripts.
func (noMeter) Scripts([]Script) ScriptsMeter { return noMeter{} }

// Called implements ScriptsMeter, as do the others below.
func (noMeter) Called(int, Phase, time.Duration) {}

// Failed is no one's business.
func (noMeter) Failed(int, Phase, FaultKind) {}

// Decided neither.
func (noMeter) Decided(int, Phase, Action, bool) {}
