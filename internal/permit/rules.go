package permit

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
)

// Rules are the entries of [permissions]. They do not change; a nil *Rules allows
// nothing.
type Rules struct {
	net, exec []string // as configured
	entries   []entry
	programs  map[string]bool
}

// entry is one line of net.
type entry struct {
	path   string // of a unix socket
	prefix netip.Prefix
	host   string // a name; what follows the star of "*.host"; "" for "*"
	any    bool   // a wildcard
	port   uint16 // 0: any
}

// Error is a refusal. It names the line to write.
type Error struct{ text string }

func (e *Error) Error() string { return e.text }

// Name is what scripts know the error by.
func (e *Error) Name() string { return "PermissionError" }

// New reads the entries of net and exec.
func New(net, exec []string) (*Rules, error) {
	r := &Rules{net: net, exec: exec, programs: map[string]bool{}}
	for _, s := range net {
		e, err := parseEntry(s)
		if err != nil {
			return nil, fmt.Errorf("permissions.net: %w", err)
		}
		r.entries = append(r.entries, e)
	}
	for _, s := range exec {
		if err := CheckExec(s); err != nil {
			return nil, fmt.Errorf("permissions.exec: %w", err)
		}
		r.programs[program(s)] = true
	}
	return r, nil
}

// CheckNet tells what is wrong with an entry of net, nil if nothing is.
func CheckNet(s string) error {
	_, err := parseEntry(s)
	return err
}

// CheckExec tells what is wrong with an entry of exec, nil if nothing is.
func CheckExec(s string) error {
	if !filepath.IsAbs(s) || strings.ContainsRune(s, 0) || strings.HasSuffix(s, "/") {
		return fmt.Errorf("%q is no program: write its whole path, like /usr/bin/spamc", s)
	}
	return nil
}

func parseEntry(s string) (entry, error) {
	bad := fmt.Errorf("%q: %w", s, errNoEntry)
	if path, ok := strings.CutPrefix(s, "unix:"); ok {
		if !strings.HasPrefix(path, "/") || strings.ContainsRune(path, 0) {
			return entry{}, bad
		}
		return entry{path: filepath.Clean(path)}, nil
	}
	host, port := cutPort(s)
	e := entry{}
	if port != "" {
		n, err := parsePort(port)
		if err != nil {
			return entry{}, fmt.Errorf("%q: %w", s, err)
		}
		e.port = n
	}
	bare := strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if prefix, err := netip.ParsePrefix(bare); err == nil {
		e.prefix = prefix.Masked()
		return e, nil
	}
	if ip, err := netip.ParseAddr(bare); err == nil && ip.Zone() == "" {
		ip = ip.Unmap()
		e.prefix = netip.PrefixFrom(ip, ip.BitLen())
		return e, nil
	}
	if host == "*" {
		e.any = true
		return e, nil
	}
	name, wild := strings.CutPrefix(host, "*.")
	name, err := hostName(name)
	if err != nil {
		return entry{}, bad
	}
	e.host, e.any = name, wild
	return e, nil
}

// cutPort takes the port off "host:port", "[v6]:port", "net/bits:port".
func cutPort(s string) (host, port string) {
	i := strings.LastIndexByte(s, ':')
	if i < 0 || strings.HasSuffix(s, "]") || !strings.HasPrefix(s, "[") && strings.Count(s, ":") > 1 {
		return s, "" // an IPv6 address has no port without brackets
	}
	if s[i+1:] == "" {
		return s, "0" // a colon and no port: a fault
	}
	return s[:i], s[i+1:]
}

// Connect refuses what no entry allows: a *Error. A name that passes has yet to be
// looked up, and its addresses to pass Address.
func (r *Rules) Connect(t Target) error {
	if r != nil {
		for _, e := range r.entries {
			if e.matches(t) {
				return nil
			}
		}
	}
	return &Error{fmt.Sprintf("scripts may not reach %s: %s", t, r.line("net", t.String()))}
}

func (e entry) matches(t Target) bool {
	switch {
	case t.Path != "":
		return e.path != "" && e.path == t.Path
	case e.path != "" || e.port != 0 && e.port != t.Port:
		return false
	case t.IP.IsValid():
		return e.prefix.IsValid() && e.prefix.Contains(t.IP)
	case e.prefix.IsValid():
		return false
	case e.any:
		return e.host == "" || strings.HasSuffix(t.Host, "."+e.host)
	default:
		return e.host == t.Host
	}
}

// Address refuses an address that a name, which passed Connect, leads to but may
// not: a *Error.
func (r *Rules) Address(t Target, ip netip.Addr) error {
	ip = ip.Unmap()
	at := Target{IP: ip, Port: t.Port}
	kind := kindOf(ip)
	if kind == public {
		return nil
	}
	if r != nil {
		for _, e := range r.entries {
			if e.matches(at) || kind == inner && !e.any && e.matches(t) {
				return nil
			}
		}
	}
	return &Error{fmt.Sprintf("scripts may reach %s, but its address is %s, which is not public: %s", t, ip, r.line("net", at.String()))}
}

// Exec is the program to run for a path that a script gives, or a *Error.
func (r *Rules) Exec(path string) (string, error) {
	if !filepath.IsAbs(path) {
		return "", &Error{fmt.Sprintf("%q: a program is run by its whole path, like /usr/bin/spamc", path)}
	}
	if p := program(path); r != nil && r.programs[p] {
		return p, nil
	}
	return "", &Error{fmt.Sprintf("jobs may not run %s: %s", filepath.Clean(path), r.line("exec", filepath.Clean(path)))}
}

// program is a program's path with the links of its folder followed (/bin is
// /usr/bin). A link of the program itself is not: busybox is many programs.
func program(path string) string {
	path = filepath.Clean(path)
	if folder, err := filepath.EvalSymlinks(filepath.Dir(path)); err == nil {
		return filepath.Join(folder, filepath.Base(path))
	}
	return path
}

// maxLine is how much of a long list a refusal repeats.
const maxLine = 400

// line is what to write to allow something.
func (r *Rules) line(key, what string) string {
	var have []string
	if r != nil {
		have = r.net
		if key == "exec" {
			have = r.exec
		}
	}
	quoted := make([]string, 0, len(have)+1)
	for _, s := range append(slices.Clone(have), what) {
		quoted = append(quoted, fmt.Sprintf("%q", s))
	}
	list := strings.Join(quoted, ", ")
	if len(list) > maxLine {
		list = "..., " + quoted[len(quoted)-1]
	}
	return fmt.Sprintf("to allow it, write in pmilter.toml under [permissions]: %s = [%s]", key, list)
}
