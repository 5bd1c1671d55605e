package config

import "time"

// Decisions is how much of the decision log is kept.
type Decisions struct {
	MaxSize int64         // bytes of all its files together; 0: there is no log
	Keep    time.Duration // how old a line may get
}

// leastLog is the smallest log: a line may have a quarter of a megabyte.
const leastLog = 4 << 20

// logSize is a size that a log can have, or 0.
func logSize(to *int64) setter {
	return func(l *loader, name string, v *value) {
		n, ok := l.size(name, v)
		switch {
		case !ok:
		case n != 0 && n < leastLog:
			l.fault(v.at, `%s must be at least "4MiB", or 0 for no decision log, not %d bytes`, name, n)
		default:
			*to = n
		}
	}
}
