package packaging_test

import (
	"slices"
	"strings"
	"testing"
)

// started is what the package asked systemd to start since the last time.
func started(d *debian) []string {
	d.t.Helper()
	var units []string
	for line := range strings.Lines(d.read("run/systemctl.log")) {
		words := strings.Fields(line)
		if i := slices.Index(words, "start"); i >= 0 {
			units = append(units, words[i+1:]...)
		}
	}
	d.write("run/systemctl.log", "", 0o644)
	return units
}

// state is whether systemd would start a unit at boot: enabled, disabled or masked.
func state(d *debian, unit string) string {
	d.t.Helper()
	return strings.TrimSpace(d.run("sh", "-c", "systemctl is-enabled "+unit+" || :"))
}

// TestServiceIsAsItWas: the service is enabled and started by the first installation, and
// again by the one after a removal; one that the administrator has disabled or masked stays
// so, whatever is installed.
func TestServiceIsAsItWas(t *testing.T) {
	d := newDebian(t)
	deb := makeDeb(t, "1.0.0")
	systemd(t, d)
	const service, socket = "pmilterd.service", "pmilterd.socket"
	installed := func(when, wantState string, want ...string) {
		t.Helper()
		d.install(deb)
		if got := state(d, service); got != wantState {
			t.Errorf("%s: the service is %s, want %s", when, got, wantState)
		}
		if got := started(d); !slices.Equal(got, want) {
			t.Errorf("%s: %v was started, want %v", when, got, want)
		}
	}
	installed("the first installation", "enabled", service)
	installed("again", "enabled", service) // it does not run: as by Debian's own scripts
	for range 2 {
		d.run("dpkg", "--remove", "pmilterd")
		installed("after a removal", "enabled", service)
	}
	d.write("usr/sbin/policy-rc.d", "#!/bin/sh\nexit 101\n", 0o755)
	d.run("dpkg", "--remove", "pmilterd")
	installed("after a removal, against the policy", "enabled")
	d.run("rm", "/usr/sbin/policy-rc.d")

	d.run("systemctl", "enable", socket)
	d.run("dpkg", "--remove", "pmilterd")
	installed("after a removal, with a socket", "enabled", socket, service)
	d.run("systemctl", "disable", socket)

	d.run("systemctl", "disable", service)
	installed("disabled, an upgrade", "disabled")
	d.run("dpkg", "--remove", "pmilterd")
	installed("disabled, after a removal", "disabled")

	d.run("systemctl", "enable", service)
	d.run("systemctl", "mask", service)
	installed("masked, an upgrade", "masked")
	d.run("dpkg", "--remove", "pmilterd")
	installed("masked, after a removal", "masked")
	d.run("systemctl", "unmask", service)
	installed("no longer masked", "enabled", service)

	d.run("systemctl", "disable", service)
	d.run("dpkg", "--purge", "pmilterd")
	installed("after a purge", "enabled", service)
	d.run("dpkg", "--purge", "pmilterd")
	for _, unit := range []string{service, socket} {
		if got := state(d, unit); got != "disabled" {
			t.Errorf("purged: %s is %s", unit, got)
		}
	}
}
