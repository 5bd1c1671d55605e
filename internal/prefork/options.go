package prefork

import (
	"os"
	"syscall"
	"time"
)

// Options is how a pool behaves. Args, Max and Hooks aside, 0 means what is said there.
type Options struct {
	// Args is the command line of a worker, without the program's name: a command of
	// our own binary that calls Serve. Env is its environment; nil: ours.
	Args []string
	Env  []string
	// Setup is what a new worker is told first, for its Serve. Called before each start,
	// from one goroutine; it must not block.
	Setup func() []byte

	Min, Max    int           // workers; Max at least 1
	IdleTimeout time.Duration // above Min a worker that long without a job ends; 0: it stays
	// MaxRequests is how many jobs a worker does at most; 0: any number. Each has a
	// share of its own between nine tenths of it and all, so that those that began
	// together do not end together.
	MaxRequests int
	Memory      int64 // bytes of RssAnon after a job, past which a worker is replaced; 0: any
	// Resident: workers are given no jobs, but serve what they have inherited (see Stay),
	// and are of use when they are ready. The place of one that ends is free at once;
	// of these there are Max at most: another that asks to end has to wait.
	Resident bool

	// KeepStderr: what a worker writes to its standard error, and output, is not ours but
	// kept, the beginning of it, for its Exit: a runtime that dies writes megabytes there.
	KeepStderr bool

	StartTimeout  time.Duration // until it must be ready; 0: 30 s
	EndTimeout    time.Duration // from asking a worker without a job to end until it is killed; 0: 5 s
	SpawnInterval time.Duration // least time between two starts; 0: none
	// ErrorInterval is the least time to the next start after a worker that died before
	// it was of use, doubled with each further one up to MaxErrorInterval; 0: 1 s and 1 min.
	ErrorInterval, MaxErrorInterval time.Duration

	// Signals says what a signal to the pool means for its workers: see Pool.Signal.
	Signals map[syscall.Signal]Reaction

	Hooks Hooks
	start starter // what makes a process; nil: our own binary
}

// Reaction is what a signal to the pool does to its workers.
type Reaction struct {
	// Replace: each is replaced, after its job and one by one: see Pool.Replace.
	Replace bool
	// Send is what each gets otherwise, with Every between two, so that what it makes
	// them do does not happen to all at once.
	Send  syscall.Signal
	Every time.Duration
}

// Hooks are called as workers come and go, from goroutines of the pool and one at a
// time for one worker. They must not block, nor call the pool but for Tell and Kill.
type Hooks struct {
	// BeforeSpawn gives the files that a worker is to inherit as descriptors 4, 5 and so
	// on (3 is the socket to the pool); the pool closes them. An error puts the start
	// off like a death.
	BeforeSpawn func() ([]*os.File, error)
	// SpawnFailed is told why no process could be started, BeforeSpawn's error too.
	SpawnFailed func(error)
	// AfterSpawn is told of a process that has been started, Ready when it can work.
	AfterSpawn func(pid int)
	Ready      func(pid int)
	// OnReap is told of a process that is gone, with its whole group.
	OnReap func(Exit)
	// Note gets what a worker says out of turn, by its Notify.
	Note func(pid int, note []byte)
}

// Exit is the end of a worker.
type Exit struct {
	PID    int
	Status string // "exit status 0", "signal: killed"
	Reason string // why the pool ended it: "idle", "replaced" ...; "" when nobody asked it to end
	What   string // the job it had, "" for none
	Jobs   int    // that it had done
	Age    time.Duration
	Fault  string // what it said when it could not start
	Stderr string // with KeepStderr, the first 4 KiB of what it wrote there
}

func (o *Options) defaults() {
	or := func(d *time.Duration, otherwise time.Duration) {
		if *d <= 0 {
			*d = otherwise
		}
	}
	or(&o.StartTimeout, 30*time.Second)
	or(&o.EndTimeout, 5*time.Second)
	or(&o.ErrorInterval, time.Second)
	or(&o.MaxErrorInterval, max(time.Minute, o.ErrorInterval))
	o.Max = max(o.Max, 1)
	o.Min = min(max(o.Min, 0), o.Max)
	if o.Setup == nil {
		o.Setup = func() []byte { return nil }
	}
	h := &o.Hooks
	if h.BeforeSpawn == nil {
		h.BeforeSpawn = func() ([]*os.File, error) { return nil, nil }
	}
	if h.SpawnFailed == nil {
		h.SpawnFailed = func(error) {}
	}
	if h.AfterSpawn == nil {
		h.AfterSpawn = func(int) {}
	}
	if h.Ready == nil {
		h.Ready = func(int) {}
	}
	if h.OnReap == nil {
		h.OnReap = func(Exit) {}
	}
	if h.Note == nil {
		h.Note = func(int, []byte) {}
	}
}

// process is a worker as the system has it. A test has others.
type process interface {
	PID() int
	// Read and Write are the pool's end of its socket. Read ends when the process does.
	Read([]byte) (int, error)
	Write([]byte) (int, error)
	Signal(syscall.Signal)
	// Kill ends the process and its whole group at once. Calls after Reap are without effect.
	Kill()
	// Reap kills what is left of the group, waits for the process and says how it ended,
	// and the beginning of its standard error, with Options.KeepStderr.
	Reap() (status, stderr string)
	// Memory is its RssAnon in bytes, 0 when that cannot be told.
	Memory() int64
}

// starter makes processes.
type starter interface {
	start(o *Options, inherited []*os.File) (process, error)
	close()
}
