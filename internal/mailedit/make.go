package mailedit

import (
	"slices"
	"strings"

	"pmilter/internal/mail"
)

// plan is a checked NewPart.
type plan struct {
	NewPart
	kind   string            // "" to keep the old one
	params map[string]string // of kind
}

func check(p NewPart) (plan, error) {
	out := plan{NewPart: p}
	var err error
	if p.Type != "" {
		if out.kind, out.params, err = checkType(p.Type); err != nil {
			return out, err
		}
	}
	if out.Filename, err = checkFilename(p.Filename); err != nil {
		return out, err
	}
	out.Disposition, err = checkDisposition(p.Disposition)
	return out, err
}

// make is the body of a part that is planned, and the fields of its header. old is
// the part that it replaces, nil if it is added. last tells that the message
// ends with it, so that its last line must have an end.
func (p *plan) make(old *mail.Part, boundaries []string, last bool) (body []byte, edits []fieldEdit) {
	kind, kept := p.kind, false
	if kind == "" && old != nil && !isMultipart(old) {
		kind, kept = old.Type(), true
	}
	if kind == "" {
		kind = "application/octet-stream"
		if p.Text {
			kind = "text/plain"
		}
	}
	body, transfer := p.encode(kind, boundaries, last)
	edits = []fieldEdit{
		p.contentType(old, kind, kept),
		{name: "Content-Transfer-Encoding", value: transfer},
		{name: "Content-MD5", drop: true},
		{name: "Content-Length", drop: true},
	}
	if edits[0].name == "" {
		edits = edits[1:]
	}
	if d := p.disposition(old, kind); d.name != "" {
		edits = append(edits, d)
	}
	return body, edits
}

func (p *plan) encode(kind string, boundaries []string, last bool) (body []byte, transfer string) {
	content := p.Content
	if p.Text {
		content = cleanText(content)
		if last && len(content) > 0 && content[len(content)-1] != '\n' {
			content = append(content, "\r\n"...)
		}
	}
	switch {
	case strings.HasPrefix(kind, "message/"): // RFC 2046 §5.2.1: no other encoding
		if !p.Text {
			content = toCRLF(content)
		}
		if len(content) > 0 && content[len(content)-1] != '\n' {
			content = append(content, "\r\n"...) // it may have a header only
		}
		return content, rawEncoding(content)
	case p.Text:
		return encodeText(content, boundaries)
	}
	body, transfer = encodeBytes(content, boundaries, last)
	if last && transfer == "base64" {
		body = append(body, "\r\n"...)
	}
	return body, transfer
}

// rawEncoding is what content is that cannot be encoded (RFC 2045 §2.7 to §2.9).
func rawEncoding(content []byte) string {
	switch l := measure(content); {
	case !l.clean || !l.short:
		return "binary"
	case !l.ascii:
		return "8bit"
	}
	return "7bit"
}

// contentType is the change of Content-Type, with no name if it can stay.
func (p *plan) contentType(old *mail.Part, kind string, kept bool) fieldEdit {
	var params []param
	filename := p.Filename
	if filename == "" && old != nil {
		filename = old.Filename()
	}
	switch {
	case kept && !p.Text && p.Filename == "" && hasType(old):
		return fieldEdit{}
	case p.Text && strings.HasPrefix(kind, "text/"):
		params = append(params, param{"charset", "utf-8"})
		params = append(params, sortedParams(p.params, "charset", "name", "format", "delsp", "boundary")...)
	case kept:
		params = sortedParams(old.Params(), "name")
	default:
		params = sortedParams(p.params, "name", "boundary")
	}
	if filename == "" {
		filename = p.params["name"]
	}
	if filename != "" {
		params = append(params, param{"name", filename})
	}
	return fieldEdit{name: "Content-Type", value: formatField("Content-Type", kind, params)}
}

func hasType(p *mail.Part) bool {
	return slices.ContainsFunc(p.Headers(), func(f mail.Field) bool { return sameName(f.Name, "Content-Type") })
}

// disposition is the change of Content-Disposition, with no name if it can stay.
func (p *plan) disposition(old *mail.Part, kind string) fieldEdit {
	word, filename := p.Disposition, p.Filename
	var params []param
	if old != nil {
		was := dispositionParams(old)
		if _, sized := was["size"]; word == "" && filename == "" && !sized {
			return fieldEdit{}
		}
		params = sortedParams(was, "size", "filename", "name")
		if filename == "" {
			filename = old.Filename()
		}
		if word == "" {
			word = old.Disposition()
		}
	}
	if word == "" && (filename != "" || !p.Text || !strings.HasPrefix(kind, "text/")) {
		word = "attachment"
	}
	if word == "" {
		return fieldEdit{}
	}
	if filename != "" {
		params = append([]param{{"filename", filename}}, params...)
	}
	return fieldEdit{name: "Content-Disposition", value: formatField("Content-Disposition", word, params)}
}

// dispositionParams is the parameters of Content-Disposition, which are written as
// those of Content-Type are.
func dispositionParams(p *mail.Part) map[string]string {
	for _, f := range p.Headers() {
		if sameName(f.Name, "Content-Disposition") {
			return mail.Parse([]mail.Field{{Name: "Content-Type", Value: f.Value}}, nil).Root().Params()
		}
	}
	return nil
}
