package script

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/dop251/goja"
)

// jsonValue is JSON as JavaScript's, as JSON.parse makes it: but text is exact, lone
// surrogates included (see textValue), where goja's own would lose them.
func jsonValue(rt *goja.Runtime, data []byte) (goja.Value, error) {
	if !json.Valid(data) {
		return nil, errJSON
	}
	r := &jsonReader{rt: rt, data: data}
	return r.value(0)
}

var errJSON = errors.New("no valid JSON")

// jsonReader reads JSON that is known to be valid.
type jsonReader struct {
	rt   *goja.Runtime
	data []byte
	at   int
}

// peek is the next byte that is not white space.
func (r *jsonReader) peek() byte {
	for {
		switch c := r.data[r.at]; c {
		case ' ', '\t', '\r', '\n':
			r.at++
		default:
			return c
		}
	}
}

func (r *jsonReader) value(depth int) (goja.Value, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("nested deeper than %d", maxDepth)
	}
	switch r.peek() {
	case '{':
		return r.object(depth)
	case '[':
		return r.array(depth)
	case '"':
		return r.text(), nil
	case 't':
		r.at += len("true")
		return r.rt.ToValue(true), nil
	case 'f':
		r.at += len("false")
		return r.rt.ToValue(false), nil
	case 'n':
		r.at += len("null")
		return goja.Null(), nil
	default:
		return r.number(), nil
	}
}

func (r *jsonReader) object(depth int) (goja.Value, error) {
	o := r.rt.NewObject()
	r.at++
	for r.peek() != '}' {
		key := r.text().String()
		r.peek()
		r.at++ // the colon
		v, err := r.value(depth + 1)
		if err != nil {
			return nil, err
		}
		// Not Set: "__proto__" is a key as any other.
		_ = o.DefineDataProperty(key, v, goja.FLAG_TRUE, goja.FLAG_TRUE, goja.FLAG_TRUE)
		if r.peek() == ',' {
			r.at++
			r.peek()
		}
	}
	r.at++
	return o, nil
}

func (r *jsonReader) array(depth int) (goja.Value, error) {
	var list []any
	r.at++
	for r.peek() != ']' {
		v, err := r.value(depth + 1)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
		if r.peek() == ',' {
			r.at++
		}
	}
	r.at++
	return r.rt.NewArray(list...), nil
}

func (r *jsonReader) number() goja.Value {
	start := r.at
	for r.at < len(r.data) {
		switch c := r.data[r.at]; {
		case c >= '0' && c <= '9', c == '-', c == '+', c == '.', c == 'e', c == 'E':
			r.at++
			continue
		}
		break
	}
	text := string(r.data[start:r.at])
	if n, err := strconv.ParseInt(text, 10, 64); err == nil && n != 0 && n >= -maxSafe && n <= maxSafe {
		return r.rt.ToValue(n)
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil && !math.IsInf(f, 0) { // too large is Infinity, as in JavaScript
		f = math.NaN()
	}
	return r.rt.ToValue(f)
}

// text is a string, which is plain in most cases.
func (r *jsonReader) text() goja.String {
	r.at++
	start := r.at
	for ; r.data[r.at] != '"'; r.at++ {
		if r.data[r.at] == '\\' {
			return r.escaped(start)
		}
	}
	text := r.data[start:r.at]
	r.at++
	return textValue(r.rt, string(text)).(goja.String)
}

// escaped is a string that begins at start and has escapes.
func (r *jsonReader) escaped(start int) goja.String {
	units := make([]uint16, 0, 64)
	for r.at = start; r.data[r.at] != '"'; {
		if r.data[r.at] != '\\' {
			c, size := utf8.DecodeRune(r.data[r.at:])
			if c == utf8.RuneError && size == 1 {
				units = append(units, escapeBase+uint16(r.data[r.at]))
			} else {
				units = utf16.AppendRune(units, c)
			}
			r.at += size
			continue
		}
		r.at++
		switch c := r.data[r.at]; c {
		case 'u':
			n, _ := strconv.ParseUint(string(r.data[r.at+1:r.at+5]), 16, 16)
			units = append(units, uint16(n))
			r.at += 4
		case 'b':
			units = append(units, '\b')
		case 'f':
			units = append(units, '\f')
		case 'n':
			units = append(units, '\n')
		case 'r':
			units = append(units, '\r')
		case 't':
			units = append(units, '\t')
		default:
			units = append(units, uint16(c))
		}
		r.at++
	}
	r.at++
	return goja.StringFromUTF16(units)
}
