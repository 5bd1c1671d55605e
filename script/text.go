package script

import (
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/dop251/goja"
)

// Mail is bytes, JavaScript strings are UTF-16. What is valid UTF-8 becomes that
// text; any other byte 0x80..0xff becomes the lone surrogate U+DC80..U+DCFF, which
// valid text never has, so that the way back is exact (PEP 383, surrogateescape).
const (
	escapeBase = 0xDC00 // U+DC00 + byte
	escapeLow  = 0xDC80
	escapeHigh = 0xDCFF
)

// textValue is the JavaScript string of some bytes of mail. textBytes undoes it.
func textValue(rt *goja.Runtime, s string) goja.Value {
	if utf8.ValidString(s) {
		return rt.ToValue(s)
	}
	units := make([]uint16, 0, len(s))
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && size == 1 {
			units = append(units, escapeBase+uint16(s[i]))
		} else {
			units = utf16.AppendRune(units, r)
		}
		i += size
	}
	return goja.StringFromUTF16(units)
}

// textBytes is the bytes that a JavaScript string stands for. Lone surrogates
// other than textValue's have no bytes: they become U+FFFD.
func textBytes(v goja.String) string {
	s := v.String()
	if !strings.ContainsRune(s, utf8.RuneError) {
		return s // a lone surrogate would have shown as U+FFFD
	}
	n := v.Length()
	out := make([]byte, 0, len(s))
	for i := 0; i < n; i++ {
		unit := v.CharAt(i)
		if !utf16.IsSurrogate(rune(unit)) {
			out = utf8.AppendRune(out, rune(unit))
			continue
		}
		if i+1 < n {
			if r := utf16.DecodeRune(rune(unit), rune(v.CharAt(i+1))); r != utf8.RuneError {
				out = utf8.AppendRune(out, r)
				i++
				continue
			}
		}
		if unit >= escapeLow && unit <= escapeHigh {
			out = append(out, byte(unit))
		} else {
			out = utf8.AppendRune(out, utf8.RuneError)
		}
	}
	return string(out)
}
