package config

import (
	"slices"
	"time"

	"pmilter/internal/permit"
)

// DNS is how names are looked up.
type DNS struct {
	Servers []string      // "host:port"; none: the system's
	Timeout time.Duration // a whole look-up, all tries included
}

// Permissions is what scripts may reach beyond their worlds. Each entry has been
// accepted by permit.CheckNet or permit.CheckExec.
type Permissions struct {
	Net  []string // hosts and sockets
	Exec []string // programs that jobs may run, absolute paths
	// Maildir is folders in which jobs may deliver to Maildirs, absolute paths.
	Maildir []string
}

// servers is a list of name servers; a port that is missing is 53.
func servers(to *[]string) setter {
	return func(l *loader, name string, v *value) {
		list := []string{}
		if l.stringList(name, v, `an address like "192.0.2.53:53"`, func(s string) error {
			t, err := permit.ParseTarget(s)
			if bare, noPort := permit.NewTarget(s, 53); noPort == nil {
				t, err = bare, nil
			}
			if err == nil && t.Path != "" {
				_, err = permit.NewTarget(s, 53)
			}
			if err != nil {
				return err
			}
			list = append(list, t.String())
			return nil
		}) {
			*to = list
		}
	}
}

// permissions is a list of entries, possibly none.
func permissions(to *[]string, one string, check func(string) error) setter {
	return func(l *loader, name string, v *value) {
		list := []string{}
		if l.stringList(name, v, one, func(s string) error {
			if err := check(s); err != nil {
				return err
			}
			if !slices.Contains(list, s) {
				list = append(list, s)
			}
			return nil
		}) {
			*to = list
		}
	}
}
