package mta

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/emersion/go-milter"

	imilter "pmilter/internal/milter"
)

// Macros are the values of an MTA's macros. Names are without braces.
type Macros map[string]string

// PostfixMacros are what Postfix knows of a client that is not authenticated
// and uses no TLS. hostname is the MTA's own name.
func PostfixMacros(hostname string, p Peer) Macros {
	return Macros{
		"j":           hostname,
		"daemon_name": hostname,
		"daemon_addr": "127.0.0.1",
		"v":           "Postfix",
		"_":           p.Name + " [" + p.Addr + "]",
		"client_addr": p.Addr,
		"client_name": p.Name,
		"client_ptr":  p.Name,
		"client_port": strconv.Itoa(int(p.Port)),
	}
}

// Set gives a macro a value. The name may have braces.
func (m Macros) Set(name, value string) { m[macroKey(name)] = value }

func macroKey(name string) string {
	if len(name) > 2 && name[0] == '{' && name[len(name)-1] == '}' {
		return name[1 : len(name)-1]
	}
	return name
}

// stageOf is the stage whose macros go before a command; ok is false for
// UNKNOWN, which has none.
func stageOf(code milter.Code) (stage milter.Stage, ok bool) {
	switch code {
	case milter.CodeConn:
		return milter.StageConnect, true
	case milter.CodeHelo:
		return milter.StageHelo, true
	case milter.CodeMail:
		return milter.StageMailFrom, true
	case milter.CodeRcpt:
		return milter.StageRcptTo, true
	case milter.CodeData:
		return milter.StageData, true
	case milter.CodeHeader, milter.CodeEOH:
		return milter.StageEOH, true
	case milter.CodeBody, milter.CodeEOB:
		return milter.StageEOM, true
	default:
		return 0, false
	}
}

// postfixStage is Postfix's milter_*_macros by default (mail_params.h).
func postfixStage(stage milter.Stage) []string {
	switch stage {
	case milter.StageConnect:
		return []string{"j", "{daemon_name}", "{daemon_addr}", "v", "_"}
	case milter.StageHelo:
		return []string{"{tls_version}", "{cipher}", "{cipher_bits}", "{cert_subject}", "{cert_issuer}"}
	case milter.StageMailFrom:
		return []string{"i", "{auth_type}", "{auth_authen}", "{auth_author}", "{mail_addr}", "{mail_host}", "{mail_mailer}"}
	case milter.StageRcptTo:
		return []string{"i", "{rcpt_addr}", "{rcpt_host}", "{rcpt_mailer}"}
	default:
		return []string{"i"}
	}
}

// forCommand lists names and values to send before a command, in the MTA's
// order or the milter's. Macros that the MTA does not have are left out.
func (m Macros) forCommand(c *Client, code milter.Code) []string {
	stage, ok := stageOf(code)
	if !ok {
		return nil
	}
	names, chosen := c.Wanted(stage)
	if !chosen {
		names = postfixStage(stage)
		if stage == milter.StageConnect {
			names = append(names, m.extra()...)
		}
	}
	var kv []string
	for _, name := range names {
		if v, ok := m[macroKey(name)]; ok {
			kv = append(kv, name, v)
		}
	}
	return kv
}

// extra are the macros that no stage has by default: they were set on purpose,
// and go out with the connection. Postfix has client_* too but sends it only
// when asked.
func (m Macros) extra() []string {
	var names []string
	for _, key := range slices.Sorted(maps.Keys(m)) {
		if strings.HasPrefix(key, "client_") || inSomeStage(key) {
			continue
		}
		if len(key) > 1 {
			key = "{" + key + "}"
		}
		names = append(names, key)
	}
	return names
}

func inSomeStage(key string) bool {
	for stage := milter.StageConnect; stage <= milter.StageEOH; stage++ {
		for _, name := range postfixStage(stage) {
			if macroKey(name) == key {
				return true
			}
		}
	}
	return false
}

// noMacros tells whether a command is one that an MTA of that version does not
// have; then there are no macros for it either.
func (c *Client) noMacros(next milter.Code) bool {
	switch {
	case c.skipped == next:
		return true
	case next == milter.CodeData:
		return c.unsent&milter.OptNoData != 0
	case next == imilter.CodeUnknown:
		return c.unsent&milter.OptNoUnknown != 0
	default:
		return false
	}
}
