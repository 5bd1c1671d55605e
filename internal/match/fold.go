package match

import (
	"unicode"
	"unicode/utf8"
)

// foldedRunes is folded for text that is not ASCII: each character becomes the
// least of those that differ in case alone. Bytes that are no UTF-8 stay.
func foldedRunes(text []byte) []byte {
	out := make([]byte, 0, len(text)+len(text)/8)
	for len(text) > 0 {
		r, size := utf8.DecodeRune(text)
		if r == utf8.RuneError && size == 1 {
			out = append(out, text[0])
		} else {
			out = utf8.AppendRune(out, foldedRune(r))
		}
		text = text[size:]
	}
	return out
}

// foldedRune is the lower-case letter in ASCII, so that both ways agree.
func foldedRune(r rune) rune {
	if r < utf8.RuneSelf {
		if 'A' <= r && r <= 'Z' {
			r += 'a' - 'A'
		}
		return r
	}
	least := r
	for next := unicode.SimpleFold(r); next != r; next = unicode.SimpleFold(next) {
		if next < utf8.RuneSelf {
			return foldedRune(next) // the Kelvin sign is a k
		}
		least = min(least, next)
	}
	return least
}
