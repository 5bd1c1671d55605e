package milter

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	wire "github.com/emersion/go-milter"
)

var (
	errMalformed    = errors.New("milter: malformed packet")
	errUnterminated = fmt.Errorf("%w: a string without its NUL", errMalformed)
)

// cutNUL is what stands before and after the first NUL; without one, all stands
// before it.
func cutNUL(p []byte) (before, after []byte, found bool) {
	i := bytes.IndexByte(p, 0)
	if i < 0 {
		return p, nil, false
	}
	return p[:i], p[i+1:], true
}

// cutString splits off one string and its NUL.
func cutString(p []byte) (s, rest []byte, err error) {
	s, rest, ok := cutNUL(p)
	if !ok {
		return nil, nil, errUnterminated
	}
	return s, rest, nil
}

// parseString is a payload of one string. No payload at all is "".
func parseString(p []byte) (string, error) {
	if len(p) == 0 {
		return "", nil
	}
	s, _, err := cutString(p)
	return string(s), err
}

// parsePath is the payload of MAIL and RCPT: a path and its ESMTP parameters.
// A bounce that does not come by SMTP has no path, or no payload.
func parsePath(p []byte) (path string, params []string, err error) {
	if len(p) == 0 {
		return "", nil, nil
	}
	if p[len(p)-1] != 0 {
		return "", nil, errUnterminated
	}
	first, rest, _ := cutNUL(p)
	path = string(first)
	if len(rest) <= 1 {
		return path, nil, nil
	}
	all := string(rest[:len(rest)-1]) // one copy, shared by all
	params = make([]string, 0, 1+strings.Count(all, "\x00"))
	for param := range strings.SplitSeq(all, "\x00") {
		if param != "" {
			params = append(params, param)
		}
	}
	return path, params, nil
}

// parseHeader is the payload of HEADER.
func parseHeader(p []byte) (name, value []byte, err error) {
	name, rest, err := cutString(p)
	if err != nil {
		return nil, nil, err
	}
	value, _, err = cutString(rest)
	return name, value, err
}

// connectInfo is the payload of CONNECT.
type connectInfo struct {
	host   string
	family wire.ProtoFamily
	port   uint16
	addr   string
}

// parseConnect takes more than libmilter does (st_connectinfo): the family may
// be missing, and the port and address after it.
func parseConnect(p []byte) (connectInfo, error) {
	host, rest, err := cutString(p)
	if err != nil {
		return connectInfo{}, err
	}
	info := connectInfo{host: string(host), family: wire.FamilyUnknown}
	if len(rest) == 0 {
		return info, nil
	}
	info.family, rest = wire.ProtoFamily(rest[0]), rest[1:]
	switch info.family {
	case wire.FamilyUnknown:
		return info, nil
	case wire.FamilyUnix, wire.FamilyInet, wire.FamilyInet6:
	default:
		return connectInfo{}, fmt.Errorf("%w: address family %q", errMalformed, byte(info.family))
	}
	if len(rest) == 0 {
		return info, nil
	}
	if info.family == wire.FamilyUnix && (rest[0] != 0 || len(rest) == 1) {
		// The MTAs send a port of 0 here; others, go-milter's client for one, none.
		info.addr, err = parseString(rest)
		return info, err
	}
	if len(rest) < 2 {
		return connectInfo{}, fmt.Errorf("%w: port cut short", errMalformed)
	}
	info.port, rest = binary.BigEndian.Uint16(rest), rest[2:]
	if info.addr, err = parseString(rest); err != nil {
		return connectInfo{}, err
	}
	if info.family != wire.FamilyUnix {
		info.addr = trimIPv6Prefix(info.addr)
	}
	return info, nil
}

// trimIPv6Prefix removes the tag of an address literal (RFC 5321 §4.1.3), with
// which Sendmail sends IPv6 addresses.
func trimIPv6Prefix(addr string) string {
	const tag = "IPv6:"
	if len(addr) > len(tag) && strings.EqualFold(addr[:len(tag)], tag) {
		return addr[len(tag):]
	}
	return addr
}
