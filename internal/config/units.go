package config

import (
	"errors"
	"math"
	"strconv"
	"strings"
	"time"
)

// The hints of the two parsers below; faults of a file end with them.
var (
	errDuration = errors.New(`not a duration: write for example "8s", "1h30m" or "14d"`)
	errSize     = errors.New(`not a size: write for example "512KiB", "100MiB", "64MB" or a number of bytes`)
)

// maxDays keeps every duration far from time.Duration's end.
const maxDays = 36500

// ParseDuration is time.ParseDuration with days, "14d" or "1d12h", and without
// signs.
func ParseDuration(s string) (time.Duration, error) {
	var days time.Duration
	rest := s
	if before, after, ok := strings.Cut(s, "d"); ok {
		n, err := strconv.ParseUint(before, 10, 32)
		if err != nil || n > maxDays {
			return 0, errDuration
		}
		days, rest = time.Duration(n)*24*time.Hour, after
		if rest == "" {
			return days, nil
		}
	}
	if rest == "" || rest[0] == '-' || rest[0] == '+' {
		return 0, errDuration
	}
	d, err := time.ParseDuration(rest)
	if err != nil || d > maxDays*24*time.Hour {
		return 0, errDuration
	}
	return days + d, nil
}

// ParseSize is a number of bytes: "512KiB", "64MB", "1048576". KiB, MiB, GiB and
// TiB are powers of 1024, KB, MB, GB and TB of 1000.
func ParseSize(s string) (int64, error) {
	digits := strings.TrimRight(s, "KMGTiBk ")
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || digits == "" || digits[0] < '0' || digits[0] > '9' {
		return 0, errSize
	}
	var factor int64
	switch strings.TrimLeft(s[len(digits):], " ") {
	case "", "B":
		factor = 1
	case "KiB":
		factor = 1 << 10
	case "MiB":
		factor = 1 << 20
	case "GiB":
		factor = 1 << 30
	case "TiB":
		factor = 1 << 40
	case "KB", "kB":
		factor = 1e3
	case "MB":
		factor = 1e6
	case "GB":
		factor = 1e9
	case "TB":
		factor = 1e12
	default:
		return 0, errSize
	}
	if n > math.MaxInt64/factor {
		return 0, errSize
	}
	return n * factor, nil
}
