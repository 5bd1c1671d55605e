package daemon

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"
)

// notifier tells the service manager how the server is: sd_notify(3). Without one,
// which is no fault, it tells nobody. It is our own because a library's reads the
// environment each time, and there nothing must stay: workers and programs inherit it.
type notifier struct {
	socket   string
	watchdog time.Duration // within which a sign of life is wanted; 0: none is
	log      *zap.Logger

	mu     sync.Mutex
	conn   net.Conn
	status string // that was told last
	muted  bool
}

// notifyTimeout bounds how long one message may take: its reader is in trouble then.
const notifyTimeout = time.Second

// newNotifier takes what the service manager wants to know out of the environment.
func newNotifier(env func(string) (string, bool), log *zap.Logger) *notifier {
	n := &notifier{log: log}
	n.socket, _ = env("NOTIFY_SOCKET")
	usec, _ := env("WATCHDOG_USEC")
	pid, other := env("WATCHDOG_PID")
	for _, name := range []string{"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"} {
		_ = os.Unsetenv(name) // fails for names that are none
	}
	if n.socket == "" {
		return n
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: n.socket, Net: "unixgram"}) // "@" is abstract in both
	if err != nil {
		log.Warn("the service manager cannot be told that the server is ready", zap.Error(err))
		return n
	}
	n.conn = conn
	if us, err := strconv.ParseInt(usec, 10, 64); err == nil && us > 0 && (!other || pid == strconv.Itoa(os.Getpid())) { // sd_watchdog_enabled(3)
		n.watchdog = time.Duration(us) * time.Microsecond
	}
	return n
}

// environment is what a server that takes over gets: it is meant, whatever its number.
func (n *notifier) environment() []string {
	if n.socket == "" {
		return nil
	}
	env := []string{"NOTIFY_SOCKET=" + n.socket}
	if n.watchdog > 0 {
		env = append(env, fmt.Sprintf("WATCHDOG_USEC=%d", n.watchdog.Microseconds()))
	}
	return env
}

// every is how often a sign of life is due, or at least a look at the status.
func (n *notifier) every() time.Duration {
	if n.watchdog > 0 {
		return max(n.watchdog/2, time.Millisecond)
	}
	return 10 * time.Second
}

// tell sends assignments.
func (n *notifier) tell(lines ...string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.conn == nil || n.muted || len(lines) == 0 {
		return
	}
	_ = n.conn.SetWriteDeadline(time.Now().Add(notifyTimeout))
	if _, err := n.conn.Write([]byte(strings.Join(lines, "\n"))); err != nil {
		n.log.Warn("the service manager was not told", zap.Strings("what", lines), zap.Error(err))
	}
}

// statusLine is the assignment of a status, if it is another one than before.
func (n *notifier) statusLine(text string) []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	text = strings.Map(func(r rune) rune {
		if r < ' ' {
			return ' '
		}
		return r
	}, text)
	if text == n.status {
		return nil
	}
	n.status = text
	return []string{"STATUS=" + text}
}

// mute is after another process became the main one: what we say is of no interest.
func (n *notifier) mute() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.muted = true
}

func (n *notifier) close() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.conn != nil {
		_ = n.conn.Close()
		n.conn = nil
	}
}

// reloading is what says that a reload begins: it has when that is, so that the READY=1
// after it is not taken for one before.
func reloading() []string {
	lines := []string{"RELOADING=1"}
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err == nil {
		lines = append(lines, fmt.Sprintf("MONOTONIC_USEC=%d", now.Nano()/1000))
	}
	return lines
}
