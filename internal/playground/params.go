package playground

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/emersion/go-smtp"
)

// mailParams are the ESMTP parameters of MAIL as the client would have sent
// them: go-smtp gives them decoded.
func mailParams(o *smtp.MailOptions) (params []string) {
	if o == nil {
		return nil
	}
	if o.Size > 0 {
		params = append(params, "SIZE="+strconv.FormatInt(o.Size, 10))
	}
	if o.Body != "" {
		params = append(params, "BODY="+string(o.Body))
	}
	if o.UTF8 {
		params = append(params, "SMTPUTF8")
	}
	if o.Return != "" {
		params = append(params, "RET="+string(o.Return))
	}
	if o.EnvelopeID != "" {
		params = append(params, "ENVID="+xtext(o.EnvelopeID))
	}
	if o.Auth != nil {
		if *o.Auth == "" {
			params = append(params, "AUTH=<>")
		} else {
			params = append(params, "AUTH="+xtext(*o.Auth))
		}
	}
	return params
}

// rcptParams are those of RCPT.
func rcptParams(o *smtp.RcptOptions) (params []string) {
	if o == nil {
		return nil
	}
	if len(o.Notify) > 0 {
		words := make([]string, len(o.Notify))
		for i, n := range o.Notify {
			words[i] = string(n)
		}
		params = append(params, "NOTIFY="+strings.Join(words, ","))
	}
	if o.OriginalRecipient != "" {
		params = append(params, "ORCPT="+strings.ToLower(string(o.OriginalRecipientType))+";"+xtext(o.OriginalRecipient))
	}
	return params
}

// xtext encodes a parameter's value (RFC 3461 §4). Bytes above ASCII stay, as
// in RFC 6533's utf-8-addr-unitext.
func xtext(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c == '+' || c == '=' || c == 0x7f {
			fmt.Fprintf(&b, "+%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// quote gives an address the quotes that go-smtp took off its local part
// (RFC 5321 §4.1.2).
func quote(address string) string {
	at := strings.LastIndexByte(address, '@')
	if at < 0 {
		return address
	}
	local := address[:at]
	plain := local != "" && !strings.HasPrefix(local, ".") && !strings.HasSuffix(local, ".") && !strings.Contains(local, "..") &&
		!strings.ContainsAny(local, " \t()<>[]:;@\\,\"")
	if plain {
		return address
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(local) + `"` + address[at:]
}
