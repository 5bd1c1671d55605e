package jobs

import (
	"encoding/json"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// note is a line of a worker's log on its way to the server's.
type note struct {
	Level  zapcore.Level `json:"level"`
	Time   time.Time     `json:"time"`
	Text   string        `json:"text"`
	Fields []noteField   `json:"fields,omitempty"`
}

type noteField struct {
	Key   string `json:"key"`
	Value any    `json:"value"`
}

// noteCore is a log that sends its lines to the server.
type noteCore struct {
	level  zapcore.Level
	fields []zapcore.Field
	notify func([]byte) error
}

var _ zapcore.Core = (*noteCore)(nil)

// Enabled implements zapcore.Core, as do the following.
func (c *noteCore) Enabled(l zapcore.Level) bool { return c.level.Enabled(l) }

// With keeps fields for each line.
func (c *noteCore) With(fields []zapcore.Field) zapcore.Core {
	n := *c
	n.fields = append(c.fields[:len(c.fields):len(c.fields)], fields...)
	return &n
}

// Check adds us to who writes the line.
func (c *noteCore) Check(e zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(e.Level) {
		return checked.AddCore(e, c)
	}
	return checked
}

func (c *noteCore) Write(e zapcore.Entry, fields []zapcore.Field) error {
	n := note{Level: e.Level, Time: e.Time, Text: e.Message}
	for _, list := range [][]zapcore.Field{c.fields, fields} {
		for _, f := range list {
			one := zapcore.NewMapObjectEncoder()
			f.AddTo(one)
			for key, value := range one.Fields {
				n.Fields = append(n.Fields, noteField{key, value})
			}
		}
	}
	data, err := json.Marshal(n)
	if err != nil {
		return err
	}
	return c.notify(data)
}

// Sync has nothing to do.
func (c *noteCore) Sync() error { return nil }

// tell writes a worker's line to the server's log.
func tell(log *zap.Logger, data []byte) {
	var n note
	if json.Unmarshal(data, &n) != nil {
		return // a worker of this binary sends no other
	}
	if entry := log.Check(n.Level, n.Text); entry != nil {
		entry.Time = n.Time
		fields := make([]zap.Field, 0, len(n.Fields))
		for _, f := range n.Fields {
			fields = append(fields, zap.Any(f.Key, f.Value))
		}
		entry.Write(fields...)
	}
}
