package event

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Mark copies a file, whose name is file, with the reason why its event was
// given up in a line X-Pmilter-Failed: after our first line, else above
// everything. A reason that is there already goes; with reason "" none comes in
// its place. The message is copied as it is.
func Mark(w io.Writer, r io.Reader, file, reason string) error {
	b := bufio.NewReaderSize(r, 32<<10)
	if ParseName(file).Ours() && startsWith(b, eventField) {
		if err := copyField(w, b); err != nil {
			return fmt.Errorf("event: %w", err)
		}
	}
	if startsWith(b, failedField) {
		if err := copyField(io.Discard, b); err != nil {
			return fmt.Errorf("event: %w", err)
		}
	}
	if reason != "" {
		line := printable(strings.Join(strings.Fields(strings.ToValidUTF8(reason, "?")), " "))
		if _, err := io.WriteString(w, failedField+line+"\n"); err != nil {
			return fmt.Errorf("event: %w", err)
		}
	}
	if _, err := io.Copy(w, b); err != nil {
		return fmt.Errorf("event: %w", err)
	}
	return nil
}

// copyField copies a field with all its lines.
func copyField(w io.Writer, b *bufio.Reader) error {
	for first := true; ; first = false {
		if next, _ := b.Peek(1); len(next) == 0 || !first && next[0] != ' ' {
			return nil
		}
		for {
			part, err := b.ReadSlice('\n')
			if _, err := w.Write(part); err != nil {
				return err
			}
			if err == nil || errors.Is(err, io.EOF) {
				break
			}
			if !errors.Is(err, bufio.ErrBufferFull) {
				return err
			}
		}
	}
}
