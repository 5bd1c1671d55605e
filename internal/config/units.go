package config

import (
	"errors"
	"math"
	"strconv"
	"strings"
)

// errSize is the hint of ParseSize; faults of a file end with it.
var errSize = errors.New(`not a size: write for example "512KiB", "100MiB", "64MB" or a number of bytes`)

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
