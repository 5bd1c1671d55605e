package script

import (
	"encoding/base64"
	"reflect"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/dop251/goja"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/transform"
)

// encodeText is a string's UTF-8 as an ArrayBuffer; lone surrogates become U+FFFD.
func encodeText(rt *goja.Runtime, c goja.FunctionCall) goja.Value {
	return rt.ToValue(rt.NewArrayBuffer([]byte(c.Argument(0).String())))
}

// encodeInto is TextEncoder.encodeInto(source, buffer, offset, length).
func encodeInto(rt *goja.Runtime, c goja.FunctionCall) goja.Value {
	text := c.Argument(0).String()
	into := bufferBytes(c, 1)
	read, written := 0, 0
	for _, r := range text {
		n := utf8.RuneLen(r)
		if written+n > len(into) {
			break
		}
		written += utf8.EncodeRune(into[written:], r)
		read += utf16.RuneLen(r)
	}
	o := rt.NewObject()
	throwAgain(o.Set("read", read))
	throwAgain(o.Set("written", written))
	return o
}

// bufferBytes are the bytes of three arguments: an ArrayBuffer, an offset and a length.
func bufferBytes(c goja.FunctionCall, at int) []byte {
	o, ok := c.Argument(at).(*goja.Object)
	if !ok || o.ExportType() != reflect.TypeFor[goja.ArrayBuffer]() { // Export would copy any other object
		return nil
	}
	buffer, ok := o.Export().(goja.ArrayBuffer)
	if !ok {
		return nil
	}
	data := buffer.Bytes()
	from := min(max(c.Argument(at+1).ToInteger(), 0), int64(len(data)))
	to := min(max(from+c.Argument(at+2).ToInteger(), from), int64(len(data)))
	return data[from:to]
}

// encodingName is the name of an encoding by one of its labels (WHATWG Encoding
// §4.2), "" for none that can be decoded.
func encodingName(rt *goja.Runtime, c goja.FunctionCall) goja.Value {
	e, err := htmlindex.Get(strings.Trim(c.Argument(0).String(), "\t\n\f\r "))
	if err != nil {
		return rt.ToValue("")
	}
	name, err := htmlindex.Name(e)
	if err != nil || name == "replacement" {
		name = ""
	}
	return rt.ToValue(name)
}

// decodeText is decodeText(name, buffer, offset, length, rest, fatal, keepBOM, more)
// of globals.js: text, and with more the bytes at the end that may be half a character.
func decodeText(rt *goja.Runtime, c goja.FunctionCall) goja.Value {
	name := c.Argument(0).String()
	data := bufferBytes(c, 1)
	if o, ok := c.Argument(4).(*goja.Object); ok {
		if rest, ok := o.Export().(goja.ArrayBuffer); ok && len(rest.Bytes()) > 0 {
			data = append(append([]byte(nil), rest.Bytes()...), data...)
		}
	}
	fatal, keepBOM, more := c.Argument(5).ToBoolean(), c.Argument(6).ToBoolean(), c.Argument(7).ToBoolean()
	var rest []byte
	if more {
		data, rest = splitPartial(name, data)
	}
	text, ok := decodeBytes(name, data)
	marked := strings.HasPrefix(text, "\uFEFF")
	if marked && !keepBOM && strings.HasPrefix(name, "utf-") {
		text = text[len("\uFEFF"):]
	}
	o := rt.NewObject()
	throwAgain(o.Set("text", text))
	throwAgain(o.Set("bad", fatal && !ok))
	throwAgain(o.Set("marked", marked))
	throwAgain(o.Set("rest", rt.NewArrayBuffer(append([]byte(nil), rest...))))
	return o
}

// decodeBytes is the text, and whether all bytes were valid.
func decodeBytes(name string, data []byte) (string, bool) {
	switch name {
	case "utf-8":
		if utf8.Valid(data) {
			return string(data), true
		}
	case "utf-16le", "utf-16be":
		return decodeUTF16(data, name == "utf-16be")
	}
	e, err := htmlindex.Get(name)
	if err != nil {
		return "", false
	}
	decoded, _, err := transform.Bytes(e.NewDecoder(), data)
	text := string(decoded)
	// U+FFFD cannot be written in the old encodings.
	return text, err == nil && name != "utf-8" && !strings.ContainsRune(text, utf8.RuneError)
}

func decodeUTF16(data []byte, big bool) (string, bool) {
	units := make([]uint16, len(data)/2)
	for i := range units {
		if big {
			units[i] = uint16(data[2*i])<<8 | uint16(data[2*i+1])
		} else {
			units[i] = uint16(data[2*i+1])<<8 | uint16(data[2*i])
		}
	}
	valid := len(data)%2 == 0
	for i := 0; i < len(units) && valid; i++ {
		if r := rune(units[i]); utf16.IsSurrogate(r) {
			valid = i+1 < len(units) && utf16.DecodeRune(r, rune(units[i+1])) != utf8.RuneError
			i++
		}
	}
	text := string(utf16.Decode(units))
	if len(data)%2 != 0 {
		text += "\uFFFD"
	}
	return text, valid
}

// splitPartial takes from the end what may be the beginning of a character.
func splitPartial(name string, data []byte) (whole, rest []byte) {
	n := 0
	switch name {
	case "utf-8":
		for k := 1; k <= min(3, len(data)); k++ {
			b := data[len(data)-k]
			if utf8.RuneStart(b) {
				if b >= 0xC0 && !utf8.FullRune(data[len(data)-k:]) {
					n = k
				}
				break
			}
		}
	case "utf-16le", "utf-16be":
		n = len(data) % 2
		if len(data)-n >= 2 {
			high := data[len(data)-n-1]
			if name == "utf-16be" {
				high = data[len(data)-n-2]
			}
			if high&0xFC == 0xD8 {
				n += 2
			}
		}
	}
	return data[:len(data)-n], data[len(data)-n:]
}

// fromBase64 is the text of forgiving base64 (WHATWG Infra §7), each byte a
// character, or null.
func fromBase64(rt *goja.Runtime, c goja.FunctionCall) goja.Value {
	s := strings.Map(func(r rune) rune {
		if strings.ContainsRune("\t\n\f\r ", r) {
			return -1
		}
		return r
	}, c.Argument(0).String())
	if len(s)%4 == 0 {
		s = strings.TrimSuffix(strings.TrimSuffix(s, "="), "=")
	}
	data, err := base64.RawStdEncoding.DecodeString(s)
	if err != nil {
		return goja.Null()
	}
	units := make([]uint16, len(data))
	for i, b := range data {
		units[i] = uint16(b)
	}
	return goja.StringFromUTF16(units)
}

// toBase64 is the base64 of a text whose characters are bytes, or null.
func toBase64(rt *goja.Runtime, c goja.FunctionCall) goja.Value {
	s, ok := c.Argument(0).(goja.String)
	if !ok {
		return goja.Null()
	}
	data := make([]byte, s.Length())
	for i := range data {
		unit := s.CharAt(i)
		if unit > 0xFF {
			return goja.Null()
		}
		data[i] = byte(unit)
	}
	return rt.ToValue(base64.StdEncoding.EncodeToString(data))
}
