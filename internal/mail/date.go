package mail

import (
	"strconv"
	"strings"
	"time"
)

// readDate reads a Date as mail readers do: RFC 5322 §3.3 with its obsolete forms,
// that of ctime, ISO 8601, and what mailers make of them. ok tells of a date;
// clean, of one without any fault.
func readDate(value string) (date time.Time, ok, clean bool) {
	value = strings.TrimSpace(withoutComments(unfold(value)))
	for _, layout := range [...]string{
		"Mon, 2 Jan 2006 15:04:05 -0700", "2 Jan 2006 15:04:05 -0700", "Mon, 2 Jan 2006 15:04 -0700", "2 Jan 2006 15:04 -0700",
	} {
		if t, err := time.Parse(layout, value); err == nil {
			return t, true, true
		}
	}
	d := dateReader{month: -1, day: -1, year: -1, hour: -1}
	for _, token := range strings.FieldsFunc(value, func(r rune) bool { return r == ' ' || r == '\t' || r == ',' }) {
		if d.tokens++; d.tokens > 20 {
			break
		}
		d.token(token)
	}
	date, ok = d.date()
	return date, ok, ok && d.known && !d.odd
}

func withoutComments(s string) string {
	if strings.IndexByte(s, '(') < 0 {
		return s
	}
	var out strings.Builder
	for {
		i := strings.IndexByte(s, '(')
		if i < 0 {
			break
		}
		end := commentEnd(s[i:])
		if end < 0 {
			break
		}
		out.WriteString(s[:i] + " ")
		s = s[i+end:]
	}
	return out.String() + s
}

// dateReader gathers what a date says, in whatever order.
type dateReader struct {
	year, month, day     int
	hour, minute, second int
	zone                 int // seconds east
	known                bool
	pm, am               bool
	tokens               int
	odd                  bool
}

func (d *dateReader) token(s string) {
	switch {
	case (s[0] == '+' || s[0] == '-') && len(s) > 1 && d.hour >= 0:
		d.offset(s)
	case strings.IndexByte(s, ':') > 0:
		d.clock(s)
	case monthOf(s) > 0:
		if d.month < 0 {
			d.month = monthOf(s)
		}
		d.odd = d.odd || len(s) != 3
	case isNumber(s):
		d.number(s)
	case strings.Count(s, "-") == 2 || strings.Count(s, "/") == 2: // 2-Jan-06, 2006-01-02
		d.odd = true
		parts := strings.FieldsFunc(s, func(r rune) bool { return r == '-' || r == '/' })
		if len(parts) == 3 && len(parts[0]) == 4 && isNumber(parts[1]) {
			parts[0], parts[2] = parts[2], parts[0]
		}
		d.parts(parts)
	default:
		d.word(s)
	}
}

func (d *dateReader) parts(parts []string) {
	if len(parts) != 3 {
		return
	}
	month := monthOf(parts[1])
	if month < 0 && isNumber(parts[1]) {
		month = atoi(parts[1])
	}
	if day, time, ok := strings.Cut(parts[0], "T"); ok { // ISO 8601
		parts[0] = day
		defer d.token(time)
	}
	if month > 0 && isNumber(parts[0]) && isNumber(parts[2]) {
		d.day, d.month = atoi(parts[0]), month
		d.setYear(parts[2])
	}
}

func (d *dateReader) number(s string) {
	switch {
	case d.day < 0 && len(s) <= 2:
		d.day = atoi(s)
	case d.year < 0:
		d.setYear(s)
	case len(s) == 4 && d.hour >= 0 && !d.known: // an offset without its sign
		d.offset("+" + s)
		d.odd = true
	}
}

// setYear knows years of two and three digits (RFC 5322 §4.3).
func (d *dateReader) setYear(s string) {
	d.year = atoi(s)
	switch {
	case len(s) == 2 && d.year < 50:
		d.year += 2000
	case len(s) == 2 || len(s) == 3:
		d.year += 1900
	}
}

