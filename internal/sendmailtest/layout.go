package sendmailtest

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Where Debian's packages keep what is needed, below the folder that they were
// unpacked into.
const (
	binary = "usr/libexec/sendmail/sendmail"
	macros = "usr/share/sendmail/cf/"
)

// plainMailer are flags that add nothing: no Date, From, Message-Id or
// Return-Path (D, F, M, P). z is LMTP, m several recipients, X hides dots, u
// leaves local parts their case, 8 sends eight bits as they are, k allows for a
// server of one's own name.
const plainMailer = "mzXu8k"

// masterMC is the plain configuration, in m4 for the package's own cf/ folder:
// nothing is looked up in the DNS, nothing is refused or rewritten, all mail goes
// to the sink. Its verbs: folder, SMTP port, delivery mode, filters, further
// macros, further lines, mailer flags, sink's port.
const masterMC = `divert(0)dnl
OSTYPE(` + "`linux'" + `)dnl
define(` + "`confDOMAIN_NAME', `mx.example.org'" + `)dnl
define(` + "`QUEUE_DIR', `%[1]s/queue'" + `)dnl
define(` + "`confPID_FILE', `%[1]s/pid'" + `)dnl
define(` + "`STATUS_FILE', `'" + `)dnl
define(` + "`ALIAS_FILE', `'" + `)dnl
define(` + "`HELP_FILE', `'" + `)dnl
define(` + "`confSERVICE_SWITCH_FILE', `%[1]s/switch'" + `)dnl
define(` + "`confTO_IDENT', `0'" + `)dnl
define(` + "`confMIN_QUEUE_AGE', `0'" + `)dnl
define(` + "`confCONNECTION_RATE_THROTTLE', `0'" + `)dnl
define(` + "`confREFUSE_LA', `1000'" + `)dnl
define(` + "`confQUEUE_LA', `1000'" + `)dnl
define(` + "`confDELAY_LA', `0'" + `)dnl
define(` + "`confDELIVERY_MODE', `%[3]s'" + `)dnl
FEATURE(` + "`nocanonify'" + `)dnl
FEATURE(` + "`accept_unresolvable_domains'" + `)dnl
FEATURE(` + "`accept_unqualified_senders'" + `)dnl
FEATURE(` + "`promiscuous_relay'" + `)dnl
FEATURE(` + "`no_default_msa'" + `)dnl
DAEMON_OPTIONS(` + "`Name=MTA, Addr=127.0.0.1, Port=%[2]s'" + `)dnl
%[4]s%[5]s
MAILER(` + "`smtp'" + `)dnl
LOCAL_CONFIG
%[6]s
MAILER_DEFINITIONS
Msink,	P=[IPC], F=%[7]s, S=0, R=0, E=\r\n, L=0,
	T=DNS/RFC822/SMTP,
	A=TCP [127.0.0.1] %[8]s
LOCAL_RULE_0
R$+	$#sink $@ sink $: $1
`

// layOut makes the instance's folders and its configuration. It may be called
// again for another port.
func (s *Sendmail) layOut(config Config) error {
	if err := os.Chmod(s.Dir, 0o755); err != nil {
		return err
	}
	if err := os.MkdirAll(s.file("queue"), 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(s.file("switch"), []byte("hosts files\naliases files\n"), 0o644); err != nil {
		return err
	}
	if err := os.WriteFile(s.file("hosts"), []byte("127.0.0.1 localhost\n::1 localhost\n127.0.1.1 mx.example.org\n"), 0o644); err != nil {
		return err
	}
	_, port, err := net.SplitHostPort(s.Addr)
	if err != nil {
		return err
	}
	_, sink, err := net.SplitHostPort(s.Sink.Addr)
	if err != nil {
		return err
	}
	var filters strings.Builder
	for i, f := range config.Filters {
		equates := "S=" + strings.ReplaceAll(f.Socket, "{dir}", s.Dir)
		if f.Flags != "" {
			equates += ", F=" + f.Flags
		}
		if f.Timeouts != "" {
			equates += ", T=" + f.Timeouts
		}
		fmt.Fprintf(&filters, "INPUT_MAIL_FILTER(`filter%d', `%s')dnl\n", i, equates)
	}
	mc := fmt.Sprintf(masterMC, s.Dir, port, or(config.Delivery, "b"), filters.String(), config.Macros,
		config.Config, or(config.Mailer, plainMailer), sink)
	if err := os.WriteFile(s.file("sendmail.mc"), []byte(mc), 0o644); err != nil {
		return err
	}
	return s.makeCF()
}

func or(value, otherwise string) string {
	if value == "" {
		return otherwise
	}
	return value
}

// makeCF is what the Makefile of cf/ does.
func (s *Sendmail) makeCF() error {
	folder := filepath.Join(s.root, macros) + "/"
	m4 := exec.Command("m4", "-D_CF_DIR_="+folder, folder+"m4/cf.m4", s.file("sendmail.mc"))
	var cf, stderr bytes.Buffer
	m4.Stdout, m4.Stderr = &cf, &stderr // it warns of the open relay
	if err := m4.Run(); err != nil {
		return fmt.Errorf("m4: %w: %s", err, stderr.String())
	}
	return os.WriteFile(s.cfFile(), cf.Bytes(), 0o644)
}

func (s *Sendmail) file(name string) string { return filepath.Join(s.Dir, name) }
func (s *Sendmail) cfFile() string          { return s.file("sendmail.cf") }
func (s *Sendmail) logFile() string         { return s.file("traffic.log") }
