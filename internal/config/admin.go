package config

import (
	"strings"

	"pmilter/internal/permit"
)

// Admin is where the server tells of itself by HTTP.
type Admin struct {
	// Listen is "host:port", "[IPv6]:port" or "unix:/path", absolute; "": nowhere.
	Listen string
}

// adminListen is an address to listen on, or "". A path may be relative to the file.
func adminListen(to *string) setter {
	return func(l *loader, name string, v *value) {
		s, ok := l.str(name, v, `an address like "127.0.0.1:8891"`)
		if !ok {
			return
		}
		if path, ok := strings.CutPrefix(s, "unix:"); ok && path != "" {
			s = "unix:" + l.absolute(path)
		}
		if s == "" {
			*to = ""
			return
		}
		t, err := permit.ParseTarget(s)
		if err != nil {
			l.fault(v.at, "%s: %s", name, err)
			return
		}
		*to = t.String()
	}
}
