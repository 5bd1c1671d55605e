package program

import (
	"bytes"
	"os"
	"slices"
	"strconv"
	"syscall"
)

// killTree kills a process and its descendants. They are stopped first, from the
// root down, so that none starts another meanwhile.
func killTree(root *os.Process) error {
	// Not by its number, which may be another's by now. Once it has stopped it is
	// its own until it is killed.
	if err := root.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	var all []int
	for range 100 { // until no more come to light
		more := false
		for _, pid := range descendants(root.Pid) {
			if !slices.Contains(all, pid) {
				_ = syscall.Kill(pid, syscall.SIGSTOP) // it may be gone
				all, more = append(all, pid), true
			}
		}
		if !more {
			break
		}
	}
	for i := len(all) - 1; i >= 0; i-- {
		_ = syscall.Kill(all[i], syscall.SIGKILL) // it may be gone
	}
	return root.Kill()
}

// descendants are the processes below root, as /proc shows them now.
func descendants(root int) []int {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	children := map[int][]int{}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if parent, ok := parentOf(pid); ok {
			children[parent] = append(children[parent], pid)
		}
	}
	var list []int
	for next := []int{root}; len(next) > 0; next = next[1:] {
		list = append(list, children[next[0]]...)
		next = append(next, children[next[0]]...)
	}
	return list
}

// parentOf is the fourth field of /proc/PID/stat; the second is a name in
// brackets that may have anything in it (proc(5)).
func parentOf(pid int) (parent int, ok bool) {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0, false
	}
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 2 {
		return 0, false
	}
	parent, err = strconv.Atoi(string(fields[1]))
	return parent, err == nil
}
