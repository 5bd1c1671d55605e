package script

import (
	"net/netip"
	"strconv"
	"strings"

	"github.com/dop251/goja"
	"golang.org/x/net/idna"
)

// webURL is a URL record of the WHATWG URL Standard §4.1. Its parser follows the
// standard for what occurs in practice; what it leaves out (IPv4 in parts other
// than four decimals, Windows drive letters) is refused or left as it is.
type webURL struct {
	scheme, username, password string
	host, port                 string
	hasHost                    bool
	path                       string // with its first slash
	opaque                     bool   // path is no list: mailto:x
	query, fragment            string // with ? and #, "" when empty
}

// defaultPort is the port of a special scheme; special schemes have hosts.
func defaultPort(scheme string) (port string, special bool) {
	switch scheme {
	case "http", "ws":
		return "80", true
	case "https", "wss":
		return "443", true
	case "ftp":
		return "21", true
	case "file":
		return "", true
	}
	return "", false
}

// parseWebURL parses an input, relative to base unless that is nil. It returns
// nil for a failure.
func parseWebURL(input string, base *webURL) *webURL {
	input = strings.TrimFunc(input, func(r rune) bool { return r <= ' ' })
	input = strings.NewReplacer("\t", "", "\n", "", "\r", "").Replace(input)
	rest, fragment, hasFragment := strings.Cut(input, "#")
	scheme, after := cutScheme(rest)
	u := &webURL{scheme: scheme}
	if scheme == "" {
		if base == nil || base.opaque && (rest != "" || !hasFragment) {
			return nil
		}
		u.scheme = base.scheme
	}
	_, special := defaultPort(u.scheme)
	location, query, hasQuery := strings.Cut(after, "?")
	if special {
		location = strings.ReplaceAll(location, `\`, "/")
	}
	relative := scheme == "" || special && base != nil && base.scheme == scheme && !strings.HasPrefix(location, "/")
	if relative {
		if !u.resolve(location, hasQuery, base) {
			return nil
		}
	} else if !u.absolute(location, special) {
		return nil
	}
	if hasQuery && query != "" {
		u.query = "?" + escapeQuery(query, special)
	}
	if hasFragment && fragment != "" {
		u.fragment = "#" + escapeURL(fragment, ` "<>`+"`")
	}
	return u
}

func cutScheme(s string) (scheme, rest string) {
	for i, c := range []byte(s) {
		letter := c|0x20 >= 'a' && c|0x20 <= 'z'
		switch {
		case letter, i > 0 && (c >= '0' && c <= '9' || c == '+' || c == '-' || c == '.'):
		case c == ':' && i > 0:
			return strings.ToLower(s[:i]), s[i+1:]
		default:
			return "", s
		}
	}
	return "", s
}

// absolute takes what follows the scheme.
func (u *webURL) absolute(location string, special bool) bool {
	switch {
	case u.scheme == "file":
		location = "//" + strings.TrimPrefix(location, "//")
	case special:
		location = "//" + strings.TrimLeft(location, "/")
	case !strings.HasPrefix(location, "/"):
		// A space at the end would be lost when the URL is read again.
		trimmed := strings.TrimRight(location, " ")
		u.opaque, u.path = true, escapeURL(trimmed, "")+strings.Repeat("%20", len(location)-len(trimmed))
		return true
	}
	return u.setLocation(location)
}

// setLocation takes //authority/path or /path.
func (u *webURL) setLocation(location string) bool {
	_, special := defaultPort(u.scheme)
	path := location
	if authority, ok := strings.CutPrefix(location, "//"); ok {
		path = ""
		if i := strings.IndexByte(authority, '/'); i >= 0 {
			authority, path = authority[:i], authority[i:]
		}
		if !u.setAuthority(authority) {
			return false
		}
	}
	u.path = cleanPath(path, nil)
	if u.path == "" && special {
		u.path = "/"
	}
	return true
}

func (u *webURL) resolve(location string, hasQuery bool, base *webURL) bool {
	if strings.HasPrefix(location, "//") {
		return u.setLocation(location)
	}
	u.username, u.password, u.host, u.port, u.hasHost = base.username, base.password, base.host, base.port, base.hasHost
	switch {
	case base.opaque, location == "":
		u.path, u.opaque = base.path, base.opaque
		if !hasQuery {
			u.query = base.query
		}
	case strings.HasPrefix(location, "/"):
		u.path = cleanPath(location, nil)
	default:
		folder := strings.Split(strings.TrimPrefix(base.path, "/"), "/")
		u.path = cleanPath("/"+location, folder[:len(folder)-1])
	}
	return true
}

func (u *webURL) setAuthority(authority string) bool {
	if i := strings.LastIndexByte(authority, '@'); i >= 0 {
		user, password, _ := strings.Cut(authority[:i], ":")
		u.username, u.password = escapeUser(user), escapeUser(password)
		authority = authority[i+1:]
		if authority == "" {
			return false
		}
	}
	host, port := authority, ""
	if i := strings.LastIndexByte(authority, ':'); i > strings.LastIndexByte(authority, ']') {
		host, port = authority[:i], authority[i+1:]
	}
	if !u.setHost(host) || host == "" && (port != "" || u.username != "") {
		return false
	}
	return u.setPort(port)
}

func (u *webURL) setHost(host string) bool {
	_, special := defaultPort(u.scheme)
	u.hasHost = true
	if host == "" {
		u.host = ""
		return u.scheme == "file" || !special
	}
	if inner, ok := strings.CutPrefix(host, "["); ok {
		ip, err := netip.ParseAddr(strings.TrimSuffix(inner, "]"))
		if err != nil || !ip.Is6() || ip.Zone() != "" || !strings.HasSuffix(host, "]") {
			return false
		}
		u.host = "[" + ip.String() + "]"
		return true
	}
	const forbidden = "\x00\t\n\r #/:<>?@[\\]^|"
	if !special {
		u.host = escapeURL(host, "")
		return !strings.ContainsAny(host, forbidden)
	}
	profile := idna.New(idna.MapForLookup(), idna.BidiRule(), idna.Transitional(false), idna.StrictDomainName(false))
	ascii, err := profile.ToASCII(unescapeURL(host))
	if err != nil || ascii == "" || strings.ContainsAny(ascii, forbidden+"%\x7f") {
		return false
	}
	if again, err := profile.ToASCII(ascii); err != nil || again != ascii {
		return false // what no one could read back
	}
	for _, c := range []byte(ascii) {
		if c < ' ' {
			return false
		}
	}
	labels := strings.Split(strings.TrimSuffix(ascii, "."), ".")
	if last := labels[len(labels)-1]; last != "" && strings.Trim(last, "0123456789") == "" || strings.HasPrefix(last, "0x") {
		ip, err := netip.ParseAddr(strings.TrimSuffix(ascii, "."))
		if err != nil {
			return false
		}
		ascii = ip.String()
	}
	if u.scheme == "file" && ascii == "localhost" {
		ascii = ""
	}
	u.host = ascii
	return true
}

func (u *webURL) setPort(port string) bool {
	u.port = ""
	if port == "" {
		return true
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || strings.Trim(port, "0123456789") != "" {
		return false
	}
	if fixed, _ := defaultPort(u.scheme); strconv.FormatUint(n, 10) != fixed {
		u.port = strconv.FormatUint(n, 10)
	}
	return true
}

// cleanPath takes a path apart, behind some segments, and resolves its dots.
func cleanPath(path string, segments []string) string {
	if path == "" {
		return ""
	}
	segments = append([]string(nil), segments...)
	parts := strings.Split(path[1:], "/")
	for i, part := range parts {
		last := i == len(parts)-1
		switch strings.ReplaceAll(strings.ToLower(part), "%2e", ".") {
		case "..":
			if len(segments) > 0 {
				segments = segments[:len(segments)-1]
			}
			if last {
				segments = append(segments, "")
			}
		case ".":
			if last {
				segments = append(segments, "")
			}
		default:
			segments = append(segments, escapeURL(part, ` "#<>?`+"`{}^"))
		}
	}
	return "/" + strings.Join(segments, "/")
}

// escapeURL percent-encodes control characters, what is not ASCII, and some more.
func escapeURL(s, more string) string {
	const digits = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c <= 0x1f || c >= 0x7f || strings.IndexByte(more, c) >= 0 {
			b.Write([]byte{'%', digits[c>>4], digits[c&15]})
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

func escapeUser(s string) string { return escapeURL(s, ` "#<>?`+"`{}^"+`/:;=@[\]|`) }

func escapeQuery(s string, special bool) string {
	if special {
		return escapeURL(s, ` "#<>'`)
	}
	return escapeURL(s, ` "#<>`)
}

// unescapeURL undoes percent-encoding; what is none stays.
func unescapeURL(s string) string {
	if !strings.Contains(s, "%") {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if c, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil && !strings.ContainsAny(s[i+1:i+3], "+-") {
				b.WriteByte(byte(c))
				i += 2
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

func (u *webURL) String() string {
	var b strings.Builder
	b.WriteString(u.scheme + ":")
	if u.hasHost {
		b.WriteString("//")
		if u.username != "" || u.password != "" {
			b.WriteString(u.username)
			if u.password != "" {
				b.WriteString(":" + u.password)
			}
			b.WriteByte('@')
		}
		b.WriteString(u.hostPort())
	} else if strings.HasPrefix(u.path, "//") {
		b.WriteString("/.") // else the path would read as a host
	}
	b.WriteString(u.path + u.query + u.fragment)
	return b.String()
}

func (u *webURL) hostPort() string {
	if u.port == "" {
		return u.host
	}
	return u.host + ":" + u.port
}

// set changes one part, as the setters of the class URL do: what is not valid is ignored.
func (u *webURL) set(part, value string) {
	_, special := defaultPort(u.scheme)
	next := *u
	ok := true
	switch part {
	case "protocol":
		scheme, _ := cutScheme(strings.TrimSuffix(value, ":") + ":")
		_, nextSpecial := defaultPort(scheme)
		ok = scheme != "" && special == nextSpecial && scheme != "file" && u.scheme != "file"
		next.scheme = scheme
		ok = ok && next.setPort(u.port)
	case "username":
		next.username, ok = escapeUser(value), u.host != "" && u.scheme != "file"
	case "password":
		next.password, ok = escapeUser(value), u.host != "" && u.scheme != "file"
	case "host":
		host, port := value, u.port
		if i := strings.LastIndexByte(value, ':'); i > strings.LastIndexByte(value, ']') {
			host, port = value[:i], value[i+1:]
		}
		ok = !u.opaque && (host != "" || !special) && next.setHost(host) && next.setPort(port)
	case "hostname":
		ok = !u.opaque && (value != "" || !special) && next.setHost(value)
	case "port":
		ok = u.host != "" && u.scheme != "file" && next.setPort(value)
	case "pathname":
		if special {
			value = strings.ReplaceAll(value, `\`, "/")
		}
		next.path, ok = cleanPath("/"+strings.TrimPrefix(value, "/"), nil), !u.opaque
	case "search":
		next.query = ""
		if value = strings.TrimPrefix(value, "?"); value != "" {
			next.query = "?" + escapeQuery(value, special)
		}
	case "hash":
		next.fragment = ""
		if value = strings.TrimPrefix(value, "#"); value != "" {
			next.fragment = "#" + escapeURL(value, ` "<>`+"`")
		}
	}
	if ok {
		*u = next
	}
}

// urlParse is urlParse(input, base) of globals.js: the parts, or null.
func urlParse(rt *goja.Runtime, c goja.FunctionCall) goja.Value {
	var base *webURL
	if b := c.Argument(1); !goja.IsUndefined(b) {
		if base = parseWebURL(b.String(), nil); base == nil {
			return goja.Null()
		}
	}
	u := parseWebURL(c.Argument(0).String(), base)
	if u == nil {
		return goja.Null()
	}
	return urlParts(rt, u)
}

// urlSet is urlSet(href, part, value) of globals.js: the parts.
func urlSet(rt *goja.Runtime, c goja.FunctionCall) goja.Value {
	u := parseWebURL(c.Argument(0).String(), nil)
	if u == nil {
		return goja.Null()
	}
	u.set(c.Argument(1).String(), c.Argument(2).String())
	return urlParts(rt, u)
}

func urlParts(rt *goja.Runtime, u *webURL) goja.Value {
	origin := "null"
	if _, special := defaultPort(u.scheme); special && u.scheme != "file" {
		origin = u.scheme + "://" + u.hostPort()
	}
	o := rt.NewObject()
	for _, part := range [][2]string{
		{"href", u.String()},
		{"protocol", u.scheme + ":"},
		{"username", u.username},
		{"password", u.password},
		{"host", u.hostPort()},
		{"hostname", u.host},
		{"port", u.port},
		{"pathname", u.path},
		{"search", u.query},
		{"hash", u.fragment},
		{"origin", origin},
	} {
		throwAgain(o.Set(part[0], part[1]))
	}
	return o
}

// queryParse is the names and values of application/x-www-form-urlencoded, in turn.
func queryParse(rt *goja.Runtime, c goja.FunctionCall) goja.Value {
	var list []any
	for _, pair := range strings.Split(c.Argument(0).String(), "&") {
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(strings.ReplaceAll(pair, "+", " "), "=")
		list = append(list, strings.ToValidUTF8(unescapeURL(name), "\uFFFD"), strings.ToValidUTF8(unescapeURL(value), "\uFFFD"))
	}
	return rt.NewArray(list...)
}

// queryEscape is one name or value in application/x-www-form-urlencoded.
func queryEscape(rt *goja.Runtime, c goja.FunctionCall) goja.Value {
	s := escapeURL(c.Argument(0).String(), `!"#$%&'()+,/:;<=>?@[\]^`+"`{|}~")
	return rt.ToValue(strings.ReplaceAll(s, " ", "+"))
}
