package packaging_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pmilter/internal/mta"
)

// handover is how long postinst waits for a new server in these tests, in seconds.
const handover = "60"

// mail is one that any filter accepts.
const mail = "From: alice@example.org\nTo: bob@example.net\nSubject: hello\n\nhello\n"

// makeDeb makes the package of a version by make deb, and gives its file.
func makeDeb(t *testing.T, version string) string {
	t.Helper()
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), "make", "-C", "..", "--no-print-directory", "deb", "VERSION=v"+version, "DIST="+dir)
	cmd.Env = append(os.Environ(), "MAKEFLAGS=", "MAKELEVEL=")
	output(t, cmd)
	debs, err := filepath.Glob(filepath.Join(dir, "pmilterd_"+version+"_*.deb"))
	if err != nil || len(debs) != 1 {
		t.Fatalf("make deb made %v, %v", debs, err)
	}
	return debs[0]
}

// TestDebianPackage is the life of the package on a machine: installed, served, upgraded
// while a connection is open, removed, purged.
func TestDebianPackage(t *testing.T) {
	d := newDebian(t)
	before := d.files()
	first, second := makeDeb(t, "1.0.0"), makeDeb(t, "1.0.1")

	d.install(first)
	checkInstalled(t, d)
	d.serve()
	d.write("tmp/mail.eml", mail, 0o644)
	if out := d.run("pmilterd", "send", "/tmp/mail.eml"); !strings.Contains(out, "add header X-Filtered-By: ") || !strings.Contains(out, "accepted") {
		t.Errorf("the installed scripts: %s", out)
	}

	// Without systemd an upgrade leaves alone what runs: what is open goes on.
	open := beginMail(t, d)
	d.install(second)
	if got := d.run("pmilterd", "version"); !strings.HasPrefix(got, "pmilterd v1.0.1 ") {
		t.Errorf("after the upgrade pmilterd is %q", got)
	}
	endMail(t, open)
	_ = open.Close() // the old server would wait for it
	if !strings.Contains(d.run("pmilterd", "status", "--json"), `"v1.0.0"`) {
		t.Error("the old server does not run")
	}

	t.Run("taking over", func(t *testing.T) { takeOver(t, d, second) })
	t.Run("no taking over", func(t *testing.T) { noTakeOver(t, d, second) })
	leave(t, d, before)
}

// checkInstalled is how the machine is after the first installation.
func checkInstalled(t *testing.T, d *debian) {
	t.Helper()
	if account := d.run("getent", "passwd", "pmilter"); !strings.HasSuffix(account, ":/var/lib/pmilter:/usr/sbin/nologin\n") {
		t.Errorf("account %q", account)
	}
	if got := d.run("stat", "-c", "%U:%G %a", "/var/spool/pmilter"); got != "pmilter:pmilter 750\n" {
		t.Errorf("/var/spool/pmilter is %q", got)
	}
	if got := d.run("dpkg-query", "-W", "-f", "${Conffiles}", "pmilterd"); strings.Count(got, "/etc/pmilter/") != 2 {
		t.Errorf("conffiles: %q", got)
	}
	for _, file := range []string{
		"/etc/systemd/system/multi-user.target.wants/pmilterd.service", "/usr/share/man/man1/pmilterd-run.1.gz", "/usr/share/man/man5/pmilter.toml.5.gz",
		"/usr/share/bash-completion/completions/pmilterd", "/usr/share/zsh/vendor-completions/_pmilterd", "/usr/share/fish/vendor_completions.d/pmilterd.fish",
		"/usr/share/doc/pmilterd/packaging/postfix.md", "/usr/share/doc/pmilterd/pmilterd.cdx.json",
		"/usr/share/pmilter/prometheus/pmilterd.rules.yml", "/usr/share/pmilter/grafana/pmilterd.json",
	} {
		d.run("test", "-s", file)
	}
	// All that is shipped loads, by its own tests, as the account of the server.
	d.run("sh", "-c", `cd /usr/share/pmilter && setpriv --reuid=pmilter --regid=pmilter --clear-groups pmilterd test >/dev/null`)
}

// beginMail opens a connection to the server and a message in it.
func beginMail(t *testing.T, d *debian) *mta.Client {
	t.Helper()
	c, err := mta.NewClient(t.Context(), d.dial("127.0.0.1:8890"), mta.PostfixOptions(6))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Mail(t.Context(), "<alice@example.org>"); err != nil {
		t.Fatal(err)
	}
	if err := c.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	return c
}

// endMail ends the message: it is answered, with the edit of the installed script.
func endMail(t *testing.T, c *mta.Client) {
	t.Helper()
	for _, step := range []func() (mta.Reply, error){
		func() (mta.Reply, error) { return c.Rcpt(t.Context(), "<bob@example.net>") },
		func() (mta.Reply, error) { return c.Header(t.Context(), "Subject", "hello") },
		func() (mta.Reply, error) { return c.EOH(t.Context()) },
	} {
		if _, err := step(); err != nil {
			t.Fatalf("an open connection was dropped: %v", err)
		}
	}
	if _, edits, err := c.EOM(t.Context()); err != nil || len(edits) != 1 {
		t.Errorf("the open message ended with %v, %v", edits, err)
	}
}

// systemd is what the scripts of the package take for one.
func systemd(t *testing.T, d *debian) {
	t.Helper()
	fake, err := os.ReadFile("testdata/systemctl")
	if err != nil {
		t.Fatal(err)
	}
	d.write("usr/bin/systemctl", string(fake), 0o755)
	d.run("mkdir", "-p", "/run/systemd/system")
}

