package match

import (
	"errors"
	"testing"
)

// TestCacheDoesNotQueue: a list that takes long to compile holds nobody who wants
// another, and is compiled once for all who want it.
func TestCacheDoesNotQueue(t *testing.T) {
	t.Parallel()
	c := NewCache()
	begun, finish, compiled := make(chan struct{}), make(chan struct{}), 0
	c.compile = func(patterns []Pattern, fold bool) (*Matcher, error) {
		if patterns[0].Text == "slow" {
			compiled++
			close(begun)
			<-finish
		}
		return New(patterns, fold)
	}
	type answer struct {
		m   *Matcher
		err error
	}
	slow := make(chan answer, 2)
	for range 2 {
		go func() {
			m, err := c.Matcher([]Pattern{{Text: "slow"}}, false)
			slow <- answer{m, err}
		}()
	}
	<-begun
	if _, err := c.Matcher([]Pattern{{Text: "quick"}}, false); err != nil {
		t.Error(err)
	}
	close(finish)
	a, b := <-slow, <-slow
	if a.err != nil || a.m == nil || a.m != b.m || compiled != 1 {
		t.Errorf("%v %v, compiled %d times", a, b, compiled)
	}
}

// TestCacheForgetsFaults: what failed is tried again.
func TestCacheForgetsFaults(t *testing.T) {
	t.Parallel()
	c := NewCache()
	c.compile = func([]Pattern, bool) (*Matcher, error) { return nil, errors.New("not now") }
	if _, err := c.Matcher([]Pattern{{Text: "x"}}, false); err == nil {
		t.Error("no fault")
	}
	c.compile = New
	if m, err := c.Matcher([]Pattern{{Text: "x"}}, false); err != nil || m == nil || len(c.by) != 1 || c.used.Len() != 1 {
		t.Errorf("%v, %d kept", err, len(c.by))
	}
}