// clock reads 15:04:05 and what may be stuck to it.
func (d *dateReader) clock(s string) {
	if day, time, ok := strings.Cut(s, "T"); ok && strings.Count(day, "-") == 2 { // ISO 8601
		d.token(day)
		s = time
	}
	end := strings.IndexFunc(s, func(r rune) bool { return (r < '0' || r > '9') && r != ':' && r != '.' })
	rest := ""
	if end >= 0 {
		s, rest = s[:end], s[end:]
	}
	fields := strings.Split(s, ":")
	if d.hour >= 0 || len(fields) < 2 || len(fields) > 3 {
		d.odd = true
		return
	}
	var n [3]int
	for i, f := range fields {
		f, _, _ = strings.Cut(f, ".")
		if !isNumber(f) || len(f) > 2 {
			d.odd = true
			return
		}
		n[i] = atoi(f)
	}
	d.hour, d.minute, d.second = n[0], n[1], n[2]
	if rest != "" {
		d.odd = true
		d.token(rest)
	}
}

// offset reads +0200, +02:00, +2.
func (d *dateReader) offset(s string) {
	digits := strings.ReplaceAll(s[1:], ":", "")
	if !isNumber(digits) || len(digits) > 4 || d.known {
		d.odd = true
		return
	}
	n := atoi(digits)
	if len(digits) <= 2 {
		n *= 100
	}
	d.odd = d.odd || len(s) != 5
	if n%100 > 59 || n > 2359 {
		d.odd = true
		return
	}
	d.zone, d.known = (n/100*60+n%100)*60, true
	if s[0] == '-' {
		d.zone = -d.zone
	}
}

// word reads names of days and zones (RFC 5322 §4.3), AM and PM.
func (d *dateReader) word(s string) {
	upper := strings.ToUpper(s)
	for _, day := range [...]string{"MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN"} {
		if strings.HasPrefix(upper, day) {
			return
		}
	}
	switch upper {
	case "AM":
		d.am = true
		return
	case "PM":
		d.pm = true
		return
	}
	if cut := strings.IndexAny(upper, "+-"); cut > 0 { // GMT+0200
		d.odd = true
		if d.hour >= 0 {
			d.offset(upper[cut:])
		}
		return
	}
	hours, ok := map[string]int{
		"UT": 0, "UTC": 0, "GMT": 0, "Z": 0,
		"EST": -5, "EDT": -4, "CST": -6, "CDT": -5, "MST": -7, "MDT": -6, "PST": -8, "PDT": -7,
		"WET": 0, "WEST": 1, "BST": 1, "CET": 1, "MET": 1, "CEST": 2, "MEST": 2, "EET": 2, "EEST": 3, "MSK": 3, "JST": 9, "KST": 9,
	}[upper]
	if !ok {
		d.odd = true
		return
	}
	if !d.known {
		d.zone, d.known = hours*3600, true
	}
}

func (d *dateReader) date() (time.Time, bool) {
	if d.pm && d.hour < 12 {
		d.hour += 12
	}
	if d.am && d.hour == 12 {
		d.hour = 0
	}
	d.odd = d.odd || d.am || d.pm
	if d.hour < 0 {
		d.hour, d.odd = 0, true
	}
	if d.year < 1 || d.year > 9999 || d.month < 1 || d.month > 12 || d.day < 1 || d.day > 31 || d.hour > 24 || d.minute > 59 || d.second > 60 {
		return time.Time{}, false
	}
	t := time.Date(d.year, time.Month(d.month), d.day, d.hour, d.minute, d.second, 0, time.FixedZone("", d.zone))
	if d.second < 60 && d.hour < 24 && t.Day() != d.day { // 30 February
		return time.Time{}, false
	}
	return t, true
}

// monthOf is 1 for January and its first three letters, -1 for what is no month.
func monthOf(s string) int {
	if len(s) < 3 {
		return -1
	}
	at := strings.Index("JanFebMarAprMayJunJulAugSepOctNovDec", strings.ToUpper(s[:1])+lowerASCII(s[1:3]))
	if at < 0 || at%3 != 0 || !strings.HasPrefix(strings.ToLower(time.Month(at/3+1).String()), strings.TrimSuffix(lowerASCII(s), ".")) {
		return -1
	}
	return at/3 + 1
}

func isNumber(s string) bool {
	return s != "" && len(s) <= 8 && strings.Trim(s, "0123456789") == ""
}

func atoi(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		return -1
	}
	return n
}
