// Package log makes the program's logger.
//
// It promises that an entry is one line, whatever is in its fields: text that
// came with mail can neither begin a line of its own nor steer a terminal. It has
// no logger itself; who logs is given one.
package log

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"unicode"

	"go.uber.org/zap"
	"go.uber.org/zap/buffer"
	"go.uber.org/zap/zapcore"
)

// New makes a logger that writes to w, one entry a call, and is safe for
// concurrent use.
//
// level is debug, info, warn or error; the AtomicLevel changes it later, for
// example at a reload. format is console (for people; coloured when w is a
// terminal), json (one object a line), or auto: console on a terminal, json
// elsewhere. Other words are errors.
//
// An entry has its time in RFC 3339 with milliseconds, level, message and fields;
// neither caller nor stack.
func New(w io.Writer, level, format string) (*zap.Logger, zap.AtomicLevel, error) {
	if !slices.Contains([]string{"debug", "info", "warn", "error"}, level) {
		return nil, zap.AtomicLevel{}, fmt.Errorf("log: unknown level %q", level)
	}
	atomic, err := zap.ParseAtomicLevel(level)
	if err != nil {
		return nil, zap.AtomicLevel{}, fmt.Errorf("log: %w", err)
	}
	encoder, err := newEncoder(format, isTerminal(w))
	if err != nil {
		return nil, zap.AtomicLevel{}, err
	}
	return zap.New(zapcore.NewCore(encoder, zapcore.Lock(zapcore.AddSync(w)), atomic)), atomic, nil
}

func newEncoder(format string, terminal bool) (zapcore.Encoder, error) {
	config := zapcore.EncoderConfig{
		TimeKey:          "time",
		LevelKey:         "level",
		NameKey:          "logger",
		MessageKey:       "msg",
		LineEnding:       "\n",
		EncodeTime:       zapcore.TimeEncoderOfLayout("2006-01-02T15:04:05.000Z07:00"),
		EncodeLevel:      zapcore.LowercaseLevelEncoder,
		EncodeDuration:   zapcore.StringDurationEncoder,
		ConsoleSeparator: " ",
	}
	if format == "auto" {
		format = "json"
		if terminal {
			format = "console"
		}
	}
	switch format {
	case "json":
		return oneLine{zapcore.NewJSONEncoder(config)}, nil
	case "console":
		config.EncodeLevel = zapcore.CapitalLevelEncoder
		if terminal {
			config.EncodeLevel = zapcore.CapitalColorLevelEncoder
		}
		return oneLine{zapcore.NewConsoleEncoder(config)}, nil
	default:
		return nil, fmt.Errorf("log: unknown format %q", format)
	}
}

// isTerminal takes every character device for a terminal: of the others only
// /dev/null is likely, which does not mind.
func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// oneLine is an encoder that finishes what zap begins. zap writes fields as JSON
// in both formats, which escapes the ASCII control characters, but leaves DEL,
// the C1 controls (U+009B begins a terminal's escape sequence) and the marks that
// turn the direction of text; and of the console format's message it escapes
// nothing.
type oneLine struct{ zapcore.Encoder }

// Clone is for Logger.With.
func (e oneLine) Clone() zapcore.Encoder { return oneLine{e.Encoder.Clone()} }

// EncodeEntry writes one line.
func (e oneLine) EncodeEntry(entry zapcore.Entry, fields []zapcore.Field) (*buffer.Buffer, error) {
	entry.Message = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return unicode.ReplacementChar
		}
		return r
	}, entry.Message)
	line, err := e.Encoder.EncodeEntry(entry, fields)
	if err != nil {
		return nil, fmt.Errorf("log: %w", err)
	}
	if plain(line.Bytes()) {
		return line, nil // nearly every one
	}
	if text := line.String(); strings.ContainsFunc(text, steers) {
		line.Reset()
		for _, r := range text {
			if steers(r) {
				line.AppendString(fmt.Sprintf(`\u%04x`, r)) // the character in JSON
			} else {
				line.AppendString(string(r))
			}
		}
	}
	return line, nil
}

// plain tells whether there is nothing in a line but ASCII without DEL.
func plain(line []byte) bool {
	for _, c := range line {
		if c >= 0x7f {
			return false
		}
	}
	return true
}

// steers tells of a character that zap leaves as it is and a terminal does not
// show. The escape sequences of our own colours are ASCII.
func steers(r rune) bool {
	return r == 0x7f || r >= 0x80 && r <= 0x9f || r == 0x2028 || r == 0x2029 || unicode.Is(unicode.Bidi_Control, r)
}
