package packaging_test

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"pmilter/internal/config"
)

// mostExposed is what systemd-analyze may say at most. What is left is what the server
// does: sockets of the network and of unix, their groups, and files of others that it may be
// told to read.
const mostExposed = 1.5

// analyze runs systemd-analyze, which must succeed.
func analyze(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "systemd-analyze", args...).CombinedOutput()
	if errors.Is(err, exec.ErrNotFound) {
		leaveOut(t, "no systemd-analyze")
	}
	if err != nil {
		t.Fatalf("systemd-analyze %v: %v\n%s", args, err, out)
	}
	return string(out)
}

// units are copies of the units that a machine without the package can check.
func units(t *testing.T) (service, socket string) {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"pmilterd.service", "pmilterd.socket"} {
		data, err := os.ReadFile(filepath.Join("systemd", name))
		if err != nil {
			t.Fatal(err)
		}
		text := strings.ReplaceAll(string(data), "/usr/bin/pmilterd", "/bin/true")
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "pmilterd.service"), filepath.Join(dir, "pmilterd.socket")
}

func TestUnitsVerify(t *testing.T) {
	t.Parallel()
	service, socket := units(t)
	if out := analyze(t, "verify", "--man=no", "--recursive-errors=no", service, socket); out != "" {
		t.Errorf("systemd-analyze verify:\n%s", out)
	}
}

func TestUnitIsHardened(t *testing.T) {
	t.Parallel()
	service, _ := units(t)
	out := analyze(t, "security", "--offline=yes", "--no-pager", service)
	m := regexp.MustCompile(`Overall exposure level for pmilterd\.service: ([0-9.]+) (\w+)`).FindStringSubmatch(out)
	if m == nil {
		t.Fatalf("systemd-analyze security:\n%s", out)
	}
	if exposure, err := strconv.ParseFloat(m[1], 64); err != nil || exposure > mostExposed || m[2] != "OK" {
		t.Errorf("exposure %s %s, want at most %v OK:\n%s", m[1], m[2], mostExposed, out)
	}
}

// TestUnitWaitsForTheDrain: systemd does not kill what the default configuration lets run.
func TestUnitWaitsForTheDrain(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("systemd/pmilterd.service")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`(?m)^TimeoutStopSec=(.*)$`).FindSubmatch(data)
	if m == nil {
		t.Fatal("no TimeoutStopSec")
	}
	stop, err := time.ParseDuration(string(m[1]))
	if err != nil {
		t.Fatal(err)
	}
	const underWay = 5 * time.Second // a message, after the drain
	if drain := config.Default().Milter.DrainTimeout + underWay; stop <= drain || stop <= time.Minute {
		t.Errorf("TimeoutStopSec is %v; a drain takes %v, a job a minute", stop, drain)
	}
}

// TestStopOfTheUnitWaits: systemctl stop returns when the main process has ended, whoever
// has started it. After an upgrade by SIGUSR2 systemd alone would send SIGKILL at once.
func TestStopOfTheUnitWaits(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("systemd/pmilterd.service")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`(?m)^ExecStop=/bin/sh -c '(.*)'$`).FindSubmatch(data)
	if m == nil {
		t.Fatal("no ExecStop")
	}
	main := exec.CommandContext(t.Context(), "sh", "-c", "trap 'sleep 0.5; echo drained; exit' TERM; echo serving; while :; do sleep 0.1; done")
	out, err := main.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := main.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	if !lines.Scan() {
		t.Fatal("it does not serve")
	}
	ended := make(chan struct{})
	var said []byte
	go func() {
		defer close(ended)
		for lines.Scan() {
			said = append(said, lines.Bytes()...)
		}
		_ = main.Wait()
	}()
	stop := exec.CommandContext(t.Context(), "/bin/sh", "-c", string(m[1]))
	stop.Env = append(os.Environ(), "MAINPID="+strconv.Itoa(main.Process.Pid))
	output(t, stop)
	if unix.Kill(main.Process.Pid, 0) == nil {
		t.Error("the main process still runs")
	}
	if <-ended; string(said) != "drained" {
		t.Errorf("it said %q", said)
	}
}

// TestInstalledConfiguration: what /etc/pmilter has at first is what pmilterd accepts.
func TestInstalledConfiguration(t *testing.T) {
	t.Parallel()
	cfg, err := config.Load("pmilter/pmilter.toml", os.LookupEnv)
	if err != nil {
		t.Fatal(err)
	}
	if len(cfg.Warnings) > 0 || len(cfg.Scripts) != 1 {
		t.Errorf("warnings %v, scripts %v", cfg.Warnings, cfg.Scripts)
	}
}

// TestUnitAllowsWhatTheServerCalls: the filter of system calls takes nothing away that a
// setting of pmilter.toml needs, such as the group of a socket.
func TestUnitAllowsWhatTheServerCalls(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("systemd/pmilterd.service")
	if err != nil {
		t.Fatal(err)
	}
	allowed := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^SystemCallFilter=(~?)(.*)$`).FindAllSubmatch(data, -1) {
		for word := range strings.FieldsSeq(string(m[2])) {
			for _, call := range systemCalls(t, word) {
				allowed[call] = len(m[1]) == 0
			}
		}
	}
	for _, call := range []string{
		"chown", "fchownat", // milter.socket_group
		"prlimit64", "setsid", "kill", "pidfd_open", "waitid", // workers
		"flock", "fsync", "renameat2", "linkat", // queues
		"accept4", "socketpair", "inotify_init1", "memfd_create",
	} {
		if !allowed[call] {
			t.Errorf("the unit forbids %s", call)
		}
	}
	for _, call := range []string{"mount", "ptrace", "setuid", "init_module", "reboot"} {
		if allowed[call] {
			t.Errorf("the unit allows %s", call)
		}
	}
}

// systemCalls are those that a word of SystemCallFilter names.
func systemCalls(t *testing.T, word string) (calls []string) {
	t.Helper()
	if !strings.HasPrefix(word, "@") {
		return []string{word}
	}
	for line := range strings.Lines(analyze(t, "syscall-filter", "--no-pager", word)) {
		name := strings.TrimSpace(line)
		if strings.HasPrefix(line, " ") && !strings.HasPrefix(name, "#") {
			calls = append(calls, systemCalls(t, name)...)
		}
	}
	return calls
}
