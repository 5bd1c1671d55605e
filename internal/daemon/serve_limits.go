package daemon

import (
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"pmilter/internal/config"
)

// killMemory and dataMemory are what a serving process cannot pass: of RssAnon, looked
// at each second, and of data, at once. The collector and the watchdog act from
// handler.memory on, and may need as much again until they have; the runtime takes its
// memory from the system in pieces of 64 MiB.
func killMemory(cfg *config.Config) int64 { return 2*cfg.Handler.Memory + 128<<20 }
func dataMemory(cfg *config.Config) int64 { return 2*cfg.Handler.Memory + 256<<20 }

// limitData has the kernel refuse memory to this process that its own limits did not
// keep it from asking for: it ends then, and no other suffers. Without a core: that
// would be as large. What the process is born with (bornWith) does not count.
func limitData(cfg *config.Config, born int64) {
	var l unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_DATA, &l) == nil {
		l.Cur = min(uint64(dataMemory(cfg)+born), l.Max) //nolint:gosec // not negative
		_ = unix.Setrlimit(unix.RLIMIT_DATA, &l)         // RssAnon is looked at all the same
	}
	_ = unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{})
}

// bornWith is the data of this process now (proc(5), statm), 0 when that cannot be told:
// the address space that the runtime has reserved, which is little but under the race detector.
func bornWith() int64 {
	statm, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(statm))
	if len(fields) < 6 {
		return 0
	}
	pages, err := strconv.ParseInt(fields[5], 10, 64)
	if err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}