// takeOver upgrades under systemd: the new binary serves, and what is open stays open.
func takeOver(t *testing.T, d *debian, deb string) {
	t.Helper()
	systemd(t, d)
	old := d.read("run/main.pid")
	open := beginMail(t, d)
	if out := d.install(deb); !strings.Contains(out, "the new version has taken over") {
		t.Errorf("dpkg said %s", out)
	}
	if now := d.read("run/main.pid"); now == old || strings.Contains(d.read("run/systemctl.log"), "restart") {
		t.Errorf("the main process is %s, and was %s; systemctl was asked\n%s", now, old, d.read("run/systemctl.log"))
	}
	if !strings.Contains(d.run("pmilterd", "status", "--json"), `"v1.0.1"`) {
		t.Error("the new version does not serve")
	}
	d.run("pmilterd", "send", "/tmp/mail.eml")
	endMail(t, open)
	_ = open.Close()
}

// noTakeOver has main processes that do not hand over: the one that serves goes on, and one
// that has ended is started again. The file of secrets is for systemd to read, whose syntax
// is not the shell's.
func noTakeOver(t *testing.T, d *debian, deb string) {
	t.Helper()
	systemd(t, d)
	old := d.read("run/main.pid")
	d.write("etc/default/pmilterd", "RUN=$(touch /tmp/run)\nTICKS=`touch /tmp/run`\nWORDS=two words\ntouch /tmp/run\n", 0o600)
	upgrade := func(main, says string) string {
		t.Helper()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		cmd := d.command(ctx, "sh", "-c", main)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := out.Read(make([]byte, 1)); err != nil { // from here on it is as it is
			t.Fatal(err)
		}
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			_ = cmd.Wait()
		}()
		defer func() { cancel(); <-ended }()
		d.write("run/main.pid", strconv.Itoa(cmd.Process.Pid), 0o644)
		d.write("run/systemctl.log", "", 0o644)
		output(t, exec.CommandContext(t.Context(), "cp", deb, filepath.Join(d.dir, "pmilterd.deb")))
		said := d.run("env", "PMILTERD_HANDOVER_SECONDS=2", "dpkg", "--install", "/pmilterd.deb")
		if err := os.Remove(filepath.Join(d.dir, "pmilterd.deb")); err != nil {
			t.Error(err)
		}
		if !strings.Contains(said, says) {
			t.Errorf("%s: dpkg said %q, want %q in it", main, said, says)
		}
		return d.read("run/systemctl.log")
	}
	const deaf, mortal = "trap '' USR2; echo; exec sleep 1000", "echo; exec sleep 1000"
	if log := upgrade(deaf, "serves on"); strings.Contains(log, "start") || !strings.Contains(log, "daemon-reload") {
		t.Errorf("deaf: systemctl was asked\n%s", log)
	}
	if log := upgrade(mortal, "has ended"); !strings.Contains(log, "start pmilterd.service") {
		t.Errorf("ended: systemctl was asked\n%s", log)
	}
	d.run("systemctl", "mask", "pmilterd.service")
	if log := upgrade(mortal, "serves on"); strings.Contains(log, "MainPID") {
		t.Errorf("masked: systemctl was asked\n%s", log)
	}
	d.run("systemctl", "unmask", "pmilterd.service")
	d.write("usr/sbin/policy-rc.d", "#!/bin/sh\nexit 101\n", 0o755)
	if log := upgrade(deaf, ""); strings.Contains(log, "start") || strings.Contains(log, "MainPID") {
		t.Errorf("against the policy: systemctl was asked\n%s", log)
	}
	d.run("test", "!", "-e", "/tmp/run")
	d.run("rm", "/usr/sbin/policy-rc.d", "/etc/default/pmilterd")
	d.write("run/main.pid", old, 0o644)
}

// leave removes the package, which stops the server, and purges it: mail that waits stays,
// all else goes.
func leave(t *testing.T, d *debian, before map[string]bool) {
	t.Helper()
	systemd(t, d)
	d.write("run/systemctl.log", "", 0o644)
	if len(d.processes()) == 0 {
		t.Error("no server is seen, to be stopped")
	}
	d.run("dpkg", "--remove", "pmilterd")
	d.quiet()
	if log := d.read("run/systemctl.log"); !strings.Contains(log, "stop pmilterd.service") && !strings.Contains(log, "stop pmilterd.socket pmilterd.service") {
		t.Errorf("remove: systemctl was asked\n%s", log)
	}
	d.run("test", "-s", "/etc/pmilter/pmilter.toml")
	d.run("test", "!", "-e", "/usr/bin/pmilterd")
	d.write("var/lib/pmilter/store.db", "state", 0o600)
	d.write("var/spool/pmilter/archive/new/1.M1P1Q1.pmilter.mx", "mail", 0o600)
	d.write("var/spool/pmilter/empty/new/.keep", "", 0o600)
	d.run("rm", "/var/spool/pmilter/empty/new/.keep")
	if out := d.run("dpkg", "--purge", "pmilterd"); !strings.Contains(out, "mail is left in /var/spool/pmilter") {
		t.Errorf("purge said %s", out)
	}
	d.run("test", "-s", "/var/spool/pmilter/archive/new/1.M1P1Q1.pmilter.mx")
	d.run("rm", "-r", "/var/spool/pmilter", "/usr/bin/systemctl", "/tmp/mail.eml")
	var left []string
	for name := range d.files() {
		if !before[name] {
			left = append(left, name)
		}
	}
	if slices.Sort(left); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	if out, err := d.command(t.Context(), "dpkg-query", "-W", "pmilterd").CombinedOutput(); err == nil && strings.Contains(string(out), "installed") {
		t.Errorf("dpkg still knows it: %s", out)
	}
}
