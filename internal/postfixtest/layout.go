package postfixtest

import (
	"fmt"
	"maps"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// masterCF is what the instance runs: the services a mail needs from smtpd or
// sendmail to LMTP, none of them in a chroot. The verb is the SMTP address.
const masterCF = `%s inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
local unix - n n - - local
virtual unix - n n - - virtual
lmtp unix - - n - - lmtp
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
`

// mainCF is the plain configuration: nothing is looked up in the DNS, nothing
// waits, nothing rewrites a header, all mail goes to the sink.
func (p *Postfix) mainCF() map[string]string {
	sink := "lmtp:inet:" + p.Sink.Addr
	return map[string]string{
		"compatibility_level":            "3.6",
		"queue_directory":                filepath.Join(p.Dir, "queue"),
		"data_directory":                 filepath.Join(p.Dir, "data"),
		"maillog_file":                   p.logFile(),
		"maillog_file_prefixes":          p.Dir,
		"inet_interfaces":                "loopback-only",
		"inet_protocols":                 "all",
		"myhostname":                     "mx.example.org",
		"mydomain":                       "example.org",
		"myorigin":                       "example.org",
		"mynetworks":                     "127.0.0.0/8 [::1]/128",
		"mydestination":                  "",
		"alias_maps":                     "",
		"alias_database":                 "",
		"default_transport":              sink,
		"relay_transport":                sink,
		"local_transport":                sink,
		"smtp_dns_support_level":         "disabled",
		"lmtp_dns_support_level":         "disabled",
		"lmtp_line_length_limit":         "0", // else long lines are folded on the way out
		"smtpd_relay_restrictions":       "permit_mynetworks, reject_unauth_destination",
		"relay_domains":                  "example.org example.net example.com", // for clients that XCLIENT made strangers
		"smtpd_recipient_restrictions":   "",
		"smtpd_authorized_xclient_hosts": "127.0.0.0/8",
		"local_header_rewrite_clients":   "", // no header is completed or rewritten
		"always_add_missing_headers":     "no",
		"enable_long_queue_ids":          "yes", // never used twice
		"smtputf8_enable":                "yes",
		"smtpd_error_sleep_time":         "0",
		"smtpd_soft_error_limit":         "1000",
		"smtpd_hard_error_limit":         "1001",
		"in_flow_delay":                  "0",
		"queue_run_delay":                "2s",
		"minimal_backoff_time":           "2s",
		"maximal_backoff_time":           "4s",
		"biff":                           "no",
	}
}

// layOut makes the instance's folders, as `postfix set-permissions` would, and
// its two configuration files. It may be called again for another port.
func (p *Postfix) layOut(config Config) error {
	owner, group, err := mailIDs()
	if err != nil {
		return err
	}
	// Postfix's unprivileged daemons pass through here.
	if err := os.Chmod(p.Dir, 0o755); err != nil {
		return err
	}
	type folder struct {
		name     string
		uid, gid int
		mode     os.FileMode
	}
	folders := []folder{
		{"config", 0, 0, 0o755},
		{"queue", 0, 0, 0o755},
		{"queue/pid", 0, 0, 0o755},
		{"data", owner, 0, 0o700},
		{"queue/maildrop", owner, group, 0o730 | os.ModeSticky},
		{"queue/public", owner, group, 0o710},
	}
	for _, name := range strings.Fields("active bounce corrupt defer deferred flush hold incoming private saved trace") {
		folders = append(folders, folder{"queue/" + name, owner, 0, 0o700})
	}
	for _, f := range folders {
		path := filepath.Join(p.Dir, f.name)
		if err := os.MkdirAll(path, 0o755); err != nil {
			return err
		}
		if err := os.Chown(path, f.uid, f.gid); err != nil {
			return err
		}
		if err := os.Chmod(path, f.mode); err != nil { // after chown, which clears bits
			return err
		}
	}
	settings := p.mainCF()
	if len(config.Milters) > 0 {
		settings["smtpd_milters"] = strings.Join(config.Milters, ", ")
	}
	if len(config.NonSMTPDMilters) > 0 {
		settings["non_smtpd_milters"] = strings.Join(config.NonSMTPDMilters, ", ")
	}
	maps.Copy(settings, config.MainCF)
	var main strings.Builder
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		fmt.Fprintf(&main, "%s = %s\n", name, settings[name])
	}
	if err := os.WriteFile(p.mainCFFile(), []byte(main.String()), 0o644); err != nil {
		return err
	}
	if err := p.ageMainCF(); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(p.configDir(), "master.cf"), fmt.Appendf(nil, masterCF, p.Addr), 0o644)
}

// mailIDs are the user and the group that the package brought along:
// mail_owner and setgid_group at their defaults.
func mailIDs() (uid, gid int, err error) {
	u, err := user.Lookup("postfix")
	if err != nil {
		return 0, 0, err
	}
	g, err := user.LookupGroup("postdrop")
	if err != nil {
		return 0, 0, err
	}
	if uid, err = strconv.Atoi(u.Uid); err != nil {
		return 0, 0, err
	}
	gid, err = strconv.Atoi(g.Gid)
	return uid, gid, err
}

// ageMainCF makes main.cf look old: Postfix does not trust a configuration file
// that changed within the last second and waits (dict_load_file_xt).
func (p *Postfix) ageMainCF() error {
	then := time.Now().Add(-time.Hour)
	return os.Chtimes(p.mainCFFile(), then, then)
}

func (p *Postfix) mainCFFile() string { return filepath.Join(p.configDir(), "main.cf") }
func (p *Postfix) configDir() string  { return filepath.Join(p.Dir, "config") }
func (p *Postfix) logFile() string    { return filepath.Join(p.Dir, "mail.log") }

// outputFile has what the master process itself prints, before it can log.
func (p *Postfix) outputFile() string { return filepath.Join(p.Dir, "master.out") }
