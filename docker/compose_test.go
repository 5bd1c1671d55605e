package docker

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/smtp"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

const (
	project  = "pmilter-stack-test" // one at a time on a machine
	password = "of-the-stack-test"
)

// stack is the running stack.
type stack struct {
	command []string // of compose
	env     []string
	addr    map[string]string // on the host: postfix, sendmail, dovecot, admin
	scripts string            // the folder on the host that pmilterd serves
	log     func(format string, args ...any)
}

// start builds the stack and starts it, on free ports, with a folder of scripts. At the end
// of the test it is taken down with all that it kept; if the test has failed, what the
// containers said comes first.
func start(t *testing.T, scripts string) *stack {
	t.Helper()
	s := &stack{command: composeCommand(t), scripts: scripts, log: t.Logf}
	s.env = append(os.Environ(), "COMPOSE_PROJECT_NAME="+project, "COMPOSE_PROFILES=sendmail", "COMPOSE_INTERACTIVE_NO_CLI=1",
		"SMTP_PORT=0", "SENDMAIL_PORT=0", "IMAP_PORT=0", "ADMIN_PORT=0", "MAIL_PASSWORD="+password, "PMILTER_SCRIPTS="+scripts)
	must(t, s.down()) // of a run that was cut short
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("what the containers said:\n%s", s.output(t, append(s.command, "logs", "--no-color", "--tail=200")...))
		}
		if err := s.down(); err != nil {
			t.Error(err)
		}
		for _, kind := range []string{"container", "volume", "network"} {
			if left := s.output(t, "docker", kind, "ls", "--filter", "label=com.docker.compose.project="+project); strings.Count(left, "\n") > 1 {
				t.Errorf("left behind:\n%s", left)
			}
		}
	})
	build := []string{"build"}
	if s.command[0] == "docker-compose" {
		build = append(build, "--parallel") // version 2 does so by itself
	}
	must(t, s.compose(build...))
	must(t, s.compose("up", "-d", "--no-build"))
	s.healthy(t)
	s.addr = map[string]string{
		"postfix": s.port(t, "postfix", "25"), "sendmail": s.port(t, "sendmail", "25"), "dovecot": s.port(t, "dovecot", "143"),
		"admin": s.port(t, "pmilterd", "8891"),
	}
	return s
}

// composeCommand is $COMPOSE; without it `docker compose` or docker-compose, whichever is
// there first.
func composeCommand(t *testing.T) []string {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), "docker", "info").CombinedOutput(); err != nil {
		t.Fatalf("no Docker engine answers: %s", out)
	}
	commands := [][]string{{"docker", "compose"}, {"docker-compose"}}
	if wanted := strings.Fields(os.Getenv("COMPOSE")); len(wanted) > 0 {
		commands = [][]string{wanted}
	}
	for _, c := range commands {
		out, err := exec.CommandContext(t.Context(), c[0], append(slices.Clone(c[1:]), "version", "--short")...).Output()
		if err == nil {
			t.Logf("%s %s", strings.Join(c, " "), strings.TrimSpace(string(out)))
			return c
		}
	}
	t.Fatalf("none of %q is there (Debian: apt-get install docker-compose)", commands)
	return nil
}

// compose runs one command of it; an error has what it printed.
func (s *stack) compose(args ...string) error {
	begun := time.Now()
	out, err := s.run(append(s.command, args...)...)
	s.log("compose %s: %.1fs", strings.Join(args, " "), time.Since(begun).Seconds())
	if err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	return nil
}

func (s *stack) down() error {
	return s.compose("down", "--volumes", "--remove-orphans", "--timeout=5")
}

// run gives a command the stack's settings, and returns what it
// prints; an error has what it says on standard error.
func (s *stack) run(command ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	var stdout, stderr bytes.Buffer
	cmd.Env, cmd.Stdout, cmd.Stderr = s.env, &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String(), fmt.Errorf("%s: %w\n%s", strings.Join(command, " "), err, &stderr)
	}
	return stdout.String(), nil
}

func (s *stack) output(t *testing.T, command ...string) string {
	t.Helper()
	out, err := s.run(command...)
	if err != nil {
		t.Error(err)
	}
	return out
}

// healthy waits until all containers are. The helper "mail" has no health to tell of.
func (s *stack) healthy(t *testing.T) {
	t.Helper()
	const format = `{{.State.Status}} {{if .State.Health}}{{.State.Health.Status}}{{else}}healthy{{end}} {{.Name}}`
	ids := strings.Fields(s.output(t, "docker", "ps", "--all", "--quiet", "--filter", "label=com.docker.compose.project="+project))
	if len(ids) != 6 {
		t.Fatalf("there are %d containers, not 6", len(ids))
	}
	wait(t, "all containers are healthy", func() bool {
		states := strings.Split(strings.TrimSpace(s.output(t, append([]string{"docker", "inspect", "--format", format}, ids...)...)), "\n")
		if i := slices.IndexFunc(states, func(state string) bool { return strings.HasPrefix(state, "exited") }); i >= 0 {
			t.Fatalf("a container has ended: %s", states[i])
		}
		return !slices.ContainsFunc(states, func(state string) bool { return !strings.HasPrefix(state, "running healthy ") })
	})
}

// wait looks every quarter of a second, for two minutes at most.
func wait(t *testing.T, what string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(2 * time.Minute); !done(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("not within two minutes: %s", what)
		}
	}
}

// port finds the address on the host of a service's port.
func (s *stack) port(t *testing.T, service, port string) string {
	t.Helper()
	addr := strings.TrimSpace(s.output(t, append(s.command, "port", service, port)...))
	if _, _, err := net.SplitHostPort(addr); err != nil {
		t.Fatalf("port %s of %s: %v", port, service, err)
	}
	return addr
}

// send sends a mail from the host to a published port, as outside.example.com.
func (s *stack) send(mta, to, subject string) error {
	c, err := smtp.Dial(s.addr[mta])
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.Hello("outside.example.com"); err != nil {
		return err
	}
	if err := c.Mail("alice@example.org"); err != nil {
		return err
	}
	if err := c.Rcpt(to); err != nil {
		return err
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "From: alice@example.org\nTo: %s\nSubject: %s\n\nhello\n", to, subject)
	return w.Close() // the server's answer
}

// swaks sends a mail from the container "mail".
func (s *stack) swaks(mta, subject string) error {
	return s.compose("exec", "-T", "mail", "swaks", "--server", mta, "--from", "alice@example.org", "--to", "bob@example.net",
		"--header", "Subject: "+subject)
}

// submit hands Postfix a mail by sendmail(1). The pipe is within the container:
// docker-compose 1.29 sometimes does not pass on the end of its standard input.
func (s *stack) submit(subject string) error {
	const command = `printf 'From: alice@example.org\nTo: bob@example.net\nSubject: %s\n\nhello\n' "$1" | sendmail -f alice@example.org bob@example.net`
	return s.compose("exec", "-T", "postfix", "sh", "-c", command, "sh", subject)
}

// queue is what mailq shows of Postfix.
func (s *stack) queue(t *testing.T) string {
	t.Helper()
	return s.output(t, append(s.command, "exec", "-T", "postfix", "mailq")...)
}

// status is a part of what `pmilterd status` tells.
type status struct {
	Scripts struct {
		Version string
		Error   *struct{ Message string }
	}
}

func (s *stack) status(t *testing.T) (v status) {
	t.Helper()
	text := s.output(t, append(s.command, "exec", "-T", "pmilterd", "pmilterd", "status", "--json")...)
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("status: %v in %s", err, text)
	}
	return v
}
