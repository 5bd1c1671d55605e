package store

import (
	"context"
	"strconv"
	"time"
)

const (
	// MaxKey is the length of a key in bytes, at most; a key has at least one.
	MaxKey = 1024
	// MaxValue is the length of a value in bytes, at most.
	MaxValue = 1 << 20
	// MaxHolder is the length of a holder's name in bytes, at most.
	MaxHolder = 64
	// MaxNumber is the largest that Incr counts to, up and down: what JavaScript
	// has without loss (Number.MAX_SAFE_INTEGER).
	MaxNumber = 1<<53 - 1
	// MaxTTL bounds times to live and windows; it is a hundred years.
	MaxTTL = 36500 * 24 * time.Hour
)

// Store is what scripts share. Values, windows (of Limit) and holds have keys of
// their own: the same key names one of each. All methods may be called by many at
// once, and return soon after ctx is done; what they were about may still happen
// then. An error is ctx's, or an *Error, or trouble of the backend.
type Store interface {
	// Get is the value of key, which must not be changed.
	Get(ctx context.Context, key string) (value []byte, found bool, err error)
	// Set stores a value, which must not be changed afterwards. It is gone after
	// ttl; 0 is never. Times to live have milliseconds.
	Set(ctx context.Context, key string, value []byte, ttl time.Duration) error
	// Add is Set for a key that has no value, else nothing happens.
	Add(ctx context.Context, key string, value []byte, ttl time.Duration) (added bool, err error)
	// Delete removes the value and the window of key; existed if there was one.
	Delete(ctx context.Context, key string) (existed bool, err error)
	// Incr adds by, which may be negative, to a whole number in decimal digits and
	// returns the sum; no value counts as 0. The first gives the key its time to
	// live, later ones leave that alone. *Error with CodeNotANumber or CodeOverflow.
	Incr(ctx context.Context, key string, by int64, ttl time.Duration) (sum int64, err error)
	// Limit counts this call if fewer than most were counted within the last per;
	// else ok is false, and it is not counted. count is how many there are, this one
	// included if it is; resetAfter is when the next of them leaves the window or,
	// after a refusal, when a call would be counted again. See window.
	Limit(ctx context.Context, key string, most int64, per time.Duration) (ok bool, count int64, resetAfter time.Duration, err error)
	// Hold makes holder, an unguessable name, one of the holders of key if there are
	// fewer than most of them (0: however many there are); count is how many there
	// are. Who holds the key already holds it once. It lasts until Release, or until
	// shortly after the process that asked died.
	Hold(ctx context.Context, key, holder string, most int64) (ok bool, count int64, err error)
	// Release ends all that holder holds. No Hold of it may be under way, or come
	// later. It does not wait.
	Release(holder string)
	// Close frees the store, which must not be used afterwards. Nothing is held then.
	Close() error
}

// Codes of an Error, in the manner of Node.js' as all modules have them.
const (
	CodeUnavailable = "EUNAVAILABLE" // the backend is not there
	CodeNotANumber  = "ENOTNUMBER"   // Incr of something else
	CodeOverflow    = "EOVERFLOW"    // Incr past MaxNumber
	CodeFull        = "EFULL"        // no room for more holders
	CodeTooLarge    = "ETOOLARGE"    // a key or a value
)

// Error is what a store could not do, with a code that callers tell it by. Name
// and Code make it an exception that scripts can catch.
type Error struct {
	code, message string
	cause         error
}

// Error implements error.
func (e *Error) Error() string {
	if e.cause != nil {
		return e.message + ": " + e.cause.Error()
	}
	return e.message
}

// Unwrap is what brought it about, if anything.
func (e *Error) Unwrap() error { return e.cause }

// Name is the name of the exception.
func (*Error) Name() string { return "StoreError" }

// Code is one of the codes above.
func (e *Error) Code() string { return e.code }

func unavailable(cause error) error {
	return &Error{CodeUnavailable, "the store is not available", cause}
}

// checkKey refuses what no backend may be given.
func checkKey(key string) error {
	if key == "" || len(key) > MaxKey {
		return &Error{code: CodeTooLarge, message: "the key has " + strconv.Itoa(len(key)) + " bytes: from 1 to " + strconv.Itoa(MaxKey)}
	}
	return nil
}

func check(key string, value []byte) error {
	if len(value) > MaxValue {
		return &Error{code: CodeTooLarge, message: "the value has " + strconv.Itoa(len(value)) + " bytes: at most " + strconv.Itoa(MaxValue)}
	}
	return checkKey(key)
}

// add is the value of Incr: old is nil where there is none.
func add(old []byte, by int64) (sum int64, err error) {
	if old != nil {
		sum, err = strconv.ParseInt(string(old), 10, 64)
		if err != nil || strconv.FormatInt(sum, 10) != string(old) {
			return 0, &Error{code: CodeNotANumber, message: "the value is no whole number"}
		}
	}
	if !counts(sum) || !counts(by) || !counts(sum+by) {
		return 0, &Error{code: CodeOverflow, message: "the sum is past " + strconv.Itoa(MaxNumber)}
	}
	return sum + by, nil
}

func counts(n int64) bool { return n >= -MaxNumber && n <= MaxNumber }

// milliseconds is a time to live in milliseconds, rounded up so that none is 0
// that was not.
func milliseconds(d time.Duration) int64 {
	d = min(max(d, 0), MaxTTL)
	return int64((d + time.Millisecond - 1) / time.Millisecond)
}
