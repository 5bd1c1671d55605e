package mail

import "math/bits"

// defect is a set of things that are wrong.
type defect uint64

const (
	noBoundary defect = 1 << iota
	wrongBoundary
	missingEndBoundary
	missingBlankLine
	encodedMultipart
	badContentType
	badParameter
	unknownEncoding
	badBase64
	badQuotedPrintable
	badUuencode
	unknownCharset
	badCharset
	badHeader
	rawHeader
	badEncodedWord
	duplicateHeader
	missingHeader
	badDate
	badAddress
	bareCR
	bareLF
	nul
	tooDeep
	tooManyParts
)

// Defect is something that can be wrong with a message.
type Defect struct {
	Name    string // stable
	Meaning string
}

// Defects is all that [Message.Defects] can name, in its order.
func Defects() []Defect {
	return []Defect{
		{"no-boundary", "a multipart has no boundary parameter; if its parts could be told all the same, they are there"},
		{"wrong-boundary", "a multipart's boundary begins no part"},
		{"missing-end-boundary", "a multipart is not closed by its boundary"},
		{"missing-blank-line", "a part's header is followed by text without the empty line between them"},
		{"encoded-multipart", "a multipart has a transfer encoding (RFC 2045 §6.4 forbids it)"},
		{"bad-content-type", "a Content-Type is no type; it is read as text/plain"},
		{"bad-parameter", "a parameter of Content-Type or Content-Disposition is malformed (RFC 2045 §5.1, RFC 2231)"},
		{"unknown-encoding", "a Content-Transfer-Encoding that is not known; the content is left as it is"},
		{"bad-base64", "base64 with characters, padding or an end that it cannot have"},
		{"bad-quoted-printable", "quoted-printable with a = that begins nothing"},
		{"bad-uuencode", "uuencode without its first or last line, or with lines of a wrong length"},
		{"unknown-charset", "a character set that is not known; the text is read as UTF-8, or else windows-1252"},
		{"bad-charset", "text that is not of the character set that it says"},
		{"bad-header", "a header field with a name that none can have"},
		{"raw-header", "bytes above 127 in a header that are not UTF-8"},
		{"bad-encoded-word", "an encoded word that is malformed (RFC 2047), or cannot be decoded"},
		{"duplicate-header", "a header field twice that may be there once (RFC 5322 §3.6)"},
		{"missing-header", "no From or no Date (RFC 5322 §3.6)"},
		{"bad-date", "a Date that is none (RFC 5322 §3.3), even if a day and time could be read"},
		{"bad-address", "a From, To or Cc that is no list of addresses (RFC 5322 §3.4), even if one could be read"},
		{"bare-cr", "a CR that is not before a LF"},
		{"bare-lf", "a LF in the body that is not after a CR"},
		{"nul", "a NUL character in the header or in text"},
		{"too-deep", "parts inside each other deeper than is read"},
		{"too-many-parts", "more parts than are read"},
	}
}

// names is the names of the set, in the order of Defects.
func (d defect) names() []string {
	if d == 0 {
		return nil
	}
	all := Defects()
	names := make([]string, 0, bits.OnesCount64(uint64(d)))
	for i, known := range all {
		if d&(1<<i) != 0 {
			names = append(names, known.Name)
		}
	}
	return names
}
