package event

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Name is the name of a file in a Maildir, taken apart:
// UNIQUE,A=2,N=1767225600:2,S.
type Name struct {
	Unique   string    // the event's ID; with whatever fields an MTA put into it (",S=1234")
	Attempts int       // begun so far
	Next     time.Time // not before; zero for at once
	Flags    string    // what a mail reader added, from the colon on
}

// ours is the names that we give: SECONDS.M<us>P<pid>Q<n>.pmilter.HOST. The id
// in the file is compared as well: Python's mailbox names files likewise, on a
// host that may be called "pmilter".
var ours = regexp.MustCompile(`^[0-9]{1,12}\.M[0-9]{6}P[0-9]{1,10}Q[0-9]{1,20}\.pmilter\.[^,:/]+$`)

// Unique is a name that no other event has, if n is counted in the process.
func Unique(now time.Time, pid int, n uint64, host string) string {
	host = strings.NewReplacer("/", `\057`, ":", `\072`, ",", `\054`).Replace(host)
	if host == "" {
		host = "localhost"
	}
	return fmt.Sprintf("%d.M%06dP%dQ%d.pmilter.%s", now.Unix(), now.Nanosecond()/1000, pid, n, host)
}

// ParseName takes a file's name apart. Any name is one.
func ParseName(file string) Name {
	n := Name{Unique: file}
	if at := strings.IndexByte(file, ':'); at >= 0 {
		n.Unique, n.Flags = file[:at], file[at:]
	}
	n.Unique, n.Next = cutNext(n.Unique)
	n.Unique, n.Attempts = cutAttempts(n.Unique)
	return n
}

// cutNext takes ",N=seconds" from the end. Only what String writes is ours.
func cutNext(s string) (string, time.Time) {
	rest, digits, ok := cutField(s, ",N=", 11)
	if !ok {
		return s, time.Time{}
	}
	seconds, _ := strconv.ParseInt(digits, 10, 64) // at most 11 digits
	return rest, time.Unix(seconds, 0)
}

func cutAttempts(s string) (string, int) {
	rest, digits, ok := cutField(s, ",A=", 9)
	if !ok {
		return s, 0
	}
	n, _ := strconv.Atoi(digits) // at most 9 digits
	return rest, n
}

func cutField(s, key string, most int) (rest, digits string, ok bool) {
	at := strings.LastIndex(s, key)
	if at <= 0 {
		return s, "", false
	}
	digits = s[at+len(key):]
	if digits == "" || len(digits) > most || digits[0] == '0' || strings.Trim(digits, "0123456789") != "" {
		return s, "", false
	}
	return s[:at], digits, true
}

// String is the file's name.
func (n Name) String() string {
	s := n.Unique
	if n.Attempts > 0 {
		s += ",A=" + strconv.Itoa(n.Attempts)
	}
	if n.Next.Unix() > 0 {
		s += ",N=" + strconv.FormatInt(n.Next.Unix(), 10)
	}
	return s + n.Flags
}

// Ours tells whether we gave the name: then X-Pmilter-Event may be believed.
func (n Name) Ours() bool { return ours.MatchString(n.Unique) }

// Time is when the file was made, as the name says it; zero if it does not.
func (n Name) Time() time.Time {
	digits, _, ok := strings.Cut(n.Unique, ".")
	if !ok || digits == "" || len(digits) > 11 || strings.Trim(digits, "0123456789") != "" {
		return time.Time{}
	}
	seconds, _ := strconv.ParseInt(digits, 10, 64) // at most 11 digits
	return time.Unix(seconds, 0)
}
