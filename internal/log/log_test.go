package log

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"regexp"
	"strings"
	"testing"
	"unicode"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

const stamp = `\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}(Z|[+-]\d\d:\d\d)`

func newLogger(t *testing.T, level, format string) (*zap.Logger, *bytes.Buffer) {
	t.Helper()
	var out bytes.Buffer
	logger, _, err := New(&out, level, format)
	if err != nil {
		t.Fatal(err)
	}
	return logger, &out
}

func TestConsole(t *testing.T) {
	t.Parallel()
	logger, out := newLogger(t, "info", "console")
	logger.With(zap.String("conn", "a1")).Warn("slow script", zap.Int("ms", 7))
	want := regexp.MustCompile(`^` + stamp + ` WARN slow script \{"conn": "a1", "ms": 7\}\n$`)
	if !want.MatchString(out.String()) {
		t.Errorf("got %q", out)
	}
}

func TestJSON(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"json", "auto"} { // a buffer is no terminal
		logger, out := newLogger(t, "info", format)
		logger.Error("broken", zap.Error(errors.New("x\ny")))
		var got map[string]any
		if err := json.Unmarshal(out.Bytes(), &got); err != nil {
			t.Fatalf("%s: %v in %q", format, err, out)
		}
		if !regexp.MustCompile(`^` + stamp + `$`).MatchString(got["time"].(string)) {
			t.Errorf("time is %q", got["time"])
		}
		delete(got, "time")
		if len(got) != 3 || got["level"] != "error" || got["msg"] != "broken" || got["error"] != "x\ny" {
			t.Errorf("%s: got %v: neither caller nor stack, all else", format, got)
		}
	}
}

func TestTerminalIsColoured(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"console", "auto"} {
		encoder, err := newEncoder(format, true)
		if err != nil {
			t.Fatal(err)
		}
		line, err := encoder.EncodeEntry(zapcore.Entry{Message: "m"}, nil)
		if err != nil || line.String() != "\x1b[34mINFO\x1b[0m m\n" {
			t.Errorf("%s: %q %v", format, line, err)
		}
	}
}

func TestIsTerminal(t *testing.T) {
	t.Parallel()
	file, err := os.Create(t.TempDir() + "/log")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if isTerminal(file) || isTerminal(&bytes.Buffer{}) {
		t.Error("a file or buffer is taken for a terminal")
	}
	if tty, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0); err == nil {
		defer tty.Close()
		if !isTerminal(tty) {
			t.Error("a terminal is not recognized")
		}
	}
}

func TestLevels(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	logger, level, err := New(&out, "warn", "console")
	if err != nil {
		t.Fatal(err)
	}
	logger.Info("not this")
	logger.Warn("this")
	level.SetLevel(zap.DebugLevel)
	logger.Debug("and this")
	if got := out.String(); strings.Contains(got, "not this") || strings.Count(got, "this") != 2 {
		t.Errorf("got %q", got)
	}
}

func TestUnknownWords(t *testing.T) {
	t.Parallel()
	for _, words := range [][2]string{{"fatal", "json"}, {"INFO", "json"}, {"", "json"}, {"info", "xml"}, {"info", ""}} {
		if _, _, err := New(&bytes.Buffer{}, words[0], words[1]); err == nil {
			t.Errorf("%q is taken", words)
		}
	}
}

// TestNothingForgesALine: text from mail, in any field, stays within its line and
// its field, and steers no terminal.
func TestNothingForgesALine(t *testing.T) {
	t.Parallel()
	hostile := "a\n2026-01-01T00:00:00.000Z INFO forged\r\x1b[2J\x00\x7f\u009b31m\u0085\u2028\u202egnp\"}\xff\t"
	log := func(logger *zap.Logger) {
		logger.With(zap.String("with", hostile)).Info("seen "+hostile,
			zap.String("subject", hostile), zap.Strings("list", []string{hostile}), zap.ByteString("bytes", []byte(hostile)),
			zap.Error(errors.New(hostile)), zap.Any("map", map[string]string{hostile: hostile}), zap.String(hostile, "key"))
	}
	for _, format := range []string{"console", "json"} {
		logger, out := newLogger(t, "info", format)
		log(logger)
		line, ended := strings.CutSuffix(out.String(), "\n")
		if !ended {
			t.Fatalf("%s: no line: %q", format, out)
		}
		for _, r := range line {
			if unicode.IsControl(r) || steers(r) {
				t.Errorf("%s: %U in %q", format, r, line)
			}
		}
		fields := line[strings.Index(line, `{`):]
		var got map[string]any
		if err := json.Unmarshal([]byte(fields), &got); err != nil {
			t.Fatalf("%s: %v in %q", format, err, fields)
		}
		want := strings.ToValidUTF8(hostile, "\ufffd")
		if got["subject"] != want || got["with"] != want {
			t.Errorf("%s: the field is %q, want %q", format, got["subject"], want)
		}
	}
}
