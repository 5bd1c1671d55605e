package mail

import "bytes"

// decodeUU decodes what stands between begin and end (POSIX uuencode).
func decodeUU(data []byte, sink func([]byte)) (wrong defect) {
	begun, buffer := false, make([]byte, 0, 64)
	for pos := 0; pos < len(data); {
		end, next := lineEnd(data, pos)
		line := data[pos:end]
		pos = next
		switch {
		case !begun:
			begun = bytes.HasPrefix(line, []byte("begin "))
		case string(bytes.TrimRight(line, " ")) == "end":
			return wrong
		case len(line) > 0:
			count := int(line[0]-' ') & 63
			if there := (len(line) - 1) * 3 / 4; there < count {
				wrong |= badUuencode
				count = there
			}
			sink(uuLine(buffer, line[1:], count))
		}
	}
	return wrong | badUuencode
}

// uuLine decodes count bytes of a line without its length.
func uuLine(buffer, line []byte, count int) []byte {
	for at := 0; len(buffer) < count; at += 4 {
		var v [4]byte
		for i := range v {
			if at+i < len(line) {
				v[i] = (line[at+i] - ' ') & 63
			}
		}
		buffer = append(buffer, v[0]<<2|v[1]>>4, v[1]<<4|v[2]>>2, v[2]<<6|v[3])
	}
	return buffer[:count]
}
