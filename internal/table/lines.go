package table

import (
	"bufio"
	"errors"
	"io"
	"strings"
)

// maxLine bounds a logical line, in bytes.
const maxLine = 1 << 20

// space is what C's isspace takes for white space.
const space = " \t\n\v\f\r"

// logicalLines gives each logical line with the number of its first line
// (postfix readllines): empty lines and comments do not count, a line that begins
// with white space continues the one before it.
func logicalLines(r io.Reader, warn func(int, string, ...any), yield func(number int, line string)) error {
	in := bufio.NewReaderSize(r, 64<<10)
	var line strings.Builder
	begun, number, tooLong := 0, 0, false
	end := func() {
		switch {
		case tooLong:
			warn(begun, "over %d bytes", maxLine)
		case begun > 0:
			yield(begun, strings.TrimRight(line.String(), space))
		}
		line.Reset()
		begun, tooLong = 0, false
	}
	for {
		text, whole, err := readLine(in)
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if err != nil && text == "" {
			break
		}
		number++
		bare := strings.TrimLeft(text, space)
		switch {
		case bare == "" || bare[0] == '#':
			continue
		case len(bare) < len(text) && begun == 0:
			warn(number, "a logical line must not start with white space")
			continue
		case len(bare) == len(text):
			end()
			begun = number
		}
		if tooLong = tooLong || !whole || line.Len()+len(text) > maxLine; !tooLong {
			line.WriteString(text)
		}
	}
	end()
	return nil
}

// readLine reads to the next LF, which is not part of text. What is over maxLine
// is passed over, and whole is false.
func readLine(in *bufio.Reader) (text string, whole bool, err error) {
	var b strings.Builder
	whole = true
	for {
		piece, err := in.ReadSlice('\n')
		if b.Len()+len(piece) > maxLine {
			whole = false
		} else {
			b.Write(piece)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
		case err == nil:
			return strings.TrimSuffix(b.String(), "\n"), whole, nil
		default:
			return b.String(), whole, err
		}
	}
}
