// Package span reads spans of time as people write them in pmilter.toml and
// in scripts: "500ms", "90s", "1h30m", "14d", "1d12h".
package span

import (
	"errors"
	"strconv"
	"strings"
	"time"
)

// Max is the longest; it is a hundred years, far from time.Duration's end.
const Max = maxDays * day

const (
	maxDays = 36500
	day     = 24 * time.Hour
	// maxText is more than any duration needs.
	maxText = 100
)

// ErrSyntax is that of a text that is no duration.
var ErrSyntax = errors.New(`not a duration: write for example "8s", "1h30m" or "14d"`)

// Parse is time.ParseDuration with days, and without signs: from 0 to Max. The
// error is ErrSyntax.
func Parse(s string) (time.Duration, error) {
	if len(s) > maxText {
		return 0, ErrSyntax
	}
	var days time.Duration
	rest := s
	if before, after, ok := strings.Cut(s, "d"); ok {
		n, err := strconv.ParseUint(before, 10, 16)
		if err != nil || n > maxDays {
			return 0, ErrSyntax
		}
		days, rest = time.Duration(n)*day, after
		if rest == "" {
			return days, nil
		}
	}
	if rest == "" || rest[0] == '-' || rest[0] == '+' {
		return 0, ErrSyntax
	}
	d, err := time.ParseDuration(rest)
	if err != nil || d > Max-days {
		return 0, ErrSyntax
	}
	return days + d, nil
}
