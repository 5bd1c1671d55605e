package config

import (
	"strings"

	"pmilter/internal/store"
)

// Server is where the server keeps what is its own.
type Server struct {
	// Runtime is the folder of the control socket, absolute; "": the first usable of the
	// usual ones.
	Runtime string
	// State is the folder of what outlives the process, absolute; "": the usual one.
	State string
}

// Store is what scripts share by pmilter/store.
type Store struct {
	// URL has been accepted by store.ParseURL; the path of a file is absolute. It
	// may hold a password.
	URL string
}

// folder is a path, or "".
func folder(to *string) setter {
	return func(l *loader, name string, v *value) {
		s, ok := l.str(name, v, "a path")
		switch {
		case !ok:
		case strings.ContainsRune(s, 0):
			l.fault(v.at, "%s: %q is not a path", name, s)
		case s == "":
			*to = ""
		default:
			*to = l.absolute(s)
		}
	}
}

// storeURL is a store's URL.
func storeURL(to *string) setter {
	return func(l *loader, name string, v *value) {
		s, ok := l.str(name, v, "a string")
		if !ok {
			return
		}
		u, err := store.ParseURL(s)
		if err != nil {
			l.fault(v.at, "%s: %s", name, err) // not s: it may hold a password
			return
		}
		if path, ok := u.File(); ok && path != "" {
			s = "file:" + l.absolute(path)
		}
		*to = s
	}
}
