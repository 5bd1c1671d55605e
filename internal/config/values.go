package config

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2/unstable"

	"pmilter/internal/milter"
	"pmilter/internal/span"
)

// text is any string.
func text(to *string) setter {
	return func(l *loader, name string, v *value) {
		if s, ok := l.str(name, v, "a string"); ok {
			*to = s
		}
	}
}

// choice is one of some words.
func choice[T ~string](to *T, words ...T) setter {
	names := make([]string, len(words))
	for i, w := range words {
		names[i] = string(w)
	}
	want := "one of " + strings.Join(names, ", ")
	return func(l *loader, name string, v *value) {
		s, ok := l.str(name, v, want)
		if !ok {
			return
		}
		if !slices.Contains(names, s) {
			l.fault(v.at, "%s must be %s, not %q%s", name, want, s, hint(nearest(s, names)))
			return
		}
		*to = T(s)
	}
}

// duration is a string like "8s".
func duration(to *time.Duration, least time.Duration) setter {
	return func(l *loader, name string, v *value) {
		s, ok := l.str(name, v, `a string with a unit like "8s" or "1h"`)
		if !ok {
			return
		}
		d, err := span.Parse(s)
		switch {
		case err != nil:
			l.fault(v.at, "%s: %q is %s", name, s, err)
		case d < least:
			l.fault(v.at, "%s must be at least %s, not %q", name, least, s)
		default:
			*to = d
		}
	}
}

// size is a string like "100MiB" or a number of bytes.
func size(to *int64, least int64) setter {
	return func(l *loader, name string, v *value) {
		n, ok := l.size(name, v)
		switch {
		case !ok:
		case n < least:
			l.fault(v.at, "%s must be at least %d bytes, not %d", name, least, n)
		default:
			*to = n
		}
	}
}

func (l *loader) size(name string, v *value) (n int64, ok bool) {
	if v.kind == unstable.Integer {
		return l.integer(name, v)
	}
	s, ok := l.str(name, v, `a string with a unit like "100MiB" or a number of bytes`)
	if !ok {
		return 0, false
	}
	n, err := ParseSize(s)
	if err != nil {
		l.fault(v.at, "%s: %q is %s", name, s, err)
		return 0, false
	}
	return n, true
}

// number is a whole number within limits.
func number(to *int, least, most int) setter {
	return func(l *loader, name string, v *value) {
		if v.kind != unstable.Integer {
			l.wrong(name, v, "a whole number")
			return
		}
		n, ok := l.integer(name, v)
		if ok && (n < int64(least) || n > int64(most)) {
			l.fault(v.at, "%s must be between %d and %d, not %d", name, least, most, n)
		} else if ok {
			*to = int(n)
		}
	}
}

// integer is the value of a TOML integer: 1_000, 0xff, 0o660.
func (l *loader) integer(name string, v *value) (n int64, ok bool) {
	n, err := strconv.ParseInt(strings.ReplaceAll(v.text, "_", ""), 0, 64)
	if err != nil {
		l.fault(v.at, "%s: %s is too large", name, v.text)
		return 0, false
	}
	return n, true
}

// mode is a file mode as chmod takes it, in a string.
func mode(to *fs.FileMode) setter {
	return func(l *loader, name string, v *value) {
		s, ok := l.str(name, v, `a string of octal digits like "0660"`)
		if !ok {
			return
		}
		n, err := strconv.ParseUint(s, 8, 32)
		if err != nil || n > 0o777 {
			l.fault(v.at, `%s: %q is not a file mode: write octal digits like "0660", at most "0777"`, name, s)
			return
		}
		*to = fs.FileMode(n)
	}
}

// stringList calls each for the strings of a list; one string alone is a list of
// one. It gives false when the value is neither, or any string of it is faulty.
// one tells what each string is.
func (l *loader) stringList(name string, v *value, one string, each func(string) error) bool {
	values, want := []*value{v}, one+" or a list of these"
	if v.kind == unstable.Array {
		values, want = v.list, one
	}
	fine := true
	for _, item := range values {
		s, ok := l.str(name, item, want)
		if ok && s == "" {
			l.fault(item.at, "%s must not be empty", name)
			ok = false
		} else if ok {
			if err := each(s); err != nil {
				l.fault(item.at, "%s: %s", name, err)
				ok = false
			}
		}
		fine = fine && ok
	}
	return fine
}

// paths is a path or a list of these, possibly none.
func paths(to *[]string) setter {
	return func(l *loader, name string, v *value) {
		list := []string{}
		if l.stringList(name, v, "a path", func(s string) error {
			if strings.ContainsRune(s, 0) {
				return fmt.Errorf("%q is not a path", s)
			}
			list = append(list, l.absolute(s))
			return nil
		}) {
			*to = list
		}
	}
}

// absolute is a path that was relative to the file's folder.
func (l *loader) absolute(path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(l.folder, path)
}

// listen is a list of addresses, at least one.
func listen(to *[]string) setter {
	return func(l *loader, name string, v *value) {
		list := []string{}
		fine := l.stringList(name, v, "an address", func(s string) error {
			for _, prefix := range []string{"unix:", "local:"} {
				if path, ok := strings.CutPrefix(s, prefix); ok && path != "" {
					s = prefix + l.absolute(path)
				}
			}
			if _, err := milter.ParseAddr(s); err != nil {
				return err
			}
			if slices.Contains(list, s) {
				return fmt.Errorf("%q is there twice", s)
			}
			list = append(list, s)
			return nil
		})
		switch {
		case !fine:
		case len(list) == 0:
			l.fault(v.at, `%s is empty: write for example "inet:8890@127.0.0.1"`, name)
		default:
			*to = list
		}
	}
}

// anything is a table whose content is not ours.
func anything(to *map[string]any) setter {
	return func(l *loader, name string, v *value) {
		if v.table == nil {
			l.wrong(name, v, "a table, ["+name+"]")
			return
		}
		*to, _ = l.plain(name, v).(map[string]any)
	}
}

// plain is a value without places. A fault in it leaves nil there.
func (l *loader) plain(name string, v *value) any {
	switch v.kind {
	case unstable.String:
		s, _ := l.str(name, v, "a string")
		return s
	case unstable.Bool:
		return v.text == "true"
	case unstable.Integer:
		n, _ := l.integer(name, v)
		return n
	case unstable.Float:
		f, err := strconv.ParseFloat(strings.ReplaceAll(strings.TrimLeft(v.text, "+"), "_", ""), 64)
		if err != nil && f == 0 {
			l.fault(v.at, "%s: %s is not a number", name, v.text)
		}
		return f
	case unstable.Array:
		list := make([]any, len(v.list))
		for i, item := range v.list {
			list[i] = l.plain(name, item)
		}
		return list
	case unstable.InlineTable:
		m := make(map[string]any, len(v.table.entries))
		for _, e := range v.table.entries {
			m[e.key] = l.plain(name+"."+e.key, e.value)
		}
		return m
	default:
		return v.text // dates and times as written
	}
}
