package daemon

import (
	"golang.org/x/sys/unix"

	"pmilter/internal/config"
)

// killMemory and dataMemory are what a serving process cannot pass: of RssAnon, looked
// at each second, and of data, at once. The collector and the watchdog act from
// handler.memory on, and may need as much again until they have; the runtime takes its
// memory from the system in pieces of 64 MiB. It counts as data what the runtime has
// once had, used or not. The runtime maps over room that it has reserved, for which the
// kernel lets the one mapping pass that goes beyond the limit.
func killMemory(cfg *config.Config) int64 { return 2*cfg.Handler.Memory + 128<<20 }
func dataMemory(cfg *config.Config) int64 { return 2*cfg.Handler.Memory + 256<<20 }

// limitData has the kernel refuse memory to this process that its own limits did not
// keep it from asking for: it ends then, and no other suffers. Without a core: that
// would be as large.
func limitData(cfg *config.Config) {
	_ = unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{})
	var l unix.Rlimit
	if raceDetector || unix.Getrlimit(unix.RLIMIT_DATA, &l) != nil {
		return // RssAnon is looked at all the same
	}
	l.Cur = min(uint64(dataMemory(cfg)), l.Max) //nolint:gosec // not negative
	_ = unix.Setrlimit(unix.RLIMIT_DATA, &l)
}
